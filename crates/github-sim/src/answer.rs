//! Answers as GitHub words them: JSON bodies, error bodies, and the headers that go with every one.

use std::io;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::limits::{Actor, Rate, Resource};
use crate::switches::{RateLimitSpelling, SecondaryLimit};

const DOCS: &str = "https://docs.github.com/rest";
const LIMIT_DOCS: &str = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api";
const GRAPHQL_DOCS: &str =
    "https://docs.github.com/graphql/guides/forming-calls-with-graphql#authenticating-with-graphql";
const SUPPORT: &str = "If you reach out to GitHub Support for help, please include the request ID";

/// An answer under construction.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::of(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(crate) fn of(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.into() }
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<HeaderText>) -> Self {
        self.headers.push((name, value.into().0));
        self
    }

    /// The budget's five headers.
    #[must_use]
    pub(crate) fn with_rate(self, rate: Rate) -> Self {
        self.with("x-ratelimit-limit", rate.limit)
            .with("x-ratelimit-remaining", rate.remaining())
            .with("x-ratelimit-used", rate.used)
            .with("x-ratelimit-reset", rate.reset_s)
            .with("x-ratelimit-resource", rate.resource.name())
    }

    /// Ends the body in the middle, the status and headers as if all were well.
    pub(crate) fn break_off(&mut self) {
        self.body.truncate(self.body.len() / 2);
    }

    pub(crate) fn into_response(self) -> Response {
        let body = Body::from(self.body);
        Self::response(self.status, self.headers, body)
    }

    /// The same with a body that is as long as its headers say, of which half comes before the connection ends.
    pub(crate) fn into_cut_response(self) -> Response {
        let length = self.body.len().to_string();
        let answer = self.with("content-length", length);
        let half = Bytes::copy_from_slice(&answer.body[..answer.body.len() / 2]);
        let end = async {
            // What is written already goes out while nothing more is there to write.
            tokio::task::yield_now().await;
            Err(io::Error::from(io::ErrorKind::ConnectionAborted))
        };
        let pieces = stream::iter([Ok(half)]).chain(stream::once(end));
        Self::response(answer.status, answer.headers, Body::from_stream(pieces))
    }

    fn response(status: u16, headers: Vec<(&'static str, String)>, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// A header's value: a text or a number.
pub(crate) struct HeaderText(String);

macro_rules! header_text {
    ($($source:ty),*) => {$(
        impl From<$source> for HeaderText {
            fn from(value: $source) -> Self {
                Self(value.to_string())
            }
        }
    )*};
}

header_text!(&str, String, u64, i64);

/// An error body of REST.
pub(crate) fn refusal(status: u16, message: &str) -> Answer {
    Answer::json(
        status,
        &json!({"message": message, "documentation_url": DOCS, "status": status.to_string()}),
    )
}

/// GitHub's 404, which also hides what one may not see.
pub(crate) fn not_found() -> Answer {
    refusal(404, "Not Found")
}

/// What a token is told that lacks a permission.
pub(crate) const NOT_ACCESSIBLE: &str = "Resource not accessible by personal access token";

/// A token that does not work.
pub(crate) fn bad_credentials() -> Answer {
    refusal(401, "Bad credentials")
}

/// GraphQL without a token.
pub(crate) fn graphql_needs_token() -> Answer {
    Answer::json(
        401,
        &json!({"message": "This endpoint requires you to be authenticated.", "documentation_url": GRAPHQL_DOCS,
            "status": "401"}),
    )
}

/// A client that does not say who it is.
pub(crate) fn needs_user_agent() -> Answer {
    let text = "\r\nRequest forbidden by administrative rules. Please make sure your request has a User-Agent header \
                (https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required). Check \
                https://developer.github.com for other possible causes.\r\n";
    Answer::of(403, "text/html; charset=utf-8", text)
}

/// The load balancer's page.
pub(crate) fn bad_gateway() -> Answer {
    let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n\
                <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
    Answer::of(502, "text/html", page)
}

/// GitHub's page while it is down.
pub(crate) fn unavailable(retry_after_s: Option<u64>) -> Answer {
    let page = "<!DOCTYPE html>\n<html>\n<head><title>Unicorn! &middot; GitHub</title></head>\n<body>\n\
                <p><strong>No server is currently available to service your request.</strong></p>\n\
                <p>Sorry about that. Please try refreshing and contact us if the problem persists.</p>\n</body>\n</html>\n";
    let answer = Answer::of(503, "text/html; charset=utf-8", page);
    match retry_after_s {
        Some(seconds) => answer.with("retry-after", seconds),
        None => answer,
    }
}

/// A failure inside GitHub.
pub(crate) fn server_error() -> Answer {
    refusal(500, "Server Error")
}

/// GraphQL after its ten seconds.
pub(crate) fn graphql_timed_out(number: u64) -> Answer {
    let message = format!(
        "Something went wrong while executing your query. This may be the result of a timeout, or it could be a \
         GitHub bug. Please include `{}` when reporting this issue.",
        request_id(number)
    );
    Answer::json(502, &json!({"data": null, "errors": [{"message": message}]}))
}

/// The primary limit on REST.
pub(crate) fn primary_limit(status: u16, actor: &Actor, user_id: u64, number: u64) -> Answer {
    let message = match actor {
        Actor::Address(address) => format!(
            "API rate limit exceeded for {address}. (But here's the good news: Authenticated requests get a higher \
             rate limit. Check out the documentation for more details.)"
        ),
        Actor::User(_) => {
            format!("API rate limit exceeded for user ID {user_id}. {SUPPORT} {}.", request_id(number))
        }
    };
    Answer::json(
        status,
        &json!({"message": message, "documentation_url": LIMIT_DOCS, "status": status.to_string()}),
    )
}

/// The primary limit on GraphQL: a success that is none.
pub(crate) fn graphql_limit(spelling: RateLimitSpelling, user_id: u64) -> Answer {
    let error = match spelling {
        RateLimitSpelling::RateLimit => json!({"type": "RATE_LIMIT", "code": "graphql_rate_limit",
            "message": format!("API rate limit already exceeded for user ID {user_id}.")}),
        RateLimitSpelling::RateLimited => json!({"type": "RATE_LIMITED",
            "message": format!("API rate limit exceeded for user ID {user_id}.")}),
    };
    Answer::json(200, &json!({"errors": [error]}))
}

/// The secondary limit.
pub(crate) fn secondary_limit(shape: SecondaryLimit, number: u64) -> Answer {
    let message = format!(
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. {SUPPORT} {}.",
        request_id(number)
    );
    let url = format!("{LIMIT_DOCS}#about-secondary-rate-limits");
    let status = shape.status;
    let answer = Answer::json(
        status,
        &json!({"documentation_url": url, "message": message, "status": status.to_string()}),
    );
    match shape.retry_after_s {
        Some(seconds) => answer.with("retry-after", seconds),
        None => answer,
    }
}

/// The free account of all budgets.
pub(crate) fn rate_limits(core: Rate, graphql: Rate) -> Answer {
    let told = |rate: Rate| {
        json!({"limit": rate.limit, "used": rate.used, "remaining": rate.remaining(), "reset": rate.reset_s,
            "resource": rate.resource.name()})
    };
    debug_assert_eq!(core.resource, Resource::Core, "the two budgets were swapped");
    Answer::json(
        200,
        &json!({"resources": {"core": told(core), "graphql": told(graphql)}, "rate": told(core)}),
    )
}

/// The id of a request, as support asks for it.
pub(crate) fn request_id(number: u64) -> String {
    format!("C0DE:{:04X}:{number:06X}", number % 0xffff)
}

/// A time in the form of HTTP's own headers.
pub(crate) fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A time as GitHub writes it: whole seconds, UTC.
pub(crate) fn github_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
