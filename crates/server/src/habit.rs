//! What a connection's requests have in common. A client writes the same fields with each, and often
//! asks for the same: what was decided by its bytes is not decided again while the very same come.

use std::net::SocketAddr;

use axum::http::{HeaderName, header};
use larder_core::Key;

use crate::access::{Peer, Viewer};
use crate::answer::Taken;
use crate::app::App;
use crate::fields::Fields;
use crate::guard;
use crate::plain::{Plain, Verb, Version};
use crate::snapshot::CLUSTER;
use crate::tier::Shape;

/// Who asks, and for what form of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) viewer: Viewer,
    pub(crate) taken: Taken,
}

/// Fields by which a reader wishes something of its own.
const WISHES: [HeaderName; 2] = [header::CACHE_CONTROL, header::PRAGMA];

impl Asker {
    /// Who asks by these fields; `None` = one who has to be looked at more closely.
    pub(crate) fn of(app: &App, fields: &(impl Fields + ?Sized), peer: SocketAddr) -> Option<Self> {
        let wishes_something = WISHES.iter().any(|name| fields.has(name));
        let is_ours = guard::host(fields).is_some_and(|host| app.answers_to(host));
        if wishes_something || !is_ours || app.is_unknown_token(fields) {
            return None;
        }
        Some(Asker { viewer: app.viewer_from(fields, Some(Peer(peer))), taken: Taken::of(fields) })
    }
}

/// A plain request, with all that its bytes decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) plain: Plain,
    pub(crate) asker: Option<Asker>,
    /// The entry that it names, where its name needs no decoding.
    pub(crate) entry: Option<(Key, Shape)>,
}

/// The last request, and its bytes.
#[derive(Default)]
pub(crate) struct Habit {
    head: Vec<u8>,
    /// Where its first line ends.
    line: usize,
    request: Option<Request>,
}

/// Longer heads are not remembered.
const HEAD_BYTES_MAX: usize = 4096;

impl Habit {
    /// The request at the beginning of `bytes`, where it is the last one again, or the last one with
    /// another first line of the plainest kind.
    pub(crate) fn recognise(&mut self, bytes: &[u8]) -> Option<&Request> {
        let request = self.request.as_mut()?;
        if bytes.starts_with(&self.head) {
            return Some(request);
        }
        let (verb, target, rest) = first_line(bytes, request.plain.version)?;
        if !rest.starts_with(&self.head[self.line..]) {
            return None;
        }
        let (line, fields) = (bytes.len() - rest.len(), self.head.len() - self.line);
        self.head.clear();
        self.head.extend_from_slice(&bytes[..line + fields]);
        self.line = line;
        request.plain = Plain { verb, len: self.head.len(), ..request.plain };
        request.entry = named(target);
        Some(request)
    }

    /// Remembers a request, all of whose bytes are `head`.
    pub(crate) fn learn(&mut self, head: &[u8], request: Request, fields: &(impl Fields + ?Sized)) {
        // A session ends some time, and with it what its cookie says.
        let passes = fields.has(&header::COOKIE) || head.len() > HEAD_BYTES_MAX;
        self.request = (!passes).then_some(request);
        if self.request.is_some() {
            self.line = head.iter().position(|byte| *byte == b'\n').map_or(head.len(), |end| end + 1);
            self.head.clear();
            self.head.extend_from_slice(head);
        }
    }
}

/// Verb and target of a first line that is written in the only way, and what is behind it.
fn first_line(bytes: &[u8], version: Version) -> Option<(Verb, &str, &[u8])> {
    let (verb, rest) = match bytes {
        [b'G', b'E', b'T', b' ', rest @ ..] => (Verb::Get, rest),
        [b'H', b'E', b'A', b'D', b' ', rest @ ..] => (Verb::Head, rest),
        _ => return None,
    };
    let is_plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~');
    let end = rest.iter().position(|byte| !is_plain(byte))?;
    let (target, rest) = rest.split_at(end);
    let target = std::str::from_utf8(target).ok().filter(|target| target.starts_with('/'))?;
    let rest = rest.strip_prefix(match version {
        Version::Http10 => b" HTTP/1.0\r\n",
        Version::Http11 => b" HTTP/1.1\r\n",
    })?;
    Some((verb, target, rest))
}

const CLUSTERS: &str = "/api/v1/clusters/";
const ENTRIES: &str = "/api/v1/entries/";

/// The entry that a target names.
pub(crate) fn named(target: &str) -> Option<(Key, Shape)> {
    let is_plain = |name: &&str| !name.contains(['%', '?']);
    if let Some(id) = target.strip_prefix(CLUSTERS).filter(is_plain) {
        let key = (!id.contains('/')).then(|| [CLUSTER, "/", id].concat())?;
        return Some((key.parse().ok()?, Shape::Cluster));
    }
    let key = target.strip_prefix(ENTRIES).filter(is_plain)?;
    Some((key.parse().ok()?, Shape::Entry))
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use proptest::prelude::*;

    use super::*;
    use crate::plain::{Read, Room, read};

    /// A request, read as if it were the first.
    fn by_itself(bytes: &[u8]) -> Option<(Request, Habit)> {
        let mut room: Room<'_> = [const { MaybeUninit::uninit() }; _];
        let Read::Plain(plain, said) = read(bytes, &mut room) else { return None };
        let mut habit = Habit::default();
        let request = Request { plain, asker: None, entry: named(said.target) };
        habit.learn(&bytes[..plain.len], request.clone(), said.fields);
        Some((request, habit))
    }

    #[test]
    fn a_request_written_as_the_last_one_is_known() {
        let first = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
        let (_, mut habit) = by_itself(first).unwrap();
        for known in [
            "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
            "HEAD /b HTTP/1.1\r\nHost: x\r\n\r\nGET",
            "GET /api/v1/entries/cluster/tools HTTP/1.1\r\nHost: x\r\n\r\n",
        ] {
            let request = habit.recognise(known.as_bytes()).cloned();
            assert_eq!(request, by_itself(known.as_bytes()).map(|(request, _)| request), "{known:?}");
        }
        assert!(habit.request.as_ref().is_some_and(|request| request.entry.is_some()));
        for other in [
            "GET /b HTTP/1.1\r\nHost: y\r\n\r\n",
            "GET /b HTTP/1.1\r\nhost: x\r\n\r\n",
            "GET /b HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n",
            "GET /b HTTP/1.1\r\nHost: x\r\n\r",
            "GET /b HTTP/1.0\r\nHost: x\r\n\r\n",
            "GET  /b HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /b?c HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET b HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST /b HTTP/1.1\r\nHost: x\r\n\r\n",
        ] {
            assert_eq!(habit.recognise(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn a_session_is_looked_at_each_time() {
        let request = b"GET /a HTTP/1.1\r\nHost: x\r\nCookie: larder_session=read.1.x\r\n\r\n";
        let (_, mut habit) = by_itself(request).unwrap();
        assert!(habit.recognise(request).is_none());
    }

    proptest! {
        #[test]
        fn whatever_is_known_again_is_what_it_would_be_by_itself(
            first in "(GET|HEAD) /[a-z/%?.]{0,4} HTTP/1\\.[01]\r\n(Host: [xy]\r\n|A: b\r\n){0,2}\r\n",
            next in "(GET|HEAD|GOT) {1,2}/?[a-z/%?.#]{0,4} HTTP/1\\.[01]\r?\n(Host: [xy]\r\n|A: b\r\n){0,2}(\r\n)?G?",
        ) {
            if let Some((_, mut habit)) = by_itself(first.as_bytes())
                && let Some(request) = habit.recognise(next.as_bytes())
            {
                let by_itself = by_itself(next.as_bytes()).map(|(request, _)| request);
                prop_assert_eq!(by_itself.as_ref(), Some(request));
            }
        }
    }
}
