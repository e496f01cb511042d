//! An index of made-up things, with their graph and their documents.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use i3_semantic::description::Description;
use i3_semantic::discovery::{Live, Query, Size};
use i3_semantic::facets::OntologyClasses;
use i3_semantic::graph::Graph;
use i3_semantic::ontology::Ontology;
use i3_semantic::oxigraph::model::NamedNode;
use serde_json::value::RawValue;

use super::clock::{Times, timed};
use crate::shop::ShopError;
use crate::things::{document, thing};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Held {
    live: Live,
    graph: Graph,
    documents: HashMap<Arc<str>, Box<RawValue>>,
    /// The processor time of all objects into both.
    filled: Duration,
    /// Of one of the last tenth of the objects into both.
    inserted: Times,
}

/// As the projection does.
fn put(live: &Live, graph: &mut Graph, thing: &Description) -> Result<(), ShopError> {
    let iri = thing.iri();
    graph.apply(&iri, &thing.facts())?;
    live.insert_as(thing, graph.types(&iri).map(NamedNode::as_str));
    Ok(())
}

impl Held {
    pub(super) fn fill(ontology: &Ontology, objects: u64) -> Result<Self, ShopError> {
        let last = objects - objects / 10;
        let mut inserted = Vec::new();
        let mut filled = Duration::ZERO;
        let live = Live::new(Arc::new(OntologyClasses::new(ontology.clone())));
        let mut graph = Graph::new(ontology.clone());
        for number in 0..objects {
            let thing = thing(number);
            let (done, time) = timed(|| put(&live, &mut graph, &thing));
            done?;
            filled = filled.saturating_add(time);
            if number >= last {
                inserted.push(time);
            }
        }
        let stored = |thing: Description| Ok((thing.id.clone(), RawValue::from_string(document(&thing))?));
        let documents = (0..objects).map(thing).map(stored).collect::<Result<_, serde_json::Error>>()?;
        Ok(Self { live, graph, documents, filled, inserted: Times::new(inserted) })
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

    /// The processor time of all objects into both.
    pub(super) fn filled(&self) -> Duration {
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
            let (done, time) = timed(|| put(&self.live, &mut self.graph, &thing));
            done?;
            times.push(time);
        }
        Ok(Times::new(times))
    }
}
