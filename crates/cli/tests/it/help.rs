//! Every command explains itself, with an example; mistakes are met with the nearest word.

use crate::world::User;

const COMMANDS: &[&[&str]] = &[
    &["init"],
    &["repos"],
    &["registry"],
    &["show"],
    &["refresh"],
    &["cache", "status"],
    &["cache", "invalidate"],
    &["cache", "clear"],
    &["cache", "replay"],
    &["cache", "verify"],
    &["doctor"],
    &["config", "show"],
    &["config", "trust"],
    &["completions"],
    &["github-sim"],
];

#[test]
fn every_command_has_help_with_an_example_and_takes_json() {
    let user = User::new();
    for command in COMMANDS {
        let help = user.ok(&[command, &["--help"][..]].concat());
        let example = format!("Example:\n  larder {}", command.join(" "));
        assert!(help.out.contains(&example), "{command:?}\n{}", help.out);
        assert!(help.out.contains("--json"), "{command:?}");
    }
}

#[test]
fn help_lists_the_commands_and_the_exit_codes() {
    insta::assert_snapshot!(User::new().ok(&["-h"]).out, @"");
    insta::assert_snapshot!(User::new().ok(&["repos", "-h"]).out, @"");
}

#[test]
fn mistyped_commands_and_options_get_the_nearest_one() {
    let user = User::new();
    let command = user.run(&["repso"]);
    assert_eq!(command.code, 2);
    assert!(command.err.contains("similar subcommand exists: 'repos'"), "{}", command.err);
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
