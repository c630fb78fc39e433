//! `larder export`: the cache as a file, for another store or another machine.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::Path;

use larder_core::{Damaged, Exported, Exports};
use larder_sources::machine_mark;
use serde_json::json;

use super::{Context, Ended};
use crate::archive::Writing;
use crate::config::Config;
use crate::machine;
use crate::report::{Complaint, Exit};
use crate::ui::{Progress, counted};
use crate::wiring::{Rooms, until_interrupted};

/// Write the cache to a file that `larder import` reads.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "JSON lines: a header, a line an entry with its items, and how many there were. The log, \
                  the feed and the budgets stay behind. It holds what is private too, so that only its \
                  user may read it. That of an empty cache is a header alone, and can be imported. An entry \
                  that is damaged is named and left out, and the exit code is 3.\n\n\
                  Example:\n  larder export cache.jsonl\n  \
                  larder export | larder import --store postgres://larder@db/larder"
)]
pub struct Args {
    /// Where to; `-` = standard output
    #[arg(value_name = "FILE", default_value = "-")]
    file: String,
}

/// How many entries are held at once: one may have ten thousand items.
const PAGE: usize = 16;

/// How many of those that are left out are named on the screen.
const NAMED_MAX: usize = 20;

/// Exports.
pub fn run(args: &Args, context: &Context) -> Ended {
    let config = context.config()?;
    if args.file == "-" && io::stdout().is_terminal() {
        return Err(Complaint::usage("this would fill the terminal")
            .hint("name a file: `larder export cache.jsonl`")
            .into());
    }
    crate::wiring::block_on(export(args, context, &config))?
}

async fn export(args: &Args, context: &Context, config: &Config) -> Ended {
    let rooms = context.rooms(config).await?;
    let path = context.env.cwd.join(&args.file);
    if args.file == "-" {
        // A line may have megabytes, and standard output as it comes writes each on its own.
        let to = Writing::begin(BufWriter::new(io::stdout().lock()), rooms.now(), mark(config));
        let told = write(&rooms, to, "standard output", context).await?;
        told.note("what was printed holds private items too", context);
        return Ok(told.exit(context));
    }
    let told = to_file(&rooms, &path, context, config).await?;
    if context.json() {
        let left_out: Vec<_> =
            told.left_out.iter().map(|one| json!({"key": one.key, "why": one.error.to_string()})).collect();
        context.screen.json(&json!({"exported": told.entries, "path": path, "left_out": left_out}))?;
    } else {
        let entries = counted(usize::try_from(told.entries).unwrap_or(usize::MAX), "entry", "entries");
        context.screen.answer(&format!("exported {entries} to {}\n", path.display()))?;
        told.note("it holds private items too: it is written so that only you may read it", context);
    }
    Ok(told.exit(context))
}

/// What a person is told of an export.
struct Told {
    entries: u64,
    /// Whether not everybody may see all of it.
    is_private: bool,
    /// What could not be read.
    left_out: Vec<Damaged>,
}

impl Told {
    /// Names what is missing. An exit code says so to programs.
    fn exit(&self, context: &Context) -> Exit {
        for Damaged { key, error } in self.left_out.iter().take(NAMED_MAX) {
            context.screen.insist(&format!("`{key}` is left out: {error}"));
        }
        if self.left_out.len() > NAMED_MAX {
            context
                .screen
                .insist(&format!("and {} more: `larder cache verify`", self.left_out.len() - NAMED_MAX));
        }
        match (self.left_out.is_empty(), self.entries) {
            (true, _) => Exit::Answered,
            (false, 0) => Exit::Failed,
            (false, _) => Exit::Old,
        }
    }

    fn note(&self, of_private: &str, context: &Context) {
        if self.entries == 0 && self.left_out.is_empty() {
            context.screen.note("the cache is empty: nothing but a header was written");
        } else if self.is_private {
            context.screen.note(of_private);
        }
    }
}

/// Whether some of an entry is not for everybody; what is no longer configured may be anything.
fn is_private(exported: &Exported, rooms: &Rooms<'_>) -> bool {
    let definition = rooms.reader().define(&exported.entry.key);
    definition.is_none_or(|definition| definition.private)
        || exported.members.iter().any(|member| !member.item.scope.is_public())
}

/// Written beside and then given its name: what has the name is whole.
async fn to_file(
    rooms: &Rooms<'_>,
    path: &Path,
    context: &Context,
    config: &Config,
) -> Result<Told, Complaint> {
    let shown = path.display().to_string();
    let taken = || {
        Complaint::failed(format!("{shown} could not be written"))
            .because("it is there already")
            .hint("name another file, or remove this one")
    };
    if path.exists() {
        return Err(taken());
    }
    let failed = |error: io::Error| Complaint::failed(format!("{shown} could not be written")).because(error);
    let dir = path.parent().unwrap_or(Path::new("."));
    check_folder(dir, &shown)?;
    // Such files are their user's alone. Of a file that is not there yet nobody knows the name.
    let unmade = |error: io::Error| failed(error.kind().into());
    let beside = tempfile::NamedTempFile::new_in(dir).map_err(unmade)?;
    let to = Writing::begin(BufWriter::new(beside.as_file()), rooms.now(), mark(config));
    let told = write(rooms, to, &shown, context).await?;
    beside.as_file().sync_all().map_err(failed)?;
    match beside.persist_noclobber(path) {
        Ok(_) => Ok(told),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(taken()),
        Err(error) => Err(failed(error.error)),
    }
}

/// Whether there is a folder to write the file into.
pub fn check_folder(dir: &Path, shown: &str) -> Result<(), Complaint> {
    let missing = |why| Err(Complaint::failed(format!("{shown} could not be written")).because(why));
    match std::fs::metadata(dir) {
        Ok(about) if !about.is_dir() => missing(format!("{} is no folder", dir.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            missing(format!("there is no folder {}", dir.display()))
        }
        // Whatever else is wrong with it shows when the file is made.
        _ => Ok(()),
    }
}

/// What tells this machine's local projects from others', as it is written down.
fn mark(config: &Config) -> Option<String> {
    machine::own_name(config).map(|name| machine_mark(&name))
}

async fn write<W: Write>(
    rooms: &Rooms<'_>,
    to: io::Result<Writing<W>>,
    shown: &str,
    context: &Context,
) -> Result<Told, Complaint> {
    let store = rooms.store().entries();
    let failed = |error: io::Error| Complaint::failed(format!("{shown} could not be written")).because(error);
    let total = usize::try_from(store.info().await?.entries).unwrap_or(usize::MAX);
    let progress = Progress::start(&context.screen, "exporting", "entries", total);
    let work = async {
        let mut writing = to.map_err(failed)?;
        let (mut exports, mut private) = (Exports::of(&**store, PAGE), false);
        loop {
            let page = exports.next().await?;
            for entry in &page {
                writing.add(entry).map_err(failed)?;
                private |= is_private(entry, rooms);
                progress.step();
            }
            if page.is_empty() {
                let entries = writing.end().map_err(failed)?;
                return Ok(Told { entries, is_private: private, left_out: exports.damaged().to_vec() });
            }
        }
    };
    let written = until_interrupted(rooms.reader(), &context.screen, work).await;
    progress.finish();
    written?
}
