//! Lists of an owner's repositories, in pages, with `Link`.

use std::cmp::Ordering;
use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{Found, View, shapes};
use crate::answer::{Answer, not_found};
use crate::world::{Owner, OwnerKind, Repository};

const PER_PAGE_DEFAULT: usize = 30;
const PER_PAGE_MAX: usize = 100;

/// What a value may not hold in an address.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

type Query = [(String, String)];

impl View {
    /// `users/{login}/repos` lists public ones of anybody, `orgs/{login}/repos` an organisation's with the private
    /// ones one may see; `user/{id}` and `organizations/{id}` are what their links lead to.
    pub(super) fn list(&self, door: &str, who: &str, query: &Query) -> Result<Found, Answer> {
        let by_number = matches!(door, "user" | "organizations");
        let owner = if by_number {
            who.parse().ok().and_then(|id| self.world.owner_by_id(id))
        } else {
            self.world.owner(who)
        };
        let of_organization = matches!(door, "orgs" | "organizations");
        let fits = |owner: &&Owner| !of_organization || owner.kind == OwnerKind::Organization;
        let owner = owner.filter(fits).ok_or_else(not_found)?;

        let kind = value(query, "type").unwrap_or(if of_organization { "all" } else { "owner" });
        let wanted = |one: &Repository| match kind {
            "private" => one.is_private,
            "public" => !one.is_private,
            "forks" => one.is_fork,
            "sources" => !one.is_fork,
            "member" => of_organization,
            _ => true,
        };
        let visible = |one: &Repository| if of_organization { self.shows(one) } else { !one.is_private };
        let mut found: Vec<&Repository> =
            self.world.repositories_of(&owner.login).map(AsRef::as_ref).collect();
        found.retain(|one| visible(one) && wanted(one));
        sort(&mut found, query, if of_organization { "created" } else { "full_name" });

        let page = Page::of(query, found.len());
        let shown = page.shown(&found);
        let door = if of_organization { "organizations" } else { "user" };
        let authorised = self.token.is_some();
        Ok(Found {
            body: Value::Array(
                shown
                    .map(|one| shapes::repository_in_list(&self.world, one, &self.base, authorised))
                    .collect(),
            ),
            modified: None,
            link: page.link(&format!("{}/{door}/{}/repos", self.base, owner.id), query),
        })
    }
}

fn sort(found: &mut [&Repository], query: &Query, default: &str) {
    let field = value(query, "sort").unwrap_or(default);
    let by_name = |one: &Repository, other: &Repository| {
        one.full_name.to_lowercase().cmp(&other.full_name.to_lowercase())
    };
    let compared = |one: &Repository, other: &Repository| -> Ordering {
        match field {
            "created" => one.created_at.cmp(&other.created_at),
            "updated" => one.updated_at.cmp(&other.updated_at),
            "pushed" => one.pushed_at.cmp(&other.pushed_at),
            _ => by_name(one, other),
        }
    };
    let named = !matches!(field, "created" | "updated" | "pushed");
    let descending = value(query, "direction").map_or(!named, |direction| direction == "desc");
    found.sort_by(|one, other| {
        let order = compared(one, other);
        (if descending { order.reverse() } else { order }).then_with(|| by_name(one, other))
    });
}

/// One page of a list, numbered from 1.
pub(super) struct Page {
    pub(super) number: usize,
    pub(super) size: usize,
    last: usize,
}

impl Page {
    pub(super) fn of(query: &Query, total: usize) -> Self {
        let number = |name| {
            value(query, name).and_then(|text| text.parse::<usize>().ok()).filter(|number| *number > 0)
        };
        let size = number("per_page").unwrap_or(PER_PAGE_DEFAULT).min(PER_PAGE_MAX);
        Self { number: number("page").unwrap_or(1), size, last: total.div_ceil(size).max(1) }
    }

    /// What is on it, of all that was found.
    pub(super) fn shown<'t, T>(&self, found: &'t [T]) -> impl Iterator<Item = &'t T> {
        found.iter().skip((self.number - 1) * self.size).take(self.size)
    }

    /// The `Link` header; none when all fits on one page.
    pub(super) fn link(&self, url: &str, query: &Query) -> Option<String> {
        let mut related = Vec::new();
        if self.number > 1 {
            related.push((self.number.min(self.last + 1) - 1, "prev"));
        }
        if self.number < self.last {
            related.push((self.number + 1, "next"));
            related.push((self.last, "last"));
        }
        if self.number > 1 {
            related.push((1, "first"));
        }
        let parts = related.into_iter().map(|(page, relation)| {
            let address = address(url, query, &["page"], &[("page", page.to_string())]);
            format!("<{address}>; rel=\"{relation}\"")
        });
        let parts: Vec<String> = parts.collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// An address with a query's pairs, but for some of them, and with others.
pub(super) fn address(url: &str, query: &Query, without: &[&str], with: &[(&str, String)]) -> String {
    let kept = query.iter().filter(|(name, _)| !without.contains(&name.as_str()));
    let pairs = kept.map(|(name, value)| (name.as_str(), value)).chain(with.iter().map(|(n, v)| (*n, v)));
    let mut address = format!("{url}?");
    for (place, (name, value)) in pairs.enumerate() {
        let and = if place == 0 { "" } else { "&" };
        let _ = write!(address, "{and}{name}={}", utf8_percent_encode(value, ENCODED));
    }
    address
}

pub(super) fn value<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}
