//! The token that nobody configured: what the `gh` program knows. Asking it takes longer than a
//! whole read from the cache, so it is asked only by who is about to fetch. (What was fetched with a
//! token is not stale without one, so readers need not know.)

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use secrecy::SecretString;

/// How long `gh` may take: it reads a file or asks the key ring.
const PATIENCE: Duration = Duration::from_secs(3);

/// No token is longer.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Asks `gh` for its token of a host. `None`: there is no `gh`, it has none, or it takes too long.
pub fn from_gh(host: &str) -> Option<SecretString> {
    let mut child = Command::new("gh")
        .args(["auth", "token", "--hostname", host])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let out = child.stdout.take()?;
    let (sender, read) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let done = out.take(TOKEN_BYTES_MAX).read_to_string(&mut text);
        // Nobody listens any more once the wait is over.
        let _ = sender.send(done.map(|_| text));
    });
    let Ok(Ok(text)) = read.recv_timeout(PATIENCE) else {
        // It may have ended by itself meanwhile.
        let _ = child.kill();
        let _ = child.wait();
        return None;
    };
    let ended = child.wait().ok()?;
    let token = text.trim();
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    (ended.success() && is_token).then(|| SecretString::from(token))
}
