//! Lists of a repository's issues, in pages: pull requests are among them, as REST has it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cursors::cut;
use super::list::{Page, value};
use super::{Found, View};
use crate::answer::{Answer, github_time, refusal};
use crate::world::{Issue, Repository, ids};

impl View {
    /// `repos/{owner}/{name}/issues`: `state`, `labels` (all of them), `since`, `sort`, `direction`.
    pub(super) fn issues(
        &self,
        repository: &Repository,
        query: &[(String, String)],
    ) -> Result<Found, Answer> {
        if !repository.has_issues {
            return Err(refusal(410, "Issues has been disabled in this repository."));
        }
        let since = match value(query, "since") {
            None => None,
            Some(text) => Some(text.parse::<Timestamp>().map_err(|_| refusal(422, "Validation Failed"))?),
        };
        let state = value(query, "state").unwrap_or("open");
        let labels: Vec<&str> =
            value(query, "labels").unwrap_or_default().split(',').filter(|label| !label.is_empty()).collect();
        let wanted = |issue: &&Issue| {
            let in_state = match state {
                "all" => true,
                "closed" => !issue.is_open(),
                _ => issue.is_open(),
            };
            in_state
                && labels.iter().all(|label| issue.has_label(label))
                && since.is_none_or(|since| issue.updated_at >= since)
        };
        let mut found: Vec<&Issue> =
            self.world.issues(repository).into_iter().flat_map(|held| held.values()).filter(wanted).collect();
        let by_change = value(query, "sort") == Some("updated");
        let order = |issue: &Issue| {
            let at = if by_change { issue.updated_at } else { issue.created_at };
            (at.as_nanosecond(), issue.number)
        };
        found.sort_by_key(|issue| order(issue));
        if value(query, "direction") != Some("asc") {
            found.reverse();
        }
        let url = format!("{}/repositories/{}/issues", self.base, repository.id);
        let (shown, link) = if self.is_enterprise {
            let page = Page::of(query, found.len());
            (page.shown(&found).copied().collect(), page.link(&url, query))
        } else {
            let cut = cut(&found, order, &url, query)?;
            (cut.shown.to_vec(), cut.link)
        };
        let shown = shown.into_iter().map(|issue| self.issue(repository, issue)).collect();
        Ok(Found { body: Value::Array(shown), modified: None, link })
    }

    fn issue(&self, repository: &Repository, issue: &Issue) -> Value {
        let api = format!("{}/repos/{}", self.base, repository.full_name);
        let page = if issue.is_pull_request { "pull" } else { "issues" };
        let html_url = format!("{}/{page}/{}", repository.url, issue.number);
        let labels: Vec<Value> = issue
            .labels
            .iter()
            .map(
                |name| json!({"id": ids::number_of(name), "name": name, "color": "ededed", "default": false}),
            )
            .collect();
        let mut body = json!({
            "id": ids::number_of(&html_url), "number": issue.number, "title": issue.title, "html_url": html_url,
            "url": format!("{api}/issues/{}", issue.number), "repository_url": api,
            "state": if issue.is_open() { "open" } else { "closed" }, "labels": labels, "locked": false,
            "comments": 0, "created_at": github_time(issue.created_at), "updated_at": github_time(issue.updated_at),
            "closed_at": issue.closed_at.map(github_time),
        });
        if issue.is_pull_request
            && let Some(fields) = body.as_object_mut()
        {
            fields.insert("pull_request".to_owned(), json!({"html_url": html_url}));
        }
        body
    }
}
