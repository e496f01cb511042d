//! A store in one file, kept by [redb](https://docs.rs/redb).
//!
//! redb gives transactions: one writer, readers on snapshots, and a commit that is synced when it returns.
//! What is left to do is in four files: `layout` says how keys and values become bytes, `reader` reads and
//! scans, `writer` is the one thread that commits, and this one opens the file and ties them together.

mod layout;
mod reader;
mod writer;

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use async_trait::async_trait;
use i3_core::store::{
    Batch, Cell, Collection, CommitError, Durability, Key, Page, Receipt, Scan, Schema, Store, StoreError,
    StoreErrorKind,
};
use redb::{Database, DatabaseError, ReadableDatabase, StorageError, TableDefinition};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use writer::Waiting;

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("i3");
/// Batches that may wait for the writer; further callers wait to be let in.
const QUEUE: usize = 1_024;

fn failed(what: &str, error: impl StdError + Send + Sync + 'static) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, format!("redb could not {what}: {error}")).with_source(error)
}

fn corrupt(what: impl fmt::Display) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, format!("{what}: the file holds what was never written there"))
}

fn writer_gone() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the store's writer is gone: open the store again")
}

/// A store in one file. One process at a time can have it open.
///
/// Commits are durable against loss of power, as far as redb and the disk do what they say. Reads and scans
/// are done in place: they block the calling task while the disk is asked. Dropping the store finishes the
/// commits that were begun.
pub struct RedbStore {
    db: Arc<Database>,
    declared: RwLock<Vec<&'static Collection>>,
    /// `None` only while dropping.
    queue: Option<mpsc::Sender<Waiting>>,
    writer: Option<JoinHandle<()>>,
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").finish_non_exhaustive()
    }
}

impl RedbStore {
    /// Opens the store in this file, and makes it if there is none.
    ///
    /// Fails with [`StoreErrorKind::Busy`] if it is open already, `Corrupt` if the file is none of redb's,
    /// `Incompatible` if an older redb wrote it, `Misconfigured` if the file cannot be used.
    pub fn open(file: impl AsRef<Path>) -> Result<Self, StoreError> {
        let file = file.as_ref();
        let db = Arc::new(Database::create(file).map_err(|error| {
            let kind = match &error {
                DatabaseError::DatabaseAlreadyOpen => StoreErrorKind::Busy,
                DatabaseError::UpgradeRequired(_) | DatabaseError::LockProtocolMismatch => {
                    StoreErrorKind::Incompatible
                }
                DatabaseError::Storage(StorageError::Corrupted(_)) => StoreErrorKind::Corrupt,
                DatabaseError::Storage(StorageError::Io(error)) => match error.kind() {
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => StoreErrorKind::Corrupt,
                    io::ErrorKind::NotFound
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::IsADirectory
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::ReadOnlyFilesystem => StoreErrorKind::Misconfigured,
                    _ => StoreErrorKind::Unavailable,
                },
                _ => StoreErrorKind::Unavailable,
            };
            let message = format!("the store `{}` cannot be opened: {error}", file.display());
            StoreError::new(kind, message).with_source(error)
        })?);
        // redb syncs the file; that the file is in its folder has to be synced too.
        if let Some(folder) = file.canonicalize().ok().as_deref().and_then(Path::parent) {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(|error| failed("sync the store's folder", error))?;
        }
        let (queue, waiting) = mpsc::channel(QUEUE);
        let writers = Arc::clone(&db);
        let writer = std::thread::Builder::new()
            .name("redb-writer".to_owned())
            .spawn(move || writer::run(&writers, waiting))
            .map_err(|error| failed("start its writer", error))?;
        Ok(Self { db, declared: RwLock::default(), queue: Some(queue), writer: Some(writer) })
    }

    /// Refuses what the last schema does not name.
    fn known(&self, collection: &Collection) -> Result<(), StoreError> {
        let declared = self.declared.read().unwrap_or_else(PoisonError::into_inner);
        if declared.iter().any(|known| known.same_shape(collection)) {
            return Ok(());
        }
        let message = format!("the collection `{}` was not prepared", collection.name);
        Err(StoreError::new(StoreErrorKind::Unsupported, message))
    }

    /// The table as it is now, and stays for this reader.
    fn snapshot(&self) -> Result<redb::ReadOnlyTable<&'static [u8], &'static [u8]>, StoreError> {
        let transaction = self.db.begin_read().map_err(|error| failed("begin a read", error))?;
        transaction.open_table(TABLE).map_err(|error| failed("open its table", error))
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            // If it panicked, whoever waited for it has been told.
            let _ = writer.join();
        }
    }
}

/// What decides how a collection lies in the table.
fn shape(collection: &Collection) -> Value {
    let columns = collection.columns.iter().map(|of| json!([of.name, format!("{:?}", of.kind)]));
    let indexes = collection.indexes.iter().map(|of| json!([of.name, of.columns]));
    json!({
        "kind": format!("{:?}", collection.kind),
        "columns": columns.collect::<Vec<_>>(),
        "indexes": indexes.collect::<Vec<_>>(),
    })
}

/// The highest revision that was prepared, and the shape of every collection that ever was.
type Description = (u32, BTreeMap<String, Value>);

/// The description of what is stored.
fn stored(present: Option<&[u8]>) -> Result<Description, StoreError> {
    match present {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|_| corrupt("the schema")),
        None => Ok((0, BTreeMap::new())),
    }
}

/// The description of what is stored, with what the schema adds to it.
fn described(present: Option<&[u8]>, schema: &Schema) -> Result<Description, StoreError> {
    let incompatible = |message| Err(StoreError::new(StoreErrorKind::Incompatible, message));
    let (stored, mut shapes) = stored(present)?;
    let known = schema.revision();
    if stored > known {
        return incompatible(format!(
            "the data are of revision {stored}, this program knows revision {known}: use a newer version"
        ));
    }
    for collection in schema.collections() {
        let wanted = shape(collection);
        let stored = shapes.entry(collection.name.to_owned()).or_insert_with(|| wanted.clone());
        if *stored != wanted {
            return incompatible(format!(
                "the collection `{}` is stored with another kind, columns or indexes",
                collection.name
            ));
        }
    }
    Ok((known, shapes))
}

#[async_trait]
impl Store for RedbStore {
    async fn prepare(&self, schema: &Schema) -> Result<(), StoreError> {
        let transaction = writer::begin(&self.db)?;
        {
            let mut table = transaction.open_table(TABLE).map_err(|error| failed("open its table", error))?;
            let description = described(reader::get(&table, layout::SCHEMA)?.as_deref(), schema)?;
            let text =
                serde_json::to_vec(&description).map_err(|error| failed("describe the schema", error))?;
            writer::insert(&mut table, layout::SCHEMA, &text)?;
        }
        transaction.commit().map_err(|error| failed("commit", error).outcome_unknown())?;
        *self.declared.write().unwrap_or_else(PoisonError::into_inner) = schema.collections().to_vec();
        Ok(())
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        for key in keys {
            self.known(key.collection())?;
        }
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let table = self.snapshot()?;
        keys.iter().map(|key| reader::cell(&table, key)).collect()
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        self.known(scan.collection())?;
        reader::scan(&self.snapshot()?, scan)
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        for op in batch.ops() {
            self.known(op.key().collection())?;
        }
        let (answer, decided) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(writer_gone)?;
        queue.send(Waiting { batch: batch.clone(), answer }).await.map_err(|_| writer_gone())?;
        // The writer took it and died: perhaps after the commit.
        decided.await.map_err(|_| writer_gone().outcome_unknown())?
    }

    fn durability(&self) -> Durability {
        Durability::PowerLoss
    }

    async fn unnamed(&self) -> Result<Vec<String>, StoreError> {
        let (_, shapes) = stored(reader::get(&self.snapshot()?, layout::SCHEMA)?.as_deref())?;
        let declared = self.declared.read().unwrap_or_else(PoisonError::into_inner);
        let named = |name: &String| declared.iter().any(|known| known.name == *name);
        Ok(shapes.into_keys().filter(|name| !named(name)).collect())
    }
}
