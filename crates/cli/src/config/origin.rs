//! Whose repository the working directory is a clone of, as its `.git/config` says. The file is
//! read; no git program is run, since what stands in it may make git run others.
//!
//! A submodule and a linked worktree have a file `.git` that says where the rest lies, and a worktree's
//! configuration is that of the clone it belongs to (gitrepository-layout(5)).

use std::path::{Path, PathBuf};

use larder_domain::RepoName;
use larder_sources::root_of;
use url::Url;

use super::github::read_owner;

/// Whose repositories Larder's own are said to be.
pub const GITHUB: &str = "github.com";

/// No such file is larger.
const BYTES_MAX: u64 = 1 << 20;

/// The owner of `origin`, if that is on github.com.
pub fn owner_of_origin(cwd: &Path) -> Option<String> {
    let (owner, _) = names_of_origin(cwd, GITHUB)?;
    Some(owner).filter(|owner| read_owner(owner).is_ok())
}

/// The repository of `origin`, if that is on this host: a name means another repository on another.
pub fn repo_of_origin(cwd: &Path, host: &str) -> Option<RepoName> {
    let (owner, name) = names_of_origin(cwd, host)?;
    RepoName::new(&owner, name.strip_suffix(".git").unwrap_or(&name)).ok()
}

fn names_of_origin(cwd: &Path, host: &str) -> Option<(String, String)> {
    let text = read(&git_folder(&root_of(cwd)?)?.join("config"))?;
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != "[remote \"origin\"]").skip(1);
    let url = lines
        .by_ref()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .find_map(|(key, url)| (key.trim() == "url").then(|| url.trim()))?;
    names_in(url, host)
}

/// The folder that holds the configuration of the clone with this root.
fn git_folder(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let own = root.join(read(&git)?.strip_prefix("gitdir:")?.trim());
    match read(&own.join("commondir")) {
        Some(common) => Some(own.join(common.trim())),
        None => Some(own),
    }
}

/// A file's text, if it is a plain file of a size that such files have.
fn read(file: &Path) -> Option<String> {
    let about = std::fs::metadata(file).ok()?;
    (about.is_file() && about.len() <= BYTES_MAX).then(|| std::fs::read_to_string(file).ok())?
}

fn names_in(url: &str, host: &str) -> Option<(String, String)> {
    let (named, path) = host_and_path(url)?;
    if !is_host(&named, host) {
        return None;
    }
    let (owner, name) = path.trim_matches('/').split_once('/')?;
    Some((owner.to_owned(), name.to_owned()))
}

/// What git takes for the host and the path of an address; a path on this machine has no host.
fn host_and_path(url: &str) -> Option<(String, String)> {
    if url.contains("://") {
        let url = Url::parse(url).ok()?;
        return Some((url.host_str()?.to_owned(), url.path().to_owned()));
    }
    // As ssh has it: `git@github.com:owner/name.git`.
    let (host, path) = url.split_once(':').filter(|(host, _)| !host.contains('/'))?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    Some((host.to_owned(), path.to_owned()))
}

/// Whether a host is meant that is known by that name. GitHub's own goes by others too: one of them is for ssh where
/// firewalls let only the web through.
fn is_host(named: &str, host: &str) -> bool {
    let others = ["ssh.github.com", "www.github.com"];
    let is_other = || others.iter().any(|other| named.eq_ignore_ascii_case(other));
    named.eq_ignore_ascii_case(host) || (host.eq_ignore_ascii_case(GITHUB) && is_other())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(file: &Path, text: &str) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    fn config(name: &str) -> String {
        format!(
            "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://github.com/octo-org/{name}.git\n"
        )
    }

    fn repo(folder: &Path) -> Option<String> {
        repo_of_origin(folder, GITHUB).map(|repo| repo.to_string())
    }

    #[test]
    fn a_clone_from_another_host_is_of_another_repository() {
        for url in ["https://ghe.example/octo-org/kiln.git", "git@ghe.example:octo-org/kiln.git"] {
            assert_eq!(names_in(url, GITHUB), None, "{url}");
            assert_eq!(names_in(url, "ghe.example").unwrap().0, "octo-org", "{url}");
        }
        assert_eq!(names_in("https://github.com/octo-org/kiln", "ghe.example"), None);
    }

    #[test]
    fn github_is_known_by_all_its_addresses() {
        for url in [
            "https://github.com/octo-org/kiln.git",
            "https://GitHub.com/octo-org/kiln",
            "https://www.github.com/octo-org/kiln",
            "https://user@github.com:443/octo-org/kiln.git",
            "git://github.com/octo-org/kiln.git",
            "ssh://git@github.com/octo-org/kiln.git",
            "ssh://git@SSH.github.com:443/octo-org/kiln.git",
            "ssh://github.com/octo-org/kiln.git",
            "git@github.com:octo-org/kiln.git",
            "git@GitHub.com:/octo-org/kiln.git",
            "git@ssh.github.com:octo-org/kiln.git",
            "github.com:octo-org/kiln.git",
        ] {
            let (owner, name) = names_in(url, GITHUB).unwrap_or_default();
            let (name, owner) = (name.strip_suffix(".git").unwrap_or(&name), owner.as_str());
            assert_eq!((owner, name), ("octo-org", "kiln"), "{url}");
        }
        for url in [
            "https://github.com.example/octo-org/kiln",
            "https://ssh.ghe.example/octo-org/kiln",
            "git@notgithub.com:octo-org/kiln",
            "github.com/octo-org/kiln",
            "./github.com:octo-org/kiln",
            "gh:octo-org/kiln",
        ] {
            assert_eq!(names_in(url, GITHUB), None, "{url}");
        }
        assert!(names_in("git@GHE.example:octo-org/kiln.git", "ghe.example").is_some());
        assert_eq!(names_in("https://ssh.ghe.example/octo-org/kiln", "ghe.example"), None);
    }

    #[test]
    fn a_submodule_is_a_clone_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join(".git/config"), &config("above"));
        write(&dir.path().join(".git/modules/sub/config"), &config("below"));
        write(&dir.path().join("sub/.git"), "gitdir: ../.git/modules/sub\n");
        fs::create_dir_all(dir.path().join("sub/src")).unwrap();
        assert_eq!(repo(dir.path()).unwrap(), "octo-org/above");
        assert_eq!(repo(&dir.path().join("sub/src")).unwrap(), "octo-org/below");
    }

    #[test]
    fn a_linked_worktree_is_of_the_clone_it_belongs_to() {
        let dir = tempfile::tempdir().unwrap();
        let clone = dir.path().join("clone");
        write(&clone.join(".git/config"), &config("kiln"));
        write(&clone.join(".git/worktrees/topic/commondir"), "../..\n");
        write(&dir.path().join("topic/.git"), &format!("gitdir: {}/.git/worktrees/topic\n", clone.display()));
        assert_eq!(repo(&dir.path().join("topic")).unwrap(), "octo-org/kiln");
    }

    #[test]
    fn what_leads_nowhere_is_no_clone_and_not_the_one_around_it() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join(".git/config"), &config("around"));
        for (name, said) in [("gone", "gitdir: nowhere\n"), ("odd", "?"), ("null", "gitdir: /dev\n")] {
            write(&dir.path().join(name).join(".git"), said);
            assert_eq!(repo(&dir.path().join(name)), None, "{name}");
        }
    }
}
