//! What a page's address asks for; one that cannot be read is answered with a page that says so.

use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use super::frame::Visit;
use super::message::message;
use crate::api::said_of;
use crate::app::App;

/// An address with those of the pairs that say anything.
pub(super) fn address(path: &str, pairs: &[(&str, &str)]) -> String {
    let said = pairs.iter().filter(|(_, value)| !value.is_empty());
    let query: Vec<String> = said
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        .collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

/// What a page may be asked for. What is empty, as a form sends what nobody chose, is not asked for.
pub(super) trait Asks: DeserializeOwned {
    /// What of it the page does not know, as a sentence: a list that goes on as if nothing had been asked for
    /// looks like an answer.
    fn check(&self) -> Result<(), String>;
}

/// The query of a page's address.
pub(super) struct Wished<T>(pub(super) T);

impl<T: Asks> FromRequestParts<App> for Wished<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let line = match Query::<T>::from_request_parts(parts, app).await {
            Ok(Query(asked)) => match asked.check() {
                Ok(()) => return Ok(Wished(asked)),
                Err(line) => line,
            },
            Err(rejection) => format!("In this address, {}.", said_of(&rejection.body_text())),
        };
        let Ok(visit) = Visit::from_request_parts(parts, app).await;
        Err(message(&visit, StatusCode::BAD_REQUEST, "This address cannot be used", &[line]))
    }
}

/// One of the words that a page knows.
pub(super) fn word(name: &str, asked: &str, known: &[&str]) -> Result<(), String> {
    if asked.is_empty() || known.contains(&asked) {
        return Ok(());
    }
    let known: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
    let known = match known.as_slice() {
        [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
        _ => known.concat(),
    };
    Err(format!("`{name}` is {known}, not `{asked}`."))
}

/// A column that a page can be ordered by, with a `-` where it is turned around.
pub(super) fn order<'a>(asked: &str, columns: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let columns: Vec<&str> = columns.filter(|column| !column.is_empty()).collect();
    if columns.contains(&asked.strip_prefix('-').unwrap_or(asked)) {
        return Ok(());
    }
    word("sort", asked, &columns)
}

/// How many rows a page leaves out.
pub(super) fn start(asked: &str) -> Result<(), String> {
    if asked.is_empty() || asked.parse::<usize>().is_ok() {
        return Ok(());
    }
    Err(format!("`after` is how many rows to leave out, not `{asked}`."))
}
