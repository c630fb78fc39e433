//! Reading a request's head before hyper does, as far as it is plain: a GET or HEAD without a body,
//! written as clients write it. Nothing is decided about any other here: hyper reads those itself,
//! and its word counts.

use std::mem::MaybeUninit;

use axum::http::{HeaderName, header};
use httparse::Header;

use crate::fields::Fields as _;

/// More fields than a plain head has.
const FIELDS_MAX: usize = 64;

/// Room for a head's fields.
pub(crate) type Room<'b> = [MaybeUninit<Header<'b>>; FIELDS_MAX];

/// What the bytes at hand begin with.
pub(crate) enum Read<'r, 'b> {
    /// A head that has not come whole.
    Part,
    /// A plain request, and nothing but it in its first bytes.
    Plain(Plain, Said<'r, 'b>),
    /// Anything else.
    Other,
}

/// A request without a body, whose end is beyond doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) verb: Verb,
    pub(crate) version: Version,
    /// What becomes of the connection.
    pub(crate) after: After,
    /// How many bytes it takes.
    pub(crate) len: usize,
}

/// What a plain request names and says.
pub(crate) struct Said<'r, 'b> {
    pub(crate) target: &'b str,
    pub(crate) fields: &'r [Header<'b>],
}

/// What a plain request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    /// The answer without its body.
    Head,
}

/// The version that a plain request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
}

/// What becomes of a connection behind an answer, and the line that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// It stays, as is usual.
    Stays,
    /// It stays, which HTTP/1.0 has to be told.
    StaysSaid,
    /// It ends, as is usual.
    Ends,
    /// It ends, which HTTP/1.1 has to be told.
    EndsSaid,
}

impl After {
    /// The line in the answer's head.
    pub(crate) fn line(self) -> &'static [u8] {
        match self {
            After::Stays | After::Ends => b"",
            After::StaysSaid => b"connection: keep-alive\r\n",
            After::EndsSaid => b"connection: close\r\n",
        }
    }

    /// Whether another request may follow.
    pub(crate) fn stays(self) -> bool {
        matches!(self, After::Stays | After::StaysSaid)
    }
}

/// Fields that make a request more than its head, or the connection another one.
const FRAMING: [HeaderName; 4] =
    [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE, header::EXPECT];

/// Reads a head off the beginning of `bytes`.
pub(crate) fn read<'r, 'b>(bytes: &'b [u8], room: &'r mut Room<'b>) -> Read<'r, 'b> {
    let mut request = httparse::Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(bytes, room) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Read::Part,
        Err(_) => return Read::Other,
    };
    let httparse::Request { method: Some(method), path: Some(target), version: Some(minor), headers } =
        request
    else {
        return Read::Other;
    };
    let fields: &'r [Header<'b>] = headers;
    let plain = || {
        let verb = match method {
            "GET" => Verb::Get,
            "HEAD" => Verb::Head,
            _ => return None,
        };
        let version = match minor {
            0 => Version::Http10,
            1 => Version::Http11,
            _ => return None,
        };
        let is_plain = is_plainly_written(&bytes[..len])
            && target.starts_with('/')
            && !FRAMING.iter().any(|name| fields.has(name));
        let after = after(fields, version).filter(|_| is_plain)?;
        Some(Plain { verb, version, after, len })
    };
    plain().map_or(Read::Other, |plain| Read::Plain(plain, Said { target, fields }))
}

/// Whether a head that was cut short before may have come whole: a cheap look before it is read
/// again. `known` bytes of it were there before.
pub(crate) fn may_be_whole(bytes: &[u8], known: usize) -> bool {
    let new = &bytes[known.saturating_sub(3)..];
    new.windows(2).any(|pair| pair == b"\n\n") || new.windows(3).any(|three| three == b"\n\r\n")
}

/// Whether a head begins at once, ends each line as it should, and is ASCII: parsers differ on the
/// rest, and what they differ on is how requests are smuggled.
fn is_plainly_written(head: &[u8]) -> bool {
    let mut before = 0;
    let is_usual = |&byte: &u8| {
        let is_usual = match byte {
            b'\n' => before == b'\r',
            b'\r' => true,
            byte => before != b'\r' && (byte == b'\t' || (b' '..=b'~').contains(&byte)),
        };
        before = byte;
        is_usual
    };
    head.first().is_some_and(u8::is_ascii_uppercase) && head.iter().all(is_usual)
}

/// What becomes of the connection, where that is said at most once and in one word.
fn after(fields: &[Header<'_>], version: Version) -> Option<After> {
    let mut said = fields.all(&header::CONNECTION);
    let word = said.next();
    if said.next().is_some() {
        return None;
    }
    let is = |word: &[u8], known: &str| word.eq_ignore_ascii_case(known.as_bytes());
    match (version, word) {
        (Version::Http11, None) => Some(After::Stays),
        (Version::Http11, Some(word)) if is(word, "keep-alive") => Some(After::Stays),
        (Version::Http11, Some(word)) if is(word, "close") => Some(After::EndsSaid),
        (Version::Http10, None) => Some(After::Ends),
        (Version::Http10, Some(word)) if is(word, "close") => Some(After::Ends),
        (Version::Http10, Some(word)) if is(word, "keep-alive") => Some(After::StaysSaid),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_plain(head: &str) -> bool {
        let mut room: Room<'_> = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        matches!(read(head.as_bytes(), &mut room), Read::Plain(plain, _) if plain.len == head.len())
    }

    #[test]
    fn what_clients_write_is_plain() {
        assert!(is_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert!(is_plain("HEAD /x?y HTTP/1.0\r\n\r\n"));
        assert!(is_plain(
            "GET / HTTP/1.1\r\nHost:localhost \r\nconnection: Keep-Alive\r\nAccept:\t*/*\r\n\r\n"
        ));
    }

    #[test]
    fn what_parsers_may_differ_on_is_not() {
        for head in [
            "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
            "get / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: x\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n\n",
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: close, te\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nConnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nA: \u{e9}\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        ] {
            assert!(!is_plain(head), "{head:?}");
        }
    }

    proptest! {
        #[test]
        fn a_head_that_is_cut_short_is_never_taken_for_a_whole_one(
            name in "[A-Za-z-]{1,12}", value in "[ -~]{0,20}", cut in 0_usize..60,
        ) {
            let head = format!("GET /a HTTP/1.1\r\nHost: x\r\nX{name}: {value}\r\n\r\n");
            let cut = cut.min(head.len() - 1);
            let mut room: Room<'_> = [const { MaybeUninit::uninit() }; FIELDS_MAX];
            prop_assert!(matches!(read(&head.as_bytes()[..cut], &mut room), Read::Part));
            prop_assert!(!may_be_whole(&head.as_bytes()[..cut], 0));
            prop_assert!(may_be_whole(head.as_bytes(), cut));
        }
    }
}
