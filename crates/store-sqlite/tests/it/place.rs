//! A store in a temporary directory.

use std::path::PathBuf;

use larder_store_sqlite::{OpenOptions, SqliteStore};
use larder_testkit::contract::Place;
use larder_testkit::contract::build::{NOISE, NOW, VIEW};
use tempfile::TempDir;

pub(crate) struct TempPlace(TempDir);

impl TempPlace {
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("larder.db")
    }

    pub(crate) fn options(&self) -> OpenOptions {
        OpenOptions { views: vec![VIEW, NOISE], ..OpenOptions::new(self.path(), NOW) }
    }

    pub(crate) fn dir(&self) -> &std::path::Path {
        self.0.path()
    }

    /// The names of the files there, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Place for TempPlace {
    type Store = SqliteStore;

    fn fresh() -> Self {
        TempPlace(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(self.options()).unwrap()
    }
}

/// Runs a story of this crate's own.
pub(crate) fn block_on<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story)
}
