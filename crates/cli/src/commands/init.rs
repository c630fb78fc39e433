//! `larder init`: a commented larder.toml to start from.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;

use super::{Context, Ended};
use crate::config::{FILE_NAME, Trust};
use crate::report::{Complaint, Exit};

/// Write a commented larder.toml to start from.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  larder init --owner octo-org && larder repos")]
pub struct Args {
    /// Whose repositories bare names mean, and `unclustered` lists
    #[arg(long, value_name = "LOGIN")]
    owner: Option<String>,
    /// Write there; in the working directory if not said
    #[arg(value_name = "FILE")]
    path: Option<PathBuf>,
}

/// Writes the file, never over another.
pub fn run(args: &Args, context: &Context) -> Ended {
    if let Some(owner) = &args.owner
        && let Err(error) = larder_domain::RepoName::new(owner, "x")
    {
        return Err(Complaint::usage(error.to_string()).into());
    }
    let path = args.path.as_deref().or(context.global.config.as_deref());
    let path = context.env.cwd.join(path.unwrap_or(FILE_NAME.as_ref()));
    let text = template(args.owner.as_deref());
    let failed = |error: std::io::Error| {
        let complaint = Complaint::failed(format!("{} could not be written", path.display()));
        let there = error.kind() == std::io::ErrorKind::AlreadyExists;
        let hint = there.then(|| "edit it, or name another file: `larder init FILE`".to_owned());
        complaint.because(error).hints(hint)
    };
    std::fs::File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
    // Who writes a file with Larder's own command knows what is in it.
    if let Err(error) = Trust::load(&context.env).add(&path, &text) {
        context.screen.note(&format!("it could not be noted as trusted: {error}"));
    }
    if context.json() {
        context.screen.json(&json!({"path": path}))?;
    } else {
        let next = "add your repositories to it, then run `larder repos`";
        context.screen.answer(&format!("wrote {}\n{next}\n", path.display()))?;
    }
    Ok(Exit::Answered)
}

/// The file: everything that can be said, the defaults commented out.
fn template(owner: Option<&str>) -> String {
    let (owner_line, unclustered) = match owner {
        Some(owner) => (format!("owner = \"{owner}\""), "unclustered = true"),
        None => ("# owner = \"octo-org\"".to_owned(), "# unclustered = true"),
    };
    include_str!("init.toml")
        .replace("# owner = \"octo-org\"", &owner_line)
        .replace("# unclustered = true", unclustered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment, Flags};

    #[test]
    fn what_init_writes_can_be_read_also_with_every_comment_taken_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let flags = Flags { config: Some(path.clone()), ..Flags::default() };
        let as_written = template(Some("octo-org"));
        let is_setting = |line: &str| {
            let rest = line.trim_start_matches("# ");
            rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
        };
        let bare: Vec<&str> = as_written
            .lines()
            .map(|line| if is_setting(line) { line.trim_start_matches("# ") } else { line })
            .collect();
        let bare = bare.join("\n").replace("token = \"…\"", "token = \"t\"");
        for text in [as_written.clone(), template(None), bare] {
            std::fs::write(&path, &text).unwrap();
            Config::load(&flags, &Environment::default()).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        }
    }
}
