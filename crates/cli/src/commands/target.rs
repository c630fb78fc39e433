//! Which entries a command is about.

use larder_core::{Key, Target};
use larder_sources::TrackersSource;

use super::trackers::named_repos;
use crate::config::nearest;
use crate::report::Complaint;

/// Entries by key, by source, or all.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TargetArgs {
    /// Entries, such as `cluster/tools`, or `tools` for short
    #[arg(value_name = "KEY")]
    pub keys: Vec<String>,
    /// All entries of a source, such as `cluster`
    #[arg(long, value_name = "S", conflicts_with = "keys")]
    pub source: Option<String>,
    /// The trackers of this repository; may be given several times
    #[arg(long, value_name = "OWNER/NAME", conflicts_with = "keys")]
    pub repo: Vec<String>,
    /// All entries
    #[arg(long, conflicts_with_all = ["keys", "source", "repo"])]
    pub all: bool,
}

impl TargetArgs {
    /// The entries meant among those that are configured or held; `None` = none were named. A bare name of a
    /// repository is the owner's.
    pub fn target(&self, known: &[Key], owner: Option<&str>) -> Result<Option<Target>, Complaint> {
        if self.all {
            return Ok(Some(Target::All));
        }
        if !self.repo.is_empty() {
            return self.trackers(known, owner).map(|keys| Some(Target::Keys(keys)));
        }
        if let Some(source) = &self.source {
            check_source(source, known)?;
            return Ok(Some(Target::Source(source.clone())));
        }
        if self.keys.is_empty() {
            return Ok(None);
        }
        let mut keys: Vec<Key> = Vec::with_capacity(self.keys.len());
        for text in &self.keys {
            let key = find_key(text, known)?;
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(Some(Target::Keys(keys)))
    }

    /// The known entries of the named repositories' trackers.
    fn trackers(&self, known: &[Key], owner: Option<&str>) -> Result<Vec<Key>, Complaint> {
        if let Some(source) = self.source.as_deref().filter(|source| *source != TrackersSource::NAME) {
            return Err(Complaint::usage(format!("no entry of `{source}` is of a repository alone"))
                .hint("`--repo` means its trackers: `--source trackers`"));
        }
        let mut all = Vec::new();
        for repo in named_repos(&self.repo, owner)? {
            let is_its =
                |key: &&Key| TrackersSource::repo_of(key).is_some_and(|found| found.key() == repo.key());
            let before = all.len();
            all.extend(known.iter().filter(is_its).cloned());
            if all.len() == before {
                return Err(no_trackers(&format!("{}/{}", repo.owner(), repo.name()), known));
            }
        }
        Ok(all)
    }

    /// As [`target`](TargetArgs::target), where one must be named.
    pub fn named(&self, known: &[Key], owner: Option<&str>) -> Result<Target, Complaint> {
        self.target(known, owner)?.ok_or_else(|| {
            Complaint::usage("nothing was named")
                .hint("name a KEY such as `cluster/tools`, `--source S`, `--repo OWNER/NAME` or `--all`")
        })
    }
}

fn no_trackers(repo: &str, known: &[Key]) -> Complaint {
    let repos: Vec<String> = known
        .iter()
        .filter_map(TrackersSource::repo_of)
        .map(|repo| format!("{}/{}", repo.owner(), repo.name()))
        .collect();
    let complaint = Complaint::usage(format!("no trackers of `{repo}` are kept"));
    match nearest(repo, repos.iter().map(String::as_str)) {
        Some(near) => complaint.hint(format!("did you mean `{near}`?")),
        None => complaint.hint(format!("`larder release list --repo {repo}` fetches some")),
    }
}

/// Whether a target means an entry. Tags are the store's to know.
pub fn is_met(target: &Target, key: &Key) -> bool {
    match target {
        Target::All => true,
        Target::Source(source) => key.source() == source,
        Target::Keys(keys) => keys.contains(key),
        Target::Tag(_) => false,
    }
}

/// What entries of one source are called, one and many; of several sources, entries.
pub fn kinds_of(keys: &[Key]) -> (&'static str, &'static str) {
    let source = keys.first().map_or("cluster", |key| key.source());
    match source {
        _ if keys.iter().any(|key| key.source() != source) => ("entry", "entries"),
        "cluster" => ("cluster", "clusters"),
        "projects" if keys.iter().all(|key| key.name().starts_with("roots/")) => ("root", "roots"),
        "projects" => ("project", "projects"),
        "trackers" => ("list of trackers", "lists of trackers"),
        "marketplace" => ("marketplace", "marketplaces"),
        _ => ("entry", "entries"),
    }
}

/// What so many of these entries are called.
pub fn kind_of(keys: &[Key]) -> &'static str {
    let (one, many) = kinds_of(keys);
    if keys.len() == 1 { one } else { many }
}

/// Whether a text may be the key of a project, in full or without `projects/`: for those, the folder that one
/// stands in is a root.
pub fn may_name_project(text: &str) -> bool {
    text.split_once('/').is_none_or(|(source, _)| matches!(source, "projects" | "roots"))
}

/// The known key that a text names, in full or without `cluster/`.
pub fn find_key(text: &str, known: &[Key]) -> Result<Key, Complaint> {
    let full = if text.contains('/') { text.to_owned() } else { format!("cluster/{text}") };
    if let Some(key) = known.iter().find(|key| key.as_str().eq_ignore_ascii_case(&full)) {
        return Ok(key.clone());
    }
    if let Some(key) =
        known.iter().find(|key| matches!(key.source(), "projects" | "marketplace") && key.name() == text)
    {
        return Ok(key.clone());
    }
    // Likened without what all have in common, which would make everything alike.
    let (source, name) = full.split_once('/').unwrap_or_default();
    let near = nearest(name, known.iter().filter(|key| key.source() == source).map(Key::name))
        .map(|name| format!("{source}/{name}"))
        .or_else(|| {
            text.contains('/').then(|| nearest(text, known.iter().map(Key::as_str)))?.map(str::to_owned)
        });
    let complaint = Complaint::usage(format!("there is no entry `{text}`"));
    Err(match (near, known) {
        (Some(near), _) => complaint.hint(format!("did you mean `{near}`?")),
        (None, []) => complaint.hint("no cluster is configured: `larder init` writes a larder.toml"),
        (None, _) => complaint.hint("`larder cache status` lists all entries"),
    })
}

/// Whether there is such a source.
pub fn check_source(source: &str, known: &[Key]) -> Result<(), Complaint> {
    let sources: std::collections::BTreeSet<&str> =
        known.iter().map(Key::source).chain(["cluster", "marketplace", "projects", "trackers"]).collect();
    if sources.contains(source) {
        return Ok(());
    }
    let complaint = Complaint::usage(format!("there is no source `{source}`"));
    let near = nearest(source, sources.iter().copied());
    let all: Vec<String> = sources.iter().map(|source| format!("`{source}`")).collect();
    Err(complaint.hint(near.map_or_else(
        || format!("the sources are {}", all.join(", ")),
        |near| format!("did you mean `{near}`?"),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<Key> {
        ["cluster/tools", "cluster/cinder"].map(|key| key.parse().unwrap()).to_vec()
    }

    #[test]
    fn a_key_is_found_in_full_or_for_short() {
        for text in ["cluster/tools", "tools", "Tools"] {
            assert_eq!(find_key(text, &known()).unwrap().as_str(), "cluster/tools");
        }
    }

    #[test]
    fn a_mistyped_key_or_source_gets_the_nearest_one() {
        assert_eq!(find_key("tool", &known()).unwrap_err().hints, ["did you mean `cluster/tools`?"]);
        let args = TargetArgs { source: Some("clutser".to_owned()), ..TargetArgs::default() };
        assert_eq!(args.named(&known(), None).unwrap_err().hints, ["did you mean `cluster`?"]);
        assert_eq!(TargetArgs::default().target(&known(), None), Ok(None));
    }

    #[test]
    fn a_repository_means_its_trackers() {
        let known = [
            "cluster/harbor",
            "trackers/octo-org/harbor/release",
            "trackers/octo-org/harbor/microsprint",
            "trackers/octo-org/quill/release",
        ]
        .map(|key| key.parse().unwrap());
        let of = |repo: &[&str], source: Option<&str>| {
            let repo = repo.iter().map(|repo| (*repo).to_owned()).collect();
            TargetArgs { repo, source: source.map(str::to_owned), ..TargetArgs::default() }
                .named(&known, Some("octo-org"))
        };
        let keys = |range: std::ops::Range<usize>| Ok(Target::Keys(known[range].to_vec()));
        assert_eq!(of(&["Octo-Org/Harbor"], Some("trackers")), keys(1..3));
        assert_eq!(of(&["octo-org/harbor", "octo-org/quill"], None), keys(1..4));
        assert_eq!(of(&["octo-org/harbr"], None).unwrap_err().hints, ["did you mean `octo-org/harbor`?"]);
        assert_eq!(of(&["harbor", "Octo-Org/Harbor"], None), keys(1..3), "the owner's, and once");
        assert!(of(&["octo-org/harbor"], Some("cluster")).is_err());
    }
}
