//! Hearing of what other instances commit: a connection of its own that listens, and comes back by
//! itself. Nothing depends on it but how soon something is noticed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::AsyncMessage;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::Address;
use crate::errors::chain;
use crate::feed::CHANNEL;

/// How long to wait before another try, at first and at most.
const WAIT_MIN: Duration = Duration::from_millis(250);
const WAIT_MAX: Duration = Duration::from_secs(10);

/// On the channel of [`CHANNEL`].
const LISTEN: &str = "LISTEN larder";

/// A silent connection is asked for a sign of life after this long.
const KEEPALIVE: Duration = Duration::from_secs(15);

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
    /// Starts listening at that address.
    pub(crate) fn start(address: &Address, tls: MakeRustlsConnect, connect_timeout: Duration) -> Listener {
        let heard = Arc::new(Notify::new());
        let mut config = address.config.clone();
        config
            .connect_timeout(connect_timeout)
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(KEEPALIVE / 3)
            .keepalives_retries(3);
        let task = tokio::spawn(listen(config, tls, address.place.clone(), heard.clone()));
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

#[expect(clippy::disallowed_methods, reason = "a database that is away is away in real time")]
async fn listen(config: tokio_postgres::Config, tls: MakeRustlsConnect, place: String, heard: Arc<Notify>) {
    let mut wait = WAIT_MIN;
    loop {
        match hear(&config, &tls, &heard, &mut wait).await {
            Ok(()) => tracing::debug!(%place, "the connection that listens was closed"),
            Err(error) => tracing::debug!(%place, error = %chain(&error), "cannot listen"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// Listens until the connection breaks.
async fn hear(
    config: &tokio_postgres::Config,
    tls: &MakeRustlsConnect,
    heard: &Notify,
    wait: &mut Duration,
) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = config.connect(tls.clone()).await?;
    let mut messages = futures::stream::poll_fn(move |context| connection.poll_message(context));
    let mut asked = std::pin::pin!(client.batch_execute(LISTEN));
    let mut is_listening = false;
    loop {
        tokio::select! {
            biased;
            listening = &mut asked, if !is_listening => {
                listening?;
                is_listening = true;
                *wait = WAIT_MIN;
                // Whatever was committed while nobody listened.
                tell(heard);
            }
            message = futures::StreamExt::next(&mut messages) => match message {
                None => return Ok(()),
                Some(Err(error)) => return Err(error),
                Some(Ok(AsyncMessage::Notification(told))) if told.channel() == CHANNEL => tell(heard),
                Some(Ok(_)) => {}
            }
        }
    }
}
