//! What was recorded of deployments: in which file, of what place, and what stands when one file cannot be read.

use std::fs;
use std::os::unix::fs::symlink;

use jiff::tz::TimeZone;
use larder_domain::ArtifactType;
use larder_sources::WatchOptions;

use crate::projects::folder::{Folder, codes};
use crate::projects::scanning::{RECORDS, content_hash, record};
use crate::projects::watching::{QUICK, Watched};

/// A record that says what it must, and what else it is given.
fn bare(name: &str, said: &str) -> String {
    format!("[[deployed]]\nartifact_name = \"{name}\"\nartifact_type = \"skill\"\n{said}\n\n")
}

/// A project with a skill that was edited since it was deployed, and one that is gone.
fn deployed() -> Folder {
    let folder = Folder::new();
    folder.skill("kiln", "pdf", "d");
    let records = [
        record("pdf", "skill", "skills/pdf", &content_hash(&"a".repeat(64))),
        record("gone", "skill", "skills/gone", &content_hash(&"b".repeat(64))),
    ];
    folder.write(RECORDS, &records.concat());
    folder
}

/// The name, profile and state of each artifact.
fn states(folder: &Folder) -> Vec<String> {
    let all = folder.artifacts("kiln").into_iter().map(|one| {
        let states = [("outdated", one.outdated), ("modified", one.modified), ("missing", one.missing)];
        let set: Vec<&str> = states.iter().filter(|(_, is_set)| *is_set).map(|(word, _)| *word).collect();
        format!("{} {} {}", one.name, one.profile, set.join(" ")).trim_end().to_owned()
    });
    let mut all: Vec<String> = all.collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_bad_file_in_one_profile_s_place_takes_nothing_from_the_others() {
    let own = ["gone claude_code missing", "pdf claude_code modified"];
    for (bad, text, warned) in [
        (".codex", "", &[][..]),
        (".codex/.skillmeat-deployed.toml", "[[deployed]\n", &["malformed"][..]),
        (".codex/.skillmeat-deployed.toml", "deployed = 1\n", &["malformed"][..]),
    ] {
        for is_known in [false, true] {
            let mut folder = deployed();
            if is_known {
                folder.refresh().await;
                assert_eq!(states(&folder), own);
            }
            folder.write(&format!("dev/kiln/{bad}"), text);
            folder.refresh().await;
            assert_eq!(states(&folder), own, "{bad} {text}");
            assert_eq!(codes(&folder.warnings("kiln")), warned, "{bad}");
            // What the other profile's file says goes on to count.
            folder.write(RECORDS, &record("pdf", "skill", "skills/pdf", ""));
            folder.refresh().await;
            assert_eq!(states(&folder), ["pdf claude_code"], "{bad} {text}");
        }
    }
}

#[tokio::test]
async fn what_a_file_recorded_apart_from_where_it_lies_stays_while_the_file_cannot_be_read() {
    let mut folder = Folder::new();
    folder.write("dev/kiln/.codex/skills/pdf/SKILL.md", "# pdf\n");
    folder.write("dev/kiln/.tools/skills/docs/SKILL.md", "# docs\n");
    folder.write("dev/kiln/.gemini/.skillmeat-deployed.toml", "");
    let hash = content_hash(&"a".repeat(64));
    let records = [
        bare("pdf", &format!("profile_root_dir = \".codex\"\n{hash}")),
        bare("docs", &format!("profile_root_dir = \".tools\"\n{hash}")),
    ];
    folder.write(RECORDS, &records.concat());
    folder.refresh().await;
    let own = ["docs claude_code modified", "pdf codex modified"];
    assert_eq!(states(&folder), own);
    for round in 0..2 {
        folder.write(RECORDS, &format!("[[deployed]\n# {round}\n"));
        folder.refresh().await;
        assert_eq!(states(&folder), own, "it is being written, say");
    }
    // Another profile's file has no say in them.
    folder.write("dev/kiln/.gemini/.skillmeat-deployed.toml", "[[deployed]\n");
    folder.write(RECORDS, "");
    folder.refresh().await;
    assert_eq!(states(&folder), ["pdf codex"]);
}

#[tokio::test]
async fn a_record_that_does_not_say_whose_it_is_is_about_the_folder_it_lies_in() {
    for (said, profile) in [("", "codex"), ("deployment_profile_id = \"team\"\nplatform = \"codex\"", "team")]
    {
        let mut folder = Folder::new();
        folder.write("dev/kiln/.codex/skills/pdf/SKILL.md", "# pdf\n");
        let records = bare("pdf", &format!("{said}\n{}", content_hash(&"a".repeat(64))));
        folder.write("dev/kiln/.codex/.skillmeat-deployed.toml", &records);
        folder.refresh().await;
        assert_eq!(states(&folder), [format!("pdf {profile} modified")]);
        assert_eq!(folder.artifact("kiln", "pdf").deployed_version.as_deref(), Some("aaaaaaa"));
    }
}

#[tokio::test]
async fn an_mcp_server_is_known_by_the_longer_word_in_records_and_locks_too() {
    let mut folder = Folder::new();
    folder.write("dev/kiln/.claude/mcp/tickets.json", "{}");
    let deployed = content_hash(&"a".repeat(64));
    folder.write(RECORDS, &record("tickets", "mcp_server", "mcp/tickets.json", &deployed));
    folder.write("skillmeat/collections/default/collection.toml", "[collection]\nname = \"default\"\n");
    let (hash, sha) = ("b".repeat(64), "0123456789abcdef0123456789abcdef01234567");
    let lock = format!(
        "[lock.entries.\"tickets::mcp_server\"]\ncontent_hash = \"{hash}\"\nresolved_sha = \"{sha}\"\n"
    );
    folder.write("skillmeat/collections/default/collection.lock", &lock);
    folder.refresh().await;
    assert_eq!(states(&folder), ["tickets claude_code outdated modified"]);
    let tickets = folder.artifact("kiln", "tickets");
    assert_eq!(tickets.kind, ArtifactType::Mcp);
    assert_eq!(tickets.upstream_version.as_deref(), Some("0123456"), "the commit's first seven digits");
}

#[tokio::test]
async fn a_time_without_an_offset_is_meant_where_this_is() {
    let mut folder = Folder::new();
    folder.mean(|| TimeZone::fixed(jiff::tz::offset(-5)));
    folder.skill("kiln", "pdf", "d");
    folder.write(RECORDS, &record("pdf", "skill", "skills/pdf", ""));
    folder.refresh().await;
    let at = folder.artifact("kiln", "pdf").deployed_at.unwrap().to_string();
    assert_eq!(at, "2026-01-09T19:32:10.55Z");
}

async fn watched(mut folder: Folder) -> Watched {
    folder.refresh().await;
    Watched::over(folder, WatchOptions { debounce: QUICK, ..WatchOptions::default() }).await
}

/// Waits until what a skill's file says of it by now is known.
async fn edit(watched: &mut Watched, file: &str, text: &'static str) {
    fs::write(watched.folder.path(file), format!("---\ndescription: {text}\n---\n")).unwrap();
    watched.follow_until(|folder| folder.artifact("kiln", "wind").description.as_deref() == Some(text)).await;
}

#[tokio::test]
async fn what_is_recorded_to_be_where_artifacts_are_not_looked_for_is_watched_there() {
    for (said, file) in [
        ("profile_root_dir = \".windsurf\"", ".windsurf/skills/wind/SKILL.md"),
        ("profile_root_dir = \".windsurf\"\nartifact_path = \"wind.md\"", ".windsurf/wind.md"),
        ("profile_root_dir = \"node_modules/kit\"", "node_modules/kit/skills/wind/SKILL.md"),
        ("profile_root_dir = \"node_modules/kit/.claude\"", "node_modules/kit/.claude/skills/wind/SKILL.md"),
        ("profile_root_dir = \"pkg/.claude\"", "pkg/.claude/skills/wind/SKILL.md"),
        ("profile_root_dir = \"a/b/c/d/.claude\"", "a/b/c/d/.claude/skills/wind/SKILL.md"),
        ("artifact_path = \"custom/wind.md\"", ".claude/custom/wind.md"),
        ("artifact_path = \"wind.md\"", ".claude/wind.md"),
        ("profile_root_dir = \".\"\nartifact_path = \"wind.md\"", "wind.md"),
    ] {
        let folder = Folder::new();
        let file = format!("dev/kiln/{file}");
        folder.write(&file, "---\ndescription: first\n---\n");
        folder.write(RECORDS, &bare("wind", said));
        let mut watched = watched(folder).await;
        edit(&mut watched, &file, "edited").await;
        let place = watched.folder.path(&file).parent().unwrap().to_owned();
        let away = watched.folder.path("away");
        for above in [watched.folder.path(&file), place] {
            let is_more = above.ends_with("dev/kiln") || above.ends_with(".claude");
            // A skill's folder is there without the file that describes it.
            if is_more || above.ends_with("SKILL.md") {
                continue;
            }
            fs::rename(&above, &away).unwrap();
            watched.follow_until(|folder| folder.artifact("kiln", "wind").missing).await;
            fs::rename(&away, &above).unwrap();
            watched.follow_until(|folder| !folder.artifact("kiln", "wind").missing).await;
        }
        edit(&mut watched, &file, "once more").await;
    }
}

#[tokio::test]
async fn a_place_that_is_recorded_later_is_watched_from_then_on() {
    for is_renamed in [false, true] {
        let folder = Folder::new();
        folder.project("kiln");
        folder.write(RECORDS, "");
        let file = "dev/kiln/.windsurf/skills/wind/SKILL.md";
        folder.write(file, "# wind\n");
        let mut watched = watched(folder).await;
        let records = bare("wind", "profile_root_dir = \".windsurf\"");
        if is_renamed {
            let beside = watched.folder.path("dev/kiln/.claude/records.tmp");
            fs::write(&beside, records).unwrap();
            fs::rename(beside, watched.folder.path(RECORDS)).unwrap();
        } else {
            fs::write(watched.folder.path(RECORDS), records).unwrap();
        }
        watched.follow_until(|folder| folder.artifacts("kiln").len() == 2).await;
        edit(&mut watched, file, "edited").await;
    }
}

#[tokio::test]
async fn a_recorded_place_behind_a_link_is_followed_when_the_link_is_pointed_elsewhere() {
    let folder = Folder::new();
    for kit in ["kit1", "kit2"] {
        let text = format!("---\ndescription: {kit}\n---\n");
        folder.write(&format!("dev/.cache/{kit}/skills/wind/SKILL.md"), &text);
    }
    folder.write(RECORDS, &bare("wind", "profile_root_dir = \".windsurf\""));
    symlink("../.cache/kit1", folder.path("dev/kiln/.windsurf")).unwrap();
    let mut watched = watched(folder).await;
    edit(&mut watched, "dev/.cache/kit1/skills/wind/SKILL.md", "edited").await;
    let (link, beside) = (watched.folder.path("dev/kiln/.windsurf"), watched.folder.path("dev/kiln/.new"));
    symlink("../.cache/kit2", &beside).unwrap();
    fs::rename(beside, link).unwrap();
    watched
        .follow_until(|folder| folder.artifact("kiln", "wind").description.as_deref() == Some("kit2"))
        .await;
    edit(&mut watched, "dev/.cache/kit2/skills/wind/SKILL.md", "edited there").await;
}
