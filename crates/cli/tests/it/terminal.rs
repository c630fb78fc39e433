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
