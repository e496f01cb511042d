//! Connections to the database, set up for their purpose.

use std::path::{Path, PathBuf};
use std::time::Duration;

use i3_core::store::StoreErrorKind;
use rusqlite::{Connection, OpenFlags};

use super::error::Failure;
use super::{SqliteOptions, Synchronous};

/// The writer's page cache, in KiB with a minus: a large group stays in it.
const WRITER_CACHE: i64 = -32_768;
/// Pages of 4 KiB in the log before a commit moves them into the database: 32 MiB. A group of 64 purchases
/// writes about 4 MiB, which is SQLite's default: every group would move its own pages.
const WAL_PAGES: i64 = 8_000;
/// Statements that a connection keeps compiled: five for each collection, or one for each kind of scan.
const STATEMENTS: usize = 256;

/// Where the database is and how to connect to it.
#[derive(Debug, Clone)]
pub(super) struct Database {
    pub(super) path: PathBuf,
    pub(super) synchronous: Synchronous,
    /// How long another process may hold the database before an operation gives up.
    pub(super) busy: Duration,
}

impl Database {
    pub(super) fn new(path: &Path, options: &SqliteOptions, busy: Duration) -> Self {
        Self { path: path.to_owned(), synchronous: options.synchronous, busy }
    }

    /// The one connection that writes; creates the file if it is missing.
    pub(super) fn writer(&self) -> Result<Connection, Failure> {
        let connection = self.open(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        connection.busy_timeout(self.busy)?;
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        if mode != "wal" {
            let message = format!(
                "{} cannot be a store: the file system, or the name, allows no write-ahead log",
                self.path.display()
            );
            return Err(Failure::new(StoreErrorKind::Misconfigured, message));
        }
        let synchronous = match self.synchronous {
            Synchronous::Full => "full",
            Synchronous::Normal => "normal",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "cache_size", WRITER_CACHE)?;
        connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
        Ok(connection)
    }

    /// A connection for reading. It does not wait for locks: [`Readers`](super::readers::Readers) says when.
    pub(super) fn reader(&self) -> Result<Connection, Failure> {
        self.open(OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    fn open(&self, flags: OpenFlags) -> Result<Connection, Failure> {
        // One thread at a time uses a connection: it needs no lock of its own.
        let connection = Connection::open_with_flags(&self.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(connection)
    }
}
