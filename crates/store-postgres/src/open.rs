//! Opening: telling a schema of ours from a foreign, an old and a too new one, and making a new one;
//! the usual case in one statement.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Clock, StoreError, Time, ViewSpec};
use secrecy::SecretString;

use crate::address::Address;
use crate::connections::Connections;
use crate::life;
use crate::listen::Listener;
use crate::reach::LetIn;
use crate::schema;
use crate::tls;
use crate::views::Views;

/// How to open a store.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The database: `postgres://user:password@host:port/database?sslmode=…`. `sslmode` is `disable`,
    /// `prefer` (the default), `require`, `verify-ca` or `verify-full`, the last two by the system's
    /// roots or by the PEM file that `sslrootcert` names.
    pub url: SecretString,
    /// The kinds to make views and indexes for.
    pub views: Vec<ViewSpec>,
    /// How many connections are kept.
    pub pool_size: usize,
    /// How many more may be opened when those are in use.
    pub max_overflow: usize,
    /// How long to wait for one of them before [`StoreError::Busy`].
    pub pool_timeout: Duration,
    /// How long each host of the address may take to let us in, before the next is tried, and then
    /// [`StoreError::Unreachable`]; `None` = as the address says (`connect_timeout`), or five seconds.
    pub connect_timeout: Option<Duration>,
    /// The longest that a statement may take before [`StoreError::Slow`]; whole milliseconds.
    pub statement_timeout: Duration,
    /// A connection that nobody used for so long is asked for a sign of life before it is used: a router on the
    /// way may have forgotten it, which it tells nobody.
    pub idle_for: Duration,
    /// How statements are sent.
    pub statements: Statements,
    /// Where to hear of what other instances commit.
    pub listen: Listen,
    /// Whether opening may make or change the schema.
    pub migrate: Migrate,
    /// Whose clock leases go by.
    pub times: Times,
    /// Now, for the dates of what opening makes.
    pub now: Time,
}

impl OpenOptions {
    /// Ten connections and ten more, unnamed statements of at most 30 s, listening at the same address,
    /// migrating as needed, leases by the database's clock; without views.
    pub fn new(url: SecretString, clock: Arc<dyn Clock>) -> Self {
        OpenOptions {
            url,
            views: Vec::new(),
            pool_size: 10,
            max_overflow: 10,
            pool_timeout: Duration::from_secs(5),
            connect_timeout: None,
            statement_timeout: Duration::from_secs(30),
            idle_for: Duration::from_secs(30),
            statements: Statements::Unnamed,
            listen: Listen::Here,
            migrate: Migrate::Auto,
            now: clock.now(),
            times: Times::Database(clock),
        }
    }
}

/// How statements are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Statements {
    /// Each with its text: works behind every pooler.
    #[default]
    Unnamed,
    /// Prepared once a connection: quicker, for a database without a transaction pooler before it.
    Prepared,
}

/// Where to hear of what other instances commit. Wherever nothing is heard, polling stays right.
#[derive(Debug, Clone, Default)]
pub enum Listen {
    /// At the store's own address, if it is known that no pooler stands before it.
    #[default]
    Here,
    /// At another address of the same database, that no transaction pooler stands before.
    At(SecretString),
    /// Nowhere.
    Never,
}

/// Whether opening may make or change the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Migrate {
    /// Brings it up to date.
    #[default]
    Auto,
    /// Leaves it: one that is not up to date is an error that says so.
    No,
}

/// Whose clock leases and reservations go by.
#[derive(Clone)]
pub enum Times {
    /// The database's, so that instances whose clocks differ neither steal leases nor lose them. The
    /// caller's clock is what ends are told in.
    Database(Arc<dyn Clock>),
    /// The caller's: every call's `now` is believed. For tests, where time is virtual.
    Caller,
}

impl fmt::Debug for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Times::Database(_) => "Database",
            Times::Caller => "Caller",
        })
    }
}

/// An open database.
pub(crate) struct Opened {
    pub(crate) connections: Connections,
    pub(crate) address: Address,
}

/// Opens the database, and brings schema and views to where they must be.
pub(crate) async fn open(options: &OpenOptions) -> Result<Opened, StoreError> {
    let opened = connect(options)?;
    let place = opened.address.place.as_str();
    let views = Views::of(&options.views, place)?;
    let mut standing = schema::inspect(&opened.connections).await?.checked(place)?;
    if !standing.is_up_to_date() {
        match options.migrate {
            Migrate::Auto => schema::make(&opened.connections, place, options.now).await?,
            Migrate::No => standing.refuse_older(place)?,
        }
        standing = schema::inspect(&opened.connections).await?.checked(place)?;
    }
    life::go_on(&opened.connections, place, standing.life()).await?;
    if options.migrate == Migrate::Auto && standing.views() != Some(views.fingerprint()) {
        make_views(&opened.connections, place, &views).await?;
    }
    Ok(opened)
}

/// How long a database must have been empty under a store that is open before the schema is made in it anew: whoever
/// restores one from a copy begins with an empty one, and would find our tables in their way.
const EMPTY_FOR: Duration = Duration::from_secs(30);

/// A database that was seen to be empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Missing {
    /// For the first time.
    since: Time,
    /// For the last.
    seen: Time,
}

/// What came of looking after a schema that was not there.
pub(crate) enum Anew {
    /// All is there now.
    Whole,
    /// Nothing is there: it may be on its way.
    Missing(Missing),
    /// A person took it back, or it is another's.
    LeftSo,
}

/// Makes the schema in a database that was made anew while this store was open, once it has been [empty for
/// a while](EMPTY_FOR); `missing` = when it was seen to be. What a person took back is left so.
pub(crate) async fn make_anew(
    options: &OpenOptions,
    connections: &Connections,
    place: &str,
    missing: Option<Missing>,
) -> Result<Anew, StoreError> {
    let standing = schema::inspect(connections).await?.checked(place)?;
    if standing.is_up_to_date() {
        life::go_on(connections, place, standing.life()).await?;
        return Ok(Anew::Whole);
    }
    if !standing.is_nothing() || options.migrate == Migrate::No {
        return Ok(Anew::LeftSo);
    }
    let now = match &options.times {
        Times::Database(clock) => {
            let now = clock.now();
            // What was seen long ago, or by a clock that was set back since, was another time.
            let is_same = |at: &Missing| at.seen <= now && now.since(at.seen) < EMPTY_FOR;
            let since = missing.filter(is_same).map_or(now, |at| at.since);
            if now.since(since) < EMPTY_FOR {
                return Ok(Anew::Missing(Missing { since, seen: now }));
            }
            now
        }
        Times::Caller => options.now,
    };
    schema::make(connections, place, now).await?;
    let made = schema::inspect(connections).await?.checked(place)?;
    life::go_on(connections, place, made.life()).await?;
    make_views(connections, place, &Views::of(&options.views, place)?).await?;
    tracing::warn!(%place, "the database was empty: the schema is made anew, and everything is fetched again");
    Ok(Anew::Whole)
}

/// The views are for people. Where only they are old and somebody else must make them, the store is used
/// as it is.
async fn make_views(connections: &Connections, place: &str, views: &Views) -> Result<(), StoreError> {
    match schema::make_views(connections, place, views).await {
        Err(error @ (StoreError::Denied { .. } | StoreError::ReadOnly { .. })) => {
            let hint = error.hints().join("; ");
            tracing::warn!(%error, %hint, "the views stay as they are");
            Ok(())
        }
        made => made,
    }
}

/// A pool at the address; nothing is sent yet.
pub(crate) fn connect(options: &OpenOptions) -> Result<Opened, StoreError> {
    let address = Address::parse(&options.url)?;
    let tls = tls::connector(&address)?;
    Ok(Opened { connections: Connections::new(options, &address, tls)?, address })
}

/// The task that listens, where somebody is to be heard.
pub(crate) fn listen(options: &OpenOptions, opened: &Opened) -> Result<Option<Listener>, StoreError> {
    let (address, way) = match &options.listen {
        Listen::Never => return Ok(None),
        Listen::Here if opened.address.is_pooler => return Ok(None),
        // Whoever has statements prepared says that no transaction pooler stands between.
        Listen::Here if options.statements == Statements::Prepared => (opened.address.clone(), None),
        Listen::Here => (opened.address.clone(), Some(opened.connections.way())),
        Listen::At(url) => (Address::parse_to_listen(url)?, None),
    };
    let tls = tls::connector(&address)?;
    let patience = address.patience(options.connect_timeout);
    let let_in = match &options.listen {
        Listen::At(_) => LetIn::default(),
        Listen::Here | Listen::Never => opened.connections.let_in(),
    };
    Ok(Some(Listener::start(&address, tls, patience, let_in, way)))
}
