//! REST, for those without a token: single repositories and an owner's public list. Each call is
//! one of sixty an hour, and an unchanged answer (304) costs one as well.

use larder_core::{Absence, FetchError};
use larder_domain::{RepoName, Repository};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ETAG, HeaderMap, LINK, LOCATION};
use url::Url;

use super::GitHub;
use super::answer::forbidden;
use super::call::{Errand, Judged, Reply, Request, Verdict};
use super::limits::RateHeaders;
use super::repository::RestNode;

/// What an owner's name may not hold in an address.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// Redirects of one call that are followed: a renamed repository of a renamed owner needs two.
const REDIRECTS_MAX: usize = 5;

/// The answer about one repository.
#[derive(Debug, Clone, PartialEq)]
pub enum Single {
    /// The repository, perhaps under its new name, and the answer's entity tag.
    Here(Box<Repository>, Option<String>),
    /// It is as it was.
    NotModified,
    /// It is not there, or not for everybody.
    Absent(Absence),
}

/// One page of an owner's public repositories.
#[derive(Debug, Clone, PartialEq)]
pub enum Page {
    /// What stands on it.
    Here {
        /// The repositories.
        repositories: Vec<Repository>,
        /// The number of the last page; that of this one if it is the last.
        last: u32,
        /// The answer's entity tag.
        etag: Option<String>,
    },
    /// It is as it was.
    NotModified,
    /// There is no such owner.
    NoSuchOwner,
}

/// How an owner's repositories are ordered on its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageOrder {
    /// By name, which does not change while pages are turned.
    Name,
    /// Those pushed to last first: where configured repositories are most likely found.
    Pushed,
}

/// Under which path an owner's list is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerPath {
    /// `/users/…`, which github.com answers for organisations too.
    Users,
    /// `/orgs/…`.
    Orgs,
}

impl GitHub {
    /// One repository by one call, or two if it was renamed.
    pub async fn repository(
        &self,
        name: &RepoName,
        etag: Option<&str>,
        errand: &Errand,
    ) -> Result<Single, FetchError> {
        let path = format!("/repos/{}/{}", name.owner(), name.name());
        let reply = self.get(&path, etag, errand).await?;
        match reply.status {
            304 => Ok(Single::NotModified),
            404 | 410 => {
                let hint = if self.has_token() { "" } else { ", which needs a token" };
                let message = format!("`{name}` was not found: deleted, or private{hint}");
                Ok(Single::Absent(Absence::new("not_found", message)))
            }
            403 | 451 => Ok(Single::Absent(forbidden(name, "Repository access blocked"))),
            _ => {
                let node: RestNode = self.read(&reply.body, &path)?;
                Ok(Single::Here(Box::new(node.keep(self.host())), etag_of(&reply.headers)))
            }
        }
    }

    /// One page (from 1) of what an owner shows to everybody.
    pub async fn page(
        &self,
        owner: &str,
        of: OwnerPath,
        (number, order): (u32, PageOrder),
        etag: Option<&str>,
        errand: &Errand,
    ) -> Result<Page, FetchError> {
        let kind = match of {
            OwnerPath::Users => "users",
            OwnerPath::Orgs => "orgs",
        };
        let sort = match order {
            PageOrder::Name => "sort=full_name&direction=asc",
            PageOrder::Pushed => "sort=pushed&direction=desc",
        };
        let owner = utf8_percent_encode(owner, ENCODED);
        let path = format!("/{kind}/{owner}/repos?per_page=100&page={number}&{sort}");
        let reply = self.get(&path, etag, errand).await?;
        match reply.status {
            304 => Ok(Page::NotModified),
            404 | 410 => Ok(Page::NoSuchOwner),
            403 | 451 => Err(FetchError::Refused { host: self.host().to_owned(), detail: path }),
            _ => {
                let nodes: Vec<RestNode> = self.read(&reply.body, &path)?;
                let links = reply.headers.get(LINK).and_then(|value| value.to_str().ok()).unwrap_or_default();
                Ok(Page::Here {
                    repositories: nodes.into_iter().map(|node| node.keep(self.host())).collect(),
                    last: last_page(links, number),
                    etag: etag_of(&reply.headers),
                })
            }
        }
    }

    /// GETs a path, following redirects within the host.
    pub(super) async fn get(
        &self,
        path: &str,
        etag: Option<&str>,
        errand: &Errand,
    ) -> Result<Reply, FetchError> {
        let mut url = self.address.rest(path).map_err(|error| FetchError::Local(error.to_string()))?;
        for _ in 0..REDIRECTS_MAX {
            let request = Request {
                resource: "core",
                points: 1,
                url: url.clone(),
                body: None,
                etag: etag.map(str::to_owned),
            };
            let reply = self.call(errand, request, |reply, rate, _| self.judge_rest(reply, rate)).await?;
            if !matches!(reply.status, 301 | 302 | 307 | 308) {
                return Ok(reply);
            }
            url = self.redirected(&url, &reply.headers)?;
        }
        Err(self.unusable(format!("more than {REDIRECTS_MAX} redirects from {path}")))
    }

    /// Where an answer sends us; [`call`](GitHub::call) refuses an address of another host.
    fn redirected(&self, from: &Url, headers: &HeaderMap) -> Result<Url, FetchError> {
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let target = location.and_then(|location| from.join(location).ok());
        let mut target = target.ok_or_else(|| self.unusable("a redirect that says not where".to_owned()))?;
        // It is the same that is asked for elsewhere.
        if target.query().is_none() {
            target.set_query(from.query());
        }
        Ok(target)
    }

    fn judge_rest(&self, reply: Reply, rate: RateHeaders) -> Judged<Reply> {
        let is_answer = matches!(reply.status, 200 | 301 | 302 | 304 | 307 | 308 | 404 | 409 | 410 | 451);
        if !is_answer && !is_blocked(&reply) {
            return self.judge_refusal(&reply, rate, 1);
        }
        let is_free = reply.status == 304 && self.has_token();
        Judged { verdict: Verdict::Good(reply), spent: u32::from(!is_free), rate, login: None }
    }

    pub(super) fn read<T: serde::de::DeserializeOwned>(
        &self,
        body: &[u8],
        path: &str,
    ) -> Result<T, FetchError> {
        serde_json::from_slice(body).map_err(|error| self.unusable(format!("{path}: {error}")))
    }
}

/// GitHub says with a 403 that it blocked a repository, which is no refusal of ours.
fn is_blocked(reply: &Reply) -> bool {
    reply.status == 403 && String::from_utf8_lossy(&reply.body).contains("access blocked")
}

pub(super) fn etag_of(headers: &HeaderMap) -> Option<String> {
    headers.get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The number of the last page by RFC 8288's `Link`: GitHub names it on all pages but the last.
pub(super) fn last_page(links: &str, here: u32) -> u32 {
    linked_page(links, "last").or_else(|| next_page(links)).unwrap_or(here).max(here)
}

/// The number of the next page, if there is one.
pub(super) fn next_page(links: &str) -> Option<u32> {
    linked_page(links, "next")
}

fn linked_page(links: &str, relation: &str) -> Option<u32> {
    let link = links.split(',').find(|link| link.contains(&format!("rel=\"{relation}\"")))?;
    let target = link.split_once('<')?.1.split_once('>')?.0;
    let target = Url::parse(target).ok()?;
    let (_, page) = target.query_pairs().find(|(name, _)| name == "page")?;
    page.parse::<u32>().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_is_read_from_the_links() {
        let first = "<https://api.github.com/user/1/repos?per_page=100&page=2>; rel=\"next\", \
                     <https://api.github.com/user/1/repos?per_page=100&page=7>; rel=\"last\"";
        let last = "<https://api.github.com/user/1/repos?page=6>; rel=\"prev\", \
                    <https://api.github.com/user/1/repos?page=1>; rel=\"first\"";
        assert_eq!(last_page(first, 1), 7);
        assert_eq!(last_page(last, 7), 7);
        assert_eq!(last_page("<https://h/?page=3>; rel=\"next\"", 2), 3, "there is at least one more");
        assert_eq!(last_page("", 1), 1);
        assert_eq!(last_page("<not an address>; rel=\"last\"", 4), 4);
    }
}
