//! Stories of what a repository offers by where its files lie.

use super::*;

fn files(paths: &[&str]) -> Vec<TreeFile> {
    paths.iter().map(|path| TreeFile { path: (*path).to_owned(), sha: "0".repeat(40), bytes: 1 }).collect()
}

fn index(json: &str) -> MarketIndex {
    MarketIndex::read(json.as_bytes()).unwrap()
}

/// `type name @plugin`, of all that is offered.
fn offered(paths: &[&str], index: &MarketIndex) -> Vec<String> {
    let (found, missing) = plan(&files(paths), index, "kit");
    assert_eq!(missing, Vec::<String>::new());
    let word = |one: Candidate| match one.plugin {
        Some(plugin) => format!("{} {} @{plugin}", one.kind, one.name),
        None => format!("{} {}", one.kind, one.name),
    };
    found.into_iter().map(word).collect()
}

#[test]
fn artifacts_lie_where_projects_and_plugins_have_them() {
    let paths = [
        "README.md",
        "skills/pdf/SKILL.md",
        "skills/pdf/scripts/fill.py",
        "skills/pdf/agents/inner.md",
        "skills/pdf/inner/SKILL.md",
        "skills/office/docx/skill.md",
        ".claude/commands/ship.md",
        ".claude/hooks/lint/run.sh",
        ".claude/hooks/fmt.sh",
        ".claude/mcp/tickets.json",
        "agents/pm/prd-writer.md",
        "agents/README.md",
        "src/commands/run.md",
        "hooks/useState.ts",
        "node_modules/x/skills/no/SKILL.md",
        "commands/plain.txt",
    ];
    assert_eq!(
        offered(&paths, &MarketIndex::default()),
        [
            "skill docx",
            "skill pdf",
            "command ship",
            "agent prd-writer",
            "hook fmt.sh",
            "hook lint",
            "mcp tickets",
        ]
    );
}

#[test]
fn a_plugin_brings_what_it_names_and_else_what_lies_in_its_folder() {
    let paths = [
        "skills/pdf/SKILL.md",
        "skills/xlsx/SKILL.md",
        "skills/brand/SKILL.md",
        "plugins/review/.claude-plugin/plugin.json",
        "plugins/review/commands/review.md",
        "plugins/review/hooks/hooks.json",
        "plugins/review/.mcp.json",
        "plugins/loose/.claude-plugin/plugin.json",
        "plugins/loose/agents/critic.md",
    ];
    let index = index(
        r#"{"plugins": [
            {"name": "documents", "source": "./", "skills": ["./skills/pdf", "./skills/xlsx"]},
            {"name": "examples", "source": "./", "skills": ["./skills/brand"]},
            {"name": "review", "source": "./plugins/review", "hooks": "./hooks/hooks.json"},
            {"name": "far", "source": {"source": "github", "repo": "octo-org/far"}, "agents": ["./a.md"]}]}"#,
    );
    assert_eq!(
        offered(&paths, &index),
        [
            "skill brand @examples",
            "skill pdf @documents",
            "skill xlsx @documents",
            "command review @review",
            "agent critic @loose",
            "hook review @review",
            "mcp review @review",
            "agent a @far",
            "plugin far",
            "plugin documents",
            "plugin examples",
            "plugin loose",
            "plugin review",
        ]
    );
}

#[test]
fn a_part_that_is_named_and_not_there_is_told_of() {
    let index = index(
        r#"{"plugins": [{"name": "a", "source": "./", "skills": ["./gone"], "commands": ["./docs/go.md"]}]}"#,
    );
    let (found, missing) = plan(&files(&["docs/go.md", "docs/other.md"]), &index, "kit");
    let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
    assert_eq!((names, missing), (vec!["go", "a"], vec!["gone".to_owned()]), "and only what is named");
}

#[test]
fn a_folder_s_parts_are_those_below_it_and_not_those_of_a_like_name() {
    let index = index(
        r#"{"plugins": [{"name": "a", "source": "./", "skills": ["./docs"], "commands": ["./docs"]},
            {"name": "b", "source": "./", "commands": ["./docs", "./docs-old", "./docs/one.md"]}]}"#,
    );
    let paths = ["docs/one.md", "docs/x/two.md", "docs.md", "docs-old/three.md", "docs0/four.md"];
    let paths: Vec<&str> = paths.into_iter().chain(["docs/skill/SKILL.md"]).collect();
    assert_eq!(
        offered(&paths, &index),
        [
            "skill skill @a",
            "command three @b",
            "command one @a",
            "command SKILL @a",
            "command two @a",
            "plugin a",
            "plugin b"
        ]
    );
}

#[test]
fn an_index_that_names_everything_many_times_is_planned_all_the_same() {
    let paths: Vec<String> = (0..10_000).map(|number| format!("commands/c{number}.md")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let plugin = |number: usize| {
        format!(r#"{{"name": "p{number}", "source": "./", "commands": ["./commands", "./"], "hooks": "h"}}"#)
    };
    let plugins: Vec<String> = (0..10_000).map(plugin).collect();
    let index = index(&format!(r#"{{"plugins": [{}]}}"#, plugins.join(",")));
    let (found, missing) = plan(&files(&paths), &index, "kit");
    assert_eq!(missing, Vec::<String>::new());
    assert_eq!(found.len(), OFFERED_MAX);
    assert!(
        found.iter().take(10_000).all(|one| one.plugin.as_deref() == Some("p0")),
        "the first who names it"
    );
}

#[test]
fn a_repository_may_be_one_skill_as_a_whole() {
    assert_eq!(offered(&["SKILL.md", "scripts/a.py"], &MarketIndex::default()), ["skill kit"]);
    let both = ["SKILL.md", "skills/pdf/SKILL.md"];
    assert_eq!(offered(&both, &MarketIndex::default()), ["skill pdf"], "where it holds none");
    assert_eq!(offered(&[], &MarketIndex::default()), Vec::<String>::new());
}
