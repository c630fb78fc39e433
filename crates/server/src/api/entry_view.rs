//! How rows, entries and repositories look as JSON. The names are an interface, which the command line's
//! `--json` has as well: repositories from here, entries with what one who waits wants to know.

use std::sync::Arc;

use larder_core::{Definition, Entry, Failure, Key, RefreshState, Status, Time, Warning};
use larder_domain::Repository;
use serde::Serialize;
use utoipa::ToSchema;

use super::shapes::{FailureView, LanguageView, RefreshWord, ReleaseView, StatusWord, WarningView};
use crate::snapshot::policy_or_default;

/// An entry's state now.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct EntryView {
    /// Its key.
    #[schema(value_type = String, example = "cluster/tools")]
    pub(crate) key: Key,
    /// `missing`, `fresh` or `stale`.
    #[schema(value_type = StatusWord)]
    pub(crate) status: Status,
    /// `idle`, `running`, `retrying` or `dead`.
    #[schema(value_type = RefreshWord)]
    pub(crate) refresh: RefreshState,
    /// When its data was fetched.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub(crate) fetched_at: Option<Time>,
    /// The end of its freshness lifetime.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub(crate) fresh_until: Option<Time>,
    /// How old the data is.
    #[schema(required = true)]
    pub(crate) age_seconds: Option<u64>,
    /// Whether everything in it was answered for.
    pub(crate) complete: bool,
    /// Attempts without success since the last one.
    pub(crate) attempts: u32,
    /// Why the last attempt failed; `damaged` = what is held of it cannot be read.
    #[schema(value_type = Option<FailureView>, required = true)]
    pub(crate) last_error: Option<Failure>,
    /// What a reader should know.
    #[schema(value_type = Vec<WarningView>)]
    pub(crate) warnings: Vec<Warning>,
    /// When the next refresh may start, unless by hand.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) due_at: Time,
}

impl EntryView {
    /// Of a row. Without a definition (no longer configured) the row alone decides.
    pub(crate) fn new(entry: &Entry, definition: Option<&Definition>, now: Time) -> Self {
        EntryView {
            key: entry.key.clone(),
            status: entry.status(definition, now),
            refresh: entry.refresh_state(&policy_or_default(definition), now),
            fetched_at: entry.fetched_at,
            fresh_until: entry.fresh_until,
            age_seconds: entry.fetched_at.map(|at| now.since(at).as_secs()),
            complete: entry.complete,
            attempts: entry.attempts,
            last_error: entry.last_error.clone(),
            warnings: entry.warnings.clone(),
            due_at: entry.due_at,
        }
    }
}

/// What an entry's row says of its copy: nothing that passes with time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CacheView<'a> {
    /// Its key.
    #[schema(value_type = String, example = "cluster/tools")]
    pub(crate) key: &'a Key,
    /// When the data was fetched.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub(crate) fetched_at: Option<Time>,
    /// The end of its freshness lifetime.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub(crate) fresh_until: Option<Time>,
    /// Whether everything in it was answered for.
    pub(crate) complete: bool,
    /// Attempts without success since the last one.
    pub(crate) attempts: u32,
    /// Why the last attempt failed; `damaged` = what is held of it cannot be read.
    #[schema(value_type = Option<FailureView>, required = true)]
    pub(crate) last_error: Option<&'a Failure>,
    /// What a reader should know.
    #[schema(value_type = Vec<WarningView>)]
    pub(crate) warnings: &'a [Warning],
}

impl<'a> CacheView<'a> {
    /// Of a row.
    pub(crate) fn new(entry: &'a Entry) -> Self {
        CacheView {
            key: &entry.key,
            fetched_at: entry.fetched_at,
            fresh_until: entry.fresh_until,
            complete: entry.complete,
            attempts: entry.attempts,
            last_error: entry.last_error.as_ref(),
            warnings: &entry.warnings,
        }
    }
}

/// A repository, with what configuration says of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct RepositoryView<'a> {
    /// The name without the owner.
    name: &'a str,
    /// The owner's login.
    owner: &'a str,
    /// `owner/name`.
    full_name: &'a str,
    /// The name that a cluster asks for, lower-cased, where it has another by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "octo-org/forge")]
    asked: Option<Arc<str>>,
    /// The name people see.
    pub(crate) display_name: String,
    /// The host it lives on.
    host: &'a str,
    /// The first cluster that shows it.
    cluster: String,
    /// All clusters asked that show it.
    clusters: Vec<String>,
    /// One line about it.
    #[schema(required = true)]
    description: Option<&'a str>,
    /// Its page.
    url: &'a str,
    /// The page its owner named.
    #[schema(required = true)]
    homepage_url: Option<&'a str>,
    /// How many people starred it.
    stars: u64,
    /// How many forks it has.
    forks: u64,
    /// Open issues, pull requests not counted; `null` where unknown.
    #[schema(required = true)]
    open_issues: Option<u64>,
    /// The language most of it is written in.
    #[schema(required = true)]
    language: Option<&'a str>,
    /// That language's colour.
    #[schema(required = true)]
    language_color: Option<&'a str>,
    /// Its languages, largest first; `null` where unknown.
    #[schema(value_type = Option<Vec<LanguageView>>, required = true)]
    languages: Option<&'a [larder_domain::Language]>,
    /// Its topics; `null` where unknown.
    #[schema(required = true)]
    topics: Option<&'a [String]>,
    /// The licence's SPDX id, or its name.
    #[schema(required = true)]
    license: Option<&'a str>,
    /// Whether it is a fork.
    is_fork: bool,
    /// Whether it is archived.
    is_archived: bool,
    /// Whether it is not for everybody.
    is_private: bool,
    /// When something was last pushed.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pushed_at: Option<Time>,
    /// When anything of it last changed.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    updated_at: Option<Time>,
    /// When it was made.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    created_at: Option<Time>,
    /// Its latest release.
    #[schema(value_type = Option<ReleaseView>, required = true)]
    latest_release: Option<&'a larder_domain::Release>,
    /// When its source last answered for it.
    #[schema(value_type = String, format = DateTime)]
    fetched_at: Time,
}

impl<'a> RepositoryView<'a> {
    /// Of a repository as these clusters show it, one of which may ask for it by a former name.
    pub fn new(
        repository: &'a Repository,
        asked: Option<Arc<str>>,
        display_name: String,
        clusters: Vec<String>,
        fetched_at: Time,
    ) -> Self {
        RepositoryView {
            name: &repository.name,
            owner: &repository.owner,
            full_name: &repository.full_name,
            asked,
            display_name,
            host: &repository.host,
            cluster: clusters.first().cloned().unwrap_or_default(),
            clusters,
            description: repository.description.as_deref(),
            url: &repository.url,
            homepage_url: repository.homepage_url.as_deref(),
            stars: repository.stars,
            forks: repository.forks,
            open_issues: repository.open_issues,
            language: repository.language.as_deref(),
            language_color: repository.language_color.as_deref(),
            languages: repository.languages.as_deref(),
            topics: repository.topics.as_deref(),
            license: repository.license.as_deref(),
            is_fork: repository.is_fork,
            is_archived: repository.is_archived,
            is_private: repository.is_private,
            pushed_at: repository.pushed_at,
            updated_at: repository.updated_at,
            created_at: repository.created_at,
            latest_release: repository.latest_release.as_ref(),
            fetched_at,
        }
    }
}
