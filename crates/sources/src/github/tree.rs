//! What lies in a repository: the list of its files by one conditional call, and what stands in some
//! of them: with a token many in one query, without one a call each.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use larder_core::{Absence, FetchError};
use larder_domain::RepoName;
use serde::Deserialize;
use serde_json::Value;

use super::answer::Envelope;
use super::call::Errand;
use super::rest::{Nothing, etag_of};
use super::{GitHub, query, rights};

/// Contents in one query. Each is of 256 KiB at the most, so that an answer stays within its limit.
const BATCH: usize = 40;
/// The length of an object's name, in hexadecimal: SHA-1's, or SHA-256's.
const OID_CHARS: [usize; 2] = [40, 64];

/// A file of a repository's default branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Where it is, with `/` between.
    pub path: String,
    /// The name of its content.
    pub sha: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The answer about a repository's files.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// What there is.
    Here {
        /// The files; links and other repositories within it are left out.
        files: Vec<TreeFile>,
        /// Whether GitHub left some out, since there are too many.
        is_cut: bool,
        /// The answer's entity tag.
        etag: Option<String>,
    },
    /// They are as they were.
    NotModified,
    /// The repository is not there, or not for us.
    Absent(Absence),
}

/// The answer about one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blob {
    /// What stands in it.
    Here(Vec<u8>),
    /// It is not there any more.
    Gone,
    /// The whole repository is not there any more, or not for us.
    Absent(Absence),
}

#[derive(Deserialize)]
struct TreeNode {
    tree: Vec<EntryNode>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
struct EntryNode {
    path: String,
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    sha: String,
    size: Option<u64>,
}

#[derive(Deserialize)]
struct BlobNode {
    content: String,
    encoding: String,
}

impl GitHub {
    /// The files of the default branch of a repository that is there, by one call.
    pub async fn tree(
        &self,
        repo: &RepoName,
        etag: Option<&str>,
        errand: &Errand,
    ) -> Result<Tree, FetchError> {
        let path = format!("/repos/{}/{}/git/trees/HEAD?recursive=1", repo.owner(), repo.name());
        match self.get(&path, etag, errand).await? {
            None => Ok(Tree::NotModified),
            // It says so of one that nobody pushed to yet.
            Some(Err(Nothing::Empty)) => Ok(Tree::Here { files: Vec::new(), is_cut: false, etag: None }),
            Some(Err(Nothing::Blocked)) => Ok(Tree::Absent(self.absence(repo, Nothing::Blocked))),
            // It was there a moment ago. If it really went, the next look says so.
            Some(Err(Nothing::NotThere | Nothing::Gone)) => {
                Err(self.unusable(format!("`{repo}` has no files where its default branch should be")))
            }
            Some(Ok(good)) => {
                let node: TreeNode = self.read(&good.body, &path)?;
                let is_file = |entry: &EntryNode| entry.kind == "blob" && entry.mode.starts_with("100");
                let files = node.tree.into_iter().filter(is_file).map(|entry| TreeFile {
                    path: entry.path,
                    sha: entry.sha,
                    bytes: entry.size.unwrap_or_default(),
                });
                Ok(Tree::Here {
                    files: files.collect(),
                    is_cut: node.truncated,
                    etag: etag_of(&good.headers),
                })
            }
        }
    }

    /// What stands in files, by the names of their contents. What is no text, or was cut off, is not
    /// among the answers. Needs a token.
    pub async fn texts(
        &self,
        repo: &RepoName,
        oids: &[String],
        errand: &Errand,
    ) -> Result<HashMap<String, String>, FetchError> {
        let mut texts = HashMap::with_capacity(oids.len());
        let mut rest: Vec<&String> = oids.iter().filter(|oid| is_oid(oid)).collect();
        let mut size = BATCH;
        while !rest.is_empty() {
            let batch = &rest[..size.min(rest.len())];
            let query = query::texts(repo, batch, self.viewer().await?);
            match self.graphql(&query, errand).await.and_then(|envelope| self.read_texts(envelope, batch)) {
                Err(error) if size > 1 && self.may_halve(&error, errand) => size = size.div_ceil(2),
                Err(error) => return Err(error),
                Ok(read) => {
                    texts.extend(read);
                    rest = rest.split_off(batch.len());
                }
            }
        }
        Ok(texts)
    }

    fn read_texts(
        &self,
        mut envelope: Envelope,
        oids: &[&String],
    ) -> Result<Vec<(String, String)>, FetchError> {
        let field = envelope.data.as_mut().and_then(|data| data.remove("repository")).unwrap_or_default();
        if let Some(problem) = envelope.problems().first() {
            return Err(self.part_left_out(problem, rights::CONTENTS));
        }
        let Value::Object(mut fields) = field else {
            return Err(self.unusable("files of no repository".to_owned()));
        };
        let mut text = |place: usize| {
            let blob = fields.remove(&format!("f{place}"))?;
            if blob["isTruncated"] == true {
                return None;
            }
            Some((oids[place].clone(), blob["text"].as_str()?.to_owned()))
        };
        Ok((0..oids.len()).filter_map(&mut text).collect())
    }

    /// What stands in one file, by the name of its content.
    pub async fn blob(&self, repo: &RepoName, oid: &str, errand: &Errand) -> Result<Blob, FetchError> {
        if !is_oid(oid) {
            return Ok(Blob::Gone);
        }
        let path = format!("/repos/{}/{}/git/blobs/{oid}", repo.owner(), repo.name());
        let good = match self.get_whole(self.rest_url(&path)?, errand).await? {
            Ok(good) => good,
            Err(Nothing::Blocked) => return Ok(Blob::Absent(self.absence(repo, Nothing::Blocked))),
            Err(Nothing::NotThere | Nothing::Gone | Nothing::Empty) => return Ok(Blob::Gone),
        };
        let node: BlobNode = self.read(&good.body, &path)?;
        if node.encoding != "base64" {
            return Err(self.unusable(format!("{path}: a content in `{}`", node.encoding)));
        }
        let plain: String = node.content.split_ascii_whitespace().collect();
        let content = STANDARD.decode(plain).map_err(|error| self.unusable(format!("{path}: {error}")))?;
        Ok(Blob::Here(content))
    }
}

/// Whether a text names an object, and nothing else of an address or a query.
fn is_oid(text: &str) -> bool {
    OID_CHARS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
