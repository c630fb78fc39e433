//! What a document, an item's words or a list of members said when it was last sent, in sixteen bytes:
//! whoever brings the same again need not send it. Equal digests say that nothing changed; different
//! ones say nothing, since documents are compared by what they mean.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// Half of a BLAKE3, as a `uuid`, which is the column type of sixteen bytes that needs no length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest([u8; 16]);

impl Digest {
    /// Of texts in their order; where one ends is part of it.
    pub(crate) fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Digest {
        let mut hasher = blake3::Hasher::new();
        for text in texts {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        let mut half = [0; 16];
        half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Digest(half)
    }
}

impl ToSql for Digest {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(holds: &Type) -> bool {
        *holds == Type::UUID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Digest {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Digest(raw.try_into()?))
    }

    fn accepts(holds: &Type) -> bool {
        *holds == Type::UUID
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_text_ends_is_part_of_it() {
        assert_eq!(Digest::of(["ab", "c"]), Digest::of(["ab", "c"]));
        assert_ne!(Digest::of(["ab", "c"]), Digest::of(["a", "bc"]));
        assert_ne!(Digest::of(["ab", ""]), Digest::of(["ab"]));
    }
}
