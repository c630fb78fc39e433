//! What a watch says after things that happen while it works out what to watch.

use std::fs;
use std::path::Path;

use async_trait::async_trait;
use jiff::tz::TimeZone;
use larder_core::{Json, Policy};

use super::super::ProjectsConfig;
use super::super::catalogue::{Index, Listed};
use super::*;

/// A clock that stands still.
struct Still;

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Time {
        Time::from_ms(0)
    }

    async fn sleep(&self, _span: Duration) {
        std::future::pending::<()>().await;
    }
}

fn skill(project: &Path) {
    fs::create_dir_all(project.join(".claude/skills/pdf")).unwrap();
    fs::write(project.join(".claude/skills/pdf/SKILL.md"), "# pdf\n").unwrap();
}

/// A source with two roots, the first of which is known to hold a project.
fn source(dir: &Path, project: &Path) -> ProjectsSource {
    let roots = ["dev", "src"].map(|name| dir.join(name)).to_vec();
    let config = ProjectsConfig { roots, ..ProjectsConfig::default() };
    let source = ProjectsSource::new(&config, &Policy::default(), || TimeZone::UTC).unwrap();
    let listed = vec![Listed::new(project, "work/kiln".to_owned(), "")];
    let index = Index { root: "dev".to_owned(), disk: None, projects: listed };
    let root = source.shared.catalogue.roots()[0].key.clone();
    source.shared.catalogue.learn(&root, Some(&Json::encode(&index).unwrap()));
    source
}

#[tokio::test]
async fn what_went_while_it_was_worked_out_what_to_watch_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().canonicalize().unwrap();
    let project = home.join("dev/work/kiln");
    skill(&project);
    fs::create_dir(home.join("src")).unwrap();
    let source = source(&home, &project);
    let mut watch = source.watch(WatchOptions::default(), Arc::new(Still));
    watch.next().await;
    // Of this it is heard when what is watched is worked out for something else already.
    fs::rename(home.join("dev/work"), home.join("away")).unwrap();
    fs::create_dir(home.join("src/new")).unwrap();
    let mut batch = Batch::default();
    batch.add(home.join("src/new"), Change::Name);
    let keys = watch.meaning(batch).await;
    let root = &source.shared.catalogue.roots()[0].key;
    assert!(keys.contains(root), "{keys:?}");
}
