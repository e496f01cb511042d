//! An index of made-up things, their graph and their documents.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use i3_semantic::description::Description;
use i3_semantic::discovery::{Live, Query, Size};
use i3_semantic::facets::OntologyClasses;
use i3_semantic::graph::Graph;
use i3_semantic::ontology::Ontology;
use serde_json::value::RawValue;

use super::clock::{Times, timed};
use crate::memory::resident;
use crate::shop::ShopError;
use crate::things::{document, thing};

/// Bytes that came to be in memory.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memory {
    pub(super) facets: u64,
    pub(super) graph: u64,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Held {
    live: Live,
    graph: Graph,
    documents: HashMap<Arc<str>, Box<RawValue>>,
    memory: Memory,
    /// The processor time of all objects into the index, and into the graph.
    filled: [Duration; 2],
    /// Of one of the last tenth of the objects into both.
    inserted: Times,
}

fn in_memory() -> u64 {
    resident(std::process::id()).unwrap_or(0)
}

impl Held {
    pub(super) fn fill(ontology: &Ontology, objects: u64) -> Result<Self, ShopError> {
        let last = objects - objects / 10;
        let mut inserted = vec![Duration::ZERO; usize::try_from(objects - last)?];
        let mut insert = |number: u64, time: Duration| {
            let at = number.checked_sub(last).and_then(|at| usize::try_from(at).ok());
            if let Some(sum) = at.and_then(|at| inserted.get_mut(at)) {
                *sum = sum.saturating_add(time);
            }
        };
        let [mut index, mut graph_time] = [Duration::ZERO; 2];
        let before = in_memory();
        let live = Live::new(Arc::new(OntologyClasses::new(ontology.clone())));
        for number in 0..objects {
            let thing = thing(number);
            let (done, time) = timed(|| live.insert(&thing));
            done?;
            index = index.saturating_add(time);
            insert(number, time);
        }
        let facets = in_memory().saturating_sub(before);
        let before = in_memory();
        let mut graph = Graph::new(ontology.clone());
        for number in 0..objects {
            let thing = thing(number);
            let (done, time) = timed(|| graph.apply(&thing.iri(), &thing.facts()));
            done?;
            graph_time = graph_time.saturating_add(time);
            insert(number, time);
        }
        let memory = Memory { facets, graph: in_memory().saturating_sub(before) };
        let stored = |thing: Description| Ok((thing.id.clone(), RawValue::from_string(document(&thing))?));
        let documents = (0..objects).map(thing).map(stored).collect::<Result<_, serde_json::Error>>()?;
        Ok(Self {
            live,
            graph,
            documents,
            memory,
            filled: [index, graph_time],
            inserted: Times::new(inserted),
        })
    }

    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    pub(super) fn size(&self) -> Size {
        self.live.size()
    }

    pub(super) fn triples(&self) -> usize {
        self.graph.len()
    }

    pub(super) fn memory(&self) -> Memory {
        self.memory
    }

    /// The processor time of all objects into the index, and into the graph.
    pub(super) fn filled(&self) -> [Duration; 2] {
        self.filled
    }

    /// The processor time of one object into both, when nine tenths of all were there.
    pub(super) fn inserted(&self) -> &Times {
        &self.inserted
    }

    pub(super) fn total(&self, query: &Query) -> u64 {
        self.live.find(query).map_or(0, |answer| answer.total)
    }

    /// An answer with its documents as one text. They were found to be JSON when they were stored.
    pub(super) fn page(&self, query: &Query) -> Option<String> {
        let answer = self.live.find(query).ok()?;
        let page: Vec<&RawValue> =
            answer.hits.iter().filter_map(|hit| Some(&**self.documents.get(&hit.id)?)).collect();
        serde_json::to_string(&page).ok()
    }

    /// The same, with each document parsed and written anew.
    pub(super) fn parsed_page(&self, query: &Query) -> Option<String> {
        let answer = self.live.find(query).ok()?;
        let texts = answer.hits.iter().filter_map(|hit| self.documents.get(&hit.id));
        let page: Vec<serde_json::Value> =
            texts.filter_map(|text| serde_json::from_str(text.get()).ok()).collect();
        serde_json::to_string(&page).ok()
    }

    /// The processor time of putting things that are there in again, changed.
    pub(super) fn insert_again(&mut self, objects: u64) -> Result<Times, ShopError> {
        let mut times = Vec::new();
        for number in 0..objects {
            let mut thing = thing(number);
            thing.title.push_str(" renamed");
            let (done, time) = timed(|| {
                self.graph.apply(&thing.iri(), &thing.facts())?;
                Ok::<_, ShopError>(self.live.insert(&thing)?)
            });
            done?;
            times.push(time);
        }
        Ok(Times::new(times))
    }
}
