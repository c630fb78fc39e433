//! Heads of answers as bytes: all that an entry's answer says of itself, with holes for what passes
//! with time. Each is made once, of the very answer that the long way would give.

use std::io::Write as _;
use std::sync::OnceLock;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use larder_core::{Status, Time};

use crate::answer::{Form, send};
use crate::api::Got;
use crate::plain::{After, Verb, Version};

/// The heads of one document, each made when it is first wanted.
#[derive(Default)]
pub(crate) struct Wires([OnceLock<Box<Wire>>; 12]);

/// A head, from behind its version to its end.
pub(crate) struct Wire {
    text: Vec<u8>,
    /// What goes where, in order.
    holes: Vec<(usize, Hole)>,
    status: StatusCode,
}

/// What a head says anew each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hole {
    Ttl,
    Age,
    Connection,
    Date,
}

/// What fills the holes of one answer.
pub(crate) struct Filling<'a> {
    pub(crate) version: Version,
    pub(crate) ttl: i64,
    pub(crate) age: u64,
    pub(crate) after: After,
    pub(crate) date: &'a [u8],
}

impl Wires {
    /// The head for what was got, in this form and for this verb.
    pub(crate) fn of(&self, got: &Got, form: Form, verb: Verb, now: Time) -> &Wire {
        let status = usize::from(got.status != Status::Fresh);
        let form_nr = match form {
            Form::Plain => 0,
            Form::Gzip => 1,
            Form::Unchanged => 2,
        };
        let place = (form_nr * 2 + usize::from(verb == Verb::Head)) * 2 + status;
        self.0[place].get_or_init(|| Box::new(Wire::of(&as_sent(got, form, now))))
    }
}

/// The answer as the router and the guard send it.
fn as_sent(got: &Got, form: Form, now: Time) -> Response {
    let mut response = send(&got.held.document, &got.told(now), form);
    let len = got.held.document.bytes(form).len();
    let headers = response.headers_mut();
    crate::guard::secure(headers);
    if form != Form::Unchanged {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    }
    response
}

impl Wire {
    /// Writes a head as hyper does: names in lower case, in the order they were set, the date last.
    fn of(response: &Response) -> Wire {
        let status = response.status();
        let mut wire = Wire { text: Vec::with_capacity(1024), holes: Vec::with_capacity(4), status };
        wire.add(&[b" ", status.as_str().as_bytes(), b" "]);
        wire.add(&[status.canonical_reason().unwrap_or_default().as_bytes(), b"\r\n"]);
        for (name, value) in response.headers() {
            wire.add(&[name.as_str().as_bytes(), b": "]);
            match name.as_str() {
                "age" => wire.hole(Hole::Age),
                "cache-status" => wire.add_cache_status(value.as_bytes()),
                _ => wire.add(&[value.as_bytes()]),
            }
            wire.add(&[b"\r\n"]);
        }
        wire.hole(Hole::Connection);
        wire.add(&[b"date: "]);
        wire.hole(Hole::Date);
        wire.add(&[b"\r\n\r\n"]);
        wire.text.shrink_to_fit();
        wire
    }

    fn add(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.text.extend_from_slice(part);
        }
    }

    fn hole(&mut self, hole: Hole) {
        self.holes.push((self.text.len(), hole));
    }

    /// All of the value but the seconds that are left.
    fn add_cache_status(&mut self, value: &[u8]) {
        const TTL: &[u8] = b"ttl=";
        let begin = value.windows(TTL.len()).position(|part| part == TTL);
        let Some(begin) = begin.map(|place| place + TTL.len()) else { return self.add(&[value]) };
        let len = value[begin..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'-').count();
        self.add(&[&value[..begin]]);
        self.hole(Hole::Ttl);
        self.add(&[&value[begin + len..]]);
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Puts the whole head behind what is in `out`.
    pub(crate) fn write(&self, filling: &Filling<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(match filling.version {
            Version::Http10 => b"HTTP/1.0",
            Version::Http11 => b"HTTP/1.1",
        });
        let mut from = 0;
        for (to, hole) in &self.holes {
            out.extend_from_slice(&self.text[from..*to]);
            from = *to;
            // Writing into memory does not fail.
            let _ = match hole {
                Hole::Ttl => write!(out, "{}", filling.ttl),
                Hole::Age => write!(out, "{}", filling.age),
                Hole::Connection => out.write_all(filling.after.line()),
                Hole::Date => out.write_all(filling.date),
            };
        }
        out.extend_from_slice(&self.text[from..]);
    }
}

/// All of an answer that ends its connection.
pub(crate) fn last(response: &Response, body: &[u8], now: Time) -> Vec<u8> {
    let mut dated = Dated::default();
    let date = dated.at(now);
    let filling = Filling { version: Version::Http11, ttl: 0, age: 0, after: After::EndsSaid, date };
    let mut out = Vec::with_capacity(2048);
    Wire::of(response).write(&filling, &mut out);
    out.extend_from_slice(body);
    out
}

/// The `Date` of an answer, written once a second.
#[derive(Default)]
pub(crate) struct Dated {
    second: Option<i64>,
    text: Vec<u8>,
}

impl Dated {
    /// RFC 9110's form of the time.
    pub(crate) fn at(&mut self, now: Time) -> &[u8] {
        let second = now.ms().div_euclid(1000).clamp(0, Time::MAX.ms() / 1000);
        if self.second != Some(second) {
            let since = std::time::Duration::from_secs(second.unsigned_abs());
            let date = httpdate::HttpDate::from(std::time::UNIX_EPOCH + since);
            self.text.clear();
            let _ = write!(self.text, "{date}");
            self.second = Some(second);
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_http_has_it() {
        let mut dated = Dated::default();
        let date = |dated: &mut Dated, ms| String::from_utf8(dated.at(Time::from_ms(ms)).to_vec()).unwrap();
        assert_eq!(date(&mut dated, 784_111_777_999), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(&mut dated, 784_111_778_000), "Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(date(&mut dated, -5), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(&mut dated, i64::MAX), "Thu, 30 Dec 9999 22:00:00 GMT");
    }
}
