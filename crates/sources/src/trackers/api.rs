//! GitHub's word on trackers: what changed since the last asking, or everything where that could
//! miss something.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use larder_core::{Ask, Delta, FetchError, Fetched, ItemRef, NewItem, Others, Scope, Time};
use larder_domain::{RepoName, Tracker, TrackerState, TrackerType};

use super::body;
use super::desk::Noted;
use super::memory::{Cursor, Memory, Way, WayIn};
use crate::github::{Errand, GitHub, Issue, LabelAsked, Labelled, LabelledIssues};

/// `since` cannot see what was deleted, relabelled or transferred, so everything is listed anew
/// this often, and whenever the label's total says that something went. REST tells no total: see [`full_every`].
const FULL_EVERY: Duration = Duration::from_hours(24);

/// Without a token sixty calls an hour are all there is: by this, whole lists take half a call each.
const FULL_EVERY_BY_PAGE: Duration = Duration::from_hours(2);

/// So much is asked for once more: GitHub's lists may lag behind its clock.
const OVERLAP: Duration = Duration::from_mins(5);

/// Asks GitHub.
pub(super) async fn fetch(
    github: &GitHub,
    repo: &RepoName,
    of: &TrackerType,
    (ask, errand): (&Ask, &Errand),
    memory: &Memory,
    noted: Noted,
) -> Result<Fetched, FetchError> {
    let started = github.now();
    let asked = LabelAsked { repo, labels: &of.labels, since: None };
    let frame = Frame { of, github, started, noted };
    let recent = memory.cursor.as_ref().filter(|cursor| {
        // A cursor from the future comes from a clock that was ahead.
        let every = full_every(github.calls_for_all(memory.held.len() + cursor.others.len()));
        started.since(cursor.full_at) < every && cursor.full_at <= started
    });
    if let Some(cursor) = recent.filter(|_| ask.subset.is_none()) {
        match github.issues(LabelAsked { since: Some(cursor.since), ..asked }, errand).await? {
            Labelled::Absent(absence) => return Ok(Fetched::Absent(absence)),
            Labelled::Here(found) => {
                if let Some(delta) = frame.changes(*found, cursor, memory) {
                    return Ok(Fetched::Delta(delta));
                }
            }
        }
    }
    match github.issues(asked, errand).await? {
        Labelled::Absent(absence) => Ok(Fetched::Absent(absence)),
        Labelled::Here(found) => Ok(Fetched::Delta(frame.everything(*found))),
    }
}

/// How often everything is listed that takes so many calls without a token: each time where it is one, which what
/// changed takes as well, and the seldomer the more there are.
fn full_every(calls: Option<u32>) -> Duration {
    match calls {
        None => FULL_EVERY,
        Some(..=1) => Duration::ZERO,
        Some(calls) => FULL_EVERY_BY_PAGE.saturating_mul(calls).min(FULL_EVERY),
    }
}

struct Frame<'a> {
    of: &'a TrackerType,
    github: &'a GitHub,
    started: Time,
    noted: Noted,
}

impl Frame<'_> {
    /// What changed; `None` = the label's total says that something went unseen, or all that is held is to be
    /// called otherwise.
    fn changes(&self, found: LabelledIssues, cursor: &Cursor, memory: &Memory) -> Option<Delta> {
        let mut held: HashMap<u64, &ItemRef> =
            memory.held.iter().map(|(item, tracker)| (tracker.number, item)).collect();
        let mut others = cursor.others.clone();
        let mut removals = Vec::new();
        let mut upserts = Vec::new();
        let LabelledIssues { repo, is_private, issues, total } = found;
        let is_of_here = |(_, tracker): &(ItemRef, Tracker)| tracker.repo.eq_ignore_ascii_case(&repo);
        if !issues.is_empty() && !memory.held.iter().all(is_of_here) {
            // It has another name now, and what is held goes by the former one.
            return None;
        }
        if !memory.held.is_empty() && memory.is_public() == is_private {
            // Who may see the repository changed: that goes for all that is held too.
            return None;
        }
        let scope = self.scope(&repo, is_private);
        let mut came = 0;
        for issue in issues {
            let number = issue.number;
            if let Some(item) = self.tracker(&repo, issue, &scope) {
                others.remove(&number);
                came += u64::from(held.remove(&number).is_none());
                upserts.push(item);
            } else {
                removals.extend(held.remove(&number).cloned());
                others.insert(number);
            }
        }
        let stayed = upserts.len() as u64 - came + held.len() as u64;
        if total.is_some_and(|total| stayed + came + others.len() as u64 != total) {
            return None;
        }
        let cursor = Cursor { full_at: cursor.full_at, since: self.next_since(), others };
        Some(self.delta(upserts, removals, Others::Stay, &cursor))
    }

    fn everything(&self, found: LabelledIssues) -> Delta {
        let LabelledIssues { repo, is_private, issues, .. } = found;
        let scope = self.scope(&repo, is_private);
        let mut others = BTreeSet::new();
        let mut upserts = Vec::new();
        for issue in issues {
            let number = issue.number;
            match self.tracker(&repo, issue, &scope) {
                Some(item) => upserts.push(item),
                None => drop(others.insert(number)),
            }
        }
        let cursor = Cursor { full_at: self.started, since: self.next_since(), others };
        self.delta(upserts, Vec::new(), Others::Go, &cursor)
    }

    fn delta(&self, upserts: Vec<NewItem>, removals: Vec<ItemRef>, others: Others, cursor: &Cursor) -> Delta {
        let way = Way {
            way: WayIn::Api,
            as_of: self.started,
            manifest: self.noted.manifest.clone(),
            pulled_at: self.noted.pulled_at,
        };
        Delta {
            upserts,
            removals,
            others,
            cursor: Memory::written(Some(cursor)),
            body: body(&way),
            warnings: self.noted.warnings.clone(),
            ..Delta::default()
        }
    }

    /// From when on changes are asked for the next time: by GitHub's clock, whose they bear.
    fn next_since(&self) -> Time {
        self.github.theirs(self.started).minus(OVERLAP)
    }

    fn scope(&self, repo: &str, is_private: bool) -> Scope {
        if is_private {
            Scope::Repo(format!("{}/{}", self.github.host(), repo.to_lowercase()).into())
        } else {
            Scope::Public
        }
    }

    /// The issue as an item, if it is such a tracker.
    fn tracker(&self, repo: &str, issue: Issue, scope: &Scope) -> Option<NewItem> {
        let has = |label: &String| issue.labels.iter().any(|other| other.eq_ignore_ascii_case(label));
        // Labels are told where several were asked for; a single one was GitHub's own condition.
        let has_labels = self.of.labels.len() < 2 || self.of.labels.iter().all(has);
        let titled = self.of.read(&issue.title).filter(|_| has_labels && !issue.is_pull_request)?;
        let tracker = Tracker {
            repo: repo.to_owned(),
            number: issue.number,
            kind: self.of.name.clone(),
            title: issue.title,
            name: titled.name,
            version: titled.version,
            codename: titled.codename,
            state: if issue.is_open { TrackerState::Open } else { TrackerState::Closed },
            created_at: issue.created_at,
            closed_at: issue.closed_at.filter(|_| !issue.is_open),
            url: issue.url,
        };
        Some(tracker.into_item(self.github.host(), scope.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_list_is_read_whole_less_often_and_once_a_day_at_the_least() {
        let hours = |calls| full_every(calls).as_secs() / 3600;
        assert_eq!([1, 2, 3, 11, 12, 13, 200].map(|calls| hours(Some(calls))), [0, 4, 6, 22, 24, 24, 24]);
        assert_eq!(hours(None), 24);
    }
}
