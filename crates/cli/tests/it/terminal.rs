//! Colour and pipes.

use crate::world::{CLUSTERS, GitHub, User};

#[test]
fn a_pipe_gets_no_colour_unless_it_is_asked_for() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    assert!(!user.ok(&["cache", "status"]).out.contains('\u{1b}'));
    let forced = user.run(&["show", "nosuch", "--color", "always"]);
    assert!(forced.err.contains('\u{1b}'), "{:?}", forced.err);
    let never = user.run(&["show", "nosuch", "--color", "never"]);
    assert!(!never.err.contains('\u{1b}'));
    for command in [&["cache", "status"][..], &["repos"], &["config", "show"], &["repos", "--help"], &["-h"]]
    {
        let always = user.ok(&[command, &["--color", "always"]].concat());
        assert!(always.out.contains('\u{1b}'), "{command:?}: {:?}", always.out);
        let plain = user.ok(command);
        assert!(!plain.out.contains('\u{1b}'), "{command:?}: {:?}", plain.out);
    }
    let trackers = ["release", "list", "--repo", "octo-org/harbor", "--color=always"];
    for _ in 0..2 {
        assert!(user.ok(&trackers).out.contains('\u{1b}'), "also one that lies ready");
    }
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos"]);
    let mut child = user
        .command(&["repos", "--json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_others_wrote_cannot_move_the_cursor() {
    let github = GitHub::demo();
    github.world(|world| {
        world.edit("octo-org/cinder", |cinder| {
            cinder.description = Some("nice\u{1b}[2Jtry\r\nagain".to_owned());
        })
    });
    let user = User::of(&github, CLUSTERS);
    let ran = user.ok(&["repos", "--cluster", "cinder"]);
    assert!(!ran.out.contains('\u{1b}') && !ran.out.contains('\r'), "{:?}", ran.out);
    assert_eq!(ran.out.lines().count(), 4);
    user.write("larder.toml", "[git\u{1b}]\n");
    assert!(!user.run(&["repos"]).err.contains('\u{1b}'));
}

#[cfg(unix)]
#[test]
fn a_terminal_gets_aligned_lines_from_a_refresh_and_a_pipe_gets_plain_ones() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS).var("LARDER_GITHUB__TOKEN", "t");
    let shown = user.on_terminal(100, &["refresh", "--all"]);
    assert!(shown.contains("cluster/cinder  updated    3 repositories\n"), "{shown}");
    assert!(shown.contains("cluster/kiln    updated    2 repositories\n"), "{shown}");
    assert!(user.ok(&["refresh", "--all"]).out.contains("cluster/kiln\tupdated\t2 repositories\n"));
}

#[cfg(unix)]
#[test]
fn progress_says_what_is_done_and_what_it_is_about() {
    let github = GitHub::demo();
    github.switch(larder_github_sim::Switches { latency_ms: 400, ..Default::default() });
    let user = User::of(&github, CLUSTERS);
    let first = user.on_terminal(100, &["repos"]);
    assert!(first.contains("fetching 2 clusters for the first time"), "{first:?}");
    assert!(!first.contains("0/0"), "{first:?}");
    let refresh = user.on_terminal(100, &["refresh", "--all"]);
    assert!(refresh.contains("refreshing 0 of 2 clusters"), "{refresh:?}");
}

#[cfg(unix)]
#[test]
fn nothing_is_wrapped_within_a_word_or_wider_than_the_terminal() {
    use unicode_width::UnicodeWidthStr as _;
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos"]);
    let commands: [&[&str]; 8] = [
        &["repos"],
        &["registry"],
        &["show", "kiln"],
        &["refresh", "--all", "--quiet"],
        &["cache", "status"],
        &["config", "show"],
        &["doctor"],
        &["show", "nosuchthing"],
    ];
    for columns in [60, 80, 120] {
        for command in commands {
            let shown = user.on_terminal(columns, command);
            for line in shown.lines() {
                // What has no blank cannot be broken: a path, a snapshot of an address.
                let longest = line.split(' ').map(str::width).max().unwrap_or_default();
                let fits = line.width() <= usize::from(columns) || longest + 20 > usize::from(columns);
                assert!(fits, "{columns} {command:?}: {line}");
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn a_narrow_terminal_gets_lines_that_fit_and_loses_what_says_nothing_first() {
    use unicode_width::UnicodeWidthStr as _;
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.write("code/a-site/.claude/commands/deploy.md", "# Deploys\n");
    user.write("larder.toml", &format!("{CLUSTERS}\n[projects]\nroots = [\"code\"]\n"));
    user.ok(&["config", "trust"]);
    user.ok(&["release", "list", "--repo", "octo-org/harbor"]);
    user.ok(&["refresh", "--all"]);
    for command in [&["cache", "status", "--quiet"][..], &["projects", "--quiet"]] {
        let shown = user.on_terminal(40, command);
        assert!(shown.lines().all(|line| line.width() <= 40), "{command:?}\n{shown}");
        assert!(shown.lines().count() > 1, "{shown}");
    }
    let folder = user.project().canonicalize().unwrap().join("code/a-site");
    let width = u16::try_from(folder.to_str().unwrap().len() + 54).unwrap();
    let shown = user.on_terminal(width, &["projects", "--quiet"]);
    assert!(shown.contains("/root/project/code/a-site\n"), "{shown}");
    assert!(!shown.contains("MISSING"), "{shown}");
}

#[cfg(unix)]
#[test]
fn a_very_long_name_is_cut_and_no_line_is_longer_than_the_terminal() {
    use unicode_width::UnicodeWidthStr as _;
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS).var("LARDER_GITHUB__TOKEN", "t");
    let long = "n".repeat(240);
    user.write(&format!("code/site/.claude/commands/{long}.md"), "# Long\n");
    github.world(|world| {
        world.add(larder_github_sim::Repository::new(&format!("octo-org/{}", &long[..90])));
    });
    let clusters = CLUSTERS.replace("\"cinder-sv\"", &format!("\"{}\"", &long[..90]));
    user.write("larder.toml", &format!("{clusters}\n[projects]\nroots = [\"code\"]\n"));
    user.ok(&["config", "trust"]);
    user.ok(&["refresh", "--all"]);
    let site = user.json(&["cache", "status", "--source", "projects"])["entries"].clone();
    let mut keys = site.as_array().unwrap().iter().map(|entry| entry["key"].as_str().unwrap().to_owned());
    let site = keys.find(|key| !key.contains("roots/")).unwrap();
    for command in
        [&["artifacts"][..], &["projects", "show", "site"], &["show", &site], &["repos"], &["show", "cinder"]]
    {
        let shown = user.on_terminal(80, &[command, &["--quiet"]].concat());
        let table = shown.lines().skip_while(|line| !line.starts_with("NAME"));
        let lines: Vec<&str> = table.take_while(|line| !line.is_empty()).collect();
        assert!(lines.iter().any(|line| line.contains("nnn…")), "{command:?}\n{shown}");
        assert!(lines.iter().all(|line| line.width() <= 80), "{command:?}\n{shown}");
    }
}

#[cfg(unix)]
#[test]
fn a_setting_never_loses_its_value_to_a_long_name() {
    use unicode_width::UnicodeWidthStr as _;
    let user = User::new();
    for columns in [20, 30, 50, 80] {
        let shown = user.on_terminal(columns, &["config", "show", "--quiet"]);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with("SETTING") && lines[0].contains("VALUE"), "{columns}\n{shown}");
        assert!(lines.iter().any(|line| line.contains(" for ever")), "{columns}\n{shown}");
        assert!(lines.iter().all(|line| line.width() <= usize::from(columns)), "{columns}\n{shown}");
    }
}
