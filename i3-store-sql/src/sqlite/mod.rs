//! The SQLite backend.

mod cache;
mod catalog;
mod commit;
mod connection;
mod error;
mod lock;
mod readers;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod troubles;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use async_trait::async_trait;
use i3_core::store::{
    Batch, By, Cell, Collection, CommitError, Durability, Key, Page, Receipt, Revision, Scan, Schema, Store,
    StoreError, StoreErrorKind,
};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, ToSql, params_from_iter};
use tokio::sync::{mpsc, oneshot};

use self::catalog::Catalog;
use self::connection::Database;
use self::error::Failure;
use self::readers::Readers;
use self::writer::{Command, Job, Shared};
use crate::scan::{Bind, Query, plan};

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
    /// Reads of more than 64 rows that run at the same time, each in a thread of its own; shorter ones run
    /// where they are called. At least one.
    pub readers: u32,
    /// When to wait for the disk.
    pub synchronous: Synchronous,
    /// How much memory may be spent on remembering single values that were read or written lately, in bytes,
    /// roughly, what they were read as included. With 0 each read asks SQLite.
    pub cache_bytes: usize,
}

impl Default for SqliteOptions {
    /// Four readers; commits survive a power loss; 32 MiB of values are remembered.
    fn default() -> Self {
        Self { readers: 4, synchronous: Synchronous::Full, cache_bytes: 32 * 1024 * 1024 }
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

/// A store in a SQLite database in WAL mode.
///
/// One thread writes and commits batches that wait at the same time together, with one sync of the disk;
/// reads run on connections of their own and see every commit that has returned. A file beside the
/// database (`PATH-lock`) keeps a second process from opening the store; other programs may read the
/// database meanwhile, and a write of theirs delays commits, by five seconds at most before those fail. What they
/// write is not seen before the store is opened again: it remembers what it has read
/// ([`cache_bytes`](SqliteOptions::cache_bytes)).
///
/// The futures run on any runtime. Dropping the store waits until the writer has finished what it was given
/// and closed the database; [`close`](Self::close) does the same without blocking and tells failures.
#[derive(Debug)]
pub struct SqliteStore {
    commands: Option<mpsc::Sender<Command>>,
    readers: Arc<Readers>,
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
        Self::open_database(Database::new(path.as_ref(), options.synchronous), &options).await
    }

    async fn open_database(database: Database, options: &SqliteOptions) -> Result<Self, StoreError> {
        let durability = match database.synchronous {
            Synchronous::Full => Durability::PowerLoss,
            Synchronous::Normal => Durability::ProcessCrash,
        };
        let shared = Arc::new(Shared::new(options.cache_bytes));
        let (commands, waiting) = mpsc::channel(writer::WAITING);
        let (ready, opened) = oneshot::channel();
        let (place, view) = (database.clone(), Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("i3-sqlite-write".to_owned())
            .spawn(move || writer::run(place, view, waiting, ready))
            .map_err(|error| {
                Failure::new(StoreErrorKind::Unavailable, "no writer can be started").caused_by(error)
            })?;
        opened.await.unwrap_or_else(|_| Err(stopped()))?;
        let readers = Arc::new(Readers::open(database, options.readers)?);
        Ok(Self { commands: Some(commands), readers, shared, writer: Some(thread), durability })
    }

    /// Finishes what was begun, moves the log into the database and closes it.
    ///
    /// Dropping the future leaves that to the writer's thread.
    pub async fn close(mut self) -> Result<(), StoreError> {
        self.readers.close().await;
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
        self.readers.close_idle();
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
        for key in keys {
            catalog.table(key.collection())?;
        }
        let found = self.shared.cache.find(keys);
        let asked = found.missing(keys);
        if asked.is_empty() {
            return Ok(found.with(Vec::new()));
        }
        let read = self.readers.read(move |connection, rows| {
            let few = asked.len() <= rows;
            few.then(|| cells(connection, &catalog, &asked)).transpose()
        });
        Ok(found.with(read.await?))
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        self.shared.catalog().table(scan.collection())?;
        let Some(query) = plan(scan) else { return Ok(Page { rows: Vec::new(), next: None }) };
        let asked = scan.clone();
        Ok(self.readers.read(move |connection, rows| page(connection, &asked, &query, rows)).await?)
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Commit(Job { batch: batch.clone(), reply })).await.map_err(StoreError::from)?;
        answer.await.unwrap_or_else(|_| Err(stopped().told().outcome_unknown().into()))
    }

    fn durability(&self) -> Durability {
        self.durability
    }

    fn revision(&self, collections: &[&Collection]) -> Option<Revision> {
        Some(self.shared.revisions.of(collections))
    }

    async fn unnamed(&self) -> Result<Vec<String>, StoreError> {
        let catalog = self.shared.catalog();
        let stored = self.readers.read(|connection, _| schema::names(connection).map(Some)).await?;
        Ok(stored.into_iter().filter(|name| !catalog.has(name)).collect())
    }
}

/// The values of these keys, as of one moment.
fn cells(connection: &Connection, catalog: &Catalog, keys: &[Key]) -> Result<Vec<Option<Cell>>, Failure> {
    // One transaction is cheaper than one for each statement.
    let several = keys.len() > 1;
    if several {
        connection.prepare_cached("BEGIN")?.raw_execute()?;
    }
    let mut cells = Vec::with_capacity(keys.len());
    for key in keys {
        let mut statement = connection.prepare_cached(&catalog.table(key.collection())?.read)?;
        let mut rows = statement.query([key.id()])?;
        cells.push(rows.next()?.map(|row| rows::cell(key.collection().kind, row)).transpose()?);
    }
    if several {
        connection.prepare_cached("COMMIT")?.raw_execute()?;
    }
    Ok(cells)
}

/// The rows of a planned scan; `None` if they are more than `most`.
fn page(connection: &Connection, scan: &Scan, query: &Query, most: usize) -> Result<Option<Page>, Failure> {
    let index = match scan.by_what() {
        By::Index { index, .. } => Some(*index),
        _ => None,
    };
    let mut statement = connection.prepare_cached(&query.sql)?;
    let mut found = statement.query(params_from_iter(&query.binds))?;
    let mut rows = Vec::new();
    let mut next = None;
    while let Some(row) = found.next()? {
        // The row more that was asked for says only that there is one.
        if rows.len() == scan.rows() {
            return Ok(Some(Page { rows, next }));
        }
        if rows.len() == most {
            return Ok(None);
        }
        let (row, cursor) = rows::scanned(scan, index, row)?;
        rows.push(row);
        next = Some(cursor);
    }
    Ok(Some(Page { rows, next: None }))
}

impl ToSql for Bind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Text(text) => text.to_sql(),
            Self::Int(number) => number.to_sql(),
        }
    }
}
