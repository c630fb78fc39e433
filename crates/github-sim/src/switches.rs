//! What may go wrong, as switches: each off by default, each set in code or as JSON over HTTP.

use serde::{Deserialize, Serialize};

/// All faults. As JSON, a key that is left out is off; an unknown key is refused.
///
/// ```
/// use larder_github_sim::{Switches, When};
/// let switches = Switches { bad_gateway: When::Next(2), ..Switches::default() };
/// let json = serde_json::to_value(&switches).unwrap();
/// assert_eq!(json["bad_gateway"], serde_json::json!({"next": 2}));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// Which of the two interfaces the faults strike; both unless told.
    pub only: Face,
    /// GitHub is down.
    pub outage: Outage,
    /// The `retry-after` header of its 503, in seconds; none leaves it out.
    pub outage_retry_after_s: Option<u64>,
    /// 502 with a page of HTML.
    pub bad_gateway: When,
    /// The request is taken and never answered, until the client gives up.
    pub time_out: When,
    /// The request waits until this is switched off again, and is then answered as if nothing had been: a
    /// marker to hold a flight in the air without sleeping.
    pub hold: bool,
    /// GraphQL queries too large to finish in GitHub's time.
    pub slow_query: Option<SlowQuery>,
    /// Waits this long before each answer, in milliseconds.
    pub latency_ms: u64,
    /// The share of requests, 0 to 1, that fail one way or another, drawn from the simulator's seed.
    pub flaky: f64,
    /// The primary limit, forced.
    pub primary_limit: PrimaryLimit,
    /// The secondary limit, forced.
    pub secondary_limit: SecondaryLimit,
    /// GraphQL refuses for its limit with HTTP 200, whatever the headers say.
    pub graphql_rate_limited_200: RateLimited200,
    /// GraphQL answers some repositories with null and an error.
    pub partial: Partial,
    /// REST answers 451, as if the repository had been taken down a moment ago.
    pub taken_down: When,
    /// The body ends in the middle.
    pub broken_json: When,
    /// The connection is cut in the middle of the body, whatever status and headers came before it.
    pub cut_body: When,
    /// Every token is answered by 401.
    pub bad_credentials: bool,
}

/// Which requests a fault strikes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// None: the fault is off.
    #[default]
    Never,
    /// Every one.
    Always,
    /// The next so many; counts down to never.
    Next(u32),
    /// Every so-manieth: `Every(3)` strikes the third, the sixth, …
    Every(u32),
}

/// One of GitHub's two interfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Face {
    /// Both.
    #[default]
    All,
    /// REST alone.
    Rest,
    /// GraphQL alone.
    Graphql,
}

/// How GitHub is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outage {
    /// It is not.
    #[default]
    Off,
    /// 503.
    Unavailable,
    /// The connection closes without an answer.
    Dropped,
}

/// GraphQL queries that name more repositories than this run into GitHub's ten seconds and end as 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowQuery {
    /// The largest number of repositories that is still answered.
    pub above_repositories: usize,
    /// How long the refusal takes, in milliseconds: 10,000 at GitHub.
    #[serde(default = "ten_seconds_ms")]
    pub after_ms: u64,
}

/// The primary limit, forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrimaryLimit {
    /// What every actor has left, before each request; none leaves the count to itself.
    pub remaining: Option<u64>,
    /// What an exhausted limit is answered with: 403 or 429.
    pub status: u16,
}

/// The secondary limit, forced; `status` and `retry_after_s` also shape the one that is reached honestly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecondaryLimit {
    /// Which requests.
    pub when: When,
    /// 403 or 429.
    pub status: u16,
    /// The `retry-after` header in seconds; none leaves it out.
    pub retry_after_s: Option<u64>,
}

/// The primary limit of GraphQL, told by an error in a successful answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimited200 {
    /// Which requests.
    pub when: When,
    /// Which spelling; it also shapes the limit that is reached honestly.
    #[serde(rename = "type")]
    pub spelling: RateLimitSpelling,
}

/// GitHub has used both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RateLimitSpelling {
    /// The newer one, with `code: graphql_rate_limit`.
    #[default]
    #[serde(rename = "RATE_LIMIT")]
    RateLimit,
    /// The older one.
    #[serde(rename = "RATE_LIMITED")]
    RateLimited,
}

/// Repositories that a GraphQL answer leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Partial {
    /// By full name, without regard to case.
    pub names: Vec<String>,
    /// Every so-manieth `repository` of each query.
    pub every: Option<u32>,
    /// What is said of them.
    pub error: PartialError,
}

/// Why GitHub left a repository out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartialError {
    /// `RESOURCE_LIMITS_EXCEEDED`.
    #[default]
    ResourceLimits,
    /// "Something went wrong", without a type.
    Internal,
}

const fn ten_seconds_ms() -> u64 {
    10_000
}

impl Default for PrimaryLimit {
    fn default() -> Self {
        Self { remaining: None, status: 403 }
    }
}

impl Default for SecondaryLimit {
    fn default() -> Self {
        Self { when: When::Never, status: 403, retry_after_s: Some(60) }
    }
}

impl Partial {
    /// Whether any repository is to be left out.
    pub(crate) fn strikes(&self, full_name: &str, place: u32) -> bool {
        let every = self.every.is_some_and(|every| every > 0 && place.is_multiple_of(every));
        every || self.names.iter().any(|name| name.eq_ignore_ascii_case(full_name))
    }
}

impl When {
    /// Whether this fault strikes now; counts the request. `seen` belongs to this fault alone.
    pub(crate) fn strikes(&mut self, seen: &mut u32) -> bool {
        match *self {
            Self::Never | Self::Next(0) => false,
            Self::Always => true,
            Self::Next(left) => {
                *self = if left == 1 { Self::Never } else { Self::Next(left - 1) };
                true
            }
            Self::Every(step) => {
                *seen += 1;
                step > 0 && seen.is_multiple_of(step)
            }
        }
    }
}
