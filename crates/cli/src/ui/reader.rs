//! Noticing that nobody reads the answers any more, also while there is nothing to print.

/// Waits until the other end of standard output is closed. Of what has no other end, such as a file, it
/// never is.
#[cfg(unix)]
pub async fn reader_gone() {
    let (tell, told) = tokio::sync::oneshot::channel();
    // It ends with the process, if not before.
    std::thread::spawn(move || {
        if waits_for_the_end() {
            // Nobody listens any more where the process is ending.
            let _ = tell.send(());
        }
    });
    if told.await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Elsewhere it is noticed when something is printed.
#[cfg(not(unix))]
pub async fn reader_gone() {
    std::future::pending().await
}

/// `false` = the system cannot tell.
#[cfg(unix)]
fn waits_for_the_end() -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let out = std::io::stdout();
    // That the other end is closed is told to whoever asks for nothing.
    let mut asked = [PollFd::new(&out, PollFlags::empty())];
    loop {
        match poll(&mut asked, None) {
            Ok(_) => return asked[0].revents().intersects(PollFlags::ERR | PollFlags::HUP),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
