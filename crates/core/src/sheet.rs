//! Sheets: what a list shows of very many members, ready made, so that the next reader gets it in one go.

/// What a list shows of an entry's members, written down by whoever made the list, so that the next
/// reader need not make it again. Only the entry's version says whether it still holds; it may be gone
/// at any time, and is no part of what is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// What it shows and how it is written, in a word that changes with either.
    pub form: String,
    /// The entry's version that it is of.
    pub version: u64,
    /// What is on it; at most [`Sheet::BYTES_MAX`].
    pub text: String,
}

impl Sheet {
    /// Longer ones are made anew for each reader.
    pub const BYTES_MAX: usize = 8 << 20;
}

/// What was read of a [`Sheet`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetText {
    /// Whole lines of it, from the first on.
    pub text: String,
    /// Whether that is all.
    pub is_whole: bool,
}

impl SheetText {
    /// What is read of a text of `of` bytes that begins with these, if no more than `most` are wanted;
    /// `None` = it is no text.
    pub fn within(mut beginning: Vec<u8>, of: usize, most: usize) -> Option<SheetText> {
        let is_whole = of <= most && beginning.len() == of;
        if !is_whole {
            beginning.truncate(most);
            let lines = beginning.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            beginning.truncate(lines);
        }
        String::from_utf8(beginning).ok().map(|text| SheetText { text, is_whole })
    }
}
