//! What a project holds, and what is wrong with it.

use std::fs;
use std::os::unix::fs::symlink;

use larder_core::Outcome;
use larder_domain::{ArtifactType, HASH_DIGITS};
use sha2::{Digest, Sha256};

use crate::projects::folder::{Folder, chmod, codes, told_by_nobody};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn sha(parts: &[&[u8]]) -> String {
    hex(&Sha256::digest(parts.concat()))
}

pub(crate) fn record(name: &str, kind: &str, path: &str, hash: &str) -> String {
    format!(
        "[[deployed]]\nartifact_name = \"{name}\"\nartifact_type = \"{kind}\"\nfrom_collection = \"default\"\n\
         deployed_at = \"2026-01-09T14:32:10.550083\"\nartifact_path = \"{path}\"\n{hash}\n\
         local_modifications = false\ndeployment_profile_id = \"claude_code\"\nplatform = \"claude_code\"\n\
         profile_root_dir = \".claude\"\n\n"
    )
}

pub(crate) fn content_hash(hash: &str) -> String {
    format!("content_hash = \"{hash}\"")
}

pub(crate) const RECORDS: &str = "dev/kiln/.claude/.skillmeat-deployed.toml";

#[tokio::test]
async fn a_hash_is_the_deploying_tool_s_byte_for_byte() {
    let mut folder = Folder::new();
    let skill = "dev/kiln/.claude/skills/pdf";
    folder.write(&format!("{skill}/SKILL.md"), "# pdf\n");
    folder.write(&format!("{skill}/a/b.txt"), "two");
    folder.write(&format!("{skill}/a.txt"), "one");
    folder.write(&format!("{skill}/a/.hidden"), "");
    folder.write("dev/kiln/.claude/agents/pm/prd-writer.md", "# writer\n");
    folder.refresh().await;
    let by_parts = sha(&[b"SKILL.md", b"# pdf\n", b"a/.hidden", b"", b"a/b.txt", b"two", b"a.txt", b"one"]);
    assert_eq!(
        folder.artifact("kiln", "pdf").content_hash.as_deref(),
        Some(&by_parts[..HASH_DIGITS]),
        "`a/b` stands before `a.txt`"
    );
    let writer = folder.artifact("kiln", "prd-writer");
    assert_eq!(writer.kind, ArtifactType::Agent);
    assert_eq!(writer.content_hash.as_deref(), Some(&sha(&[b"# writer\n"])[..HASH_DIGITS]));
}

#[tokio::test]
async fn what_takes_over_the_name_of_another_is_not_taken_for_it() {
    let mut folder = Folder::new();
    let said = |what: &str| format!("---\ndescription: {what}\n---\n");
    folder.write("dev/kiln/.claude/commands/a/review.md", &said("this is a"));
    folder.write("dev/kiln/.claude/commands/b/review.md", &said("this is b"));
    folder.refresh().await;
    folder.refresh().await;
    assert_eq!(folder.artifact("kiln", "review").description.as_deref(), Some("this is a"));
    folder.remove("dev/kiln/.claude/commands/a/review.md");
    folder.refresh().await;
    let left = folder.artifact("kiln", "review");
    assert_eq!(left.description.as_deref(), Some("this is b"));
    assert_eq!(left.content_hash.as_deref(), Some(&sha(&[said("this is b").as_bytes()])[..HASH_DIGITS]));
}

#[tokio::test]
async fn states_come_from_what_is_on_disk_and_not_from_what_a_record_claims() {
    let mut folder = Folder::new();
    for name in ["same", "edited", "old", "gone", "older-record", "unrecorded"] {
        folder.write(&format!("dev/kiln/.claude/commands/{name}.md"), &format!("# {name}\n"));
    }
    let own = |name: &str| sha(&[format!("# {name}\n").as_bytes()]);
    let path = |name: &str| format!("commands/{name}.md");
    let collection_sha = format!("collection_sha = \"{}\"", own("another"));
    let records: String = [
        record("same.md", "command", &path("same"), &content_hash(&own("same"))),
        record("edited", "command", &path("edited"), &content_hash(&own("before"))),
        record("old", "command", &path("old"), &content_hash(&own("old"))),
        record("gone", "command", &path("gone"), &content_hash(&own("gone"))),
        record("older-record", "command", &path("older-record"), &collection_sha),
    ]
    .concat();
    folder.write(RECORDS, &records);
    folder.remove("dev/kiln/.claude/commands/gone.md");
    let lock = format!(
        "[lock.entries.\"old::command\"]\ncontent_hash = \"{}\"\nresolved_version = \"v2\"\n\
         [lock.entries.\"same::command\"]\ncontent_hash = \"{}\"\nresolved_version = \"v1\"\n",
        own("new"),
        own("same")
    );
    folder.write("skillmeat/collections/default/collection.toml", "[collection]\nname = \"default\"\n");
    folder.write("skillmeat/collections/default/collection.lock", &lock);
    folder.refresh().await;
    let states = |name: &str| {
        let artifact = folder.artifact("kiln", name);
        (artifact.outdated, artifact.modified, artifact.missing)
    };
    assert_eq!(states("same"), (false, false, false));
    assert_eq!(states("edited"), (false, true, false), "though it claims local_modifications = false");
    assert_eq!(states("old"), (true, false, false));
    assert_eq!(states("gone"), (false, false, true));
    assert_eq!(states("older-record"), (false, true, false), "collection_sha alone");
    assert_eq!(states("unrecorded"), (false, false, false));
    let old = folder.artifact("kiln", "old");
    assert_eq!(old.upstream_version.as_deref(), Some("v2"));
    assert_eq!(old.deployed_version.as_deref(), Some(&own("old")[..7]));
    assert_eq!(old.deployed_at.unwrap().to_string(), "2026-01-09T14:32:10.55Z");
    let project = &folder.projects()[0];
    assert_eq!((project.artifacts, project.outdated, project.modified, project.missing), (6, 1, 2, 1));
}

#[tokio::test]
async fn both_names_of_a_collection_s_files_are_known() {
    let hash = |digit: &str| digit.repeat(64);
    for (place, manifest, lock) in [
        ("skillmeat/collections/default", "collection.toml", "collection.lock"),
        ("skillmeat/collection", "manifest.toml", "lockfile.toml"),
    ] {
        let mut folder = Folder::new();
        folder.skill("kiln", "pdf", "d");
        folder.write(RECORDS, &record("pdf", "skill", "skills/pdf", &content_hash(&hash("a"))));
        folder.write(&format!("{place}/{manifest}"), "[collection]\nname = \"default\"\n");
        let locked =
            |digit: &str| format!("[lock.entries.\"pdf::skill\"]\ncontent_hash = \"{}\"\n", hash(digit));
        folder.write(&format!("{place}/{lock}"), &locked("b"));
        folder.refresh().await;
        assert!(folder.artifact("kiln", "pdf").outdated, "{place}");
        folder.write(&format!("{place}/{lock}"), &format!("{}\n", locked("a")));
        let outcomes = folder.refresh().await;
        assert_eq!(outcomes[&folder.key("kiln")], Outcome::Updated);
        let pdf = folder.artifact("kiln", "pdf");
        assert_eq!((pdf.outdated, pdf.upstream_version.as_deref()), (false, Some("aaaaaaa")));
        folder.write(&format!("{place}/{lock}"), "[lock.entries.\"pdf::skill\"]\ncontent_");
        folder.refresh().await;
        assert_eq!(folder.artifact("kiln", "pdf"), pdf, "half a lock takes nothing away");
        assert_eq!(codes(&folder.root_warnings()), ["malformed"]);
    }
}

#[tokio::test]
async fn what_is_as_it_was_is_not_read_again_and_a_change_touches_its_artifact_alone() {
    let mut folder = Folder::new();
    for name in ["a", "b", "c"] {
        folder.skill("kiln", name, "first");
    }
    folder.refresh().await;
    let key = folder.key("kiln");
    assert_eq!(folder.fetch(&key).await.unwrap(), Outcome::NotModified);
    // Who reads it would see other bytes: its size, times and inode are as they were.
    let kept = folder.artifact("kiln", "a");
    folder.skill("kiln", "b", "second");
    assert_eq!(folder.fetch(&key).await.unwrap(), Outcome::Updated);
    assert_eq!(folder.artifact("kiln", "b").description.as_deref(), Some("second"));
    assert_eq!(folder.artifact("kiln", "a"), kept);
    folder.remove("dev/kiln/.claude/skills/c");
    assert_eq!(folder.fetch(&key).await.unwrap(), Outcome::Updated);
    let names: Vec<String> = folder.artifacts("kiln").into_iter().map(|artifact| artifact.name).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(folder.fetch(&key).await.unwrap(), Outcome::NotModified);
}

#[tokio::test]
async fn an_unchanged_file_is_not_even_opened() {
    if told_by_nobody("projects::scanning::an_unchanged_file_is_not_even_opened") {
        return;
    }
    let mut folder = Folder::new();
    folder.skill("kiln", "a", "first");
    folder.skill("kiln", "b", "first");
    folder.refresh().await;
    let key = folder.key("kiln");
    // Forbidding moves the file's change time on, so it counts as another until it was read once.
    let file = folder.path("dev/kiln/.claude/skills/a/SKILL.md");
    chmod(&file, 0o000);
    folder.fetch(&key).await.unwrap();
    assert_eq!(codes(&folder.warnings("kiln")), ["unreadable"]);
    assert_eq!(folder.artifact("kiln", "a").description.as_deref(), Some("first"), "what was known stays");
    chmod(&file, 0o600);
    folder.fetch(&key).await.unwrap();
    assert!(folder.warnings("kiln").is_empty());
}

#[tokio::test]
async fn a_file_written_a_moment_ago_proves_nothing_until_it_is_older() {
    let mut folder = Folder::new();
    folder.project("kiln");
    let file = folder.path("dev/kiln/.claude/skills/pdf/SKILL.md");
    fs::write(&file, "---\ndescription: one\n---\n").unwrap();
    folder.refresh().await;
    let key = folder.key("kiln");
    // The same size, and within the same tick perhaps the same times.
    fs::write(&file, "---\ndescription: two\n---\n").unwrap();
    folder.fetch(&key).await.unwrap();
    assert_eq!(folder.artifact("kiln", "pdf").description.as_deref(), Some("two"));
}

#[tokio::test]
async fn editors_save_in_many_ways_and_all_are_seen() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.refresh().await;
    let key = folder.key("kiln");
    let file = folder.path("dev/kiln/.claude/skills/pdf/SKILL.md");
    let text = |what: &str| format!("---\ndescription: {what}\n---\n");
    let temporary = folder.path("dev/kiln/.claude/skills/pdf/.SKILL.md.tmp");
    fs::write(&temporary, text("renamed")).unwrap();
    fs::rename(&temporary, &file).unwrap();
    folder.fetch(&key).await.unwrap();
    assert_eq!(folder.artifact("kiln", "pdf").description.as_deref(), Some("renamed"));
    fs::write(&file, "").unwrap();
    folder.fetch(&key).await.unwrap();
    assert_eq!(folder.artifact("kiln", "pdf").description, None, "it was truncated, and is empty for now");
    fs::write(&file, text("written")).unwrap();
    folder.fetch(&key).await.unwrap();
    assert_eq!(folder.artifact("kiln", "pdf").description.as_deref(), Some("written"));
    fs::rename(folder.path("dev/kiln/.claude/skills/pdf"), folder.path("dev/kiln/.claude/skills/docs"))
        .unwrap();
    folder.fetch(&key).await.unwrap();
    let names: Vec<String> = folder.artifacts("kiln").into_iter().map(|artifact| artifact.name).collect();
    assert_eq!(names, ["docs"]);
}

#[tokio::test]
async fn one_malformed_thing_is_a_warning_on_its_project_and_hides_no_other() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.write("dev/kiln/.claude/agents/odd.md", "---\ndescription: [unclosed\nname: odd\n---\n");
    folder.write("dev/broken/.claude/.skillmeat-deployed.toml", "[[deployed]\n");
    folder.skill("broken", "pdf", "d");
    folder.refresh().await;
    assert_eq!(folder.names(), ["broken", "kiln"]);
    assert_eq!(codes(&folder.warnings("kiln")), ["malformed"]);
    assert_eq!(folder.artifacts("kiln").len(), 2, "it is there, whatever it says");
    assert_eq!(codes(&folder.warnings("broken")), ["malformed"]);
    assert_eq!((folder.projects()[0].artifacts, folder.projects()[0].warnings), (1, 1));
    let key = folder.key("kiln");
    assert_eq!(folder.fetch(&key).await.unwrap(), Outcome::NotModified);
    assert_eq!(codes(&folder.warnings("kiln")), ["malformed"], "also when it is not read again");
}

#[tokio::test]
async fn records_that_cannot_be_read_now_take_nothing_away() {
    let mut folder = Folder::new();
    folder.skill("kiln", "pdf", "d");
    let good = [
        record("pdf", "skill", "skills/pdf", &content_hash(&"a".repeat(64))),
        record("gone", "skill", "skills/gone", &content_hash(&"b".repeat(64))),
    ]
    .concat();
    folder.write(RECORDS, &good);
    folder.refresh().await;
    let before = folder.artifacts("kiln");
    assert_eq!(before.len(), 2);
    folder.write(RECORDS, "[[deployed]]\nartifact_na");
    folder.refresh().await;
    assert_eq!(folder.artifacts("kiln"), before, "it is being written, say");
    assert_eq!(codes(&folder.warnings("kiln")), ["malformed"]);
    folder.write(RECORDS, "");
    folder.refresh().await;
    let names: Vec<String> = folder.artifacts("kiln").into_iter().map(|artifact| artifact.name).collect();
    assert_eq!(names, ["pdf"], "an empty record says that nothing was deployed");
}

#[tokio::test]
async fn what_is_gone_says_still_what_it_was() {
    let mut folder = Folder::new();
    folder.skill("kiln", "pdf", "Fills forms");
    folder.write(RECORDS, &record("pdf", "skill", "skills/pdf", &content_hash(&"a".repeat(64))));
    folder.refresh().await;
    folder.remove("dev/kiln/.claude/skills/pdf");
    folder.refresh().await;
    let pdf = folder.artifact("kiln", "pdf");
    assert!(pdf.missing && !pdf.modified && pdf.content_hash.is_none());
    assert_eq!(pdf.description.as_deref(), Some("Fills forms"));
    let key = folder.key("kiln");
    assert_eq!(folder.fetch(&key).await.unwrap(), Outcome::NotModified);
    folder.skill("kiln", "pdf", "Back again");
    folder.fetch(&key).await.unwrap();
    let pdf = folder.artifact("kiln", "pdf");
    assert!(!pdf.missing && pdf.description.as_deref() == Some("Back again"));
}

#[tokio::test]
async fn what_was_deployed_to_an_unusual_place_is_found_there() {
    for root in [".claude", ".tools"] {
        let mut folder = Folder::new();
        let tool = format!("dev/kiln/{root}/custom/tool.md");
        folder.write(&tool, "---\ndescription: odd place\n---\n");
        let records = record("tool", "command", "custom/tool.md", &content_hash(&"a".repeat(64)));
        let records =
            records.replace("profile_root_dir = \".claude\"", &format!("profile_root_dir = \"{root}\""));
        folder.write(RECORDS, &records);
        folder.refresh().await;
        assert_eq!(folder.artifact("kiln", "tool").description.as_deref(), Some("odd place"));
        let key = folder.key("kiln");
        assert_eq!(folder.fetch(&key).await.unwrap(), Outcome::NotModified);
        folder.write(&tool, "---\ndescription: edited\n---\n");
        folder.fetch(&key).await.unwrap();
        assert_eq!(folder.artifact("kiln", "tool").description.as_deref(), Some("edited"));
        folder.remove(&tool);
        folder.fetch(&key).await.unwrap();
        assert!(folder.artifact("kiln", "tool").missing);
    }
}

#[tokio::test]
async fn an_artifact_that_was_moved_is_the_one_that_was_recorded() {
    let mut folder = Folder::new();
    folder.write("dev/kiln/.claude/agents/prd-writer.md", "# w\n");
    folder.write(
        RECORDS,
        &record("prd-writer", "agent", "agents/pm/prd-writer.md", &content_hash(&sha(&[b"# w\n"]))),
    );
    folder.refresh().await;
    let writer = folder.artifact("kiln", "prd-writer");
    assert_eq!(
        (writer.missing, writer.modified, writer.path.as_str()),
        (false, false, ".claude/agents/prd-writer.md")
    );
    assert_eq!(folder.artifacts("kiln").len(), 1);
}

#[tokio::test]
async fn two_of_one_name_are_both_there() {
    let mut folder = Folder::new();
    folder.write("dev/kiln/.claude/agents/a/review.md", "# a\n");
    folder.write("dev/kiln/.claude/agents/b/review.md", "# b\n");
    folder.refresh().await;
    let names: Vec<String> = folder.artifacts("kiln").into_iter().map(|artifact| artifact.name).collect();
    assert_eq!(names, ["review", "b/review.md"]);
}

#[tokio::test]
async fn links_in_artifacts_are_read_where_they_may_be_and_end_where_they_turn_in_circles() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.write("outside/secret.md", "---\ndescription: secret\n---\n");
    folder.write("outside/skill/SKILL.md", "---\ndescription: outside\n---\n");
    folder.write("dev/shared/skill/SKILL.md", "---\ndescription: shared\n---\n");
    let skills = folder.path("dev/kiln/.claude/skills");
    symlink(folder.path("dev/shared/skill"), skills.join("shared")).unwrap();
    symlink(folder.path("outside/skill"), skills.join("outside")).unwrap();
    symlink(folder.path("outside/secret.md"), skills.join("pdf/secret.md")).unwrap();
    symlink(&skills, skills.join("pdf/round")).unwrap();
    symlink(skills.join("pdf"), skills.join("pdf/self")).unwrap();
    symlink("gone", skills.join("pdf/dangling")).unwrap();
    folder.refresh().await;
    let names: Vec<String> = folder.artifacts("kiln").into_iter().map(|artifact| artifact.name).collect();
    assert_eq!(names, ["pdf", "shared"]);
    assert_eq!(folder.artifact("kiln", "shared").description.as_deref(), Some("shared"));
    let warnings = folder.warnings("kiln");
    let mut found = codes(&warnings);
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, ["link_broken", "link_outside"]);
    assert!(folder.artifact("kiln", "pdf").content_hash.is_none(), "not all of it may be read");
    folder.configure(|config, dir| config.allow_links = vec![dir.join("outside")]);
    folder.refresh().await;
    assert_eq!(folder.artifact("kiln", "outside").description.as_deref(), Some("outside"));
    assert!(folder.artifact("kiln", "pdf").content_hash.is_some());
}

#[tokio::test]
async fn an_agent_that_is_a_link_says_what_it_is_whatever_the_file_behind_it_is_called() {
    let mut folder = Folder::new();
    folder.write("dev/shared/writer", "---\ndescription: writes\nversion: 1.2.0\n---\n");
    folder.write("dev/shared/go.md", "---\ndescription: goes\n---\n");
    folder.write("dev/kiln/.claude/agents/own.md", "# own\n");
    symlink("../../../shared/writer", folder.path("dev/kiln/.claude/agents/writer.md")).unwrap();
    folder.write("dev/kiln/.claude/hooks/own.json", "{}");
    symlink("../../../shared/go.md", folder.path("dev/kiln/.claude/hooks/go.sh")).unwrap();
    folder.refresh().await;
    let writer = folder.artifact("kiln", "writer");
    assert_eq!((writer.description.as_deref(), writer.version.as_deref()), (Some("writes"), Some("1.2.0")));
    assert_eq!(folder.artifact("kiln", "go.sh").description, None, "it goes by the name of a script");
}

#[tokio::test]
async fn artifacts_below_a_folder_that_links_lead_to_are_there_once() {
    let mut folder = Folder::new();
    folder.write("dev/kiln/.claude/commands/review.md", "# review\n");
    folder.write("dev/kiln/.claude/commands/team/plan.md", "# plan\n");
    let commands = folder.path("dev/kiln/.claude/commands");
    symlink(".", commands.join("again")).unwrap();
    folder.refresh().await;
    let paths = |folder: &Folder| -> Vec<String> {
        folder.artifacts("kiln").into_iter().map(|artifact| artifact.path).collect()
    };
    let own = [".claude/commands/review.md", ".claude/commands/team/plan.md"];
    assert_eq!(paths(&folder), own);
    // Ways to itself and between folders, each of which opens as many more.
    for number in 0..6 {
        symlink(".", commands.join(format!("again{number}"))).unwrap();
        symlink("..", commands.join(format!("team/back{number}"))).unwrap();
        symlink("team", commands.join(format!("a-team{number}"))).unwrap();
    }
    folder.refresh().await;
    assert_eq!(paths(&folder), own, "a folder's own name is the one that counts");
    assert_eq!(codes(&folder.warnings("kiln")), [""; 0]);
}

#[tokio::test]
async fn folders_of_an_artifact_count_under_each_of_their_names_but_not_without_end() {
    let mut folder = Folder::new();
    let pdf = "dev/kiln/.claude/skills/pdf";
    folder.write(&format!("{pdf}/SKILL.md"), "# pdf\n");
    folder.write(&format!("{pdf}/b/x.txt"), "x");
    symlink("b", folder.path(pdf).join("a")).unwrap();
    folder.refresh().await;
    let both = sha(&[b"SKILL.md", b"# pdf\n", b"a/x.txt", b"x", b"b/x.txt", b"x"]);
    assert_eq!(folder.artifact("kiln", "pdf").content_hash.as_deref(), Some(&both[..HASH_DIGITS]));
    let maze = folder.path(pdf).join("maze");
    for one in 0..7 {
        fs::create_dir_all(maze.join(one.to_string())).unwrap();
        for other in 0..7 {
            symlink(format!("../{other}"), maze.join(format!("{one}/to{other}"))).unwrap();
        }
    }
    folder.refresh().await;
    assert_eq!(codes(&folder.warnings("kiln")), ["too_large"]);
    assert!(folder.artifact("kiln", "pdf").content_hash.is_none(), "not all of it was read");
}

#[tokio::test]
async fn a_project_is_called_what_it_calls_itself() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.refresh().await;
    let key = folder.key("kiln");
    folder
        .write("dev/kiln/.claude/.skillmeat-project.toml", "[project]\npath = \"/x\"\nname = \"The Kiln\"\n");
    folder.fetch(&key).await.unwrap();
    assert_eq!(folder.key("The Kiln"), key, "its id is its folder's");
    assert_eq!(folder.artifacts("The Kiln")[0].project_name, "The Kiln");
}

#[tokio::test]
async fn what_may_not_be_looked_into_keeps_what_was_known() {
    if told_by_nobody("projects::scanning::what_may_not_be_looked_into_keeps_what_was_known") {
        return;
    }
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.project("cinder");
    folder.refresh().await;
    let before = folder.artifacts("kiln");
    chmod(&folder.path("dev/kiln/.claude/skills"), 0o000);
    folder.refresh().await;
    assert_eq!(folder.artifacts("kiln"), before);
    assert_eq!(codes(&folder.warnings("kiln")), ["unreadable"]);
    chmod(&folder.path("dev/kiln/.claude/skills"), 0o700);
    chmod(&folder.path("dev/kiln/.claude"), 0o000);
    folder.refresh().await;
    assert_eq!(folder.names(), ["cinder", "kiln"]);
    chmod(&folder.path("dev/kiln/.claude"), 0o700);
    folder.refresh().await;
    assert!(folder.warnings("kiln").is_empty());
}

#[tokio::test]
async fn a_file_that_is_too_large_is_read_no_further_than_what_it_says_of_itself() {
    let mut folder = Folder::new();
    let big = "dev/kiln/.claude/agents/big.md";
    folder.write(big, "---\ndescription: is huge\n---\n");
    folder.write("dev/kiln/.claude/agents/small.md", "---\ndescription: is small\n---\n");
    // All of it would take hours.
    fs::File::options().write(true).open(folder.path(big)).unwrap().set_len(1 << 42).unwrap();
    folder.refresh().await;
    assert_eq!(codes(&folder.warnings("kiln")), ["too_large"]);
    for (name, hashed) in [("big", false), ("small", true)] {
        let found = folder.artifact("kiln", name);
        assert_eq!(
            (found.description, found.content_hash.is_some()),
            (Some(format!("is {}", if hashed { "small" } else { "huge" })), hashed)
        );
    }
}

#[tokio::test]
async fn a_skill_is_one_however_its_file_is_written() {
    let mut folder = Folder::new();
    for (name, file) in [("one", "SKILL.md"), ("two", "skill.md"), ("three", "Skill.MD")] {
        folder.write(&format!("dev/kiln/.claude/skills/{name}/{file}"), "---\ndescription: does\n---\n");
    }
    folder.refresh().await;
    for name in ["one", "two", "three"] {
        assert_eq!(folder.artifact("kiln", name).description.as_deref(), Some("does"), "{name}");
    }
}

/// Names and paths of a project's artifacts.
fn placed(folder: &Folder) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        folder.artifacts("kiln").into_iter().map(|artifact| (artifact.name, artifact.path)).collect();
    all.sort();
    all
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect()
}

#[tokio::test]
async fn of_two_skills_of_one_name_both_are_there_and_the_least_deep_has_it() {
    let mut folder = Folder::new();
    for name in ["documents/pdf", "pdf", "zed"] {
        folder.skill("kiln", name, "d");
    }
    folder.refresh().await;
    let (deep, top) = (".claude/skills/documents/pdf", ".claude/skills/pdf");
    let zed = ("zed", ".claude/skills/zed");
    assert_eq!(placed(&folder), pairs(&[("documents/pdf", deep), ("pdf", top), zed]));
    folder.write(RECORDS, &record("pdf", "skill", "skills/documents/pdf", &content_hash(&"a".repeat(64))));
    folder.refresh().await;
    assert_eq!(
        placed(&folder),
        pairs(&[(top, top), ("pdf", deep), zed]),
        "a recorded name is what people know; the other goes by its path"
    );
}

#[tokio::test]
async fn a_record_names_a_skill_by_its_file_in_any_case() {
    for file in ["SKILL.md", "skill.md", "Skill.MD"] {
        let mut folder = Folder::new();
        folder.write(&format!("dev/kiln/.claude/skills/pdf/{file}"), "# pdf\n");
        let path = format!("skills/pdf/{file}");
        folder.write(RECORDS, &record("pdf", "skill", &path, &content_hash(&"a".repeat(64))));
        folder.refresh().await;
        assert!(folder.artifact("kiln", "pdf").modified, "{file}");
        assert_eq!(folder.artifacts("kiln").len(), 1, "{file}");
    }
}
