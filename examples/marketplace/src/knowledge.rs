//! What answers questions by meaning: an index of what is public, and workers for SPARQL over it.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use i3_core::market::Marketplace;
use i3_core::outbox::{Event, EventListener};
use i3_semantic::graph::{Change, Revision, Snapshot};
use i3_semantic::ontology::Ontology;
use i3_semantic::projection::{Projection, ProjectionError};
use i3_semantic::sparql::{PoolOptions, Source, WorkerPool, worker};
use i3_semantic::wot::directory::{Directory, DirectoryError};
use tokio::sync::{Semaphore, watch};
use tokio::time::MissedTickBehavior;

/// The argument that makes this program a worker.
pub const SPARQL_WORKER: &str = "sparql-worker";

/// How often the index looks for what other processes over the same store committed.
const FOLLOWING: Duration = Duration::from_secs(1);
/// How often what is measured of streams is read again.
const MEASURING: Duration = Duration::from_mins(1);

/// How often descriptions are looked for whose time is over.
const PURGING: Duration = Duration::from_secs(1);
/// How many streams of events may be open.
const LISTENERS: usize = 1_000;

/// Why what is known cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KnowledgeError {
    /// The index cannot be built.
    #[error(transparent)]
    Index(#[from] ProjectionError),
    /// The directory cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// An index of what is public, workers for SPARQL over it, and the directory of Thing Descriptions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Knowledge {
    /// The index and the graph.
    pub index: Arc<Projection>,
    /// Processes that carry out SPARQL queries over a copy of the graph.
    pub workers: WorkerPool,
    /// The same processes, asked of the descriptions in the directory that everybody sees.
    pub things: WorkerPool,
    /// The directory of Thing Descriptions.
    pub directory: Directory,
    /// Says when this process committed something: the position of the outbox.
    pub(crate) news: Arc<watch::Sender<u64>>,
    /// Whether streams of events shall end.
    pub(crate) ended: watch::Receiver<bool>,
    /// The places of those who listen to streams of events.
    pub(crate) listeners: Arc<Semaphore>,
}

/// Tells streams of events that there may be something to tell.
struct News(Arc<watch::Sender<u64>>);

#[async_trait::async_trait]
impl EventListener for News {
    async fn happened(&self, last: u64, events: &[Event]) {
        if events.iter().any(|event| matches!(event, Event::ThingChanged(_))) {
            self.0.send_replace(last);
        }
    }
}

impl Knowledge {
    /// Reads all that is public. `worker` is the program whose processes carry out SPARQL queries, started with the
    /// argument [`SPARQL_WORKER`]: `i3-marketplace` itself.
    pub async fn open(
        market: Marketplace,
        worker: impl Into<PathBuf>,
        options: PoolOptions,
    ) -> Result<Self, KnowledgeError> {
        let directory = Directory::open(market.clone()).await?;
        let news = Arc::new(watch::Sender::new(0));
        market.listen_to_events(Arc::new(News(news.clone())));
        let index = Projection::open(market, Ontology::core()).await?;
        if let Some(refused) = index.refused() {
            tracing::error!("{refused}");
        }
        let program = worker.into();
        let command = move || {
            let mut command = Command::new(&program);
            command.arg(SPARQL_WORKER);
            command
        };
        let sources: [Box<dyn Source>; 2] = [Box::new(OfIndex(index.clone())), Box::new(directory.clone())];
        let [workers, things] = WorkerPool::over(command, sources, options);
        let (_, ended) = watch::channel(false);
        let listeners = Arc::new(Semaphore::new(LISTENERS));
        Ok(Self { index, workers, things, directory, news, ended, listeners })
    }

    /// Streams of events end when this becomes true.
    pub fn until(self, ended: watch::Receiver<bool>) -> Self {
        Self { ended, ..self }
    }

    /// Follows what other processes over the same store commit, if there can be some, and what is measured; removes
    /// descriptions whose time is over.
    pub(crate) async fn keep_up(self, shared: bool) {
        let mut following = tokio::time::interval(FOLLOWING);
        let mut measuring = tokio::time::interval(MEASURING);
        let mut purging = tokio::time::interval(PURGING);
        purging.set_missed_tick_behavior(MissedTickBehavior::Delay);
        following.set_missed_tick_behavior(MissedTickBehavior::Delay);
        measuring.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                _ = following.tick(), if shared || self.index.is_to_adopt() => self.index.catch_up().await.map(drop),
                _ = measuring.tick() => self.index.measure().await.map_err(ProjectionError::from),
                _ = purging.tick() => {
                    if let Err(error) = self.directory.purge().await {
                        tracing::error!("descriptions that are over could not be removed: {error}");
                    }
                    Ok(())
                }
            };
            if let Err(error) = done {
                tracing::error!("the index could not follow: {error}");
            }
        }
    }
}

/// The graph beside the index.
struct OfIndex(Arc<Projection>);

impl Source for OfIndex {
    fn snapshot(&self) -> Snapshot {
        self.0.graph().snapshot()
    }

    fn since(&self, revision: Revision) -> Option<Vec<Arc<Change>>> {
        self.0.graph().since(revision)
    }
}

/// Carries out queries for the server that started this process, until it closes our standard input.
///
/// # Errors
///
/// Those of [`worker::run`].
pub fn sparql_worker() -> io::Result<()> {
    worker::run(io::stdin(), io::stdout())
}
