//! Who asks this process to end is heard, whatever it does at that moment: while something is under way it is let
//! go of first, at any other moment the process ends on the spot, as one without handlers does. The system knows
//! one handler a process, which once it is there stays; so the state is the process's too.

use std::time::Duration;

use larder_core::Clock as _;
use larder_engine::{Engine, SystemClock};

use crate::report::Complaint;
use crate::ui::Screen;

/// Does work of an engine's until it is done or the person has had enough; then what is under way
/// is let go of, so that nobody has to wait for leases of a process that is gone.
pub async fn until_interrupted<T>(
    engine: &Engine,
    screen: &Screen,
    work: impl Future<Output = T>,
) -> Result<T, Complaint> {
    if let Some(done) = unless_asked(work).await {
        return Ok(done);
    }
    let cause = match unless_asked_again(screen, engine.interrupt()).await {
        Ending::Well => "what was under way was let go of, and is not counted as tried",
        Ending::AtOnce => LEFT_BEHIND,
    };
    Err(Complaint::failed("interrupted").because(cause))
}

/// `None` = somebody asked for the end before the work was done, or as it was.
async fn unless_asked<T>(work: impl Future<Output = T>) -> Option<T> {
    let asked = asked_to_stop();
    let done = tokio::select! {
        biased;
        done = work => Some(done),
        () = asked => None,
    };
    // Of what comes as work ends nobody else would hear: the next to listen listens for what comes then.
    done.filter(|_| !system::was_asked())
}

/// How a process that was asked to stop came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// What was under way was finished or let go of.
    Well,
    /// Somebody asked again, and nothing was waited for any more.
    AtOnce,
}

/// What becomes of what was under way in a process that ended at once.
pub const LEFT_BEHIND: &str =
    "what was under way was left as it was: others take it over when its lease ends";

/// When a person who asked for the end is told what it waits for.
const TELLS_AFTER: Duration = Duration::from_secs(1);

/// Does what is to be done before the process ends, until somebody asks for the end once more. A store that does
/// not answer may take a quarter of a minute.
pub async fn unless_asked_again(screen: &Screen, work: impl Future<Output = ()>) -> Ending {
    let again = asked_to_stop();
    let told = async {
        SystemClock.sleep(TELLS_AFTER).await;
        screen.note("ending what is under way; Ctrl-C once more ends it at once");
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = work => Ending::Well,
        () = again => Ending::AtOnce,
        () = told => Ending::Well,
    }
}

/// Listens for Ctrl-C, for the system's wish to end, and for a terminal that is closed, from now on; what is
/// answered waits for any of them. Whoever tells that it is there calls this first: before, and when what is
/// answered was dropped, such a wish ends the process on the spot.
pub fn asked_to_stop() -> impl Future<Output = ()> {
    system::asked()
}

#[cfg(unix)]
mod system {
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, OnceLock, PoisonError};

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::flag;
    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// What the handlers of this process look at and leave behind.
    struct Handlers {
        /// Whether nobody listens: then the process ends.
        nobody: Arc<AtomicBool>,
        asked: Arc<AtomicBool>,
        listeners: Mutex<usize>,
        /// Whether a terminal that is closed is such a wish: not to a process that was started to outlive it.
        hears_hang_ups: bool,
    }

    static HANDLERS: OnceLock<Option<Handlers>> = OnceLock::new();

    impl Handlers {
        fn install() -> io::Result<Handlers> {
            let nobody = Arc::new(AtomicBool::new(true));
            let asked = Arc::new(AtomicBool::new(false));
            let hears_hang_ups = !ignores_hang_ups();
            let kinds = [SIGINT, SIGTERM].into_iter().chain(hears_hang_ups.then_some(SIGHUP));
            for kind in kinds {
                flag::register(kind, asked.clone())?;
                flag::register_conditional_default(kind, nobody.clone())?;
            }
            Ok(Handlers { nobody, asked, listeners: Mutex::new(0), hears_hang_ups })
        }

        fn of_process() -> Option<&'static Handlers> {
            let install = || {
                Handlers::install()
                    .inspect_err(|error| tracing::warn!(%error, "Ctrl-C cannot be listened for"))
                    .ok()
            };
            HANDLERS.get_or_init(install).as_ref()
        }

        fn count(&self, change: impl FnOnce(usize) -> usize) {
            let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
            *listeners = change(*listeners);
            self.nobody.store(*listeners == 0, Ordering::SeqCst);
        }
    }

    /// Whether the process was started to ignore that its terminal is closed, as by `nohup`. Only Linux tells
    /// without further ado (proc(5)); where nobody does, that signal is left as it is.
    fn ignores_hang_ups() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        ignored.is_none_or(|mask| mask & (1 << (SIGHUP - 1)) != 0)
    }

    struct Listener {
        handlers: &'static Handlers,
        interrupted: Signal,
        ended: Signal,
        hung_up: Option<Signal>,
    }

    impl Listener {
        fn new() -> Option<Listener> {
            let handlers = Handlers::of_process()?;
            // They listen before anybody is told that they do: what comes between is heard or ends the process.
            let interrupted = signal(SignalKind::interrupt()).ok()?;
            let ended = signal(SignalKind::terminate()).ok()?;
            let hung_up = handlers.hears_hang_ups.then(|| signal(SignalKind::hangup()).ok()).flatten();
            handlers.count(|listeners| listeners + 1);
            Some(Listener { handlers, interrupted, ended, hung_up })
        }
    }

    impl Drop for Listener {
        fn drop(&mut self) {
            self.handlers.count(|listeners| listeners.saturating_sub(1));
        }
    }

    pub(super) fn asked() -> impl Future<Output = ()> {
        let listener = Listener::new();
        async move {
            // Without a handler the process ends all the same.
            let Some(mut listener) = listener else { return std::future::pending().await };
            let Listener { interrupted, ended, hung_up, .. } = &mut listener;
            let hung_up = async {
                match hung_up {
                    Some(hung_up) => hung_up.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = ended.recv() => {}
                _ = hung_up => {}
            }
        }
    }

    /// Whether somebody asked since this was looked at, and while somebody listened.
    pub(super) fn was_asked() -> bool {
        HANDLERS.get().and_then(Option::as_ref).is_some_and(|all| all.asked.swap(false, Ordering::SeqCst))
    }
}

#[cfg(not(unix))]
mod system {
    pub(super) async fn asked() {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn was_asked() -> bool {
        false
    }
}

#[cfg(all(test, unix))]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn who_asks_for_the_end_as_work_ends_is_heard() {
        let work = async {
            let heard = asked_to_stop();
            kill_process(getpid(), Signal::INT).unwrap();
            heard.await;
            true
        };
        assert_eq!(unless_asked(work).await, None);
        assert_eq!(unless_asked(async { true }).await, Some(true));
    }
}
