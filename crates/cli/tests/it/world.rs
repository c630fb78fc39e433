//! A user with a home and a project, a GitHub, and the binary between them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use larder_github_sim::{LoggedRequest, Options, Simulator, Switches, Token, World};
use serde_json::Value;

/// A simulator on a thread of its own, stopped with it.
pub(crate) struct GitHub {
    simulator: Arc<Simulator>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl GitHub {
    /// The demo's world, where any token is octocat's.
    pub(crate) fn demo() -> Self {
        let mut world = World::demo();
        world.accept_any_token(Token::of("octocat").seeing_everything());
        GitHub::start(world)
    }

    pub(crate) fn start(world: World) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (sender, started) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let simulator = Simulator::start(world, Options::default()).await.unwrap();
                sender.send(Arc::new(simulator)).unwrap();
                let _ = stopped.await;
            });
        });
        GitHub { simulator: started.recv().unwrap(), _stop: stop }
    }

    pub(crate) fn url(&self) -> &str {
        self.simulator.url()
    }

    pub(crate) fn switch(&self, switches: Switches) {
        self.simulator.switch(switches);
    }

    pub(crate) fn requests(&self) -> Vec<LoggedRequest> {
        self.simulator.requests()
    }

    pub(crate) fn take_requests(&self) -> Vec<LoggedRequest> {
        self.simulator.take_requests()
    }

    pub(crate) fn world<R>(&self, change: impl FnOnce(&mut World) -> R) -> R {
        self.simulator.world(change)
    }
}

/// A user with a home, standing in a project.
pub(crate) struct User {
    dir: tempfile::TempDir,
    vars: Vec<(String, String)>,
    /// What larder is started by, if by anything.
    starter: Vec<String>,
}

/// What a run came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Two clusters of the demo's organisation: one is well, one asks for what is renamed and gone.
pub(crate) const CLUSTERS: &str = r#"
[github]
owner = "octo-org"

[[cluster]]
id = "cinder"
name = "Cinder"
repos = ["cinder", "cinder-sv", "cinder-mcp"]
featured = true

[[cluster]]
id = "kiln"
repos = ["forge", "nothere", "cinder"]
"#;

impl User {
    /// A user with nothing.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("project")).unwrap();
        std::fs::create_dir_all(dir.path().join("home")).unwrap();
        User { dir, vars: Vec::new(), starter: Vec::new() }
    }

    /// A user of this GitHub with a token, in a project with these clusters.
    pub(crate) fn of(github: &GitHub, config: &str) -> Self {
        let user = User::new().var("LARDER_GITHUB__API_URL", github.url()).var("GITHUB_TOKEN", "t0ken");
        user.write("larder.toml", config);
        user
    }

    #[must_use]
    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.retain(|(known, _)| known != name);
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.vars.retain(|(known, _)| known != name);
        self
    }

    /// Starts larder by another program, which is given its path and arguments.
    #[must_use]
    pub(crate) fn started_by(mut self, starter: &[&str]) -> Self {
        self.starter = starter.iter().map(|&part| part.to_owned()).collect();
        self
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.project().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let larder = env!("CARGO_BIN_EXE_larder");
        let mut command = Command::new(self.starter.first().map_or(larder, String::as_str));
        if !self.starter.is_empty() {
            command.args(&self.starter[1..]).arg(larder);
        }
        let bin = self.dir.path().join("bin");
        command
            .args(args)
            .current_dir(self.project())
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", bin)
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// A script of the user's, in the project, with larder on its path.
    pub(crate) fn bash(&self, script: &str) -> Command {
        let larder = Path::new(env!("CARGO_BIN_EXE_larder")).parent().unwrap();
        let mut command = Command::new("bash");
        command
            .args(["-e", "-c", script])
            .current_dir(self.project())
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", larder.display()))
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs larder.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&self.command(args).output().unwrap(), self)
    }

    /// Runs larder on a terminal of so many columns; what a person would have seen, as it came.
    #[cfg(unix)]
    pub(crate) fn on_terminal(&self, columns: u16, args: &[&str]) -> String {
        use std::io::Read as _;
        let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
        let ours = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&ours).unwrap();
        rustix::pty::unlockpt(&ours).unwrap();
        let size = rustix::termios::Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&ours, size).unwrap();
        let name = rustix::pty::ptsname(&ours, Vec::new()).unwrap();
        let theirs = std::fs::OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let mut command = self.command(args);
        command.stdout(theirs.try_clone().unwrap()).stderr(theirs).env("TERM", "xterm");
        let mut child = command.env("NO_COLOR", "1").spawn().unwrap();
        drop(command);
        let (mut ours, mut bytes) = (std::fs::File::from(ours), Vec::new());
        // The end of a terminal that its last user closed is an error on Linux.
        let _ = ours.read_to_end(&mut bytes);
        child.wait().unwrap();
        let text = String::from_utf8(bytes).unwrap().replace("\r\n", "\n");
        let root = self.dir.path().canonicalize().unwrap();
        text.replace(&*root.to_string_lossy(), "/root")
    }

    /// Runs larder, which must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}\n{}\n{}", ran.out, ran.err);
        ran
    }

    /// Runs larder, which must succeed, for JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        self.ok(&[args, &["--json"]].concat()).json()
    }

    /// Puts a program on the user's path.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let bin = self.dir.path().join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let path = bin.join(name);
        std::fs::write(&path, script).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    /// Waits for the child that refreshes behind, if there is one: it holds a lock while it lives.
    pub(crate) fn wait_for_child(&self) {
        let dir = self.home().join(".local/state/larder/behind");
        for entry in std::fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ext| ext == "lock") {
                std::fs::File::open(path).unwrap().lock().unwrap();
            }
        }
    }

    /// The state that `cache status` tells of an entry.
    pub(crate) fn status(&self, key: &str) -> Value {
        let entries = self.json(&["cache", "status"])["entries"].clone();
        let found = entries.as_array().unwrap().iter().find(|entry| entry["key"] == key).cloned();
        found.unwrap_or_else(|| panic!("no entry {key}"))
    }
}

impl Ran {
    pub(crate) fn of(output: &Output, user: &User) -> Self {
        let text = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let root = user.dir.path().canonicalize().unwrap();
            text.replace(&*root.to_string_lossy(), "/root")
        };
        Ran { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// Exit code, standard output and standard error as one text, times and ports taken out.
    pub(crate) fn all(&self) -> String {
        let text = format!("exit {}\n--- out\n{}--- err\n{}", self.code, self.out, self.err);
        steady(&text)
    }
}

/// A text without what differs from run to run: ports and ages.
fn steady(text: &str) -> String {
    let text = without(text, "127.0.0.1:", "PORT", |c| !c.is_ascii_digit());
    without(&text, "the copy from ", "THEN", |c| c == 'w')
}

/// What stands behind each `mark`, up to a character, replaced by a word.
fn without(text: &str, mark: &str, word: &str, ends: impl Fn(char) -> bool) -> String {
    let mut parts = text.split(mark);
    let mut steady = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        steady.push_str(mark);
        steady.push_str(word);
        steady.push_str(&part[part.find(&ends).unwrap_or(part.len())..]);
    }
    steady
}

/// Whether a file below a directory holds a text.
pub(crate) fn is_anywhere(dir: &Path, needle: &str) -> bool {
    std::fs::read_dir(dir).into_iter().flatten().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_anywhere(&path, needle);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
    })
}
