//! Whether the process lives, and whether it can serve.

use axum::extract::State;
use axum::response::Response;

use super::text;
use crate::app::App;
use crate::problem::Problem;

/// The process lives.
#[utoipa::path(
    get, operation_id = "isAlive", path = "/healthz", tag = "service",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain"))
)]
pub(crate) async fn alive() -> Response {
    text("text/plain; charset=utf-8", "ok\n")
}

/// The store can be read, or memory stands in for it, and the server is not stopping.
#[utoipa::path(
    get, operation_id = "isReady", path = "/readyz", tag = "service",
    responses(
        (status = 200, description = "It can: `ready`, or `degraded: …` while memory stands in or nothing can be written", body = String, content_type = "text/plain"),
        (status = 500, response = crate::api::docs::Refusal),
        (status = 503, response = crate::api::docs::Refusal),
    )
)]
pub(crate) async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    if app.stopping.is_cancelled() {
        let status = axum::http::StatusCode::SERVICE_UNAVAILABLE;
        return Err(Problem::new(status, "stopping", "the server is stopping"));
    }
    // An instance with copies in memory serves its readers better than none: it says how it is, and
    // stays in turn. One with nothing in memory has nothing to serve.
    let holds_any = app.engine.memory().is_some_and(|memory| memory.entries > 0);
    let unwritable_since = app.engine.unwritable_since();
    match app.engine.out_of_reach() {
        Some(out) if holds_any => {
            let says = format!("degraded: the store cannot be reached since {}\n", out.since.whole_second());
            Ok(text("text/plain; charset=utf-8", says))
        }
        Some(_) => Err(Problem::out_of_reach()),
        None => {
            app.store.changes(0, 0).await?;
            let says = match unwritable_since {
                Some(since) => {
                    let since = since.whole_second();
                    format!("degraded: the store cannot be written since {since}, and nothing is refreshed\n")
                }
                None => "ready\n".to_owned(),
            };
            Ok(text("text/plain; charset=utf-8", says))
        }
    }
}
