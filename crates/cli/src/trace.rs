//! The process's own log, on standard error. A server says what goes wrong, a detached child what it does
//! besides; all others keep silent until `LARDER_LOG` asks.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// What a detached child logs unless told otherwise.
const DETACHED: &str = "warn,larder=info";
/// What a server does: what goes wrong, and that it is over. The pool tells of each connection what the engine
/// tells of the store.
const SERVER: &str = "warn,larder::troubles=info,larder_engine::reach=info,deadpool=error";
/// The same of one that is to be quiet.
const QUIET_SERVER: &str = "error";

/// Who logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A command with somebody before it, who is told what matters otherwise.
    Command,
    /// One that was started behind a reader, with nobody watching.
    Detached,
    /// One that serves until it is stopped.
    Server {
        /// Whether it is to say little.
        quiet: bool,
    },
}

/// What of a wish would be taken for a program that nobody knows, and so say nothing at all: a bare word that is
/// neither a level nor a part of Larder.
fn strange_word(wish: &str) -> Option<String> {
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let is_ours = |word: &str| {
        word.strip_prefix("larder").is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', ':']))
    };
    let is_bare = |word: &&str| !word.is_empty() && !word.contains(['=', '[', ']', '{', '}']);
    let strange =
        wish.split(',').map(str::trim).filter(is_bare).find(|word| !is_level(word) && !is_ours(word));
    strange.map(|word| format!("`{word}` is neither a level nor a part of larder"))
}

/// Reads a wish; the error says what of it cannot be understood.
fn read(wish: &str) -> Result<EnvFilter, String> {
    match strange_word(wish) {
        Some(strange) => Err(strange),
        None => EnvFilter::try_new(wish).map_err(|error| error.to_string()),
    }
}

/// Starts logging to standard error if it is wanted. Answers what of the wish cannot be understood.
pub fn start(wanted: Option<&str>, who: Who) -> Option<String> {
    let usual = match who {
        Who::Command => None,
        Who::Detached => Some(DETACHED),
        Who::Server { quiet: false } => Some(SERVER),
        Who::Server { quiet: true } => Some(QUIET_SERVER),
    };
    let wish = wanted.map(read);
    let wrong = wish.as_ref().and_then(|wish| wish.as_ref().err().cloned());
    let filter = match (wish, usual) {
        (Some(Ok(filter)), _) => filter,
        (Some(Err(_)), usual) => EnvFilter::new(usual.unwrap_or(SERVER)),
        (None, Some(usual)) => EnvFilter::new(usual),
        (None, None) => return None,
    };
    let logging =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // Only a second start could fail, and there is none.
    let _ = logging.try_init();
    wrong
}
