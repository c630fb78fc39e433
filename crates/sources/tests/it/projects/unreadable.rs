//! What cannot be read hides nothing that can.

use crate::projects::folder::{Folder, chmod, codes, told_by_nobody};

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
