//! REST, for those without a token: single repositories and an owner's public list. Each call is
//! one of sixty an hour, and an unchanged answer (304) costs one as well.

use larder_core::{Absence, FetchError};
use larder_domain::{RepoName, Repository};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ETAG, HeaderMap, LOCATION};
use url::Url;

use super::GitHub;
use super::answer::{forbidden, not_found, says_blocked};
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

/// Repositories on a page that is full.
pub const PAGE_SIZE: usize = 100;

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

/// What GitHub says of what it was asked for: it, or why there is nothing.
pub(super) type Said = Result<Good, Nothing>;

/// An answer with a body that is what was asked for.
#[derive(Debug)]
pub(super) struct Good {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Where it came from in the end.
    pub(super) url: Url,
}

/// Why there is nothing. None of these bodies is what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nothing {
    /// It is not there, or not for everybody: 404.
    NotThere,
    /// It was there, or it was switched off: 410.
    Gone,
    /// Nobody pushed to the repository yet: 409.
    Empty,
    /// GitHub blocked the repository, by its terms (403) or by law (451).
    Blocked,
}

impl GitHub {
    /// What it means for a repository that there is nothing of it.
    pub(super) fn absence(&self, name: &RepoName, nothing: Nothing) -> Absence {
        match nothing {
            Nothing::Blocked => forbidden(name, "Repository access blocked"),
            Nothing::NotThere | Nothing::Gone | Nothing::Empty if self.has_token() => not_found(name),
            Nothing::NotThere | Nothing::Gone | Nothing::Empty => {
                let message = format!("`{name}` was not found: deleted, or private, which needs a token");
                Absence::new("not_found", message)
            }
        }
    }

    /// One repository by one call, or two if it was renamed.
    pub async fn repository(
        &self,
        name: &RepoName,
        etag: Option<&str>,
        errand: &Errand,
    ) -> Result<Single, FetchError> {
        let path = format!("/repos/{}/{}", name.owner(), name.name());
        match self.get(&path, etag, errand).await? {
            None => Ok(Single::NotModified),
            Some(Ok(good)) => {
                let node: RestNode = self.read(&good.body, &path)?;
                Ok(Single::Here(Box::new(node.keep(self.host())), etag_of(&good.headers)))
            }
            Some(Err(Nothing::Empty)) => Err(self.refused(&path, Nothing::Empty)),
            Some(Err(nothing)) => Ok(Single::Absent(self.absence(name, nothing))),
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
        let path = format!("/{kind}/{owner}/repos?per_page={PAGE_SIZE}&page={number}&{sort}");
        match self.get(&path, etag, errand).await? {
            None => Ok(Page::NotModified),
            Some(Ok(good)) => {
                let nodes: Vec<RestNode> = self.read(&good.body, &path)?;
                Ok(Page::Here {
                    repositories: nodes.into_iter().map(|node| node.keep(self.host())).collect(),
                    last: self.last_page_of(&good, number)?,
                    etag: etag_of(&good.headers),
                })
            }
            Some(Err(Nothing::NotThere | Nothing::Gone)) => Ok(Page::NoSuchOwner),
            Some(Err(nothing)) => Err(self.refused(&path, nothing)),
        }
    }

    /// Why there is nothing where it does not mean that something is absent.
    pub(super) fn refused(&self, path: &str, nothing: Nothing) -> FetchError {
        let why = match nothing {
            Nothing::NotThere => "not found",
            Nothing::Gone => "gone",
            Nothing::Empty => "nothing in it yet",
            Nothing::Blocked => "access blocked",
        };
        FetchError::Refused { host: self.host().to_owned(), detail: format!("{path}: {why}") }
    }

    /// GETs a path, following redirects within the host; `None` = it is as it was, by the entity tag.
    pub(super) async fn get(
        &self,
        path: &str,
        etag: Option<&str>,
        errand: &Errand,
    ) -> Result<Option<Said>, FetchError> {
        self.visit(self.rest_url(path)?, etag, errand).await
    }

    /// GETs an address of its API, whatever is held.
    pub(super) async fn get_whole(&self, url: Url, errand: &Errand) -> Result<Said, FetchError> {
        let unasked = || self.unusable("`not modified`, though nothing was said of what is held".to_owned());
        self.visit(url, None, errand).await?.ok_or_else(unasked)
    }

    pub(super) fn rest_url(&self, path: &str) -> Result<Url, FetchError> {
        self.address.rest(path).map_err(|error| FetchError::Local(error.to_string()))
    }

    async fn visit(
        &self,
        from: Url,
        etag: Option<&str>,
        errand: &Errand,
    ) -> Result<Option<Said>, FetchError> {
        let mut url = from.clone();
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
                return Ok(said(reply, url));
            }
            url = self.redirected(&url, &reply.headers)?;
        }
        Err(self.unusable(format!("more than {REDIRECTS_MAX} redirects from {}", from.path())))
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

/// What an answer says that is neither a refusal nor a redirect; `None` = nothing new.
fn said(reply: Reply, url: Url) -> Option<Said> {
    let nothing = match reply.status {
        304 => return None,
        404 => Nothing::NotThere,
        409 => Nothing::Empty,
        410 => Nothing::Gone,
        403 | 451 => Nothing::Blocked,
        _ => return Some(Ok(Good { headers: reply.headers, body: reply.body, url })),
    };
    Some(Err(nothing))
}

/// GitHub says with a 403 that it blocked a repository, which is no refusal of ours.
fn is_blocked(reply: &Reply) -> bool {
    reply.status == 403 && says_blocked(&String::from_utf8_lossy(&reply.body))
}

pub(super) fn etag_of(headers: &HeaderMap) -> Option<String> {
    headers.get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
