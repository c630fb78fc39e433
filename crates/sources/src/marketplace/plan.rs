//! What a repository offers, by where its files lie and what its index says: nothing is read here.
//!
//! A skill is any folder with a `SKILL.md`. Commands, agents, hooks and MCP servers lie where a project
//! has them, below a profile's folder, or below a plugin's or the repository's own. A plugin's parts
//! are those that the index names as its own, else those that lie in its folder.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;

use larder_domain::{ArtifactType, MarketIndex, Offer, PROFILES, PluginPlace, bare_name};

use crate::github::TreeFile;
use crate::projects::PRUNED;

/// The index that a repository may have.
pub(super) const INDEX: &str = ".claude-plugin/marketplace.json";
/// A plugin's manifest, from its folder.
const MANIFEST: &str = ".claude-plugin/plugin.json";
/// Nothing lies deeper.
const DEPTH_MAX: usize = 16;
/// No repository offers more.
pub(super) const OFFERED_MAX: usize = 20_000;

/// An artifact that a repository offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) kind: ArtifactType,
    pub(super) name: String,
    /// Where it lies; `None` = elsewhere, or within another file.
    pub(super) path: Option<String>,
    /// The file that says what it is.
    pub(super) describing: Option<TreeFile>,
    /// The plugin that brings it.
    pub(super) plugin: Option<String>,
    /// What the index says of it.
    pub(super) said: Option<Offer>,
}

/// What a repository of that name offers, in the order of types and paths, and the parts that the
/// index names and that are not there.
pub(super) fn plan(files: &[TreeFile], index: &MarketIndex, repo: &str) -> (Vec<Candidate>, Vec<String>) {
    let mut plan = Plan::new(files, index, repo);
    plan.skills();
    plan.by_folders();
    let missing = plan.parts();
    plan.bring();
    plan.plugins();
    let mut found: Vec<Candidate> = plan.found.into_values().chain(plan.said).collect();
    found.truncate(OFFERED_MAX);
    (found, missing)
}

struct Plan<'a> {
    files: BTreeMap<&'a str, &'a TreeFile>,
    index: &'a MarketIndex,
    /// The folders of the plugins that the index lists.
    listed: HashSet<&'a str>,
    repo: &'a str,
    /// Folders that hold commands, agents and the like, and whether each is a profile's.
    roots: HashMap<String, bool>,
    skills: BTreeSet<String>,
    found: BTreeMap<(ArtifactType, String), Candidate>,
    said: Vec<Candidate>,
}

impl<'a> Plan<'a> {
    fn new(files: &'a [TreeFile], index: &'a MarketIndex, repo: &'a str) -> Self {
        let is_pruned = |path: &str| path.split('/').any(|part| PRUNED.contains(&part));
        let is_deep = |path: &str| path.split('/').count() > DEPTH_MAX;
        let is_odd = |path: &str| path.chars().any(char::is_control);
        let kept =
            files.iter().filter(|file| !is_pruned(&file.path) && !is_deep(&file.path) && !is_odd(&file.path));
        let files: BTreeMap<&str, &TreeFile> = kept.map(|file| (file.path.as_str(), file)).collect();
        let mut roots: HashMap<String, bool> =
            PROFILES.iter().map(|(folder, _)| ((*folder).to_owned(), true)).collect();
        roots.insert(String::new(), false);
        let manifests = files.keys().filter_map(|path| path.strip_suffix(MANIFEST));
        let own = manifests.map(|root| root.trim_end_matches('/').to_owned());
        let named = index.places.iter().map(|place| place.root.clone());
        for root in own.chain(named) {
            roots.entry(root).or_insert(false);
        }
        let listed = index.places.iter().map(|place| place.root.as_str()).collect();
        Plan {
            files,
            index,
            listed,
            repo,
            roots,
            skills: BTreeSet::new(),
            found: BTreeMap::new(),
            said: Vec::new(),
        }
    }

    fn skills(&mut self) {
        let is_skill = |path: &&&str| file_name(path).eq_ignore_ascii_case("SKILL.md");
        let all: BTreeMap<&str, &TreeFile> =
            self.files.keys().filter(is_skill).map(|path| (parent(path), self.files[path])).collect();
        for (folder, file) in &all {
            // What lies within a skill is its own; the repository as a whole is one where nothing else is.
            let is_within = ancestors(folder).any(|above| !above.is_empty() && all.contains_key(above));
            if is_within || (folder.is_empty() && all.len() > 1) {
                continue;
            }
            let name = if folder.is_empty() { self.repo } else { file_name(folder) };
            self.skills.insert((*folder).to_owned());
            put(&mut self.found, ArtifactType::Skill, name, folder, Some((*file).clone()));
        }
    }

    fn is_of_a_skill(&self, path: &str) -> bool {
        ancestors(path).any(|above| !above.is_empty() && self.skills.contains(above))
    }

    /// Whatever lies below a folder of its type.
    fn by_folders(&mut self) {
        let files: Vec<&TreeFile> = self.files.values().copied().collect();
        for file in files {
            if self.is_of_a_skill(&file.path) {
                continue;
            }
            let Some((is_profile, root, rest)) = self.root_of(&file.path) else { continue };
            let Some((folder, below)) = rest.split_once('/') else {
                if rest == ".mcp.json" && !is_profile && (!root.is_empty() || self.is_plugin("")) {
                    put(&mut self.found, ArtifactType::Mcp, "mcp", &file.path, None);
                }
                continue;
            };
            match folder {
                "commands" if is_text(below) => self.text(ArtifactType::Command, file),
                "agents" if is_text(below) => self.text(ArtifactType::Agent, file),
                "hooks" | "mcp" if is_profile => {
                    let kind = if folder == "hooks" { ArtifactType::Hook } else { ArtifactType::Mcp };
                    let first = below.split('/').next().unwrap_or(below);
                    let path = format!("{root}/{folder}/{first}");
                    let name = if first.len() == below.len() { bare_name(first) } else { first };
                    put(&mut self.found, kind, name, &path, None);
                }
                "hooks" if below == "hooks.json" => {
                    put(&mut self.found, ArtifactType::Hook, "hooks", &file.path, None);
                }
                _ => {}
            }
        }
    }

    fn text(&mut self, kind: ArtifactType, file: &TreeFile) {
        put(&mut self.found, kind, bare_name(file_name(&file.path)), &file.path, Some(file.clone()));
    }

    /// The deepest root that holds a path, and the path from there.
    fn root_of<'p>(&self, path: &'p str) -> Option<(bool, &'p str, &'p str)> {
        let above = ancestors(path).find(|above| self.roots.contains_key(*above))?;
        let rest = path[above.len()..].trim_start_matches('/');
        Some((self.roots[above], above, rest))
    }

    fn is_plugin(&self, root: &str) -> bool {
        let manifest = if root.is_empty() { MANIFEST.to_owned() } else { format!("{root}/{MANIFEST}") };
        self.files.contains_key(manifest.as_str()) || self.listed.contains(root)
    }

    /// What plugins name as their own; answers what of it is not there.
    fn parts(&mut self) -> Vec<String> {
        let mut missing = Vec::new();
        // A part that several name is the first one's, and is looked for once.
        let mut is_there: HashMap<(ArtifactType, &str), bool> = HashMap::new();
        let index = self.index;
        for place in &index.places {
            for (kind, path) in &place.parts {
                if !*is_there.entry((*kind, path)).or_insert_with(|| self.part(place, *kind, path)) {
                    missing.push(path.clone());
                }
            }
        }
        missing
    }

    fn part(&mut self, place: &PluginPlace, kind: ArtifactType, path: &str) -> bool {
        let (from, to) = below(path);
        if kind != ArtifactType::Skill {
            let own = self.files.get(path).into_iter();
            let within = self.files.range::<str, _>((Bound::Included(&*from), Bound::Excluded(&*to)));
            let named = own.chain(within.map(|(_, file)| file)).copied().filter(|file| is_text(&file.path));
            for file in named.collect::<Vec<&TreeFile>>() {
                self.text(kind, file);
            }
        }
        let mut is_there = false;
        let mut take = |candidate: &mut Candidate| {
            candidate.plugin.get_or_insert_with(|| place.name.clone());
            is_there = true;
        };
        if let Some(own) = self.found.get_mut(&(kind, path.to_owned())) {
            take(own);
        }
        for (_, candidate) in self.found.range_mut((kind, from)..(kind, to)) {
            take(candidate);
        }
        is_there
    }

    /// What lies in a plugin's folder is its own, unless another names it.
    fn bring(&mut self) {
        let own = |place: &&PluginPlace| {
            let names_skills = place.parts.iter().any(|(kind, _)| *kind == ArtifactType::Skill);
            !(place.root.is_empty() && names_skills)
        };
        let mut by_root: HashMap<String, Vec<&str>> = HashMap::new();
        for place in self.index.places.iter().filter(own) {
            by_root.entry(place.root.clone()).or_default().push(&place.name);
        }
        for root in self.roots.keys().filter(|root| self.is_plugin(root)) {
            if !self.listed.contains(root.as_str()) {
                by_root.insert(root.clone(), vec![self.plugin_name(root)]);
            }
        }
        let by_root: HashMap<String, String> = by_root
            .into_iter()
            .filter(|(_, names)| names.len() == 1)
            .map(|(root, names)| (root, names[0].to_owned()))
            .collect();
        for ((_, path), candidate) in &mut self.found {
            let at =
                std::iter::once(path.as_str()).chain(ancestors(path)).find_map(|above| by_root.get(above));
            if candidate.plugin.is_none() {
                candidate.plugin = at.cloned();
            }
            let is_nameless = matches!(candidate.name.as_str(), "hooks" | "mcp");
            if let Some(plugin) = candidate.plugin.clone().filter(|_| is_nameless) {
                candidate.name = plugin;
            }
        }
    }

    fn plugin_name<'n>(&'n self, root: &'n str) -> &'n str {
        if root.is_empty() { self.repo } else { file_name(root) }
    }

    /// The plugins themselves, and what the index says that no file does.
    fn plugins(&mut self) {
        let manifest = |root: &str| {
            let path = if root.is_empty() { MANIFEST.to_owned() } else { format!("{root}/{MANIFEST}") };
            self.files.get(path.as_str()).map(|file| (*file).clone())
        };
        let mut said = Vec::new();
        let here: HashSet<&str> = self.index.places.iter().map(|place| place.name.as_str()).collect();
        let found: HashSet<(ArtifactType, Option<&str>)> =
            self.found.values().map(|one| (one.kind, one.plugin.as_deref())).collect();
        for offer in &self.index.offers {
            let of_here = offer.plugin.as_deref().is_some_and(|plugin| here.contains(plugin));
            let is_found = found.contains(&(offer.kind, offer.plugin.as_deref()));
            let is_of_files =
                matches!(offer.kind, ArtifactType::Skill | ArtifactType::Command | ArtifactType::Agent);
            if of_here && (is_of_files || is_found) {
                continue;
            }
            let root = offer.path.as_deref().filter(|_| offer.kind == ArtifactType::Plugin);
            said.push(Candidate {
                kind: offer.kind,
                name: offer.name.clone(),
                path: offer.path.clone(),
                describing: root.and_then(manifest),
                plugin: offer.plugin.clone(),
                said: Some(offer.clone()),
            });
        }
        for root in self.roots.keys() {
            let is_listed = self.listed.contains(root.as_str());
            if let Some(file) = manifest(root).filter(|_| !is_listed) {
                said.push(Candidate {
                    kind: ArtifactType::Plugin,
                    name: self.plugin_name(root).to_owned(),
                    path: Some(root.clone()),
                    describing: Some(file),
                    plugin: None,
                    said: None,
                });
            }
        }
        said.sort_by(|a, b| (a.kind, &a.path, &a.name).cmp(&(b.kind, &b.path, &b.name)));
        self.said = said;
    }
}

fn put(
    found: &mut BTreeMap<(ArtifactType, String), Candidate>,
    kind: ArtifactType,
    name: &str,
    path: &str,
    describing: Option<TreeFile>,
) {
    let candidate = || Candidate {
        kind,
        name: name.to_owned(),
        path: Some(path.to_owned()),
        describing,
        plugin: None,
        said: None,
    };
    found.entry((kind, path.to_owned())).or_insert_with(candidate);
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Where the paths below a folder begin in their order, and what comes behind them.
fn below(folder: &str) -> (String, String) {
    // `0` is the character behind `/`. Below the repository itself is everything.
    if folder.is_empty() {
        return (String::new(), char::MAX.to_string());
    }
    (format!("{folder}/"), format!("{folder}0"))
}

/// The folders above a path, the deepest first and the repository's own last.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path).filter(|path| !path.is_empty()).map(parent), |above| {
        (!above.is_empty()).then(|| parent(above))
    })
}

/// A Markdown file that is not one about the others.
fn is_text(path: &str) -> bool {
    let name = file_name(path);
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| ending.eq_ignore_ascii_case("md")) && !name.eq_ignore_ascii_case("readme.md")
}

#[cfg(test)]
mod tests;
