//! Opening, asking, closing.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use i3_core::store::{
    Batch, Cell, Collection, CommitError, Durability, Key, Page, Receipt, Revision, Revisions, Scan, Schema,
    Store, StoreError, StoreErrorKind,
};
use tokio::sync::{mpsc, oneshot};

use crate::committer::{Committer, Request, Sync, Waiting};
use crate::description::Description;
use crate::error::{failed, io_failed, is_locked, writer_gone};
use crate::{layout, reader};

/// Batches that may wait for the writer; further callers wait to be let in.
const QUEUE: usize = 1_024;
/// Pages of more rows than this are read on a thread that may block.
const SHORT_PAGE: usize = 100;
/// How often and how long an open waits for another handle in this process to let go of the file: sled's
/// own threads may hold it for some milliseconds after the last handle was dropped, on a busy machine for longer.
const LOCK_TRIES: u32 = 130;
const LOCK_PAUSE: Duration = Duration::from_millis(15);
/// Beside sled's files: says that there was a store here, so that an emptied one is not taken for new.
const MARK: &str = "i3-store";

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct SledOptions {
    cache_bytes: u64,
    sync: bool,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 * 1024 * 1024, sync: true }
    }
}

impl SledOptions {
    /// 64 MiB of cache, every commit durable against loss of power.
    pub fn new() -> Self {
        Self::default()
    }

    /// About how much memory sled may use for what it has read, in bytes. Its own tables come on top.
    pub fn with_cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Leaves out the sync of each group of commits. They then survive the process being killed, and
    /// only about those older than half a second survive loss of power:
    /// [`durability`](Store::durability) is [`Durability::ProcessCrash`].
    pub fn without_sync(mut self) -> Self {
        self.sync = false;
        self
    }

    /// Opens the store in this folder, and makes folder and store if there is none.
    ///
    /// Blocks while sled reads its log: seconds for hundreds of megabytes. Fails with
    /// [`StoreErrorKind::Busy`] if the folder is open already, in this process or another;
    /// `Incompatible` if the data are of another format; `Corrupt` if sled cannot make sense of them or
    /// they are gone; `Misconfigured` if the folder belongs to something else or may not be used.
    pub fn open(&self, folder: impl AsRef<Path>) -> Result<SledStore, StoreError> {
        let folder = folder.as_ref();
        let db = self.open_db(folder)?;
        claim(&db, folder)?;
        let sync: Sync = if self.sync {
            // sled's flush does not sync. A sync is about the file, not the handle, so a second handle serves.
            let file =
                File::open(folder.join("db")).map_err(|error| io_failed("open the store's file", error))?;
            sync_folder(folder).map_err(|error| io_failed("sync the store's folder", error))?;
            Box::new(move || file.sync_data())
        } else {
            Box::new(|| Ok(()))
        };
        let in_flight = Arc::new(AtomicUsize::new(0));
        let revisions = Arc::new(Revisions::default());
        let committer = Committer::new((*db).clone(), sync, Arc::clone(&in_flight), Arc::clone(&revisions))?;
        let (queue, requests) = mpsc::channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("i3-sled-writer".to_owned())
            .spawn(move || committer.run(requests))
            .map_err(|error| io_failed("start the store's writer", error))?;
        let durability = if self.sync { Durability::PowerLoss } else { Durability::ProcessCrash };
        Ok(SledStore {
            tree: (*db).clone(),
            schema: RwLock::new(None),
            in_flight,
            revisions,
            durability,
            queue: Some(queue),
            writer: Some(writer),
        })
    }

    fn open_db(&self, folder: &Path) -> Result<sled::Db, StoreError> {
        let config = sled::Config::new().path(folder).cache_capacity(self.cache_bytes);
        let mut tries = 1;
        loop {
            // sled panics over some files that it cannot make sense of.
            let opened = catch_unwind(AssertUnwindSafe(|| config.open())).map_err(|_| {
                StoreError::new(StoreErrorKind::Corrupt, "sled cannot make sense of the store's files")
            })?;
            match opened {
                Err(error) if is_locked(&error) => {
                    if tries == LOCK_TRIES {
                        let message = "the store is open already, in another process or in this one";
                        return Err(StoreError::new(StoreErrorKind::Busy, message).with_source(error));
                    }
                    tries += 1;
                    std::thread::sleep(LOCK_PAUSE);
                }
                other => return other.map_err(|error| failed("open the store", error)),
            }
        }
    }
}

/// Makes sure that the folder holds a store of this format, or nothing yet.
fn claim(db: &sled::Db, folder: &Path) -> Result<(), StoreError> {
    let mark = folder.join(MARK);
    let marked = mark.try_exists().map_err(|error| io_failed("look into the store's folder", error))?;
    match db.get(layout::FORMAT).map_err(|error| failed("read its format", error))? {
        Some(format) if format == layout::FORMAT_NUMBER => {}
        Some(_) => {
            let message = "the store was written in another format: use the version that wrote it";
            return Err(StoreError::new(StoreErrorKind::Incompatible, message));
        }
        None if marked => {
            let message = "there was a store in this folder, and its data are gone";
            return Err(StoreError::new(StoreErrorKind::Corrupt, message));
        }
        None if !db.is_empty() || db.tree_names().len() > 1 => {
            let message = "the folder holds sled data of another program";
            return Err(StoreError::new(StoreErrorKind::Misconfigured, message));
        }
        None => {
            db.insert(layout::FORMAT, layout::FORMAT_NUMBER)
                .map_err(|error| failed("write its format", error))?;
            db.flush().map_err(|error| failed("flush", error))?;
            File::open(folder.join("db"))
                .and_then(|file| file.sync_all())
                .map_err(|error| io_failed("sync the store's file", error))?;
        }
    }
    if !marked {
        // After the format: a mark without one means loss. The folder is synced after this.
        fs::write(&mark, "Made by i3-store-sled. Do not remove.\n")
            .map_err(|error| io_failed("mark the store's folder", error))?;
    }
    Ok(())
}

/// Syncs every file of the folder, and the folder and its parent for their names: sled writes some files
/// when it opens, and syncs none of them.
fn sync_folder(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    #[cfg(unix)]
    {
        let folder = folder.canonicalize()?;
        File::open(&folder)?.sync_all()?;
        if let Some(parent) = folder.parent() {
            File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

/// A store in a folder of its own, kept by sled. See the [crate](crate) for what it promises and what not.
///
/// Dropping it finishes the commits that were begun, which blocks for as long as that takes, and lets go
/// of the folder.
#[derive(Debug)]
pub struct SledStore {
    tree: sled::Tree,
    schema: RwLock<Option<Schema>>,
    in_flight: Arc<AtomicUsize>,
    revisions: Arc<Revisions>,
    durability: Durability,
    /// `None` only while dropping.
    queue: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
}

impl SledStore {
    /// Opens the store in this folder with [`SledOptions::new`]; see [`SledOptions::open`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, StoreError> {
        SledOptions::new().open(folder)
    }

    fn known(&self, collection: &Collection) -> Result<(), StoreError> {
        let schema = self.schema.read().unwrap_or_else(PoisonError::into_inner);
        let declared = schema.as_ref().and_then(|schema| schema.collection(collection.name));
        if declared == Some(collection) {
            Ok(())
        } else {
            let message = format!("the collection `{}` was not prepared", collection.name);
            Err(StoreError::new(StoreErrorKind::Unsupported, message))
        }
    }

    async fn ask(&self, request: Request) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().ok_or_else(writer_gone)?;
        queue.send(request).await.map_err(|_| writer_gone())
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            // If it panicked, whoever waited for it has been told.
            let _ = writer.join();
        }
    }
}

/// Counts a commit from its begin to its end, also if its future is dropped.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Store for SledStore {
    async fn prepare(&self, schema: &Schema) -> Result<(), StoreError> {
        let (answer, prepared) = oneshot::channel();
        self.ask(Request::Prepare(schema.clone(), answer)).await?;
        prepared.await.map_err(|_| writer_gone().outcome_unknown())??;
        *self.schema.write().unwrap_or_else(PoisonError::into_inner) = Some(schema.clone());
        Ok(())
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        for key in keys {
            self.known(key.collection())?;
        }
        keys.iter().map(|key| reader::read(&self.tree, key)).collect()
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        self.known(scan.collection())?;
        if scan.rows() <= SHORT_PAGE {
            return reader::scan(&self.tree, scan);
        }
        let (tree, scan) = (self.tree.clone(), scan.clone());
        tokio::task::spawn_blocking(move || reader::scan(&tree, &scan)).await.map_err(|error| {
            StoreError::new(StoreErrorKind::Unavailable, "the scan did not come to its end")
                .with_source(error)
        })?
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        for op in batch.ops() {
            self.known(op.key().collection())?;
        }
        let _in_flight = InFlight::begin(&self.in_flight);
        let (answer, decided) = oneshot::channel();
        self.ask(Request::Commit(Waiting { batch: batch.clone(), answer })).await?;
        decided.await.map_err(|_| writer_gone().outcome_unknown())?
    }

    fn durability(&self) -> Durability {
        self.durability
    }

    fn revision(&self, collections: &[&Collection]) -> Option<Revision> {
        Some(self.revisions.of(collections))
    }

    async fn unnamed(&self) -> Result<Vec<String>, StoreError> {
        let stored = Description::stored(&self.tree)?.unwrap_or_default();
        let schema = self.schema.read().unwrap_or_else(PoisonError::into_inner);
        let named = |name: &str| schema.as_ref().is_some_and(|schema| schema.collection(name).is_some());
        Ok(stored.names().filter(|name| !named(name)).map(ToOwned::to_owned).collect())
    }
}
