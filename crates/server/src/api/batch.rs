//! `/api/v1/batch`: many entries as one, each answered for on its own.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use larder_core::Key;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::bodies::EntryBody;
use super::input::Posted;
use super::read::Reader;
use crate::access::Viewer;
use crate::answer::send_now;
use crate::app::App;
use crate::problem::Problem;
use crate::tier::Shape;

/// Which entries.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchAsked {
    /// Their keys.
    #[schema(max_items = 100, example = json!(["cluster/tools", "cluster/cinder"]))]
    keys: Vec<String>,
}

/// The answers, in the order asked.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchBody<'a> {
    /// One an asked key.
    results: Vec<BatchResult<'a>>,
}

/// One answer: the entry, or why there is none.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchResult<'a> {
    /// The key, as asked.
    key: &'a str,
    /// The entry, as `/entries/{key}` shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EntryBody>, nullable = false)]
    entry: Option<&'a RawValue>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::problem::ProblemView>, nullable = false)]
    error: Option<Problem>,
}

const KEYS_MAX: usize = 100;

/// What all entries of an answer may take up together: a few words must not ask for gigabytes.
const BYTES_MAX: usize = 32 << 20;

/// Reads many entries at once.
#[utoipa::path(
    post, operation_id = "readBatch", path = "/api/v1/batch", tag = "entries", request_body = BatchAsked,
    responses(
        (status = 200, description = "An answer a key", body = BatchBody, content_type = "application/json"),
        (status = 400, response = crate::api::docs::Refusal),
        (status = 403, response = crate::api::docs::Refusal),
        (status = 413, response = crate::api::docs::Refusal),
        (status = 415, response = crate::api::docs::Refusal),
    )
)]
pub(crate) async fn load(
    State(app): State<App>,
    viewer: Viewer,
    headers: HeaderMap,
    Posted(asked): Posted<BatchAsked>,
) -> Result<Response, Problem> {
    if asked.keys.len() > KEYS_MAX {
        return Err(Problem::bad(format!("a batch has at most {KEYS_MAX} keys, not {}", asked.keys.len())));
    }
    let read: Vec<Result<Key, Problem>> = asked
        .keys
        .iter()
        .map(|text| text.parse::<Key>().map_err(|error| Problem::bad(error.to_string())))
        .collect();
    let keys: Vec<Key> = read.iter().filter_map(|key| key.as_ref().ok().cloned()).collect();
    let mut got = app.documents(&keys, Shape::Entry, Reader::of(viewer, &headers)).await.into_iter();
    let mut answers = Vec::with_capacity(read.len());
    for key in read {
        answers.push(match key {
            Err(problem) => Err(problem),
            Ok(key) => got.next().unwrap_or_else(|| Err(Problem::unknown(key.as_str()))),
        });
    }
    // What was serialised before goes in as it is.
    let mut room = BYTES_MAX;
    let results = asked.keys.iter().zip(&answers).map(|(key, answer)| match answer {
        Ok(got) => match room.checked_sub(got.held.document.plain.len()) {
            Some(left) => {
                room = left;
                let entry = serde_json::from_slice::<&RawValue>(&got.held.document.plain).ok();
                BatchResult { key, entry, error: None }
            }
            None => BatchResult { key, entry: None, error: Some(too_much()) },
        },
        Err(problem) => BatchResult { key, entry: None, error: Some(problem.clone()) },
    });
    Ok(send_now(StatusCode::OK, &BatchBody { results: results.collect() }, &headers))
}

fn too_much() -> Problem {
    let detail = format!("the answers come to more than {} MB", BYTES_MAX >> 20);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
        .hints(["ask for fewer at once, or for this one by itself".to_owned()])
}
