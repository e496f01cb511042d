//! The SQLite backend.

mod catalog;
mod commit;
mod error;
mod lock;
mod readers;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use i3_core::store::{
    Batch, By, Cell, CommitError, Durability, Key, Page, Receipt, Scan, Schema, Store, StoreError,
    StoreErrorKind,
};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use tokio::sync::{mpsc, oneshot};

use self::commit::json;
use self::error::Failure;
use self::readers::Readers;
use self::rows::Found;
use self::writer::{Command, Job, Shared};
use crate::scan::{Bind, plan};

/// When SQLite waits for the disk: <https://sqlite.org/pragma.html#pragma_synchronous>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// At every commit: what was committed survives a power loss.
    #[default]
    Full,
    /// Only when the log is moved into the database: what was committed survives a killed process; a power
    /// loss may take back the last commits, whole and in order, and leaves the database sound.
    Normal,
}

/// How a [`SqliteStore`] works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Connections for reading, each with a thread: as many reads run at the same time. At least one.
    pub readers: u32,
    /// When to wait for the disk.
    pub synchronous: Synchronous,
}

impl Default for SqliteOptions {
    /// Four readers; commits survive a power loss.
    fn default() -> Self {
        Self { readers: 4, synchronous: Synchronous::Full }
    }
}

/// What the writer has done since the store was opened: `batches` over `groups` is how many batches
/// shared one commit of the database on average.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqliteStats {
    /// Transactions that were begun.
    pub groups: u64,
    /// Batches in them, those that were refused included.
    pub batches: u64,
}

/// How long another process may hold the database before a commit gives up.
const BUSY: Duration = Duration::from_secs(5);

/// A store in a SQLite database in WAL mode.
///
/// One thread writes and commits batches that wait at the same time together, with one sync of the disk;
/// reads run on connections of their own and see every commit that has returned. A file beside the
/// database (`PATH-lock`) keeps a second process from opening the store; other programs may read the
/// database meanwhile, and a write of theirs delays commits, by five seconds at most before those fail.
///
/// The futures run on any runtime. Dropping the store waits until the writer has finished what it was given
/// and closed the database; [`close`](Self::close) does the same without blocking and tells failures.
#[derive(Debug)]
pub struct SqliteStore {
    commands: Option<mpsc::Sender<Command>>,
    readers: Readers,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
    durability: Durability,
}

impl SqliteStore {
    /// Opens the store in this file, or creates it; its folder must exist.
    ///
    /// # Errors
    /// `Busy` if another process (or another `SqliteStore`) has it open, `Misconfigured` if the path cannot
    /// be used or is another program's database, `Corrupt` if the file is no database, `Incompatible` if
    /// a newer version of this software made it.
    pub async fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, StoreError> {
        Self::open_within(path.as_ref(), options, BUSY).await
    }

    async fn open_within(path: &Path, options: SqliteOptions, busy: Duration) -> Result<Self, StoreError> {
        let (synchronous, durability) = match options.synchronous {
            Synchronous::Full => (SqliteSynchronous::Full, Durability::PowerLoss),
            Synchronous::Normal => (SqliteSynchronous::Normal, Durability::ProcessCrash),
        };
        let common = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(busy)
            .foreign_keys(true)
            .row_buffer_size(1024)
            .disable_statement_logging();
        let writing = common
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .statement_cache_capacity(WRITER_TEXTS)
            .pragma("cache_size", WRITER_CACHE)
            // Else a statement of many rows keeps what it may have to undo in a file.
            .pragma("temp_store", "MEMORY")
            .pragma("wal_autocheckpoint", WAL_PAGES)
            .thread_name(|_| "i3-sqlite-write".to_owned());
        let reading = common.read_only(true).thread_name(|_| "i3-sqlite-read".to_owned());

        let shared = Arc::new(Shared::default());
        let (commands, waiting) = mpsc::channel(writer::WAITING);
        let (ready, opened) = oneshot::channel();
        let (place, view) = (path.to_owned(), Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("i3-sqlite-group".to_owned())
            .spawn(move || writer::run(place, writing, view, waiting, ready))
            .map_err(|error| {
                Failure::new(StoreErrorKind::Unavailable, "no writer can be started").caused_by(error)
            })?;
        opened.await.unwrap_or_else(|_| Err(stopped()))?;
        let readers = Readers::open(reading, options.readers).await?;
        Ok(Self { commands: Some(commands), readers, shared, writer: Some(thread), durability })
    }

    /// Finishes what was begun, moves the log into the database and closes it.
    ///
    /// Dropping the future leaves that to the writer's thread.
    pub async fn close(mut self) -> Result<(), StoreError> {
        self.readers.close().await?;
        let (reply, answer) = oneshot::channel();
        let closed = match self.commands.take() {
            Some(commands) if commands.send(Command::Close(reply)).await.is_ok() => {
                answer.await.unwrap_or_else(|_| Err(stopped()))
            }
            _ => Err(stopped()),
        };
        Ok(closed?)
    }

    /// What the writer has done so far.
    pub fn stats(&self) -> SqliteStats {
        SqliteStats {
            groups: self.shared.groups.load(Ordering::Relaxed),
            batches: self.shared.batches.load(Ordering::Relaxed),
        }
    }

    async fn send(&self, command: Command) -> Result<(), Failure> {
        match &self.commands {
            Some(commands) => commands.send(command).await.map_err(|_| stopped()),
            None => Err(stopped()),
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // The writer ends when nobody can ask it any more; it is a thread of its own, so waiting for it
        // cannot wait for ourselves. Its panic, if any, was told to the callers that it left.
        drop(self.commands.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn stopped() -> Failure {
    Failure::new(StoreErrorKind::Unavailable, "the store's writer has stopped: open the store again")
}

#[async_trait]
impl Store for SqliteStore {
    async fn prepare(&self, schema: &Schema) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Prepare(schema.clone(), reply)).await?;
        Ok(answer.await.unwrap_or_else(|_| Err(stopped()))?)
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        let catalog = self.shared.catalog();
        let cell = |row: &_| -> Result<Option<((usize, String), Cell)>, Failure> {
            let found = Found::of(row)?;
            let Some(table) = catalog.tables().get(found.place) else { return Ok(None) };
            let key = (found.place, found.id.clone());
            Ok(Some((key, found.cell(table.collection.kind)?)))
        };
        if let [key] = keys {
            let sql = catalog.table(key.collection())?.read_one.clone();
            let rows = self.readers.rows(sql, vec![key.id().into()]).await?;
            let found = rows.first().map(cell).transpose()?.flatten();
            return Ok(vec![found.map(|(_, cell)| cell)]);
        }
        let wanted = catalog.by_table(keys)?;
        let mut sql = String::new();
        let mut binds = Vec::new();
        for (table, ids) in catalog.tables().iter().zip(&wanted).filter(|(_, ids)| !ids.is_empty()) {
            sql.push_str(&table.read);
            sql.push_str("; ");
            binds.push(Bind::Text(json(ids)?));
        }
        if binds.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.readers.rows(sql, binds).await?;
        let mut cells = std::collections::HashMap::with_capacity(rows.len());
        for row in &rows {
            cells.extend(cell(row)?);
        }
        let mut answer = Vec::with_capacity(keys.len());
        for key in keys {
            answer.push(cells.get(&(catalog.place(key.collection())?, key.id().to_owned())).cloned());
        }
        Ok(answer)
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        self.shared.catalog().place(scan.collection())?;
        let Some(query) = plan(scan) else { return Ok(Page { rows: Vec::new(), next: None }) };
        let index = match scan.by_what() {
            By::Index { index, .. } => Some(*index),
            _ => None,
        };
        let found = self.readers.rows(query.sql, query.binds).await?;
        let more = found.len() > scan.rows();
        let mut rows = Vec::with_capacity(found.len());
        let mut next = None;
        for row in found.iter().take(scan.rows()) {
            let (row, cursor) = rows::scanned(scan, index, row)?;
            rows.push(row);
            next = Some(cursor);
        }
        Ok(Page { rows, next: next.filter(|_| more) })
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Commit(Job { batch: batch.clone(), reply })).await.map_err(StoreError::from)?;
        answer.await.unwrap_or_else(|_| Err(stopped().told().outcome_unknown().into()))
    }

    fn durability(&self) -> Durability {
        self.durability
    }
}

/// Texts of several statements that the writer keeps compiled, about a hundred kilobytes each.
const WRITER_TEXTS: usize = 128;
/// The writer's page cache, in KiB with a minus: a large group stays in it.
const WRITER_CACHE: &str = "-32768";
/// Pages of 4 KiB in the log before a commit moves them into the database: 32 MiB. A group of 64 purchases
/// writes about 4 MiB, which is SQLite's default: every group would move its own pages.
const WAL_PAGES: &str = "8000";
