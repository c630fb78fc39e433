//! Whose repository the working directory is a clone of, as its `.git/config` says. The file is
//! read; no git program is run, since what stands in it may make git run others.

use std::path::Path;

use larder_domain::RepoName;
use url::Url;

use super::github::read_owner;

/// No such file is larger.
const BYTES_MAX: u64 = 1 << 20;

/// The owner of `origin`, if that is on github.com.
pub fn owner_of_origin(cwd: &Path) -> Option<String> {
    let (owner, _) = names_of_origin(cwd)?;
    Some(owner).filter(|owner| read_owner(owner).is_ok())
}

/// The repository of `origin`, if that is on github.com.
pub fn repo_of_origin(cwd: &Path) -> Option<RepoName> {
    let (owner, name) = names_of_origin(cwd)?;
    RepoName::new(&owner, name.strip_suffix(".git").unwrap_or(&name)).ok()
}

fn names_of_origin(cwd: &Path) -> Option<(String, String)> {
    let file = cwd.ancestors().map(|dir| dir.join(".git/config")).find(|path| path.is_file())?;
    if std::fs::metadata(&file).ok()?.len() > BYTES_MAX {
        return None;
    }
    let text = std::fs::read_to_string(file).ok()?;
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != "[remote \"origin\"]").skip(1);
    let url = lines
        .by_ref()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .find_map(|(key, url)| (key.trim() == "url").then(|| url.trim()))?;
    names_in(url)
}

fn names_in(url: &str) -> Option<(String, String)> {
    let of_path = |path: &str| {
        let (owner, name) = path.trim_matches('/').split_once('/')?;
        Some((owner.to_owned(), name.to_owned()))
    };
    match Url::parse(url) {
        Ok(url) => of_path(url.path()).filter(|_| url.host_str() == Some("github.com")),
        // As ssh has it: `git@github.com:owner/name.git`.
        Err(_) => url
            .split_once(':')
            .filter(|(host, _)| host.ends_with("@github.com"))
            .and_then(|(_, path)| of_path(path)),
    }
}
