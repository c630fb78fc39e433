//! `GitObject` and `Blob`: the content of one file, by its name or by where it lies.

use async_graphql::{ID, Interface, Object};

use super::values::{GitObjectId, int};
use crate::world::{File, ids};

/// GitHub sends no longer texts; what is cut off is said to be.
const TEXT_BYTES_MAX: usize = 512 * 1024;

/// Whatever git keeps.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID"), field(name = "oid", ty = "GitObjectId"))]
pub(crate) enum GitObject {
    /// A content.
    Blob(Blob),
}

/// A content.
pub(crate) struct Blob(pub(crate) File);

#[Object]
impl Blob {
    async fn id(&self) -> ID {
        ID(ids::node_id("B", ids::number_of(&self.0.oid)))
    }

    async fn oid(&self) -> GitObjectId {
        GitObjectId(self.0.oid.clone())
    }

    async fn byte_size(&self) -> i32 {
        int(self.0.content.len() as u64)
    }

    async fn is_binary(&self) -> Option<bool> {
        Some(std::str::from_utf8(&self.0.content).is_err())
    }

    async fn is_truncated(&self) -> bool {
        self.0.content.len() > TEXT_BYTES_MAX
    }

    async fn text(&self) -> Option<String> {
        let text = std::str::from_utf8(&self.0.content).ok()?;
        Some(text.chars().take(TEXT_BYTES_MAX).collect())
    }
}
