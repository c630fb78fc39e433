//! `Issue` and the connection that lists them.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use jiff::Timestamp;

use super::Sight;
use super::page::{Bounds, Page};
use super::values::{DateTime, IssueState, OrderDirection, PageInfo, Uri, int};
use crate::world::{self, ids};

/// An issue of a repository one may see.
#[derive(Clone)]
pub(crate) struct Issue {
    issue: world::Issue,
    repository_url: String,
}

#[Object]
impl Issue {
    async fn id(&self) -> ID {
        ID(ids::node_id("I", ids::number_of(&format!("{}#{}", self.repository_url, self.issue.number))))
    }

    async fn number(&self) -> i32 {
        int(self.issue.number)
    }

    async fn title(&self) -> &str {
        &self.issue.title
    }

    async fn state(&self) -> IssueState {
        if self.issue.is_open() { IssueState::Open } else { IssueState::Closed }
    }

    async fn created_at(&self) -> DateTime {
        self.issue.created_at.into()
    }

    async fn updated_at(&self) -> DateTime {
        self.issue.updated_at.into()
    }

    async fn closed_at(&self) -> Option<DateTime> {
        self.issue.closed_at.map(DateTime::from)
    }

    async fn url(&self) -> Uri {
        Uri(format!("{}/issues/{}", self.repository_url, self.issue.number))
    }

    async fn labels(
        &self,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
    ) -> Result<Option<LabelConnection>> {
        let page = Bounds { after, before, first, last }.page(self.issue.labels.clone(), Clone::clone)?;
        Ok(Some(LabelConnection {
            total_count: int(page.total as u64),
            page_info: page.info,
            nodes: Some(page.items.into_iter().map(|(_, name)| Some(Label::new(name))).collect()),
        }))
    }
}

#[derive(SimpleObject)]
pub(crate) struct Label {
    id: ID,
    name: String,
}

impl Label {
    fn new(name: String) -> Self {
        Self { id: ID(ids::node_id("LA", ids::number_of(&name))), name }
    }
}

#[derive(SimpleObject)]
pub(crate) struct LabelConnection {
    nodes: Option<Vec<Option<Label>>>,
    page_info: PageInfo,
    total_count: i32,
}

#[derive(SimpleObject)]
pub(crate) struct IssueEdge {
    cursor: String,
    node: Option<Issue>,
}

#[derive(SimpleObject)]
pub(crate) struct IssueConnection {
    edges: Option<Vec<Option<IssueEdge>>>,
    nodes: Option<Vec<Option<Issue>>>,
    page_info: PageInfo,
    total_count: i32,
}

#[derive(Clone, InputObject)]
pub(crate) struct IssueFilters {
    labels: Option<Vec<String>>,
    since: Option<DateTime>,
    states: Option<Vec<IssueState>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum IssueOrderField {
    Comments,
    CreatedAt,
    UpdatedAt,
}

#[derive(Clone, Copy, InputObject)]
pub(crate) struct IssueOrder {
    field: IssueOrderField,
    direction: OrderDirection,
}

/// Which issues, in which order. A list of labels asks for any of them.
pub(crate) struct Asked {
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) states: Option<Vec<IssueState>>,
    pub(crate) filter_by: Option<IssueFilters>,
    pub(crate) order_by: Option<IssueOrder>,
    pub(crate) bounds: Bounds,
}

impl Asked {
    /// The page asked for; of a repository that keeps a count alone, the count. What is only counted
    /// carries no label.
    pub(crate) fn of(self, repository: &world::Repository, ctx: &Context<'_>) -> Result<IssueConnection> {
        let world = &Sight::of(ctx)?.world;
        let Some(held) = world.issues(repository).filter(|_| repository.has_issues) else {
            let total_count = if self.wants_any_open() { int(world.open_issues(repository)) } else { 0 };
            return Ok(IssueConnection {
                edges: Some(Vec::new()),
                nodes: Some(Vec::new()),
                page_info: PageInfo::default(),
                total_count,
            });
        };
        let mut found: Vec<world::Issue> =
            held.values().filter(|issue| !issue.is_pull_request && self.wants(issue)).cloned().collect();
        if let Some(order) = self.order_by {
            if order.field == IssueOrderField::UpdatedAt {
                found.sort_by_key(|issue| (issue.updated_at, issue.number));
            }
            if order.direction == OrderDirection::Desc {
                found.reverse();
            }
        }
        let page = self.bounds.page(found, |issue| issue.number.to_string())?;
        Ok(IssueConnection::of(page, &repository.url))
    }

    /// Whether open issues without a label, changed at any time, are meant.
    fn wants_any_open(&self) -> bool {
        let open = |states: &Option<Vec<IssueState>>| {
            states.as_ref().is_none_or(|all| all.contains(&IssueState::Open))
        };
        let filter = self.filter_by.as_ref();
        let filtered = filter
            .is_some_and(|filter| filter.labels.is_some() || filter.since.is_some() || !open(&filter.states));
        self.labels.is_none() && open(&self.states) && !filtered
    }

    fn wants(&self, issue: &world::Issue) -> bool {
        let state = if issue.is_open() { IssueState::Open } else { IssueState::Closed };
        let in_states =
            |states: &Option<Vec<IssueState>>| states.as_ref().is_none_or(|states| states.contains(&state));
        let labelled = |labels: &Option<Vec<String>>| {
            labels.as_ref().is_none_or(|labels| labels.iter().any(|label| issue.has_label(label)))
        };
        let filter = self.filter_by.as_ref();
        let since = filter.and_then(|filter| filter.since.as_ref()).and_then(DateTime::instant);
        let is_recent = since.is_none_or(|since: Timestamp| issue.updated_at >= since);
        let filtered = filter.is_none_or(|filter| in_states(&filter.states) && labelled(&filter.labels));
        is_recent && filtered && in_states(&self.states) && labelled(&self.labels)
    }
}

impl IssueConnection {
    fn of(page: Page<world::Issue>, repository_url: &str) -> Self {
        let issues: Vec<(String, Issue)> = page
            .items
            .into_iter()
            .map(|(cursor, issue)| (cursor, Issue { issue, repository_url: repository_url.to_owned() }))
            .collect();
        Self {
            nodes: Some(issues.iter().map(|(_, issue)| Some(issue.clone())).collect()),
            edges: Some(
                issues
                    .into_iter()
                    .map(|(cursor, node)| Some(IssueEdge { cursor, node: Some(node) }))
                    .collect(),
            ),
            page_info: page.info,
            total_count: int(page.total as u64),
        }
    }
}
