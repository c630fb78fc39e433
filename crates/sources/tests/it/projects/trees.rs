//! A hundred projects with ten thousand artifacts: found as they are, not read twice, and nothing else
//! read beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use larder_core::{Key, Outcome};
use larder_domain::{Artifact, HASH_DIGITS};
use larder_testkit::{Grown, GrownArtifact, GrownProject, Lot, Tree, write_long_ago};

use crate::projects::folder::{Folder, codes};
use crate::projects::opened::{Opened, gather};

const LARGE: Tree = Tree { projects: 100, artifacts: 10_000, seed: 7 };
const SMALL: Tree = Tree { projects: 12, artifacts: 240, seed: 11 };

/// A folder with a tree in it, looked at once.
async fn grown(tree: Tree) -> (Folder, Grown, BTreeMap<Key, Outcome>) {
    let mut folder = Folder::new();
    let grown = tree.grow(&folder.path("")).unwrap();
    let collections = grown.collections.clone();
    folder.configure(|config, _| config.collections = vec![collections]);
    let outcomes = folder.refresh().await;
    (folder, grown, outcomes)
}

fn name_of(project: &GrownProject) -> String {
    project.path.file_name().unwrap().to_string_lossy().into_owned()
}

/// What there is to say of an artifact that is told by two.
type Told<'a> = (&'a str, &'a str, &'a str, Option<&'a str>, Option<&'a str>, Lot);

fn as_grown(one: &GrownArtifact) -> Told<'_> {
    // Of one that was made here, nothing is on record, and nothing can be wrong.
    let lot = if one.lot == Lot::Unrecorded { Lot::AsDeployed } else { one.lot };
    (
        &one.path,
        one.kind,
        &one.name,
        one.description.as_deref(),
        one.hash.as_deref().map(|hash| &hash[..HASH_DIGITS]),
        lot,
    )
}

fn as_found(one: &Artifact) -> Told<'_> {
    let lot = match (one.outdated, one.modified, one.missing) {
        (false, false, false) => Lot::AsDeployed,
        (true, false, false) => Lot::Outdated,
        (false, true, false) => Lot::Modified,
        (false, false, true) => Lot::Missing,
        more => panic!("{} is {more:?}", one.name),
    };
    (&one.path, one.kind.word(), &one.name, one.description.as_deref(), one.content_hash.as_deref(), lot)
}

fn assert_as_grown(folder: &Folder, project: &GrownProject) {
    let found = folder.artifacts(&name_of(project));
    let found: Vec<Told<'_>> = found.iter().map(as_found).collect();
    let grown: Vec<Told<'_>> = project.artifacts.iter().map(as_grown).collect();
    assert_eq!(found, grown, "{}", project.path.display());
}

/// The folders that hold artifacts, collections and records: what is read at all.
fn read_at_all(grown: &Grown) -> Vec<PathBuf> {
    let profiles = grown.projects.iter().map(|project| project.path.join(".claude"));
    profiles.chain([grown.collections.clone()]).collect()
}

#[tokio::test]
async fn ten_thousand_artifacts_in_a_hundred_projects_are_what_they_are() {
    let (mut folder, grown, outcomes) = grown(LARGE).await;
    assert_eq!(outcomes.len(), 101, "a root and its projects");
    assert!(outcomes.values().all(|outcome| *outcome == Outcome::Updated));
    for project in &grown.projects {
        assert_as_grown(&folder, project);
    }
    let counted = |count: fn(&larder_domain::LocalProject) -> u64| -> usize {
        folder.projects().iter().map(|project| count(project) as usize).sum()
    };
    assert_eq!(counted(|project| project.artifacts), LARGE.artifacts);
    assert_eq!(counted(|project| project.outdated), grown.of_lot(Lot::Outdated));
    assert_eq!(counted(|project| project.modified), grown.of_lot(Lot::Modified));
    assert_eq!(counted(|project| project.missing), grown.of_lot(Lot::Missing));
    assert_eq!(counted(|project| project.warnings), 0);

    let places = read_at_all(&grown);
    let opened = Opened::below(places.iter().map(PathBuf::as_path));
    let again = folder.refresh().await;
    let opened = opened.account().files;
    assert!(opened.is_empty(), "unchanged, and read again: {opened:?}");
    assert!(again.values().all(|outcome| *outcome == Outcome::NotModified), "{again:?}");
}

#[tokio::test]
async fn a_file_s_change_reads_its_artifact_alone_and_touches_no_other() {
    let (mut folder, grown, _) = grown(SMALL).await;
    let project = &grown.projects[3];
    let name = name_of(project);
    let before = folder.artifacts(&name);
    let skill = project.artifacts.iter().find(|one| one.files.len() > 1).unwrap();
    write_long_ago(&skill.files[1], b"another guide").unwrap();
    let places = read_at_all(&grown);
    let opened = Opened::below(places.iter().map(PathBuf::as_path));
    let outcomes = folder.refresh().await;
    let expected: BTreeSet<PathBuf> = skill
        .files
        .iter()
        .cloned()
        // What was deployed is asked again when anything of the project changed.
        .chain([project.path.join(".claude/.skillmeat-deployed.toml")])
        .collect();
    assert_eq!(opened.account().files, expected);
    let updated: Vec<&Key> = outcomes
        .iter()
        .filter(|(key, outcome)| **outcome == Outcome::Updated && !folder.roots().contains(key))
        .map(|(key, _)| key)
        .collect();
    assert_eq!(updated, [&folder.key(&name)]);
    let after = folder.artifacts(&name);
    let differ: Vec<&str> =
        before.iter().zip(&after).filter(|(a, b)| a != b).map(|(_, after)| after.name.as_str()).collect();
    assert_eq!(differ, [skill.name.as_str()]);
    assert_eq!(folder.upserts, [format!("artifact {}", skill.name)]);
}

#[tokio::test]
async fn a_project_that_goes_is_gone_with_its_artifacts_and_a_root_that_is_away_takes_none() {
    let (mut folder, grown, _) = grown(SMALL).await;
    let away = folder.path("away");
    let other = Tree { projects: 4, artifacts: 40, seed: 13 }.grow(&away).unwrap();
    folder.configure(|config, _| config.roots.push(other.root.clone()));
    folder.refresh().await;
    assert_eq!(folder.keys().len(), 16);
    fs::remove_dir_all(&grown.projects[5].path).unwrap();
    fs::rename(&away, folder.path("unmounted")).unwrap();
    folder.find().await;
    assert_eq!(folder.keys().len(), 15, "one is gone; of the four nobody can tell");
    let found: usize = folder.projects().iter().map(|project| project.artifacts as usize).sum();
    assert_eq!(found, 240 - grown.projects[5].artifacts.len() + 40);
    fs::rename(folder.path("unmounted"), &away).unwrap();
    fs::remove_dir_all(&other.projects[0].path).unwrap();
    folder.find().await;
    assert_eq!(folder.keys().len(), 14);
}

/// Links to outside from wherever a link may stand: as a folder of projects, as a project, as a profile's
/// folder, as a folder of a type, as an artifact, as a file of one, as records, as a collection's lock.
fn lead_astray(grown: &Grown, outside: &Path) -> usize {
    let project = |number: usize| grown.projects[number].path.clone();
    write_long_ago(&outside.join("team/app/.claude/skills/s/SKILL.md"), b"---\nname: s\n---\n").unwrap();
    write_long_ago(&outside.join("team/app/.claude/.skillmeat-deployed.toml"), b"").unwrap();
    write_long_ago(&outside.join("team/app/.gitignore"), b"*\n").unwrap();
    write_long_ago(&outside.join(".gitignore"), b"*\n").unwrap();
    write_long_ago(&outside.join("secret.md"), b"---\ndescription: secret\n---\n").unwrap();
    fs::create_dir_all(grown.root.join("new")).unwrap();
    fs::remove_file(project(7).join(".claude/.skillmeat-deployed.toml")).unwrap();
    let links = [
        (outside.join("team"), grown.root.join("elsewhere")),
        (outside.join("team/app"), grown.root.join("new/app")),
        (outside.join("team/app/.claude"), grown.root.join("new/.codex")),
        (outside.join("team/app/.claude/skills"), project(1).join(".claude/skills/more")),
        (outside.join("team/app/.claude/skills/s"), project(2).join(".claude/skills/s")),
        (outside.join("secret.md"), project(3).join(".claude/agents/secret.md")),
        (outside.join("secret.md"), skill_of(&grown.projects[4]).join("secret.md")),
        (outside.join("team"), skill_of(&grown.projects[5]).join("team")),
        (outside.join("secret.md"), project(6).join(".claude/.skillmeat-project.toml")),
        (
            outside.join("team/app/.claude/.skillmeat-deployed.toml"),
            project(7).join(".claude/.skillmeat-deployed.toml"),
        ),
        (outside.join("secret.md"), project(8).join(".gitignore.more")),
        (
            PathBuf::from("../../../../../../../../outside/secret.md"),
            project(9).join(".claude/commands/up.md"),
        ),
    ];
    for (target, link) in &links {
        std::os::unix::fs::symlink(target, link).unwrap();
    }
    links.len()
}

fn skill_of(project: &GrownProject) -> PathBuf {
    let skill = project.artifacts.iter().find(|one| one.kind == "skill" && one.lot != Lot::Missing).unwrap();
    project.path.join(&skill.path)
}

#[tokio::test]
async fn nothing_outside_of_the_roots_is_opened_wherever_a_link_leads() {
    let (mut folder, grown, _) = grown(SMALL).await;
    let outside = folder.path("outside");
    lead_astray(&grown, &outside);
    // Ignore files above a root are nobody's business either.
    write_long_ago(&folder.path(".gitignore"), b"dev\n").unwrap();
    write_long_ago(&folder.path(".git/info/exclude"), b"dev\n").unwrap();
    write_long_ago(&folder.path(".ignore"), b"dev\n").unwrap();
    let mut places = vec![folder.path("")];
    gather(&outside, &mut places);
    gather(&folder.path(".git"), &mut places);
    let opened = Opened::in_these(places);
    folder.refresh().await;
    let opened = opened.account();
    assert!(opened.files.is_empty(), "{opened:?}");
    let outside: Vec<&PathBuf> = opened
        .folders
        .iter()
        .filter(|path| !path.starts_with(&grown.root) && !path.starts_with(&grown.collections))
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
    assert_eq!(folder.keys().len(), 13, "one more, so that somebody is told of it: {:?}", folder.names());
    assert!(codes(&folder.warnings("new")).contains(&"link_outside"));
    let descriptions = grown.projects.iter().flat_map(|project| folder.artifacts(&name_of(project)));
    assert!(descriptions.filter_map(|one| one.description).all(|text| text != "secret"));
    for number in 1..8 {
        let warnings = folder.warnings(&name_of(&grown.projects[number]));
        assert!(!warnings.is_empty(), "{} is told of", grown.projects[number].path.display());
    }
    assert!(codes(&folder.root_warnings()).contains(&"link_outside"));
}
