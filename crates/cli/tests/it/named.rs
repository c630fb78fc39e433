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

/// Says what a project is called, in its own file.
fn call(user: &User, project: &str, name: &str) {
    let text = format!("[project]\nname = \"{name}\"\n");
    user.write(&format!("code/{project}/.claude/.skillmeat-project.toml"), &text);
}

#[test]
fn a_project_is_found_by_the_name_that_it_has_now_and_by_no_former_one() {
    let user = user();
    user.ok(&["projects"]);
    let lookups: [&[&str]; 4] = [
        &["projects", "show", "NAME"],
        &["projects", "show", "NAME", "--refresh"],
        &["artifacts", "--project", "NAME"],
        &["artifacts", "--project", "NAME", "--refresh"],
    ];
    let mut former = "Éclair".to_owned();
    for (turn, lookup) in lookups.into_iter().enumerate() {
        let find = |name: &str| {
            let args: Vec<&str> =
                lookup.iter().map(|word| if *word == "NAME" { name } else { word }).collect();
            user.run(&args)
        };
        let name = format!("Third {turn}");
        call(&user, "Éclair", &name);
        let found = find(&name);
        assert_eq!(found.code, 0, "{lookup:?}: {}", found.all());
        assert!(found.out.contains(&name), "{lookup:?}: {}", found.all());
        let name = format!("Fourth {turn}");
        call(&user, "Éclair", &name);
        let gone = find(&format!("Third {turn}"));
        assert!(gone.err.contains("there is no project `Third "), "{lookup:?}: {}", gone.all());
        let gone = find(&former);
        assert!(gone.err.contains("there is no project `"), "{lookup:?}: {}", gone.all());
        let offline = user.ok(&["projects", "show", &name, "--offline"]).out;
        assert!(offline.contains(&name), "what was found out while looking is kept: {offline}");
        former = name;
    }
    std::fs::rename(user.project().join("code/atlas"), user.project().join("code/bot")).unwrap();
    assert_eq!(user.run(&["projects", "show", "atlas", "--offline"]).code, 0);
    assert!(user.ok(&["projects", "show", "bot"]).out.contains("folder     /root/project/code/bot"));
}

#[test]
fn a_new_project_with_the_name_of_a_known_one_is_noticed() {
    let user = user();
    assert_eq!(user.run(&["projects", "show", "atlas"]).code, 0);
    user.write("code/new/atlas/.claude/skills/pdf/SKILL.md", "# pdf\n");
    let refused = user.run(&["projects", "show", "atlas"]);
    assert_eq!(refused.code, 2, "{}", refused.all());
    assert!(refused.err.contains("there are 2 projects called `atlas`"), "{}", refused.err);
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
