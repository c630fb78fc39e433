//! Heads that nobody can read. hyper finds them so and would say no more than a status: they are
//! told as every refusal is, with the headers that every answer carries.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse as _;
use larder_core::Time;

use crate::guard;
use crate::inbox::HEAD_BYTES_MAX;
use crate::problem::Problem;
use crate::wire;

/// So many fields of a head are read: hyper's own limit.
const FIELDS_MAX: usize = 100;

/// All of the answer to a head that was refused with this status; it ends the connection.
pub(crate) fn refusal(status: StatusCode, is_head: bool, now: Time) -> Vec<u8> {
    let problem = problem(status);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = problem.into_response();
    guard::secure(response.headers_mut());
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    wire::last(&response, if is_head { &[] } else { &body }, now)
}

fn problem(status: StatusCode) -> Problem {
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => {
            let most = HEAD_BYTES_MAX / 1024;
            let detail = format!("a request's head may have {most} KiB and {FIELDS_MAX} fields");
            Problem::new(status, "too_large", detail)
        }
        status => Problem::new(status, "bad_input", "the request's head cannot be read as HTTP/1.1"),
    }
}
