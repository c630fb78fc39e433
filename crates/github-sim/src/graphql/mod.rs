//! GraphQL: GitHub's public schema as far as Larder asks of it, under GitHub's own names, and its way of failing:
//! an error's `type` stands beside its message, and one repository's error leaves the others good.

mod account;
pub(crate) mod cost;
#[expect(clippy::unused_async, reason = "the macro wants resolvers to be async")]
mod issues;
mod object;
mod page;
#[expect(clippy::unused_async, reason = "the macro wants resolvers to be async")]
mod repository;
#[expect(clippy::unused_async, reason = "the macro wants resolvers to be async")]
mod root;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_graphql::{
    Context, EmptyMutation, EmptySubscription, ErrorExtensionValues, Request, ServerError, Variables,
};
use serde_json::{Map, Value, json};

use crate::answer::{Answer, NOT_ACCESSIBLE};
use crate::arrival::GraphqlCall;
use crate::limits::Rate;
use crate::switches::{Partial, PartialError};
use crate::world::{Permission, Repository, Token, World};
use root::Query;

/// The schema, made once.
pub(crate) struct Schema(async_graphql::Schema<Query, EmptyMutation, EmptySubscription>);

/// What one query may see, and what it is told of its own cost.
pub(crate) struct Sight {
    pub(crate) world: Arc<World>,
    pub(crate) token: Token,
    pub(crate) rate: Rate,
    pub(crate) cost: u64,
    pub(crate) nodes: u64,
    pub(crate) partial: Partial,
    /// How many `repository` fields were resolved so far.
    pub(crate) asked: AtomicU32,
    pub(crate) number: u64,
}

impl Schema {
    pub(crate) fn new() -> Self {
        Self(async_graphql::Schema::build(Query, EmptyMutation, EmptySubscription).finish())
    }

    /// The schema as text, for checking it against GitHub's own.
    pub(crate) fn sdl(&self) -> String {
        self.0.sdl()
    }

    /// Runs a call. Errors of the query itself come back with HTTP 200, like everything GraphQL says.
    pub(crate) async fn run(&self, call: &GraphqlCall, sight: Sight) -> Answer {
        let mut request =
            Request::new(&call.query).variables(Variables::from_json(call.variables.clone())).data(sight);
        if let Some(name) = &call.operation {
            request = request.operation_name(name);
        }
        let response = self.0.execute(request).await;
        let body = serde_json::to_value(&response).map_or_else(|_| json!({"data": null}), github_words);
        Answer::json(200, &body)
    }
}

impl Sight {
    /// The sight of the query being resolved.
    pub(crate) fn of<'a>(ctx: &Context<'a>) -> async_graphql::Result<&'a Self> {
        ctx.data::<Self>()
    }

    pub(crate) fn shows(&self, repository: &Repository) -> bool {
        World::shown(Some(&self.token), repository)
    }

    /// Refuses this part of a repository to a token that lacks the permission.
    pub(crate) fn permits(&self, repository: &Repository, part: Permission) -> Result<(), Failure> {
        if World::lets_read(Some(&self.token), repository, part) {
            return Ok(());
        }
        Err(Failure { kind: Some("FORBIDDEN"), message: NOT_ACCESSIBLE.to_owned() })
    }

    /// The error that leaves this repository out, when the switches want one.
    fn struck(&self, full_name: &str) -> Option<Failure> {
        let place = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.partial.strikes(full_name, place) {
            return None;
        }
        Some(match self.partial.error {
            PartialError::ResourceLimits => Failure {
                kind: Some("RESOURCE_LIMITS_EXCEEDED"),
                message: "Resource limits for this query exceeded.".to_owned(),
            },
            PartialError::Internal => Failure {
                kind: None,
                message: format!(
                    "Something went wrong while executing your query. Please include `{}` when reporting this issue.",
                    crate::answer::request_id(self.number)
                ),
            },
        })
    }
}

/// An error of one field, which becomes null, or makes what it is a field of so.
pub(crate) struct Failure {
    pub(crate) kind: Option<&'static str>,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn not_found(message: String) -> Self {
        Self { kind: Some("NOT_FOUND"), message }
    }

    /// Notes the error on the field being resolved.
    pub(crate) fn note(self, ctx: &Context<'_>) {
        let mut error = ServerError::new(self.message, Some(ctx.item.pos));
        error.extensions = extensions(self.kind);
        ctx.add_error(ctx.set_error_path(error));
    }

    /// The error of a field that cannot be null.
    pub(crate) fn of_whole(self) -> async_graphql::Error {
        async_graphql::Error { extensions: extensions(self.kind), ..async_graphql::Error::new(self.message) }
    }
}

/// What stands beside the message; GitHub says of a refusal whether signing in again would help.
fn extensions(kind: Option<&'static str>) -> Option<ErrorExtensionValues> {
    let kind = kind?;
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("type", kind);
    if kind == "FORBIDDEN" {
        extensions.set("saml_failure", false);
    }
    Some(extensions)
}

/// Puts each error into GitHub's shape (`type`, `path`, `extensions`, `locations`, `message`); a query that was refused as a whole
/// has no `data`.
fn github_words(mut body: Value) -> Value {
    spread_null(&mut body);
    let Some(fields) = body.as_object_mut() else { return body };
    let Some(errors) = fields.get_mut("errors").and_then(Value::as_array_mut) else { return body };
    let mut whole = true;
    for error in errors.iter_mut().filter_map(Value::as_object_mut) {
        whole &= !error.contains_key("path");
        let more = error.get_mut("extensions").and_then(Value::as_object_mut);
        let (kind, is_all) = more.map_or((None, true), |more| (more.remove("type"), more.is_empty()));
        if is_all {
            error.remove("extensions");
        }
        let mut shaped = Map::new();
        if let Some(kind) = kind {
            shaped.insert("type".to_owned(), kind);
        }
        for part in ["path", "extensions", "locations", "message"] {
            if let Some(value) = error.remove(part) {
                shaped.insert(part.to_owned(), value);
            }
        }
        *error = shaped;
    }
    if whole && fields.get("data").is_some_and(Value::is_null) {
        fields.remove("data");
    }
    body
}

/// What lost a field that cannot be null is null itself. The library leaves such a field out instead; here it is
/// always one of a repository, and wherever one of those stands there may be null.
fn spread_null(body: &mut Value) {
    let paths: Vec<Value> =
        body["errors"].as_array().into_iter().flatten().map(|error| error["path"].clone()).collect();
    for path in paths.iter().filter_map(Value::as_array) {
        let Some((Value::String(field), above)) = path.split_last() else { continue };
        let at = above.iter().try_fold(&mut body["data"], |at, step| match step {
            Value::String(field) => at.get_mut(field),
            step => at.get_mut(usize::try_from(step.as_u64()?).ok()?),
        });
        if let Some(holder) =
            at.filter(|holder| holder.as_object().is_some_and(|one| !one.contains_key(field)))
        {
            *holder = Value::Null;
        }
    }
}
