//! What can go wrong with a fetch, who it counts against, and when to try again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Time;

/// Which of an upstream's limits was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// The hourly allowance of one resource.
    Primary,
    /// Too much at once, by one actor.
    Secondary,
    /// The upstream is out of service and said for how long: whoever asks, waits.
    Outage,
    /// Larder's own budget keeps the rest for somebody more urgent, who need not wait.
    Budget,
}

/// Why a fetch, or one item of it, brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No connection, or it broke.
    #[error("{host} could not be reached: {cause}")]
    Network {
        /// Whom.
        host: String,
        /// In the network's words.
        cause: String,
    },
    /// The upstream failed: 5xx.
    #[error("{host} answered {status}{}", detail.as_deref().map(|d| format!(": {d}")).unwrap_or_default())]
    Upstream {
        /// Who.
        host: String,
        /// The HTTP status.
        status: u16,
        /// In its own words.
        detail: Option<String>,
        /// When it asked to be called again.
        retry_at: Option<Time>,
    },
    /// No answer in time.
    #[error("no answer within {} s", after.as_secs_f32())]
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// A rate limit, the upstream's or our own budget.
    #[error("{message} until {}", until.whole_second())]
    Limited {
        /// Which.
        kind: LimitKind,
        /// Nothing may be sent before.
        until: Time,
        /// What was met, such as ``GitHub's secondary rate limit``.
        message: String,
    },
    /// Too many failures lately: the host is left alone for a while.
    #[error("{host} failed repeatedly and is left alone until {}", until.whole_second())]
    BreakerOpen {
        /// Who.
        host: String,
        /// The next try.
        until: Time,
    },
    /// The request itself is wrong: 400, 422, a query error.
    #[error("{host} refused the request: {detail}")]
    BadRequest {
        /// Who.
        host: String,
        /// In its own words.
        detail: String,
    },
    /// Not allowed: a bad credential, or one with too few rights.
    #[error("{host} refused access: {detail}")]
    Refused {
        /// Who.
        host: String,
        /// In its own words.
        detail: String,
    },
    /// Not allowed, and asked for without a credential, as everybody may: there is none that could be put right.
    #[error("{host} refused access: {detail}")]
    Closed {
        /// Who.
        host: String,
        /// In its own words.
        detail: String,
    },
    /// An answer that cannot be understood.
    #[error("{host} sent an answer that cannot be used: {detail}")]
    Unusable {
        /// Who.
        host: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A file on this machine that cannot be understood.
    #[error("{path} cannot be used: {detail}")]
    BadFile {
        /// Which, as a whole path.
        path: String,
        /// What is wrong with it, and in which line where that is known.
        detail: String,
    },
    /// Part of an answer was held back by a resource limit, or by an error on that part alone.
    #[error("{host} left part of the answer out: {detail}")]
    Partial {
        /// Who.
        host: String,
        /// In its own words.
        detail: String,
    },
    /// It is private, and was asked for without a credential.
    #[error("it is private, and there is no token to see it with")]
    NoCredential,
    /// More than half of what was there is gone at once: taken for lost access, not for absence.
    #[error("{gone} of {held} are gone at once, which looks like lost access rather than deletion")]
    AccessLost {
        /// How many are gone.
        gone: usize,
        /// Of how many.
        held: usize,
    },
    /// The budget or the store behind a source could not be asked.
    #[error("{0}")]
    Local(String),
}

/// When the same fetch may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Once more in the same flight, then by backoff.
    Now,
    /// By backoff.
    Later,
    /// Not before this instant.
    At(Time),
}

/// What a person can do about an error: one sentence.
pub type Hint = String;

impl FetchError {
    /// Whether it is the entry's own fault and counts towards `dead`. What an upstream suffers or
    /// limits never does.
    pub fn counts(&self) -> bool {
        match self {
            FetchError::BadRequest { .. }
            | FetchError::Refused { .. }
            | FetchError::Closed { .. }
            | FetchError::Unusable { .. }
            | FetchError::BadFile { .. } => true,
            FetchError::Network { .. }
            | FetchError::Upstream { .. }
            | FetchError::TimedOut { .. }
            | FetchError::Limited { .. }
            | FetchError::BreakerOpen { .. }
            | FetchError::Partial { .. }
            | FetchError::NoCredential
            | FetchError::AccessLost { .. }
            | FetchError::Local(_) => false,
        }
    }

    /// When to try again.
    pub fn retry(&self) -> Retry {
        match self {
            FetchError::Network { .. } | FetchError::Upstream { retry_at: None, .. } => Retry::Now,
            FetchError::Upstream { retry_at: Some(at), .. } => Retry::At(*at),
            FetchError::Limited { until, .. } | FetchError::BreakerOpen { until, .. } => Retry::At(*until),
            FetchError::TimedOut { .. }
            | FetchError::BadRequest { .. }
            | FetchError::Refused { .. }
            | FetchError::Closed { .. }
            | FetchError::Unusable { .. }
            | FetchError::BadFile { .. }
            | FetchError::Partial { .. }
            | FetchError::NoCredential
            | FetchError::AccessLost { .. }
            | FetchError::Local(_) => Retry::Later,
        }
    }

    /// What a person can do.
    pub fn hints(&self) -> Vec<Hint> {
        let hint = match self {
            FetchError::Network { .. } => "check the connection, and the address that is configured (`[github] api_url`, \
                                           `[[marketplace]] url`); see `larder doctor`"
                .into(),
            FetchError::Limited { until, .. } | FetchError::BreakerOpen { until, .. } => {
                format!("retry after {}; see `larder doctor`", until.whole_second())
            }
            FetchError::Refused { .. } => "check the token and its rights: `larder doctor` names both".into(),
            FetchError::Closed { .. } => "it is asked without a token: check the `[[marketplace]] url`, or have what it \
                                          lists in a `file`"
                .into(),
            FetchError::NoCredential => "set GITHUB_TOKEN (GH_ENTERPRISE_TOKEN for a server of your own), or `gh auth login`".into(),
            FetchError::AccessLost { .. } => {
                "the copy is kept; check the token's rights, or `larder cache clear KEY` if they are really gone".into()
            }
            FetchError::BadFile { .. } => "put it right and `larder refresh` it; a server sees that by itself".into(),
            FetchError::Upstream { .. }
            | FetchError::TimedOut { .. }
            | FetchError::BadRequest { .. }
            | FetchError::Unusable { .. }
            | FetchError::Partial { .. }
            | FetchError::Local(_) => return Vec::new(),
        };
        vec![hint]
    }

    /// A stable word for logs, columns and JSON.
    pub fn code(&self) -> &'static str {
        match self {
            FetchError::Network { .. } => "network",
            FetchError::Upstream { .. } => "upstream",
            FetchError::TimedOut { .. } => "timed_out",
            FetchError::Limited { kind: LimitKind::Primary, .. } => "primary_limit",
            FetchError::Limited { kind: LimitKind::Secondary, .. } => "secondary_limit",
            FetchError::Limited { kind: LimitKind::Outage, .. } => "outage",
            FetchError::Limited { kind: LimitKind::Budget, .. } => "budget",
            FetchError::BreakerOpen { .. } => "breaker_open",
            FetchError::BadRequest { .. } => "bad_request",
            FetchError::Refused { .. } | FetchError::Closed { .. } => "refused",
            FetchError::Unusable { .. } | FetchError::BadFile { .. } => "unusable",
            FetchError::Partial { .. } => "partial",
            FetchError::NoCredential => "needs_token",
            FetchError::AccessLost { .. } => "access_lost",
            FetchError::Local(_) => "local",
        }
    }

    /// As [`Failure::spares_the_urgent`].
    pub fn spares_the_urgent(&self) -> bool {
        matches!(self, FetchError::Limited { kind: LimitKind::Budget, .. })
    }

    /// The error as a row keeps it.
    pub fn at(&self, now: Time) -> Failure {
        Failure {
            code: self.code().to_owned(),
            message: self.to_string(),
            hint: self.hints().into_iter().next(),
            at: now,
        }
    }
}

/// A failure as an entry's row keeps it and people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// [`FetchError::code`].
    pub code: String,
    /// What went wrong, in a sentence.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<Hint>,
    /// When.
    pub at: Time,
}

impl Failure {
    /// Whether it tells what became of a call: a host that does so over and over is left alone.
    pub(crate) fn is_of_a_call(&self) -> bool {
        matches!(self.code.as_str(), "network" | "upstream" | "timed_out")
    }

    /// Whether [our own budget](LimitKind::Budget) refused, for the sake of whoever waits and has nothing.
    pub fn spares_the_urgent(&self) -> bool {
        self.code == "budget"
    }
}
