//! Every command explains itself, with an example; mistakes are met with the nearest word.

use crate::world::User;

const COMMANDS: &[&[&str]] = &[
    &["init"],
    &["repos"],
    &["registry"],
    &["show"],
    &["refresh"],
    &["release", "list"],
    &["microsprint", "list"],
    &["tracker", "list"],
    &["tracker", "stats"],
    &["projects"],
    &["projects", "list"],
    &["projects", "show"],
    &["artifacts"],
    &["watch"],
    &["manifest", "generate"],
    &["manifest", "check"],
    &["manifest", "workflow"],
    &["cache", "sync"],
    &["cache", "status"],
    &["cache", "invalidate"],
    &["cache", "clear"],
    &["cache", "replay"],
    &["cache", "verify"],
    &["migrate", "status"],
    &["migrate", "up"],
    &["migrate", "down"],
    &["export"],
    &["import"],
    &["doctor"],
    &["config", "show"],
    &["config", "trust"],
    &["completions"],
    &["serve"],
    &["demo"],
    &["github-sim"],
];

#[test]
fn every_command_has_help_with_an_example_and_takes_json() {
    let user = User::new();
    for command in COMMANDS {
        let help = user.ok(&[command, &["--help"][..]].concat());
        let example = help.out.split_once("Example:\n").and_then(|(_, example)| example.lines().next());
        let own = format!("larder {}", command.join(" "));
        assert!(example.is_some_and(|example| example.contains(&own)), "{command:?}\n{}", help.out);
        assert!(help.out.contains("--json"), "{command:?}");
    }
}

#[test]
fn every_list_can_be_cut_short_and_read_without_the_network() {
    let user = User::new();
    let lists: [&[&str]; 8] = [
        &["repos"],
        &["registry"],
        &["projects"],
        &["projects", "list"],
        &["artifacts"],
        &["release", "list"],
        &["microsprint", "list"],
        &["tracker", "list"],
    ];
    for list in lists {
        let help = user.ok(&[list, &["--help"][..]].concat());
        for option in ["--limit <N>", "--refresh", "--offline", "--json"] {
            assert!(help.out.contains(option), "{list:?} has no {option}\n{}", help.out);
        }
    }
    // What has such artifacts is asked for by the same words.
    for list in ["projects", "artifacts"] {
        let help = user.ok(&[list, "--help"]);
        assert!(
            ["--outdated", "--modified", "--missing"].iter().all(|flag| help.out.contains(flag)),
            "{list}"
        );
    }
}

#[test]
fn help_lists_the_commands_and_the_exit_codes() {
    insta::assert_snapshot!(User::new().ok(&["-h"]).out, @r"
    Keeps a fast, durable, self-refreshing copy of slow things: clusters of GitHub repositories

    Usage: larder [OPTIONS] <COMMAND>

    Commands:
      init         Write a commented larder.toml to start from
      repos        List the repositories of all clusters, each once
      registry     List clusters and single repositories as projects, each cluster merged into one
      projects     List local projects, and how many of their artifacts want a look
      artifacts    List the skills, commands, agents, hooks and MCP servers of local projects
      watch        Print what changes in local projects, as it changes
      show         Show one entry: its data, its age, what is wrong with it
      refresh      Fetch entries anew, and wait for it
      release      Releases that GitHub issues track: list them
      microsprint  Microsprints that GitHub issues track: list them
      tracker      Trackers of any type: list and count them
      manifest     The file that shares a repository's trackers with a team: write it, check it, keep it
                   fresh
      cache        Look at the cache, and change what it holds
      migrate      Look at the schema of the store, bring it up, or take it back
      export       Write the cache to a file that `larder import` reads
      import       Take in a file that `larder export` wrote
      doctor       Find out what is wrong, and what to do about it
      config       Show the configuration in effect, or trust a project's
      completions  Print a script that completes commands in a shell
      serve        Serve pages and an HTTP API on the cache, and refresh what is read
      demo         Show what Larder does: pages on a simulated GitHub, and switches to break it
      github-sim   Run a simulated GitHub on this machine, to try things out
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help (see more with '--help')
      -V, --version  Print version

    Everywhere:
          --config <FILE>  Read this configuration and no other
          --store <URL>    Keep the cache there: a path, `sqlite:PATH`, `redb:PATH` or
                           `postgres://USER@HOST/DATABASE`
          --color <WHEN>   When to use colour; auto also obeys `NO_COLOR` [default: auto] [possible
                           values: auto, always, never]
      -q, --quiet          Say nothing but the answer, errors, and what an untrusted file may not do
          --json           Answer in JSON

    Exit codes: 0 answered; 1 failed; 2 wrong command line or configuration; 3 the old copy was printed
    though a refresh was asked and failed, or part failed; 4 not in the cache, and offline.

    Variables: LARDER_CONFIG names the configuration, LARDER_SECTION__KEY is one of its settings
    (LARDER_GITHUB__OWNER), and LARDER_LOG=info (or warn, debug, larder_engine=trace) logs to standard
    error.

    Start with `larder demo` to see it work, or with `larder init` and `larder repos`.
    ");
    insta::assert_snapshot!(User::new().ok(&["repos", "-h"]).out, @r"
    List the repositories of all clusters, each once

    Usage: larder repos [OPTIONS]

    Options:
          --cluster <ID>    Of this cluster alone; may be given several times
          --language <L>    Written mostly in this language
          --topic <T>       With this topic
          --search <WORDS>  With all these words in name, description or topics, each as the beginning
                            of a word
          --sort <SORT>     In this order [default: updated] [possible values: stars, updated, name]
          --limit <N>       At most so many
          --refresh         Fetch anew first, and wait for it
          --offline         Never use the network
      -h, --help            Print help (see more with '--help')
      -V, --version         Print version

    Everywhere:
          --config <FILE>  Read this configuration and no other
          --store <URL>    Keep the cache there: a path, `sqlite:PATH`, `redb:PATH` or
                           `postgres://USER@HOST/DATABASE`
          --color <WHEN>   When to use colour; auto also obeys `NO_COLOR` [default: auto] [possible
                           values: auto, always, never]
      -q, --quiet          Say nothing but the answer, errors, and what an untrusted file may not do
          --json           Answer in JSON

    Example:
      larder repos --language rust --sort stars --limit 10
      larder repos --json | jq -r '.repositories[].full_name'

    In a pipe, columns are separated by tabs and times are exact.
    ");
}

#[test]
fn mistyped_commands_and_options_get_the_nearest_one() {
    let user = User::new();
    let command = user.run(&["repso"]);
    assert_eq!(command.code, 2);
    assert!(command.err.contains("similar subcommands exist: 'export', 'repos'"), "{}", command.err);
    let option = user.run(&["repos", "--languge", "rust"]);
    assert_eq!(option.code, 2);
    assert!(option.err.contains("'--language'"), "{}", option.err);
}

#[test]
fn completions_are_printed_for_each_shell() {
    let user = User::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = user.ok(&["completions", shell]);
        assert!(script.out.contains("registry"), "{shell}");
    }
}

#[test]
fn the_simulator_says_how_to_use_it_and_serves() {
    use std::io::{BufRead as _, BufReader};
    let user = User::new();
    let mut child =
        user.command(&["github-sim", "--json"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    let user =
        user.var("LARDER_GITHUB__API_URL", said["api_url"].as_str().unwrap()).var("GITHUB_TOKEN", "any");
    user.write("larder.toml", "[[cluster]]\nid = \"c\"\nrepos = [\"octo-org/cinder\"]\n");
    assert_eq!(user.json(&["repos"])["repositories"][0]["full_name"], "octo-org/cinder");
    child.kill().unwrap();
    child.wait().unwrap();
}
