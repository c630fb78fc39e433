//! `/api/v1/invalidate`: marking entries stale, which keeps them.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use larder_core::{Met, Target};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::input::{KeyText, Posted};
use crate::access::Viewer;
use crate::answer::send_now;
use crate::app::App;
use crate::problem::Problem;

/// What to mark stale: exactly one of these.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InvalidateAsked {
    /// These entries.
    Keys(KeyList),
    /// All of a source.
    Source(NameText),
    /// All that carry a tag.
    Tag(NameText),
    /// All.
    All(True),
}

/// Keys, at most a hundred.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(max_items = 100)]
pub(crate) struct KeyList(Vec<KeyText>);

/// The name of a source or a tag.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(min_length = 1, max_length = 512)]
pub(crate) struct NameText(String);

/// The word `true`: there is no asking for "not all".
#[derive(Debug, Clone, Copy)]
pub(crate) struct True;

impl<'de> Deserialize<'de> for True {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let says = bool::deserialize(deserializer)?;
        says.then_some(True).ok_or_else(|| D::Error::custom("`all` is `true`"))
    }
}

impl PartialSchema for True {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true])).into()
    }
}

impl ToSchema for True {}

/// What an invalidation met.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InvalidateBody {
    /// How many entries it met, counted up to a thousand.
    invalidated: u64,
    /// Whether it met more than were counted.
    or_more: bool,
}

const NAMES: [&str; 4] = ["keys", "source", "tag", "all"];
const KEYS_MAX: usize = 100;
const NAME_MAX: usize = 512;

/// The same, as it is posted: whoever named nothing, or too much, is told what can be named.
pub(crate) struct PostedInvalidation(InvalidateAsked);

impl<'de> Deserialize<'de> for PostedInvalidation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = serde_json::Map::deserialize(deserializer)?;
        let is_one = named.len() == 1 && named.keys().all(|name| NAMES.contains(&name.as_str()));
        if !is_one {
            let what = "name one thing to mark stale, by `keys`, `source`, `tag` or `all`";
            return Err(D::Error::custom(what));
        }
        InvalidateAsked::deserialize(Value::Object(named)).map(PostedInvalidation).map_err(D::Error::custom)
    }
}

impl InvalidateAsked {
    fn target(self) -> Result<Target, Problem> {
        let is_wrong = |NameText(name): &NameText| name.is_empty() || name.chars().count() > NAME_MAX;
        match self {
            InvalidateAsked::Keys(KeyList(keys)) if keys.len() > KEYS_MAX => {
                Err(Problem::bad(format!("`keys` has at most {KEYS_MAX}")))
            }
            InvalidateAsked::Keys(KeyList(keys)) => {
                Ok(Target::Keys(keys.into_iter().map(|key| key.0).collect()))
            }
            InvalidateAsked::Source(name) | InvalidateAsked::Tag(name) if is_wrong(&name) => {
                Err(Problem::bad(format!("a name has 1 to {NAME_MAX} characters")))
            }
            InvalidateAsked::Source(NameText(source)) => Ok(Target::Source(source)),
            InvalidateAsked::Tag(NameText(tag)) => Ok(Target::Tag(tag)),
            InvalidateAsked::All(True) => Ok(Target::All),
        }
    }
}

impl App {
    /// Refuses whoever is no admin: who showed nothing may show a token, who showed one may not.
    pub(crate) fn check_admin(&self, viewer: Viewer) -> Result<(), Problem> {
        if viewer.may_admin {
            return Ok(());
        }
        let may_try = self.settings.admin_token.is_some() && !viewer.may_read_private;
        Err(if may_try {
            Problem::new(StatusCode::UNAUTHORIZED, "credential", "this needs the admin token")
        } else {
            Problem::new(StatusCode::FORBIDDEN, "admin_only", "this needs the admin right")
                .hints(["set `[server] admin_token`, and send it as a bearer token".to_owned()])
        })
    }

    /// Marks stale, so that the next reader of this process sees it.
    pub(crate) async fn invalidate(&self, viewer: Viewer, target: &Target) -> Result<Met, Problem> {
        self.check_admin(viewer)?;
        Ok(self.engine.invalidate(target).await?)
    }

    /// Gives failed and dead entries a new start.
    pub(crate) async fn replay(&self, viewer: Viewer, target: &Target) -> Result<u64, Problem> {
        self.check_admin(viewer)?;
        Ok(self.engine.replay(target).await?)
    }
}

/// Marks entries stale and keeps them.
#[utoipa::path(
    post, operation_id = "invalidate", path = "/api/v1/invalidate", tag = "entries", request_body = InvalidateAsked,
    responses(
        (status = 200, description = "What it met", body = InvalidateBody, content_type = "application/json"),
        (status = 400, response = crate::api::docs::Refusal),
        (status = 401, response = crate::api::docs::Refusal),
        (status = 403, response = crate::api::docs::Refusal),
        (status = 413, response = crate::api::docs::Refusal),
        (status = 415, response = crate::api::docs::Refusal),
        (status = 500, response = crate::api::docs::Refusal),
    )
)]
pub(crate) async fn invalidate(
    State(app): State<App>,
    viewer: Viewer,
    headers: HeaderMap,
    Posted(PostedInvalidation(asked)): Posted<PostedInvalidation>,
) -> Result<Response, Problem> {
    app.check_admin(viewer)?;
    let met = app.invalidate(viewer, &asked.target()?).await?;
    Ok(send_now(StatusCode::OK, &InvalidateBody { invalidated: met.count, or_more: met.or_more }, &headers))
}
