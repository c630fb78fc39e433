//! What is held of local projects is answered from the copy: no file of theirs is opened for a reader.

use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::world::{Served, World};

/// Hears of every file and folder that is opened or listed below a folder.
struct Ear {
    kernel: OwnedFd,
}

impl Ear {
    fn below(folder: &Path) -> Self {
        let kernel = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            inotify::add_watch(&kernel, &folder, WatchFlags::OPEN | WatchFlags::ACCESS).unwrap();
            let all = fs::read_dir(&folder).unwrap().map(Result::unwrap);
            folders.extend(all.filter(|one| one.file_type().unwrap().is_dir()).map(|one| one.path()));
        }
        let ear = Ear { kernel };
        ear.heard();
        ear
    }

    /// What was opened since this was asked last: whoever opens a file has queued that by then.
    fn heard(&self) -> Vec<String> {
        let mut buffer = vec![MaybeUninit::uninit(); 64 * 1024];
        let mut events = inotify::Reader::new(&self.kernel, &mut buffer);
        let mut heard = Vec::new();
        loop {
            match events.next() {
                Ok(event) => {
                    assert!(!event.events().contains(ReadFlags::QUEUE_OVERFLOW), "something was missed");
                    heard.push(format!("{:?} {:?}", event.events(), event.file_name()));
                }
                Err(Errno::AGAIN) => return heard,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// What readers ask of a project.
fn paths(id: &str) -> Vec<String> {
    let own = [
        format!("/api/v1/projects/{id}"),
        format!("/api/v1/entries/projects/{id}"),
        format!("/projects/{id}"),
        format!("/projects/{id}?show=missing"),
    ];
    let all = [
        "/api/v1/projects",
        "/api/v1/projects?status=missing",
        "/api/v1/artifacts",
        "/api/v1/artifacts?search=fills",
        "/api/v1/entries?source=projects",
        "/projects",
        "/projects?search=fills",
        "/projects?show=artifacts&part=list",
    ];
    all.map(str::to_owned).into_iter().chain(own).collect()
}

/// Asks for all of it; what is listed by those that answer in JSON.
async fn ask(served: &Served, id: &str) -> Vec<String> {
    let mut answers = Vec::new();
    for path in paths(id) {
        let answer = served.get(&path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let text = answer.text().await.unwrap();
        assert!(
            text.contains("kiln") || path.contains("show=") || path.contains("status="),
            "{path}: {text}"
        );
        answers.extend(path.starts_with("/api/").then_some(text));
    }
    answers
}

#[tokio::test]
async fn a_hit_of_a_project_opens_no_file_of_it_whether_memory_has_it_or_the_store() {
    let world = World::with_folder().await;
    world.skill("kiln", "pdf", "Fills forms");
    world.write("kiln/.claude/agents/reviewer.md", "---\ndescription: Fills in reviews\n---\n");
    let root = world.roots[0].clone();
    let served = world.serve().await;
    let list = served.json("/api/v1/projects").await;
    let id = list["projects"][0]["id"].as_str().unwrap();
    // Pages cause looks of what nobody has looked at yet.
    let first = ask(&served, id).await;

    let ear = Ear::below(&root);
    fs::read(root.join("kiln/.claude/agents/reviewer.md")).unwrap();
    assert!(!ear.heard().is_empty(), "it hears");
    // Of what is in memory, and as another process that has nothing there and finds it in the store.
    assert_eq!(ask(&served, id).await, first);
    assert_eq!(ear.heard(), Vec::<String>::new(), "memory");
    let other = world.serve().await;
    assert_eq!(ask(&other, id).await, first);
    assert_eq!(ear.heard(), Vec::<String>::new(), "the store");

    // What is not there cannot be opened.
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(ask(&served, id).await, first);
    assert_eq!(ask(&world.serve().await, id).await, first);
}
