//! The manifest that a colleague pushed, brought by git, whatever the clone's own configuration says.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder_core::{FetchError, Fetched, Source as _, Time, Trigger};
use larder_sources::{MANIFEST, Pull, PullHow, WayIn};

use crate::trackers::{HOUR, Held, manifest, now, release, scene, tracker, with_desk, write_manifest};

fn git(root: &Path, args: &[&str]) {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn what_a_colleague_pushed_comes_by_git_and_leaves_the_working_tree_alone() {
    let scene = scene([]).await;
    let home = tempfile::tempdir().unwrap();
    let (bare, theirs, ours) = (home.path().join("bare"), home.path().join("a"), home.path().join("b"));
    git(home.path(), &["init", "-q", "--bare", "bare"]);
    git(home.path(), &["clone", "-q", bare.to_str().unwrap(), "a"]);
    write_manifest(&theirs, &manifest(&[tracker(1, "Release: v1")], now(&scene)));
    git(&theirs, &["add", "."]);
    git(&theirs, &["commit", "-q", "-m", "one"]);
    git(&theirs, &["push", "-q", "origin", "HEAD:main"]);
    git(&bare, &["symbolic-ref", "HEAD", "refs/heads/main"]);
    git(home.path(), &["clone", "-q", bare.to_str().unwrap(), "b"]);
    // What a repository could have run at a fetch is not run.
    let hook = ours.join(".git/hooks/reference-transaction");
    std::fs::write(&hook, "#!/bin/sh\ntouch \"$(git rev-parse --show-toplevel)/hooked\"\n").unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

    let pull = |how| Some(Pull { every: 5 * Duration::from_mins(1), how });
    let source = with_desk(&scene, &ours, pull(PullHow::Fetch));
    let mut held = Held::nothing("release");
    held.refresh(&scene, &source, Trigger::Read).await;
    assert_eq!(held.trackers().len(), 1);

    scene.clock.advance(HOUR);
    write_manifest(&theirs, &manifest(&[tracker(1, "Release: v1"), tracker(2, "Release: v2")], now(&scene)));
    git(&theirs, &["commit", "-q", "-am", "two"]);
    git(&theirs, &["push", "-q", "origin", "HEAD:main"]);
    let before = std::fs::read_to_string(ours.join(MANIFEST)).unwrap();
    held.refresh(&scene, &source, Trigger::Read).await;
    assert_eq!((held.trackers().len(), held.way().way), (2, WayIn::Manifest));
    assert_eq!(std::fs::read_to_string(ours.join(MANIFEST)).unwrap(), before);
    assert!(!ours.join("hooked").exists());
    assert_eq!(scene.requests(), 0, "GitHub was not asked");

    // The remote is not asked again before its time: the next way is GitHub.
    scene.clock.advance(Duration::from_mins(1));
    held.refresh(&scene, &source, Trigger::Read).await;
    assert_eq!((held.way().way, scene.requests()), (WayIn::Api, 1));

    // Merging moves a clean tree on.
    scene.clock.advance(HOUR);
    write_manifest(&theirs, &manifest(&[tracker(3, "Release: v3")], now(&scene)));
    git(&theirs, &["commit", "-q", "-am", "three"]);
    git(&theirs, &["push", "-q", "origin", "HEAD:main"]);
    held.refresh(&scene, &with_desk(&scene, &ours, pull(PullHow::Merge)), Trigger::Read).await;
    assert_eq!(held.trackers().into_keys().collect::<Vec<_>>(), [3]);
    assert!(std::fs::read_to_string(ours.join(MANIFEST)).unwrap().contains("v3"));
}

/// A clone of a repository with a manifest, and what is committed to it next by `push`.
fn cloned(home: &Path, at: Time) -> (std::path::PathBuf, impl Fn(Time)) {
    let theirs = home.join("theirs");
    git(home, &["init", "-q", "theirs"]);
    let commit = move |at: Time| {
        write_manifest(&theirs, &manifest(&[tracker(1, "Release: v1")], at));
        git(&theirs, &["add", "."]);
        git(&theirs, &["commit", "-q", "-m", "one"]);
    };
    commit(at);
    git(home, &["clone", "-q", "theirs", "ours"]);
    (home.join("ours"), commit)
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_that_a_clone_s_own_configuration_names_is_run() {
    let scene = scene([]).await;
    // It asks for a password.
    let refuse = || async { (axum::http::StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic")], "") };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let locked = format!("http://{}/x", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(refuse)).await });
    for (name, settings) in [
        ("helper", vec![("remote.origin.url", &*locked), ("credential.helper", "!touch $RAN; false")]),
        (
            "helper of an address",
            vec![
                ("remote.origin.url", &*locked),
                ("credential.http://127.0.0.1.helper", "!touch $RAN; false"),
            ],
        ),
        ("upload pack", vec![("remote.origin.uploadpack", "touch $RAN; git-upload-pack")]),
        ("proxy", vec![("remote.origin.url", "git://127.0.0.1/x"), ("core.gitProxy", "$RAN.sh")]),
        ("ext", vec![("remote.origin.url", "ext::touch $RAN"), ("protocol.ext.allow", "always")]),
        ("other program", vec![("remote.origin.vcs", "ext"), ("protocol.ext.allow", "always")]),
        ("alternates", vec![("core.alternateRefsCommand", "touch $RAN; true")]),
        ("ssh", vec![("remote.origin.url", "ssh://127.0.0.1:1/x"), ("core.sshCommand", "touch $RAN; false")]),
        ("monitor", vec![("core.fsmonitor", "touch $RAN; true")]),
        ("filter", vec![("filter.x.smudge", "touch $RAN; cat"), ("filter.x.clean", "touch $RAN; cat")]),
        ("working tree", vec![("core.worktree", "$RAN.d")]),
        (
            "cleaning up",
            vec![
                ("gc.autoPackLimit", "1"),
                ("gc.autoDetach", "false"),
                ("gc.recentObjectsHook", "touch $RAN"),
            ],
        ),
    ] {
        let home = tempfile::tempdir().unwrap();
        let ran = home.path().join("ran");
        let (ours, commit) = cloned(home.path(), now(&scene));
        let (script, tree) = (ran.with_extension("sh"), ran.with_extension("d"));
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(&script, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(ours.join(".git/info/attributes"), "* filter=x\n").unwrap();
        let alternate = format!("{}\n", home.path().join("theirs/.git/objects").display());
        std::fs::write(ours.join(".git/objects/info/alternates"), alternate).unwrap();
        // There is something to clean up: packs, and what nobody has needed for long.
        std::fs::write(home.path().join("old"), "hi\n").unwrap();
        git(&ours, &["hash-object", "-w", "../old"]);
        let old = ours.join(".git/objects/45/b983be36b73c0788dc9cbcb76cbb80fc7bb057");
        std::fs::File::open(old).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH + HOUR).unwrap();
        for message in ["a", "b"] {
            git(&ours, &["branch", "-f", "here"]);
            git(&ours, &["commit", "-q", "--allow-empty", "-m", message]);
            git(&ours, &["repack", "-q"]);
            git(&ours, &["update-ref", "refs/heads/other", "HEAD"]);
            git(&ours, &["reset", "-q", "--hard", "here"]);
        }
        for (key, value) in settings {
            git(&ours, &["config", key, &value.replace("$RAN", ran.to_str().unwrap())]);
        }
        scene.clock.advance(HOUR);
        commit(now(&scene));
        for how in [PullHow::Fetch, PullHow::Merge] {
            let source = with_desk(&scene, &ours, Some(Pull { every: HOUR, how }));
            Held::nothing("release").refresh(&scene, &source, Trigger::Read).await;
        }
        assert!(!ran.exists(), "{name}");
        assert_eq!(std::fs::read_dir(tree).unwrap().count(), 0, "{name}");
    }
}

/// A host that counts who asks, wants a password, and gives everybody a cookie.
async fn stranger() -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let counts = Arc::clone(&asked);
    let answer = move || async move {
        counts.fetch_add(1, Ordering::Relaxed);
        (axum::http::StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic"), ("set-cookie", "a=b")], "")
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    (url, asked)
}

#[tokio::test]
async fn no_clone_s_own_configuration_leads_git_elsewhere() {
    let scene = scene([]).await;
    let (stranger, asked) = stranger().await;
    let instead = format!("url.{stranger}.insteadOf");
    let github = "http://github.example/o/r";
    for (settings, named) in [
        (vec![("remote.origin.url", github), ("http.proxy", &*stranger)], "http.proxy"),
        (vec![("remote.origin.url", github), ("remote.origin.proxy", &*stranger)], "remote.origin.proxy"),
        (
            vec![("remote.origin.url", github), ("include.path", "../more")],
            "http.http://github.example.proxy",
        ),
        (
            vec![("remote.origin.url", github), (&*instead, "http://github.example/")],
            &*instead.to_lowercase(),
        ),
        (
            vec![
                ("remote.origin.url", &*stranger),
                ("http.cookieFile", "$PRECIOUS"),
                ("http.saveCookies", "true"),
            ],
            "http.cookiefile",
        ),
        (vec![("fetch.bundleURI", &*stranger)], "fetch.bundleuri"),
        (vec![("remote.origin.fetch", "+refs/heads/*:refs/heads/*")], "remote.origin.fetch"),
    ] {
        let home = tempfile::tempdir().unwrap();
        let precious = home.path().join("precious");
        std::fs::write(&precious, "mine\n").unwrap();
        let (ours, commit) = cloned(home.path(), now(&scene));
        let more = format!("[http \"http://github.example\"]\n\tproxy = {stranger}\n");
        std::fs::write(ours.join("more"), more).unwrap();
        git(&ours, &["branch", "work"]);
        for (key, value) in settings {
            git(&ours, &["config", key, &value.replace("$PRECIOUS", precious.to_str().unwrap())]);
        }
        scene.clock.advance(HOUR);
        git(&home.path().join("theirs"), &["checkout", "-q", "-B", "work"]);
        commit(now(&scene));
        for how in [PullHow::Fetch, PullHow::Merge] {
            let source = with_desk(&scene, &ours, Some(Pull { every: HOUR, how }));
            let delta = Held::nothing("release").refresh(&scene, &source, Trigger::Read).await;
            let warned = &delta.warnings[0].message;
            assert!(warned.contains(&format!("configuration has `{named}`")), "{warned}");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 0, "{named}");
        assert_eq!(std::fs::read_to_string(precious).unwrap(), "mine\n", "{named}");
    }
}

#[tokio::test]
async fn the_header_by_which_a_build_s_checkout_shows_its_token_is_sent() {
    let scene = scene([]).await;
    let (host, asked) = stranger().await;
    let home = tempfile::tempdir().unwrap();
    let (ours, _) = cloned(home.path(), now(&scene));
    git(&ours, &["config", "remote.origin.url", &host]);
    git(&ours, &["config", &format!("http.{host}.extraHeader"), "AUTHORIZATION: basic eDp5"]);
    let pull = Pull { every: HOUR, how: PullHow::Fetch };
    let source = with_desk(&scene, &ours, Some(pull));
    let delta = Held::nothing("release").refresh(&scene, &source, Trigger::Read).await;
    assert!(delta.warnings[0].message.contains("`git fetch` failed"), "{:?}", delta.warnings);
    assert!(asked.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn a_remote_that_is_gone_is_a_warning() {
    let scene = scene([release(1, "Release: v1")]).await;
    let home = tempfile::tempdir().unwrap();
    git(home.path(), &["init", "-q", "lone"]);
    git(&home.path().join("lone"), &["remote", "add", "origin", "/nowhere/at/all"]);
    let pull = Pull { every: HOUR, how: PullHow::Fetch };
    let source = with_desk(&scene, &home.path().join("lone"), Some(pull));
    let mut held = Held::nothing("release");
    let delta = held.refresh(&scene, &source, Trigger::Read).await;
    assert!(delta.warnings[0].message.contains("`git fetch` failed"), "{:?}", delta.warnings);
    assert_eq!(held.trackers().len(), 1, "by the next way");
    let answer: Result<Fetched, FetchError> = source.fetch(&held.ask(&scene, &source, Trigger::Watch)).await;
    assert!(answer.is_ok());
}
