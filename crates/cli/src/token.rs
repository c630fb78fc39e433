//! The token that nobody configured: what the `gh` program knows. Asking it takes longer than a
//! whole read from the cache, so it is asked only by who is about to fetch; for all others, a
//! digest of the last answer is remembered.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use larder_core::Fingerprint;
use secrecy::SecretString;

use crate::config::{Config, make_private_dir};

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

/// Digests of the credentials last fetched with, by host: never the credentials.
pub struct Remembered {
    path: PathBuf,
    by_host: BTreeMap<String, Fingerprint>,
}

impl Remembered {
    /// Reads what is remembered; nothing, where it cannot be read.
    pub fn load(config: &Config) -> Self {
        let path = config.dirs.state.join("credentials.json");
        let text = std::fs::read(&path).ok();
        let by_host = text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Remembered { path, by_host }
    }

    /// The credential last used with a host.
    pub fn of(&self, host: &str) -> Option<&Fingerprint> {
        self.by_host.get(host)
    }

    /// Remembers one. Failing to costs the next reader a refresh too many, and nothing else.
    pub fn note(&mut self, host: &str, credential: &Fingerprint) {
        if self.of(host) == Some(credential) {
            return;
        }
        self.by_host.insert(host.to_owned(), credential.clone());
        let written = self.path.parent().map_or(Ok(()), make_private_dir).and_then(|()| {
            let beside = self.path.with_extension(format!("{}.tmp", std::process::id()));
            std::fs::write(&beside, serde_json::to_vec(&self.by_host)?)?;
            std::fs::rename(&beside, &self.path)
        });
        if let Err(error) = written {
            tracing::warn!(%error, "the credential in use could not be remembered");
        }
    }
}
