//! What `larder doctor` finds out about GitHub: is it there, whom does the token belong to, what
//! may it, what is left, and do the clocks agree.

use std::time::Duration;

use larder_core::FetchError;
use larder_sources::Checked;

use super::Check;
use crate::config::{Config, Origin};
use crate::ui::{age, in_a_while};
use crate::wiring::Rooms;

/// A difference of the clocks beyond this is said.
const SKEW_WARN: Duration = Duration::from_secs(30);

/// Asks GitHub, unless the network is to be left alone.
pub async fn check(config: &Config, rooms: &Rooms<'_>, offline: bool) -> Vec<Check> {
    let mut checks: Vec<Check> = readable_token(config).into_iter().collect();
    if offline {
        return checks;
    }
    let github = match rooms.github() {
        Ok(github) => github,
        Err(complaint) => {
            checks.push(Check::of_complaint("github", &complaint));
            return checks;
        }
    };
    let host = github.host();
    match github.check().await {
        Err(error @ FetchError::Refused { .. }) => checks.push(Check::fail(
            "token",
            error.to_string(),
            Some("the token is wrong or has ended: make a new one, or run `gh auth login`".to_owned()),
        )),
        // A limit is GitHub's way of saying later: nothing is broken.
        Err(error @ FetchError::Limited { .. }) => checks.push(Check::warn(
            "limits",
            error.to_string(),
            "nothing is fetched until then; what is held is served",
        )),
        Err(error) => checks.push(Check::fail("github", error.to_string(), error.hints().into_iter().next())),
        Ok(checked) => {
            checks.push(Check::ok("github", format!("{host} answers")));
            checks.push(token(config, &checked));
            checks.extend(limits(&checked));
            checks.extend(clock(&checked));
        }
    }
    checks
}

fn token(config: &Config, checked: &Checked) -> Check {
    let from = match &config.github.token {
        Some(token) => format!("from {}", token.origin.to_string().trim_start_matches("env ")),
        None => "from `gh`".to_owned(),
    };
    match (&checked.login, &checked.scopes) {
        (None, _) => Check::warn(
            "token",
            "none: public repositories alone, 60 calls an hour",
            format!(
                "set {}, or run `gh auth login`: 5,000 calls an hour, and private repositories",
                config.github.token_var()
            ),
        ),
        (Some(login), None) => Check::ok("token", format!("of {login}, {from}, fine-grained or of an app")),
        (Some(login), Some(scopes)) => {
            let named = if scopes.is_empty() { "none".to_owned() } else { scopes.join(", ") };
            let found = format!("of {login}, {from}, scopes: {named}");
            if scopes.iter().any(|scope| scope == "repo") {
                Check::ok("token", found)
            } else {
                Check::warn("token", found, "without the scope `repo`, private repositories are left out")
            }
        }
    }
}

fn limits(checked: &Checked) -> Vec<Check> {
    let of_use = |resource: &str| matches!(resource, "core" | "graphql");
    let limits = checked.limits.iter().filter(|limit| of_use(&limit.resource));
    limits
        // Without a token there is no GraphQL, and so no allowance of it.
        .filter(|limit| limit.limit > 0)
        .map(|limit| {
            let reset = limit.reset_at.map(|at| format!(", more {}", in_a_while(at, checked.our_time)));
            let found = format!(
                "{} of {} {} points left{}",
                limit.remaining,
                limit.limit,
                limit.resource,
                reset.unwrap_or_default()
            );
            if limit.remaining == 0 {
                Check::warn("limits", found, "nothing is fetched until then; what is held is served")
            } else {
                Check::ok("limits", found)
            }
        })
        .collect()
}

fn clock(checked: &Checked) -> Option<Check> {
    let server = checked.server_time?;
    let skew = server.since(checked.our_time).max(checked.our_time.since(server));
    let way = if server > checked.our_time { "behind" } else { "ahead of" };
    Some(if skew > SKEW_WARN {
        Check::warn(
            "clock",
            format!("this machine's clock is {} {way} GitHub's", age(skew)),
            "set it right (NTP): ages and limits are told by it",
        )
    } else {
        Check::ok("clock", "agrees with GitHub's")
    })
}

/// A token in a file that others can read is everybody's.
#[cfg(unix)]
fn readable_token(config: &Config) -> Option<Check> {
    use std::os::unix::fs::PermissionsExt as _;
    let token = config.github.token.as_ref()?;
    let file = config.file.as_ref().filter(|_| matches!(token.origin, Origin::File { .. }))?;
    let mode = std::fs::metadata(&file.path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| {
        Check::warn(
            "token",
            format!("others on this machine may read the token in {}", file.path.display()),
            format!("chmod 600 {}, or use {}", file.path.display(), config.github.token_var()),
        )
    })
}

#[cfg(not(unix))]
fn readable_token(_config: &Config) -> Option<Check> {
    None
}
