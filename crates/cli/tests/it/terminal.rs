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
