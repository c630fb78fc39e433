//! What a fetch brings back: per item *present*, *absent* or *unknown*, never a guess.

use std::sync::Arc;
use std::time::Duration;

use crate::{FetchError, ItemRef, Json, NewItem, Time, Validators, Warning};

/// The answer to one entry's fetch.
#[derive(Debug, Clone, PartialEq)]
pub enum Fetched {
    /// Items, each answered for on its own.
    Items(Listing),
    /// What came, changed and went, as a source says it that misses nothing.
    Delta(Delta),
    /// A document of the entry's own, with no items.
    Body {
        /// The document.
        body: Json,
        /// What to revalidate with.
        validators: Validators,
        /// A freshness lifetime of the source's own, in place of the policy's.
        ttl: Option<Duration>,
    },
    /// The validators still hold.
    NotModified {
        /// A freshness lifetime of the source's own, in place of the policy's.
        ttl: Option<Duration>,
        /// Where the next delta goes on, where that can be said better now; `None` = where it did.
        cursor: Option<String>,
    },
    /// The whole entry does not exist upstream.
    Absent(Absence),
}

impl Fetched {
    /// A document and nothing else.
    pub fn body(body: Json) -> Self {
        Fetched::Body { body, validators: Validators::default(), ttl: None }
    }
}

/// What came, changed and went. A source that answers so is believed at once: what it says is gone
/// has gone, however many they are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Delta {
    /// Items that are new or changed; new ones go behind the others.
    pub upserts: Vec<NewItem>,
    /// Items that are gone.
    pub removals: Vec<ItemRef>,
    /// What becomes of the others that are held.
    pub others: Others,
    /// Where the next delta goes on.
    pub cursor: Option<String>,
    /// A small document of the entry's own; `None` leaves it alone.
    pub body: Option<Json>,
    /// What a reader should know, in place of what it was told before.
    pub warnings: Vec<Warning>,
    /// What is not known yet, if this is not all of it: the entry is due again at once for that, and what the
    /// source found out so far is in `cursor`. Each such answer must bring it nearer to its end.
    pub pending: Vec<Arc<str>>,
    /// A freshness lifetime of the source's own, in place of the policy's.
    pub ttl: Option<Duration>,
    /// When what it tells was true, where it comes by way of somebody who asked before; `None` =
    /// now. Freshness counts from now all the same: it was confirmed that nothing newer is known.
    pub as_of: Option<Time>,
}

/// What becomes of items that a [`Delta`] does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Others {
    /// They are as they were: it tells the changes since its cursor.
    #[default]
    Stay,
    /// They are gone: it tells everything from the beginning.
    Go,
}

/// Items of an entry, each answered for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listing {
    /// The answers, in the order that members shall have.
    pub answers: Vec<Answer>,
    /// Whether the source itself decides who is a member, so that whoever is not among the
    /// answers is absent. If not, whoever was not asked for stays as it is.
    pub whole: bool,
    /// Whether the source was asked without a credential, and so cannot tell a private item from
    /// one that does not exist: private items that are held stay.
    pub public_only: bool,
    /// Names that turned out to be other entries' concern, and have no answer here: whoever is held
    /// under one leaves without a word, as with [`Definition::except`](crate::Definition::except).
    pub elsewhere: Vec<Arc<str>>,
    /// A small document of the entry's own.
    pub body: Option<Json>,
    /// What to revalidate with.
    pub validators: Validators,
    /// What a reader should know besides what the answers say.
    pub warnings: Vec<Warning>,
    /// Tags besides the definition's.
    pub tags: Vec<String>,
    /// A freshness lifetime of the source's own, in place of the policy's.
    pub ttl: Option<Duration>,
}

/// The answer for one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The name that was asked for.
    pub asked: Arc<str>,
    /// What the source said.
    pub finding: Finding,
}

/// What a source said of one name.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// Here it is. If no store can keep what it says ([`Unfit`](crate::Unfit)), it is left out with a warning.
    Present(NewItem),
    /// It does not exist, or is not for us: a complete answer.
    Absent(Absence),
    /// No answer: an error, a limit, a time-out. What is held stays.
    Unknown(FetchError),
}

/// Why something is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    /// A stable word: `not_found`, `blocked`, `moved`, `private`.
    pub code: String,
    /// In a sentence.
    pub message: String,
    /// Whether it may be how the source refuses us: what is private is then hidden until it is confirmed.
    pub may_be_refusal: bool,
}

impl Absence {
    /// An absence from its two parts, which may be a refusal too.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Absence { code: code.into(), message: message.into(), may_be_refusal: true }
    }

    /// The absence of what is asked for without a credential: nobody's right to see it can have ended.
    #[must_use]
    pub fn of_no_credential(self) -> Self {
        Absence { may_be_refusal: false, ..self }
    }
}
