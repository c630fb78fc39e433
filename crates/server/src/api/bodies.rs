//! What answers are made of: an entry and its items as JSON, and the tag that names what they say.

use larder_core::{Entry, Key, Member, MemberState, Time};
use larder_engine::Reading;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::clusters::ClusterView;
use super::entry_view::{CacheView, RepositoryView};
use crate::sight;
use crate::tier::Document;

/// A cluster with its repositories.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClusterBody<'a> {
    /// What configuration says of it.
    pub(super) cluster: ClusterView,
    /// Its repositories, in the order of configuration.
    #[schema(value_type = Vec<RepositoryView>)]
    pub(super) repositories: &'a RawValue,
    /// What its row says.
    pub(super) cache: CacheView<'a>,
}

/// Any entry.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntryBody<'a> {
    /// Its key.
    #[schema(value_type = String, example = "cluster/tools")]
    key: &'a Key,
    /// The source that fetches it.
    source: &'a str,
    /// Its own document, where it has one.
    #[schema(value_type = Option<Object>, required = true)]
    body: Option<&'a larder_core::Json>,
    /// Its items, in order.
    #[schema(value_type = Vec<ItemView>)]
    items: &'a RawValue,
    /// What its row says.
    cache: CacheView<'a>,
}

/// An item of an entry.
#[derive(Serialize, ToSchema)]
pub(crate) struct ItemView<'a> {
    /// What kind of thing it is.
    #[schema(example = "repository")]
    kind: &'a str,
    /// Its identity.
    #[schema(example = "github.com/octo-org/cinder")]
    id: &'a str,
    /// The name under which the entry asks for it.
    asked: &'a str,
    /// `shown`, or `absent` when the source said once that it is gone.
    state: &'static str,
    /// Who may see it: `public`, or `repo:host/owner/name`.
    scope: String,
    /// When its source last answered for it.
    #[schema(value_type = String, format = DateTime)]
    fetched_at: Time,
    /// What the source says.
    #[schema(value_type = Object)]
    doc: &'a larder_core::Json,
    /// What was added to it.
    #[schema(value_type = Option<Object>, required = true)]
    derived: Option<&'a larder_core::Json>,
}

impl<'a> ItemView<'a> {
    fn new(member: &'a Member) -> Self {
        let item = &member.item;
        ItemView {
            kind: &item.of.kind,
            id: &item.of.id,
            asked: &member.asked,
            state: if member.state == MemberState::Absent { "absent" } else { "shown" },
            scope: item.scope.to_string(),
            fetched_at: item.fetched_at,
            doc: &item.doc,
            derived: item.derived.as_ref(),
        }
    }
}

/// The document of any entry.
pub(super) fn entry_document(reading: &Reading) -> Document {
    let entry = &reading.stored.entry;
    let items: Vec<ItemView<'_>> = reading.stored.members.iter().map(ItemView::new).collect();
    let etag = etag(entry, &said(reading).collect::<Vec<_>>(), "e");
    let items = raw(&items);
    let body = EntryBody {
        key: &entry.key,
        source: entry.key.source(),
        body: entry.body.as_ref(),
        items: &items,
        cache: CacheView::new(entry),
    };
    Document::new(serde_json::to_vec(&body).unwrap_or_default(), etag, sight::is_all_public(&reading.stored))
}

/// What an entry and its items say. When they were fetched passes with every refresh, and is no
/// part of it.
pub(super) fn said(reading: &Reading) -> impl Iterator<Item = &str> {
    let own = reading.stored.entry.body.as_ref().map_or("", |body| body.as_str());
    let each = reading.stored.members.iter().flat_map(|member| {
        let derived = member.item.derived.as_ref().map_or("", |derived| derived.as_str());
        [&*member.asked, member.item.doc.as_str(), derived]
    });
    std::iter::once(own).chain(each)
}

/// Names the data and its representation: weak, since the row's times are not part of it. The
/// version alone would repeat itself after an entry was removed and fetched again.
pub(super) fn etag(entry: &Entry, said: &[&str], representation: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in said {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    let error = entry.last_error.as_ref().map_or("", |failure| failure.code.as_str());
    hasher.update(error.as_bytes()).update(&[u8::from(entry.complete)]);
    for warning in &entry.warnings {
        hasher.update(warning.message.as_bytes());
    }
    let digest = hasher.finalize().to_hex();
    format!("W/\"{}{:x}-{}\"", representation, entry.version, &digest.as_str()[..16])
}

/// A value as JSON that is put into another as it is.
pub(crate) fn raw<T: Serialize + ?Sized>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|error| {
        tracing::warn!(%error, "an answer could not be written");
        RawValue::NULL.to_owned()
    })
}
