//! The fields a query starts from.

use std::sync::Arc;

use async_graphql::{Context, ID, Interface, Object, Result};
use jiff::Timestamp;

use super::account::{Organization, RepositoryOwner, User};
use super::repository::Repository;
use super::values::{DateTime, RateLimit, int};
use super::{Failure, Sight};
use crate::world::{self, Owner, OwnerKind};

/// The schema's root.
pub(crate) struct Query;

/// Whatever has a global id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID"))]
pub(crate) enum Node {
    Repository(Repository),
    User(User),
    Organization(Organization),
}

#[Object]
impl Query {
    async fn repository(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "Some(true)")] follow_renames: Option<bool>,
        name: String,
        owner: String,
    ) -> Result<Option<Repository>> {
        let sight = Sight::of(ctx)?;
        let full_name = format!("{owner}/{name}");
        match sight.find(&full_name, follow_renames.unwrap_or(true)) {
            Ok(found) => Ok(Some(Repository(found))),
            Err(failure) => {
                failure.note(ctx);
                Ok(None)
            }
        }
    }

    /// Unlike `user` and `organization`, GitHub answers a login that nobody has with null and no error.
    async fn repository_owner(&self, ctx: &Context<'_>, login: String) -> Result<Option<RepositoryOwner>> {
        Ok(Sight::of(ctx)?.world.owner(&login).cloned().map(RepositoryOwner::from))
    }

    async fn user(&self, ctx: &Context<'_>, login: String) -> Result<Option<User>> {
        let owner = Sight::of(ctx)?.world.owner(&login).filter(|owner| owner.kind == OwnerKind::User);
        if owner.is_none() {
            Failure::not_found(format!("Could not resolve to a User with the login of '{login}'.")).note(ctx);
        }
        Ok(owner.cloned().map(User))
    }

    async fn organization(&self, ctx: &Context<'_>, login: String) -> Result<Option<Organization>> {
        let owner = Sight::of(ctx)?.world.owner(&login).filter(|owner| owner.kind == OwnerKind::Organization);
        if owner.is_none() {
            Failure::not_found(format!("Could not resolve to an Organization with the login of '{login}'."))
                .note(ctx);
        }
        Ok(owner.cloned().map(Organization))
    }

    async fn viewer(&self, ctx: &Context<'_>) -> Result<User> {
        let sight = Sight::of(ctx)?;
        let login = sight.token.login.as_str();
        Ok(User(sight.world.owner(login).cloned().unwrap_or_else(|| Owner::user(login))))
    }

    async fn rate_limit(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "Some(false)")] dry_run: Option<bool>,
    ) -> Result<Option<RateLimit>> {
        let _ = dry_run;
        let sight = Sight::of(ctx)?;
        Ok(Some(RateLimit {
            cost: int(sight.cost),
            limit: int(sight.rate.limit),
            node_count: int(sight.nodes),
            remaining: int(sight.rate.remaining()),
            reset_at: DateTime::from(Timestamp::from_second(sight.rate.reset_s)?),
            used: int(sight.rate.used),
        }))
    }

    async fn node(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Node>> {
        node(ctx, &id)
    }

    async fn nodes(&self, ctx: &Context<'_>, ids: Vec<ID>) -> Result<Vec<Option<Node>>> {
        ids.iter().map(|id| node(ctx, id)).collect()
    }
}

fn node(ctx: &Context<'_>, id: &ID) -> Result<Option<Node>> {
    let sight = Sight::of(ctx)?;
    let found = sight.world.by_node_id(id.as_str());
    let node = match found {
        Some(world::Found::Repository(repository)) if sight.shows(&repository) => {
            Some(Node::Repository(Repository(repository)))
        }
        Some(world::Found::Owner(owner)) => Some(match owner.kind {
            OwnerKind::User => Node::User(User(owner)),
            OwnerKind::Organization => Node::Organization(Organization(owner)),
        }),
        _ => None,
    };
    if node.is_none() {
        Failure::not_found(format!("Could not resolve to a node with the global id of '{}'", id.as_str()))
            .note(ctx);
    }
    Ok(node)
}

impl Sight {
    /// Finds what may be seen under a name. What may not be seen, or has moved when renames are not followed, does
    /// not exist.
    fn find(
        &self,
        full_name: &str,
        follow_renames: bool,
    ) -> std::result::Result<Arc<world::Repository>, Failure> {
        if let Some(failure) = self.struck(full_name) {
            return Err(failure);
        }
        let found = self.world.repository(full_name).filter(|one| self.shows(one));
        let found = found.filter(|one| follow_renames || one.full_name.eq_ignore_ascii_case(full_name));
        match found {
            Some(one) if one.blocked.is_some() => {
                Err(Failure { kind: Some("FORBIDDEN"), message: "Repository access blocked".to_owned() })
            }
            Some(one) => Ok(Arc::clone(one)),
            None => Err(Failure::not_found(format!(
                "Could not resolve to a Repository with the name '{full_name}'."
            ))),
        }
    }
}
