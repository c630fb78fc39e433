//! What an artifact is known by, and who may see it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use larder_core::Scope;
use larder_domain::Placed;

/// The permission that everything of a project needs: it is this machine's.
pub(super) fn scope() -> Scope {
    Scope::Repo("localhost".into())
}

/// How many characters of six bits tell one artifact of a project from all its others.
const DIGEST_CHARS: usize = 10;

/// An artifact's identity: its project's, and a digest of what it is within it, which its document says
/// in full. (Every index says the identity once more.)
pub(super) fn id_of(placed: &Placed) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [placed.profile.as_str(), placed.kind.word(), placed.name.as_str()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = URL_SAFE_NO_PAD.encode(hasher.finalize().as_bytes());
    format!("{}/{}", placed.project, &digest[..DIGEST_CHARS])
}
