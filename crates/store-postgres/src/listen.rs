//! Hearing of what other instances commit: a connection of its own that listens, and comes back by
//! itself. Nothing depends on it but how soon something is noticed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::AsyncMessage;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::Address;
use crate::direct::Direct;
use crate::errors::{chain, is_read_only};
use crate::feed::CHANNEL;
use crate::reach::{LetIn, Reach};

/// How long to wait before another try, at first and at most.
const WAIT_MIN: Duration = Duration::from_millis(250);
const WAIT_MAX: Duration = Duration::from_secs(10);

/// On the channel of [`CHANNEL`].
const LISTEN: &str = "LISTEN larder";

/// The task that listens. It ends with this.
pub(crate) struct Listener {
    heard: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Starts listening at that address, first by the way that others were `let_in`; where `way` is given, only if nobody stands between: `LISTEN`
    /// would stay in a session that a pooler hands on.
    pub(crate) fn start(
        address: &Address,
        tls: MakeRustlsConnect,
        patience: Duration,
        let_in: LetIn,
        way: Option<Arc<Direct>>,
    ) -> Listener {
        let heard = Arc::new(Notify::new());
        let reach = Reach::new(&address.config, tls, patience, let_in);
        let ear = Ear { reach, place: address.place.clone(), heard: heard.clone() };
        let task = tokio::spawn(async move { ear.listen(way.as_deref()).await });
        Listener { heard, task }
    }

    /// Completes when something was heard, also if that was between two calls.
    pub(crate) async fn heard(&self) {
        self.heard.notified().await;
    }
}

fn tell(heard: &Notify) {
    heard.notify_waiters();
    // For whoever is just looking at what was heard before.
    heard.notify_one();
}

/// What the task knows.
struct Ear {
    reach: Reach,
    place: String,
    heard: Arc<Notify>,
}

impl Ear {
    #[expect(clippy::disallowed_methods, reason = "a database that is away is away in real time")]
    async fn listen(self, way: Option<&Direct>) {
        let place = &self.place;
        let mut wait = WAIT_MIN;
        // An address of its own may be mistyped. What has worked is away with the database.
        let (mut has_listened, mut is_told) = (false, false);
        loop {
            match way {
                Some(way) if way.told().await == Some(false) => {
                    tracing::debug!(%place, "nobody listens, since somebody may stand between");
                    return;
                }
                Some(way) if !way.is_known_to_be() => {
                    tracing::debug!(%place, "it cannot be told yet whether somebody stands between");
                }
                _ => match self.hear(&mut wait, &mut has_listened).await {
                    Ok(()) => tracing::debug!(%place, "the connection that listens was closed"),
                    Err(error) if way.is_none() && !has_listened && !is_told => {
                        is_told = true;
                        tracing::warn!(
                            %place, error = %chain(&error),
                            "nobody can listen at `listen_url`: what others change is asked for every so often"
                        );
                    }
                    Err(error) => tracing::debug!(%place, error = %chain(&error), "cannot listen"),
                },
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    /// Listens until the connection breaks.
    async fn hear(&self, wait: &mut Duration, has_listened: &mut bool) -> Result<(), tokio_postgres::Error> {
        let (client, mut connection) = self.reach.connect().await?;
        let mut messages = futures::stream::poll_fn(move |context| connection.poll_message(context));
        let mut asked = std::pin::pin!(client.batch_execute(LISTEN));
        let mut is_listening = false;
        loop {
            tokio::select! {
                biased;
                listening = &mut asked, if !is_listening => {
                    if listening.as_ref().err().is_some_and(is_read_only) {
                        self.reach.forget();
                    }
                    listening?;
                    (is_listening, *has_listened) = (true, true);
                    *wait = WAIT_MIN;
                    // Whatever was committed while nobody listened.
                    tell(&self.heard);
                }
                message = futures::StreamExt::next(&mut messages) => match message {
                    None => return Ok(()),
                    Some(Err(error)) => return Err(error),
                    Some(Ok(AsyncMessage::Notification(told))) if told.channel() == CHANNEL => tell(&self.heard),
                    Some(Ok(_)) => {}
                }
            }
        }
    }
}
