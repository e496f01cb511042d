//! How many times a second the disk can sync: what every durable rate is to be read against.

use std::fs::OpenOptions;
use std::io::{self, Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::rounds::percentile;

/// What is written before each sync; the time of a sync hardly depends on it up to 64 KiB.
const BLOCK: [u8; 4096] = [0x5a; 4096];

/// How many blocks are allocated beforehand for overwriting.
const BLOCKS: u32 = 1_000;

/// What is written before a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// 4 KiB at the end of the file: the file system must write down the new length too.
    Append,
    /// 4 KiB of a file that is long enough already: the fastest that a disk can sync. Logs that are used again
    /// from their start, as SQLite's, mostly do this.
    Overwrite,
}

/// The rate and the times of `fdatasync` after writing 4 KiB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SyncRate {
    /// Syncs in a second, one after another.
    pub per_second: f64,
    /// The time that half of the syncs stay under.
    pub p50: Duration,
    /// The time that 99 of 100 syncs stay under.
    pub p99: Duration,
}

/// Writes 4 KiB and syncs, over and over, for about `time` in a new file in `directory`; the file is
/// deleted afterwards.
///
/// The rate belongs to this directory's disk, now: measure it beside every durable rate and give that
/// rate per sync.
///
/// # Errors
/// Whatever creating, writing or syncing the file gives.
pub fn sync_rate(directory: &Path, pattern: Pattern, time: Duration) -> io::Result<SyncRate> {
    let scratch = tempfile::Builder::new().prefix("i3-sync-rate").tempdir_in(directory)?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(scratch.path().join("log"))?;
    if pattern == Pattern::Overwrite {
        for _ in 0..BLOCKS {
            file.write_all(&BLOCK)?;
        }
        file.sync_all()?;
        file.rewind()?;
    }
    let mut times = Vec::new();
    let start = Instant::now();
    for block in 1_u32.. {
        let before = Instant::now();
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        times.push(before.elapsed());
        if start.elapsed() >= time {
            break;
        }
        if pattern == Pattern::Overwrite && block.is_multiple_of(BLOCKS) {
            file.rewind()?;
        }
    }
    let elapsed = start.elapsed();
    times.sort_unstable();
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
    Ok(SyncRate {
        per_second: f64::from(count) / elapsed.as_secs_f64(),
        p50: percentile(&times, 50),
        p99: percentile(&times, 99),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_agrees_with_the_times_and_the_file_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        for pattern in [Pattern::Append, Pattern::Overwrite] {
            let rate = sync_rate(directory.path(), pattern, Duration::from_millis(50)).unwrap();
            assert!(rate.per_second > 0.0);
            assert!(rate.p50 <= rate.p99);
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert!(sync_rate(&directory.path().join("nowhere"), Pattern::Append, Duration::ZERO).is_err());
    }
}
