//! The graph of the descriptions that everybody sees, for those who keep a copy of it: workers of SPARQL.
//!
//! It is not kept here: a description's quads are made when somebody wants them.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use oxigraph::model::Quad;

use super::Directory;
use super::state::Entry;
pub(super) use crate::graph::Change;
use crate::graph::{Revision, Snapshot};
use crate::sparql::Source;
use crate::wot::rdf;

/// What a description says to everybody.
pub(super) fn quads(entry: &Entry) -> Vec<Quad> {
    if entry.is_public() { rdf::quads(entry.thing.id.as_str(), entry.whole()) } else { Vec::new() }
}

/// What everybody sees change when one description takes the place of the other.
pub(super) fn change(before: Option<&Entry>, after: Option<&Entry>) -> Arc<Change> {
    let of = |entry: Option<&Entry>| -> HashSet<Quad> {
        entry.map(quads).unwrap_or_default().into_iter().collect()
    };
    let (before, after) = (of(before), of(after));
    let removed = before.difference(&after).cloned().collect();
    let added = after.difference(&before).cloned().collect();
    Arc::new(Change { removed, added })
}

/// What the directory holds at this moment: who wants to see what other processes did
/// [catches up](Directory::catch_up) before.
impl Source for Directory {
    fn snapshot(&self) -> Snapshot {
        self.state.write().unwrap_or_else(PoisonError::into_inner).graph()
    }

    fn since(&self, revision: Revision) -> Option<Vec<Arc<Change>>> {
        self.read().graph_since(revision)
    }
}
