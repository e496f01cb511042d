//! The RDF graph of everything public: what was said of each object, and what follows.
//!
//! Kept in an oxigraph store in memory. Every triple is in it exactly once, so the union of all graphs, which is what
//! queries see, is a set:
//!
//! * each object has a graph named after it, with the triples about the object and its parts (IRIs that begin with
//!   the object's and `#`), asserted and inferred;
//! * what follows from an object about others (the platform hosts it, the protocol is a protocol), and what follows
//!   over chains of transitive properties, is in the default graph, counted by how many say so;
//! * the ontology is in its own graph, [`vocabulary::ONTOLOGY`].
//!
//! So an object is changed and taken out exactly: its graph goes, and what only it implied about others goes with it.
//! All answers are the same as if the rules of OWL 2 RL had been applied to all facts at once; tests compare with
//! another reasoner.
//!
//! The graph has no state of its own: it can be thrown away and built anew from the objects' facts.

mod chains;
mod export;
mod query;
mod snapshot;
#[cfg(test)]
mod tests;

pub use chains::MAX_REACHED;
pub use export::Format;
pub use query::{Conjunction, Wanted};
pub use snapshot::{Revision, Snapshot};

use crate::inference::{Contradiction, FactRefused, Inferred, implied_by_chain, infer};
use crate::ontology::{Axiom, Ontology};
use crate::vocabulary;
use chains::Chains;
use oxigraph::model::vocab::rdf;
use oxigraph::model::{
    GraphName, GraphNameRef, NamedNode, NamedOrBlankNode, NamedOrBlankNodeRef, Quad, Triple,
};
use oxigraph::store::{StorageError, Store};
use sha2::{Digest as _, Sha256};
use snapshot::Log;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// Why facts are not taken into the graph. Nothing changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GraphRefused {
    /// A fact that cannot be kept.
    #[error(transparent)]
    Fact(#[from] FactRefused),
    /// The facts say that something is two things which nothing can be both.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// An object's IRI has no fragment, and is not one of the ontology's.
    #[error("{0} cannot be the IRI of an object")]
    NotAnObject(NamedNode),
    /// A transitive property would reach too far: more than [`MAX_REACHED`] pairs.
    #[error("chains of transitive properties through {0} are too long")]
    ChainTooLong(NamedNode),
    /// The store failed. In memory it does not.
    #[error(transparent)]
    Store(#[from] StorageError),
}

/// What a change did to what queries see, for those who keep a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Quads that are no longer there.
    pub removed: Vec<Quad>,
    /// Quads that are new.
    pub added: Vec<Quad>,
}

/// The graph. See the [module](self).
pub struct Graph {
    store: Store,
    ontology: Ontology,
    /// How many contributions the triples have that are not in their subject's own graph.
    shared: HashMap<[u8; 16], u32>,
    chains: Chains,
    /// Quads in the store, without the ontology's.
    living: usize,
    /// Quads that the store has removed but, as it collects no garbage, not forgotten.
    dead: usize,
    /// From this many dead quads on, the store is copied when they outnumber the living.
    compact_from: usize,
    /// How far chains may reach in one change.
    max_reached: usize,
    log: Log,
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph")
            .field("ontology", self.ontology.version())
            .field("living", &self.living)
            .field("dead", &self.dead)
            .finish_non_exhaustive()
    }
}

impl Graph {
    /// A graph without objects.
    ///
    /// # Errors
    ///
    /// Only if the store fails; in memory it does not.
    pub fn new(ontology: Ontology) -> Result<Self, GraphRefused> {
        let mut graph = Self {
            store: Store::new()?,
            ontology,
            shared: HashMap::new(),
            chains: Chains::default(),
            living: 0,
            dead: 0,
            compact_from: 50_000,
            max_reached: MAX_REACHED,
            log: Log::new(),
        };
        graph.put_ontology()?;
        Ok(graph)
    }

    /// This graph under an extension of its ontology, derived anew beside it. What was inferred before still follows, so
    /// the graph itself is all that is needed.
    ///
    /// # Errors
    ///
    /// Which object is impossible under the new ontology; this graph goes on as it was.
    pub fn extended(&self, ontology: Ontology) -> Result<Self, GraphRefused> {
        let mut next = Self::new(ontology)?;
        for object in self.objects() {
            let object = object?;
            let facts = self.own(&object).collect::<Result<Vec<_>, _>>()?;
            next.apply(&object, &facts)?;
        }
        Ok(next)
    }

    /// The ontology that everything was derived with.
    pub fn ontology(&self) -> &Ontology {
        &self.ontology
    }

    /// The objects that have a graph.
    pub fn objects(&self) -> impl Iterator<Item = Result<NamedNode, StorageError>> + use<> {
        self.store.named_graphs().filter_map(|name| match name {
            Ok(NamedOrBlankNode::NamedNode(name)) if name.as_ref() == vocabulary::ONTOLOGY => None,
            Ok(NamedOrBlankNode::NamedNode(name)) => Some(Ok(name)),
            Ok(NamedOrBlankNode::BlankNode(_)) => None,
            Err(error) => Some(Err(error)),
        })
    }

    /// Whether the object has a graph.
    ///
    /// # Errors
    ///
    /// Only if the store fails.
    pub fn contains(&self, object: &NamedNode) -> Result<bool, StorageError> {
        self.store.contains_named_graph(object)
    }

    /// How many triples queries see.
    ///
    /// # Errors
    ///
    /// Only if the store fails.
    pub fn len(&self) -> Result<usize, StorageError> {
        self.store.len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.objects().next().is_none()
    }

    /// The triples of the object's own graph, asserted and inferred.
    pub fn own(&self, object: &NamedNode) -> impl Iterator<Item = Result<Triple, StorageError>> + use<> {
        self.store
            .quads_for_pattern(None, None, None, Some(object.as_ref().into()))
            .map(|quad| quad.map(Triple::from))
    }

    /// Makes `facts` all that is said of `object`, in place of what was said before. All facts must be about the object
    /// or its parts. Without facts the object is taken out.
    ///
    /// # Errors
    ///
    /// [`GraphRefused`]; nothing changed.
    pub fn apply(&mut self, object: &NamedNode, facts: &[Triple]) -> Result<Arc<Change>, GraphRefused> {
        if object.as_str().contains('#') || self.in_ontology(object) {
            return Err(GraphRefused::NotAnObject(object.clone()));
        }
        for fact in facts {
            if let NamedOrBlankNode::NamedNode(subject) = &fact.subject
                && owner(subject) != object.as_str()
            {
                return Err(GraphRefused::Fact(FactRefused::NotItsOwn {
                    subject: subject.clone(),
                    object: object.clone(),
                }));
            }
        }
        let new = infer(self.ontology.closure(), facts)?;
        if let Some(contradiction) = new.contradictions.first() {
            return Err(contradiction.clone().into());
        }
        self.replace(object, &new, Some(self.max_reached))
    }

    /// Takes the object out, with all that only it said.
    ///
    /// # Errors
    ///
    /// Only if the store fails.
    pub fn remove(&mut self, object: &NamedNode) -> Result<Arc<Change>, GraphRefused> {
        self.replace(object, &Inferred::default(), None)
    }

    fn replace(
        &mut self,
        object: &NamedNode,
        new: &Inferred,
        limit: Option<usize>,
    ) -> Result<Arc<Change>, GraphRefused> {
        let before = self.own(object).collect::<Result<Vec<_>, _>>()?;
        let old = infer(self.ontology.closure(), &before)?;
        let reached = self
            .chains
            .change(&old.edges, &new.edges, limit)
            .map_err(|_| GraphRefused::ChainTooLong(object.clone()))?;
        let mut touched: HashSet<Triple> = HashSet::new();
        for (these, those, more) in [(new, &old, true), (&old, new, false)] {
            for fact in these.facts.difference(&those.facts) {
                if !is_own(fact, object) {
                    self.count(fact, more);
                }
                touched.insert(fact.clone());
            }
        }
        for (pairs, more) in [(&reached.lost, false), (&reached.won, true)] {
            for (property, from, to) in pairs {
                for fact in implied_by_chain(self.ontology.closure(), property, from, to) {
                    self.count(&fact, more);
                    touched.insert(fact);
                }
            }
        }
        self.place(object, &new.facts, touched)
    }

    fn count(&mut self, fact: &Triple, more: bool) {
        let count = self.shared.entry(key(fact)).or_default();
        *count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
    }

    /// Puts each touched triple where it belongs: into its subject's graph if it is said there, else into the default
    /// graph if it is counted, else nowhere. `said` is all that is now said for `object`.
    fn place(
        &mut self,
        object: &NamedNode,
        said: &HashSet<Triple>,
        touched: HashSet<Triple>,
    ) -> Result<Arc<Change>, GraphRefused> {
        let mut change = Change::default();
        for fact in touched {
            let key = key(&fact);
            let counted = self.shared.get(&key).is_some_and(|count| *count > 0);
            if !counted {
                self.shared.remove(&key);
            }
            let at_home = if is_own(&fact, object) {
                let wanted = said.contains(&fact);
                self.settle(fact.clone().in_graph(object.clone()), wanted, &mut change)?;
                wanted
            } else {
                match home(&fact) {
                    Some(home) => self.store.contains(&fact.clone().in_graph(home))?,
                    None => false,
                }
            };
            self.settle(fact.in_graph(GraphName::DefaultGraph), counted && !at_home, &mut change)?;
        }
        let mut transaction = self.store.start_transaction()?;
        for quad in &change.removed {
            transaction.remove(quad);
        }
        for quad in &change.added {
            transaction.insert(quad);
        }
        if said.is_empty() {
            transaction.remove_named_graph(object)?;
        }
        transaction.commit()?;
        self.living = self.living.saturating_add(change.added.len()).saturating_sub(change.removed.len());
        self.dead = self.dead.saturating_add(change.removed.len());
        if self.dead >= self.compact_from.max(self.living) {
            self.compact()?;
        }
        let change = Arc::new(change);
        self.log.put(change.clone());
        Ok(change)
    }

    fn settle(&self, quad: Quad, wanted: bool, change: &mut Change) -> Result<(), StorageError> {
        match (self.store.contains(&quad)?, wanted) {
            (false, true) => change.added.push(quad),
            (true, false) => change.removed.push(quad),
            _ => {}
        }
        Ok(())
    }

    /// Copies the store: oxigraph's memory store keeps what was removed, and walks over it.
    fn compact(&mut self) -> Result<(), StorageError> {
        let fresh = Store::new()?;
        fresh.extend(self.store.iter().collect::<Result<Vec<_>, _>>()?)?;
        self.store = fresh;
        self.dead = 0;
        Ok(())
    }

    fn in_ontology(&self, term: &NamedNode) -> bool {
        let about = NamedOrBlankNodeRef::from(term.as_ref());
        let graph = GraphNameRef::from(vocabulary::ONTOLOGY);
        *term == vocabulary::ONTOLOGY
            || self.store.quads_for_pattern(Some(about), None, None, Some(graph)).next().is_some()
    }

    fn put_ontology(&mut self) -> Result<(), GraphRefused> {
        let mut quads = Vec::new();
        let mut types = BTreeSet::new();
        for axiom in self.ontology.axioms() {
            match axiom {
                // Objects may imply the same of them, so these are counted.
                Axiom::Individual { individual, class } => {
                    let above = self.ontology.closure().supers(class).iter();
                    types.extend(above.map(|class| (individual.clone(), class.clone())));
                }
                axiom => quads.push(axiom.triple().in_graph(vocabulary::ONTOLOGY)),
            }
        }
        for (individual, class) in types {
            let fact = Triple::new(individual, rdf::TYPE, class);
            self.count(&fact, true);
            quads.push(fact.in_graph(GraphName::DefaultGraph));
        }
        self.store.extend(quads)?;
        Ok(())
    }

    /// A digest of everything in the graph, the same in whatever order it came in: the sum of the SHA-256 of all
    /// quads. It shows that two graphs agree; it does not resist somebody who makes up data to fool it.
    ///
    /// # Errors
    ///
    /// Only if the store fails.
    pub fn digest(&self) -> Result<String, StorageError> {
        let mut sum = [0_u8; 32];
        for quad in &self.store {
            let mut carry = 0_u16;
            let hash = Sha256::digest(quad?.to_string());
            for (digit, more) in sum.iter_mut().zip(hash) {
                let total = u16::from(*digit) + u16::from(more) + carry;
                let [low, high] = total.to_le_bytes();
                *digit = low;
                carry = u16::from(high);
            }
        }
        Ok(data_encoding::HEXLOWER.encode(&sum))
    }
}

/// The object that an IRI belongs to: itself, without what comes after `#`.
fn owner(iri: &NamedNode) -> &str {
    iri.as_str().split_once('#').map_or(iri.as_str(), |(object, _)| object)
}

fn is_own(fact: &Triple, object: &NamedNode) -> bool {
    matches!(&fact.subject, NamedOrBlankNode::NamedNode(subject) if owner(subject) == object.as_str())
}

/// The graph that a fact would be in if its subject's object said it.
fn home(fact: &Triple) -> Option<NamedNode> {
    match &fact.subject {
        NamedOrBlankNode::NamedNode(subject) => NamedNode::new(owner(subject)).ok(),
        NamedOrBlankNode::BlankNode(_) => None,
    }
}

/// A triple's name in the table of counts. Chance makes no two alike.
fn key(fact: &Triple) -> [u8; 16] {
    let mut key = [0; 16];
    for (byte, digit) in key.iter_mut().zip(Sha256::digest(fact.to_string())) {
        *byte = digit;
    }
    key
}
