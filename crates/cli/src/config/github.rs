//! `[github]`: which GitHub, whose repositories, and the token to ask with.

use secrecy::SecretString;
use url::{Host, Url};

use super::env::Environment;
use super::layers::{Key, Layers, Raw};
use super::origin::GITHUB;
use super::setting::{Origin, Setting};

/// Which GitHub, whose repositories, and the token to ask with.
#[derive(Debug, Clone)]
pub struct GithubConfig {
    /// The API's address; GraphQL lives beside it.
    pub api_url: Setting<String>,
    /// The owner of bare repository names.
    pub owner: Option<Setting<String>>,
    /// The token, if one is set; `gh` may still have one.
    pub token: Option<Setting<SecretString>>,
}

/// GitHub's public API.
pub const API_URL: &str = "https://api.github.com";

/// The variables with a token of GitHub's own hosts, in the order of `gh`.
const OF_GITHUB: [&str; 2] = ["GH_TOKEN", "GITHUB_TOKEN"];
/// Those of a server of somebody's own: it must not get the others.
const OF_ENTERPRISE: [&str; 2] = ["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"];
/// The same in a job that runs at that very server, which says so.
const OF_ENTERPRISE_JOB: [&str; 3] = [OF_ENTERPRISE[0], OF_ENTERPRISE[1], OF_GITHUB[1]];
/// Where such a job says which server that is.
const JOB_RUNS_AT: &str = "GITHUB_API_URL";

impl GithubConfig {
    /// Reads the section.
    pub fn read(layers: &mut Layers<'_>) -> Self {
        let env = layers.env();
        let mut section = layers.section("github");
        let api_url = section.read(Key::guarded("api_url"), |raw| read_url(raw.text("an address")?));
        let owner = section.read(Key::open("owner"), |raw| read_owner(raw.text("a login")?));
        let api_url = api_url.unwrap_or(Setting::default(API_URL.to_owned()));
        let vars = token_vars(&api_url.value, env);
        let token = section.read(Key::guarded("token").or_vars(vars), read_token);
        section.finish();
        let github = GithubConfig { api_url, owner, token };
        // It alone could say that the token which is there is that server's, and comes before the file's.
        let is_from_env = matches!(&github.token, Some(Setting { origin: Origin::Env(_), .. }));
        let is_asked = vars == OF_ENTERPRISE && env.get(OF_GITHUB[1]).is_some() && !is_from_env;
        if is_asked && env.is_odd(JOB_RUNS_AT) {
            layers.odd_var(JOB_RUNS_AT);
        }
        if let Some(passed_over) = OF_GITHUB
            .iter()
            .find(|name| !vars.contains(name) && (env.get(name).is_some() || env.is_odd(name)))
        {
            let (host, var) = (github.web_host(), github.token_var());
            layers
                .quiet_notes
                .push(format!("{passed_over} is github.com's, and not sent to {host}: {var} is its own"));
        }
        github
    }

    /// The variable to name to who has no token.
    pub fn token_var(&self) -> &'static str {
        if is_githubs(&self.api_url.value) { OF_GITHUB[1] } else { OF_ENTERPRISE[0] }
    }

    /// The host that `gh auth token --hostname` knows it by.
    pub fn web_host(&self) -> String {
        web_host(&self.api_url.value)
    }

    /// Where its pages are: with the port, if that is unusual.
    pub fn page_host(&self) -> String {
        let port = Url::parse(&self.api_url.value).ok().and_then(|url| url.port());
        match port.filter(|_| !self.is_loopback()) {
            Some(port) => format!("{}:{port}", self.clone_host()),
            None => self.clone_host(),
        }
    }

    /// Where the clones come from whose repositories it knows. One on this machine stands in for GitHub's own.
    pub fn clone_host(&self) -> String {
        if self.is_loopback() { GITHUB.to_owned() } else { self.web_host() }
    }

    /// Whether it is this machine, as a simulator is.
    pub fn is_loopback(&self) -> bool {
        Url::parse(&self.api_url.value).is_ok_and(|url| is_loopback(&url))
    }
}

fn web_host(api_url: &str) -> String {
    let url = Url::parse(api_url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    host.strip_prefix("api.").unwrap_or(host).to_owned()
}

/// Whether a token of GitHub's own hosts is for it: a simulator on this machine stands in for them.
fn is_githubs(api_url: &str) -> bool {
    let host = web_host(api_url);
    let is_here = || Url::parse(api_url).is_ok_and(|url| is_loopback(&url));
    host == GITHUB || host.ends_with(".ghe.com") || is_here()
}

/// The variables that may hold a token for it.
fn token_vars(api_url: &str, env: &Environment) -> &'static [&'static str] {
    let place = |url: &str| {
        let url = Url::parse(url).ok()?;
        Some((url.host_str()?.to_owned(), url.port_or_known_default()))
    };
    let job_runs_at = || env.get(JOB_RUNS_AT).and_then(place);
    if is_githubs(api_url) {
        &OF_GITHUB
    } else if job_runs_at().is_some_and(|there| place(api_url) == Some(there)) {
        &OF_ENTERPRISE_JOB
    } else {
        &OF_ENTERPRISE
    }
}

fn read_url(text: &str) -> Result<String, String> {
    let shown = without_credentials(text);
    let url = Url::parse(text).map_err(|error| format!("`{shown}` is not an address: {error}"))?;
    if url.host().is_none() {
        return Err(format!("`{shown}` names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address may not hold a password; use `GITHUB_TOKEN`".to_owned());
    }
    match url.scheme() {
        "https" => Ok(text.trim_end_matches('/').to_owned()),
        "http" if is_loopback(&url) => Ok(text.trim_end_matches('/').to_owned()),
        "http" => Err(format!("`{shown}` would send the token unencrypted: write `https://…`")),
        other => Err(format!("`{other}:` is not an address of an API: write `https://…`")),
    }
}

/// An address as it may be repeated: what stands before an `@` may be a token, and nobody knows where it begins
/// in a text that is no address.
fn without_credentials(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    match (rest.rsplit_once('@'), scheme) {
        (None, _) => text.to_owned(),
        (Some((_, rest)), "") => format!("…@{rest}"),
        (Some((_, rest)), scheme) => format!("{scheme}://…@{rest}"),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// An owner's login, or what is wrong with it.
pub fn read_owner(text: &str) -> Result<String, String> {
    // A name that any owner may have tells whether the owner itself will do.
    match larder_domain::RepoName::new(text, "x") {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("`{text}` cannot be an owner: letters, digits, `-` and `_`, at most 39")),
    }
}

/// Never repeats the value: it is a secret even when it is wrong.
fn read_token(raw: Raw<'_>) -> Result<SecretString, String> {
    let text = raw.text("a text in quotes")?.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("this is not a token: it is empty, or holds blanks".to_owned());
    }
    Ok(SecretString::from(text))
}
