//! `[github]`: which GitHub, whose repositories, and the token to ask with.

use secrecy::SecretString;
use url::{Host, Url};

use super::layers::{Key, Layers, Raw};
use super::origin::GITHUB;
use super::setting::Setting;

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

impl GithubConfig {
    /// Reads the section.
    pub fn read(layers: &mut Layers<'_>) -> Self {
        let mut section = layers.section("github");
        let api_url = section.read(Key::guarded("api_url"), |raw| read_url(raw.text("an address")?));
        let owner = section.read(Key::open("owner"), |raw| read_owner(raw.text("a login")?));
        let token = section.read(Key::guarded("token").or_vars(&["GITHUB_TOKEN", "GH_TOKEN"]), read_token);
        section.finish();
        GithubConfig { api_url: api_url.unwrap_or(Setting::default(API_URL.to_owned())), owner, token }
    }

    /// The host that `gh auth token --hostname` knows it by.
    pub fn web_host(&self) -> String {
        let url = Url::parse(&self.api_url.value).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        host.strip_prefix("api.").unwrap_or(host).to_owned()
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
