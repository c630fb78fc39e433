//! The `git` program, run so that it asks nobody, runs nothing of the repository's, sends its owner's
//! passwords nowhere else, and ends.
//!
//! What a clone's own configuration could have git do is set otherwise where the last word counts
//! (hooks, the file system's monitor, helpers that know passwords). Where git takes the first word, or
//! nothing stands for "none", the clone is left alone, which is told ([`Own`]). What its owner configured
//! for all clones goes on working.

mod harm;
mod own;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use larder_core::Clock;
use tokio::process::Command;

use harm::Harm;
use own::Own;

/// A remote that does not answer for so long is left alone.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why git brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum GitError {
    /// It could not be run.
    #[error("`git {what}` could not be run: {cause}")]
    NotRun {
        /// The subcommand.
        what: &'static str,
        /// In the system's words.
        cause: String,
    },
    /// It said no.
    #[error("`git {what}` failed: {said}")]
    Failed {
        /// The subcommand.
        what: &'static str,
        /// The last line of what it said.
        said: String,
    },
    /// The clone's own configuration would have had it do harm.
    #[error("the clone's own configuration has `{}`, by which git would {harm}", without_credentials(key))]
    OwnSetting {
        /// The first such setting.
        key: String,
        /// What it would do.
        harm: Harm,
    },
    /// It did not end in time.
    #[error("`git {what}` did not end within {} s", PATIENCE.as_secs())]
    TimedOut {
        /// The subcommand.
        what: &'static str,
    },
}

/// A clone.
pub(super) struct Git<'a> {
    pub(super) root: &'a Path,
    pub(super) clock: &'a Arc<dyn Clock>,
}

/// Whatever a repository's own configuration says, of what has one value.
const SETTINGS: [&str; 10] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    // It says nothing, which is an answer.
    "core.alternateRefsCommand=true",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    // A merge would clean up, with a hook that says what is recent, and packs that go elsewhere.
    "maintenance.auto=false",
    "gc.auto=0",
    // Those of the owner follow behind.
    "credential.helper=",
];

/// How ssh is run where its owner configured nothing.
const SSH: &str = "ssh -o BatchMode=yes -o ConnectTimeout=10";

/// The ways to a remote that run no program which a repository names: `ext::` is one, and `core.gitProxy` is
/// asked for `git://` alone.
const PROTOCOLS: &str = "https:http:ssh:file";

impl Git<'_> {
    /// Asks the remote of the current branch what is new; the working tree stays.
    pub(super) async fn fetch(&self) -> Result<(), GitError> {
        let own = self.own().await?;
        own.allows_fetching()?;
        let args = ["--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance"];
        self.run(&own, "fetch", &[&args[..], &["--upload-pack=git-upload-pack"]].concat()).await.map(drop)
    }

    /// Moves a clean working tree on to what was fetched, if it can without merging.
    pub(super) async fn follow(&self) -> Result<(), GitError> {
        let own = self.own().await?;
        own.allows_checking_out()?;
        let args = ["--porcelain", "--untracked-files=no", "--ignore-submodules=all"];
        let changed = self.run(&own, "status", &args).await?;
        if changed.stdout.is_empty() {
            let args = ["--quiet", "--ff-only", "--no-verify-signatures", "@{upstream}"];
            self.run(&own, "merge", &args).await?;
        }
        Ok(())
    }

    /// A file as the upstream has it; `None` = there is none, or no upstream.
    pub(super) async fn at_upstream(&self, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        let own = self.own().await?;
        // What a partial clone lacks is fetched.
        own.allows_fetching()?;
        let object = format!("@{{upstream}}:{path}");
        match self.run(&own, "cat-file", &["blob", &object]).await {
            Ok(output) => Ok(Some(output.stdout)),
            Err(GitError::Failed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is configured now; to read it runs nothing.
    async fn own(&self) -> Result<Own, GitError> {
        let args = ["--list", "--show-scope", "--null"];
        self.run(&Own::default(), "config", &args).await.map(|output| Own::read(&output.stdout))
    }

    async fn run(&self, own: &Own, what: &'static str, args: &[&str]) -> Result<Output, GitError> {
        let mut command = Command::new("git");
        // Nor may its configuration say that its working tree is elsewhere.
        command.arg("-C").arg(self.root).arg("--work-tree=.");
        // What is configured is told without these, which would pass for the owner's.
        if what != "config" {
            for setting in SETTINGS.into_iter().chain(own.helpers()) {
                command.args(["-c", setting]);
            }
            // What the owner's environment says comes before it.
            command.arg("-c").arg(format!("core.sshCommand={}", own.ssh().unwrap_or(SSH)));
        }
        command
            .arg(what)
            .args(args)
            .env("GIT_ALLOW_PROTOCOL", PROTOCOLS)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_ASKPASS", "")
            // Whatever ssh is told by its owner: it asks this, which is nobody, and not the terminal.
            .env("SSH_ASKPASS", "")
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::select! {
            biased;
            output = command.output() => output.map_err(|error| GitError::NotRun { what, cause: error.to_string() })?,
            () = self.clock.sleep(PATIENCE) => return Err(GitError::TimedOut { what }),
        };
        if output.status.success() {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(GitError::Failed { what, said: without_credentials(reason(&said)) })
    }
}

/// The line that says why: the fatal one, or the one before it where that only says that there was a reason
/// (what ssh or the host said); advice follows both.
fn reason(said: &str) -> &str {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let fatal = lines.iter().position(|line| line.starts_with("fatal:") || line.starts_with("error:"));
    let why = match fatal {
        Some(at) if at > 0 && lines[at].contains("Could not read from remote") => lines.get(at - 1),
        Some(at) => lines.get(at),
        None => lines.last(),
    };
    why.copied().unwrap_or("it did not say why")
}

/// An address in a message may hold a password: `https://user:secret@host/…`.
fn without_credentials(said: &str) -> String {
    let words = said.split(' ').map(|word| match word.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('@') {
            Some((credentials, rest)) if !credentials.contains('/') => format!("{scheme}://{rest}"),
            _ => word.to_owned(),
        },
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The root of the clone that a folder is in, by walking up to a `.git`.
pub fn root_of(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_told_and_not_the_advice() {
        let advice = "\n\nPlease make sure you have the correct access rights\nand the repository exists.\n";
        let lost = "fatal: Could not read from remote repository.";
        let denied = "git@github.com: Permission denied (publickey).";
        assert_eq!(reason(&format!("Warning: added a key\n{denied}\n{lost}{advice}")), denied);
        assert_eq!(reason(&format!("{lost}{advice}")), lost);
        let behind = "fatal: Not possible to fast-forward, aborting.";
        assert_eq!(reason(&format!("From github.com:o/r\n   1..2  main -> origin/main\n{behind}\n")), behind);
        let dirty = "error: Your local changes to the following files would be overwritten by merge:";
        assert_eq!(reason(&format!("Updating 1..2\n{dirty}\n\ta\nAborting\n")), dirty);
        assert_eq!(reason("something went wrong\n"), "something went wrong");
        assert_eq!(reason(" \n"), "it did not say why");
    }

    #[test]
    fn no_password_shows_in_what_git_said() {
        let said = "fatal: unable to access 'x': https://me:secret@github.com/o/r.git/ ssh://git@h/p done";
        let shown = without_credentials(said);
        assert_eq!(shown, "fatal: unable to access 'x': https://github.com/o/r.git/ ssh://h/p done");
        let quoted =
            without_credentials("fatal: Authentication failed for 'https://me:secret@github.com/o/r/'");
        assert!(!quoted.contains("secret"), "{quoted}");
    }
}
