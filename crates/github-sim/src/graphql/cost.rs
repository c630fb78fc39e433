//! What a query will cost, read off its text before it runs, by GitHub's published rules: every connection is one
//! request for each of its parents, a hundred requests are a point, and half a million nodes are too many.

use std::collections::HashMap;

use async_graphql::Name;
use async_graphql::Positioned;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition, OperationDefinition,
    Selection, SelectionSet,
};
use serde_json::{Value, json};

const CONNECTIONS: &[&str] =
    &["repositories", "languages", "repositoryTopics", "stargazers", "issues", "labels"];
const NODES_MAX: u64 = 500_000;
const FIRST_MAX: u64 = 100;
/// Fragments within fragments; a query that nests deeper is refused later, by the schema's own check for cycles.
const DEPTH_MAX: usize = 32;
/// Selections looked at: fragments that spread each other twice would otherwise double with every level.
const SELECTIONS_MAX: u32 = 500_000;

/// What is known of a query before it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Points, at least 1.
    pub(crate) cost: u64,
    /// The most nodes it can return.
    pub(crate) nodes: u64,
    /// The repositories it asks for by name.
    pub(crate) names: Vec<String>,
    /// The error that refuses it, in GitHub's words.
    pub(crate) refusal: Option<Value>,
}

/// Plans a query. One that does not parse costs nothing and is refused where it runs.
pub(crate) fn plan(query: &str, variables: &Value, operation: Option<&str>) -> Plan {
    let Ok(document) = parse_query(query) else { return Plan::default() };
    let Some(chosen) = chosen(&document.operations, operation) else { return Plan::default() };
    let mut walk = Walk {
        document: &document,
        variables: known(chosen, variables),
        requests: 0,
        selections: 0,
        plan: Plan::default(),
    };
    walk.set(&chosen.selection_set.node, 1, &mut Vec::new(), 0);
    let mut plan = walk.plan;
    plan.cost = ((walk.requests + 50) / 100).max(1);
    if plan.nodes > NODES_MAX && plan.refusal.is_none() {
        let message = format!(
            "This query requests up to {} possible nodes which exceeds the maximum limit of {}.",
            with_commas(plan.nodes),
            with_commas(NODES_MAX)
        );
        plan.refusal = Some(json!({"type": "MAX_NODE_LIMIT_EXCEEDED", "message": message}));
    }
    plan
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    variables: HashMap<String, Value>,
    requests: u64,
    selections: u32,
    plan: Plan,
}

impl Walk<'_> {
    fn set(&mut self, set: &SelectionSet, parents: u64, path: &mut Vec<String>, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        for selection in set.items.iter().map(|item| &item.node) {
            self.selections += 1;
            if self.selections > SELECTIONS_MAX {
                return;
            }
            if !self.included(selection.directives()) {
                continue;
            }
            match selection {
                Selection::Field(field) => self.field(field, parents, path, depth),
                Selection::InlineFragment(fragment) => {
                    self.set(&fragment.node.selection_set.node, parents, path, depth + 1);
                }
                Selection::FragmentSpread(spread) => {
                    let fragment: Option<&Positioned<FragmentDefinition>> =
                        self.document.fragments.get(&spread.node.fragment_name.node);
                    if let Some(fragment) = fragment {
                        self.set(&fragment.node.selection_set.node, parents, path, depth + 1);
                    }
                }
            }
        }
    }

    fn field(&mut self, field: &Positioned<Field>, parents: u64, path: &mut Vec<String>, depth: usize) {
        let name = field.node.name.node.as_str();
        path.push(field.node.response_key().node.to_string());
        if path.len() == 1 && name == "repository" {
            let part = |argument| {
                self.argument(&field.node, argument).and_then(|value| value.as_str().map(str::to_owned))
            };
            let full_name =
                format!("{}/{}", part("owner").unwrap_or_default(), part("name").unwrap_or_default());
            self.plan.names.push(full_name);
        }
        let parents =
            if CONNECTIONS.contains(&name) { self.connection(field, parents, path) } else { parents };
        self.set(&field.node.selection_set.node, parents, path, depth + 1);
        path.pop();
    }

    /// Counts a connection; returns how many parents its own fields have.
    fn connection(&mut self, field: &Positioned<Field>, parents: u64, path: &[String]) -> u64 {
        let name = field.node.name.node.as_str();
        self.requests = self.requests.saturating_add(parents);
        let bound = ["first", "last"]
            .into_iter()
            .find_map(|argument| Some((argument, self.argument(&field.node, argument)?.as_u64()?)));
        match bound {
            Some((argument, asked)) if asked > FIRST_MAX => self.refuse(
                field,
                path,
                "EXCESSIVE_PAGINATION",
                &format!(
                    "Requesting {asked} records on the `{name}` connection exceeds the `{argument}` limit of {FIRST_MAX} records."
                ),
            ),
            None if lists(&field.node.selection_set.node) => self.refuse(
                field,
                path,
                "MISSING_PAGINATION_BOUNDARIES",
                &format!("You must provide a `first` or `last` value to properly paginate the `{name}` connection."),
            ),
            _ => {}
        }
        let page = bound.map_or(0, |(_, asked)| asked);
        self.plan.nodes = self.plan.nodes.saturating_add(parents.saturating_mul(page));
        parents.saturating_mul(page)
    }

    fn refuse(&mut self, field: &Positioned<Field>, path: &[String], kind: &str, message: &str) {
        let place = json!({"line": field.pos.line, "column": field.pos.column});
        self.plan.refusal.get_or_insert_with(
            || json!({"type": kind, "path": path, "locations": [place], "message": message}),
        );
    }

    fn argument(&self, field: &Field, name: &str) -> Option<Value> {
        let value = field.get_argument(name)?.node.clone();
        value.into_const_with(|variable| self.variable(&variable)).ok()?.into_json().ok()
    }

    fn variable(&self, name: &Name) -> serde_json::Result<async_graphql::Value> {
        async_graphql::Value::from_json(self.variables.get(name.as_str()).cloned().unwrap_or(Value::Null))
    }

    fn included(&self, directives: &[Positioned<Directive>]) -> bool {
        directives.iter().map(|directive| &directive.node).all(|directive| {
            let condition = directive
                .get_argument("if")
                .cloned()
                .and_then(|value| value.node.into_const_with(|variable| self.variable(&variable)).ok());
            match (directive.name.node.as_str(), condition) {
                ("skip", Some(async_graphql::Value::Boolean(condition))) => !condition,
                ("include", Some(async_graphql::Value::Boolean(condition))) => condition,
                _ => true,
            }
        })
    }
}

fn chosen<'a>(operations: &'a DocumentOperations, named: Option<&str>) -> Option<&'a OperationDefinition> {
    match (operations, named) {
        (DocumentOperations::Multiple(many), Some(named)) => many.get(named).map(|one| &one.node),
        (DocumentOperations::Multiple(many), None) if many.len() > 1 => None,
        // An operation that stands alone is the one meant, named or not.
        _ => operations.iter().next().map(|(_, one)| &one.node),
    }
}

/// The variables as sent, and the defaults of those that were not.
fn known(operation: &OperationDefinition, sent: &Value) -> HashMap<String, Value> {
    let mut known = HashMap::new();
    for definition in operation.variable_definitions.iter().map(|definition| &definition.node) {
        let name = definition.name.node.as_str();
        let default =
            || definition.default_value.as_ref().and_then(|value| value.node.clone().into_json().ok());
        if let Some(value) = sent.get(name).cloned().or_else(default) {
            known.insert(name.to_owned(), value);
        }
    }
    known
}

fn lists(set: &SelectionSet) -> bool {
    set.items.iter().any(|item| match &item.node {
        Selection::Field(field) => ["nodes", "edges"].contains(&field.node.name.node.as_str()),
        Selection::InlineFragment(_) | Selection::FragmentSpread(_) => false,
    })
}

fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
