//! A GitHub simulator with state, limits and faults; it hands back its request log.
//!
//! It exists so that Larder's tests and its demo can meet GitHub at its worst (down, slow, rate-limited, half an
//! answer) without meeting GitHub at all, and can say afterwards what was asked of it.
//!
//! # A world, a simulator, a log
//!
//! A [`World`] holds owners, repositories, former names and tokens; [`Simulator::start`] serves it over HTTP on
//! `127.0.0.1`; [`Simulator::requests`] tells what arrived.
//!
//! ```
//! use larder_github_sim::{Options, Outage, Owner, Repository, Simulator, Switches, Token, World};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let mut world = World::new();
//! world.add_owner(Owner::organization("octo-org"));
//! world.add(Repository { stars: 42, ..Repository::new("octo-org/cinder") });
//! world.add_token("a-token", Token::of("octocat"));
//! let github = Simulator::start(world, Options::default()).await.unwrap();
//!
//! let client = reqwest::Client::builder().user_agent("example").build().unwrap();
//! let query = r#"{ cinder: repository(owner: "octo-org", name: "cinder") { stargazerCount } }"#;
//! let asked = client
//!     .post(format!("{}/graphql", github.url()))
//!     .bearer_auth("a-token")
//!     .json(&serde_json::json!({ "query": query }));
//! let answer: serde_json::Value = asked.send().await.unwrap().json().await.unwrap();
//! assert_eq!(answer["data"]["cinder"]["stargazerCount"], 42);
//!
//! github.switch(Switches { outage: Outage::Dropped, ..Switches::default() });
//! assert!(client.get(format!("{}/repos/octo-org/cinder", github.url())).send().await.is_err());
//!
//! let log = github.take_requests();
//! assert_eq!((log[0].repositories, log[0].cost, log[0].actor.as_deref()), (1, 1, Some("octocat")));
//! assert_eq!(log[1].status, None, "it was never answered");
//! github.stop().await;
//! # });
//! ```
//!
//! # What it knows of GitHub
//!
//! - **GraphQL** at `/graphql` (and `/api/graphql`, as GitHub Enterprise Server has it): `repository`,
//!   `repositoryOwner`, `user`, `organization`, `node`, `nodes`, `viewer`, `rateLimit`, with GitHub's names,
//!   nullability, arguments and errors. [`graphql_sdl`] gives the schema, a subset of the public one.
//! - **REST** at `/` (and `/api/v3`): `repos/{o}/{r}` with `languages`, `topics`, `issues`, `releases/latest`,
//!   `git/trees/{of}` and `git/blobs/{sha}` of what was [pushed](World::push),
//!   `repositories/{id}`, `users|orgs/{o}` and their `repos` in pages with `Link`, `user`, `rate_limit`. Pages of
//!   issues are turned by cursor, with no word of the last one, and behind the tenth by nothing else (422); below
//!   `/api/v3` they have numbers, as an Enterprise Server's. Weak `ETag`s, 304,
//!   301 for renamed repositories, 451 and 403 for blocked ones, 410 for issues that are switched off, 403 without a
//!   `User-Agent`.
//! - **Permissions** of fine-grained tokens ([`Token::lacking`]): GraphQL answers the field with null and a
//!   `FORBIDDEN`, and the whole repository where the field cannot be null; REST answers 403.
//! - **Limits**, on by default ([`Limits`]): the hourly budgets with their headers, points a minute, requests at
//!   once. A 304 is free with a token and costs one without. An exhausted GraphQL budget is told with HTTP 200.
//! - **Faults** ([`Switches`]): outage, 502, silence, queries that take too long, latency, flakiness from a seed,
//!   forced limits, partial answers, broken bodies, connections cut amid one, repositories taken down, bad credentials.
//!
//! # Time
//!
//! Nothing here reads the wall clock unless [`Options::default`] is left as it is: windows, resets and the `Date`
//! header follow [`Options::now`], waits go through [`Options::sleep`]. Tests that want a flight held in the air turn
//! [`Switches::hold`] on, wait for [`Simulator::arrived`], do what they came for, and turn it off.
//!
//! # Over HTTP
//!
//! Other processes turn and read it under `/_sim`:
//!
//! | address | does |
//! |---|---|
//! | `GET`, `PUT`, `PATCH /_sim/switches` | reads, replaces, merges [`Switches`] |
//! | `GET`, `DELETE /_sim/requests` | reads, takes `{"requests": [`[`LoggedRequest`]`…]}` |
//! | `GET`, `PUT /_sim/limits` | reads, replaces [`Limits`] |
//! | `DELETE /_sim/limits` | forgets what was spent |
//! | `GET`, `POST`, `DELETE /_sim/repos/{owner}/{name}` | reads, changes or makes, removes a [`Repository`] |
//! | `GET`, `POST`, `DELETE /_sim/issues/{owner}/{name}/{number}` | reads, changes or makes, removes an [`Issue`] |
//! | `POST /_sim/rename` | `{"from": "o/a", "to": "o/b"}` |

mod answer;
mod arrival;
mod control;
mod faults;
mod graphql;
mod handle;
mod limits;
mod log;
mod rest;
mod shared;
mod simulator;
mod switches;
mod wire;
mod world;

pub use limits::Limits;
pub use log::{LoggedRequest, RequestKind};
pub use shared::{Now, Sleep};
pub use simulator::{Options, Simulator, graphql_sdl};
pub use switches::{
    Face, Outage, Partial, PartialError, PrimaryLimit, RateLimitSpelling, RateLimited200, SecondaryLimit,
    SlowQuery, Switches, When,
};
pub use world::{
    Block, DemoCluster, Issue, Language, License, Owner, OwnerKind, Permission, RankingError, Release,
    Repository, Sees, Token, World,
};
