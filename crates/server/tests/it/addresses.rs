//! What a page's address asks for, as people type it, keep it and send it to others.

use crate::visitor::{Visitor, between};
use crate::world::{Served, World, header};

/// A world with all that pages show: clusters, trackers and a project.
async fn served() -> (World, Served, String) {
    let mut world = World::with_folder().await;
    world.tracked = vec!["cinder", "ember"];
    world.skill("kiln", "pdf", "Fills forms");
    let served = world.serve().await;
    served.json("/api/v1/clusters").await;
    served.json("/api/v1/trackers").await;
    let id = served.json("/api/v1/projects").await["projects"][0]["id"].as_str().unwrap().to_owned();
    (world, served, id)
}

/// The status of a page, and its text.
async fn page(served: &Served, path: &str) -> (u16, String) {
    let answer = served.get(path).header("accept", "text/html").send().await.unwrap();
    assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8", "{path}");
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_word_that_a_page_does_not_know_is_named_and_nothing_is_shown_as_if_it_matched() {
    let (_world, served, id) = served().await;
    let project = format!("/projects/{id}");
    let pages = [
        ("/", vec!["sort"]),
        ("/clusters/tools", vec!["sort", "after"]),
        ("/projects", vec!["show", "status", "from", "sort", "after"]),
        (&*project, vec!["show", "after"]),
        ("/trackers", vec!["state", "since"]),
        ("/cache", vec!["show", "sort", "after"]),
    ];
    for (path, names) in pages {
        for name in names {
            for value in ["nonsense", "-nonsense", "-", "%3Ci%3E", "99999999999999999999"] {
                for part in ["", "&part=list"] {
                    let asked = format!("{path}?{name}={value}{part}");
                    let (status, text) = page(&served, &asked).await;
                    assert_eq!(status, 400, "{asked}");
                    let named = value.replace("%3Ci%3E", "&#60;i&#62;");
                    assert!(text.contains(&named) && !text.contains("<i>"), "{asked}: {text}");
                    let main = between(&text, "<main", "</main>");
                    assert!(!main.contains("octo-org") && !main.contains("pdf"), "{asked}: {main}");
                }
            }
        }
    }
    let (_, text) = page(&served, "/projects?status=nonsense").await;
    let said = "`status` is `outdated`, `modified` or `missing`, not `nonsense`.";
    assert!(text.contains("This address cannot be used") && text.contains(said), "{text}");
}

#[tokio::test]
async fn what_a_form_leaves_empty_is_not_asked_for() {
    let (_world, served, id) = served().await;
    let project = format!("/projects/{id}");
    let pages = [
        ("/?search=&sort=&after=", "3 repositories in 3 clusters"),
        ("/clusters/tools?search=&sort=&after=", "cinder"),
        ("/projects?search=&show=&status=&from=&sort=&after=", "kiln"),
        (&*format!("{project}?show=&after="), "pdf"),
        ("/trackers?repo=&type=&state=&since=&cursor=", "octo-org/ember"),
        ("/cache?search=&show=&sort=&after=", "cluster/tools"),
    ];
    for (path, shows) in pages {
        let (status, text) = page(&served, path).await;
        assert!(status == 200 && text.contains(shows), "{path}: {text}");
    }
}

#[tokio::test]
async fn every_choice_that_a_page_offers_is_one_that_it_knows() {
    let (_world, served, id) = served().await;
    for path in ["/", "/clusters/tools", "/projects", &format!("/projects/{id}"), "/trackers", "/cache"] {
        let (_, text) = page(&served, path).await;
        let links = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let own: Vec<String> =
            links.filter(|link| link.starts_with(&format!("{path}?"))).map(str::to_owned).collect();
        let mut asked: Vec<String> = own.iter().map(|link| link.replace("&#38;", "&")).collect();
        for pick in text.split("<select name=\"").skip(1) {
            let (name, options) = pick.split_once('"').unwrap();
            let options = options.split("</select>").next().unwrap();
            let values = options.split("<option value=\"").skip(1).filter_map(|rest| rest.split('"').next());
            asked.extend(values.map(|value| format!("{path}?{name}={value}")));
        }
        assert!(asked.len() > 2, "{path}: {asked:?}");
        for address in asked {
            assert_eq!(page(&served, &address).await.0, 200, "{address}");
        }
    }
}

#[tokio::test]
async fn a_page_behind_the_end_of_its_list_says_so_and_leads_back() {
    let (_world, served, id) = served().await;
    let project = format!("/projects/{id}");
    let pages = [
        ("/?after=gone&sort=name", "/?sort=name"),
        ("/projects?after=100&sort=-name", "/projects?sort=-name"),
        ("/projects?after=100&search=pdf", "/projects?search=pdf"),
        (&*format!("{project}?after=200"), &*project),
        ("/cache?after=zone%2Fbehind", "/cache"),
    ];
    for (path, first) in pages {
        let (status, text) = page(&served, path).await;
        assert_eq!(status, 200, "{path}");
        assert!(text.contains("Nothing to show here"), "{path}: {text}");
        assert!(
            text.contains(&format!(r#"<a class="button" href="{first}">Back to the first"#)),
            "{path}: {text}"
        );
        for untrue in ["No project was found", "Nothing found", "It has no artifacts", "Nothing is cached"] {
            assert!(!text.contains(untrue), "{path}: {untrue}");
        }
    }
}

#[tokio::test]
async fn a_repository_that_no_tracker_is_kept_of_stands_in_the_filter_that_shows_nothing() {
    let (_world, served, _) = served().await;
    for (query, name) in [("repo=octo-org%2Fnone", "octo-org/none"), ("type=sprint", "sprint")] {
        let (status, text) = page(&served, &format!("/trackers?{query}")).await;
        assert!(status == 200 && text.contains("No repository or type matches these filters"), "{text}");
        assert!(text.contains(&format!(r#"<option value="{name}" selected>"#)), "{text}");
    }
    let all = Visitor::new(&served).page("/trackers?state=all").await;
    assert!(all.contains("octo-org/ember") && all.contains(r#"<option value="" selected>open and closed"#));
}
