//! `larder import`: takes in what `larder export` wrote, from any store into any other.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _};

use larder_core::{Exported, Store, StoreError, Time};
use larder_sources::{Machines, machine_mark};
use serde::Serialize;
use serde_json::json;

use super::{Context, Ended};
use crate::archive::{ArchiveError, Line, Reading, Unread, Whole};
use crate::config::Config;
use crate::machine;
use crate::report::{Complaint, Exit};
use crate::ui::{Progress, Screen, counted};
use crate::wiring::Rooms;

/// Take in a file that `larder export` wrote.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Nothing younger is replaced, so that it can be done again, or gone on with after an \
                  interruption. An entry or an item that cannot be kept is named with its line and left out; \
                  all others come in, and the exit code is 3. This machine's local projects are its own in \
                  whatever store they come into, and another's stay that machine's.\n\n\
                  Example:\n  larder import cache.jsonl --store redb:cache.redb\n  \
                  larder export | larder import --store postgres://larder@db/larder"
)]
pub struct Args {
    /// Where from; `-` = standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: String,
}

/// How many entries are taken in at once …
const PAGE: usize = 64;
/// … or as many as have so many items.
const PAGE_ITEMS: usize = 10_000;

/// How many of those that are left out are named on the screen.
const NAMED_MAX: usize = 20;

/// What was taken in so far.
#[derive(Debug, Default)]
struct Taken {
    entries: u64,
    imported: u64,
    left_out: Vec<LeftOut>,
}

/// An entry, or an item of one, that did not come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct LeftOut {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Which item, where it is not all of the entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<String>,
    why: String,
}

/// Imports.
pub fn run(args: &Args, context: &Context) -> Ended {
    let config = context.config()?;
    if args.file == "-" && io::stdin().is_terminal() {
        return Err(Complaint::usage("this would wait for what is typed")
            .hint("name a file: `larder import cache.jsonl`")
            .into());
    }
    crate::wiring::block_on(import(args, context, &config))?
}

async fn import(args: &Args, context: &Context, config: &Config) -> Ended {
    let path = context.env.cwd.join(&args.file);
    let shown = if args.file == "-" { "standard input".to_owned() } else { path.display().to_string() };
    let failed = || Complaint::failed(format!("{shown} could not be imported"));
    let from: Box<dyn BufRead> = if args.file == "-" {
        Box::new(io::stdin().lock())
    } else {
        let opened = File::open(&path).map_err(|error| {
            let is_missing = error.kind() == io::ErrorKind::NotFound;
            let hint = "`larder export FILE` writes one; `-` reads from standard input".to_owned();
            failed().because(error).hints(is_missing.then_some(hint))
        });
        Box::new(BufReader::new(opened?))
    };
    // What is no export makes no store.
    let mut reading = Reading::begin(from).map_err(|error| failed().because(&error).hints(hint(&error)))?;
    let rooms = context.rooms(config).await?;
    let machines = Machines {
        from: reading.machine().filter(|mark| !is_ours(mark, config)).map(str::to_owned),
        here: mark_of(machine::own_name(config)),
        there: mark_of(machine::name_for(config)),
    };
    let own = |mut entry: Exported| {
        machines.move_project(&mut entry);
        entry
    };
    let mut taken = Taken::default();
    let progress = Progress::count(&context.screen, "importing", "entries");
    // Whoever ends it while it waits for a line ends it at once: what was taken in is taken in.
    let ended = take_all(&rooms, &mut reading, own, &mut taken, &progress).await;
    progress.finish();
    let complain = |complaint: Complaint| {
        let hint = format!("{} came in before that; importing again takes nothing twice", taken.words());
        complaint.hints((taken.entries > 0).then_some(hint))
    };
    match ended {
        Ok(()) => tell(&taken, context),
        Err(stopped) => {
            tell_left_out(&taken, &context.screen);
            Err(match stopped {
                Stopped::File(error) => complain(failed().because(&error).hints(hint(&error))),
                Stopped::Store(complaint) => complain(complaint),
            }
            .into())
        }
    }
}

/// Whether that is this machine's mark, by whichever of its names.
fn is_ours(mark: &str, config: &Config) -> bool {
    [machine::own_name(config), machine::system_name(config)].into_iter().any(|name| mark_of(name) == mark)
}

fn mark_of(machine: Option<String>) -> String {
    machine_mark(&machine.unwrap_or_default())
}

/// Why no more was taken in.
enum Stopped {
    File(ArchiveError),
    Store(Complaint),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Stopped::Store(error.into())
    }
}

async fn take_all(
    rooms: &Rooms<'_>,
    reading: &mut Reading<Box<dyn BufRead>>,
    own: impl Fn(Exported) -> Exported,
    taken: &mut Taken,
    progress: &Progress,
) -> Result<(), Stopped> {
    let (mut page, mut lines): (Vec<Exported>, Vec<u64>) = (Vec::new(), Vec::new());
    loop {
        let next = reading.next();
        let is_last = !matches!(next, Ok(Some(_)));
        let (line, error) = match next {
            Ok(line) => (line, None),
            Err(error) => (None, Some(error)),
        };
        if let Some((line, entry)) = line.and_then(|line| taken.sort_out(line)) {
            lines.push(line);
            page.push(own(entry));
        }
        let items: usize = page.iter().map(|entry| entry.members.len()).sum();
        if is_last || page.len() == PAGE || items >= PAGE_ITEMS {
            // What comes before a fault is good.
            take_page(&**rooms.store().entries(), &page, &lines, rooms.now(), taken).await?;
            lines.clear();
            for _ in page.drain(..) {
                progress.step();
            }
        }
        match error {
            Some(error) => return Err(Stopped::File(error)),
            None if is_last => return Ok(()),
            None => {}
        }
    }
}

/// Takes some entries in at once; if there is one among them that the store does not take, each by itself.
async fn take_page(
    store: &dyn Store,
    page: &[Exported],
    lines: &[u64],
    now: Time,
    taken: &mut Taken,
) -> Result<(), Stopped> {
    let error = match store.import(page, now).await {
        Ok(imported) => {
            taken.imported += imported;
            taken.entries += page.len() as u64;
            return Ok(());
        }
        Err(error) => error,
    };
    // What the store itself suffers is no entry's fault.
    if !matches!(error, StoreError::Failed { .. }) {
        return Err(error.into());
    }
    let mut refused = Vec::new();
    for (entry, line) in page.iter().zip(lines) {
        match store.import(std::slice::from_ref(entry), now).await {
            Ok(imported) => {
                taken.imported += imported;
                taken.entries += 1;
            }
            Err(StoreError::Failed { cause, .. }) => {
                let key = Some(entry.entry.key.to_string());
                refused.push(LeftOut { line: *line, key, item: None, why: cause });
            }
            Err(error) => return Err(error.into()),
        }
    }
    // A store that takes none is the one at fault.
    if refused.len() == page.len() && (page.len() > 1 || taken.entries == 0) {
        return Err(error.into());
    }
    taken.left_out.append(&mut refused);
    Ok(())
}

impl Taken {
    /// Notes what is left out of a line; answers what there is to be taken in.
    fn sort_out(&mut self, Line { line, read }: Line) -> Option<(u64, Exported)> {
        match read {
            Ok(Whole { entry, left_out }) => {
                let key = Some(entry.entry.key.to_string());
                let of_item = |warning: larder_core::Warning| LeftOut {
                    line,
                    key: key.clone(),
                    item: Some(warning.about),
                    why: warning.message,
                };
                self.left_out.extend(left_out.into_iter().map(of_item));
                Some((line, entry))
            }
            Err(Unread { name, why }) => {
                self.left_out.push(LeftOut { line, key: name, item: None, why });
                None
            }
        }
    }
}

impl LeftOut {
    fn words(&self) -> String {
        let LeftOut { line, key, item, why } = self;
        match (key, item) {
            (Some(key), Some(_)) => format!("line {line}: of `{key}` {why}"),
            (Some(key), None) => format!("line {line}: `{key}` is left out: {why}"),
            (None, _) => format!("line {line} is left out: {why}"),
        }
    }
}

fn hint(error: &ArchiveError) -> Option<String> {
    let hint = match error {
        ArchiveError::Foreign(_) => "`larder export FILE` writes one",
        ArchiveError::TooNew { .. } => "update larder",
        ArchiveError::Truncated { .. } => "export it again, or copy it again",
        ArchiveError::Wrong { .. } | ArchiveError::Unreadable { .. } => return None,
    };
    Some(hint.to_owned())
}

impl Taken {
    fn words(&self) -> String {
        counted(usize::try_from(self.entries).unwrap_or(usize::MAX), "entry", "entries")
    }
}

fn tell(taken: &Taken, context: &Context) -> Ended {
    let kept = taken.entries - taken.imported.min(taken.entries);
    if context.json() {
        let answer = json!({"imported": taken.imported, "kept": kept, "left_out": taken.left_out});
        context.screen.json(&answer)?;
    } else {
        let imported = counted(usize::try_from(taken.imported).unwrap_or(usize::MAX), "entry", "entries");
        let kept = match kept {
            0 => String::new(),
            kept => format!("; {kept} more were held already, as young or younger"),
        };
        context.screen.answer(&format!("imported {imported}{kept}\n"))?;
    }
    Ok(tell_left_out(taken, &context.screen))
}

/// Names what did not come in. An exit code says so to programs.
fn tell_left_out(taken: &Taken, screen: &Screen) -> Exit {
    let left_out = &taken.left_out;
    if left_out.is_empty() {
        return Exit::Answered;
    }
    for one in left_out.iter().take(NAMED_MAX) {
        screen.insist(&one.words());
    }
    if left_out.len() > NAMED_MAX {
        screen.insist(&format!("and {} more: `--json` names them all", left_out.len() - NAMED_MAX));
    }
    // Nothing came of any of it.
    if taken.entries == 0 { Exit::Failed } else { Exit::Old }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use larder_testkit::contract::build::{at, exported, find, key};
    use larder_testkit::contract::run;
    use larder_testkit::{FaultyStore, MemoryStore, VirtualClock};

    use super::*;

    fn store() -> FaultyStore {
        FaultyStore::new(Arc::new(MemoryStore::new()), VirtualClock::new())
    }

    fn page() -> (Vec<Exported>, Vec<u64>) {
        let keys = ["shelf/a", "shelf/b", "shelf/c"];
        (keys.map(|name| exported(&key(name), &[], at(0))).to_vec(), vec![2, 3, 4])
    }

    #[test]
    fn an_entry_that_the_store_does_not_take_takes_no_other_along() {
        run(async {
            let (store, (page, lines), mut taken) = (store(), page(), Taken::default());
            store.refuse(Some(key("shelf/b")));
            assert!(take_page(&store, &page, &lines, at(1), &mut taken).await.is_ok());
            assert_eq!((taken.entries, taken.imported), (2, 2));
            let told: Vec<String> = taken.left_out.iter().map(LeftOut::words).collect();
            assert_eq!(told, ["line 3: `shelf/b` is left out: the test refuses it"]);
            for (name, is_held) in [("shelf/a", true), ("shelf/b", false), ("shelf/c", true)] {
                assert_eq!(find(&store, &key(name)).await.is_some(), is_held, "{name}");
            }
        });
    }

    #[test]
    fn a_store_that_takes_nothing_is_not_blamed_on_the_entries() {
        run(async {
            let (store, (page, lines), mut taken) = (store(), page(), Taken::default());
            store.refuse(Some(key("shelf/b")));
            let alone = take_page(&store, &page[1..2], &lines[1..2], at(1), &mut taken).await;
            assert!(matches!(alone, Err(Stopped::Store(_))));
            store.refuse(None);
            store.cut();
            let all = take_page(&store, &page, &lines, at(1), &mut taken).await;
            assert!(matches!(all, Err(Stopped::Store(_))) && taken.left_out.is_empty());
        });
    }
}
