//! `larder init`: a commented larder.toml to start from.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Context, Ended, manifest};
use crate::config::{FILE_NAME, Trust, owner_of_origin, read_owner};
use crate::report::{Complaint, Exit};

/// Write a commented larder.toml to start from.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  larder init --owner octo-org && larder repos")]
pub struct Args {
    /// Whose repositories bare names mean, and `unclustered` lists; in a clone from GitHub, its
    /// origin's if not said
    #[arg(long, value_name = "LOGIN")]
    owner: Option<String>,
    /// Write the Actions workflow that shares trackers with a team too
    #[arg(long)]
    workflow: bool,
    /// Write there; in the working directory if not said
    #[arg(value_name = "FILE")]
    path: Option<PathBuf>,
}

/// Writes the file, never over another.
pub fn run(args: &Args, context: &Context) -> Ended {
    if let Some(owner) = &args.owner {
        read_owner(owner).map_err(Complaint::usage)?;
    }
    let of_origin = if args.owner.is_none() { owner_of_origin(&context.env.cwd) } else { None };
    let owner = args.owner.as_ref().or(of_origin.as_ref());
    let path = args.path.as_deref().or(context.global.config.as_deref());
    let path = context.env.cwd.join(path.unwrap_or(FILE_NAME.as_ref()));
    write_new(&path, &template(owner.map(String::as_str)), "larder init FILE", context)?;
    if args.workflow {
        let config = context.config()?;
        let types = &config.trackers.types;
        manifest::write_workflow(
            &manifest::workflow_path(&config)?,
            &manifest::workflow_text(types),
            false,
            context,
        )?;
    }
    if context.json() {
        context.screen.json(&json!({"path": path, "owner": owner}))?;
        return Ok(Exit::Answered);
    }
    let mut said = format!("wrote {}\n", path.display());
    if let Some(owner) = &of_origin {
        let from = "whose repository this is a clone of (.git/config)";
        said = format!("{said}its owner is {owner}, {from}\n");
    }
    said += &owner.map_or_else(
        || "set `owner` in it, or list repositories in a `[[cluster]]`; then run `larder repos`\n".to_owned(),
        |owner| {
            format!(
                "`larder repos` works right away and lists all of {owner}'s; group them by `[[cluster]]`\n"
            )
        },
    );
    if path == context.env.cwd.join(FILE_NAME) {
        said += "it is trusted as it stands; when you have edited it, run `larder config trust`\n";
    }
    context.screen.answer(&said)?;
    Ok(Exit::Answered)
}

/// Writes a configuration where there is none, for the user's eyes alone: it may hold a token. Who
/// writes it with Larder's own command knows what is in it, so it is trusted. `elsewhere` says how to
/// name another place.
pub fn write_new(path: &Path, text: &str, elsewhere: &str, context: &Context) -> Result<(), Complaint> {
    let failed = |error: std::io::Error| {
        let complaint = Complaint::failed(format!("{} could not be written", path.display()));
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return complaint
                .because("it is there already")
                .hint(format!("edit it, or name another file: `{elsewhere}`"));
        }
        complaint.because(error)
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
    if let Err(error) = Trust::load(&context.env).add(path, text) {
        context.screen.note(&format!("it could not be noted as trusted: {error}"));
    }
    Ok(())
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

    /// Somebody with a home folder, and nothing set.
    fn at_home() -> Environment {
        let vars = [("HOME".to_owned(), "/home/somebody".to_owned())].into();
        Environment { vars, ..Environment::default() }
    }

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
            Config::load(&flags, &at_home()).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        }
    }
}
