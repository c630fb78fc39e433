//! Many rows at once by `COPY`, as their values stand in PostgreSQL's binary form: the quickest way into
//! a table, and it works on them while we still write the next.

use std::pin::pin;

use bytes::{BufMut, Bytes, BytesMut};
use deadpool_postgres::Object;
use futures::SinkExt;
use tokio_postgres::types::{IsNull, ToSql, Type};

use crate::errors::Fault;
use crate::transaction::Tx;

/// From so many rows on it is worth the ways to and fro that it takes.
pub(crate) const MANY: usize = 256;

/// What is sent at once.
const PIECE: usize = 64 << 10;

/// What is copied by one statement, which has a time-out: over a slow link that is not much.
const STATEMENT: usize = 1 << 20;

/// What every binary copy begins with: a signature, no flags, no extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Rows on their way.
pub(crate) struct Lines {
    width: i16,
    bytes: BytesMut,
    /// How much went on its way as pieces.
    gone: usize,
}

impl Lines {
    /// Rows of that many values.
    pub(crate) fn of(width: i16) -> Lines {
        let mut bytes = BytesMut::with_capacity(PIECE + (PIECE >> 2));
        bytes.put_slice(HEAD);
        Lines { width, bytes, gone: 0 }
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
        (self.bytes.len() >= PIECE).then(|| {
            self.gone += self.bytes.len();
            self.bytes.split().freeze()
        })
    }

    /// Whether the next row is for another statement.
    pub(crate) fn are_enough(&self) -> bool {
        self.gone >= STATEMENT
    }

    /// The rest, with the end.
    pub(crate) fn end(mut self) -> Bytes {
        self.bytes.put_i16(-1);
        self.bytes.freeze()
    }
}

impl Tx {
    /// Copies rows of `width` values into a table. By several statements, if they are many: each has its
    /// time.
    pub(crate) async fn copy<T>(
        &self,
        sql: &str,
        width: i16,
        rows: &[T],
        write: impl Fn(&T, &mut Lines) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let conn = self.conn()?;
        self.begin_unless_begun(conn).await?;
        let mut rows = rows.iter().peekable();
        while rows.peek().is_some() {
            self.copy_some(conn, sql, Lines::of(width), &mut rows, &write).await?;
        }
        Ok(())
    }

    async fn copy_some<'a, T: 'a>(
        &self,
        conn: &Object,
        sql: &str,
        mut lines: Lines,
        rows: impl Iterator<Item = &'a T>,
        write: impl Fn(&T, &mut Lines) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let begun = self.in_time(async { Ok(conn.copy_in::<_, Bytes>(sql).await?) });
        let mut sink = pin!(begun.await?);
        for row in rows {
            lines.begin();
            write(row, &mut lines)?;
            if let Some(piece) = lines.piece()
                && !self.in_time(async { Ok(sink.send(piece).await.is_ok()) }).await?
            {
                // Why, the end says.
                break;
            }
            if lines.are_enough() {
                break;
            }
        }
        self.in_time(async {
            // What cannot be sent any more, the end says too.
            drop(sink.send(lines.end()).await);
            sink.finish().await?;
            Ok(())
        })
        .await
    }
}
