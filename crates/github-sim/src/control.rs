//! The simulator's own addresses, under `/_sim`: what tests in other processes and people by hand turn and read.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::limits::Limits;
use crate::shared::Shared;
use crate::switches::Switches;
use crate::world::{Issue, Repository, World};

/// The routes. None of them is logged, limited or struck by faults.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/_sim/switches", get(switches).put(replace_switches).patch(merge_switches))
        .route("/_sim/requests", get(requests).delete(take_requests))
        .route("/_sim/limits", get(limits).put(replace_limits).delete(forget_spending))
        .route("/_sim/repos/{owner}/{name}", get(repository).post(patch_repository).delete(remove_repository))
        .route("/_sim/issues/{owner}/{name}/{number}", get(issue).post(patch_issue).delete(remove_issue))
        .route("/_sim/rename", axum::routing::post(rename))
}

/// A refusal with its reason.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"message": self.1}))).into_response()
    }
}

/// Reads a body whatever its content type says, for the sake of `curl -d`.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
}

fn not_found(full_name: &str) -> Refused {
    Refused(StatusCode::NOT_FOUND, format!("the simulator has no repository `{full_name}`"))
}

async fn switches(State(shared): State<Arc<Shared>>) -> Json<Switches> {
    Json(shared.state().faults.switches().clone())
}

async fn replace_switches(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Switches>, Refused> {
    let wanted: Switches = read(&body)?;
    shared.switch(wanted.clone());
    Ok(Json(wanted))
}

async fn merge_switches(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Switches>, Refused> {
    let now = shared.state().faults.switches().clone();
    let wanted: Switches = merged(&now, read(&body)?)?;
    shared.switch(wanted.clone());
    Ok(Json(wanted))
}

async fn requests(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({"requests": shared.state().log.all()}))
}

async fn take_requests(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({"requests": shared.state().log.take()}))
}

async fn limits(State(shared): State<Arc<Shared>>) -> Json<Limits> {
    Json(shared.state().ledger.limits)
}

async fn replace_limits(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Limits>, Refused> {
    let wanted: Limits = read(&body)?;
    shared.state().ledger.limits = wanted;
    Ok(Json(wanted))
}

async fn forget_spending(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.state().ledger.forget();
    StatusCode::NO_CONTENT
}

type Named = Path<(String, String)>;

async fn repository(
    State(shared): State<Arc<Shared>>,
    Path((owner, name)): Named,
) -> Result<Json<Repository>, Refused> {
    let full_name = format!("{owner}/{name}");
    let found = shared.state().world.repository(&full_name).map(|found| Repository::clone(found));
    found.map(Json).ok_or_else(|| not_found(&full_name))
}

/// Changes the fields given; makes the repository when there is none of that name.
async fn patch_repository(
    State(shared): State<Arc<Shared>>,
    Path((owner, name)): Named,
    body: Bytes,
) -> Result<(StatusCode, Json<Repository>), Refused> {
    let full_name = format!("{owner}/{name}");
    let changes: Value = read(&body)?;
    let mut state = shared.state();
    let world: &mut World = Arc::make_mut(&mut state.world);
    let held = world.repository(&full_name).map(|found| Repository::clone(found));
    let status = if held.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    let held = held.unwrap_or_else(|| Repository::new(&full_name));
    let wanted: Repository = merged(&held, changes)?;
    let full_name = held.full_name.clone();
    if status == StatusCode::CREATED {
        world.add(Repository { full_name: full_name.clone(), ..wanted });
    } else {
        world.edit(&full_name, |repository| *repository = wanted);
    }
    let found = world.repository(&full_name).map(|found| Repository::clone(found));
    found.map(|found| (status, Json(found))).ok_or_else(|| not_found(&full_name))
}

async fn remove_repository(
    State(shared): State<Arc<Shared>>,
    Path((owner, name)): Named,
) -> Result<StatusCode, Refused> {
    let full_name = format!("{owner}/{name}");
    let removed = Arc::make_mut(&mut shared.state().world).remove(&full_name);
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(not_found(&full_name)) }
}

type Numbered = Path<(String, String, u64)>;

fn no_issue(full_name: &str, number: u64) -> Refused {
    Refused(StatusCode::NOT_FOUND, format!("the simulator has no issue {number} in `{full_name}`"))
}

async fn issue(
    State(shared): State<Arc<Shared>>,
    Path((owner, name, number)): Numbered,
) -> Result<Json<Issue>, Refused> {
    let full_name = format!("{owner}/{name}");
    let found = held_issue(&shared.state().world, &full_name, number);
    found.map(Json).ok_or_else(|| no_issue(&full_name, number))
}

fn held_issue(world: &World, full_name: &str, number: u64) -> Option<Issue> {
    world.issues(world.repository(full_name)?)?.get(&number).cloned()
}

/// Changes the fields given; makes the issue when there is none of that number.
async fn patch_issue(
    State(shared): State<Arc<Shared>>,
    Path((owner, name, number)): Numbered,
    body: Bytes,
) -> Result<(StatusCode, Json<Issue>), Refused> {
    let full_name = format!("{owner}/{name}");
    let changes: Value = read(&body)?;
    let mut state = shared.state();
    let world: &mut World = Arc::make_mut(&mut state.world);
    let held = held_issue(world, &full_name, number);
    let status = if held.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    let wanted: Issue = merged(&held.unwrap_or_else(|| Issue::new(number, "")), changes)?;
    let issue = Issue { number, ..wanted };
    if world.add_issues(&full_name, [issue.clone()]) {
        Ok((status, Json(issue)))
    } else {
        Err(not_found(&full_name))
    }
}

async fn remove_issue(
    State(shared): State<Arc<Shared>>,
    Path((owner, name, number)): Numbered,
) -> Result<StatusCode, Refused> {
    let full_name = format!("{owner}/{name}");
    let removed = Arc::make_mut(&mut shared.state().world).remove_issue(&full_name, number);
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(no_issue(&full_name, number)) }
}

/// A rename or transfer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    from: String,
    to: String,
}

async fn rename(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<StatusCode, Refused> {
    let Rename { from, to } = read(&body)?;
    if Arc::make_mut(&mut shared.state().world).rename(&from, &to) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let message =
        format!("`{from}` cannot become `{to}`: the first must exist, the second be free and `owner/name`");
    Err(Refused(StatusCode::CONFLICT, message))
}

/// Lays the top-level keys of `changes` over what is held.
fn merged<T: serde::Serialize + DeserializeOwned>(held: &T, changes: Value) -> Result<T, Refused> {
    let refused = |error: serde_json::Error| Refused(StatusCode::UNPROCESSABLE_ENTITY, error.to_string());
    let mut whole = serde_json::to_value(held).map_err(refused)?;
    let (Some(fields), Value::Object(changes)) = (whole.as_object_mut(), changes) else {
        return Err(Refused(StatusCode::UNPROCESSABLE_ENTITY, "a JSON object is wanted".to_owned()));
    };
    fields.extend(changes);
    serde_json::from_value(whole).map_err(refused)
}
