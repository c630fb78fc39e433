//! Many rows at once by `COPY`, as their values stand in PostgreSQL's binary form: the quickest way into
//! a table, and it works on them while we still write the next.

use bytes::{BufMut, Bytes, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type};

use crate::errors::Fault;

/// From so many rows on it is worth the ways to and fro that it takes.
pub(crate) const MANY: usize = 256;

/// What is sent at once.
const PIECE: usize = 64 << 10;

/// What every binary copy begins with: a signature, no flags, no extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Rows on their way.
pub(crate) struct Lines {
    width: i16,
    bytes: BytesMut,
}

impl Lines {
    /// Rows of that many values.
    pub(crate) fn of(width: i16) -> Lines {
        let mut bytes = BytesMut::with_capacity(PIECE + (PIECE >> 2));
        bytes.put_slice(HEAD);
        Lines { width, bytes }
    }

    /// Begins a row.
    pub(crate) fn begin(&mut self) {
        self.bytes.put_i16(self.width);
    }

    /// Adds a value to the row.
    pub(crate) fn value<T: ToSql>(&mut self, value: &T, holds: &Type) -> Result<(), Fault> {
        let at = self.bytes.len();
        self.bytes.put_i32(-1);
        let written = value.to_sql(holds, &mut self.bytes);
        if let IsNull::No = written.map_err(|error| Fault::Wrong(error.to_string()))? {
            let length = i32::try_from(self.bytes.len() - at - 4)
                .map_err(|_| Fault::Wrong("a value of two gigabytes cannot be kept".to_owned()))?;
            self.bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    /// What there is to be sent, once it is worth it.
    pub(crate) fn piece(&mut self) -> Option<Bytes> {
        (self.bytes.len() >= PIECE).then(|| self.bytes.split().freeze())
    }

    /// The rest, with the end.
    pub(crate) fn end(mut self) -> Bytes {
        self.bytes.put_i16(-1);
        self.bytes.freeze()
    }
}
