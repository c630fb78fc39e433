//! Where a list goes on: RFC 8288's header `Link`, which is the only one that knows. A header that cannot be
//! read is an error, since a list that was cut must not pass for a whole one.

use larder_core::FetchError;
use reqwest::header::{HeaderMap, LINK};
use url::Url;

use super::GitHub;
use super::rest::Good;

/// The links of an answer, by relation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Links(Vec<(String, String)>);

impl Links {
    /// Those of an answer, none if it has none; `None` = what it has are no links.
    fn of(headers: &HeaderMap) -> Option<Links> {
        let mut links = Vec::new();
        for value in headers.get_all(LINK) {
            links.extend(read(value.to_str().ok()?)?);
        }
        Some(Links(links))
    }

    fn to(&self, relation: &str) -> Option<&str> {
        let is_meant = |(known, _): &&(String, String)| {
            known.split_ascii_whitespace().any(|known| known.eq_ignore_ascii_case(relation))
        };
        self.0.iter().find(is_meant).map(|(_, target)| target.as_str())
    }

    /// The number of the page that a link on the one at this address leads to, where pages have numbers.
    fn page(&self, at: &Url, relation: &str) -> Option<u32> {
        let target = at.join(self.to(relation)?).ok()?;
        let (_, page) = target.query_pairs().find(|(name, _)| name == "page")?;
        page.parse().ok()
    }

    /// The number of the last page, which is named on all pages but that one; `None` = it goes on, and pages
    /// have no numbers.
    fn last_page(&self, at: &Url, here: u32) -> Option<u32> {
        if self.to("next").is_none() {
            return Some(here);
        }
        self.page(at, "last").into_iter().chain(self.page(at, "next")).max().filter(|last| *last > here)
    }
}

impl GitHub {
    /// Where a list goes on after this page; `None` = it was the last. The address is one of its API, as which we
    /// know it, or it is an error.
    pub(super) fn next_of(&self, page: &Good) -> Result<Option<Url>, FetchError> {
        let links = self.links_of(page)?;
        let Some(target) = links.to("next") else { return Ok(None) };
        match page.url.join(target) {
            Ok(next) if self.address.has(&next) => Ok(Some(next)),
            Ok(next) => self.at_home(&page.url, &next).map(Some).ok_or_else(|| {
                let origin = next.origin().ascii_serialization();
                self.unusable(format!("a list that goes on at {origin}, outside of its API"))
            }),
            Err(error) => Err(self.unusable(format!("a list that goes on at no address: {error}"))),
        }
    }

    /// The same page by the address that we know the API by: a proxy before GitHub hands its links on as they
    /// came. Elsewhere nothing is sent, and only what says that it is of the same list is asked for at all.
    fn at_home(&self, page: &Url, next: &Url) -> Option<Url> {
        let own = self.address.rest("/").ok()?;
        let own = own.path().trim_end_matches('/');
        let here = page.path().strip_prefix(own)?;
        let turns = |name: &str| matches!(name, "page" | "after" | "before");
        let keeps_all = (page.query_pairs().filter(|(name, _)| !turns(name)))
            .all(|pair| next.query_pairs().any(|kept| kept == pair));
        if !matches!(next.scheme(), "http" | "https") || !keeps_all {
            return None;
        }
        let paths = [own, "/api/v3", ""].into_iter().filter_map(|base| next.path().strip_prefix(base));
        let path = paths.into_iter().find(|path| is_same_list(here, path))?;
        let mut found = self.address.rest(path).ok()?;
        found.set_query(next.query());
        Some(found)
    }

    /// The number of the last page of a list whose pages have numbers, of which this is `here`.
    pub(super) fn last_page_of(&self, page: &Good, here: u32) -> Result<u32, FetchError> {
        let unnumbered = || self.unusable("a list that goes on at a page without a number".to_owned());
        self.links_of(page)?.last_page(&page.url, here).ok_or_else(unnumbered)
    }

    fn links_of(&self, page: &Good) -> Result<Links, FetchError> {
        Links::of(&page.headers).ok_or_else(|| self.unusable("a `Link` that cannot be read".to_owned()))
    }
}

/// Whether two paths are of one list: GitHub's links name a repository by its number.
fn is_same_list(here: &str, there: &str) -> bool {
    let list = here.strip_prefix("/repos/").and_then(|here| here.splitn(3, '/').nth(2));
    let numbered = there.strip_prefix("/repositories/").and_then(|there| there.split_once('/'));
    let is_numbered = |(number, of): (&str, &str)| number.parse::<u64>().is_ok() && list == Some(of);
    here == there || numbered.is_some_and(is_numbered)
}

/// Relations and targets of a header: `<target>; rel="relation"; …, <target>; …`.
fn read(text: &str) -> Option<Vec<(String, String)>> {
    let mut links = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (target, after) = rest.strip_prefix('<')?.split_once('>')?;
        let (parameters, next) = cut(after, ',');
        links.push((relation(parameters)?, target.trim().to_owned()));
        rest = next.trim_start_matches([' ', '\t', ',']);
    }
    Some(links)
}

/// What parameters say of the relation, the first of that name, or nothing; `None` = they are no parameters.
fn relation(parameters: &str) -> Option<String> {
    let (before, mut rest) = cut(parameters, ';');
    if !before.trim().is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (parameter, next) = cut(rest, ';');
        match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("rel") => {
                return Some(value.trim().trim_matches('"').to_owned());
            }
            _ => rest = next,
        }
    }
    Some(String::new())
}

/// Cuts at the first separator that stands in no quotes.
fn cut(text: &str, separator: char) -> (&str, &str) {
    let mut is_quoted = false;
    let place = text.find(|c| {
        is_quoted ^= c == '"';
        c == separator && !is_quoted
    });
    place.map_or((text, ""), |place| (&text[..place], &text[place + separator.len_utf8()..]))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn page() -> Url {
        Url::parse("https://api.github.com/user/1/repos?per_page=100").unwrap()
    }

    fn links(text: &str) -> Links {
        Links(read(text).unwrap())
    }

    #[test]
    fn links_are_read_whatever_stands_in_them() {
        let github = "<https://api.github.com/repositories/1/issues?after=Y3%3D%3D&page=2>; rel=\"next\", \
                      <https://api.github.com/repositories/1/issues?before=X&page=1>; rel=\"prev\"";
        assert_eq!(
            links(github).to("next"),
            Some("https://api.github.com/repositories/1/issues?after=Y3%3D%3D&page=2")
        );
        let odd = "<https://h/?labels=a,b;c&page=2>; title=\"x, y; rel=last\";REL=next,, <?page=9>; rel=\"last end\"";
        assert_eq!(links(odd).to("next"), Some("https://h/?labels=a,b;c&page=2"));
        assert_eq!(links(odd).to("end"), Some("?page=9"));
        assert_eq!(links(odd).to("first"), None);
        assert_eq!(links("").to("next"), None);
        for wrong in
            ["next", "<https://h/; rel=\"next\"", "https://h/>; rel=\"next\"", "<https://h/> rel=next"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn several_headers_are_one_and_one_that_is_no_text_is_no_link() {
        let mut headers = HeaderMap::new();
        assert_eq!(Links::of(&headers), Some(Links::default()));
        headers.append(LINK, HeaderValue::from_static("</a>; rel=\"prev\""));
        headers.append(LINK, HeaderValue::from_static("</b>; rel=\"next\""));
        assert_eq!(Links::of(&headers).unwrap().to("next"), Some("/b"));
        headers.append(LINK, HeaderValue::from_bytes(b"</\xff>; rel=\"last\"").unwrap());
        assert_eq!(Links::of(&headers), None);
    }

    #[test]
    fn a_link_may_be_told_from_the_page_that_it_stands_on() {
        for link in
            ["/user/1/repos?page=7", "?per_page=100&page=7", "repos?page=7", "//api.github.com/x?page=7"]
        {
            let text = format!("<{link}>; rel=\"next\", <{link}>; rel=\"last\"");
            assert_eq!(links(&text).last_page(&page(), 1), Some(7), "{link}");
        }
    }

    #[test]
    fn the_last_page_is_read_from_the_links() {
        let first = "<https://api.github.com/user/1/repos?per_page=100&page=2>; rel=\"next\", \
                     <https://api.github.com/user/1/repos?per_page=100&page=7>; rel=\"last\"";
        let last = "<https://api.github.com/user/1/repos?page=6>; rel=\"prev\", \
                    <https://api.github.com/user/1/repos?page=1>; rel=\"first\"";
        assert_eq!(links(first).last_page(&page(), 1), Some(7));
        assert_eq!(links(last).last_page(&page(), 7), Some(7));
        assert_eq!(
            links("<https://h/?page=3>; rel=\"next\"").last_page(&page(), 2),
            Some(3),
            "at least one more"
        );
        assert_eq!(links("").last_page(&page(), 1), Some(1));
        assert_eq!(links("<not an address>; rel=\"last\"").last_page(&page(), 4), Some(4));
        assert_eq!(
            links("<https://h/?after=x>; rel=\"next\"").last_page(&page(), 1),
            None,
            "it is not the end"
        );
        assert_eq!(
            links("<https://h/?page=2>; rel=\"next\"").last_page(&page(), 2),
            None,
            "it leads to itself"
        );
    }
}
