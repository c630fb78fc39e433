//! What forms ask for: refresh, invalidate, replay. A form goes back to its page with a message;
//! the script asks for the message alone, as JSON.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use larder_core::{Key, Met, Target, Trigger};
use serde::{Deserialize, Serialize};

use super::form::Sent;
use super::frame::Visit;
use super::message::{message_before, refusal};
use super::sign_in::no_permission;
use super::told::{Told, Word};
use crate::app::App;
use crate::problem::Problem;
use crate::trackers::TRACKERS_SOURCE;

/// So long a form waits for its refresh before it says that it is under way.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What such a form holds: the name of one entry, or which of all are meant.
#[derive(Debug, Deserialize)]
pub(crate) struct Act {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    back: String,
    #[serde(default)]
    key: String,
    /// `clusters`, `projects`, `trackers` (or `trackers/owner/name` for those of one repository), or
    /// `entries` for whatever is configured.
    #[serde(default)]
    all: String,
}

/// The message, as the script shows it.
#[derive(Serialize)]
pub(super) struct Said {
    pub(super) message: String,
    pub(super) wrong: bool,
    /// The token that forms are sent with from now on, where the one that came is no longer this visitor's.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf: Option<String>,
}

impl Said {
    pub(super) fn new(message: impl Into<String>, wrong: bool) -> Self {
        Said { message: message.into(), wrong, csrf: None }
    }
}

/// `POST /actions/refresh`.
pub(crate) async fn refresh(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    Sent(act): Sent<Act>,
) -> Response {
    if !visit.csrf.accepts(&act.csrf) {
        return expired(&visit, &headers, &act.back);
    }
    let keys = match keys_of(&app, &visit, &act).await {
        Ok(keys) => keys,
        Err(problem) => return refusal(&visit, &headers, problem),
    };
    let now = app.now();
    let allowed: Vec<Key> =
        keys.iter().filter(|key| visit.viewer.may_admin || app.forced.take_turn(key, now)).cloned().collect();
    if allowed.is_empty() {
        return told(Told::new(Word::Recent, keys.len() as u64), &act.back, &headers);
    }
    let count = allowed.len() as u64;
    let engine = app.engine.clone();
    let flight = tokio::spawn(async move { engine.refresh(&allowed, Trigger::Manual, |_| {}).await });
    let became = tokio::select! {
        biased;
        landed = flight => match landed {
            Ok(landed) => {
                let failed = landed.iter().filter(|one| one.result.is_err()).count() as u64;
                if failed > 0 { Told::new(Word::Failed, failed) } else { Told::new(Word::Refreshed, count) }
            }
            Err(_) => Told::new(Word::Failed, count),
        },
        () = app.clock.sleep(PATIENCE) => Told::new(Word::Started, count),
    };
    told(became, &act.back, &headers)
}

/// `POST /actions/invalidate`.
pub(crate) async fn invalidate(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    Sent(act): Sent<Act>,
) -> Response {
    change(&app, &visit, &headers, &act, Word::Invalidated).await
}

/// `POST /actions/replay`.
pub(crate) async fn replay(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    Sent(act): Sent<Act>,
) -> Response {
    change(&app, &visit, &headers, &act, Word::Replayed).await
}

async fn change(app: &App, visit: &Visit, headers: &HeaderMap, act: &Act, word: Word) -> Response {
    if !visit.csrf.accepts(&act.csrf) {
        return expired(visit, headers, &act.back);
    }
    if !visit.viewer.may_admin {
        if wants_json(headers) {
            return json(
                StatusCode::FORBIDDEN,
                &Said::new("This takes the admin token: sign in first.", true),
            );
        }
        return no_permission(app, visit);
    }
    let target = match target(act) {
        Ok(target) => target,
        Err(problem) => return refusal(visit, headers, problem),
    };
    let met = match word {
        Word::Replayed => app.replay(visit.viewer, &target).await.map(Met::exactly),
        _ => app.invalidate(visit.viewer, &target).await,
    };
    match met {
        Ok(met) => told(Told::met(word, met), &act.back, headers),
        Err(problem) => refusal(visit, headers, problem),
    }
}

fn target(act: &Act) -> Result<Target, Problem> {
    match act.all.as_str() {
        "clusters" => Ok(Target::Source(crate::snapshot::CLUSTER.to_owned())),
        "entries" => Ok(Target::All),
        _ => Ok(Target::Keys(vec![parsed(&act.key)?])),
    }
}

/// The entries that a refresh is about, as far as the viewer may know of them.
async fn keys_of(app: &App, visit: &Visit, act: &Act) -> Result<Vec<Key>, Problem> {
    let asked = match act.all.as_str() {
        "clusters" => app.cluster_keys(),
        "entries" => app.engine.keys(),
        // Their page shows what is to be had as well.
        "projects" => [app.roots(visit.viewer), app.projects(visit.viewer), app.markets()].concat(),
        all if is_trackers(all) => {
            let keys = app.tracker_keys().into_iter();
            keys.filter(|key| all == TRACKERS_SOURCE || key.as_str().starts_with(&format!("{all}/")))
                .collect()
        }
        _ => {
            let key = parsed(&act.key)?;
            if app.engine.define(&key).is_none() {
                return Err(Problem::unknown(key.as_str()));
            }
            vec![key]
        }
    };
    let mut known = Vec::with_capacity(asked.len());
    for key in asked {
        if app.knows(&key, visit.viewer).await? {
            known.push(key);
        }
    }
    if known.is_empty() && act.all.is_empty() {
        return Err(Problem::unknown(&act.key));
    }
    Ok(known)
}

/// Whether all trackers are meant, or all of a repository.
fn is_trackers(all: &str) -> bool {
    all.strip_prefix(TRACKERS_SOURCE).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn parsed(key: &str) -> Result<Key, Problem> {
    key.parse().map_err(|error: larder_core::KeyError| Problem::bad(error.to_string()))
}

/// Says it on the page that the form came from, or to the script.
fn told(told: Told, back: &str, headers: &HeaderMap) -> Response {
    if wants_json(headers) {
        return json(StatusCode::OK, &Said::new(told.text.to_string(), told.is_wrong));
    }
    Redirect::to(&told.on(&back_to(back))).into_response()
}

/// A form whose token is not this visitor's: the page is old, or it is not ours. Who reads the answer is told
/// the token that would do, as on any page; the script sends the form again with it, once.
pub(crate) fn expired(visit: &Visit, headers: &HeaderMap, back: &str) -> Response {
    let says = "The page with this form is too old, or it was not one of ours. Nothing was changed";
    if wants_json(headers) {
        let csrf = Some(visit.csrf.token().to_owned());
        let said = Said { csrf, ..Said::new(format!("{says}: try once more."), true) };
        let mut response = json(StatusCode::FORBIDDEN, &said);
        visit.csrf.set_cookie().into_iter().for_each(|cookie| {
            response.headers_mut().append(header::SET_COOKIE, cookie.clone());
        });
        return response;
    }
    let title = "This form cannot be used any more";
    let lines = [format!("{says}: go back, and use the form that is there now.")];
    message_before(visit, StatusCode::FORBIDDEN, title, &lines, Some(&back_to(back)))
}

pub(super) fn json(status: StatusCode, said: &Said) -> Response {
    let text = serde_json::to_string(said).unwrap_or_default();
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "private, no-store")];
    (status, headers, text).into_response()
}

/// Whether the script asks.
pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("application/json"))
}

/// The page to go back to: one of this very site, or the first.
pub(crate) fn back_to(back: &str) -> String {
    let is_plain = back.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_ours = back.starts_with('/') && !back.starts_with("//");
    if is_plain && is_ours && back.len() <= 2048 { back.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_leads_back_to_this_site_alone() {
        assert_eq!(back_to("/cache?sort=age"), "/cache?sort=age");
        for foreign in [
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "",
            "javascript:alert(1)",
            "/a b",
            "/\r\nx",
        ] {
            assert_eq!(back_to(foreign), "/", "{foreign}");
        }
    }
}
