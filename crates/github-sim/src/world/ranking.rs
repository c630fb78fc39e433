//! Real repositories from a ranking file: comma-separated, one row per place in a list, so that a repository that
//! stands in several lists stands in several rows.

use std::io::Read;

use csv::StringRecord;
use jiff::{Timestamp, ToSpan};

use super::{Repository, World, ids};

/// Why a ranking file could not be loaded; lines are counted from 1 and include the header.
#[derive(Debug, thiserror::Error)]
pub enum RankingError {
    /// The header lacks a column this reads.
    #[error("the ranking file has no column `{0}`")]
    MissingColumn(&'static str),
    /// The row is not well-formed CSV, or has too many or too few fields.
    #[error("line {line} of the ranking file is not a row like the header")]
    Row {
        /// Where it stands.
        line: u64,
        /// What the reader said.
        source: csv::Error,
    },
    /// One field makes no sense.
    #[error("line {line} of the ranking file: `{column}` is `{value}`, {expected}")]
    Field {
        /// Where it stands.
        line: u64,
        /// Which column.
        column: &'static str,
        /// What stood there.
        value: String,
        /// What should have.
        expected: &'static str,
    },
}

impl World {
    /// Reads a ranking file with the columns `repo_name, stars, forks, language, repo_url, username, issues,
    /// last_commit, description` (others are ignored, order is free). Of a repository's rows the one with the most
    /// stars is kept, the newest of equals. `updated_at` and `pushed_at` are the last commit; the primary language
    /// is the only one. No token is added. Errors on the first bad row, and names its line.
    pub fn load_ranking_csv(reader: impl Read) -> Result<Self, RankingError> {
        let mut rows = csv::Reader::from_reader(reader);
        let header = rows.headers().map_err(|source| RankingError::Row { line: 1, source })?.clone();
        let columns = Columns::of(&header)?;
        let mut world = Self::new();
        let mut row = StringRecord::new();
        loop {
            let line = rows.position().line();
            match rows.read_record(&mut row) {
                Ok(true) => {}
                Ok(false) => return Ok(world),
                Err(source) => return Err(RankingError::Row { line, source }),
            }
            let line = row.position().map_or(line, csv::Position::line);
            let found = columns.repository(&row, line)?;
            let standing = |one: &Repository| (one.stars, one.pushed_at);
            let better =
                world.repository(&found.full_name).is_none_or(|kept| standing(&found) > standing(kept));
            if better {
                world.add(found);
            }
        }
    }
}

/// Where each column stands.
struct Columns {
    name: usize,
    owner: usize,
    url: usize,
    stars: usize,
    forks: usize,
    issues: usize,
    language: usize,
    last_commit: usize,
    description: usize,
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, RankingError> {
        let place = |column: &'static str| {
            header.iter().position(|name| name.trim() == column).ok_or(RankingError::MissingColumn(column))
        };
        Ok(Self {
            name: place("repo_name")?,
            owner: place("username")?,
            url: place("repo_url")?,
            stars: place("stars")?,
            forks: place("forks")?,
            issues: place("issues")?,
            language: place("language")?,
            last_commit: place("last_commit")?,
            description: place("description")?,
        })
    }

    fn repository(&self, row: &StringRecord, line: u64) -> Result<Repository, RankingError> {
        let full_name = format!(
            "{}/{}",
            name(row, line, self.owner, "username")?,
            name(row, line, self.name, "repo_name")?
        );
        let stars = count(row, line, self.stars, "stars")?;
        let pushed_at = time(row, line, self.last_commit)?;
        let plain = Repository::new(&full_name);
        let language = row.get(self.language).unwrap_or_default().trim();
        let plain =
            if language.is_empty() { plain } else { plain.with_languages(&[(language, stars * 97 + 1_024)]) };
        Ok(Repository {
            url: text(row, self.url).unwrap_or_else(|| plain.url.clone()),
            description: text(row, self.description),
            stars,
            forks: count(row, line, self.forks, "forks")?,
            open_issues: count(row, line, self.issues, "issues")?,
            created_at: made_before(pushed_at, &full_name),
            updated_at: pushed_at,
            pushed_at: Some(pushed_at),
            ..plain
        })
    }
}

fn text(row: &StringRecord, place: usize) -> Option<String> {
    row.get(place).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn name(row: &StringRecord, line: u64, place: usize, column: &'static str) -> Result<String, RankingError> {
    let value = row.get(place).unwrap_or_default().trim();
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if value.is_empty() || !value.chars().all(fits) {
        let expected = "not a name GitHub allows (letters, digits, `-`, `_`, `.`)";
        return Err(RankingError::Field { line, column, value: value.to_owned(), expected });
    }
    Ok(value.to_owned())
}

fn count(row: &StringRecord, line: u64, place: usize, column: &'static str) -> Result<u64, RankingError> {
    let value = row.get(place).unwrap_or_default().trim();
    let number: u32 = value.parse().map_err(|_| {
        let expected = "not a whole number from 0 to 4294967295";
        RankingError::Field { line, column, value: value.to_owned(), expected }
    })?;
    Ok(u64::from(number))
}

fn time(row: &StringRecord, line: u64, place: usize) -> Result<Timestamp, RankingError> {
    let value = row.get(place).unwrap_or_default().trim();
    value.parse().map_err(|_| {
        let expected = "not a time like 2026-08-22T04:00:00Z";
        RankingError::Field { line, column: "last_commit", value: value.to_owned(), expected }
    })
}

/// The file does not say when a repository was made: one to nine years before its last commit, by its name.
fn made_before(pushed_at: Timestamp, full_name: &str) -> Timestamp {
    let days = 365 + ids::digest(full_name.as_bytes()) % (8 * 365);
    pushed_at.checked_sub((days as i64 * 24).hours()).unwrap_or(pushed_at)
}
