//! `/api/v1/events`: what changes, as it does, by server-sent events. `Last-Event-ID` goes on from
//! a place of the store's feed; where that is swept, `event: reset` says to start over.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use larder_core::{Change, Changes, Key};
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use utoipa::IntoParams;

use super::input::Asked;
use crate::access::Viewer;
use crate::app::App;
use crate::events::{Event, Seat, Told};
use crate::problem::Problem;
use crate::watch::{for_all, may_all_be_told};

/// Where to begin.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// As the header `Last-Event-ID`, which a browser cannot set on its first try.
    last_event_id: Option<u64>,
}

/// Lines of the feed that are sent again at once.
const LINES_MAX: usize = 256;

/// Who is further behind starts over: it is quicker.
const REPLAYED_MAX: usize = 10_000;

/// How often a silent stream says that it lives.
const BEAT: Duration = Duration::from_secs(15);

/// What changes, as it does.
#[utoipa::path(
    get, operation_id = "followEvents", path = "/api/v1/events", tag = "events",
    params(
        EventsQuery,
        ("Last-Event-ID" = Option<u64>, Header, description = "The `id` of the last event that was heard"),
    ),
    responses(
        (status = 200, description = "`event: ready` with the place where the stream begins; \
            `event: change` with a line of the feed; `event: refreshed` where nothing but the age changed; \
            `event: store` when the store goes out of reach and when it is back; \
            `event: reset` where lines were lost", body = String, content_type = "text/event-stream"),
        (status = 400, response = crate::api::docs::Refusal),
        (status = 500, response = crate::api::docs::Refusal),
        (status = 503, response = crate::api::docs::Refusal),
    )
)]
pub(crate) async fn stream(
    State(app): State<App>,
    viewer: Viewer,
    Asked(query): Asked<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some(seat) = app.events.sit(viewer.may_read_private) else {
        let problem =
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "streams", "too many event streams are open");
        return Err(Problem { retry_after: Some(5), ..problem });
    };
    let named = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::trim);
    let after = match named.filter(|id| !id.is_empty()) {
        // A name that is not ours is a place that we do not know: start over.
        Some(id) => Some(id.parse().unwrap_or(u64::MAX)),
        None => query.last_event_id,
    };
    let heard = app.events.subscribe();
    let place = app.events.place();
    let mut stream = Stream { app, viewer, heard, place, waiting: VecDeque::new(), _seat: seat };
    stream.begin(after).await?;
    let body = Body::from_stream(futures::stream::unfold(stream, async |mut stream| {
        let chunk = stream.next().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), stream))
    }));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// One open stream.
struct Stream {
    app: App,
    viewer: Viewer,
    heard: Receiver<Told>,
    /// The last line of the feed that was told, or need not be.
    place: u64,
    waiting: VecDeque<String>,
    _seat: Seat,
}

impl Stream {
    async fn begin(&mut self, after: Option<u64>) -> Result<(), Problem> {
        self.waiting.push_back("retry: 1000\n: larder\n\n".to_owned());
        if let Some(after) = after {
            return self.replay(after).await;
        }
        let ready = format!("id: {0}\nevent: ready\ndata: {{\"seq\":{0}}}\n\n", self.place);
        self.waiting.push_back(ready);
        Ok(())
    }

    /// Tells again what came behind a place.
    async fn replay(&mut self, mut after: u64) -> Result<(), Problem> {
        let mut public: HashMap<Key, bool> = HashMap::new();
        let mut lines_left = REPLAYED_MAX;
        self.place = after;
        loop {
            let Changes { lines, reset, last } = self.app.store.changes(after, LINES_MAX).await?;
            if reset || lines_left < lines.len() {
                self.reset(last);
                return Ok(());
            }
            lines_left -= lines.len();
            let is_all = lines.len() < LINES_MAX;
            for line in lines {
                after = line.seq;
                let is_public = match line.on.key() {
                    _ if self.viewer.may_read_private => true,
                    None => true,
                    Some(key) => {
                        if let Some(known) = public.get(key) {
                            *known
                        } else {
                            let is_public = may_all_be_told(&self.app, &line).await;
                            public.insert(key.clone(), is_public);
                            is_public
                        }
                    }
                };
                self.change(&line, is_public);
            }
            if is_all {
                return Ok(());
            }
        }
    }

    fn reset(&mut self, last: u64) {
        self.waiting.clear();
        self.place = last;
        self.waiting.push_back(format!("id: {last}\nevent: reset\ndata: {{\"seq\":{last}}}\n\n"));
    }

    fn change(&mut self, line: &Change, is_public: bool) {
        if line.seq <= self.place {
            return;
        }
        self.place = line.seq;
        if self.viewer.may_read_private || is_public {
            let data = if self.viewer.may_read_private {
                serde_json::to_string(line)
            } else {
                serde_json::to_string(&for_all(line))
            };
            let data = data.unwrap_or_default();
            self.waiting.push_back(format!("id: {}\nevent: change\ndata: {data}\n\n", line.seq));
        }
    }

    /// The next chunk; `None` = the server stops.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.waiting.is_empty() {
                return Some(self.waiting.drain(..).collect::<String>().into());
            }
            let heard = {
                let beat = self.app.clock.sleep(BEAT);
                tokio::select! {
                    biased;
                    () = self.app.stopping.cancelled() => return None,
                    heard = self.heard.recv() => Some(heard),
                    () = beat => None,
                }
            };
            match heard {
                None => self.waiting.push_back(": beat\n\n".to_owned()),
                Some(Ok(told)) => self.tell(&told),
                Some(Err(RecvError::Closed)) => return None,
                Some(Err(RecvError::Lagged(_))) => {
                    if self.replay(self.place).await.is_err() {
                        // The reader comes back, with its place.
                        return None;
                    }
                }
            }
        }
    }

    fn tell(&mut self, told: &Told) {
        match &*told.event {
            Event::Changed(line) => self.change(line, told.is_public),
            Event::Reset { last } => self.reset(*last),
            Event::Refreshed(renewal) if self.viewer.may_read_private || told.is_public => {
                let data = serde_json::to_string(renewal).unwrap_or_default();
                self.waiting.push_back(format!("event: refreshed\ndata: {data}\n\n"));
            }
            Event::Refreshed(_) => {}
            Event::Lost(since) => self
                .waiting
                .push_back(format!("event: store\ndata: {{\"reachable\":false,\"since\":\"{since}\"}}\n\n")),
            Event::Found => {
                self.waiting.push_back("event: store\ndata: {\"reachable\":true}\n\n".to_owned());
            }
        }
    }
}
