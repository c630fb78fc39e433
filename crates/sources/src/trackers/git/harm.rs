//! What harm a clone's own configuration can do by a setting that no other takes back. Pure.
//!
//! Of the sections that say how a host is spoken to, and how its passwords are kept, only what is known to do no
//! harm is let through: git and its helpers learn new settings.

use std::fmt;

/// What git would do by a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Harm {
    /// Run a program whenever it asks the remote.
    Program,
    /// Run a program over the files that it writes.
    ProgramOfFiles,
    /// Go another way to the remote, or to another one, with what the owner's helpers know, or write what
    /// came by the way wherever it is told to.
    Way,
    /// Overwrite what somebody works at.
    Branches,
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Harm::Program | Harm::ProgramOfFiles => {
                "run a program; it may where `git config --global` says the same"
            }
            Harm::Way => {
                "go its own way to a remote with the owner's passwords; it may where `git config --global` says \
                 the same"
            }
            Harm::Branches => "move local branches at every fetch",
        })
    }
}

/// What of `http.*` a clone may say: the header by which a build's checkout shows its own token, and what only
/// makes things slower or faster.
const HTTP: [&str; 7] =
    ["extraheader", "lowspeedlimit", "lowspeedtime", "maxrequests", "minsessions", "postbuffer", "version"];

/// What of `credential.*` a clone may say: whose password is wanted, which an address says as well. Its
/// helpers are not asked.
const CREDENTIAL: [&str; 4] = ["helper", "interactive", "usehttppath", "username"];

impl Harm {
    /// What a setting would do, its key as git tells it: in lower case but for what stands between the first and
    /// the last dot.
    pub(super) fn of(key: &str, value: &str) -> Option<Harm> {
        let (section, rest) = key.split_once('.')?;
        let (within, name) = rest.rsplit_once('.').unwrap_or(("", rest));
        let a_program = |harm| Some(harm).filter(|_| !value.is_empty());
        match (section, name) {
            // The first of them stands.
            ("remote", "uploadpack" | "vcs") | ("hook", "command") => a_program(Harm::Program),
            ("filter", "clean" | "smudge" | "process") => a_program(Harm::ProgramOfFiles),
            ("lfs", _) if is_program_of_lfs(within, name) => a_program(Harm::ProgramOfFiles),
            // Nothing stands for "yes" as well, as for "do not look at certificates".
            ("http", name) if !HTTP.contains(&name) => Some(Harm::Way),
            ("credential", name) if !CREDENTIAL.contains(&name) => Some(Harm::Way),
            ("remote", "proxy" | "proxyauthmethod") | ("url", "insteadof") | ("fetch", "bundleuri") => {
                Some(Harm::Way)
            }
            ("remote", "fetch") if moves_branches(value) => Some(Harm::Branches),
            _ => None,
        }
    }
}

/// Whether the owner's filter of large files would run a program for it, or write them elsewhere.
fn is_program_of_lfs(within: &str, name: &str) -> bool {
    let within = within.to_ascii_lowercase();
    within.starts_with("customtransfer.") || within.starts_with("extension.") || name == "storage"
}

/// Whether what is fetched may land in a local branch.
fn moves_branches(refspec: &str) -> bool {
    const BRANCHES: &str = "refs/heads/";
    let to = refspec.rsplit_once(':').map_or("", |(_, to)| to);
    // As git completes what is short.
    let to = match to {
        "" => return false,
        _ if to.starts_with("refs/") => to.to_owned(),
        _ if ["heads/", "tags/", "remotes/"].iter().any(|kind| to.starts_with(kind)) => format!("refs/{to}"),
        _ => format!("{BRANCHES}{to}"),
    };
    let before_star = to.split('*').next().unwrap_or_default();
    BRANCHES.starts_with(before_star) || before_star.starts_with(BRANCHES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_elsewhere_is_told_from_what_a_build_writes() {
        for (key, harm) in [
            ("http.proxy", Some(Harm::Way)),
            ("http.https://github.com/.sslverify", Some(Harm::Way)),
            ("http.cookiefile", Some(Harm::Way)),
            ("http.what-comes-next", Some(Harm::Way)),
            ("http.https://github.com/.extraheader", None),
            ("http.postbuffer", None),
            ("credential.https://github.com.username", None),
            ("credential.helper", None),
            ("credential.plaintextstorepath", Some(Harm::Way)),
            ("credential.protectprotocol", Some(Harm::Way)),
            ("remote.origin.proxyauthmethod", Some(Harm::Way)),
            ("remote.origin.url", None),
            ("url.http://127.0.0.1/.insteadof", Some(Harm::Way)),
            // Nothing is ever pushed.
            ("url.git@github.com:.pushinsteadof", None),
            ("fetch.bundleuri", Some(Harm::Way)),
            ("lfs.customTransfer.x.path", Some(Harm::ProgramOfFiles)),
            ("lfs.extension.x.smudge", Some(Harm::ProgramOfFiles)),
            ("lfs.storage", Some(Harm::ProgramOfFiles)),
            ("lfs.https://github.com/o/r.git/info/lfs.access", None),
        ] {
            assert_eq!(Harm::of(key, "x"), harm, "{key}");
        }
        assert_eq!(Harm::of("http.sslverify", ""), Some(Harm::Way), "which is a no");
    }

    #[test]
    fn a_fetch_that_moves_local_branches_is_told_from_others() {
        for (refspec, harm) in [
            ("+refs/heads/*:refs/remotes/origin/*", None),
            ("+refs/pull/*/head:refs/remotes/origin/pr/*", None),
            ("+refs/tags/*:refs/tags/*", None),
            ("refs/heads/main", None),
            ("^refs/heads/x", None),
            ("main:tags/x", None),
            ("main:", None),
            ("+refs/heads/*:refs/heads/*", Some(Harm::Branches)),
            ("+refs/*:refs/*", Some(Harm::Branches)),
            ("main:main", Some(Harm::Branches)),
            ("main:heads/main", Some(Harm::Branches)),
            ("refs/heads/main:refs/heads/work", Some(Harm::Branches)),
        ] {
            assert_eq!(Harm::of("remote.origin.fetch", refspec), harm, "{refspec}");
        }
    }
}
