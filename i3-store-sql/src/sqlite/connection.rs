//! Connections to the database, set up for their purpose.

use std::path::{Path, PathBuf};
use std::time::Duration;

use i3_core::store::StoreErrorKind;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::Synchronous;
use super::error::Failure;

/// How long another process may hold the database before a commit gives up.
const BUSY: Duration = Duration::from_secs(5);
/// The writer's page cache, in KiB with a minus: a large group stays in it. Not more, because SQLite goes
/// through all of it at the end of a commit in which a tree was rebalanced.
const WRITER_CACHE: i64 = -8_192;
/// A reader's page cache, in KiB with a minus: the inner pages of all trees stay in it. SQLite's default of 2 MiB is
/// too small for a hundred thousand records with their indexes.
const READER_CACHE: i64 = -8_192;
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
    /// How many pages the file may have.
    #[cfg(test)]
    pub(super) pages: Option<u32>,
}

impl Database {
    /// The database in this file.
    pub(super) fn new(path: &Path, synchronous: Synchronous) -> Self {
        Self {
            path: path.to_owned(),
            synchronous,
            busy: BUSY,
            #[cfg(test)]
            pages: None,
        }
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
        #[cfg(test)]
        if let Some(pages) = self.pages {
            connection.pragma_update(None, "max_page_count", pages)?;
        }
        Ok(connection)
    }

    /// A connection for reading. It does not wait for locks: [`Readers`](super::readers::Readers) says when.
    pub(super) fn reader(&self) -> Result<Connection, Failure> {
        let connection = self.open(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.pragma_update(None, "cache_size", READER_CACHE)?;
        Ok(connection)
    }

    fn open(&self, flags: OpenFlags) -> Result<Connection, Failure> {
        // One thread at a time uses a connection: it needs no lock of its own.
        let connection = Connection::open_with_flags(&self.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Else SQLite compiles some statements again for every value, though no value changes their plans.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(connection)
    }
}
