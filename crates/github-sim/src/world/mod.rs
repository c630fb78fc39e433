//! The state behind the simulator: who exists, what they own, what it was once called, and which tokens work.

mod account;
mod colours;
mod demo;
mod files;
pub(crate) mod ids;
mod issue;
mod issues;
mod ranking;
mod repository;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use account::{Owner, OwnerKind, Permission, Sees, Token};
pub use demo::DemoCluster;
pub(crate) use files::{File, Files, blob_id};
pub use issue::Issue;
pub use ranking::RankingError;
pub use repository::{Block, Language, License, Release, Repository};

/// What a global id led to.
pub(crate) enum Found {
    Repository(Arc<Repository>),
    Owner(Owner),
}

/// A small GitHub. Cheap to clone: repositories are shared until changed.
///
/// ```
/// use larder_github_sim::{Owner, Repository, Token, World};
///
/// let mut world = World::new();
/// world.add_owner(Owner::organization("octo-org"));
/// world.add(Repository { stars: 7, ..Repository::new("octo-org/kiln") });
/// world.add_token("a-token", Token::of("octocat"));
/// world.rename("octo-org/kiln", "octo-org/furnace");
/// assert_eq!(world.repository("octo-org/kiln").map(|found| found.full_name.as_str()), Some("octo-org/furnace"));
/// ```
#[derive(Clone, Default)]
pub struct World {
    /// By login in lower case.
    owners: BTreeMap<String, Owner>,
    repositories: BTreeMap<u64, Arc<Repository>>,
    /// Full name in lower case to id.
    names: BTreeMap<String, u64>,
    /// Former full name in lower case to id.
    former_names: BTreeMap<String, u64>,
    /// The repository's id to its issues, for those that keep more than a count.
    issues: BTreeMap<u64, Arc<BTreeMap<u64, Issue>>>,
    /// The repository's id to its files, for those that were pushed to.
    files: BTreeMap<u64, Arc<Files>>,
    tokens: BTreeMap<String, Token>,
    any_token: Option<Token>,
}

impl World {
    /// An empty world: no owners, no repositories, no tokens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an owner, or replaces the one of the same login.
    pub fn add_owner(&mut self, owner: Owner) -> &mut Self {
        self.owners.insert(owner.login.to_ascii_lowercase(), owner);
        self
    }

    /// Adds a repository, or replaces the one of the same name. An owner nobody added before becomes a user, and
    /// an id that is missing or taken is made from the name.
    pub fn add(&mut self, repository: Repository) -> &mut Self {
        let lower = repository.full_name.to_ascii_lowercase();
        if let Some(previous) = self.names.remove(&lower) {
            self.repositories.remove(&previous);
        }
        let login = repository.owner().to_owned();
        self.owners.entry(login.to_ascii_lowercase()).or_insert_with(|| Owner::user(&login));

        let taken = |id: u64| id == 0 || self.repositories.contains_key(&id);
        let mut number =
            if repository.id == 0 { ids::number_of(&repository.full_name) } else { repository.id };
        while taken(number) {
            number += 1;
        }
        let clashed = repository.id != 0 && repository.id != number;
        let repository =
            if clashed { Repository { id: 0, node_id: String::new(), ..repository } } else { repository };
        self.names.insert(lower.clone(), number);
        self.former_names.remove(&lower);
        self.repositories.insert(number, Arc::new(repository.identified(number)));
        self
    }

    /// Adds a token that works.
    pub fn add_token(&mut self, text: &str, token: Token) -> &mut Self {
        self.tokens.insert(text.to_owned(), token);
        self
    }

    /// Makes every token that is not known work as this one, for trying things by hand.
    pub fn accept_any_token(&mut self, token: Token) -> &mut Self {
        self.any_token = Some(token);
        self
    }

    /// Takes back a token: it is answered by 401 from now on.
    pub fn revoke_token(&mut self, text: &str) -> bool {
        self.tokens.remove(text).is_some()
    }

    /// Renames or transfers a repository; its former name leads to it until another takes that name. False when
    /// there is none of the first name, or the second is taken.
    pub fn rename(&mut self, from: &str, to: &str) -> bool {
        let (from, lower) = (from.to_ascii_lowercase(), to.to_ascii_lowercase());
        let Some(id) = self.names.get(&from).copied() else { return false };
        if self.names.get(&lower).is_some_and(|other| *other != id) || !to.contains('/') {
            return false;
        }
        self.names.remove(&from);
        if let Some(kept) = self.repositories.remove(&id) {
            let renamed = Repository {
                full_name: to.to_owned(),
                url: format!("https://github.com/{to}"),
                ..Arc::unwrap_or_clone(kept)
            };
            self.add(renamed);
        }
        if from != lower {
            self.former_names.insert(from, id);
        }
        true
    }

    /// Changes a repository in place (its identity stays). False when there is none of that name.
    pub fn edit(&mut self, full_name: &str, change: impl FnOnce(&mut Repository)) -> bool {
        let Some(id) = self.names.get(&full_name.to_ascii_lowercase()).copied() else { return false };
        let Some(kept) = self.repositories.get_mut(&id) else { return false };
        let repository = Arc::make_mut(kept);
        let identity = (repository.id, repository.node_id.clone(), repository.full_name.clone());
        change(repository);
        (repository.id, repository.node_id, repository.full_name) = identity;
        true
    }

    /// Deletes a repository: not found from now on, by no name.
    pub fn remove(&mut self, full_name: &str) -> bool {
        let Some(id) = self.names.remove(&full_name.to_ascii_lowercase()) else { return false };
        self.former_names.retain(|_, former| *former != id);
        self.issues.remove(&id);
        self.files.remove(&id);
        self.repositories.remove(&id).is_some()
    }

    /// The repository of this name, or that once had it.
    pub fn repository(&self, full_name: &str) -> Option<&Arc<Repository>> {
        let lower = full_name.to_ascii_lowercase();
        let id = self.names.get(&lower).or_else(|| self.former_names.get(&lower))?;
        self.repositories.get(id)
    }

    /// The repository with this number.
    pub fn repository_by_id(&self, id: u64) -> Option<&Arc<Repository>> {
        self.repositories.get(&id)
    }

    /// Every repository, in the order of their lower-cased names.
    pub fn repositories(&self) -> impl Iterator<Item = &Arc<Repository>> {
        self.names.values().filter_map(|id| self.repositories.get(id))
    }

    /// The repositories of an owner, in the order of their lower-cased names.
    pub fn repositories_of(&self, login: &str) -> impl Iterator<Item = &Arc<Repository>> {
        let start = format!("{}/", login.to_ascii_lowercase());
        let end = format!("{}0", login.to_ascii_lowercase()); // `0` follows `/`
        self.names.range(start..end).filter_map(|(_, id)| self.repositories.get(id))
    }

    /// The owner of this login.
    pub fn owner(&self, login: &str) -> Option<&Owner> {
        self.owners.get(&login.to_ascii_lowercase())
    }

    /// The owner with this number.
    pub(crate) fn owner_by_id(&self, id: u64) -> Option<&Owner> {
        self.owners.values().find(|owner| owner.id == id)
    }

    /// Whatever has this global id.
    pub(crate) fn by_node_id(&self, id: &str) -> Option<Found> {
        let owner = || self.owners.values().find(|owner| owner.node_id() == id).cloned().map(Found::Owner);
        let mut repositories = self.repositories.values();
        let repository = repositories.find(|one| one.node_id == id).map(Arc::clone).map(Found::Repository);
        repository.or_else(owner)
    }

    /// Whom a token stands for; none when it does not work.
    pub(crate) fn token(&self, text: &str) -> Option<&Token> {
        self.tokens.get(text).or(self.any_token.as_ref())
    }

    /// What somebody may see of a repository: private ones are hidden from all tokens but those named.
    pub(crate) fn shown(token: Option<&Token>, repository: &Repository) -> bool {
        !repository.is_private || token.is_some_and(|token| token.may_see_private(&repository.full_name))
    }

    /// Whether somebody who sees a repository may read this part of it.
    pub(crate) fn lets_read(token: Option<&Token>, repository: &Repository, part: Permission) -> bool {
        !repository.is_private || token.is_none_or(|token| !token.lacks.contains(&part))
    }
}

/// Names no token: they are secrets even here, where they are make-believe.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("owners", &self.owners.len())
            .field("repositories", &self.repositories.len())
            .field("former_names", &self.former_names)
            .field("tokens", &self.tokens.len())
            .finish_non_exhaustive()
    }
}
