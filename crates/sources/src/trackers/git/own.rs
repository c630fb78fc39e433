//! What git is configured to run, told apart by who configured it: the owner of the machine, whose programs
//! go on working, or the clone, whose do not. Pure.

use std::collections::HashSet;

use super::GitError;

/// The settings that matter, as `git config --list --show-scope --null` tells them.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// The owner's helpers that know passwords, each as `key=value`, in the order in which they are asked.
    helpers: Vec<String>,
    /// The clone's own settings that have a program run, in lower case where git does not care.
    programs: Vec<String>,
}

impl Own {
    /// Reads what git said.
    pub(super) fn read(said: &[u8]) -> Own {
        let said = String::from_utf8_lossy(said);
        let mut words = said.split('\0');
        let mut all = Vec::new();
        while let (Some(scope), Some(setting)) = (words.next(), words.next()) {
            // A key without a value is a yes.
            let (key, value) = setting.split_once('\n').unwrap_or((setting, "true"));
            all.push((scope, key, value));
        }
        let is_of_clone = |scope: &str| matches!(scope, "local" | "worktree");
        let owners: HashSet<(&str, &str)> = all
            .iter()
            .filter(|(scope, ..)| !is_of_clone(scope))
            .map(|(_, key, value)| (*key, *value))
            .collect();
        let mut own = Own::default();
        for (scope, key, value) in &all {
            if !is_of_clone(scope) {
                // A key with `=` in it cannot be said by `-c`.
                if is_helper(key) && !key.contains('=') {
                    own.helpers.push(format!("{key}={value}"));
                }
            } else if is_program(key) && !value.is_empty() && !owners.contains(&(*key, *value)) {
                // What the owner has as well is no stranger's.
                own.programs.push((*key).to_owned());
            }
        }
        own
    }

    /// The owner's helpers that know passwords.
    pub(super) fn helpers(&self) -> impl Iterator<Item = &str> {
        self.helpers.iter().map(String::as_str)
    }

    /// Whether asking the remote runs nothing of the clone's.
    pub(super) fn allows_fetching(&self) -> Result<(), GitError> {
        self.allows(|key| !key.starts_with("filter."))
    }

    /// Whether writing the working tree runs nothing of the clone's.
    pub(super) fn allows_checking_out(&self) -> Result<(), GitError> {
        self.allows(|_| true)
    }

    fn allows(&self, matters: impl Fn(&str) -> bool) -> Result<(), GitError> {
        match self.programs.iter().find(|key| matters(key)) {
            Some(key) => Err(GitError::OwnProgram { key: key.clone() }),
            None => Ok(()),
        }
    }
}

fn is_helper(key: &str) -> bool {
    key.starts_with("credential.") && key.ends_with(".helper") || key == "credential.helper"
}

/// Whether a setting names a program that no other setting takes back: the first `uploadpack` stands, and a
/// remote's `vcs`, a filter and a hook have names of their own.
fn is_program(key: &str) -> bool {
    let Some((section, rest)) = key.split_once('.') else { return false };
    let name = rest.rsplit_once('.').map_or("", |(_, name)| name);
    match section {
        "remote" => matches!(name, "uploadpack" | "vcs"),
        "filter" => matches!(name, "clean" | "smudge" | "process"),
        "hook" => name == "command",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(settings: &[(&str, &str, &str)]) -> Own {
        let said: Vec<String> =
            settings.iter().map(|(scope, key, value)| format!("{scope}\0{key}\n{value}\0")).collect();
        let said = said.concat();
        Own::read(said.as_bytes())
    }

    #[test]
    fn the_owner_s_helpers_are_asked_and_no_others() {
        let own = own(&[
            ("system", "credential.helper", "osxkeychain"),
            ("global", "credential.https://github.com.helper", ""),
            ("global", "credential.https://github.com.helper", "!gh auth git-credential"),
            ("global", "credential.https://a.example?b=c.helper", "store"),
            ("local", "credential.helper", "!steal"),
            ("worktree", "credential.https://github.com.helper", "!steal"),
        ]);
        let helpers: Vec<&str> = own.helpers().collect();
        assert_eq!(
            helpers,
            [
                "credential.helper=osxkeychain",
                "credential.https://github.com.helper=",
                "credential.https://github.com.helper=!gh auth git-credential"
            ]
        );
        assert_eq!(own.allows_checking_out(), Ok(()), "these are set otherwise");
    }

    #[test]
    fn a_clone_s_own_programs_are_told_of() {
        let refused = |key: &str| GitError::OwnProgram { key: key.to_owned() };
        for key in ["remote.origin.uploadpack", "remote.a.b.vcs", "hook.x.command"] {
            let own = own(&[("local", "core.bare", "false"), ("local", key, "run")]);
            assert_eq!(own.allows_fetching(), Err(refused(key)));
            assert_eq!(own.allows_checking_out(), Err(refused(key)));
        }
        let filter = ("local", "filter.lfs.smudge", "git-lfs smudge -- %f");
        assert_eq!(own(&[filter]).allows_fetching(), Ok(()), "nothing is filtered");
        assert_eq!(own(&[filter]).allows_checking_out(), Err(refused("filter.lfs.smudge")));
        let own = own(&[("global", filter.1, filter.2), filter, ("worktree", "filter.y.clean", "")]);
        assert_eq!(own.allows_checking_out(), Ok(()), "the owner has it for all clones");
    }
}
