//! What others need who keep a copy of the graph: how it was at one moment, and what changed since.

use super::terms::Fact;
use super::{Change, Graph};
use oxigraph::model::{GraphName, Quad};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// From so many quads on, old changes are forgotten.
const MAX_LOGGED: usize = 100_000;

/// Tells graphs of one process apart.
static GRAPHS: AtomicU64 = AtomicU64::new(1);

/// A state of a graph: which graph of this process, and after how many changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision {
    graph: u64,
    changes: u64,
}

impl Revision {
    /// After one change more.
    pub(crate) fn next(self) -> Self {
        Self { changes: self.changes.saturating_add(1), ..self }
    }
}

/// The last changes, since somebody knows a state. Before that nobody can ask for them, and a graph that is made of many objects
/// need not say what each of them changed.
#[derive(Debug)]
pub(crate) struct Log {
    now: Revision,
    watched: AtomicBool,
    changes: VecDeque<Arc<Change>>,
    quads: usize,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            now: Revision { graph: GRAPHS.fetch_add(1, Ordering::Relaxed), changes: 0 },
            watched: AtomicBool::new(false),
            changes: VecDeque::new(),
            quads: 0,
        }
    }

    /// Which state this is, for somebody who may ask what changed since.
    fn revision(&self) -> Revision {
        self.watched.store(true, Ordering::Relaxed);
        self.now
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// A change that nobody can ask for.
    pub(crate) fn pass(&mut self) {
        self.now = self.now.next();
    }

    pub(crate) fn put(&mut self, change: Arc<Change>) {
        self.now = self.now.next();
        self.quads = self.quads.saturating_add(change.size());
        self.changes.push_back(change);
        while self.quads > MAX_LOGGED {
            let Some(old) = self.changes.pop_front() else { break };
            self.quads = self.quads.saturating_sub(old.size());
        }
    }

    pub(crate) fn since(&self, revision: Revision) -> Option<Vec<Arc<Change>>> {
        if revision.graph != self.now.graph {
            return None;
        }
        let missing = usize::try_from(self.now.changes.checked_sub(revision.changes)?).ok()?;
        let known = self.changes.len().checked_sub(missing)?;
        Some(self.changes.iter().skip(known).cloned().collect())
    }
}

/// All quads as they were when the snapshot was taken.
pub struct Snapshot {
    revision: Revision,
    quads: Box<dyn Iterator<Item = Quad> + Send>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("revision", &self.revision).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// What these quads are, at the end of the log.
    pub(crate) fn new(log: &Log, quads: impl Iterator<Item = Quad> + Send + 'static) -> Self {
        Self { revision: log.revision(), quads: Box::new(quads) }
    }

    /// The revision that it shows.
    pub fn revision(&self) -> Revision {
        self.revision
    }
}

impl Iterator for Snapshot {
    type Item = Result<Quad, Infallible>;

    fn next(&mut self) -> Option<Self::Item> {
        self.quads.next().map(Ok)
    }
}

impl Graph {
    /// The graph as it is now. Taking it costs a reference for each object and for each triple of the default graph;
    /// reading it does not hold up changes.
    pub fn snapshot(&self) -> Snapshot {
        let stated = self.stated.clone();
        let stated = (0..stated.len()).filter_map(move |at| stated.get(at).cloned());
        let objects: Vec<_> =
            self.objects.iter().map(|(name, facts)| (name.clone(), facts.clone())).collect();
        let objects = objects.into_iter().flat_map(|(name, facts)| {
            (0..facts.len()).filter_map(move |at| Some(facts.get(at)?.quad(name.get().clone())))
        });
        let shared: Vec<Fact> = self.shared.seen().collect();
        let shared = shared.into_iter().map(|fact| fact.quad(GraphName::DefaultGraph));
        Snapshot::new(&self.log, stated.chain(objects).chain(shared))
    }

    /// Everything that is in the graph.
    pub(super) fn quads(&self) -> impl Iterator<Item = Quad> {
        let objects = self.objects.iter();
        let objects =
            objects.flat_map(|(name, facts)| facts.iter().map(|fact| fact.quad(name.get().clone())));
        let shared = self.shared.seen().map(|fact| fact.quad(GraphName::DefaultGraph));
        self.stated.iter().cloned().chain(objects).chain(shared)
    }

    /// Which state this is.
    pub fn revision(&self) -> Revision {
        self.log.revision()
    }

    /// What changed since `revision`, oldest first. `None` if that is not known any more, or the revision is another
    /// graph's: then a copy starts anew from a [`snapshot`](Self::snapshot).
    pub fn since(&self, revision: Revision) -> Option<Vec<Arc<Change>>> {
        self.log.since(revision)
    }
}

impl Change {
    /// How many quads it is about.
    pub fn size(&self) -> usize {
        self.removed.len().saturating_add(self.added.len())
    }
}
