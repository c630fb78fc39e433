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

/// The query of a page's address.
pub(super) struct Wished<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Wished<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let rejection = match Query::<T>::from_request_parts(parts, app).await {
            Ok(Query(asked)) => return Ok(Wished(asked)),
            Err(rejection) => rejection,
        };
        let Ok(visit) = Visit::from_request_parts(parts, app).await;
        let lines = [format!("In this address, {}.", said_of(&rejection.body_text()))];
        Err(message(&visit, StatusCode::BAD_REQUEST, "This address cannot be used", &lines))
    }
}
