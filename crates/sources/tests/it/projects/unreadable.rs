//! What cannot be read hides nothing that can.

use std::fs;
use std::os::unix::fs::symlink;

use larder_core::Outcome;

use crate::projects::folder::{Folder, chmod, codes, told_by_nobody};
use crate::projects::scanning::{RECORDS, content_hash, record};

#[tokio::test]
async fn a_file_that_may_not_be_read_hides_nothing_of_what_its_skill_says() {
    if told_by_nobody(
        "projects::unreadable::a_file_that_may_not_be_read_hides_nothing_of_what_its_skill_says",
    ) {
        return;
    }
    let mut folder = Folder::new();
    folder.skill("kiln", "pdf", "Fills forms");
    folder.write("dev/kiln/.claude/skills/pdf/A.txt", "a");
    let (closed, described) = (
        folder.path("dev/kiln/.claude/skills/pdf/A.txt"),
        folder.path("dev/kiln/.claude/skills/pdf/SKILL.md"),
    );
    chmod(&closed, 0o000);
    folder.refresh().await;
    let pdf = folder.artifact("kiln", "pdf");
    assert_eq!((pdf.description.as_deref(), pdf.content_hash), (Some("Fills forms"), None));
    let warnings = folder.warnings("kiln");
    assert_eq!(codes(&warnings), ["unreadable"]);
    assert_eq!(warnings[0].about, ".claude/skills/pdf/A.txt");
    chmod(&closed, 0o644);
    folder.refresh().await;
    let pdf = folder.artifact("kiln", "pdf");
    assert!(pdf.content_hash.is_some() && folder.warnings("kiln").is_empty());
    chmod(&closed, 0o000);
    folder.skill("kiln", "pdf", "Fills and reads forms");
    folder.refresh().await;
    let changed = folder.artifact("kiln", "pdf");
    assert_eq!(changed.description.as_deref(), Some("Fills and reads forms"));
    assert_eq!(changed.content_hash, pdf.content_hash, "what was known of it stays");
    chmod(&closed, 0o644);
    chmod(&described, 0o000);
    folder.refresh().await;
    let kept = folder.artifact("kiln", "pdf");
    assert_eq!(kept.description, changed.description, "what was known of it stays");
    assert_eq!(folder.warnings("kiln")[0].about, ".claude/skills/pdf/SKILL.md");
    chmod(&described, 0o644);
    folder.refresh().await;
    assert!(folder.warnings("kiln").is_empty());
}

#[tokio::test]
async fn folders_that_are_too_deep_for_artifacts_are_told_of() {
    let mut folder = Folder::new();
    folder.write("dev/kiln/.claude/agents/UPPER.MD", "# upper\n");
    folder.write("dev/kiln/.claude/agents/1/2/3/4/5/6/six.md", "# six\n");
    folder.write("dev/kiln/.claude/agents/1/2/3/4/5/6/7/seven.md", "# seven\n");
    folder.refresh().await;
    let names: Vec<String> = folder.artifacts("kiln").into_iter().map(|artifact| artifact.name).collect();
    assert_eq!(names, ["six", "UPPER"]);
    let warnings = folder.warnings("kiln");
    assert_eq!(codes(&warnings), ["too_deep"]);
    assert_eq!(warnings[0].about, ".claude/agents/1/2/3/4/5/6/7");
}

/// What was recorded of two skills below a profile's folder.
fn recorded(root: &str) -> String {
    let of = |name: &str| record(name, "skill", &format!("skills/{name}"), &content_hash(&"a".repeat(64)));
    [of("docs"), of("pdf")].concat().replace("\".claude\"", &format!("\"{root}\""))
}

#[tokio::test]
async fn what_was_deployed_and_may_not_be_looked_at_is_there_whatever_was_known_before() {
    for root in [".claude", ".tools"] {
        let mut folder = Folder::new();
        folder.write("outside/pdf/SKILL.md", "# pdf\n");
        folder.write(&format!("dev/kiln/{root}/skills/docs/SKILL.md"), "---\ndescription: reads\n---\n");
        folder.write(RECORDS, &recorded(root));
        let (target, link) =
            (folder.path("outside/pdf"), folder.path(&format!("dev/kiln/{root}/skills/pdf")));
        symlink(&target, &link).unwrap();
        folder.refresh().await;
        let key = folder.key("kiln");
        let barred = folder.artifact("kiln", "pdf");
        assert_eq!((barred.missing, barred.modified, barred.content_hash.as_deref()), (false, false, None));
        assert_eq!(barred.deployed_version.as_deref(), Some("aaaaaaa"));
        assert_eq!(codes(&folder.warnings("kiln")), ["link_outside"]);
        assert_eq!(folder.fetch(&key).await.unwrap(), Outcome::NotModified);
        fs::remove_file(&link).unwrap();
        folder.refresh().await;
        assert!(folder.artifact("kiln", "pdf").missing);
        symlink(&target, &link).unwrap();
        for unread in [false, true] {
            if unread {
                folder.write(RECORDS, "[[deployed]\n");
            }
            folder.refresh().await;
            assert_eq!(folder.artifact("kiln", "pdf"), barred, "{root}");
            assert_eq!(folder.fetch(&key).await.unwrap(), Outcome::NotModified);
        }
        folder.write(RECORDS, "");
        folder.refresh().await;
        assert!(folder.artifacts("kiln").iter().all(|one| one.deployed_version.is_none()), "{root}");
    }
}

#[tokio::test]
async fn what_was_deployed_into_a_folder_that_may_not_be_looked_into_is_told_of() {
    if told_by_nobody(
        "projects::unreadable::what_was_deployed_into_a_folder_that_may_not_be_looked_into_is_told_of",
    ) {
        return;
    }
    for root in [".claude", ".tools"] {
        let mut folder = Folder::new();
        folder.write(&format!("dev/kiln/{root}/skills/docs/SKILL.md"), "---\ndescription: reads\n---\n");
        folder.write(RECORDS, &recorded(root));
        let skills = folder.path(&format!("dev/kiln/{root}/skills"));
        let missing = |folder: &Folder| -> Vec<bool> {
            folder.artifacts("kiln").iter().map(|one| one.missing).collect()
        };
        chmod(&skills, 0o000);
        folder.refresh().await;
        assert_eq!(missing(&folder), [false, false], "nobody can say");
        chmod(&skills, 0o700);
        folder.refresh().await;
        assert_eq!(missing(&folder), [false, true]);
        let docs = folder.artifact("kiln", "docs");
        assert_eq!((docs.description.as_deref(), docs.modified), (Some("reads"), true));
        chmod(&skills, 0o000);
        folder.refresh().await;
        assert_eq!(missing(&folder), [false, false], "nobody can say any more");
        assert_eq!(folder.artifact("kiln", "docs"), docs, "what was known of it stays");
        chmod(&skills, 0o700);
    }
}

#[tokio::test]
async fn a_folder_that_is_a_link_to_itself_by_now_holds_nothing_any_more() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.write("dev/kiln/.claude/agents/a.md", "# a\n");
    folder.write("dev/kiln/.claude/commands/pdf.md", "# pdf\n");
    folder.write(RECORDS, &record("pdf", "command", "commands/pdf.md", &content_hash(&"a".repeat(64))));
    folder.refresh().await;
    let key = folder.key("kiln");
    for name in ["agents", "commands"] {
        let at = folder.path("dev/kiln/.claude").join(name);
        fs::remove_dir_all(&at).unwrap();
        symlink(name, at).unwrap();
    }
    symlink("round", folder.path("dev/kiln/.claude/skills/pdf/round")).unwrap();
    folder.refresh().await;
    let there: Vec<(String, bool)> =
        folder.artifacts("kiln").into_iter().map(|one| (one.path, one.missing)).collect();
    let (command, skill) = (".claude/commands/pdf.md".to_owned(), ".claude/skills/pdf".to_owned());
    assert_eq!(there, [(command, true), (skill, false)]);
    let skill = folder.artifacts("kiln").pop().unwrap();
    assert!(skill.content_hash.is_some(), "there is no file that could not be read");
    let warnings = folder.warnings("kiln");
    let about: Vec<&str> = warnings.iter().map(|warning| warning.about.as_str()).collect();
    assert_eq!(about, [".claude/agents", ".claude/commands", ".claude/skills/pdf/round"]);
    assert!(codes(&warnings).iter().all(|code| *code == "link_loop"));
    assert_eq!(folder.fetch(&key).await.unwrap(), Outcome::NotModified);
}
