//! Who owns repositories, and who asks: users, organisations and the tokens that stand for them.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids;

/// A user or an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The login, in the case it is shown in.
    pub login: String,
    /// Whether a person or an organisation.
    pub kind: OwnerKind,
    /// The display name.
    pub name: Option<String>,
    /// The number REST calls `id`.
    pub id: u64,
}

/// The two kinds of owner; they answer at different addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnerKind {
    /// A person.
    User,
    /// An organisation.
    Organization,
}

/// What a token stands for. The token's own text is the key it is kept under, and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The user it belongs to: limits are theirs, whichever of their tokens is used.
    pub login: String,
    /// A classic token's scopes, told in `x-oauth-scopes`; none for a fine-grained one.
    pub scopes: Option<Vec<String>>,
    /// The private repositories it may see.
    pub sees: Sees,
    /// What it may not read of them, though it sees them.
    pub lacks: BTreeSet<Permission>,
}

/// A permission that an owner gives to a fine-grained token or an app, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// `Contents: read`: files and releases.
    Contents,
    /// `Issues: read`.
    Issues,
}

/// Which private repositories a token may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sees {
    /// Public ones alone.
    #[default]
    Public,
    /// Every one.
    Everything,
    /// These, by full name in lower case.
    These(BTreeSet<String>),
}

impl Owner {
    /// A person.
    pub fn user(login: &str) -> Self {
        Self::of_kind(login, OwnerKind::User)
    }

    /// An organisation.
    pub fn organization(login: &str) -> Self {
        Self::of_kind(login, OwnerKind::Organization)
    }

    fn of_kind(login: &str, kind: OwnerKind) -> Self {
        Self { login: login.to_owned(), kind, name: None, id: ids::number_of(login) }
    }

    /// The opaque global id.
    pub fn node_id(&self) -> String {
        match self.kind {
            OwnerKind::User => ids::node_id("U", self.id),
            OwnerKind::Organization => ids::node_id("O", self.id),
        }
    }
}

impl fmt::Display for OwnerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "User",
            Self::Organization => "Organization",
        })
    }
}

impl Token {
    /// A classic token of this user that sees public repositories alone.
    pub fn of(login: &str) -> Self {
        Self {
            login: login.to_owned(),
            scopes: Some(vec!["public_repo".to_owned()]),
            sees: Sees::Public,
            lacks: BTreeSet::new(),
        }
    }

    /// Lets it see every private repository, with the `repo` scope.
    #[must_use]
    pub fn seeing_everything(mut self) -> Self {
        self.scopes = Some(vec!["read:org".to_owned(), "repo".to_owned()]);
        self.sees = Sees::Everything;
        self
    }

    /// Makes it a fine-grained token (no scopes told) that sees these private repositories.
    #[must_use]
    pub fn seeing(mut self, full_names: &[&str]) -> Self {
        self.scopes = None;
        self.sees = Sees::These(full_names.iter().map(|name| name.to_ascii_lowercase()).collect());
        self
    }

    /// Takes a permission from it, which makes it a fine-grained token: of public repositories it reads all the
    /// same, of private ones that part is refused.
    #[must_use]
    pub fn lacking(mut self, permission: Permission) -> Self {
        self.scopes = None;
        self.lacks.insert(permission);
        self
    }

    pub(crate) fn may_see_private(&self, full_name: &str) -> bool {
        match &self.sees {
            Sees::Public => false,
            Sees::Everything => true,
            Sees::These(names) => names.contains(&full_name.to_ascii_lowercase()),
        }
    }
}
