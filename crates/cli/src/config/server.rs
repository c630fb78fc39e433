//! `[server]`: where `larder serve` listens, and who may see and do what there.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

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
}

/// Where `larder serve` listens if nothing else is said.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7070);

/// A token that can be guessed is none.
const TOKEN_CHARS_MIN: usize = 16;

impl ServerConfig {
    /// Reads the section.
    pub fn read(layers: &mut Layers<'_>) -> Self {
        let mut section = layers.section("server");
        let config = ServerConfig {
            listen: section
                .read(Key::guarded("listen"), |raw| one(raw.text("an address such as \"127.0.0.1:7070\"")?))
                .unwrap_or(Setting::default(LISTEN)),
            read_token: section.read(Key::guarded("read_token"), read_token),
            admin_token: section.read(Key::guarded("admin_token"), read_token),
            allowed_hosts: section
                .read(Key::guarded("allowed_hosts"), many)
                .unwrap_or(Setting::default(Vec::new())),
            trusted_proxies: section
                .read(Key::guarded("trusted_proxies"), many)
                .unwrap_or(Setting::default(Vec::new())),
        };
        section.finish();
        config
    }
}

fn one<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|error| format!("`{text}`: {error}"))
}

/// A list of texts in the file; in the environment, one text with commas.
fn many<T: FromStr<Err: Display>>(raw: Raw<'_>) -> Result<Vec<T>, String> {
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
