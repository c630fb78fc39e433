//! Giving the disk back what a refused commit took. redb lets the file grow before it writes, and what it wrote then
//! stays on the disk, in pages that hold nothing: where the file is alone on a full disk, it would find no room for
//! anything ever again, not even for the commit that makes it smaller.
//!
//! Which pages are needed redb shows itself: it is made to go over all of them in memory. The others become holes, in
//! a file that is as long as before, and so means the same.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::sync::PoisonError;

use redb::Database;
use redb::backends::FileBackend;
use rustix::fs::{FallocateFlags, fallocate};

use crate::errors::{Fault, guarded};
use crate::open::{OpenOptions, builder};
use crate::overlay::{BLOCK, Overlay};

/// Less than this is not worth the while.
const GIVEN_BACK_MIN: u64 = 64 * 1024;

/// Makes holes of the pages that hold nothing; nobody of this handle may have the file open. Answers how many bytes
/// that gave back.
pub(crate) fn make(options: &OpenOptions) -> Result<u64, Fault> {
    // One file throughout, whatever comes to lie at its path; only who may write may keep everybody out.
    let file = File::options().read(true).write(true).open(&options.path).map_err(io)?;
    let backend = || -> Result<FileBackend, Fault> { Ok(FileBackend::new(file.try_clone().map_err(io)?)?) };
    guarded(|| {
        let (overlay, seen) = Overlay::noting(backend()?).map_err(io)?;
        // As long as this one is open, nobody else is let in.
        let Some(_looked) = gone_over(options, overlay)? else { return Ok(0) };
        let needed = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let before = taken(&file)?;
        if before < needed.iter().filter(|needed| **needed).count() as u64 * BLOCK + GIVEN_BACK_MIN {
            return Ok(0);
        }
        // It must be whole without the others before they go.
        let sifted = gone_over(options, Overlay::sifting(backend()?, needed.clone()).map_err(io)?)?;
        if sifted.is_none() {
            return Ok(0);
        }
        for (start, len) in gaps(&needed, file.metadata().map_err(io)?.len()) {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(&file, flags, start, len).map_err(|error| io(error.into()))?;
        }
        Ok(before.saturating_sub(taken(&file)?))
    })
}

/// Has redb open it and go over every page and its checksum, in memory. `None` = something is not as it should be.
fn gone_over(options: &OpenOptions, overlay: Overlay) -> Result<Option<Database>, Fault> {
    let mut database = builder(options).create_with_backend(overlay)?;
    Ok(database.check_integrity()?.then_some(database))
}

/// Bytes of the disk.
fn taken(file: &File) -> Result<u64, Fault> {
    Ok(file.metadata().map_err(io)?.blocks() * 512)
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
        assert!(matches!(make(&options), Err(Fault::Held)), "it is somebody's");
        drop(store);
        // As a commit leaves it that met the end of the disk.
        let mut file = File::options().write(true).open(&options.path).unwrap();
        let end = file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(&vec![0xa5; 4 << 20]).unwrap();
        file.set_len(end.next_multiple_of(BLOCK) + (32 << 20)).unwrap();
        file.sync_all().unwrap();
        let before = taken(&file).unwrap();
        assert!(make(&options).unwrap() >= 4 << 20);
        assert!(taken(&file).unwrap() + (4 << 20) <= before);
        assert_eq!(make(&options).unwrap(), 0, "once is enough");
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
