//! `larder init`: a commented larder.toml to start from.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::export::check_folder;
use super::manifest::Workflow;
use super::{Context, Ended};
use crate::config::{Config, FILE_NAME, Flags, Trust, is_same, owner_of_origin, read_owner};
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
    let named = args.path.as_deref().or(context.global.config.as_deref());
    let named = named.unwrap_or(FILE_NAME.as_ref());
    let path = context.env.cwd.join(named);
    let text = template(owner.map(String::as_str));
    let workflow = if args.workflow { Some(workflow(&path, &text, context)?) } else { None };
    let is_trusted = write_new(named, &text, "larder init FILE", context)?;
    if let Some(workflow) = &workflow {
        workflow.write()?;
    }
    if context.json() {
        let workflow =
            workflow.as_ref().map(|workflow| json!({"path": workflow.path, "outcome": workflow.outcome()}));
        context.screen.json(&json!({"path": path, "owner": owner, "workflow": workflow}))?;
        return Ok(Exit::Answered);
    }
    let mut said = format!("wrote {}\n", path.display());
    if let Some(workflow) = &workflow {
        said += &workflow.sentence(context);
    }
    if let Some(owner) = &of_origin {
        let from = "whose repository this is a clone of (.git/config)";
        said = format!("{said}its owner is {owner}, {from}\n");
    }
    said += &next_steps(named, &path, owner.map(String::as_str), is_trusted, context);
    context.screen.answer(&said)?;
    Ok(Exit::Answered)
}

/// The workflow of the configuration that applies once the file is written.
fn workflow(path: &Path, text: &str, context: &Context) -> Result<Workflow, Vec<Complaint>> {
    // A file that is named applies and no other; else one of this name that lies here does.
    let is_named = context.global.config.is_some() || context.env.path("LARDER_CONFIG").is_some();
    let applies = Config::applying_file(&context.flags(), &context.env).is_some_and(|file| file == path);
    let will_apply = applies || !is_named && path == context.env.cwd.join(FILE_NAME);
    let config = if will_apply {
        Config::as_if(path, text, &context.flags(), &context.env)?
    } else {
        context.config()?
    };
    Ok(Workflow::plan(&config, false, "run it in one, or leave `--workflow` out", context)?)
}

/// What to do with the file, in commands that find it.
fn next_steps(named: &Path, path: &Path, owner: Option<&str>, is_trusted: bool, context: &Context) -> String {
    let applies = Config::applying_file(&Flags::default(), &context.env);
    let is_found = applies.is_some_and(|found| is_same(&found, path));
    // What is the user's own needs no trust.
    let is_users = is_same(path, &context.env.dirs.config.join(FILE_NAME));
    let is_projects = path == context.env.cwd.join(FILE_NAME) && !is_users;
    let is_strange = is_projects && !is_trusted;
    let larder = if is_found && !is_strange {
        "larder".to_owned()
    } else {
        format!("larder --config {}", named.display())
    };
    let mut said = match owner {
        Some(owner) => format!(
            "`{larder} repos` works right away and lists all of {owner}'s; group them by `[[cluster]]`\n"
        ),
        None => {
            format!("set `owner` in it, or list repositories in a `[[cluster]]`; then run `{larder} repos`\n")
        }
    };
    if is_strange {
        said += "it is not trusted: what it says of hosts, tokens and places counts only where it is named like that\n";
    } else if is_projects {
        said += "it is trusted as it stands; when you have edited it, run `larder config trust`\n";
    }
    said
}

/// Writes a configuration where there is none, for the user's eyes alone: it may hold a token. Who
/// writes it with Larder's own command knows what is in it, so it is trusted; answers whether that could be
/// noted. `elsewhere` says how to name another place.
pub fn write_new(named: &Path, text: &str, elsewhere: &str, context: &Context) -> Result<bool, Complaint> {
    if named == Path::new("-") {
        return Err(Complaint::usage("`-` is no file, and a configuration is not printed")
            .hint(format!("name one: `{elsewhere}`")));
    }
    let path = &context.env.cwd.join(named);
    let failed = |error: std::io::Error| {
        let complaint = Complaint::failed(format!("{} could not be written", path.display()));
        if error.kind() == ErrorKind::AlreadyExists {
            return complaint
                .because("it is there already")
                .hint(format!("edit it, or name another file: `{elsewhere}`"));
        }
        complaint.because(error)
    };
    if path.exists() {
        return Err(failed(ErrorKind::AlreadyExists.into()));
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    check_folder(dir, &path.display().to_string())?;
    // Written beside and then given its name: half of one would apply as well. Such files are their user's alone.
    // Of a file that is not there yet nobody knows the name.
    let unmade = |error: std::io::Error| failed(error.kind().into());
    let mut beside = tempfile::NamedTempFile::new_in(dir).map_err(unmade)?;
    beside.write_all(text.as_bytes()).and_then(|()| beside.as_file().sync_all()).map_err(failed)?;
    beside.persist_noclobber(path).map_err(|error| failed(error.error))?;
    let noted = Trust::load(&context.env).add(path, text);
    if let Err(error) = &noted {
        context.screen.note(&format!("it could not be noted as trusted: {error}"));
    }
    Ok(noted.is_ok())
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
    use crate::config::Environment;

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
