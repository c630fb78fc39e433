//! What a token may not read of a repository that it sees, in words that a person can act on. GitHub
//! refuses such a field with `FORBIDDEN`; where the field cannot be null, the repository is null with it.

/// A field of a repository that the token may not read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Withheld {
    /// Its name in GitHub's schema.
    field: String,
}

/// What lets issues be read, of a fine-grained token or an app.
pub(super) const ISSUES: &str = "`Issues: read`";
/// What lets files and releases be read.
pub(super) const CONTENTS: &str = "`Contents: read`";

impl Withheld {
    /// A field by its name in GitHub's schema.
    pub(super) fn new(field: &str) -> Self {
        Withheld { field: field.to_owned() }
    }

    /// The count of a repository's issues.
    pub(super) fn issues() -> Self {
        Withheld::new("issues")
    }

    /// What it is to a reader.
    pub fn name(&self) -> String {
        match self.field.as_str() {
            "issues" => "open issues".to_owned(),
            "latestRelease" => "latest release".to_owned(),
            other => format!("`{other}`"),
        }
    }

    /// What somebody must give the token so that it is shown.
    pub fn permission(&self) -> &'static str {
        match self.field.as_str() {
            "issues" => ISSUES,
            "latestRelease" => CONTENTS,
            _ => "the permission to read that",
        }
    }

    /// All that is withheld of one repository, in half a sentence.
    pub fn told(withheld: &[Withheld]) -> String {
        let names: Vec<String> = withheld.iter().map(|one| format!("its {}", one.name())).collect();
        let mut permissions: Vec<&str> = withheld.iter().map(Withheld::permission).collect();
        permissions.dedup();
        let (names, permissions) = (names.join(" and "), permissions.join(" and "));
        format!("{names}, which the token may not read: give it {permissions}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_told_what_is_missing_and_what_to_give() {
        let withheld = ["issues", "latestRelease", "fundingLinks", "codeowners"].map(Withheld::new);
        let one = "its open issues, which the token may not read: give it `Issues: read`";
        assert_eq!(Withheld::told(&withheld[..1]), one);
        let all = "its open issues and its latest release and its `fundingLinks` and its `codeowners`, which \
                   the token may not read: give it `Issues: read` and `Contents: read` and the permission to \
                   read that";
        assert_eq!(Withheld::told(&withheld), all);
    }
}
