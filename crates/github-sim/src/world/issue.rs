//! One issue as GitHub keeps it, as far as lists of issues are read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An issue, or a pull request, which REST lists among them.
///
/// ```
/// use larder_github_sim::Issue;
/// let tracker = Issue { labels: vec!["release".to_owned()], ..Issue::new(430, "Release: v0.9.0") };
/// assert!(tracker.is_open());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issue {
    /// Its number within the repository.
    pub number: u64,
    /// The title.
    pub title: String,
    /// The labels' names.
    pub labels: Vec<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When anything of it last changed: what `since` looks at.
    pub updated_at: Timestamp,
    /// When it was closed; none while it is open.
    pub closed_at: Option<Timestamp>,
    /// Whether it is a pull request.
    pub is_pull_request: bool,
}

impl Issue {
    /// An open issue without labels, opened on 2026-01-01.
    pub fn new(number: u64, title: &str) -> Self {
        let opened = Timestamp::constant(1_767_225_600, 0);
        Self {
            number,
            title: title.to_owned(),
            labels: Vec::new(),
            created_at: opened,
            updated_at: opened,
            closed_at: None,
            is_pull_request: false,
        }
    }

    /// Whether nobody has closed it.
    pub fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }

    /// Closes it, which changes it.
    pub fn close(&mut self, at: Timestamp) {
        self.closed_at = Some(at);
        self.updated_at = at;
    }

    /// Whether it carries a label; GitHub tells labels apart whatever the case.
    pub fn has_label(&self, name: &str) -> bool {
        self.labels.iter().any(|label| label.eq_ignore_ascii_case(name))
    }
}
