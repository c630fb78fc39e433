//! A file that is looked at as if it were written to: what is written stays in memory.
//!
//! redb repairs a file that was not closed well before it lets anybody read it. Where the file may
//! not be touched (it may be another program's, its disk is full, it is not ours to write), it is
//! repaired in memory alone.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

/// How much is copied at a time when a part of the file is written over.
pub(crate) const BLOCK: u64 = 4_096;

/// Which blocks of the file below were read.
pub(crate) type Seen = Arc<Mutex<Vec<bool>>>;

/// What the file below is looked at for.
#[derive(Debug)]
enum Purpose {
    /// To read what it holds, beside others who read.
    Reading,
    /// To learn which of its blocks are needed, with a writer's locks.
    Noting(Seen),
    /// To see whether these blocks are enough: all others read as zeroes. Whoever asks has the locks.
    Sifting(Vec<bool>),
}

/// The file below, and the blocks above it.
#[derive(Debug)]
pub(crate) struct Overlay {
    file: FileBackend,
    purpose: Purpose,
    above: RwLock<Above>,
}

#[derive(Debug)]
struct Above {
    blocks: BTreeMap<u64, Vec<u8>>,
    len: u64,
    /// How much of the file below still shows: what was cut off once reads as zeroes.
    below: u64,
}

impl Overlay {
    /// Lays one over a file that is open for reading.
    pub(crate) fn over(file: FileBackend) -> io::Result<Overlay> {
        Overlay::with(file, Purpose::Reading)
    }

    /// One that notes which blocks are read, and keeps everybody else out as a writer does.
    pub(crate) fn noting(file: FileBackend) -> io::Result<(Overlay, Seen)> {
        let seen = Seen::default();
        Ok((Overlay::with(file, Purpose::Noting(seen.clone()))?, seen))
    }

    /// One in which all but these blocks are empty. Somebody must keep others out meanwhile.
    pub(crate) fn sifting(file: FileBackend, kept: Vec<bool>) -> io::Result<Overlay> {
        Overlay::with(file, Purpose::Sifting(kept))
    }

    fn with(file: FileBackend, purpose: Purpose) -> io::Result<Overlay> {
        let len = file.len()?;
        let above = Above { blocks: BTreeMap::new(), len, below: len };
        Ok(Overlay { file, purpose, above: RwLock::new(above) })
    }

    fn block(&self, above: &Above, number: u64) -> io::Result<Vec<u8>> {
        if let Some(block) = above.blocks.get(&number) {
            return Ok(block.clone());
        }
        let mut block = vec![0; BLOCK as usize];
        let start = number * BLOCK;
        let held = above.below.saturating_sub(start).min(BLOCK);
        if held > 0 && self.shows(number as usize) {
            self.file.read(start, &mut block[..held as usize])?;
        }
        Ok(block)
    }

    /// Whether a block of the file below is looked at; which ones are is noted where somebody wants to know.
    fn shows(&self, number: usize) -> bool {
        match &self.purpose {
            Purpose::Reading => true,
            Purpose::Noting(seen) => {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let len = seen.len().max(number + 1);
                seen.resize(len, false);
                seen[number] = true;
                true
            }
            Purpose::Sifting(kept) => kept.get(number).copied().unwrap_or(false),
        }
    }
}

/// The blocks that a stretch touches: number, where in the block, where in the stretch, how much.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done as u64;
        let within = (at % BLOCK) as usize;
        let most = (BLOCK as usize - within).min(len - done);
        let part = (at / BLOCK, within, done, most);
        done += most;
        Some(part)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.above.read().unwrap_or_else(PoisonError::into_inner).len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let above = self.above.read().unwrap_or_else(PoisonError::into_inner);
        if offset.saturating_add(out.len() as u64) > above.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (number, within, start, most) in parts(offset, out.len()) {
            let block = self.block(&above, number)?;
            out[start..start + most].copy_from_slice(&block[within..within + most]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut above = self.above.write().unwrap_or_else(PoisonError::into_inner);
        above.below = above.below.min(len);
        above.len = len;
        let last = len / BLOCK;
        above.blocks.retain(|number, _| *number <= last);
        if let Some(block) = above.blocks.get_mut(&last) {
            block[(len % BLOCK) as usize..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut above = self.above.write().unwrap_or_else(PoisonError::into_inner);
        for (number, within, start, most) in parts(offset, data.len()) {
            let mut block = self.block(&above, number)?;
            block[within..within + most].copy_from_slice(&data[start..start + most]);
            above.blocks.insert(number, block);
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        match &self.purpose {
            Purpose::Sifting(_) => Ok(()),
            _ => self.file.close(),
        }
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        match &self.purpose {
            // Below it nothing is written, so a reader's locks will do.
            Purpose::Reading => self.file.try_lock_shared_range(start, readers_end(start, end)),
            Purpose::Noting(_) => self.file.try_lock_range(start, end),
            Purpose::Sifting(_) => Ok(true),
        }
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.try_lock_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        match &self.purpose {
            Purpose::Reading => self.file.lock_shared_range(start, readers_end(start, end)),
            Purpose::Noting(_) => self.file.lock_range(start, end),
            Purpose::Sifting(_) => Ok(()),
        }
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        match &self.purpose {
            Purpose::Reading => self.file.unlock_range(start, readers_end(start, end)),
            Purpose::Noting(_) => self.file.unlock_range(start, end),
            Purpose::Sifting(_) => Ok(()),
        }
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        match &self.purpose {
            Purpose::Sifting(_) => Ok(false),
            _ => self.file.query_lock_range(start, end),
        }
    }
}

/// A writer locks one byte more than a reader, up to and including the one by which readers tell that
/// there is a writer.
fn readers_end(start: Bound<u64>, end: Bound<u64>) -> Bound<u64> {
    match (start, end) {
        (Bound::Unbounded, Bound::Included(last)) => Bound::Excluded(last),
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_above_is_read_and_the_file_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let before: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
        std::fs::write(&path, &before).unwrap();
        let file = FileBackend::new(std::fs::File::open(&path).unwrap()).unwrap();
        let overlay = Overlay::over(file).unwrap();
        let read = |offset: u64, len: usize| {
            let mut out = vec![0; len];
            overlay.read(offset, &mut out).map(|()| out)
        };
        overlay.write(4_090, &[7; 20]).unwrap();
        assert_eq!(
            read(4_089, 22).unwrap(),
            [vec![before[4_089]], vec![7; 20], vec![before[4_110]]].concat()
        );
        assert!(read(9_990, 11).is_err(), "past the end");
        overlay.set_len(12_000).unwrap();
        assert_eq!(read(9_999, 3).unwrap(), [before[9_999], 0, 0]);
        overlay.set_len(5_000).unwrap();
        overlay.set_len(9_000).unwrap();
        assert_eq!(read(4_999, 3).unwrap(), [before[4_999], 0, 0], "what was cut off is gone");
        assert_eq!(read(4_092, 2).unwrap(), [7, 7]);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
