//! `Repository` and its connections.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, SimpleObject};

use super::account::RepositoryOwner;
use super::issues::{Asked, IssueConnection, IssueFilters, IssueOrder};
use super::object::{Blob, GitObject};
use super::page::{Bounds, Page};
use super::values::{
    DateTime, GitObjectId, IssueState, Language, LanguageConnection, LanguageEdge, LanguageOrder, License,
    OrderDirection, PageInfo, Release, RepositoryTopic, RepositoryTopicConnection, RepositoryTopicEdge,
    RepositoryVisibility, StargazerConnection, Uri, int,
};
use super::{Failure, Sight};
use crate::world::{self, Permission};

/// A repository one may see.
#[derive(Clone)]
pub(crate) struct Repository(pub(crate) Arc<world::Repository>);

#[derive(SimpleObject)]
pub(crate) struct RepositoryEdge {
    cursor: String,
    node: Option<Repository>,
}

#[derive(SimpleObject)]
pub(crate) struct RepositoryConnection {
    edges: Option<Vec<Option<RepositoryEdge>>>,
    nodes: Option<Vec<Option<Repository>>>,
    page_info: PageInfo,
    total_count: i32,
}

impl From<Page<Arc<world::Repository>>> for RepositoryConnection {
    fn from(page: Page<Arc<world::Repository>>) -> Self {
        let nodes = page.items.iter().map(|(_, item)| Some(Repository(Arc::clone(item)))).collect();
        let edge = |(cursor, item)| Some(RepositoryEdge { cursor, node: Some(Repository(item)) });
        Self {
            nodes: Some(nodes),
            edges: Some(page.items.into_iter().map(edge).collect()),
            page_info: page.info,
            total_count: int(page.total as u64),
        }
    }
}

#[Object]
impl Repository {
    pub(crate) async fn id(&self) -> ID {
        ID(self.0.node_id.clone())
    }

    async fn database_id(&self) -> Option<i32> {
        i32::try_from(self.0.id).ok()
    }

    async fn name(&self) -> &str {
        self.0.name()
    }

    async fn name_with_owner(&self) -> &str {
        &self.0.full_name
    }

    async fn owner(&self, ctx: &Context<'_>) -> Result<RepositoryOwner> {
        let sight = Sight::of(ctx)?;
        let owner = sight.world.owner(self.0.owner()).ok_or("the repository has no owner")?;
        Ok(RepositoryOwner::from(owner.clone()))
    }

    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    async fn url(&self) -> Uri {
        Uri(self.0.url.clone())
    }

    async fn homepage_url(&self) -> Option<Uri> {
        self.0.homepage.clone().map(Uri)
    }

    async fn is_fork(&self) -> bool {
        self.0.is_fork
    }

    async fn is_archived(&self) -> bool {
        self.0.is_archived
    }

    async fn is_private(&self) -> bool {
        self.0.is_private
    }

    async fn is_disabled(&self) -> bool {
        self.0.is_disabled
    }

    async fn is_empty(&self) -> bool {
        self.0.pushed_at.is_none()
    }

    async fn visibility(&self) -> RepositoryVisibility {
        if self.0.is_private { RepositoryVisibility::Private } else { RepositoryVisibility::Public }
    }

    async fn stargazer_count(&self) -> i32 {
        int(self.0.stars)
    }

    async fn stargazers(&self, first: Option<i32>, last: Option<i32>) -> StargazerConnection {
        let _ = (first, last);
        StargazerConnection { total_count: int(self.0.stars) }
    }

    async fn fork_count(&self) -> i32 {
        int(self.0.forks)
    }

    #[expect(clippy::too_many_arguments, reason = "GitHub's own")]
    async fn issues(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
        labels: Option<Vec<String>>,
        states: Option<Vec<IssueState>>,
        filter_by: Option<IssueFilters>,
        order_by: Option<IssueOrder>,
    ) -> Result<IssueConnection> {
        Sight::of(ctx)?.permits(&self.0, Permission::Issues).map_err(Failure::of_whole)?;
        let bounds = Bounds { after, before, first, last };
        Asked { labels, states, filter_by, order_by, bounds }.of(&self.0, ctx)
    }

    async fn object(
        &self,
        ctx: &Context<'_>,
        expression: Option<String>,
        oid: Option<GitObjectId>,
    ) -> Result<Option<GitObject>> {
        let sight = Sight::of(ctx)?;
        if let Err(failure) = sight.permits(&self.0, Permission::Contents) {
            failure.note(ctx);
            return Ok(None);
        }
        let Some(files) = sight.world.files(&self.0) else { return Ok(None) };
        let at = expression.as_deref().and_then(|text| text.split_once(':'));
        let at = at.filter(|(of, _)| *of == "HEAD" || *of == self.0.default_branch).map(|(_, path)| path);
        let file = match (&oid, at) {
            (Some(oid), _) => files.blob(&oid.0),
            (None, Some(path)) => files.at(path),
            (None, None) => None,
        };
        Ok(file.map(|file| GitObject::Blob(Blob(file.clone()))))
    }

    async fn pushed_at(&self) -> Option<DateTime> {
        self.0.pushed_at.map(DateTime::from)
    }

    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }

    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    async fn primary_language(&self) -> Option<Language> {
        let name = self.0.language.as_deref()?;
        let known = self.0.languages.iter().find(|language| language.name == name);
        Some(Language::new(name, known.and_then(|language| language.color.as_deref())))
    }

    async fn languages(
        &self,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
        order_by: Option<LanguageOrder>,
    ) -> Result<Option<LanguageConnection>> {
        let mut languages = self.0.languages.clone();
        if let Some(order) = order_by {
            languages.sort_by_key(|language| language.size);
            if order.direction == OrderDirection::Desc {
                languages.reverse();
            }
        }
        let total_size = languages.iter().map(|language| language.size).sum();
        let page = Bounds { after, before, first, last }.page(languages, |language| language.name.clone())?;
        let edges: Vec<LanguageEdge> = page
            .items
            .into_iter()
            .map(|(cursor, language)| LanguageEdge {
                cursor,
                node: Language::new(&language.name, language.color.as_deref()),
                size: int(language.size),
            })
            .collect();
        Ok(Some(LanguageConnection {
            nodes: Some(edges.iter().map(|edge| Some(edge.node.clone())).collect()),
            edges: Some(edges.into_iter().map(Some).collect()),
            page_info: page.info,
            total_count: int(page.total as u64),
            total_size: int(total_size),
        }))
    }

    async fn repository_topics(
        &self,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
    ) -> Result<RepositoryTopicConnection> {
        let page = Bounds { after, before, first, last }.page(self.0.topics.clone(), Clone::clone)?;
        let topics: Vec<(String, RepositoryTopic)> =
            page.items.into_iter().map(|(cursor, name)| (cursor, RepositoryTopic::new(&name))).collect();
        let edge = |(cursor, node)| Some(RepositoryTopicEdge { cursor, node: Some(node) });
        Ok(RepositoryTopicConnection {
            nodes: Some(topics.iter().map(|(_, topic)| Some(topic.clone())).collect()),
            edges: Some(topics.into_iter().map(edge).collect()),
            page_info: page.info,
            total_count: int(page.total as u64),
        })
    }

    async fn license_info(&self) -> Option<License> {
        self.0.license.as_ref().map(License::from)
    }

    async fn latest_release(&self, ctx: &Context<'_>) -> Result<Option<Release>> {
        if let Err(failure) = Sight::of(ctx)?.permits(&self.0, Permission::Contents) {
            failure.note(ctx);
            return Ok(None);
        }
        Ok(self.0.latest_release.as_ref().map(|release| Release::of(&self.0, release)))
    }
}
