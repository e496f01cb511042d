//! The one writer: a thread that gathers waiting batches and has the engine commit them as one group.
//!
//! An operating system thread with a runtime of its own and not a task of the caller's, because a runtime
//! may end (in a test, or when a program stops) while a commit runs: here the commit ends all the same.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use i3_core::store::{Batch, CommitError, Durability, Op, Receipt, Schema, StoreError, StoreErrorKind};
use tokio::sync::{mpsc, oneshot};

use super::{Answers, Catalog, Engine, Failure, GroupError, Retry};

/// Batches that may wait for the writer; further callers wait to be let in.
const WAITING: usize = 1024;
/// Most batches of a group.
const GROUP_BATCHES: usize = 256;
/// A group takes no more batches once their bodies have this many bytes.
const GROUP_BYTES: usize = 1024 * 1024;
/// A group waits for callers that the last one answered, as they come back with their next batch: at most this
/// part of the time that the last group took, ...
const LINGER_PART: u32 = 8;
/// ... and at most so long.
const LINGER: Duration = Duration::from_millis(1);

/// What the writer is asked for.
#[derive(Debug)]
enum Command {
    Commit(Job),
    Prepare(Schema, oneshot::Sender<Result<(), Failure>>),
    Close(oneshot::Sender<Result<(), Failure>>),
}

/// Where the answer to a batch goes.
type Reply = oneshot::Sender<Result<Receipt, CommitError>>;

/// A batch and where its answer goes.
#[derive(Debug)]
struct Job {
    batch: Batch,
    reply: Reply,
}

/// What the writer of a store over a database server has done since the store was opened: `batches` over
/// `groups` is how many batches shared one commit of the database on average.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerStats {
    /// Groups that were given to the database, those that failed included.
    pub groups: u64,
    /// Batches in them, those that were refused included.
    pub batches: u64,
    /// How often a group was tried again: a deadlock, another process's commit, a lost connection.
    pub repeats: u64,
}

/// What the writer lets others see.
#[derive(Debug, Default)]
struct Shared {
    catalog: RwLock<Arc<Catalog>>,
    groups: AtomicU64,
    batches: AtomicU64,
    repeats: AtomicU64,
}

/// The store's end of the writer. When it is dropped, the thread finishes what it was given, ends its
/// connection and goes; nobody waits for that.
#[derive(Debug)]
pub(crate) struct Writer {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
    durability: Durability,
}

impl Writer {
    /// Starts a writer over the engine that `open` gives, in a thread of this name.
    pub(crate) async fn start<E, F>(
        name: &str,
        open: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Self, Failure>
    where
        E: Engine,
        F: Future<Output = Result<E, Failure>>,
    {
        let shared = Arc::new(Shared::default());
        let (commands, waiting) = mpsc::channel(WAITING);
        let (ready, opened) = oneshot::channel();
        let view = Arc::clone(&shared);
        let cannot = |error: std::io::Error| {
            Failure::new(StoreErrorKind::Unavailable, "no writer can be started").caused_by(error)
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async move {
                match open().await {
                    Ok(engine) => {
                        // If nobody waits for the store any more, nobody can ask it either, and it ends.
                        let _ = ready.send(Ok(engine.durability()));
                        Serving { engine, shared: view, expected: 1, pace: Duration::ZERO }
                            .serve(waiting)
                            .await;
                    }
                    Err(failure) => drop(ready.send(Err(failure))),
                }
            });
        });
        thread.map_err(cannot)?;
        let durability = opened.await.unwrap_or_else(|_| Err(stopped()))?;
        Ok(Self { commands, shared, durability })
    }

    /// The prepared collections.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.shared.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a commit survives.
    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    /// What was done so far.
    pub(crate) fn stats(&self) -> ServerStats {
        ServerStats {
            groups: self.shared.groups.load(Ordering::Relaxed),
            batches: self.shared.batches.load(Ordering::Relaxed),
            repeats: self.shared.repeats.load(Ordering::Relaxed),
        }
    }

    /// See [`Store::prepare`](i3_core::store::Store::prepare).
    pub(crate) async fn prepare(&self, schema: &Schema) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Prepare(schema.clone(), reply)).await?;
        Ok(answer.await.unwrap_or_else(|_| Err(stopped()))?)
    }

    /// See [`Store::commit`](i3_core::store::Store::commit).
    pub(crate) async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Commit(Job { batch: batch.clone(), reply })).await.map_err(StoreError::from)?;
        answer.await.unwrap_or_else(|_| Err(stopped().told().outcome_unknown().into()))
    }

    /// Finishes what was begun and ends the connection.
    pub(crate) async fn close(self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Close(reply)).await?;
        Ok(answer.await.unwrap_or_else(|_| Err(stopped()))?)
    }

    async fn send(&self, command: Command) -> Result<(), Failure> {
        self.commands.send(command).await.map_err(|_| stopped())
    }
}

fn stopped() -> Failure {
    Failure::new(StoreErrorKind::Unavailable, "the store's writer has stopped: open the store again")
}

/// The thread's end.
struct Serving<E> {
    engine: E,
    shared: Arc<Shared>,
    /// Batches that the next group is to wait for: as many as callers were at work lately.
    expected: usize,
    /// How long the last group took.
    pace: Duration,
}

impl<E: Engine> Serving<E> {
    /// Serves until it is asked to close or nobody can ask any more.
    async fn serve(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut next = commands.recv().await;
        while let Some(command) = next {
            match command {
                Command::Commit(job) => {
                    let linger = LINGER.min(self.pace / LINGER_PART);
                    let (jobs, other) = gather(job, &mut commands, self.expected, linger);
                    let begun = Instant::now();
                    let answered = self.commit(jobs).await;
                    self.pace = begun.elapsed();
                    // Counted before anyone who is answered can come back.
                    self.expected = answered.len() + commands.len();
                    for (reply, answer) in answered {
                        // Whoever asked may have gone.
                        let _ = reply.send(answer);
                    }
                    next = match other {
                        Some(command) => Some(command),
                        None => commands.recv().await,
                    };
                }
                Command::Prepare(schema, reply) => {
                    // Whoever asked may have gone.
                    let _ = reply.send(self.prepare(&schema).await);
                    next = commands.recv().await;
                }
                Command::Close(reply) => {
                    let _ = reply.send(self.engine.close().await);
                    return;
                }
            }
        }
        let _ = self.engine.close().await;
    }

    async fn prepare(&mut self, schema: &Schema) -> Result<(), Failure> {
        let mut retry = Retry::new();
        while let Err(failure) = self.engine.prepare(schema).await {
            if !(failure.again() && retry.another().await) {
                return Err(failure);
            }
            self.shared.repeats.fetch_add(1, Ordering::Relaxed);
        }
        let catalog = Arc::new(Catalog::of(schema));
        *self.shared.catalog.write().unwrap_or_else(PoisonError::into_inner) = catalog;
        Ok(())
    }

    /// Commits a group; gives what to answer to whom.
    async fn commit(&mut self, jobs: Vec<Job>) -> Vec<(Reply, Result<Receipt, CommitError>)> {
        let catalog = Arc::clone(&self.shared.catalog.read().unwrap_or_else(PoisonError::into_inner));
        let (mut known, mut told) = (Vec::with_capacity(jobs.len()), Vec::new());
        for job in jobs {
            match job.batch.ops().iter().try_for_each(|op| catalog.place(op.key().collection()).map(drop)) {
                Ok(()) => known.push(job),
                Err(failure) => told.push((job.reply, Err(failure.told().into()))),
            }
        }
        if known.is_empty() {
            return told;
        }
        self.shared.groups.fetch_add(1, Ordering::Relaxed);
        self.shared.batches.fetch_add(u64::try_from(known.len()).unwrap_or(0), Ordering::Relaxed);
        let batches: Vec<&Batch> = known.iter().map(|job| &job.batch).collect();
        let answers = match self.try_commit(&catalog, &batches).await {
            Ok(answers) => answers,
            Err(GroupError::Before(failure)) => known.iter().map(|_| Err(failure.told().into())).collect(),
            Err(GroupError::Unknown(failure, answers)) => {
                let unknown = answers.into_iter().map(|answer| {
                    // A refusal may rest on a batch before it that did not come about.
                    let error = failure.told();
                    Err(if answer.is_ok() { error.outcome_unknown() } else { error }.into())
                });
                unknown.collect()
            }
        };
        told.extend(known.into_iter().map(|job| job.reply).zip(answers));
        told
    }

    async fn try_commit(&mut self, catalog: &Catalog, batches: &[&Batch]) -> Result<Answers, GroupError> {
        let mut retry = Retry::new();
        loop {
            match self.engine.commit_group(catalog, batches).await {
                Err(GroupError::Before(failure)) if failure.again() && retry.another().await => {
                    self.shared.repeats.fetch_add(1, Ordering::Relaxed);
                }
                result => return result,
            }
        }
    }
}

/// The batches that wait now, and those that come until there are as many as are expected or the time to
/// linger is over, up to a group's limits; and what came between them that is no batch.
fn gather(
    first: Job,
    commands: &mut mpsc::Receiver<Command>,
    expected: usize,
    linger: Duration,
) -> (Vec<Job>, Option<Command>) {
    let mut bytes = weight(&first.batch);
    let mut jobs = vec![first];
    let begun = Instant::now();
    while jobs.len() < GROUP_BATCHES && bytes < GROUP_BYTES {
        match commands.try_recv() {
            Ok(Command::Commit(job)) => {
                bytes += weight(&job.batch);
                jobs.push(job);
            }
            Ok(other) => return (jobs, Some(other)),
            Err(_) if jobs.len() >= expected || begun.elapsed() >= linger => break,
            // No timer is as short as this wait, and the callers may need this processor.
            Err(_) => std::thread::yield_now(),
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

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use i3_core::store::{Applied, BatchBuilder, Collection, Key, Kind, Outcome, Units};

    use super::super::{Decided, Found, Meaning, Stored, decide};
    use super::*;

    static STOCK: Collection =
        Collection { name: "stock", kind: Kind::Counters, about: "", columns: &[], indexes: &[] };

    /// Keeps one counter, and fails as it is told.
    #[derive(Default)]
    struct Fake {
        stock: i64,
        failures: Vec<GroupError>,
        tries: Arc<AtomicU64>,
        crowd: Crowd,
    }

    /// Callers that come back. No group is done before all of them wait again or have gone.
    #[derive(Clone, Default)]
    struct Crowd {
        callers: u64,
        gone: Arc<AtomicU64>,
        /// Batches that were given, as the callers count.
        given: Arc<AtomicU64>,
        /// Those in groups that are done.
        done: u64,
    }

    impl Crowd {
        fn wait(&mut self, batches: usize) {
            if self.callers == 0 {
                return;
            }
            let waiting = || self.callers - self.gone.load(Ordering::SeqCst);
            while self.given.load(Ordering::SeqCst) < self.done + waiting() {
                std::thread::yield_now();
            }
            self.done += u64::try_from(batches).unwrap();
        }
    }

    #[async_trait]
    impl Engine for Fake {
        async fn prepare(&mut self, _: &Schema) -> Result<(), Failure> {
            Ok(())
        }

        async fn commit_group(
            &mut self,
            catalog: &Catalog,
            batches: &[&Batch],
        ) -> Result<Answers, GroupError> {
            self.tries.fetch_add(1, Ordering::Relaxed);
            self.crowd.wait(batches.len());
            let mut stored = Stored::nothing(catalog);
            let row = Found { place: 0, id: "s".to_owned(), number: self.stock, text: None };
            stored.found(catalog, row)?;
            let Decided { answers, group, .. } = decide(catalog, 0, &stored, batches)?;
            match self.failures.pop() {
                Some(GroupError::Before(failure)) => return Err(GroupError::Before(failure)),
                Some(GroupError::Unknown(failure, _)) => return Err(GroupError::Unknown(failure, answers)),
                None => {}
            }
            for (_, change) in group.into_changes() {
                if let i3_core::store::Change::Set(units) = change {
                    self.stock = units.get();
                }
            }
            Ok(answers)
        }

        fn durability(&self) -> Durability {
            Durability::Memory
        }

        async fn close(self) -> Result<(), Failure> {
            Ok(())
        }
    }

    fn deadlock() -> GroupError {
        Failure::of(Meaning::passing(StoreErrorKind::Busy, "deadlock")).into()
    }

    async fn over(failures: Vec<GroupError>) -> (Writer, Arc<AtomicU64>) {
        let tries = Arc::new(AtomicU64::new(0));
        let engine = Fake { stock: 5, failures, tries: Arc::clone(&tries), crowd: Crowd::default() };
        (started(engine).await, tries)
    }

    async fn started(engine: Fake) -> Writer {
        let writer = Writer::start("fake", || async { Ok(engine) }).await.unwrap();
        writer.prepare(&Schema::new(1, &[&STOCK]).unwrap()).await.unwrap();
        writer
    }

    fn take(by: i64) -> Batch {
        let key = Key::new(&STOCK, "s").unwrap();
        BatchBuilder::new().adjust(key, Units::new(-by).unwrap(), Units::ZERO).build().unwrap()
    }

    fn store_error(result: Result<Receipt, CommitError>) -> StoreError {
        match result {
            Err(CommitError::Store(error)) => error,
            other => panic!("not a failure of the store: {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_deadlock_is_tried_again() {
        let (writer, tries) = over(vec![deadlock(), deadlock()]).await;
        let receipt = writer.commit(&take(2)).await.unwrap();
        assert_eq!(receipt.outcomes, [Outcome::Adjusted(Units::new(3).unwrap())]);
        assert_eq!(tries.load(Ordering::Relaxed), 3);
        assert_eq!(writer.stats(), ServerStats { groups: 1, batches: 1, repeats: 2 });
    }

    #[tokio::test]
    async fn deadlocks_without_end_are_told_as_busy_and_not_applied() {
        let (writer, _) = over((0..100).map(|_| deadlock()).collect()).await;
        let error = store_error(writer.commit(&take(2)).await);
        assert_eq!((error.kind(), error.applied()), (StoreErrorKind::Busy, Applied::No));
    }

    #[tokio::test]
    async fn a_lasting_failure_is_not_tried_again() {
        let full = Failure::of(Meaning::lasting(StoreErrorKind::Unavailable, "the disk is full"));
        let (writer, tries) = over(vec![full.into()]).await;
        let error = store_error(writer.commit(&take(2)).await);
        assert_eq!((error.kind(), error.applied()), (StoreErrorKind::Unavailable, Applied::No));
        assert_eq!(tries.load(Ordering::Relaxed), 1);
        writer.commit(&take(2)).await.unwrap();
    }

    #[tokio::test]
    async fn an_unknown_outcome_is_never_tried_again_and_told_to_those_who_may_be_committed() {
        let lost = || GroupError::Unknown(Failure::of(Meaning::lost("lost")), Vec::new());
        let (writer, tries) = over(vec![lost(), lost()]).await;
        let error = store_error(writer.commit(&take(2)).await);
        assert_eq!((error.kind(), error.applied()), (StoreErrorKind::Unavailable, Applied::Unknown));
        let refused = store_error(writer.commit(&take(6)).await);
        assert_eq!(refused.applied(), Applied::No);
        assert_eq!(tries.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn callers_that_come_back_share_groups() {
        const CALLERS: u64 = 16;
        const EACH: u64 = 50;
        let crowd = Crowd { callers: CALLERS, ..Crowd::default() };
        let writer = Arc::new(started(Fake { crowd: crowd.clone(), ..Fake::default() }).await);
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..CALLERS {
            let (writer, crowd) = (Arc::clone(&writer), crowd.clone());
            callers.spawn(async move {
                for _ in 0..EACH {
                    crowd.given.fetch_add(1, Ordering::SeqCst);
                    writer.commit(&take(0)).await.unwrap();
                }
                crowd.gone.fetch_add(1, Ordering::SeqCst);
            });
        }
        callers.join_all().await;
        let ServerStats { groups, batches, .. } = writer.stats();
        assert_eq!(batches, CALLERS * EACH);
        // Whoever was counted and had not given its batch yet is in the next group.
        assert!(groups <= batches / 4, "{groups} groups");
    }

    #[tokio::test]
    async fn an_undeclared_collection_is_refused_without_the_engine() {
        static OTHER: Collection =
            Collection { name: "other", kind: Kind::Counters, about: "", columns: &[], indexes: &[] };
        let (writer, tries) = over(Vec::new()).await;
        let key = Key::new(&OTHER, "s").unwrap();
        let batch = BatchBuilder::new().adjust(key, Units::ZERO, Units::ZERO).build().unwrap();
        assert_eq!(store_error(writer.commit(&batch).await).kind(), StoreErrorKind::Unsupported);
        assert_eq!(tries.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_closed_writer_has_finished_what_it_was_given() {
        let (writer, tries) = over(Vec::new()).await;
        let batch = take(1);
        let given = writer.commit(&batch);
        // Polled once, so that the batch is on its way, then dropped.
        let _ = tokio::time::timeout(std::time::Duration::ZERO, given).await;
        writer.close().await.unwrap();
        assert_eq!(tries.load(Ordering::Relaxed), 1);
    }
}
