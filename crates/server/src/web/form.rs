//! What a form sends. One that cannot be read is refused as any other is: with a page, or a problem.

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, FromRequest, FromRequestParts as _, Request};
use axum::http::StatusCode;
use axum::response::Response;
use serde::de::DeserializeOwned;

use super::frame::Visit;
use super::message::refusal;
use crate::app::App;
use crate::problem::Problem;

/// A form's fields.
pub(crate) struct Sent<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Sent<T> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let Ok(visit) = Visit::from_request_parts(&mut parts, app).await;
        let headers = parts.headers.clone();
        let read = Form::from_request(Request::from_parts(parts, body), app).await;
        read.map(|Form(form)| Sent(form))
            .map_err(|rejection| refusal(&visit, &headers, problem(&rejection, app.settings.body_bytes_max)))
    }
}

fn problem(rejection: &FormRejection, bytes_max: usize) -> Problem {
    match rejection.status() {
        status @ StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            let detail = "a form is sent with `Content-Type: application/x-www-form-urlencoded`";
            Problem::new(status, "media_type", detail)
        }
        status @ StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(status, "too_large", format!("a form may have {bytes_max} bytes"))
        }
        _ => Problem::bad("the form cannot be used: a field is missing, or stands in it twice"),
    }
}
