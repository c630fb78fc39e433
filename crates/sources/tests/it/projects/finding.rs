//! Which folders are projects.

use std::fs;
use std::os::unix::fs::symlink;

use crate::projects::folder::{Folder, chmod, codes, told_by_nobody, write_bytes};
use crate::projects::scanning::record;

#[tokio::test]
async fn a_project_is_a_folder_with_records_or_artifacts() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.write("dev/recorded/.claude/.skillmeat-deployed.toml", "");
    folder.write("dev/codex/.codex/agents/a.md", "# a\n");
    folder.write("dev/gemini/.gemini/commands/b.md", "# b\n");
    folder.write("dev/cursor/.cursor/hooks/c.json", "{}");
    folder.write("dev/servers/.claude/mcp/d.json", "{}");
    folder.write("dev/settings-alone/.claude/settings.json", "{}");
    folder.write("dev/empty/.claude/skills/.gitkeep", "");
    folder.write("dev/plain/src/main.rs", "");
    folder.refresh().await;
    assert_eq!(folder.names(), ["codex", "cursor", "gemini", "kiln", "recorded", "servers"]);
    let kinds: Vec<String> = folder
        .names()
        .iter()
        .flat_map(|name| folder.artifacts(name))
        .map(|artifact| format!("{} {} {} {}", artifact.profile, artifact.kind, artifact.name, artifact.path))
        .collect();
    assert_eq!(
        kinds,
        [
            "codex agent a .codex/agents/a.md",
            "cursor hook c .cursor/hooks/c.json",
            "gemini command b .gemini/commands/b.md",
            "claude_code skill pdf .claude/skills/pdf",
            "claude_code mcp d .claude/mcp/d.json",
        ]
    );
}

#[tokio::test]
async fn folders_with_nothing_of_use_make_no_project_and_one_artifact_among_them_does() {
    let mut folder = Folder::new();
    for place in ["skills/draft", "skills/a/b/c", "agents/team", "commands"] {
        fs::create_dir_all(folder.path("dev/empty/.claude").join(place)).unwrap();
    }
    folder.write("dev/empty/.claude/skills/notes/README.md", "no skill");
    folder.write("dev/empty/.claude/commands/notes.txt", "no command");
    for (project, path) in [
        ("deep", ".claude/skills/a/b/c/pdf/SKILL.md"),
        ("agent", ".codex/agents/team/writer.md"),
        ("hook", ".claude/hooks/run.sh"),
        ("odd", ".claude/skills/pdf/skill.MD"),
    ] {
        fs::create_dir_all(folder.path(&format!("dev/{project}/.claude/skills/draft"))).unwrap();
        folder.write(&format!("dev/{project}/{path}"), "# it\n");
    }
    // Somebody is to be told of what cannot be looked at, and of what is too much to look through.
    fs::create_dir_all(folder.path("dev/barred/.claude/skills")).unwrap();
    symlink(folder.path("outside"), folder.path("dev/barred/.claude/skills/pdf")).unwrap();
    for number in 0..100 {
        fs::create_dir_all(folder.path(&format!("dev/many/.claude/skills/draft{number}"))).unwrap();
    }
    fs::create_dir_all(folder.path("dev/round/.claude/skills")).unwrap();
    symlink(".", folder.path("dev/round/.claude/skills/again")).unwrap();
    folder.refresh().await;
    assert_eq!(folder.names(), ["agent", "barred", "deep", "hook", "many", "odd"]);
}

#[tokio::test]
async fn what_tells_people_of_a_folder_is_none_of_what_it_holds_unless_it_was_deployed() {
    let mut folder = Folder::new();
    let said = "# Agents for programming languages\n";
    folder.write("dev/kiln/.claude/agents/README.md", said);
    folder.write("dev/kiln/.claude/agents/languages/Readme.md", said);
    folder.write("dev/kiln/.claude/agents/readme-writer.md", "---\nname: readme-writer\n---\n");
    folder.write("dev/kiln/.claude/hooks/README", said);
    folder.write("dev/kiln/.claude/hooks/run.sh", "");
    folder.write("dev/told/.claude/commands/README.md", said);
    folder.write("dev/deployed/.claude/commands/README.md", said);
    let deployed = record("README", "command", "commands/README.md", "");
    folder.write("dev/deployed/.claude/.skillmeat-deployed.toml", &deployed);
    folder.refresh().await;
    assert_eq!(folder.names(), ["deployed", "kiln"]);
    let names = |project: &str| -> Vec<String> {
        folder.artifacts(project).into_iter().map(|artifact| artifact.name).collect()
    };
    assert_eq!(names("kiln"), ["readme-writer", "run.sh"]);
    assert_eq!(names("deployed"), ["README"]);
    assert!(!folder.artifact("deployed", "README").missing);
}

#[tokio::test]
async fn projects_are_found_so_deep_and_not_where_nobody_has_any() {
    let mut folder = Folder::new();
    for path in ["a", "a/b", "a/b/c", "a/b/c/too-deep", "node_modules/x", "a/.venv/y", "a/target/z"] {
        folder.project(path);
    }
    folder.write("dev/a/.git/HEAD", "ref: refs/heads/main\n");
    folder.write("dev/a/.gitignore", "ignored/\n.claude/\n");
    folder.project("a/ignored");
    folder.refresh().await;
    assert_eq!(folder.names(), ["a", "a/b", "a/b/c"], "an ignored `.claude` is an artifact's all the same");
    folder.configure(|config, _| config.depth = 1);
    folder.refresh().await;
    assert_eq!(folder.names(), ["a"]);
    folder.configure(|config, _| (config.depth, config.prune) = (4, vec!["b".to_owned()]));
    folder.refresh().await;
    assert_eq!(folder.names(), ["a", "a/.venv/y", "a/target/z", "node_modules/x"]);
}

#[tokio::test]
async fn a_root_is_a_project_too_where_it_has_artifacts() {
    let mut folder = Folder::new();
    folder.write("dev/.claude/commands/hello.md", "hello\n");
    folder.refresh().await;
    assert_eq!(folder.names(), ["."]);
    assert_eq!(folder.projects()[0].name, "dev");
}

#[tokio::test]
async fn a_project_that_is_gone_is_dropped_and_a_new_one_hides_no_other() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.project("cinder");
    folder.refresh().await;
    folder.project("new");
    folder.find().await;
    assert_eq!(folder.keys().len(), 3);
    assert_eq!(
        folder.names(),
        ["cinder", "kiln"],
        "those that were known are there while the new one is not"
    );
    folder.remove("dev/kiln");
    folder.refresh().await;
    assert_eq!(folder.names(), ["cinder", "new"]);
}

#[tokio::test]
async fn a_partial_walk_removes_nothing() {
    if told_by_nobody("projects::finding::a_partial_walk_removes_nothing") {
        return;
    }
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.project("cinder");
    fs::create_dir(folder.path("dev/secret")).unwrap();
    folder.refresh().await;
    folder.remove("dev/kiln");
    chmod(&folder.path("dev/secret"), 0o000);
    folder.find().await;
    assert_eq!(folder.names(), ["cinder", "kiln"]);
    assert_eq!(codes(&folder.root_warnings()), ["unreadable"]);
    assert!(folder.root_warnings()[0].message.contains("`[projects] prune` that names `secret`"));
    chmod(&folder.path("dev/secret"), 0o700);
    folder.find().await;
    assert_eq!(folder.names(), ["cinder"]);
}

#[tokio::test]
async fn what_is_said_to_leave_out_a_folder_that_cannot_be_read_does_leave_it_out() {
    if told_by_nobody(
        "projects::finding::what_is_said_to_leave_out_a_folder_that_cannot_be_read_does_leave_it_out",
    ) {
        return;
    }
    let mut folder = Folder::new();
    folder.write("other/secret/README", "nothing");
    folder.write("dev/what?/README", "nothing");
    symlink(folder.path("other/secret"), folder.path("dev/lnk")).unwrap();
    folder.configure(|config, real| config.allow_links = vec![real.join("other")]);
    chmod(&folder.path("other/secret"), 0o000);
    chmod(&folder.path("dev/what?"), 0o000);
    folder.find().await;
    let said: Vec<String> = folder.root_warnings().into_iter().map(|warning| warning.message).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    let said = said.join(" ");
    assert!(said.contains("`[projects] prune` that names `lnk`"), "a link goes by its own name: {said}");
    assert!(said.contains("an ignore file") && !said.contains("`what?`"), "a pattern is refused: {said}");
    folder.configure(|config, _| config.prune = vec!["lnk".to_owned()]);
    folder.write("dev/.ignore", "what*\n");
    folder.find().await;
    assert!(folder.root_warnings().is_empty(), "{:?}", folder.root_warnings());
    chmod(&folder.path("other/secret"), 0o700);
    chmod(&folder.path("dev/what?"), 0o700);
}

#[tokio::test]
async fn a_root_that_is_away_keeps_its_projects() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.refresh().await;
    fs::rename(folder.path("dev"), folder.path("unmounted")).unwrap();
    assert!(folder.find().await.is_empty(), "the root's refresh failed");
    assert_eq!(folder.names(), ["kiln"]);
    let key = folder.key("kiln");
    let error = folder.fetch(&key).await.unwrap_err();
    assert!(!error.counts() && error.to_string().contains("kiln"), "{error}");
    assert_eq!(folder.artifacts("kiln").len(), 1, "what was known stays");
}

#[tokio::test]
async fn a_link_is_followed_where_it_may_lead_and_told_of_where_not() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.skill("../elsewhere/outside", "s", "d");
    symlink(folder.path("elsewhere/outside"), folder.path("dev/linked")).unwrap();
    symlink(folder.path("dev/kiln"), folder.path("dev/kiln-again")).unwrap();
    symlink(folder.path("dev"), folder.path("dev/kiln/back")).unwrap();
    symlink("round", folder.path("dev/round")).unwrap();
    symlink(folder.path("nothing"), folder.path("dev/dangling")).unwrap();
    folder.refresh().await;
    assert_eq!(folder.names(), ["kiln"], "once, by whichever way");
    assert_eq!(codes(&folder.root_warnings()), ["link_outside", "link_loop"]);
    assert!(folder.root_warnings()[0].message.contains("allow_links"));
    folder.configure(|config, dir| config.allow_links = vec![dir.join("elsewhere")]);
    folder.refresh().await;
    assert_eq!(folder.names(), ["kiln", "linked"]);
    assert_eq!(codes(&folder.root_warnings()), ["link_loop"]);
}

#[tokio::test]
async fn a_project_is_found_by_the_shortest_way_to_it() {
    let mut folder = Folder::new();
    folder.project("a/b/c/kiln");
    folder.refresh().await;
    assert_eq!(folder.names(), [""; 0], "it lies too deep");
    symlink("a/b/c", folder.path("dev/short")).unwrap();
    folder.refresh().await;
    assert_eq!(folder.names(), ["short/kiln"]);
    assert_eq!(codes(&folder.root_warnings()), [""; 0]);
    // A longer way that comes first in the alphabet hides nothing.
    symlink("b/c", folder.path("dev/a/b-long")).unwrap();
    symlink("a/b", folder.path("dev/z")).unwrap();
    folder.project("a/b/c/d/deep");
    symlink("../..", folder.path("dev/a/b/c/d/up")).unwrap();
    folder.refresh().await;
    assert_eq!(folder.names(), ["short/d/deep", "short/kiln"]);
}

#[tokio::test]
async fn links_without_number_are_told_of_and_take_no_project_away() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.project("gone");
    folder.refresh().await;
    folder.remove("dev/gone");
    fs::create_dir(folder.path("dev/links")).unwrap();
    for number in 0..10_001 {
        symlink("../kiln", folder.path(&format!("dev/links/{number}"))).unwrap();
    }
    folder.find().await;
    assert_eq!(codes(&folder.root_warnings()), ["too_many"]);
    assert_eq!(folder.names(), ["gone", "kiln"], "not all was looked at, so nothing is gone");
}

#[tokio::test]
async fn names_of_any_bytes_survive() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let mut folder = Folder::new();
    for (number, name) in
        [&b"caf\xe9"[..], b"two words", b"new\nline", "проект".as_bytes()].iter().enumerate()
    {
        let skill = format!("s{number}/SKILL.md");
        let path = folder.path("dev").join(OsStr::from_bytes(name)).join(".claude/skills").join(skill);
        write_bytes(&path, b"---\nname: x\n---\n");
    }
    let odd = folder.path("dev/plain/.claude/agents").join(OsStr::from_bytes(b"na\xefve one.md"));
    write_bytes(&odd, b"# agent\n");
    let outcomes = folder.refresh().await;
    assert_eq!(folder.names(), ["caf\\xE9", "new\nline", "plain", "two words", "проект"]);
    assert_eq!(folder.artifacts("plain")[0].name, "na\\xEFve one");
    assert_eq!(folder.artifacts("new\nline")[0].path, ".claude/skills/s2");
    assert_eq!(outcomes.len(), 6);
    for key in folder.keys() {
        assert!(key.as_str().is_ascii() && !key.as_str().contains('%'), "{key}");
    }
}

#[tokio::test]
async fn a_project_below_two_roots_is_one() {
    let mut folder = Folder::new();
    folder.project("work/kiln");
    folder.configure(|config, dir| config.roots.push(dir.join("dev/work")));
    folder.configure(|config, dir| config.cwd = Some(dir.join("dev/work/kiln")));
    folder.refresh().await;
    assert_eq!(folder.names(), ["work/kiln"], "the first root's");
}

#[tokio::test]
async fn neither_everything_nor_the_home_folder_nor_what_holds_it_is_searched() {
    let mut folder = Folder::new();
    folder.project("kiln");
    symlink(folder.path(""), folder.path("home-again")).unwrap();
    let home = folder.path("");
    for (root, is_refused) in [
        (home.clone(), true),
        (home.join("home-again"), true),
        (home.parent().unwrap().to_owned(), true),
        ("/".into(), true),
        (home.join("dev"), false),
    ] {
        folder.configure(|config, home| {
            (config.home, config.roots) = (Some(home.to_owned()), vec![root.clone()]);
        });
        let key = folder.roots().remove(0);
        let error = folder.fetch(&key).await.err().map(|error| error.to_string());
        let is_said = error.as_ref().is_some_and(|error| error.contains("never searched"));
        assert_eq!((error.is_some(), is_said), (is_refused, is_refused), "{}: {error:?}", root.display());
    }
}
