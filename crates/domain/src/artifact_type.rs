//! What an artifact is: a skill, a command, an agent, a hook, an MCP server, or a bundle of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an artifact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactType {
    /// A folder with a `SKILL.md`.
    #[default]
    Skill,
    /// A Markdown file that is run by its name.
    Command,
    /// A Markdown file that describes an agent.
    Agent,
    /// Something that runs at an event.
    Hook,
    /// A server of the Model Context Protocol.
    #[serde(alias = "mcp_server")]
    Mcp,
    /// A bundle of the others, as marketplaces offer it. No project has one.
    Plugin,
}

impl ArtifactType {
    /// Those that a project may have, in the order that people see.
    pub const ALL: [ArtifactType; 5] = [
        ArtifactType::Skill,
        ArtifactType::Command,
        ArtifactType::Agent,
        ArtifactType::Hook,
        ArtifactType::Mcp,
    ];

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            ArtifactType::Skill => "skill",
            ArtifactType::Command => "command",
            ArtifactType::Agent => "agent",
            ArtifactType::Hook => "hook",
            ArtifactType::Mcp => "mcp",
            ArtifactType::Plugin => "plugin",
        }
    }

    /// The type of that word, of those that a marketplace may offer too.
    pub fn offered(word: &str) -> Option<Self> {
        if word == ArtifactType::Plugin.word() { Some(ArtifactType::Plugin) } else { word.parse().ok() }
    }

    /// The folder of a profile that holds them.
    pub const fn folder(self) -> &'static str {
        match self {
            ArtifactType::Skill => "skills",
            ArtifactType::Command => "commands",
            ArtifactType::Agent => "agents",
            ArtifactType::Hook => "hooks",
            ArtifactType::Mcp => "mcp",
            ArtifactType::Plugin => "plugins",
        }
    }
}

impl fmt::Display for ArtifactType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for ArtifactType {
    type Err = String;

    /// Reads the word of one that a project may have, `mcp_server` too; the error is the text that was none.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "mcp_server" {
            return Ok(ArtifactType::Mcp);
        }
        let found = ArtifactType::ALL.into_iter().find(|known| known.word() == text);
        found.ok_or_else(|| text.to_owned())
    }
}
