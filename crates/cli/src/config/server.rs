//! `[server]`: where `larder serve` listens, and who may see and do what there.

use std::net::{IpAddr, SocketAddr};

use secrecy::SecretString;

use super::layers::{Key, Layers, Raw};
use super::setting::Setting;

/// Where `larder serve` listens, and who may see and do what there. A file that is not trusted
/// may set none of it.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address.
    pub listen: Setting<SocketAddr>,
    /// Lets its bearer see what is private.
    pub read_token: Option<Setting<SecretString>>,
    /// Lets its bearer refresh and invalidate besides.
    pub admin_token: Option<Setting<SecretString>>,
    /// Names, besides loopback's, that a request's `Host` may have.
    pub allowed_hosts: Setting<Vec<String>>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Setting<Vec<IpAddr>>,
    /// How much memory copies may take, in MiB: half of it entries, half of it serialised answers.
    pub memory_mib: Setting<u64>,
}

/// Where `larder serve` listens if nothing else is said.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7070);

/// What copies may take in memory if nothing else is said: a list of 10,000 repositories has room, and little of
/// it is used where there is little.
const MEMORY_MIB: u64 = 128;
const MEMORY_MIB_MAX: u64 = 1 << 20;

/// A token that can be guessed is none.
const TOKEN_CHARS_MIN: usize = 16;

impl ServerConfig {
    /// Reads the section.
    pub fn read(layers: &mut Layers<'_>) -> Self {
        let mut section = layers.section("server");
        let config = ServerConfig {
            listen: section
                .read(Key::guarded("listen"), |raw| {
                    read_listen(raw.text("an address such as \"127.0.0.1:7070\"")?)
                })
                .unwrap_or(Setting::default(LISTEN)),
            read_token: section.read(Key::guarded("read_token"), read_token),
            admin_token: section.read(Key::guarded("admin_token"), read_token),
            allowed_hosts: section
                .read(Key::guarded("allowed_hosts"), |raw| many(raw, read_host))
                .unwrap_or(Setting::default(Vec::new())),
            trusted_proxies: section
                .read(Key::guarded("trusted_proxies"), |raw| many(raw, read_proxy))
                .unwrap_or(Setting::default(Vec::new())),
            memory_mib: section
                .count(Key::guarded("memory_mib"), 1, MEMORY_MIB_MAX)
                .unwrap_or(Setting::default(MEMORY_MIB)),
        };
        section.finish();
        config
    }
}

/// An address to listen at. A port alone, or of `localhost`, is one of this machine alone: to be open to
/// others is said in full.
pub fn read_listen(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let here = text
        .strip_prefix("localhost:")
        .unwrap_or(text)
        .parse()
        .map(|port| SocketAddr::new(LISTEN.ip(), port));
    here.ok().or_else(|| text.parse().ok()).ok_or_else(|| {
        format!(
            "`{text}` is no IP address with a port: write `127.0.0.1:7070` for this machine alone, or \
             `0.0.0.0:7070` to be reached from others"
        )
    })
}

/// A name that a `Host` header may have: anything more would never be equal to one.
fn read_host(text: &str) -> Result<String, String> {
    let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if host.is_empty() || !host.chars().all(is_name) {
        return Err(format!("`{text}` is no host's name: write one such as `larder.example`, without `*`"));
    }
    if host == text {
        Ok(host.to_owned())
    } else {
        Err(format!("`{text}` is more than a host: write `{host}`"))
    }
}

fn read_proxy(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is no IP address: write one such as `10.0.0.1`"))
}

/// A list of texts in the file; in the environment, one text with commas.
fn many<T>(raw: Raw<'_>, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let one = |text: &str| one(text.trim());
    let Raw::Value(value) = raw else {
        let text = raw.text("a list")?;
        return text.split(',').filter(|part| !part.trim().is_empty()).map(one).collect();
    };
    let array = value.as_array().ok_or_else(|| "expected a list of texts".to_owned())?;
    let texts = array.iter().map(|item| item.get_ref().as_str().ok_or("expected a text in quotes"));
    texts.map(|text| one(text?)).collect()
}

/// Never repeats the value: it is a secret even when it is wrong.
fn read_token(raw: Raw<'_>) -> Result<SecretString, String> {
    let text = raw.text("a text in quotes")?.trim();
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("this is not a token: it holds blanks".to_owned());
    }
    if text.len() < TOKEN_CHARS_MIN {
        return Err(format!("this token is too easily guessed: use {TOKEN_CHARS_MIN} characters or more"));
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_this_machines_and_what_is_no_address_gets_an_example() {
        for (text, is) in [
            ("7070", "127.0.0.1:7070"),
            ("localhost:7070", "127.0.0.1:7070"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:7070", "[::1]:7070"),
        ] {
            assert_eq!(read_listen(text).map(|address| address.to_string()).as_deref(), Ok(is));
        }
        for text in [":7070", "larder.example:80", "70700", "127.0.0.1", ""] {
            let error = read_listen(text).unwrap_err();
            assert!(error.contains("`127.0.0.1:7070`") && error.contains("`0.0.0.0:7070`"), "{error}");
        }
    }

    #[test]
    fn an_allowed_host_that_no_request_could_name_is_refused() {
        for text in ["larder.example", "larder.example:8080", "10.0.0.1", "[::1]:80", "my_host"] {
            assert_eq!(read_host(text).as_deref(), Ok(text));
        }
        for text in ["http://larder.example/", "larder.example/", "https://larder.example"] {
            assert!(read_host(text).unwrap_err().ends_with("write `larder.example`"), "{text}");
        }
        for text in ["*.example", "", "lärder.example", "http://"] {
            assert!(read_host(text).unwrap_err().contains("is no host's name"), "{text}");
        }
    }
}
