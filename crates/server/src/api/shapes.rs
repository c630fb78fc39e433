//! The shapes of what core and domain serialise, for the API's document alone: they have no use for its
//! crate.

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
    /// The number.
    number: u64,
    /// Its type's name.
    #[schema(rename = "type", example = "release")]
    kind: String,
    /// The title as it is.
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
