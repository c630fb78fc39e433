//! What git is configured to do, told apart by who configured it: the owner of the machine, whose settings
//! go on working, or the clone, whose harmful ones do not. Pure.

use std::collections::HashSet;

use super::GitError;
use super::harm::Harm;

/// The settings that matter, as `git config --list --show-scope --null` tells them.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// The owner's helpers that know passwords, each as `key=value`, in the order in which they are asked.
    helpers: Vec<String>,
    /// How the owner has ssh run, as with a key of this machine.
    ssh: Option<String>,
    /// The clone's own settings that do harm, in lower case where git does not care.
    harmful: Vec<(String, Harm)>,
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
                } else if *key == "core.sshcommand" {
                    own.ssh = Some((*value).to_owned()).filter(|value| !value.is_empty());
                }
            } else if let Some(harm) = Harm::of(key, value)
                // What the owner has as well is no stranger's.
                && !owners.contains(&(*key, *value))
            {
                own.harmful.push(((*key).to_owned(), harm));
            }
        }
        own
    }

    /// The owner's helpers that know passwords.
    pub(super) fn helpers(&self) -> impl Iterator<Item = &str> {
        self.helpers.iter().map(String::as_str)
    }

    /// How the owner has ssh run, if otherwise than everybody.
    pub(super) fn ssh(&self) -> Option<&str> {
        self.ssh.as_deref()
    }

    /// Whether asking the remote does no harm of the clone's.
    pub(super) fn allows_fetching(&self) -> Result<(), GitError> {
        self.allows(|harm| harm != Harm::ProgramOfFiles)
    }

    /// Whether writing the working tree does no harm of the clone's: what a partial clone lacks is fetched then.
    pub(super) fn allows_checking_out(&self) -> Result<(), GitError> {
        self.allows(|_| true)
    }

    fn allows(&self, matters: impl Fn(Harm) -> bool) -> Result<(), GitError> {
        match self.harmful.iter().find(|(_, harm)| matters(*harm)) {
            Some((key, harm)) => Err(GitError::OwnSetting { key: key.clone(), harm: *harm }),
            None => Ok(()),
        }
    }
}

fn is_helper(key: &str) -> bool {
    key.starts_with("credential.") && key.ends_with(".helper") || key == "credential.helper"
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
    fn ssh_is_run_as_the_owner_has_it_and_not_as_the_clone_does() {
        let clone = ("local", "core.sshcommand", "steal");
        assert_eq!(own(&[clone]).ssh(), None);
        let system = ("system", "core.sshcommand", "ssh -4");
        let global = ("global", "core.sshcommand", "ssh -i work");
        assert_eq!(own(&[system, global, clone]).ssh(), Some("ssh -i work"));
    }

    #[test]
    fn a_clone_s_own_harm_is_told_of() {
        let refused =
            |key: &str| GitError::OwnSetting { key: key.to_owned(), harm: Harm::of(key, "run").unwrap() };
        for key in ["remote.origin.uploadpack", "remote.a.b.vcs", "hook.x.command", "http.proxy"] {
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

    #[test]
    fn the_owner_s_ways_to_a_remote_are_gone_and_no_others() {
        let proxy = |scope| (scope, "http.https://github.com.proxy", "http://proxy.example:3128");
        assert_eq!(own(&[proxy("global")]).allows_fetching(), Ok(()));
        assert_eq!(own(&[proxy("system"), proxy("local")]).allows_fetching(), Ok(()));
        let other = own(&[("global", proxy("").1, "http://other.example"), proxy("worktree")]);
        assert!(other.allows_fetching().is_err());
    }

    #[test]
    fn no_password_in_a_setting_s_name_is_told() {
        let key = "url.https://me:secret@github.com/.insteadof";
        let told = own(&[("local", key, "https://github.com/")]).allows_fetching().unwrap_err().to_string();
        assert!(told.contains("`url.https://github.com/.insteadof`"), "{told}");
    }
}
