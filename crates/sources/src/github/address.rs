//! Where GitHub is: the addresses that follow from `api_url`, and whether a token may go there.

use url::{Host, Url};

use super::GitHubError;

/// Addresses of one GitHub.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// REST, without a slash at its end.
    api: String,
    /// GraphQL.
    pub(super) graphql: Url,
    /// How items and budgets name it.
    pub(super) host: String,
    /// Whether it is on this very machine.
    pub(super) is_loopback: bool,
    origin: url::Origin,
}

impl Address {
    /// Reads `api_url`. With a token, plain http is for loopback alone.
    pub(super) fn of(api_url: &str, has_token: bool) -> Result<Self, GitHubError> {
        let wrong =
            |cause: &str| GitHubError::ApiUrl { url: without_secrets(api_url), cause: cause.to_owned() };
        let url = Url::parse(api_url).map_err(|error| wrong(&error.to_string()))?;
        let Some(named) = url.host() else { return Err(wrong("it names no host")) };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("a name or password in it would be logged; use GITHUB_TOKEN"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it must end with the path"));
        }
        let is_loopback = match &named {
            Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        match url.scheme() {
            "https" => {}
            "http" if is_loopback || !has_token => {}
            "http" => return Err(GitHubError::PlainHttp { url: without_secrets(api_url) }),
            _ => return Err(wrong("it must begin with https://")),
        }
        let host = match (named.to_string().as_str(), url.port()) {
            // A company's own part of GitHub is laid out like the whole.
            (name, None) if name == "api.github.com" || name.ends_with(".ghe.com") => {
                name.strip_prefix("api.").unwrap_or(name).to_owned()
            }
            (name, None) => name.to_owned(),
            (name, Some(port)) => format!("{name}:{port}"),
        };
        let api = url.as_str().trim_end_matches('/').to_owned();
        let graphql = match api.strip_suffix("/api/v3") {
            Some(server) => format!("{server}/api/graphql"),
            None => format!("{api}/graphql"),
        };
        let graphql = Url::parse(&graphql).map_err(|error| wrong(&error.to_string()))?;
        Ok(Address { api, graphql, host, is_loopback, origin: url.origin() })
    }

    /// Whether a token may be sent there.
    pub(super) fn takes_tokens(&self) -> Result<(), GitHubError> {
        Address::of(&self.api, true).map(drop)
    }

    /// The REST address of a path that begins with `/`.
    pub(super) fn rest(&self, path: &str) -> Result<Url, GitHubError> {
        let text = format!("{}{path}", self.api);
        Url::parse(&text).map_err(|error| GitHubError::ApiUrl { url: text, cause: error.to_string() })
    }

    /// Whether an address is one of the API, of which an Enterprise Server's origin has but a part.
    pub(super) fn has(&self, url: &Url) -> bool {
        let below = url.as_str().strip_prefix(&self.api);
        self.owns(url) && below.is_some_and(|rest| rest.starts_with('/'))
    }

    /// Whether an address that GitHub sent us to is GitHub's own, so that the token may go there.
    pub(super) fn owns(&self, url: &Url) -> bool {
        url.origin() == self.origin
    }
}

/// An address fit for an error message: without a name, password or query.
fn without_secrets(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return "the address".to_owned() };
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_from_the_api_url() {
        let cases = [
            ("https://api.github.com", "https://api.github.com/graphql", "github.com"),
            ("https://api.github.com/", "https://api.github.com/graphql", "github.com"),
            ("https://api.octo.ghe.com", "https://api.octo.ghe.com/graphql", "octo.ghe.com"),
            ("https://ghe.example/api/v3", "https://ghe.example/api/graphql", "ghe.example"),
            ("https://ghe.example:8443/api/v3/", "https://ghe.example:8443/api/graphql", "ghe.example:8443"),
            ("http://127.0.0.1:4000", "http://127.0.0.1:4000/graphql", "127.0.0.1:4000"),
            ("http://[::1]:4000", "http://[::1]:4000/graphql", "[::1]:4000"),
            ("http://localhost", "http://localhost/graphql", "localhost"),
        ];
        for (api_url, graphql, host) in cases {
            let address = Address::of(api_url, true).unwrap();
            assert_eq!((address.graphql.as_str(), address.host.as_str()), (graphql, host), "{api_url}");
        }
    }

    #[test]
    fn a_token_never_travels_in_the_clear() {
        assert!(matches!(Address::of("http://ghe.example/api/v3", true), Err(GitHubError::PlainHttp { .. })));
        assert!(matches!(Address::of("http://127.0.0.1.example", true), Err(GitHubError::PlainHttp { .. })));
        assert!(Address::of("http://ghe.example/api/v3", false).is_ok());
    }

    #[test]
    fn what_is_no_address_is_refused_and_no_secret_repeated() {
        for text in ["", "api.github.com", "ftp://api.github.com", "file:///etc", "https://h/?a=b"] {
            assert!(matches!(Address::of(text, false), Err(GitHubError::ApiUrl { .. })), "{text}");
        }
        let said = Address::of("https://me:hunter2@ghe.example", false).unwrap_err().to_string();
        assert!(!said.contains("hunter2"), "{said}");
    }

    #[test]
    fn the_api_of_an_enterprise_server_is_a_part_of_it() {
        let has = |api_url, text| Address::of(api_url, true).unwrap().has(&Url::parse(text).unwrap());
        assert!(has("https://api.github.com", "https://api.github.com/repositories/1/issues?after=x"));
        assert!(!has("https://api.github.com", "https://github.com/repositories/1/issues"));
        let server = "https://ghe.example/api/v3/";
        assert!(has(server, "https://ghe.example/api/v3/repositories/1/issues?page=2"));
        for other in [
            "https://ghe.example/repositories/1/issues",
            "https://ghe.example/api/v3/../../o/r",
            "https://ghe.example/api/v33/repositories/1",
            "http://ghe.example/api/v3/repositories/1",
            "https://me@ghe.example/api/v3/repositories/1",
        ] {
            assert!(!has(server, other), "{other}");
        }
    }

    #[test]
    fn only_the_same_scheme_host_and_port_are_its_own() {
        let address = Address::of("https://api.github.com", true).unwrap();
        let owns = |text| address.owns(&Url::parse(text).unwrap());
        assert!(owns("https://api.github.com/repositories/1"));
        for other in [
            "http://api.github.com/repositories/1",
            "https://api.github.com:8443/",
            "https://github.com/o/r",
            "https://api.github.com.evil.example/",
        ] {
            assert!(!owns(other), "{other}");
        }
    }
}
