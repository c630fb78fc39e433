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

use async_graphql::{Context, EmptyMutation, EmptySubscription, Request, ServerError, Variables};
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::arrival::GraphqlCall;
use crate::limits::Rate;
use crate::switches::{Partial, PartialError};
use crate::world::{Repository, Token, World};
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

/// An error of one field, which becomes null.
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
        if let Some(kind) = self.kind {
            error.extensions.get_or_insert_default().set("type", kind);
        }
        ctx.add_error(ctx.set_error_path(error));
    }
}

/// Puts each error into GitHub's shape (`type`, `path`, `locations`, `message`); a query that was refused as a whole
/// has no `data`.
fn github_words(mut body: Value) -> Value {
    let Some(fields) = body.as_object_mut() else { return body };
    let Some(errors) = fields.get_mut("errors").and_then(Value::as_array_mut) else { return body };
    let mut whole = true;
    for error in errors.iter_mut().filter_map(Value::as_object_mut) {
        whole &= !error.contains_key("path");
        let kind =
            error.get_mut("extensions").and_then(Value::as_object_mut).and_then(|more| more.remove("type"));
        let mut shaped = Map::new();
        if let Some(kind) = kind {
            shaped.insert("type".to_owned(), kind);
        }
        for part in ["path", "locations", "message"] {
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
