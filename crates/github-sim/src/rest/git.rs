//! A repository's files: the list of all of them, and one content at a time, in base64.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::list::value;
use super::{Found, View};
use crate::answer::{Answer, not_found, refusal};
use crate::world::{Repository, blob_id, ids};

impl View {
    /// `repos/{owner}/{name}/git/trees/{of}`, of the default branch, all of it with `recursive`.
    pub(super) fn tree(
        &self,
        repository: &Repository,
        of: &str,
        query: &[(String, String)],
    ) -> Result<Found, Answer> {
        let Some(files) = self.world.files(repository) else {
            return Err(refusal(409, "Git Repository is empty."));
        };
        let api = format!("{}/repos/{}/git", self.base, repository.full_name);
        let names: Vec<String> = files.all().map(|(path, file)| format!("{path}{}", file.oid)).collect();
        let tree_id = blob_id(names.concat().as_bytes());
        // A branch without a name is one that is not there, and `HEAD` leads nowhere.
        if repository.default_branch.is_empty() {
            return Err(not_found());
        }
        if of != "HEAD" && of != repository.default_branch && of != tree_id {
            return Err(not_found());
        }
        let is_deep = value(query, "recursive").is_some();
        let mut folders = BTreeSet::new();
        let mut entries = Vec::new();
        for (path, file) in files.all() {
            for (at, _) in path.match_indices('/') {
                let folder = &path[..at];
                if folders.insert(folder) && (is_deep || !folder.contains('/')) {
                    let sha = blob_id(folder.as_bytes());
                    let url = format!("{api}/trees/{sha}");
                    entries.push(
                        json!({"path": folder, "mode": "040000", "type": "tree", "sha": sha, "url": url}),
                    );
                }
            }
            if is_deep || !path.contains('/') {
                let sha = &file.oid;
                let url = format!("{api}/blobs/{sha}");
                entries.push(json!({"path": path, "mode": "100644", "type": "blob", "sha": sha,
                    "size": file.content.len(), "url": url}));
            }
        }
        let truncated = entries.len() > files.cut_at();
        entries.truncate(files.cut_at());
        Found::now(
            json!({"sha": tree_id, "url": format!("{api}/trees/{tree_id}"), "tree": Value::Array(entries),
            "truncated": truncated}),
        )
    }

    /// `repos/{owner}/{name}/git/blobs/{sha}`.
    pub(super) fn blob(&self, repository: &Repository, sha: &str) -> Result<Found, Answer> {
        let files = self.world.files(repository).ok_or_else(|| refusal(409, "Git Repository is empty."))?;
        let content = &files.blob(sha).ok_or_else(not_found)?.content;
        let url = format!("{}/repos/{}/git/blobs/{sha}", self.base, repository.full_name);
        Found::now(
            json!({"sha": sha, "node_id": ids::node_id("B", ids::number_of(sha)), "size": content.len(),
            "url": url, "content": lines(&ids::base64(content)), "encoding": "base64"}),
        )
    }
}

/// GitHub breaks base64 into lines of sixty.
fn lines(text: &str) -> String {
    let mut broken = String::with_capacity(text.len() + text.len() / 60 + 1);
    for (place, c) in text.chars().enumerate() {
        if place > 0 && place.is_multiple_of(60) {
            broken.push('\n');
        }
        broken.push(c);
    }
    broken.push('\n');
    broken
}
