//! `User` and `Organization`, their repositories, and the interface the two share.

use std::cmp::Ordering;
use std::sync::Arc;

use async_graphql::{Context, ID, Interface, Object, Result};

use super::Sight;
use super::page::Bounds;
use super::repository::RepositoryConnection;
use super::values::{
    OrderDirection, RepositoryAffiliation, RepositoryOrder, RepositoryOrderField, RepositoryPrivacy,
    RepositoryVisibility, Uri, int,
};
use crate::world::{Owner, OwnerKind, Repository};

/// A person.
pub(crate) struct User(pub(crate) Owner);

/// An organisation.
pub(crate) struct Organization(pub(crate) Owner);

/// Whoever owns repositories.
#[derive(Interface)]
#[expect(clippy::duplicated_attributes, reason = "arguments of one type look alike to the lint")]
#[graphql(
    field(name = "id", ty = "ID"),
    field(name = "login", ty = "String"),
    field(name = "url", ty = "Uri"),
    field(name = "avatar_url", ty = "Uri", arg(name = "size", ty = "Option<i32>")),
    field(
        name = "repositories",
        ty = "RepositoryConnection",
        arg(name = "affiliations", ty = "Option<Vec<Option<RepositoryAffiliation>>>"),
        arg(name = "after", ty = "Option<String>"),
        arg(name = "before", ty = "Option<String>"),
        arg(name = "first", ty = "Option<i32>"),
        arg(name = "is_archived", ty = "Option<bool>"),
        arg(name = "is_fork", ty = "Option<bool>"),
        arg(name = "last", ty = "Option<i32>"),
        arg(name = "order_by", ty = "Option<RepositoryOrder>"),
        arg(
            name = "owner_affiliations",
            ty = "Option<Vec<Option<RepositoryAffiliation>>>",
            default_with = "Some(vec![Some(RepositoryAffiliation::Owner), Some(RepositoryAffiliation::Collaborator)])"
        ),
        arg(name = "privacy", ty = "Option<RepositoryPrivacy>"),
        arg(name = "visibility", ty = "Option<RepositoryVisibility>"),
    )
)]
pub(crate) enum RepositoryOwner {
    User(User),
    Organization(Organization),
}

impl From<Owner> for RepositoryOwner {
    fn from(owner: Owner) -> Self {
        match owner.kind {
            OwnerKind::User => Self::User(User(owner)),
            OwnerKind::Organization => Self::Organization(Organization(owner)),
        }
    }
}

/// Both kinds answer alike; the schema wants two types.
macro_rules! account {
    ($account:ident) => {
        #[Object]
        #[expect(clippy::too_many_arguments, reason = "the arguments are those of GitHub's schema")]
        impl $account {
            pub(crate) async fn id(&self) -> ID {
                ID(self.0.node_id())
            }

            async fn database_id(&self) -> Option<i32> {
                Some(int(self.0.id))
            }

            async fn login(&self) -> String {
                self.0.login.clone()
            }

            async fn name(&self) -> Option<&str> {
                self.0.name.as_deref()
            }

            async fn url(&self) -> Uri {
                Uri(format!("https://github.com/{}", self.0.login))
            }

            async fn avatar_url(&self, size: Option<i32>) -> Uri {
                let size = size.map_or_else(String::new, |size| format!("s={size}&"));
                Uri(format!("https://avatars.githubusercontent.com/u/{}?{size}v=4", self.0.id))
            }

            async fn repositories(
                &self,
                ctx: &Context<'_>,
                affiliations: Option<Vec<Option<RepositoryAffiliation>>>,
                after: Option<String>,
                before: Option<String>,
                first: Option<i32>,
                is_archived: Option<bool>,
                is_fork: Option<bool>,
                last: Option<i32>,
                order_by: Option<RepositoryOrder>,
                #[graphql(default_with = "Some(vec![Some(RepositoryAffiliation::Owner), Some(RepositoryAffiliation::Collaborator)])")] owner_affiliations: Option<
                    Vec<Option<RepositoryAffiliation>>,
                >,
                privacy: Option<RepositoryPrivacy>,
                visibility: Option<RepositoryVisibility>,
            ) -> Result<RepositoryConnection> {
                let private = match (privacy, visibility) {
                    (Some(privacy), _) => Some(privacy == RepositoryPrivacy::Private),
                    (None, Some(visibility)) => Some(visibility != RepositoryVisibility::Public),
                    (None, None) => None,
                };
                let owned = [&affiliations, &owner_affiliations]
                    .into_iter()
                    .flatten()
                    .all(|kinds| kinds.is_empty() || kinds.contains(&Some(RepositoryAffiliation::Owner)));
                let wanted = Wanted { owned, private, is_archived, is_fork, order_by };
                wanted.repositories(Sight::of(ctx)?, &self.0, &Bounds { after, before, first, last })
            }
        }
    };
}

account!(User);
account!(Organization);

/// Which of an owner's repositories are asked for, in what order.
struct Wanted {
    owned: bool,
    private: Option<bool>,
    is_archived: Option<bool>,
    is_fork: Option<bool>,
    order_by: Option<RepositoryOrder>,
}

impl Wanted {
    fn repositories(self, sight: &Sight, owner: &Owner, bounds: &Bounds) -> Result<RepositoryConnection> {
        let mut found: Vec<Arc<Repository>> = sight
            .world
            .repositories_of(&owner.login)
            .filter(|one| self.owned && sight.shows(one) && self.fits(one))
            .cloned()
            .collect();
        found.sort_by(|one, other| self.compared(one, other));
        Ok(bounds.page(found, |one| one.node_id.clone())?.into())
    }

    fn fits(&self, one: &Repository) -> bool {
        let is = |wanted: Option<bool>, value: bool| wanted.is_none_or(|wanted| wanted == value);
        is(self.private, one.is_private)
            && is(self.is_archived, one.is_archived)
            && is(self.is_fork, one.is_fork)
    }

    fn compared(&self, one: &Repository, other: &Repository) -> Ordering {
        let Some(order) = self.order_by else { return one.id.cmp(&other.id) };
        let ascending = match order.field {
            RepositoryOrderField::CreatedAt => one.created_at.cmp(&other.created_at),
            RepositoryOrderField::Name => one.name().to_lowercase().cmp(&other.name().to_lowercase()),
            RepositoryOrderField::PushedAt => one.pushed_at.cmp(&other.pushed_at),
            RepositoryOrderField::Stargazers => one.stars.cmp(&other.stars),
            RepositoryOrderField::UpdatedAt => one.updated_at.cmp(&other.updated_at),
        };
        let directed = if order.direction == OrderDirection::Asc { ascending } else { ascending.reverse() };
        directed.then(one.id.cmp(&other.id))
    }
}
