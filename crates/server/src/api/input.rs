//! Reading requests: queries and bodies with nothing unknown in them, and problems for the rest.

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use larder_core::{Key, KeyError};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::Problem;

/// A query string, read strictly.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        asked_in(&parts.uri).map(Asked)
    }
}

/// What a query asks for, as [`Asked`] reads it. A parameter that is given nothing where the document wants a value
/// (`type=`, from a script's empty variable) is refused as the document says, and the answer says to leave it out.
pub(crate) fn asked_in<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let rejection = match Query::<T>::try_from_uri(uri) {
        Ok(Query(asked)) => return Ok(asked),
        Err(rejection) => rejection,
    };
    let problem = said_of(&rejection.body_text());
    let (empty, said): (Vec<&str>, Vec<&str>) =
        uri.query().unwrap_or_default().split('&').partition(|pair| pair.ends_with('='));
    let without_them = format!("/?{}", said.join("&")).parse::<Uri>().ok();
    let known = !problem.contains("there is no parameter");
    if known && without_them.is_some_and(|uri| Query::<T>::try_from_uri(&uri).is_ok()) {
        let empty = empty.join("` or `");
        return Err(Problem::bad(format!("the query cannot be used: `{empty}` says nothing: leave it out")));
    }
    Err(Problem::bad(problem))
}

/// What is wrong with a query, in the words of whoever typed it.
pub(crate) fn said_of(rejection: &str) -> String {
    let cause = rejection.strip_prefix("Failed to deserialize query string: ").unwrap_or(rejection);
    // The parameter's name stands before it.
    let said = cause.split_once(": ").map_or(cause, |(_, said)| said);
    match said.strip_prefix("unknown field ") {
        Some(named) => format!("the query cannot be used: there is no parameter {named}"),
        None => format!("the query cannot be used: {cause}"),
    }
}

/// A body of JSON.
pub(crate) struct Posted<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Posted<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "the body must be JSON, with `Content-Type: application/json`";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", detail));
        }
        let bytes = Bytes::from_request(request, app).await.map_err(|rejection| unread(rejection, app))?;
        let read = serde_json::from_slice(&bytes);
        read.map(Posted).map_err(|error| Problem::bad(format!("the body cannot be used: {error}")))
    }
}

fn unread(rejection: BytesRejection, app: &App) -> Problem {
    if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("a body may have {} bytes", app.settings.body_bytes_max);
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail);
    }
    Problem::bad("the body could not be read")
}

fn is_json(headers: &HeaderMap) -> bool {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = named.and_then(|named| named.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}

/// A key in a body.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(value_type = String, max_length = 512, pattern = "^[a-z0-9_-]+(/([A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+)+$", example = "cluster/tools")]
pub(crate) struct KeyText(pub(crate) Key);

/// The key in a path, as it stands there: keys are percent-encoded themselves. A client that
/// encoded it once more, slashes and all, is understood too, and one that encoded its slashes alone.
pub(crate) fn key_in_path(text: &str) -> Result<Key, Problem> {
    let bad = |error: KeyError| Problem::bad(error.to_string());
    if text.contains('/') {
        return text.parse().map_err(bad);
    }
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    let slashes_alone = || text.replace("%2F", "/").replace("%2f", "/").parse();
    decoded.parse().or_else(|error| slashes_alone().map_err(|_| error)).map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_parameter_is_called_one() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Paged {
            #[expect(dead_code, reason = "it is only read")]
            limit: Option<u32>,
        }
        let said = |query: &str| {
            let uri = format!("/api/v1/trackers?{query}").parse().unwrap();
            said_of(&Query::<Paged>::try_from_uri(&uri).unwrap_err().body_text())
        };
        assert_eq!(
            said("limti=3"),
            "the query cannot be used: there is no parameter `limti`, expected `limit`"
        );
        assert_eq!(said("limit=unknown+field+x"), said("limit=x"));
        assert_eq!(said("limit=x"), "the query cannot be used: limit: invalid digit found in string");
    }

    #[test]
    fn a_parameter_that_says_nothing_is_to_be_left_out() {
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Paged {
            limit: Option<u32>,
            search: Option<String>,
        }
        let asked = |query: &str| asked_in::<Paged>(&format!("/api/v1/trackers?{query}").parse().unwrap());
        let refused = |query: &str| asked(query).unwrap_err().detail;
        assert_eq!(asked("search=").unwrap(), Paged { limit: None, search: Some(String::new()) });
        assert_eq!(refused("limit="), "the query cannot be used: `limit=` says nothing: leave it out");
        assert_eq!(refused("search=a&limit="), refused("limit="));
        assert!(refused("search=&limit=").contains("`search=` or `limit=` says nothing"));
        assert_eq!(refused("limit=x&search="), refused("limit=x"));
        assert!(refused("limti=").contains("there is no parameter `limti`"));
    }

    #[test]
    fn a_key_is_understood_however_often_it_was_encoded() {
        for text in ["cluster/a%20b", "cluster%2Fa%2520b"] {
            assert_eq!(key_in_path(text).unwrap().as_str(), "cluster/a%20b", "{text}");
        }
        assert_eq!(key_in_path("cluster%2fa%C3%A4").unwrap().as_str(), "cluster/a%C3%A4");
        assert!(key_in_path("cluster").is_err());
        assert!(key_in_path("cluster%2F").is_err());
    }
}
