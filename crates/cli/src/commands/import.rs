//! `larder import`: takes in what `larder export` wrote, from any store into any other.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _};

use larder_core::Exported;
use serde_json::json;

use super::{Context, Ended};
use crate::archive::{ArchiveError, Reading};
use crate::config::Config;
use crate::report::{Complaint, Exit};
use crate::ui::{Progress, counted};
use crate::wiring::Rooms;

/// Take in a file that `larder export` wrote.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Nothing younger is replaced, so that it can be done again, or gone on with after an \
                  interruption.\n\n\
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

/// What was taken in so far.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    entries: u64,
    imported: u64,
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
    let mut taken = Taken::default();
    let progress = Progress::count(&context.screen, "importing", "entries");
    // Whoever ends it while it waits for a line ends it at once: what was taken in is taken in.
    let ended = take_all(&rooms, &mut reading, &mut taken, &progress).await;
    progress.finish();
    let complain = |complaint: Complaint| {
        let hint = format!("{} came in before that; importing again takes nothing twice", taken.words());
        complaint.hints((taken.entries > 0).then_some(hint))
    };
    match ended {
        Ok(()) => tell(taken, context),
        Err(Stopped::File(error)) => Err(complain(failed().because(&error).hints(hint(&error))).into()),
        Err(Stopped::Store(complaint)) => Err(complain(complaint).into()),
    }
}

/// Why no more was taken in.
enum Stopped {
    File(ArchiveError),
    Store(Complaint),
}

async fn take_all(
    rooms: &Rooms<'_>,
    reading: &mut Reading<Box<dyn BufRead>>,
    taken: &mut Taken,
    progress: &Progress,
) -> Result<(), Stopped> {
    let mut page: Vec<Exported> = Vec::new();
    loop {
        let next = reading.next();
        let is_last = !matches!(next, Ok(Some(_)));
        let (entry, error) = match next {
            Ok(entry) => (entry, None),
            Err(error) => (None, Some(error)),
        };
        page.extend(entry);
        let items: usize = page.iter().map(|entry| entry.members.len()).sum();
        if is_last || page.len() == PAGE || items >= PAGE_ITEMS {
            // What comes before a fault is good.
            let imported = rooms.store().entries().import(&page, rooms.now()).await;
            taken.imported += imported.map_err(|error| Stopped::Store(error.into()))?;
            taken.entries += page.len() as u64;
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
    fn words(self) -> String {
        counted(usize::try_from(self.entries).unwrap_or(usize::MAX), "entry", "entries")
    }
}

fn tell(taken: Taken, context: &Context) -> Ended {
    let kept = taken.entries - taken.imported.min(taken.entries);
    if context.json() {
        context.screen.json(&json!({"imported": taken.imported, "kept": kept}))?;
        return Ok(Exit::Answered);
    }
    let imported = counted(usize::try_from(taken.imported).unwrap_or(usize::MAX), "entry", "entries");
    let kept = match kept {
        0 => String::new(),
        kept => format!("; {kept} more were held already, as young or younger"),
    };
    context.screen.answer(&format!("imported {imported}{kept}\n"))?;
    Ok(Exit::Answered)
}
