//! A marketplace that is a GitHub repository with skills. Unchanged, it costs one conditional call;
//! changed, its list of files and what stands in those that changed alone.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use larder_core::{Absence, Ask, Delta, FetchError, Fetched, Others, Scope, Warning};
use larder_domain::{Artifact, ArtifactType, FrontMatter, MarketIndex, Offer, RepoName, Repository};

use super::memory::{Harvest, Memory, held, id_by_name, id_by_path, path_encoded, scoped, warning};
use super::plan::{Candidate, INDEX, OFFERED_MAX, plan};
use crate::github::{Blob, Errand, GitHub, Single, Tree, TreeFile};

/// Without a token each content is a call of its own, of sixty an hour: so many a fetch.
const READ_ANONYMOUSLY_MAX: usize = 20;
/// And so soon the next ones are asked for.
const READ_ON_AFTER: Duration = Duration::from_hours(1);
/// No file that describes an artifact is longer.
const TEXT_BYTES_MAX: u64 = 256 * 1024;
/// Nor an index.
const INDEX_BYTES_MAX: u64 = 8 << 20;

/// What stands in files, by the names of their contents, of those that were asked for; `None` = no text.
type Contents = HashMap<String, Option<Vec<u8>>>;

/// Reads what a repository offers.
pub(super) async fn fetch(
    github: &GitHub,
    market: &str,
    repo: &RepoName,
    ask: &Ask,
    errand: &Errand,
) -> Result<Fetched, FetchError> {
    let memory = Memory::of(ask);
    let (repository, etag) = match github.repository(repo, memory.etag.as_deref(), errand).await? {
        Single::NotModified => return Ok(Fetched::NotModified { ttl: None, cursor: None }),
        Single::Absent(absence) => return Ok(Fetched::Absent(absence)),
        Single::Here(repository, etag) => (repository, etag),
    };
    let name = RepoName::parse(&repository.full_name, None).map_err(|error| FetchError::Unusable {
        host: github.host().to_owned(),
        detail: error.to_string(),
    })?;
    let scope = if repository.is_private {
        Scope::Repo(format!("{}/{}", github.host(), name.key()).into())
    } else {
        Scope::Public
    };
    match github.tree(&name, memory.tree_etag.as_deref(), errand).await? {
        Tree::Absent(absence) => Ok(Fetched::Absent(absence)),
        Tree::NotModified => same_files(ask, memory, etag, &scope, repository.is_private),
        Tree::Here { files, is_cut, etag: tree_etag } => {
            let visit = Visit { github, market, name, repository: &repository, ask, errand, before: memory };
            let found = match visit.read(files, is_cut).await {
                Ok(found) => found,
                Err(Halt::Absent(absence)) => return Ok(Fetched::Absent(absence)),
                Err(Halt::Failed(error)) => return Err(error),
            };
            let (etag, tree_etag) = if found.is_read { (etag, tree_etag) } else { (None, None) };
            let memory = Memory {
                etag,
                tree_etag,
                is_private: repository.is_private,
                read: found.read,
                ..Memory::default()
            };
            let ttl = (!found.is_read).then(|| READ_ON_AFTER.min(ask.definition.policy.ttl));
            let Found { artifacts, warnings, is_all, .. } = found;
            Harvest { artifacts, scope, is_all, memory, warnings, ttl }.into_fetched(ask)
        }
    }
}

/// Something else of the repository changed: who may see it, perhaps.
fn same_files(
    ask: &Ask,
    before: Memory,
    etag: Option<String>,
    scope: &Scope,
    is_private: bool,
) -> Result<Fetched, FetchError> {
    let upserts = if before.is_private == is_private { Vec::new() } else { scoped(ask, scope)? };
    let memory = Memory { etag, is_private, ..before };
    Ok(Fetched::Delta(Delta {
        upserts,
        others: Others::Stay,
        cursor: serde_json::to_string(&memory).ok(),
        warnings: memory.warnings,
        ..Delta::default()
    }))
}

struct Visit<'a> {
    github: &'a GitHub,
    market: &'a str,
    name: RepoName,
    repository: &'a Repository,
    ask: &'a Ask,
    errand: &'a Errand,
    before: Memory,
}

/// An artifact before its file is read.
struct Draft {
    id: String,
    candidate: Candidate,
    /// The file that must be read to know what it is.
    wants: Option<TreeFile>,
    /// What it said of itself when it was last read.
    front: Option<FrontMatter>,
}

/// What a visit found.
#[derive(Default)]
struct Found {
    artifacts: Vec<(String, Artifact)>,
    warnings: Vec<Warning>,
    /// Which content of which file is known now.
    read: BTreeMap<String, String>,
    /// Whether these are all that there are.
    is_all: bool,
    /// Whether everything was read that is to be read.
    is_read: bool,
}

/// What ends a visit before its time.
enum Halt {
    /// The repository went meanwhile.
    Absent(Absence),
    Failed(FetchError),
}

impl From<FetchError> for Halt {
    fn from(error: FetchError) -> Self {
        Halt::Failed(error)
    }
}

impl Visit<'_> {
    async fn read(&self, files: Vec<TreeFile>, is_cut: bool) -> Result<Found, Halt> {
        let mut found = Found::default();
        let about = self.ask.key.as_str();
        if is_cut {
            let message = "GitHub lists only a part of its files; what lies in the others is not known";
            found.warnings.push(warning(about, "too_many", message.to_owned()));
        }
        let index_file = files.iter().find(|file| file.path == INDEX);
        let index = match index_file {
            None => Ok(MarketIndex::default()),
            Some(file) => self.index(file).await?,
        };
        // Of what cannot be listed or understood now, what was known stays.
        found.is_all = !is_cut && index.is_ok();
        let index = index.unwrap_or_else(|why| {
            found.warnings.push(warning(INDEX, "malformed", format!("`{INDEX}` is left out: {why}")));
            MarketIndex::default()
        });
        found
            .warnings
            .extend(index.problems.iter().map(|(name, why)| warning(name, "malformed", why.clone())));
        let (candidates, missing) = plan(&files, &index, self.name.name());
        found.warnings.extend(missing.iter().map(|path| {
            warning(path, "not_found", format!("`{path}` is named in `{INDEX}` and is not there"))
        }));
        if candidates.len() == OFFERED_MAX {
            let message = format!("it offers {OFFERED_MAX} artifacts or more; no others are listed");
            found.warnings.push(warning(about, "too_many", message));
        }
        if let Some(file) = index_file {
            found.read.insert(file.path.clone(), file.sha.clone());
        }
        let same_index = index_file.is_none_or(|file| self.knows(file));
        let held = held(self.ask);
        let drafts: Vec<Draft> = candidates
            .into_iter()
            .map(|mut candidate| {
                let id = self.id(&candidate);
                let held = held.get(&id).map(|(artifact, _)| artifact);
                if !found.is_all && candidate.plugin.is_none() {
                    candidate.plugin = held.and_then(|held| held.plugin.clone());
                }
                let is_settled = same_index || candidate.kind != ArtifactType::Plugin;
                let is_known = |file: &TreeFile| is_settled && held.is_some() && self.knows(file);
                let wants = candidate.describing.as_ref().filter(|file| !is_known(file)).cloned();
                Draft { front: held.map(|held| held.on_disk().front), id, candidate, wants }
            })
            .collect();
        let contents = self.contents(&drafts).await?;
        let mut waiting = 0;
        for draft in drafts {
            waiting += usize::from(self.take(draft, &contents, &mut found));
        }
        found.is_read = waiting == 0;
        if waiting > 0 {
            let message = format!(
                "{waiting} artifacts are known by name alone until they are read, {READ_ANONYMOUSLY_MAX} an hour; \
                 with a token all are read at once"
            );
            found.warnings.push(warning(about, "needs_token", message));
        }
        Ok(found)
    }

    /// Takes an artifact up, as far as it could be read; answers whether it waits for that.
    fn take(&self, draft: Draft, contents: &Contents, found: &mut Found) -> bool {
        let Draft { id, candidate, wants, front } = draft;
        let mut front = front.unwrap_or_default();
        let mut waits = false;
        match &wants {
            None => {}
            Some(file) if file.bytes > TEXT_BYTES_MAX => {
                let message = format!("`{}` has {} bytes and is not read", file.path, file.bytes);
                found.warnings.push(warning(&file.path, "too_large", message));
            }
            Some(file) => match contents.get(&file.sha) {
                Some(Some(content)) => front = said_by(&candidate, file, content, &mut found.warnings),
                Some(None) => {
                    let message = format!("`{}` is no text", file.path);
                    found.warnings.push(warning(&file.path, "unreadable", message));
                }
                None => waits = true,
            },
        }
        if let Some(file) = candidate.describing.as_ref().filter(|_| !waits) {
            found.read.insert(file.path.clone(), file.sha.clone());
        }
        found.artifacts.push((id, self.artifact(candidate, front)));
        waits
    }

    /// The repository's index; the inner error is a sentence about it.
    async fn index(&self, file: &TreeFile) -> Result<Result<MarketIndex, String>, Halt> {
        if file.bytes > INDEX_BYTES_MAX {
            return Ok(Err(format!("it has {} bytes", file.bytes)));
        }
        match self.github.blob(&self.name, &file.sha, self.errand).await? {
            Blob::Here(content) => Ok(MarketIndex::read(&content)),
            Blob::Gone => Ok(MarketIndex::read(&[])),
            Blob::Absent(absence) => Err(Halt::Absent(absence)),
        }
    }

    /// Whether the content of a file was read before.
    fn knows(&self, file: &TreeFile) -> bool {
        self.before.read.get(&file.path) == Some(&file.sha)
    }

    /// What stands in the files that are wanted. Without a token, in some of them.
    async fn contents(&self, drafts: &[Draft]) -> Result<Contents, Halt> {
        let small = drafts
            .iter()
            .filter_map(|draft| draft.wants.as_ref())
            .filter(|file| file.bytes <= TEXT_BYTES_MAX);
        let mut wanted: Vec<String> = small.map(|file| file.sha.clone()).collect();
        wanted.sort();
        wanted.dedup();
        if self.github.has_token() {
            let mut texts = self.github.texts(&self.name, &wanted, self.errand).await?;
            let text = |sha: String| {
                let text = texts.remove(&sha).map(String::into_bytes);
                (sha, text)
            };
            return Ok(wanted.into_iter().map(text).collect());
        }
        let mut contents = Contents::new();
        for sha in wanted.into_iter().take(READ_ANONYMOUSLY_MAX) {
            match self.github.blob(&self.name, &sha, self.errand).await {
                Ok(Blob::Here(content)) => drop(contents.insert(sha, Some(content))),
                Ok(Blob::Gone) => drop(contents.insert(sha, None)),
                Ok(Blob::Absent(absence)) => return Err(Halt::Absent(absence)),
                // What was read is worth having; the others wait.
                Err(_) if !contents.is_empty() => break,
                Err(error) => return Err(Halt::Failed(error)),
            }
        }
        Ok(contents)
    }

    fn id(&self, candidate: &Candidate) -> String {
        let Candidate { kind, name, path, plugin, .. } = candidate;
        let artifact = Artifact {
            kind: *kind,
            name: name.clone(),
            path: path.clone().unwrap_or_default(),
            plugin: plugin.clone(),
            ..Artifact::default()
        };
        // Several plugins may lie in one folder, each with a name of its own.
        if path.is_none() || *kind == ArtifactType::Plugin {
            id_by_name(self.market, &artifact)
        } else {
            id_by_path(self.market, &artifact)
        }
    }

    /// An artifact by what the index and its own file say, the index first.
    fn artifact(&self, candidate: Candidate, front: FrontMatter) -> Artifact {
        let Candidate { kind, name, path, plugin, said, describing } = candidate;
        let said = said.unwrap_or_default();
        let mut aliases = front.aliases;
        aliases.extend(front.name.filter(|other| *other != name));
        aliases.dedup();
        let is_file = describing.as_ref().is_some_and(|file| Some(&file.path) == path.as_ref());
        let lies = path.as_deref().map(|path| {
            let view = if is_file { "blob" } else { "tree" };
            let page = format!("{}/{view}/HEAD/{}", self.repository.url, path_encoded(path));
            page.trim_end_matches('/').to_owned()
        });
        let offer = Offer {
            name,
            kind,
            plugin,
            description: said.description.or(front.description),
            version: said.version.or(front.version),
            tags: if said.tags.is_empty() { front.tags } else { said.tags },
            license: said.license.or(front.license),
            aliases,
            url: said.url.or(lies).or_else(|| Some(self.repository.url.clone())),
            source: said.source.or_else(|| Some(format!("github:{}", self.repository.full_name))),
            path,
        };
        Artifact::offered(self.market, offer)
    }
}

/// What an artifact's file says of it.
fn said_by(
    candidate: &Candidate,
    file: &TreeFile,
    content: &[u8],
    warnings: &mut Vec<Warning>,
) -> FrontMatter {
    let path = &file.path;
    let (front, problem) = if candidate.kind == ArtifactType::Plugin {
        match Offer::of_manifest(content) {
            Ok(said) => (of_manifest(said), None),
            Err(why) => (FrontMatter::default(), Some(why)),
        }
    } else {
        FrontMatter::read(content)
    };
    warnings.extend(problem.map(|why| warning(path, "malformed", format!("`{path}`: {why}"))));
    front
}

fn of_manifest(said: Offer) -> FrontMatter {
    FrontMatter {
        name: Some(said.name).filter(|name| !name.is_empty()),
        description: said.description,
        version: said.version,
        tags: said.tags,
        license: said.license,
        aliases: said.aliases,
        source: None,
    }
}
