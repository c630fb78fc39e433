//! What those are told of folders on this machine who are not its local user: where they lie from
//! their root, and no whole path. Design, section 8.

use larder_core::{Entry, Failure, Json, Key, Stored, Warning};
use larder_domain::{ARTIFACT, Artifact, LocalProject, PROJECT};

/// The source whose entries are folders on this machine.
pub(crate) const PROJECTS_SOURCE: &str = "projects";

/// The source whose entries are marketplaces, some of them files on this machine.
pub(crate) const MARKETPLACE_SOURCE: &str = "marketplace";

/// Whether an entry is about folders or files on this machine.
pub(crate) fn is_local(key: &Key) -> bool {
    matches!(key.source(), PROJECTS_SOURCE | MARKETPLACE_SOURCE)
}

/// Takes whole paths out of an entry and its items.
pub(crate) fn keep_relative(stored: &mut Stored) {
    row(&mut stored.entry);
    for member in &mut stored.members {
        let told = match &*member.item.of.kind {
            PROJECT => member.item.doc.decode::<LocalProject>().ok().and_then(|project| {
                let path = project.relative_path.clone();
                Json::encode(&LocalProject { path, ..project }).ok()
            }),
            ARTIFACT => member.item.doc.decode::<Artifact>().ok().and_then(|artifact| {
                let source = artifact.source.filter(|source| !is_here(source));
                Json::encode(&Artifact { source, ..artifact }).ok()
            }),
            _ => continue,
        };
        member.item.doc = told.unwrap_or_else(|| Json::from(serde_json::Value::Null));
    }
}

/// Whether what an artifact was deployed from is a place on this machine: a whole path or a `file:` address.
pub(crate) fn is_here(source: &str) -> bool {
    let is_file = source.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"));
    is_file || source.starts_with(['/', '~', '\\']) || source.contains(":\\")
}

/// Takes whole paths out of an entry's row. What it holds itself is where its root and the projects
/// below it lie.
pub(crate) fn row(entry: &mut Entry) {
    entry.body = None;
    for warning in &mut entry.warnings {
        *warning = told(warning);
    }
    entry.last_error = entry.last_error.as_ref().map(|error| failure(&entry.key, error));
}

/// A failure, without whole paths.
pub(crate) fn failure(key: &Key, failure: &Failure) -> Failure {
    if !names_a_place(&failure.message) && !failure.hint.as_deref().is_some_and(names_a_place) {
        return failure.clone();
    }
    Failure { message: format!("`{key}` could not be looked at"), hint: None, ..failure.clone() }
}

/// A warning, without whole paths.
fn told(warning: &Warning) -> Warning {
    let Warning { about, code, message } = warning;
    let about = if about.starts_with('/') {
        about.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default().to_owned()
    } else {
        about.clone()
    };
    let message = if names_a_place(message) {
        match code.as_str() {
            "link_outside" => format!("`{about}` leads outside of all roots, and is not read"),
            "link_broken" => format!("`{about}` leads nowhere"),
            "malformed" => format!("`{about}` cannot be used; what was known from it stays"),
            "unreadable" => format!("`{about}` cannot be read"),
            _ => format!("something is wrong with `{about}`: {code}"),
        }
    } else {
        message.clone()
    };
    Warning { about, code: code.clone(), message }
}

/// Whether a text has a whole path in it, or what may be one: doubt means yes.
fn names_a_place(text: &str) -> bool {
    let mut before = ' ';
    for c in text.chars() {
        if c == '/' && !before.is_alphanumeric() && !matches!(before, '.' | '_' | '-' | '/' | ')' | ']') {
            return true;
        }
        before = c;
    }
    text.contains(":\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_paths_are_told_from_others() {
        for whole in
            ["/home/ann", "the root /home/ann cannot be looked at", "`a` leads to `/etc`", "C:\\Users\\ann"]
        {
            assert!(names_a_place(whole), "{whole}");
        }
        for relative in ["`.claude/skills/pdf` cannot be read", "one or/and another", "no path"] {
            assert!(!names_a_place(relative), "{relative}");
        }
    }

    #[test]
    fn what_is_from_this_machine_is_told_from_what_is_from_elsewhere() {
        for here in
            ["/home/ann/c/skills/one", "~/c", "file:///home/ann", "File:/x", "C:\\c\\one", "\\\\nas\\c"]
        {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in
            ["local", "octo-org/skills/one@v2", "https://github.com/o/r", "git@github.com:o/r", "./one", ""]
        {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn a_warning_keeps_what_it_is_about() {
        let warning = |about: &str, code: &str, message: &str| Warning {
            about: about.to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
        };
        let link =
            warning("kiln/.claude", "link_outside", "`kiln/.claude` leads to /etc, outside of all roots");
        assert_eq!(told(&link).message, "`kiln/.claude` leads outside of all roots, and is not read");
        let collection = warning("/home/ann/c/manifest.toml", "malformed", "/home/ann/c/manifest.toml: no");
        assert_eq!(told(&collection).about, "manifest.toml");
        assert!(!told(&collection).message.contains("home"));
        let plain = warning("a/b", "too_large", "`a/b` has 9 bytes and is not read");
        assert_eq!(told(&plain), plain);
    }
}
