//! Who waits for which repositories: each entry is answered as soon as all of its own are.

use std::collections::HashMap;
use std::sync::Arc;

use larder_core::{
    Absence, Answer, Answers, Ask, Coverage, FetchError, Fetched, Finding, Listing, Validators, Warning,
};
use larder_domain::Repository;

use super::{ClustersSource, missing};
use crate::github::{Errand, Found};

/// Entries that wait, and what was found so far.
pub(super) struct Tally<'a> {
    source: &'a ClustersSource,
    answers: &'a Answers,
    errand: &'a Errand,
    coverage: Coverage,
    waiting: Vec<Waiting<'a>>,
    found: HashMap<Arc<str>, Found>,
    /// What the answers that follow can be revalidated with.
    pub(super) validators: Validators,
}

struct Waiting<'a> {
    ask: &'a Ask,
    names: Vec<Arc<str>>,
    left: usize,
    /// Whose repositories these must be.
    owner: Option<&'a str>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(source: &'a ClustersSource, answers: &'a Answers, errand: &'a Errand) -> Self {
        Tally {
            source,
            answers,
            errand,
            coverage: source.coverage(),
            waiting: Vec::new(),
            found: HashMap::new(),
            validators: Validators::default(),
        }
    }

    /// An entry waits for these names; one that waits for none is answered at once. With an owner,
    /// it is what he has in no cluster: a repository that went to another owner is not there any more,
    /// nor one that a cluster asks for.
    pub(super) fn wait(&mut self, ask: &'a Ask, names: Vec<Arc<str>>, owner: Option<&'a str>) {
        let waiting = Waiting { ask, left: names.len(), names, owner };
        if waiting.left == 0 {
            self.answer(&waiting);
        } else {
            self.waiting.push(waiting);
        }
    }

    /// All names that are waited for and not found yet, each once, in the order asked.
    pub(super) fn wanted(&self) -> Vec<Arc<str>> {
        let mut seen = std::collections::HashSet::new();
        let all = self.waiting.iter().flat_map(|waiting| &waiting.names);
        all.filter(|name| !self.found.contains_key(*name) && seen.insert(*name)).cloned().collect()
    }

    /// What was found under a name, if that was asked.
    pub(super) fn found(&self, name: &str) -> Option<&Found> {
        self.found.get(name)
    }

    /// What was found under one name. Entries that waited for nothing else are answered.
    pub(super) fn put(&mut self, name: &str, found: Found) {
        if self.found.contains_key(name) {
            return;
        }
        self.source.learn_of(name, &found);
        self.found.insert(name.into(), found);
        for waiting in &mut self.waiting {
            if waiting.names.iter().any(|wanted| &**wanted == name) {
                waiting.left -= 1;
            }
        }
        let (done, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.left == 0);
        self.waiting = waiting;
        let done: Vec<Waiting<'a>> = done;
        for waiting in &done {
            self.answer(waiting);
        }
    }

    /// An entry that was answered by other means waits no more.
    pub(super) fn forget(&mut self, key: &larder_core::Key) {
        self.waiting.retain(|waiting| waiting.ask.key != *key);
    }

    /// A name that no repository can have.
    pub(super) fn put_odd(&mut self, name: &str) {
        let absence = Absence::new("not_found", format!("`{name}` cannot be a repository's name"));
        self.put(name, Found::Absent(absence));
    }

    /// No name that is still waited for will be answered.
    pub(super) fn give_up(&mut self, error: &FetchError) {
        for name in self.wanted() {
            self.put(&name, Found::Unknown(error.clone()));
        }
    }

    fn answer(&self, waiting: &Waiting<'_>) {
        let answer = self.listing(waiting).map(Fetched::Items);
        self.answers.send(&waiting.ask.key, answer, self.errand.take_spent());
    }

    /// The answer to one entry; an error if nothing at all was answered.
    fn listing(&self, waiting: &Waiting<'_>) -> Result<Listing, FetchError> {
        let public_only = self.coverage == Coverage::Partial;
        let mut listing = Listing { validators: self.validators.clone(), public_only, ..Listing::default() };
        let mut first_error = None;
        for name in &waiting.names {
            if waiting.owner.is_some() && self.is_in_cluster(name) {
                listing.elsewhere.push(name.clone());
                continue;
            }
            let finding = self.finding(name, waiting.owner);
            if let Finding::Unknown(error) = &finding {
                first_error.get_or_insert_with(|| error.clone());
            }
            if matches!(finding, Finding::Present(_)) {
                listing.warnings.extend(self.warnings(name));
            }
            listing.answers.push(Answer { asked: name.clone(), finding });
        }
        let nothing = listing.answers.iter().all(|answer| matches!(answer.finding, Finding::Unknown(_)));
        if let (true, Some(error)) = (nothing, first_error) {
            return Err(error);
        }
        // A retry of some names goes beside warnings that stand already.
        let is_all = waiting.ask.subset.is_none();
        if public_only && is_all && !listing.answers.is_empty() {
            listing.warnings.push(needs_token(waiting.ask.key.as_str()));
        }
        Ok(listing)
    }

    fn is_in_cluster(&self, name: &str) -> bool {
        let found = self.found.get(name).and_then(Found::repository);
        found.is_some_and(|repository| self.source.is_in_cluster(&repository.full_name))
    }

    /// What is said besides of a repository that is there.
    fn warnings(&self, name: &str) -> Vec<Warning> {
        match self.found.get(name) {
            Some(Found::Here(repository)) => renamed(name, repository).into_iter().collect(),
            Some(Found::InPart(repository, withheld)) => {
                let missing = missing::of_member(name, withheld);
                renamed(name, repository).into_iter().chain([missing]).collect()
            }
            Some(Found::Absent(_) | Found::Unknown(_)) | None => Vec::new(),
        }
    }

    fn finding(&self, name: &str, owner: Option<&str>) -> Finding {
        let here = |repository: &Repository, coverage| match owner {
            Some(owner) if !repository.owner.eq_ignore_ascii_case(owner) => {
                let message = format!("`{name}` moved to `{}`", repository.full_name);
                Finding::Absent(Absence::new("moved", message))
            }
            _ => present(repository, coverage, &repository.host),
        };
        match self.found.get(name) {
            Some(Found::Here(repository)) => here(repository, self.coverage),
            // What was known before of a part that is withheld stays.
            Some(Found::InPart(repository, _)) => here(repository, Coverage::Partial),
            Some(Found::Absent(absence)) => Finding::Absent(absence.clone()),
            Some(Found::Unknown(error)) => Finding::Unknown(error.clone()),
            None => Finding::Unknown(FetchError::Local(format!("`{name}` was not asked for"))),
        }
    }
}

/// A repository as a finding.
pub(super) fn present(repository: &Repository, coverage: Coverage, host: &str) -> Finding {
    match repository.item(coverage) {
        Ok(item) => Finding::Present(item),
        Err(error) => {
            let detail = format!("`{}` cannot be kept: {error}", repository.full_name);
            Finding::Unknown(FetchError::Unusable { host: host.to_owned(), detail })
        }
    }
}

/// What is said of a repository that answered under another name than it was asked for.
fn renamed(asked: &str, repository: &Repository) -> Option<Warning> {
    let is_same = repository.full_name.eq_ignore_ascii_case(asked);
    (!is_same).then(|| Warning {
        about: asked.to_owned(),
        code: "renamed".to_owned(),
        message: format!("`{asked}` is now `{}`; update larder.toml", repository.full_name),
    })
}

/// What an answer without a token lacks.
pub(super) fn needs_token(about: &str) -> Warning {
    Warning {
        about: about.to_owned(),
        code: "needs_token".to_owned(),
        message: "without a token GitHub tells no language shares, releases or open issues, hides private \
                  repositories and answers 60 calls an hour; GITHUB_TOKEN (for a \
                  server of your own GH_ENTERPRISE_TOKEN) brings all of that and 5,000"
            .to_owned(),
    }
}
