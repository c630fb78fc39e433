//! The GraphQL queries that Larder sends, as text. A test checks every shape of them against
//! GitHub's official schema.

use std::fmt::Write as _;

use larder_domain::RepoName;
use serde_json::{Value, json};

use super::issues::LabelAsked;
use super::rights::Withheld;

/// What is asked of each repository, besides its issues.
const FIELDS: &str = "\
    name nameWithOwner owner { login } description url homepageUrl stargazerCount forkCount \
    primaryLanguage { name color } \
    languages(first: 10, orderBy: {field: SIZE, direction: DESC}) { edges { size node { name color } } } \
    repositoryTopics(first: 20) { nodes { topic { name } } } \
    licenseInfo { spdxId name } isFork isArchived isPrivate pushedAt updatedAt createdAt \
    latestRelease { tagName name url publishedAt }";

/// What every query asks besides: what it cost.
const RATE_LIMIT: &str = "rateLimit { limit cost remaining resetAt }";

/// How much is asked of each repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breadth {
    /// All that is kept.
    Whole,
    /// All but the count of its issues. To a token that may not read that, GitHub answers null for the
    /// whole repository.
    WithoutIssues,
}

impl Breadth {
    fn fragment(self) -> String {
        let issues = match self {
            Breadth::Whole => "issues(states: [OPEN]) { totalCount } ",
            Breadth::WithoutIssues => "",
        };
        format!("fragment Repo on Repository {{ {issues}{FIELDS} }}")
    }

    /// All that is missing of a repository that came, each once: what was refused, and what was not
    /// asked for.
    pub(super) fn and(self, mut refused: Vec<Withheld>) -> Vec<Withheld> {
        if self == Breadth::WithoutIssues {
            refused.push(Withheld::issues());
        }
        refused.sort();
        refused.dedup();
        refused
    }

    /// Whether a repository that was left out for these fields may come when less is asked.
    pub(super) fn may_spare(self, refused: &[Withheld]) -> bool {
        self == Breadth::Whole && refused.contains(&Withheld::issues())
    }

    /// Connections asked of each repository; GitHub counts a point for each hundred of them.
    fn connections(self) -> usize {
        match self {
            Breadth::Whole => 3,
            Breadth::WithoutIssues => 2,
        }
    }
}

/// A query, its variables, and what it is expected to cost.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    /// The document.
    pub(super) text: String,
    /// The variables, an object.
    pub(super) variables: Value,
    /// Points that it may cost, as GitHub counts them.
    pub(super) points: u32,
}

/// Whether a query also asks whom the token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Viewer {
    /// It is known already.
    Known,
    /// It asks.
    Asked,
}

impl Viewer {
    fn field(self) -> &'static str {
        match self {
            Viewer::Known => "",
            Viewer::Asked => " viewer { login }",
        }
    }
}

/// Many repositories in one query, each under its alias `r0`, `r1`, …
pub(super) fn repositories(names: &[RepoName], breadth: Breadth, viewer: Viewer) -> Query {
    let mut text = format!("query Repositories {{ {RATE_LIMIT}{}", viewer.field());
    for (index, name) in names.iter().enumerate() {
        // Writing into a string cannot fail. A JSON string is a GraphQL string.
        let _ = write!(
            text,
            " r{index}: repository(owner: {}, name: {}, followRenames: true) {{ ...Repo }}",
            Value::from(name.owner()),
            Value::from(name.name()),
        );
    }
    let _ = write!(text, " }} {}", breadth.fragment());
    Query { text, variables: json!({}), points: points(names.len() * breadth.connections()) }
}

/// Which page of what an owner owns.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageAsked<'a> {
    pub(super) login: &'a str,
    /// Where the page before ended.
    pub(super) after: Option<&'a str>,
    /// How many stand on it.
    pub(super) first: usize,
}

/// One page of what an owner owns, in an order that does not change while pages are turned.
pub(super) fn owned(asked: PageAsked<'_>, breadth: Breadth, viewer: Viewer) -> Query {
    let PageAsked { login, after, first } = asked;
    let text = format!(
        "query Owned($login: String!, $after: String, $first: Int!) {{ {RATE_LIMIT}{} \
         repositoryOwner(login: $login) {{ login repositories(first: $first, after: $after, \
         ownerAffiliations: [OWNER], orderBy: {{field: NAME, direction: ASC}}) {{ \
         pageInfo {{ hasNextPage endCursor }} nodes {{ ...Repo }} }} }} }} {}",
        viewer.field(),
        breadth.fragment()
    );
    let variables = json!({"login": login, "after": after, "first": first});
    Query { text, variables, points: points(1 + first * breadth.connections()) }
}

/// One page of the issues of a label, in an order that does not change while pages are turned, and
/// how many there are in all. Labels are asked for where more than one decides.
pub(super) fn issues(asked: LabelAsked<'_>, after: Option<&str>, first: usize, viewer: Viewer) -> Query {
    let LabelAsked { repo, labels, since } = asked;
    let (labels_field, nested) =
        if labels.len() > 1 { (" labels(first: 100) { nodes { name } }", first) } else { ("", 0) };
    let text = format!(
        "query Issues($owner: String!, $name: String!, $labels: [String!], $since: DateTime, \
         $after: String, $first: Int!) {{ {RATE_LIMIT}{} \
         repository(owner: $owner, name: $name, followRenames: true) {{ nameWithOwner isPrivate \
         all: issues(labels: $labels) {{ totalCount }} \
         page: issues(labels: $labels, filterBy: {{since: $since}}, first: $first, after: $after, \
         orderBy: {{field: CREATED_AT, direction: ASC}}) {{ pageInfo {{ hasNextPage endCursor }} \
         nodes {{ number title state createdAt closedAt url{labels_field} }} }} }} }}",
        viewer.field()
    );
    let variables = json!({
        "owner": repo.owner(), "name": repo.name(), "labels": labels.first().map(|label| vec![label]),
        "since": since, "after": after, "first": first,
    });
    Query { text, variables, points: points(2 + nested) }
}

/// What stands in files of one repository, each under its alias `f0`, `f1`, …
pub(super) fn texts(repo: &RepoName, oids: &[&String], viewer: Viewer) -> Query {
    let mut text = format!(
        "query Texts($owner: String!, $name: String!) {{ {RATE_LIMIT}{} \
         repository(owner: $owner, name: $name, followRenames: true) {{",
        viewer.field()
    );
    for (index, oid) in oids.iter().enumerate() {
        // Writing into a string cannot fail. A JSON string is a GraphQL string.
        let oid = Value::from(oid.as_str());
        let _ = write!(text, " f{index}: object(oid: {oid}) {{ ... on Blob {{ text isTruncated }} }}");
    }
    text.push_str(" } }");
    Query { text, variables: json!({"owner": repo.owner(), "name": repo.name()}), points: 1 }
}

/// Whom the token belongs to, and what it may still spend.
pub(super) fn viewer() -> Query {
    let text = format!("query Viewer {{ {RATE_LIMIT} viewer {{ login }} }}");
    Query { text, variables: json!({}), points: 1 }
}

fn points(connections: usize) -> u32 {
    u32::try_from(connections.div_ceil(100)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<RepoName> {
        (0..count).map(|index| RepoName::new("octo-org", &format!("repo.{index}")).unwrap()).collect()
    }

    #[test]
    fn costs_grow_with_the_connections_asked() {
        assert_eq!(repositories(&names(1), Breadth::Whole, Viewer::Known).points, 1);
        assert_eq!(repositories(&names(50), Breadth::Whole, Viewer::Known).points, 2);
        assert_eq!(repositories(&names(100), Breadth::Whole, Viewer::Asked).points, 3);
        assert_eq!(repositories(&names(100), Breadth::WithoutIssues, Viewer::Asked).points, 2);
        let page = PageAsked { login: "octo-org", after: None, first: 100 };
        assert_eq!(owned(page, Breadth::Whole, Viewer::Known).points, 4);
        assert_eq!(owned(page, Breadth::WithoutIssues, Viewer::Known).points, 3);
        let (repo, labels) = (&names(1)[0], ["a".to_owned(), "b".to_owned()]);
        let asked = LabelAsked { repo, labels: &labels[..1], since: None };
        assert_eq!(issues(asked, None, 100, Viewer::Known).points, 1);
        assert_eq!(issues(LabelAsked { labels: &labels, ..asked }, None, 100, Viewer::Known).points, 2);
    }

    /// Every shape of query, checked as GitHub's server would.
    #[test]
    fn every_query_is_valid_by_githubs_schema() {
        let schema = schema();
        let mut queries = vec![viewer()];
        for asked in [Viewer::Known, Viewer::Asked] {
            for breadth in [Breadth::Whole, Breadth::WithoutIssues] {
                for count in [1, 2, 50, 100] {
                    queries.push(repositories(&names(count), breadth, asked));
                }
                for after in [None, Some("Y3Vyc29y\"}")] {
                    queries.push(owned(PageAsked { login: "octo-org", after, first: 100 }, breadth, asked));
                }
            }
        }
        let name = RepoName::new("octo-org", "kiln").unwrap();
        let labels = ["release".to_owned(), "ours".to_owned()];
        for labels in [&labels[..1], &labels[..]] {
            for since in [None, Some(larder_core::Time::default())] {
                let asked = LabelAsked { repo: &name, labels, since };
                queries.push(issues(asked, since.map(|_| "cursor"), 100, Viewer::Asked));
            }
        }
        let oids: Vec<String> = (0..40).map(|number| format!("{number:040x}")).collect();
        queries.push(texts(&name, &oids.iter().collect::<Vec<_>>(), Viewer::Asked));
        for query in queries {
            let parsed =
                apollo_compiler::ExecutableDocument::parse_and_validate(&schema, &query.text, "query");
            if let Err(wrong) = parsed {
                panic!("{}\n{}", query.text, wrong.errors);
            }
        }
    }

    fn schema() -> apollo_compiler::validation::Valid<apollo_compiler::Schema> {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test finds what `./test` fetched by its environment"
        )]
        let path = std::env::var("LARDER_GITHUB_SCHEMA").unwrap_or_else(|_| {
            panic!("LARDER_GITHUB_SCHEMA is not set: run ./test, which fetches GitHub's schema")
        });
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{path}: {error}: run ./test, which fetches GitHub's schema"));
        match apollo_compiler::Schema::parse_and_validate(text, &path) {
            Ok(schema) => schema,
            Err(wrong) => panic!("{path}: {}", wrong.errors),
        }
    }
}
