//! One writing process per database.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use i3_core::store::StoreErrorKind;

use super::error::Failure;

/// The exclusive lock on the file beside the database, as long as this value lives. The operating system
/// gives it up when the process ends, however it ends. Only stores look at it: the `sqlite3` program and
/// other readers of the database are not hindered.
#[derive(Debug)]
pub(super) struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Takes the lock at once or not at all.
    pub(super) fn take(database: &Path) -> Result<Self, Failure> {
        if database.is_dir() {
            let message = format!("{} is a folder: name a file in it", database.display());
            return Err(Failure::new(StoreErrorKind::Misconfigured, message));
        }
        let path = beside(database);
        let misconfigured = |error| Failure::from_io(&path, error);
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(misconfigured)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                let message =
                    format!("another process has the store open: stop it first ({})", database.display());
                Err(Failure::new(StoreErrorKind::Busy, message))
            }
            Err(TryLockError::Error(error)) => Err(misconfigured(error)),
        }
    }
}

/// `PATH-lock`, like SQLite's own `PATH-wal` and `PATH-shm`.
fn beside(database: &Path) -> PathBuf {
    let mut name = OsString::from(database);
    name.push("-lock");
    PathBuf::from(name)
}

impl Failure {
    /// The lock file cannot be made or locked.
    fn from_io(path: &Path, error: std::io::Error) -> Self {
        let message =
            format!("the lock file {} cannot be used: check the path and permissions", path.display());
        Self::new(StoreErrorKind::Misconfigured, message).caused_by(error)
    }
}
