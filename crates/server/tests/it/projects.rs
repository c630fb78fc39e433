//! Local projects by HTTP: what is listed and found, how old it is said to be, and who is told what.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::{HOUR, Served, World, header, problem};

/// Two projects: kiln (a skill that is outdated nowhere, an agent that was changed by hand, and a
/// command that is gone) and forge (one skill).
async fn world() -> World {
    let world = World::with_folder().await;
    world.skill("kiln", "pdf", "Fills forms and reads tables");
    world.write(
        "kiln/.claude/agents/reviewer.md",
        "---\ndescription: Reads changes\ntags: [review]\n---\nRead.\n",
    );
    world.write(
        "kiln/.claude/.skillmeat-deployed.toml",
        &format!(
            "[[deployed]]\nartifact_name = \"reviewer\"\nartifact_type = \"agent\"\nartifact_path = \"agents/reviewer.md\"\n\
             content_hash = \"{}\"\nprofile_root_dir = \".claude\"\n\n[[deployed]]\nartifact_name = \"ship\"\n\
             artifact_type = \"command\"\nartifact_path = \"commands/ship.md\"\ncontent_hash = \"{}\"\n",
            "ab".repeat(32),
            "cd".repeat(32)
        ),
    );
    world.skill("forge", "sheets", "Reads tables");
    world
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

fn searching(words: &str) -> String {
    let encoded = percent_encoding::utf8_percent_encode(words, percent_encoding::NON_ALPHANUMERIC);
    format!("/api/v1/artifacts?search={encoded}")
}

async fn found(served: &Served, query: &str) -> Vec<String> {
    let list = served.json(&format!("/api/v1/artifacts?{query}")).await;
    names(&list["artifacts"]).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_search_that_was_not_asked_before_reads_the_rows_of_each_folder_once() {
    let world = world().await;
    let (served, store) = world.serve_faulty(world.settings()).await;
    served.json("/api/v1/artifacts").await;
    let mut least = usize::MAX;
    // What goes on behind may read some as well, but not each time.
    for words in ["fills", "reads", "forms", "tables", "changes"] {
        let before = store.stretches();
        assert_ne!(served.json(&searching(words)).await["artifacts"], json!([]), "{words}");
        least = least.min(store.stretches() - before);
    }
    assert_eq!(least, 2, "once for the roots, and once for their projects");
}

#[tokio::test]
async fn projects_are_listed_with_what_wants_a_look() {
    let world = world().await;
    let served = world.serve().await;
    let list = served.json("/api/v1/projects").await;
    assert_eq!(names(&list["projects"]), ["forge", "kiln"]);
    let kiln = &list["projects"][1];
    assert_eq!(
        json!([kiln["artifacts"], kiln["outdated"], kiln["modified"], kiln["missing"], kiln["warnings"]]),
        json!([3, 0, 1, 1, 0])
    );
    assert_eq!(kiln["path"], world.roots[0].join("kiln").to_str().unwrap());
    assert_eq!((&kiln["relative_path"], &list["next"]), (&json!("kiln"), &Value::Null));
    let keys: Vec<&str> =
        list["cache"].as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(keys[0].starts_with("projects/roots/dev-"), "{keys:?}");
    for (query, expected) in [
        ("status=modified", vec!["kiln"]),
        ("status=missing", vec!["kiln"]),
        ("status=outdated", vec![]),
        ("search=for", vec!["forge"]),
        ("search=", vec!["forge", "kiln"]),
        ("limit=1", vec!["forge"]),
    ] {
        let list = served.json(&format!("/api/v1/projects?{query}")).await;
        assert_eq!(names(&list["projects"]), expected, "{query}");
    }
}

#[tokio::test]
async fn artifacts_are_searched_filtered_and_paged() {
    let world = world().await;
    let served = world.serve().await;
    let list = served.json("/api/v1/artifacts").await;
    let projects = served.json("/api/v1/projects").await;
    assert_eq!(names(&list["artifacts"]), ["pdf", "reviewer", "sheets", "ship"]);
    let pdf = &list["artifacts"][0];
    assert_eq!(
        (&pdf["type"], &pdf["project_name"], &pdf["profile"]),
        (&json!("skill"), &json!("kiln"), &json!("claude_code"))
    );
    assert_eq!(
        (&pdf["path"], &pdf["description"]),
        (&json!(".claude/skills/pdf"), &json!("Fills forms and reads tables"))
    );
    assert_eq!(list["cache"].as_array().unwrap().len(), 2);
    let kiln = projects["projects"][1]["id"].as_str().unwrap();
    for (query, expected) in [
        ("type=agent", vec!["reviewer"]),
        ("status=modified", vec!["reviewer"]),
        ("status=missing&type=command", vec!["ship"]),
        ("search=rea+tab", vec!["pdf", "sheets"]),
        ("search=she", vec!["sheets"]),
        ("search=review", vec!["reviewer"]),
        ("project=nobody", vec![]),
        (&*format!("project={kiln}"), vec!["pdf", "reviewer", "ship"]),
    ] {
        let mut found = found(&served, query).await;
        found.sort();
        assert_eq!(found, expected, "{query}");
    }
    let mut walked = Vec::new();
    let mut path = "/api/v1/artifacts?limit=3".to_owned();
    loop {
        let page = served.json(&path).await;
        walked.extend(names(&page["artifacts"]).into_iter().map(str::to_owned));
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/artifacts?limit=3&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(walked, ["pdf", "reviewer", "sheets", "ship"]);
    let cursor = path.rsplit_once('=').unwrap().1;
    let other = served.get(&format!("/api/v1/artifacts?type=skill&cursor={cursor}")).send().await.unwrap();
    problem(other, 404, "unknown_cursor").await;
}

#[tokio::test]
async fn what_comes_and_goes_between_two_pages_makes_nobody_miss_another_or_see_it_twice() {
    let world = World::with_folder().await;
    let name = |number: usize| format!("skill-{number:02}");
    for number in (10..40).step_by(2) {
        world.skill("kiln", &name(number), "Reads tables");
    }
    let served = world.serve().await;
    let page = async |cursor: Option<&str>| {
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = served.json(&format!("/api/v1/artifacts?limit=5{cursor}")).await;
        let names: Vec<String> = names(&page["artifacts"]).into_iter().map(str::to_owned).collect();
        (names, page["next"].as_str().map(str::to_owned))
    };
    let numbered = |numbers: &[usize]| numbers.iter().map(|number| name(*number)).collect::<Vec<_>>();
    let (first, next) = page(None).await;
    assert_eq!(first, numbered(&[10, 12, 14, 16, 18]));

    for gone in [10, 16, 18] {
        std::fs::remove_dir_all(world.roots[0].join("kiln/.claude/skills").join(name(gone))).unwrap();
    }
    served.json("/api/v1/artifacts?refresh=true&limit=1").await;
    let (second, then) = page(next.as_deref()).await;
    assert_eq!(second, numbered(&[20, 22, 24, 26, 28]));

    for come in [1, 2, 3, 4, 5, 6, 7, 8, 9, 21] {
        world.skill("kiln", &name(come), "Reads tables");
    }
    world.clock.advance(HOUR);
    served.json("/api/v1/artifacts?refresh=true&limit=1").await;
    let (third, end) = page(then.as_deref()).await;
    assert_eq!((third, end), (numbered(&[30, 32, 34, 36, 38]), None));
}

#[tokio::test]
async fn an_answer_says_how_old_it_is_and_a_forced_one_sees_what_was_written() {
    let world = world().await;
    let served = world.serve().await;
    for path in ["/api/v1/projects", "/api/v1/artifacts"] {
        let first = served.get(path).send().await.unwrap();
        assert!(!header(&first, "x-cache-last-fetched").is_empty(), "{path}");
        let etag = header(&first, "etag");
        let again = served.get(path).header("if-none-match", etag).send().await.unwrap();
        assert_eq!((again.status().as_u16(), &*header(&again, "x-cache-hit")), (304, "hit"), "{path}");
    }
    let began = header(&served.get("/api/v1/projects").send().await.unwrap(), "x-cache-last-fetched");
    world.skill("kiln", "ocr", "Reads pictures");
    world.skill("anvil", "ocr", "Reads pictures");
    assert_eq!(found(&served, "search=ocr").await, Vec::<String>::new(), "nobody has looked yet");
    world.clock.advance(HOUR / 2);
    let forced = served.get("/api/v1/artifacts?search=ocr&refresh=true").send().await.unwrap();
    assert_eq!(header(&forced, "x-cache-hit"), "miss");
    assert_ne!(header(&forced, "x-cache-last-fetched"), began);
    let list: Value = forced.json().await.unwrap();
    assert_eq!(names(&list["artifacts"]), ["ocr", "ocr"]);
    assert_eq!(names(&served.json("/api/v1/projects").await["projects"]), ["anvil", "forge", "kiln"]);
    world.clock.advance(2 * HOUR);
    let old = served.get("/api/v1/artifacts?search=ocr").send().await.unwrap();
    assert_eq!(header(&old, "x-cache-hit"), "stale");
}

#[tokio::test]
async fn a_project_is_shown_with_its_artifacts_and_what_is_wrong() {
    let world = world().await;
    world.write("kiln/.claude/skills/broken/SKILL.md", "---\nname: [\n---\n");
    let served = world.serve().await;
    let id = served.json("/api/v1/projects").await["projects"][1]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/projects/{id}");
    // Another server, which has not looked anywhere yet, knows it at once.
    for served in [served, world.serve().await] {
        let shown = served.get(&path).send().await.unwrap();
        assert!(header(&shown, "cache-status").contains("hit") && !header(&shown, "age").is_empty());
        let shown: Value = shown.json().await.unwrap();
        assert_eq!(
            (&shown["project"]["id"], names(&shown["artifacts"])),
            (&json!(id), vec!["broken", "pdf", "reviewer", "ship"])
        );
        let warning = &shown["cache"][0]["warnings"][0];
        assert_eq!(
            (&warning["about"], &warning["code"]),
            (&json!(".claude/skills/broken"), &json!("malformed"))
        );
    }
    let served = world.serve().await;
    for unknown in ["nobody", "roots", "roots%2Fdev", "%F0%9F%A6%80", "a%00b", &"x".repeat(600)] {
        let answer = served.get(&format!("/api/v1/projects/{unknown}")).send().await.unwrap();
        problem(answer, 404, "unknown_key").await;
    }
    std::fs::remove_dir_all(world.roots[0].join("kiln")).unwrap();
    served.json("/api/v1/projects?refresh=true").await;
    problem(served.get(&path).send().await.unwrap(), 404, "unknown_key").await;
}

#[tokio::test]
async fn many_warnings_leave_a_project_s_page_to_its_artifacts() {
    let world = world().await;
    let broken = |number: u32| {
        world.write(&format!("kiln/.claude/skills/broken-{number}/SKILL.md"), "---\nname: [\n---\n");
    };
    (0..5).for_each(broken);
    let served = world.serve().await;
    let shown = async || {
        let id = served.json("/api/v1/projects?refresh=true").await["projects"][1]["id"].clone();
        served.get(&format!("/projects/{}", id.as_str().unwrap())).send().await.unwrap().text().await.unwrap()
    };
    assert!(shown().await.contains("<div class=\"note stale\">\n<p>5 warnings</p>"));
    (5..60).for_each(broken);
    let text = shown().await;
    assert!(text.contains("<details class=\"note stale\">\n<summary>60 warnings</summary>"), "{text}");
    assert!(text.contains("10 more warnings like these"), "{text}");
}

#[tokio::test]
async fn whole_paths_are_for_the_local_user_alone() {
    let world = world().await;
    std::os::unix::fs::symlink("/etc", world.roots[0].join("kiln/.claude/skills/stray")).unwrap();
    let mut settings = world.open_settings();
    settings.read_token = Some("reader".into());
    settings.admin_token = Some("admin".into());
    let open = world.serve_with(settings).await;
    let local = world.serve().await;
    let id = local.json("/api/v1/projects").await["projects"][1]["id"].as_str().unwrap().to_owned();
    let place = world.roots[0].to_str().unwrap();
    let one = format!("/api/v1/projects/{id}");
    let entry = format!("/api/v1/entries/projects/{id}");
    let root = local.json("/api/v1/projects").await["cache"][0]["key"].as_str().unwrap().to_owned();
    let root = format!("/api/v1/entries/{root}");
    for path in ["/api/v1/projects", &one, &entry, &root, "/api/v1/artifacts", "/api/v1/entries", "/cache"] {
        for token in ["reader", "admin"] {
            let told = open.get(path).bearer_auth(token).send().await.unwrap();
            assert_eq!(told.status(), 200, "{path}");
            let told = told.text().await.unwrap();
            assert!(!told.contains(place) && !told.contains("/etc"), "{path} tells {token}: {told}");
        }
    }
    let told: Value = open.get(&one).bearer_auth("reader").send().await.unwrap().json().await.unwrap();
    assert_eq!((&told["project"]["path"], &told["project"]["name"]), (&json!("kiln"), &json!("kiln")));
    assert!(told["cache"][0]["warnings"][0]["message"].as_str().unwrap().contains("leads outside"));
    for path in ["/api/v1/projects", &one, &entry] {
        let told = local.get(path).send().await.unwrap().text().await.unwrap();
        assert!(told.contains(place), "{path} keeps it from the local user");
    }
    assert!(local.get(&one).send().await.unwrap().text().await.unwrap().contains("leads to /etc"));
}

#[tokio::test]
async fn who_may_not_see_what_is_private_sees_no_folder_and_causes_no_look() {
    let world = world().await;
    let open = world.serve_with(world.open_settings()).await;
    for path in ["/api/v1/projects?refresh=true", "/api/v1/artifacts?refresh=true&search=pdf"] {
        let list = open.json(path).await;
        let (projects, artifacts) = (&list["projects"], &list["artifacts"]);
        assert!(projects.as_array().or(artifacts.as_array()).unwrap().is_empty(), "{list}");
        assert_eq!(list["cache"], json!([]));
    }
    problem(open.get("/api/v1/projects/kiln-3f9c0a17b2de").send().await.unwrap(), 404, "unknown_key").await;
    let local = world.serve().await;
    let first = local.get("/api/v1/projects").send().await.unwrap();
    assert_eq!(header(&first, "x-cache-hit"), "miss", "nobody has looked before");
    let list: Value = first.json().await.unwrap();
    let id = list["projects"][1]["id"].as_str().unwrap();
    for path in [format!("/api/v1/projects/{id}"), format!("/api/v1/entries/projects/{id}")] {
        problem(open.get(&path).send().await.unwrap(), 404, "unknown_key").await;
    }
    assert!(!open.get("/api/v1/entries").send().await.unwrap().text().await.unwrap().contains(id));
    assert_eq!(open.json("/api/v1/projects").await["projects"], json!([]));
}

#[tokio::test]
async fn whatever_is_searched_for_is_text() {
    let world = world().await;
    world.skill("kiln", "crab", "🦀 says \"NEAR(a b)\" OR it's * NOT c:d");
    let served = world.serve().await;
    let long = "pdf ".repeat(2_500);
    let odd = [
        "\"",
        "\"pdf",
        "pdf\"",
        "'",
        "*",
        "pdf*",
        "(",
        ")",
        "a AND",
        "OR",
        "NOT pdf",
        "NEAR(pdf)",
        "name:pdf",
        "-pdf",
        "^pdf",
        "🦀",
        "\0",
        "pdf\0",
        "%",
        "_",
        "\\",
        "{pdf}",
        "\u{202e}",
        "👩‍👩‍👧",
        &long,
    ];
    for search in odd {
        let asked = served.get(&searching(search));
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{search:.40}");
        let list: Value = answer.json().await.unwrap();
        assert!(list["artifacts"].is_array(), "{search:.40}");
    }
    let asked = async |search: &str| -> BTreeSet<String> {
        let answer = served.get(&searching(search)).send().await.unwrap();
        let list: Value = answer.json().await.unwrap();
        names(&list["artifacts"]).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(asked("\"near(a").await, BTreeSet::from(["crab".to_owned()]));
    assert_eq!(asked(&long).await, BTreeSet::from(["pdf".to_owned()]));
    assert_eq!(asked("pdf NOT").await, BTreeSet::new(), "no word of it is an operator");
}

#[tokio::test]
async fn what_cannot_be_asked_is_a_problem() {
    let world = world().await;
    let served = world.serve().await;
    for query in [
        "sort=name",
        "status=fresh",
        "type=hat",
        "limit=0",
        "limit=1001",
        "refresh=perhaps",
        "cursor=x",
        "search=a&search=b",
    ] {
        for path in ["/api/v1/artifacts", "/api/v1/projects"] {
            if path.ends_with("projects") && query.starts_with("type") {
                continue;
            }
            problem(served.get(&format!("{path}?{query}")).send().await.unwrap(), 400, "bad_input").await;
        }
    }
    let bare = World::new().await;
    let nowhere = bare.serve().await;
    assert_eq!(nowhere.json("/api/v1/projects").await, json!({"projects": [], "cache": [], "next": null}));
    assert_eq!(nowhere.json("/api/v1/artifacts").await["artifacts"], json!([]));
}

#[tokio::test]
async fn the_page_lists_projects_with_what_wants_a_look_and_finds_their_artifacts() {
    let world = world().await;
    let served = world.serve().await;
    let text = async |path: &str| {
        let answer = served.get(path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    };
    let first = text("/projects").await;
    assert!(first.contains("Looking for projects") && first.contains(r#"data-state="loading""#));
    let list = served.json("/api/v1/projects").await;
    let id = list["projects"][1]["id"].as_str().unwrap();
    let page = text("/projects").await;
    assert!(page.contains("2 projects · 4 artifacts · 1 modified · 1 missing"));
    assert!(
        page.contains(&format!(r#"href="/projects/{id}""#))
            && page.contains(r#"href="/projects" aria-current="page""#)
    );
    assert!(page.contains(world.roots[0].to_str().unwrap()));
    let found = text("/projects?search=rea+tab").await;
    assert!(found.contains("2 artifacts") && found.contains("sheets") && !found.contains("reviewer"));
    let modified = text("/projects?show=agent&status=modified").await;
    assert!(
        modified.contains("1 artifact<")
            && modified.contains(r#"<span class="mark modified">modified</span>"#)
    );
    assert!(text("/projects?status=outdated").await.contains("Nothing found"));
    assert!(!text("/projects?part=list&sort=-missing").await.contains("<html"));
    for odd in ["search=%00%22*%F0%9F%A6%80", "after=99999999999"] {
        text(&format!("/projects?{odd}")).await;
    }
    let one = text(&format!("/projects/{id}")).await;
    assert!(one.contains("3 artifacts · 1 modified · 1 missing") && one.contains("for Claude Code"));
    let missing = text(&format!("/projects/{id}?show=missing")).await;
    assert!(missing.contains("ship") && !missing.contains("reviewer"));
    assert_eq!(served.get("/projects/nobody").send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn an_open_page_of_a_project_that_went_says_so() {
    let world = world().await;
    let served = world.serve().await;
    let list = served.json("/api/v1/projects").await;
    let (root, id) = (list["cache"][0]["key"].as_str().unwrap(), list["projects"][1]["id"].as_str().unwrap());
    let part = format!("/projects/{id}?part=list");
    assert_eq!(served.get(&part).send().await.unwrap().status(), 200);
    let mut events = served.events().await;
    std::fs::remove_dir_all(world.roots[0].join("kiln")).unwrap();
    let looked = served.post(&format!("/api/v1/entries/{root}/refresh")).send().await.unwrap();
    assert!(looked.status().is_success(), "{}", looked.status());
    // The script asks for the part that changes when it hears of anything, and shows what has the list's place.
    let gone = loop {
        events.about(&format!("projects/{id}")).await;
        let answer = served.get(&part).send().await.unwrap().text().await.unwrap();
        if answer.contains("This project is gone") {
            break answer;
        }
    };
    assert!(gone.contains(r#"<section id="list""#), "{gone}");
    assert!(!gone.contains("<html"), "{gone}");
}

#[tokio::test]
async fn the_pages_tell_others_no_whole_path_and_strangers_nothing() {
    let world = world().await;
    let mut settings = world.open_settings();
    settings.read_token = Some("reader".into());
    let open = world.serve_with(settings).await;
    let list: Value =
        open.get("/api/v1/projects").bearer_auth("reader").send().await.unwrap().json().await.unwrap();
    let id = list["projects"][1]["id"].as_str().unwrap();
    for path in ["/projects".to_owned(), format!("/projects/{id}")] {
        let told = open.get(&path).bearer_auth("reader").send().await.unwrap();
        assert_eq!(told.status(), 200, "{path}");
        let told = told.text().await.unwrap();
        assert!(told.contains("kiln") && !told.contains(world.roots[0].to_str().unwrap()), "{path}");
        let refused = open.get(&path).send().await.unwrap();
        assert_eq!(refused.status(), 401, "{path}");
        let refused = refused.text().await.unwrap();
        assert!(!refused.contains("reviewer") && !refused.contains("forge"), "{path}: {refused}");
        assert!(refused.contains("Local projects take a token"), "{path}: {refused}");
        assert!(!refused.contains("Changing the cache"), "nobody wanted to: {refused}");
    }
    let tokenless = world.serve_with(world.open_settings()).await;
    let refused = tokenless.get("/projects").send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains("Local projects are not shown here"));
    let nowhere = World::new().await;
    let nowhere = nowhere.serve().await;
    let page = nowhere.get("/projects").send().await.unwrap().text().await.unwrap();
    assert!(
        page.contains("roots = [&quot;~/projects&quot;]") || page.contains(r#"roots = ["~/projects"]"#),
        "{page}"
    );
    let part = nowhere.get("/projects?part=list").send().await.unwrap().text().await.unwrap();
    assert!(part.contains(r#"<section id="list""#) && part.contains("data-nowhere"), "{part}");
    let clusters = nowhere.get("/").send().await.unwrap().text().await.unwrap();
    assert!(!clusters.contains(r#"href="/projects""#), "there is nothing to go to");
}
