//! What is held of a project when it is looked at.

use std::collections::HashMap;

use larder_core::{Json, Member};
use larder_domain::{ARTIFACT, Artifact, PROJECT};

/// The artifacts as held.
pub(super) struct Held {
    pub(super) artifacts: HashMap<String, (Artifact, Json)>,
    pub(super) project: Option<Json>,
}

impl Held {
    pub(super) fn of(members: &[Member]) -> Self {
        let mut held = Held { artifacts: HashMap::with_capacity(members.len()), project: None };
        for member in members {
            let of = &member.item.of;
            match &*of.kind {
                ARTIFACT => {
                    let Ok(artifact) = member.item.doc.decode::<Artifact>() else { continue };
                    held.artifacts.insert(of.id.to_string(), (artifact, member.item.doc.clone()));
                }
                PROJECT => held.project = Some(member.item.doc.clone()),
                _ => {}
            }
        }
        held
    }

    /// The artifact at a path.
    pub(super) fn at(&self, path: &str) -> Option<&Artifact> {
        self.artifacts.values().map(|(artifact, _)| artifact).find(|artifact| artifact.path == path)
    }
}
