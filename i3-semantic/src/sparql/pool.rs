//! Workers, few at a time, and who waits for them.

use super::worker::{ADD, ANSWER, EVALUATION, FAILED, QUERY, READY, REMOVE, TOO_LARGE, receive, send};
use super::{Admitted, AnswerFormat, MAX_ANSWER};
use crate::graph::{Change, Revision, Snapshot};
use oxigraph::model::Quad;
use std::fmt::{self, Write as _};
use std::io::{self, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Where a worker gets its copy of a graph.
pub trait Source: Send + Sync + 'static {
    /// The graph as it is now.
    fn snapshot(&self) -> Snapshot;

    /// What changed since: [`Graph::since`](crate::graph::Graph::since).
    fn since(&self, revision: Revision) -> Option<Vec<Arc<Change>>>;
}

/// How many workers there are and what a query may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolOptions {
    /// Workers, and so queries at a time. Each holds a copy of each graph.
    pub workers: usize,
    /// Queries that may wait for a worker; more are told that it is busy.
    pub waiting: usize,
    /// How long a query may wait.
    pub patience: Duration,
    /// How long a query may take. Then its worker is killed.
    pub deadline: Duration,
    /// How much memory a query may use, in bytes.
    pub memory: u64,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            workers: 2,
            waiting: 8,
            patience: Duration::from_secs(2),
            deadline: Duration::from_secs(5),
            memory: 512 * 1024 * 1024,
        }
    }
}

/// Why an admitted query has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryFailure {
    /// All workers have work, and enough queries wait. Try again later (HTTP: 503).
    #[error("too many queries at once; try again later")]
    Busy,
    /// No worker could be started (HTTP: 503).
    #[error("queries cannot be carried out now: {0}")]
    Unavailable(String),
    /// It took longer than it may.
    #[error("the query took longer than {} seconds", .0.as_secs())]
    TooSlow(Duration),
    /// The worker died of it: it needed more memory or stack than there is.
    #[error("the query needs more memory than it may use")]
    TooMuch,
    /// The answer is longer than [`MAX_ANSWER`].
    #[error("the answer is longer than {MAX_ANSWER} bytes")]
    TooLarge,
    /// The format is not for this kind of query.
    #[error("this format is not for this kind of query")]
    WrongFormat,
    /// The query cannot be evaluated.
    #[error("{0}")]
    Evaluation(String),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// In the format that was asked for.
    pub text: Vec<u8>,
    /// Of which state of the graph.
    pub revision: Revision,
}

/// From so many removed quads on a worker starts anew: its store does not forget them.
const MAX_REMOVED: usize = 200_000;
/// Bytes of N-Quads in one message.
const CHUNK: usize = 4 * 1024 * 1024;
/// How long loading may take.
const LOADING: Duration = Duration::from_mins(5);
/// Until a worker that could not be started is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Workers that carry out queries of one graph, a few at a time. Cloning gives another handle of the same pool.
#[derive(Clone, Debug)]
pub struct WorkerPool {
    pool: Arc<Pool>,
    /// Which of the pool's graphs is asked.
    graph: u8,
}

struct Pool {
    command: Box<dyn Fn() -> Command + Send + Sync>,
    sources: Vec<Box<dyn Source>>,
    options: PoolOptions,
    state: Mutex<State>,
    freed: Condvar,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool").field("options", &self.options).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    begun: bool,
    idle: Vec<Worker>,
    waiting: usize,
    /// Why no worker could be started, the last time it was tried.
    broken: Option<String>,
}

struct Worker {
    child: Child,
    input: BufWriter<ChildStdin>,
    replies: Receiver<(u8, Vec<u8>)>,
    /// What it knows of each graph.
    revisions: Vec<Revision>,
    removed: usize,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl WorkerPool {
    /// A pool whose workers are started by `command`, which ends up in [`super::worker::run`] over its standard input and
    /// output. They are started when the first query comes, and load their copies of the graph in the background.
    pub fn new(
        command: impl Fn() -> Command + Send + Sync + 'static,
        source: impl Source,
        options: PoolOptions,
    ) -> Self {
        let [one] = Self::over(command, [Box::new(source)], options);
        one
    }

    /// Such a pool over several graphs, of each of which its workers have copies, and a handle for the queries of each.
    /// A query sees one graph. There are 256 at most: what is more has no handle of its own.
    pub fn over<const N: usize>(
        command: impl Fn() -> Command + Send + Sync + 'static,
        sources: [Box<dyn Source>; N],
        options: PoolOptions,
    ) -> [Self; N] {
        let pool = Arc::new(Pool {
            command: Box::new(command),
            sources: sources.into(),
            options,
            state: Mutex::default(),
            freed: Condvar::new(),
        });
        std::array::from_fn(|graph| Self {
            pool: pool.clone(),
            graph: u8::try_from(graph).unwrap_or(u8::MAX),
        })
    }

    /// Carries out a query. It blocks: for [`PoolOptions::patience`] and [`PoolOptions::deadline`] at most, beside what
    /// is needed to tell the worker of changes.
    ///
    /// # Errors
    ///
    /// [`QueryFailure`] says why there is no answer.
    pub fn query(
        &self,
        text: &str,
        admitted: &Admitted,
        format: AnswerFormat,
    ) -> Result<Answer, QueryFailure> {
        if admitted.is_graph() != format.is_graph() {
            return Err(QueryFailure::WrongFormat);
        }
        let mut worker = self.pool.acquire()?;
        let revision = worker.revisions.get(usize::from(self.graph)).copied();
        let revision =
            revision.ok_or_else(|| QueryFailure::Unavailable("there is no such graph".to_owned()))?;
        match worker.ask(self.graph, text, format, &self.pool.options) {
            Ok(reply) => {
                self.pool.release(worker);
                reply.map(|text| Answer { text, revision })
            }
            Err(failure) => {
                drop(worker);
                start(&self.pool);
                Err(failure)
            }
        }
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock; were it so, the state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker that knows the graph as it is now.
    fn acquire(self: &Arc<Self>) -> Result<Worker, QueryFailure> {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.begun, true) {
            for _ in 0..self.options.workers.max(1) {
                start(self);
            }
        }
        if state.idle.is_empty() && state.waiting >= self.options.waiting {
            return Err(QueryFailure::Busy);
        }
        state.waiting += 1;
        let mut found = None;
        // Those who fell too far behind start anew; each is met once.
        for _ in 0..=self.options.workers {
            let (waited, _) = self
                .freed
                .wait_timeout_while(state, self.options.patience, |state| state.idle.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            state = waited;
            let Some(mut worker) = state.idle.pop() else { break };
            drop(state);
            let follows = self.follow(&mut worker);
            if follows {
                found = Some(worker);
            } else {
                drop(worker);
                start(self);
            }
            state = self.lock();
            if follows {
                break;
            }
        }
        state.waiting -= 1;
        match (found, &state.broken) {
            (Some(worker), _) => Ok(worker),
            (None, Some(reason)) => Err(QueryFailure::Unavailable(reason.clone())),
            (None, None) => Err(QueryFailure::Busy),
        }
    }

    fn release(self: &Arc<Self>, worker: Worker) {
        if worker.removed > MAX_REMOVED {
            drop(worker);
            start(self);
            return;
        }
        self.lock().idle.push(worker);
        self.freed.notify_one();
    }

    /// Tells the worker all changes that it does not know; says whether it knows them all then.
    fn follow(&self, worker: &mut Worker) -> bool {
        for (graph, source) in (0..=u8::MAX).zip(&self.sources) {
            let Some(known) = worker.revisions.get(usize::from(graph)).copied() else { return false };
            let Some(news) = source.since(known) else { return false };
            for change in news {
                if worker.send(REMOVE, graph, &change.removed).is_err()
                    || worker.send(ADD, graph, &change.added).is_err()
                {
                    return false;
                }
                worker.removed = worker.removed.saturating_add(change.removed.len());
                if let Some(revision) = worker.revisions.get_mut(usize::from(graph)) {
                    *revision = revision.next();
                }
            }
        }
        true
    }

    fn load(&self) -> io::Result<Worker> {
        let mut child = (self.command)()
            // What the server knows is no business of the worker's.
            .env_clear()
            // Address space that an allocator sets aside would not count against a query.
            .env("MIMALLOC_ARENA_RESERVE", "32768")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            let _ = child.kill();
            return Err(io::Error::other("a worker without pipes"));
        };
        let (replies, received) = channel();
        let reader = thread::Builder::new().name("sparql-replies".to_owned());
        reader.spawn(move || {
            let mut output = BufReader::new(output);
            while let Ok(Some(reply)) = receive(&mut output, MAX_ANSWER.saturating_add(1024)) {
                if replies.send(reply).is_err() {
                    return;
                }
            }
        })?;
        let mut worker = Worker {
            child,
            input: BufWriter::new(input),
            replies: received,
            revisions: Vec::new(),
            removed: 0,
        };
        for (graph, source) in (0..=u8::MAX).zip(&self.sources) {
            let snapshot = source.snapshot();
            worker.revisions.push(snapshot.revision());
            let mut text = String::new();
            for quad in snapshot {
                line(&mut text, &quad.map_err(io::Error::other)?);
                if text.len() >= CHUNK {
                    about(&mut worker.input, ADD, graph, &text)?;
                    text.clear();
                }
            }
            about(&mut worker.input, ADD, graph, &text)?;
        }
        send(&mut worker.input, READY, &[])?;
        match worker.replies.recv_timeout(LOADING) {
            Ok((ANSWER, _)) => Ok(worker),
            _ => Err(io::Error::other("the worker did not take over the graph")),
        }
    }
}

/// Starts a worker in the background; it is tried until it is there or the pool is gone.
fn start(pool: &Arc<Pool>) {
    let pool = Arc::downgrade(pool);
    let begun = thread::Builder::new().name("sparql-start".to_owned()).spawn(move || {
        while let Some(pool) = pool.upgrade() {
            match pool.load() {
                Ok(worker) => {
                    let mut state = pool.lock();
                    state.broken = None;
                    state.idle.push(worker);
                    drop(state);
                    pool.freed.notify_one();
                    return;
                }
                Err(error) => {
                    let mut state = pool.lock();
                    state.broken = Some(error.to_string());
                }
            }
            drop(pool);
            thread::sleep(PAUSE);
        }
    });
    // Without threads there are no workers, and who asks is told that it is busy.
    drop(begun);
}

impl Worker {
    fn send(&mut self, kind: u8, graph: u8, quads: &[Quad]) -> io::Result<()> {
        if quads.is_empty() {
            return Ok(());
        }
        let mut text = String::new();
        for quad in quads {
            line(&mut text, quad);
        }
        about(&mut self.input, kind, graph, &text)
    }

    /// Asks; the outer error is one that the worker does not survive.
    fn ask(
        &mut self,
        graph: u8,
        text: &str,
        format: AnswerFormat,
        options: &PoolOptions,
    ) -> Result<Result<Vec<u8>, QueryFailure>, QueryFailure> {
        let mut message = vec![graph, format.code()];
        message.extend_from_slice(&options.memory.to_le_bytes());
        message.extend_from_slice(&options.deadline.as_secs().to_le_bytes());
        message.extend_from_slice(text.as_bytes());
        if send(&mut self.input, QUERY, &message).is_err() {
            return Err(QueryFailure::TooMuch);
        }
        match self.replies.recv_timeout(options.deadline) {
            Ok((ANSWER, answer)) => Ok(Ok(answer)),
            Ok((FAILED, why)) => {
                let (why, words) = why.split_first().unwrap_or((&EVALUATION, &[]));
                Ok(Err(match *why {
                    TOO_LARGE => QueryFailure::TooLarge,
                    _ => QueryFailure::Evaluation(String::from_utf8_lossy(words).into_owned()),
                }))
            }
            Ok(_) | Err(RecvTimeoutError::Disconnected) => Err(QueryFailure::TooMuch),
            Err(RecvTimeoutError::Timeout) => Err(QueryFailure::TooSlow(options.deadline)),
        }
    }
}

/// Writes one message about a graph.
fn about(to: &mut impl Write, kind: u8, graph: u8, quads: &str) -> io::Result<()> {
    send(to, kind, &[&[graph], quads.as_bytes()].concat())
}

/// A quad as a line of N-Quads.
fn line(text: &mut String, quad: &Quad) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{quad} .");
}
