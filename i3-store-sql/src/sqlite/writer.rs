//! The one writer: a thread that gathers waiting batches and commits them as one group.
//!
//! An operating system thread and not a task of the caller's runtime, because a runtime may end (in a test,
//! or when a program stops) while a commit runs: here the commit ends first, callers that went away
//! notwithstanding, and dropping the store waits for that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use i3_core::store::{Batch, CommitError, Op, Receipt, Revisions, Schema, StoreError};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::cache::ReadCache;
use super::catalog::Catalog;
use super::commit::{GroupError, commit_group};
use super::connection::Database;
use super::error::Failure;
use super::lock::StoreLock;
use super::schema;

/// Batches that may wait for the writer; further callers wait to be let in.
pub(super) const WAITING: usize = 1024;
/// Most batches of a group.
const GROUP_BATCHES: usize = 256;
/// A group takes no more batches once their bodies have this many bytes.
const GROUP_BYTES: usize = 1024 * 1024;
/// How often in a row the writer gives way, without a batch arriving, before it closes a group. The
/// callers that the last group answered need that moment to come back: without it groups are half as large
/// as they could be. A lone caller loses some microseconds.
const GIVE_WAY: u32 = 8;

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Command {
    Commit(Job),
    Prepare(Schema, oneshot::Sender<Result<(), Failure>>),
    Close(oneshot::Sender<Result<(), Failure>>),
}

/// A batch and where its answer goes.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) batch: Batch,
    pub(super) reply: oneshot::Sender<Result<Receipt, CommitError>>,
}

/// What the writer lets others see.
#[derive(Debug)]
pub(super) struct Shared {
    catalog: RwLock<Arc<Catalog>>,
    pub(super) cache: ReadCache,
    pub(super) revisions: Revisions,
    pub(super) groups: AtomicU64,
    pub(super) batches: AtomicU64,
}

impl Shared {
    /// Nothing is prepared or done; at most so many bytes of what is read are remembered.
    pub(super) fn new(cache_bytes: usize) -> Self {
        Self {
            catalog: RwLock::default(),
            cache: ReadCache::new(cache_bytes),
            revisions: Revisions::default(),
            groups: AtomicU64::new(0),
            batches: AtomicU64::new(0),
        }
    }

    /// The prepared collections.
    pub(super) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The writer's own things.
struct Writer {
    database: Database,
    /// None after a failure, until the next group.
    connection: Option<Connection>,
    shared: Arc<Shared>,
    /// Given up last.
    _lock: StoreLock,
}

/// The body of the writer's thread. Says on `ready` whether the store is open, then serves until it is
/// asked to close or nobody can ask any more.
pub(super) fn run(
    database: Database,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    ready: oneshot::Sender<Result<(), Failure>>,
) {
    match Writer::open(database, shared) {
        Ok(writer) => {
            // If nobody waits for the store any more, nobody can ask it either, and it closes.
            let _ = ready.send(Ok(()));
            writer.serve(commands);
        }
        Err(failure) => drop(ready.send(Err(failure))),
    }
}

impl Writer {
    fn open(database: Database, shared: Arc<Shared>) -> Result<Self, Failure> {
        let lock = StoreLock::take(&database.path)?;
        let mut connection = database.writer()?;
        schema::adopt(&mut connection)?;
        Ok(Self { database, connection: Some(connection), shared, _lock: lock })
    }

    fn serve(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut next = commands.blocking_recv();
        while let Some(command) = next {
            match command {
                Command::Commit(job) => {
                    let (jobs, other) = gather(job, &mut commands);
                    self.commit(jobs);
                    next = other.or_else(|| commands.blocking_recv());
                }
                Command::Prepare(schema, reply) => {
                    // Whoever asked may have gone.
                    let _ = reply.send(self.prepare(&schema));
                    next = commands.blocking_recv();
                }
                Command::Close(reply) => {
                    let _ = reply.send(self.close());
                    return;
                }
            }
        }
        let _ = self.close();
    }

    /// The connection. After a failure it may have an open transaction or worse: then it is taken away,
    /// and this opens another.
    fn connection(&mut self) -> Result<&mut Connection, Failure> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.database.writer()?,
        };
        Ok(self.connection.insert(connection))
    }

    fn prepare(&mut self, schema: &Schema) -> Result<(), Failure> {
        schema::prepare(self.connection()?, schema)?;
        let catalog = Arc::new(Catalog::of(schema));
        *self.shared.catalog.write().unwrap_or_else(PoisonError::into_inner) = catalog;
        Ok(())
    }

    /// Commits a group and answers its callers; those that have gone are not missed.
    fn commit(&mut self, jobs: Vec<Job>) {
        let catalog = self.shared.catalog();
        let mut known = Vec::with_capacity(jobs.len());
        for job in jobs {
            match job.batch.ops().iter().try_for_each(|op| catalog.table(op.key().collection()).map(drop)) {
                Ok(()) => known.push(job),
                Err(failure) => drop(job.reply.send(Err(failure.told().into()))),
            }
        }
        if known.is_empty() {
            return;
        }
        let batches: Vec<&Batch> = known.iter().map(|job| &job.batch).collect();
        let shared = Arc::clone(&self.shared);
        let result = match self.connection() {
            Ok(connection) => commit_group(connection, &catalog, &shared.cache, &batches),
            Err(failure) => Err(failure.into()),
        };
        self.shared.revisions.changed(batches);
        self.shared.groups.fetch_add(1, Ordering::Relaxed);
        self.shared.batches.fetch_add(u64::try_from(known.len()).unwrap_or(0), Ordering::Relaxed);
        match result {
            Ok(answers) => {
                for (job, answer) in known.into_iter().zip(answers) {
                    let _ = job.reply.send(answer);
                }
            }
            Err(GroupError::Before(failure)) => {
                self.connection = None;
                for job in known {
                    let _ = job.reply.send(Err(failure.told().into()));
                }
            }
            Err(GroupError::Commit(failure, answers)) => {
                self.connection = None;
                for (job, answer) in known.into_iter().zip(answers) {
                    // A refusal may rest on a batch before it that did not come about.
                    let error: StoreError = match answer {
                        Ok(_) => failure.told().outcome_unknown(),
                        Err(_) => failure.told(),
                    };
                    let _ = job.reply.send(Err(error.into()));
                }
            }
        }
    }

    /// Moves the log into the database and closes it, then gives up the lock.
    fn close(mut self) -> Result<(), Failure> {
        if let Some(connection) = self.connection.take() {
            let moved = connection.pragma_update(None, "wal_checkpoint", "truncate");
            connection.close().map_err(|(_, error)| error)?;
            moved?;
        }
        Ok(())
    }
}

/// The batches that wait now or come while the writer gives way, up to a group's limits, and what came
/// between them that is no batch.
fn gather(first: Job, commands: &mut mpsc::Receiver<Command>) -> (Vec<Job>, Option<Command>) {
    let mut bytes = weight(&first.batch);
    let mut jobs = vec![first];
    let mut quiet = 0;
    while jobs.len() < GROUP_BATCHES && bytes < GROUP_BYTES && quiet < GIVE_WAY {
        match commands.try_recv() {
            Ok(Command::Commit(job)) => {
                bytes += weight(&job.batch);
                jobs.push(job);
                quiet = 0;
            }
            Ok(other) => return (jobs, Some(other)),
            Err(_) => {
                quiet += 1;
                std::thread::yield_now();
            }
        }
    }
    (jobs, None)
}

/// The bytes of a batch's bodies.
fn weight(batch: &Batch) -> usize {
    let body = |op: &Op| match op {
        Op::Create(draft) | Op::Replace { with: draft, .. } => draft.body().as_str().len(),
        Op::Append { body, .. } => body.as_str().len(),
        _ => 0,
    };
    batch.ops().iter().map(body).sum()
}
