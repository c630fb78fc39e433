//! What a story wants of the machine that runs it, and that not every machine allows.

/// Whether stories are told that want a namespace of their own, for a small disk or for few of what the system
/// has many of. Where that is not allowed they fail, unless whoever runs them leaves them out by
/// `LARDER_TEST_NO_MOUNT=1`: one that passes has been told, or it is said here that it was not.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test's own knob, and how it is turned"
)]
pub fn may_mount() -> bool {
    let is_left_out = std::env::var_os("LARDER_TEST_NO_MOUNT").is_some_and(|set| set == "1");
    if is_left_out {
        eprintln!("left out: LARDER_TEST_NO_MOUNT=1 says that nothing can be mounted here");
    }
    !is_left_out
}

/// What there is to do about a story that is not allowed to.
pub const MOUNT_HINT: &str = "`unshare` and `mount` are not allowed here: let whoever runs this have user \
    namespaces, or leave out what wants them by LARDER_TEST_NO_MOUNT=1";
