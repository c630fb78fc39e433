//! The issues of the world's repositories.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Issue, Repository, World};

impl World {
    /// Adds issues to a repository, each taking the place of one of the same number. False when there is no such
    /// repository. One with issues counts those it has, whatever [`Repository::open_issues`] says.
    pub fn add_issues(&mut self, full_name: &str, issues: impl IntoIterator<Item = Issue>) -> bool {
        let Some(id) = self.repository(full_name).map(|found| found.id) else { return false };
        let held = Arc::make_mut(self.issues.entry(id).or_default());
        held.extend(issues.into_iter().map(|issue| (issue.number, issue)));
        true
    }

    /// Changes an issue in place (its number stays, and so does `updated_at` unless `change` sets it). False when
    /// there is none.
    pub fn edit_issue(&mut self, full_name: &str, number: u64, change: impl FnOnce(&mut Issue)) -> bool {
        let Some(id) = self.repository(full_name).map(|found| found.id) else { return false };
        let Some(issue) = self.issues.get_mut(&id).and_then(|held| Arc::make_mut(held).get_mut(&number))
        else {
            return false;
        };
        change(issue);
        issue.number = number;
        true
    }

    /// Deletes an issue, or transfers it elsewhere: no list has it from now on, and nothing says that it went.
    pub fn remove_issue(&mut self, full_name: &str, number: u64) -> bool {
        let Some(id) = self.repository(full_name).map(|found| found.id) else { return false };
        self.issues.get_mut(&id).is_some_and(|held| Arc::make_mut(held).remove(&number).is_some())
    }

    /// The issues and pull requests of a repository, by number; none where only a count is kept.
    pub fn issues(&self, repository: &Repository) -> Option<&Arc<BTreeMap<u64, Issue>>> {
        self.issues.get(&repository.id)
    }

    /// Open issues, pull requests not counted.
    pub(crate) fn open_issues(&self, repository: &Repository) -> u64 {
        match self.issues(repository) {
            _ if !repository.has_issues => 0,
            Some(issues) => {
                issues.values().filter(|one| one.is_open() && !one.is_pull_request).count() as u64
            }
            None => repository.open_issues,
        }
    }
}
