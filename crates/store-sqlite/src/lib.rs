//! The embedded default store: one SQLite file, one writer, many readers.
