//! Giving the disk back what a refused commit took. redb lets the file grow before it writes, and what it wrote then
//! stays on the disk, in pages that hold nothing: where the file is alone on a full disk, it would find no room for
//! anything ever again, not even for the commit that makes it smaller.
//!
//! Which pages are needed redb shows itself: it is made to go over all of them in memory. The others become holes, in
//! a file that is as long as before, and so means the same. But what the file had of the disk before that commit it
//! keeps: on a disk that others have filled there is no other room for what is small.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use redb::Database;
use redb::backends::FileBackend;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::errors::{Fault, guarded};
use crate::open::{OpenOptions, builder};
use crate::overlay::{BLOCK, Overlay};

/// Less than this is not worth the while.
const GIVEN_BACK_MIN: u64 = 64 * 1024;

/// What a handle knows of its file's room on the disk, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// What the file took before the newest piece of work.
    had: AtomicU64,
    /// What it took when last nothing was left to give back.
    settled: AtomicU64,
}

impl Room {
    /// Notes what the file takes, before something is written.
    pub(crate) fn note(&self, path: &Path) {
        if let Ok(file) = path.metadata() {
            self.had.store(taken(&file), Relaxed);
        }
    }

    /// Gives back what the file took since it was noted. Answers how many bytes that was.
    pub(crate) fn give_back(&self, options: &OpenOptions) -> Result<u64, Fault> {
        let before = taken(&options.path.metadata().map_err(io)?);
        if before < self.settled.load(Relaxed) + GIVEN_BACK_MIN {
            return Ok(0);
        }
        let given = make(options, self.had.load(Relaxed))?;
        self.settled.store(before.saturating_sub(given), Relaxed);
        Ok(given)
    }
}

/// Makes holes of the pages that hold nothing, and leaves the file as many bytes of the disk as it `had`, where redb
/// looks for room first; nobody of this handle may have the file open. Answers how many bytes that gave back.
fn make(options: &OpenOptions, had: u64) -> Result<u64, Fault> {
    // One file throughout, whatever comes to lie at its path; only who may write may keep everybody out.
    let file = File::options().read(true).write(true).open(&options.path).map_err(io)?;
    let backend = || -> Result<FileBackend, Fault> { Ok(FileBackend::new(file.try_clone().map_err(io)?)?) };
    guarded(|| {
        let (overlay, seen) = Overlay::noting(backend()?).map_err(io)?;
        // As long as this one is open, nobody else is let in.
        let Some(_looked) = gone_over(options, overlay)? else { return Ok(0) };
        let needed = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let found = file.metadata().map_err(io)?;
        let (before, least) = (taken(&found), needed.iter().filter(|needed| **needed).count() as u64 * BLOCK);
        if before < least + GIVEN_BACK_MIN {
            return Ok(0);
        }
        // It must be whole without the others before they go.
        let sifted = gone_over(options, Overlay::sifting(backend()?, needed.clone()).map_err(io)?)?;
        if sifted.is_none() {
            return Ok(0);
        }
        let kept = with_room(needed, found.len(), had);
        for (start, len) in gaps(&kept, found.len()) {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(&file, flags, start, len).map_err(|error| io(error.into()))?;
        }
        let others: Vec<bool> = kept.iter().map(|kept| !kept).collect();
        // Most of it is on the disk as it is.
        for (start, len) in gaps(&others, kept.len() as u64 * BLOCK) {
            match fallocate(&file, FallocateFlags::KEEP_SIZE, start, len) {
                // Others were quicker.
                Err(Errno::NOSPC | Errno::DQUOT) => break,
                done => done.map_err(|error| io(error.into()))?,
            }
        }
        Ok(before.saturating_sub(taken(&file.metadata().map_err(io)?)))
    })
}

/// Has redb open it and go over every page and its checksum, in memory. `None` = something is not as it should be.
fn gone_over(options: &OpenOptions, overlay: Overlay) -> Result<Option<Database>, Fault> {
    let mut database = builder(options).create_with_backend(overlay)?;
    Ok(database.check_integrity()?.then_some(database))
}

/// Bytes of the disk.
fn taken(file: &Metadata) -> u64 {
    file.blocks() * 512
}

fn io(error: std::io::Error) -> Fault {
    redb::StorageError::Io(error).into()
}

/// The stretches between the blocks that are needed: where each begins, and how long it is.
fn gaps(needed: &[bool], len: u64) -> Vec<(u64, u64)> {
    let mut gaps: Vec<(u64, u64)> = Vec::new();
    let is_needed = |block: u64| needed.get(block as usize).copied().unwrap_or(false);
    for block in (0..len / BLOCK).filter(|block| !is_needed(*block)) {
        match gaps.last_mut() {
            Some((start, long)) if *start + *long == block * BLOCK => *long += BLOCK,
            _ => gaps.push((block * BLOCK, BLOCK)),
        }
    }
    gaps
}

/// What is needed and, up to so many bytes in all, what redb takes next: of the free pieces, which have the sizes and
/// the places that the halving of larger ones gives them, the smallest, and of these the first.
fn with_room(mut needed: Vec<bool>, len: u64, had: u64) -> Vec<bool> {
    let held = needed.iter().filter(|needed| **needed).count() as u64;
    let mut spare = (had / BLOCK).saturating_sub(held) as usize;
    let mut pieces = Vec::new();
    for (start, len) in gaps(&needed, len) {
        let (mut from, end) = (start / BLOCK, (start + len) / BLOCK);
        while from < end {
            // The file's first page is its header.
            let aligned = from.checked_sub(1).map_or(0, u64::trailing_zeros);
            let piece = 1 << aligned.min((end - from).ilog2());
            pieces.push((piece, from));
            from += piece;
        }
    }
    pieces.sort_unstable();
    needed.resize((len / BLOCK) as usize, false);
    for (piece, from) in pieces {
        let part = spare.min(piece as usize);
        needed[from as usize..][..part].fill(true);
        spare -= part;
    }
    needed
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom, Write as _};

    use larder_core::Store;
    use larder_testkit::contract::build::{NOW, at, book, ids, key, refresh, row};

    use super::*;
    use crate::{Hold, RedbStore};

    #[test]
    fn gaps_lie_between_what_is_needed_and_behind_it() {
        assert_eq!(
            gaps(&[true, false, false, true], 6 * BLOCK),
            [(BLOCK, 2 * BLOCK), (4 * BLOCK, 2 * BLOCK)]
        );
        assert_eq!(gaps(&[true, true], 2 * BLOCK), []);
    }

    #[test]
    fn what_is_kept_is_what_is_taken_next() {
        let kept = |had: u64| -> Vec<u64> {
            let kept = with_room(vec![true, true, false, true], 8 * BLOCK, had);
            (0..).zip(kept).filter_map(|(block, kept)| kept.then_some(block)).collect()
        };
        assert_eq!(kept(0), [0, 1, 3]);
        assert_eq!(kept(4 * BLOCK + 512), [0, 1, 2, 3]);
        assert_eq!(kept(5 * BLOCK), [0, 1, 2, 3, 4]);
        assert_eq!(kept(6 * BLOCK), [0, 1, 2, 3, 4, 7], "the last is no half of two");
        assert_eq!(kept(99 * BLOCK), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[tokio::test]
    async fn what_holds_nothing_is_given_back_and_the_rest_is_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let options = OpenOptions {
            hold: Hold::Throughout,
            ..OpenOptions::new(directory.path().join("larder.redb"), NOW)
        };
        let shelf = |n: usize| key(&format!("shelf/{n}"));
        let store = RedbStore::open(options.clone()).unwrap();
        for n in 0..20 {
            refresh(
                &store,
                &shelf(n),
                (0..50).map(|book_of| book(&format!("{n}-{book_of}"), 1)).collect(),
                at(0),
            )
            .await;
        }
        assert!(matches!(make(&options, 0), Err(Fault::Held)), "it is somebody's");
        drop(store);
        let room = Room::default();
        room.note(&options.path);
        // As a commit leaves it that met the end of the disk.
        let mut file = File::options().write(true).open(&options.path).unwrap();
        let end = file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(&vec![0xa5; 4 << 20]).unwrap();
        file.set_len(end.next_multiple_of(BLOCK) + (32 << 20)).unwrap();
        file.sync_all().unwrap();
        let taken = || taken(&file.metadata().unwrap());
        let before = taken();
        let (had, given) = (room.had.load(Relaxed), room.give_back(&options).unwrap());
        assert_eq!(given, before - taken());
        assert!(taken().abs_diff(had) <= 16 * BLOCK, "{had} of {before} were kept: {}", taken());
        assert_eq!(room.give_back(&options).unwrap(), 0, "once is enough");
        assert_eq!(make(&options, taken()).unwrap(), 0);
        let store = RedbStore::open(options).unwrap();
        assert!(store.recovered().is_none());
        for n in 0..20 {
            assert_eq!(ids(&row(&store, &shelf(n)).await).len(), 50);
        }
        assert_eq!(store.verify().await.unwrap(), []);
        refresh(&store, &shelf(0), vec![book("new", 2)], at(9)).await;
        assert_eq!(ids(&row(&store, &shelf(0)).await), ["new"]);
    }
}
