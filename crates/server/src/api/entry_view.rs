//! How rows, entries and repositories look as JSON. The names are an interface, which the command line's
//! `--json` has as well: repositories from here, entries with what one who waits wants to know.

use larder_core::{Definition, Entry, Failure, Key, RefreshState, Status, Time, Warning};
use larder_domain::Repository;
use serde::Serialize;
use utoipa::ToSchema;

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
    /// Why the last attempt failed.
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
    /// Why the last attempt failed.
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
    /// Of a repository as these clusters show it.
    pub fn new(
        repository: &'a Repository,
        display_name: String,
        clusters: Vec<String>,
        fetched_at: Time,
    ) -> Self {
        RepositoryView {
            name: &repository.name,
            owner: &repository.owner,
            full_name: &repository.full_name,
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

/// The shapes of what core and domain serialise, for the document alone.
pub(crate) mod shapes {
    use utoipa::ToSchema;

    /// Whether there is data, and whether it is young enough.
    #[derive(ToSchema)]
    #[schema(rename_all = "lowercase")]
    #[expect(dead_code, reason = "describes what core serialises")]
    pub(crate) enum StatusWord {
        Missing,
        Fresh,
        Stale,
    }

    /// What is being done about it.
    #[derive(ToSchema)]
    #[schema(rename_all = "lowercase")]
    #[expect(dead_code, reason = "describes what core serialises")]
    pub(crate) enum RefreshWord {
        Idle,
        Running,
        Retrying,
        Dead,
    }

    /// A failure of the last attempt.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes what core serialises")]
    pub(crate) struct FailureView {
        /// A stable word.
        code: String,
        /// What went wrong.
        message: String,
        /// What to do about it.
        hint: Option<String>,
        /// When.
        #[schema(format = DateTime)]
        at: String,
    }

    /// Something a reader should know.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes what core serialises")]
    pub(crate) struct WarningView {
        /// What it is about.
        about: String,
        /// A stable word.
        code: String,
        /// In a sentence.
        message: String,
    }

    /// A language of a repository.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes what domain serialises")]
    pub(crate) struct LanguageView {
        /// Its name.
        name: String,
        /// Bytes of it.
        size: u64,
        /// `#rrggbb`.
        #[schema(required = true)]
        color: Option<String>,
    }

    /// A release of a repository.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes what domain serialises")]
    pub(crate) struct ReleaseView {
        /// The tag it was made of.
        tag: String,
        /// Its title.
        #[schema(required = true)]
        name: Option<String>,
        /// Its page.
        #[schema(required = true)]
        url: Option<String>,
        /// When it was published.
        #[schema(required = true, format = DateTime)]
        published_at: Option<String>,
    }

    /// A line of the registry.
    #[derive(ToSchema)]
    #[expect(dead_code, clippy::struct_excessive_bools, reason = "describes what domain serialises")]
    pub(crate) struct ProjectView {
        /// The group's id, or the single repository's `owner/name`.
        id: String,
        /// The name people see.
        name: String,
        /// The cluster it comes from.
        cluster: String,
        /// One line about it.
        #[schema(required = true)]
        description: Option<String>,
        /// Its first repository's page.
        url: String,
        /// Stars of all its repositories.
        stars: u64,
        /// Forks of all its repositories.
        forks: u64,
        /// Its largest languages, three at most.
        languages: Vec<String>,
        /// Its topics, five at most.
        topics: Vec<String>,
        /// When any of its repositories was last updated.
        #[schema(required = true, format = DateTime)]
        updated_at: Option<String>,
        /// Whether all its repositories are archived.
        is_archived: bool,
        /// Whether any of its repositories is private.
        is_private: bool,
        /// Whether it stands before the others.
        featured: bool,
        /// Whether it is the main work of its owner.
        flagship: bool,
        /// Whether it is an experiment.
        experimental: bool,
        /// Whether it was updated lately.
        new: bool,
        /// Whether it has many stars.
        trending: bool,
        /// Its repositories, the one updated last first.
        members: Vec<ProjectMemberView>,
    }

    /// A repository of a project.
    #[derive(ToSchema)]
    #[expect(dead_code, clippy::struct_excessive_bools, reason = "describes what domain serialises")]
    pub(crate) struct ProjectMemberView {
        /// The name people see.
        name: String,
        /// `owner/name`.
        full_name: String,
        /// Its page.
        url: String,
        /// Its stars.
        stars: u64,
        /// The language most of it is written in.
        #[schema(required = true)]
        language: Option<String>,
        /// When it was last updated.
        #[schema(required = true, format = DateTime)]
        updated_at: Option<String>,
        /// Whether it is archived.
        is_archived: bool,
        /// Whether it stands before the others.
        featured: bool,
        /// Whether it is the main work of its owner.
        flagship: bool,
        /// Whether it is an experiment.
        experimental: bool,
    }

    /// An issue that stands for a release, a microsprint or the like.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes what domain serialises")]
    pub(crate) struct TrackerView {
        /// `owner/name`, as written upstream.
        repo: String,
        /// The issue's number.
        number: u64,
        /// Its type's name.
        #[schema(rename = "type", example = "release")]
        kind: String,
        /// The issue's title as it is.
        title: String,
        /// What stands behind the prefix, without codename and brackets.
        name: String,
        /// The version as in the title, where titles have one.
        #[schema(required = true)]
        version: Option<String>,
        /// The codename, where there is one.
        #[schema(required = true)]
        codename: Option<String>,
        /// Open or closed.
        state: TrackerStateWord,
        /// When the issue was opened.
        #[schema(required = true, format = DateTime)]
        created_at: Option<String>,
        /// When it was closed; `null` while it is open.
        #[schema(required = true, format = DateTime)]
        closed_at: Option<String>,
        /// Its page.
        url: String,
    }

    /// Whether an issue is closed.
    #[derive(ToSchema)]
    #[schema(rename_all = "lowercase")]
    #[expect(dead_code, reason = "describes what domain serialises")]
    pub(crate) enum TrackerStateWord {
        Open,
        Closed,
    }

    /// How many trackers of a type there are.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes what domain serialises")]
    pub(crate) struct TrackerStatsView {
        /// The type's name.
        #[schema(rename = "type", example = "release")]
        kind: String,
        /// Open ones.
        open: u64,
        /// Closed ones.
        closed: u64,
        /// By month in UTC, as `2026-11`; months in which nothing happened are left out.
        months: std::collections::BTreeMap<String, TrackerMonthView>,
    }

    /// What happened in a month.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes what domain serialises")]
    pub(crate) struct TrackerMonthView {
        /// Trackers that were opened in it.
        opened: u64,
        /// Trackers that were closed in it.
        closed: u64,
    }

    /// What may still be spent upstream.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes what core serialises")]
    pub(crate) struct BudgetView {
        /// The upstream.
        host: String,
        /// Whose allowance.
        actor: String,
        /// Which.
        resource: String,
        /// Points an hour.
        #[schema(required = true)]
        limit: Option<u32>,
        /// Points left.
        #[schema(required = true)]
        remaining: Option<u32>,
        /// When the window ends.
        #[schema(required = true, format = DateTime)]
        reset_at: Option<String>,
        /// Nothing may be sent before.
        #[schema(required = true, format = DateTime)]
        blocked_until: Option<String>,
        /// When the minute that is counted began.
        #[schema(format = DateTime)]
        minute_start: String,
        /// Points spent in it.
        minute_points: u32,
        /// Points in flight.
        reserved: u32,
    }
}

use shapes::{FailureView, LanguageView, RefreshWord, ReleaseView, StatusWord, WarningView};
