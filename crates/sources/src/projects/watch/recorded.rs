//! What records name in places where artifacts are not looked for: under a profile's folder that is none of those
//! that are known, or beside the folders of the types.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use larder_domain::{PROFILES, read_records};

use super::super::RECORDS_FILE;
use super::super::reach::{Reach, would_be};
use super::super::said::{expected_path, said};
use super::extent::is_looked_at;

/// No more places of one file are listened for: nobody has as many.
const PLACES_MAX: usize = 1_000;

/// A file that records what was deployed into a project.
#[derive(Debug, Clone)]
pub(super) struct RecordFile {
    project: PathBuf,
    /// The profile's folder.
    root: &'static str,
    /// What may be read.
    reach: Reach,
    /// Where the file really is, or would be.
    pub(super) real: PathBuf,
    /// The places that it names, from the project's folder.
    pub(super) places: Vec<String>,
}

impl RecordFile {
    /// Those that a project may have, read if they are there.
    pub(super) fn all(project: &Path, reach: &Reach) -> impl Iterator<Item = RecordFile> {
        PROFILES.into_iter().filter_map(move |(root, _)| {
            let real = would_be(&project.join(root).join(RECORDS_FILE))?;
            let (project, reach) = (project.to_owned(), reach.clone());
            let file = RecordFile { project, root, reach, real, places: Vec::new() };
            Some(RecordFile { places: file.read().unwrap_or_default(), ..file })
        })
    }

    /// Whether it names other places by now. One that cannot be read names what it did.
    pub(super) fn is_another(&self) -> bool {
        self.read().is_some_and(|places| places != self.places)
    }

    fn read(&self) -> Option<Vec<String>> {
        let about = format!("{}/{RECORDS_FILE}", self.root);
        let Some(file) = said(&self.project, &about, &self.reach) else { return Some(Vec::new()) };
        // Nobody asks when.
        let found = read_records(&file.ok()?, self.root, &TimeZone::UTC).ok()?;
        let mut places: Vec<String> = found.records.iter().map(expected_path).collect();
        places.retain(|place| is_elsewhere(place));
        places.sort();
        places.dedup();
        places.truncate(PLACES_MAX);
        Some(places)
    }
}

/// Whether artifacts are not looked for at a place of a project anyway: in its own profiles. One of a folder below it
/// may be pruned, or too deep, or belong to another project besides, which alone would be told then. What holds a
/// profile's folder is none.
fn is_elsewhere(place: &str) -> bool {
    let within = |(root, _): &(&str, &str)| Path::new(place).strip_prefix(root).is_ok_and(is_looked_at);
    place != "." && !PROFILES.iter().any(within)
}
