//! What one types to say which: names that differ by the case of letters alone, words that begin with a dash.

use crate::world::User;

fn user() -> User {
    let user = User::new();
    user.write("larder.toml", "[projects]\nroots = [\"code\"]\n");
    for project in ["code/Atlas", "code/atlas", "code/other/Atlas", "code/Éclair"] {
        user.write(
            &format!("{project}/.claude/skills/pdf/SKILL.md"),
            "---\ndescription: Fills -forms\n---\n",
        );
    }
    user
}

#[test]
fn a_name_in_the_very_same_letters_comes_before_those_that_differ_by_case() {
    let user = user();
    let folder = |name: &str| {
        let shown = user.ok(&["projects", "show", name]).out;
        shown.lines().find_map(|line| line.strip_prefix("folder     ").map(str::to_owned)).unwrap()
    };
    assert_eq!(folder("atlas"), "/root/project/code/atlas");
    assert_eq!(folder("éclair"), "/root/project/code/Éclair");
    // One that came since, which nobody has read, is asked as well.
    user.write("code/ÉCLAIR/.claude/skills/pdf/SKILL.md", "# pdf\n");
    assert_eq!(folder("ÉCLAIR"), "/root/project/code/ÉCLAIR");
    assert_eq!(folder("Éclair"), "/root/project/code/Éclair");
    for (name, which) in [("Atlas", 2), ("ATLAS", 3)] {
        let refused = user.run(&["projects", "show", name]);
        assert_eq!(refused.code, 2, "{}", refused.all());
        assert!(
            refused.err.contains(&format!("there are {which} projects called `{name}`")),
            "{}",
            refused.err
        );
        assert_eq!(refused.err.matches("`atlas-").count(), which, "by their ids: {}", refused.err);
    }
    let of = |name: &str| user.json(&["artifacts", "--project", name])["artifacts"].as_array().unwrap().len();
    assert_eq!((of("atlas"), of("Atlas"), of("ATLAS")), (1, 2, 3));
}

#[test]
fn a_word_may_begin_with_a_dash_and_a_forgotten_one_is_told_of() {
    let user = user();
    assert_eq!(user.json(&["artifacts", "--search", "-pdf"])["artifacts"].as_array().unwrap().len(), 4);
    let repos = user.run(&["repos", "--search", "-pdf"]);
    assert!(repos.err.contains("lists no cluster"), "of the words nothing is said: {}", repos.err);
    for command in ["artifacts", "repos"] {
        let forgotten = user.run(&[command, "--search", "--offline"]);
        assert_eq!(forgotten.code, 2, "{}", forgotten.all());
        assert!(forgotten.err.contains("this looks like an option"), "{}", forgotten.err);
    }
}
