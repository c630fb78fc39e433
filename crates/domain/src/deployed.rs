//! What was deployed into a project, as `.skillmeat-deployed.toml` records it, and what a project
//! calls itself in `.skillmeat-project.toml`. One bad record hides no other.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use larder_core::Time;
use serde::Deserialize;

use crate::artifact_type::ArtifactType;

/// One record of a deployment. Its `local_modifications` is not read: it cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The artifact's name, without a file's ending.
    pub name: String,
    /// What it is.
    pub kind: ArtifactType,
    /// For which tool.
    pub profile: String,
    /// The profile's folder, from the project's.
    pub profile_root: String,
    /// Where it was put, from the profile's folder; `None` = where its type and name say.
    pub path: Option<String>,
    /// The collection it came from.
    pub collection: Option<String>,
    /// When.
    pub deployed_at: Option<Time>,
    /// The hash of what was put there.
    pub content_hash: Option<String>,
    /// The hash of what the collection had, which older records have alone.
    pub collection_sha: Option<String>,
}

/// A record file, as far as it could be understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Records {
    /// Its records; of two about the same artifact, the later.
    pub records: Vec<Record>,
    /// What is wrong with it, a sentence each.
    pub problems: Vec<String>,
}

/// The tool whose folder is `.claude`.
pub const CLAUDE: &str = "claude_code";
/// The folders that hold artifacts, and the tool that each belongs to.
pub const PROFILES: [(&str, &str); 4] =
    [(".claude", CLAUDE), (".codex", "codex"), (".gemini", "gemini"), (".cursor", "cursor")];

/// Endings that are no part of a name.
const ENDINGS: [&str; 5] = [".md", ".txt", ".json", ".yaml", ".yml"];
/// No project has more.
const RECORDS_MAX: usize = 50_000;

impl Record {
    /// The hash that the deployment is known by.
    pub fn deployed_hash(&self) -> Option<&str> {
        self.content_hash.as_deref().or(self.collection_sha.as_deref())
    }
}

/// A name without the ending of a file.
pub fn bare_name(name: &str) -> &str {
    let without = |ending: &&str| {
        let (bare, end) = name.split_at_checked(name.len().checked_sub(ending.len())?)?;
        (!bare.is_empty() && end.eq_ignore_ascii_case(ending)).then_some(bare)
    };
    ENDINGS.iter().find_map(without).unwrap_or(name)
}

#[derive(Deserialize)]
struct Written {
    artifact_name: String,
    artifact_type: String,
    from_collection: Option<String>,
    deployed_at: Option<toml::Value>,
    artifact_path: Option<String>,
    content_hash: Option<String>,
    collection_sha: Option<String>,
    deployment_profile_id: Option<String>,
    platform: Option<String>,
    profile_root_dir: Option<String>,
}

/// Reads the `.skillmeat-deployed.toml` that lies in `folder`, whose tool a record is about that names none. Times
/// without an offset are meant in `zone`. The error is a sentence: it is not TOML, so nothing in it can be believed.
pub fn read_records(file: &[u8], folder: &str, zone: &TimeZone) -> Result<Records, String> {
    let text = std::str::from_utf8(file).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| not_toml(&error))?;
    let mut found = Records::default();
    let all = match table.remove("deployed") {
        Some(toml::Value::Array(all)) => all,
        Some(_) => return Err("its `deployed` is not a list of tables".to_owned()),
        None => Vec::new(),
    };
    let mut places = std::collections::HashMap::new();
    for (number, value) in all.into_iter().take(RECORDS_MAX).enumerate() {
        match read_record(value, folder, zone) {
            Ok(record) => {
                let identity = (record.name.clone(), record.kind, record.profile.clone());
                if let Some(place) = places.get(&identity).copied() {
                    replace_if_later(&mut found.records, place, record);
                } else {
                    places.insert(identity, found.records.len());
                    found.records.push(record);
                }
            }
            Err(why) => found.problems.push(format!("record {} is left out: {why}", number + 1)),
        }
    }
    Ok(found)
}

fn replace_if_later(records: &mut [Record], place: usize, record: Record) {
    let held: &mut Record = &mut records[place];
    if record.deployed_at >= held.deployed_at {
        *held = record;
    }
}

fn read_record(value: toml::Value, folder: &str, zone: &TimeZone) -> Result<Record, String> {
    let written: Written = value.try_into().map_err(|error: toml::de::Error| one_line(&error))?;
    let kind = written.artifact_type.parse();
    let kind: ArtifactType = kind.map_err(|word| format!("`{word}` is not a type of artifact"))?;
    let name = bare_name(written.artifact_name.trim()).to_owned();
    if name.is_empty() {
        return Err("it has no name".to_owned());
    }
    let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let (id, platform) = (filled(written.deployment_profile_id), filled(written.platform));
    let root = filled(written.profile_root_dir);
    // An id may be a person's own word, where the platform is one that is known.
    let by_words = || [&id, &platform].into_iter().flatten().find_map(|word| folder_of(word));
    let profile_root = root.unwrap_or_else(|| by_words().unwrap_or(folder).to_owned());
    let by_folders = || profile_of(&profile_root).or_else(|| profile_of(folder)).unwrap_or(CLAUDE).to_owned();
    let profile = id.or(platform).unwrap_or_else(by_folders);
    let path = filled(written.artifact_path);
    if !stays_inside(&profile_root) || !path.as_deref().is_none_or(stays_inside) {
        return Err(format!("the path of `{name}` leads out of the project"));
    }
    let hash = |text: Option<String>| filled(text).map(|text| plain_hash(&text).to_owned());
    Ok(Record {
        name,
        kind,
        profile,
        profile_root,
        path,
        collection: filled(written.from_collection),
        deployed_at: written.deployed_at.and_then(|value| read_time(&value, zone)),
        content_hash: hash(written.content_hash),
        collection_sha: hash(written.collection_sha),
    })
}

/// The tool whose folder that is.
fn profile_of(folder: &str) -> Option<&'static str> {
    let folder = folder.trim_end_matches('/');
    PROFILES.iter().find(|(known, _)| *known == folder).map(|(_, profile)| *profile)
}

/// The folder of a tool.
fn folder_of(profile: &str) -> Option<&'static str> {
    PROFILES.iter().find(|(_, known)| *known == profile).map(|(folder, _)| *folder)
}

/// A hash without the name of its kind before it.
pub(crate) fn plain_hash(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix("sha256:").unwrap_or(text)
}

/// Whether a relative path names something below where it starts, whatever links there are.
fn stays_inside(path: &str) -> bool {
    let mut parts = path.split(['/', '\\']);
    !path.starts_with(['/', '\\']) && !path.contains('\0') && parts.all(|part| part != "..")
}

/// A time as people's tools write it: with an offset, or naive and local.
fn read_time(value: &toml::Value, zone: &TimeZone) -> Option<Time> {
    let text = match value {
        toml::Value::String(text) => text.trim().to_owned(),
        toml::Value::Datetime(datetime) => datetime.to_string(),
        _ => return None,
    };
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(Time::from_ms(time.as_millisecond()));
    }
    let naive: DateTime = text.parse().ok()?;
    let zoned = naive.to_zoned(zone.clone()).ok()?;
    Some(Time::from_ms(zoned.timestamp().as_millisecond()))
}

fn not_toml(error: &toml::de::Error) -> String {
    format!("it is not TOML: {}", one_line(error))
}

pub(crate) fn one_line(error: &toml::de::Error) -> String {
    error.message().lines().next().unwrap_or_default().trim().to_owned()
}

/// What a project calls itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProjectFile {
    /// Its name.
    pub name: Option<String>,
    /// When it was made a project.
    pub created_at: Option<Time>,
}

/// Reads `.skillmeat-project.toml`; the error is a sentence. Its `path` is not believed: a project
/// is where it was found.
pub fn read_project_file(file: &[u8], zone: &TimeZone) -> Result<ProjectFile, String> {
    let text = std::str::from_utf8(file).map_err(|_| "it is not UTF-8".to_owned())?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| not_toml(&error))?;
    let project = table.get("project").and_then(toml::Value::as_table);
    let name = project.and_then(|project| project.get("name")).and_then(toml::Value::as_str);
    let created = project.and_then(|project| project.get("created_at"));
    Ok(ProjectFile {
        name: name.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned),
        created_at: created.and_then(|value| read_time(value, zone)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"
[[deployed]]
artifact_name = "prd-writer"
artifact_type = "agent"
from_collection = "default"
deployed_at = "2026-01-09T14:32:10.550083"
artifact_path = "agents/pm/prd-writer.md"
content_hash = "4c1d"
local_modifications = false
deployment_profile_id = "claude_code"
platform = "claude_code"
profile_root_dir = ".claude"
"#;

    fn read(text: &str) -> Records {
        read_records(text.as_bytes(), ".claude", &TimeZone::fixed(jiff::tz::offset(2))).unwrap()
    }

    #[test]
    fn a_record_says_what_was_deployed_where_and_when() {
        let Records { records, problems } = read(RECORD);
        assert_eq!(problems, [""; 0]);
        let record = &records[0];
        assert_eq!((record.name.as_str(), record.kind), ("prd-writer", ArtifactType::Agent));
        assert_eq!(record.path.as_deref(), Some("agents/pm/prd-writer.md"));
        assert_eq!((record.profile.as_str(), record.profile_root.as_str()), (CLAUDE, ".claude"));
        assert_eq!(record.deployed_hash(), Some("4c1d"));
        let at = record.deployed_at.unwrap().to_string();
        assert_eq!(at, "2026-01-09T12:32:10.55Z", "a naive time is local");
    }

    #[test]
    fn an_older_record_has_the_collection_s_hash_alone() {
        let old = "[[deployed]]\nartifact_name = \"a.md\"\nartifact_type = \"mcp_server\"\ncollection_sha = \"sha256:ab\"\n";
        let Records { records, .. } = read(old);
        assert_eq!(records[0].deployed_hash(), Some("ab"));
        assert_eq!((records[0].name.as_str(), records[0].kind), ("a", ArtifactType::Mcp));
        assert_eq!((records[0].profile.as_str(), records[0].profile_root.as_str()), (CLAUDE, ".claude"));
        assert_eq!(records[0].deployed_at, None);
    }

    #[test]
    fn a_record_that_does_not_say_whose_it_is_is_that_of_the_folder_it_lies_in() {
        let bare = "[[deployed]]\nartifact_name = \"pdf\"\nartifact_type = \"skill\"\n";
        for (folder, said, profile, root) in [
            (".codex", "", "codex", ".codex"),
            (".codex", "platform = \"codex\"", "codex", ".codex"),
            (".codex", "deployment_profile_id = \"team\"\nplatform = \"codex\"", "team", ".codex"),
            (".claude", "deployment_profile_id = \"team\"\nplatform = \"codex\"", "team", ".codex"),
            (".cursor", "deployment_profile_id = \"team\"", "team", ".cursor"),
            (".cursor", "deployment_profile_id = \"gemini\"\nplatform = \"codex\"", "gemini", ".gemini"),
            (".claude", "profile_root_dir = \".codex/\"", "codex", ".codex/"),
            (".codex", "profile_root_dir = \".tools\"", "codex", ".tools"),
        ] {
            let text = format!("{bare}{said}\n");
            let Records { records, problems } =
                read_records(text.as_bytes(), folder, &TimeZone::UTC).unwrap();
            assert_eq!(problems, [""; 0]);
            let told = (records[0].profile.as_str(), records[0].profile_root.as_str());
            assert_eq!(told, (profile, root), "{folder} {said}");
        }
    }

    #[test]
    fn one_bad_record_hides_no_other() {
        let bad = "[[deployed]]\nartifact_name = \"x\"\nartifact_type = \"spell\"\n[[deployed]]\nname = 1\n";
        let Records { records, problems } = read(&format!("{bad}{RECORD}"));
        assert_eq!(records.len(), 1);
        assert_eq!(problems.len(), 2);
        assert!(problems[0].contains("`spell` is not a type of artifact"), "{problems:?}");
    }

    #[test]
    fn a_record_cannot_lead_out_of_its_project() {
        for (key, path) in [
            ("artifact_path", "../../../etc/passwd"),
            ("artifact_path", "/etc/passwd"),
            ("artifact_path", "skills\\\\..\\\\..\\\\x"),
            ("profile_root_dir", ".."),
        ] {
            let text = RECORD.lines().filter(|line| !line.starts_with(key)).collect::<Vec<_>>().join("\n");
            let Records { records, problems } = read(&format!("{text}\n{key} = \"{path}\"\n"));
            assert_eq!(records, [], "{path}");
            assert!(problems[0].contains("leads out of the project"), "{problems:?}");
        }
    }

    #[test]
    fn of_two_records_about_one_artifact_the_later_stands() {
        let newer = RECORD.replace("2026-01-09", "2026-02-09").replace("4c1d", "5e");
        for text in [format!("{RECORD}{newer}"), format!("{newer}{RECORD}")] {
            let Records { records, .. } = read(&text);
            assert_eq!(records.iter().map(Record::deployed_hash).collect::<Vec<_>>(), [Some("5e")]);
        }
    }

    #[test]
    fn what_is_not_toml_is_an_error_and_an_empty_file_is_not() {
        let zone = TimeZone::UTC;
        assert!(read_records(b"[[deployed]\n", ".claude", &zone).unwrap_err().starts_with("it is not TOML"));
        assert!(read_records(b"\xff", ".claude", &zone).unwrap_err().contains("UTF-8"));
        assert_eq!(read_records(b"", ".claude", &zone).unwrap(), Records::default());
        let named =
            read_project_file(b"[project]\nname = \"Kiln\"\ncreated_at = 2026-01-01T00:00:00Z\n", &zone);
        assert_eq!(named.unwrap().name.as_deref(), Some("Kiln"));
    }
}
