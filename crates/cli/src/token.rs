//! The token that nobody configured: what the `gh` program knows. Asking it takes longer than a
//! whole read from the cache, so it is asked only by who is about to fetch. (What was fetched with a
//! token is not stale without one, so readers need not know.)

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use larder_core::Clock;
use larder_sources::GitHub;
use secrecy::SecretString;

/// How long `gh` may take: it reads a file or asks the key ring.
const PATIENCE: Duration = Duration::from_secs(3);

/// So often who lives on asks for a token again: one that was revoked, or that a key ring kept back.
pub const AGAIN: Duration = Duration::from_mins(2);

/// No token is longer.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Why `gh` gave no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// It cannot be run.
    #[error("there is no `gh`")]
    NoGh,
    /// It said so.
    #[error("`gh` has none for this host")]
    None,
    /// As where somebody must unlock a key ring first.
    #[error("`gh` did not answer within {} s", PATIENCE.as_secs())]
    TimedOut,
}

/// Asks `gh` for its token of a host.
pub fn from_gh(host: &str) -> Result<SecretString, NoToken> {
    let mut child = Command::new("gh")
        .args(["auth", "token", "--hostname", host])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|_| NoToken::NoGh)?;
    let out = child.stdout.take().ok_or(NoToken::NoGh)?;
    let (sender, read) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let done = out.take(TOKEN_BYTES_MAX).read_to_string(&mut text);
        // Nobody listens any more once the wait is over.
        let _ = sender.send(done.map(|_| text));
    });
    let Ok(done) = read.recv_timeout(PATIENCE) else {
        // It may have ended by itself meanwhile.
        let _ = child.kill();
        let _ = child.wait();
        return Err(NoToken::TimedOut);
    };
    let ended = child.wait();
    let text = done.map_err(|_| NoToken::None)?;
    let token = text.trim();
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let is_good = is_token && ended.is_ok_and(|ended| ended.success());
    is_good.then(|| SecretString::from(token)).ok_or(NoToken::None)
}

/// Goes on asking for a token, until it is dropped, while there is none or GitHub takes it for none.
pub async fn keep(
    github: Arc<GitHub>,
    clock: Arc<dyn Clock>,
    ask: impl Fn() -> Result<SecretString, NoToken> + Clone + Send + 'static,
) {
    loop {
        clock.sleep(AGAIN).await;
        ask_again(&github, ask.clone()).await;
    }
}

async fn ask_again(github: &GitHub, ask: impl Fn() -> Result<SecretString, NoToken> + Send + 'static) {
    if !github.wants_token() {
        return;
    }
    // It waits for another program.
    let Ok(Ok(token)) = tokio::task::spawn_blocking(ask).await else { return };
    if let Ok(true) = github.renew_token(token) {
        tracing::info!("`gh` gave another token for {}: it is used from now on", github.host());
    }
}

#[cfg(test)]
mod tests {
    use larder_sources::GitHubConfig;
    use larder_testkit::{MemoryStore, VirtualClock};

    use super::*;

    #[tokio::test]
    async fn a_token_is_asked_for_while_there_is_none_and_no_longer() {
        let clock = Arc::new(VirtualClock::new());
        let config = GitHubConfig::new("https://ghe.example/api/v3");
        let budgets = Arc::new(MemoryStore::new());
        let github = GitHub::new(config, budgets, clock, 1).unwrap();
        ask_again(&github, || Err(NoToken::TimedOut)).await;
        assert!(!github.has_token());
        ask_again(&github, || Ok("late".into())).await;
        assert!(github.has_token());
        ask_again(&github, || unreachable!("nobody wants one")).await;
        assert!(!format!("{github:?}").contains("late"));
    }
}
