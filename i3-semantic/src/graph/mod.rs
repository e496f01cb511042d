//! The RDF graph of everything public: what was said of each object, and what follows.
//!
//! Kept in memory, each term once and a triple as three references; SPARQL is answered by workers that have copies of it
//! ([`crate::sparql`]). Every triple is in it exactly once, so the union of all graphs, which is what queries see, is a
//! set:
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
mod shared;
mod snapshot;
mod sum;
mod terms;
#[cfg(test)]
mod tests;

pub use chains::MAX_REACHED;
pub use export::Format;
pub use snapshot::{Revision, Snapshot};

use crate::hashing::Set;
use crate::inference::{Contradiction, FactRefused, Inferred, implied_by_chain, infer};
use crate::ontology::{Axiom, Ontology};
use crate::vocabulary;
use chains::{Chains, Edge, Reached};
use oxigraph::model::vocab::rdf;
use oxigraph::model::{GraphName, NamedNode, NamedOrBlankNode, Quad, Triple};
use shared::{Shared, Touched};
pub(crate) use snapshot::Log;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
pub(crate) use sum::Sum;
use terms::{Fact, Iri, Places, Terms, Value};

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
}

/// What a change did to what queries see, for those who keep a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Quads that are no longer there.
    pub removed: Vec<Quad>,
    /// Quads that are new.
    pub added: Vec<Quad>,
}

/// A change that is being made: how much it is, and what, if somebody may ask.
struct Changing {
    told: Option<Change>,
    added: usize,
    removed: usize,
}

impl Changing {
    fn put(&mut self, came: bool, fact: &Fact, graph: impl FnOnce() -> GraphName) {
        let count = if came { &mut self.added } else { &mut self.removed };
        *count = count.saturating_add(1);
        if let Some(told) = &mut self.told {
            let list = if came { &mut told.added } else { &mut told.removed };
            list.push(fact.quad(graph()));
        }
    }
}

type Facts = HashSet<Fact, Places>;

/// The graph. See the [module](self).
pub struct Graph {
    ontology: Ontology,
    /// The ontology's own graph.
    stated: Arc<[Quad]>,
    /// What the ontology says something about.
    defined: Set<NamedNode>,
    terms: Terms,
    /// The graphs of the objects.
    objects: HashMap<Iri, Arc<[Fact]>, Places>,
    shared: Shared,
    chains: Chains<Iri>,
    /// Triples that queries see, without the ontology's.
    living: usize,
    /// Triples that were taken out since terms without a triple were last forgotten.
    dead: usize,
    /// From this many dead triples on, terms are forgotten when they outnumber the living.
    sweep_from: usize,
    /// How far chains may reach in one change.
    max_reached: usize,
    log: Log,
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph")
            .field("ontology", self.ontology.version())
            .field("objects", &self.objects.len())
            .field("living", &self.living)
            .finish_non_exhaustive()
    }
}

impl Graph {
    /// A graph without objects.
    pub fn new(ontology: Ontology) -> Self {
        let mut graph = Self {
            ontology,
            stated: Arc::default(),
            defined: Set::default(),
            terms: Terms::default(),
            objects: HashMap::default(),
            shared: Shared::default(),
            chains: Chains::default(),
            living: 0,
            dead: 0,
            sweep_from: 50_000,
            max_reached: MAX_REACHED,
            log: Log::new(),
        };
        graph.put_ontology();
        graph
    }

    /// This graph under an extension of its ontology, derived anew beside it. What was inferred before still follows, so
    /// the graph itself is all that is needed.
    ///
    /// # Errors
    ///
    /// Which object is impossible under the new ontology; this graph goes on as it was.
    pub fn extended(&self, ontology: Ontology) -> Result<Self, GraphRefused> {
        let mut next = Self::new(ontology);
        for object in self.objects() {
            let facts: Vec<Triple> = self.own(object).collect();
            next.apply(object, &facts)?;
        }
        Ok(next)
    }

    /// The ontology that everything was derived with.
    pub fn ontology(&self) -> &Ontology {
        &self.ontology
    }

    /// The objects that have a graph.
    pub fn objects(&self) -> impl Iterator<Item = &NamedNode> {
        self.objects.keys().map(Iri::get)
    }

    fn held(&self, object: &NamedNode) -> Option<&Arc<[Fact]>> {
        self.objects.get(self.terms.find(object)?)
    }

    /// Whether the object has a graph.
    pub fn contains(&self, object: &NamedNode) -> bool {
        self.held(object).is_some()
    }

    /// How many triples queries see.
    pub fn len(&self) -> usize {
        self.stated.len().saturating_add(self.living)
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The triples of the object's own graph, asserted and inferred.
    pub fn own(&self, object: &NamedNode) -> impl Iterator<Item = Triple> {
        self.held(object).into_iter().flat_map(|facts| facts.iter().map(Fact::triple))
    }

    /// The classes that the object belongs to, said and inferred.
    pub fn types(&self, object: &NamedNode) -> impl Iterator<Item = &NamedNode> {
        let (name, is_a) = (self.terms.find(object), self.terms.find(&rdf::TYPE.into_owned()));
        let facts = name.and_then(|name| self.objects.get(name)).into_iter().flat_map(|facts| facts.iter());
        let types = facts.filter(move |fact| Some(&fact.subject) == name && Some(&fact.predicate) == is_a);
        types.filter_map(|fact| match &fact.object {
            Value::Iri(class) => Some(class.get()),
            Value::Literal(_) => None,
        })
    }

    /// Makes `facts` all that is said of `object`, in place of what was said before. All facts must be about the object
    /// or its parts. Without facts the object is taken out.
    ///
    /// # Errors
    ///
    /// [`GraphRefused`]; nothing changed.
    pub fn apply(&mut self, object: &NamedNode, facts: &[Triple]) -> Result<(), GraphRefused> {
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
        self.replace(object, new, Some(self.max_reached))
    }

    /// Takes the object out, with all that only it said.
    ///
    /// # Errors
    ///
    /// None that comes of what the object said; a graph whose own facts are refused is not possible.
    pub fn remove(&mut self, object: &NamedNode) -> Result<(), GraphRefused> {
        self.replace(object, Inferred::default(), None)
    }

    fn replace(
        &mut self,
        object: &NamedNode,
        new: Inferred,
        limit: Option<usize>,
    ) -> Result<(), GraphRefused> {
        let before: Vec<Triple> = self.own(object).collect();
        let old = infer(self.ontology.closure(), &before)?;
        let (edges, edges_before) = (self.edges(&new), self.edges(&old));
        let reached = self
            .chains
            .change(&edges_before, &edges, limit)
            .map_err(|_| GraphRefused::ChainTooLong(object.clone()))?;
        let name = self.terms.iri(object.clone());
        let (own, others) = self.facts(object, new);
        let (_, others_before) = self.facts(object, old);
        let mut change = Changing { told: self.log.is_watched().then(Change::default), added: 0, removed: 0 };
        let mut touched = Touched::default();
        self.move_home(&name, own, &mut change, &mut touched);
        for fact in others_before.difference(&others) {
            self.shared.less(fact, &mut touched);
        }
        for fact in others.difference(&others_before) {
            self.more(fact, &mut touched);
        }
        self.move_chains(&reached, &mut touched);
        for (fact, came) in touched.changed(&self.shared) {
            change.put(came, &fact, || GraphName::DefaultGraph);
        }
        self.living = self.living.saturating_add(change.added).saturating_sub(change.removed);
        self.dead = self.dead.saturating_add(change.removed);
        if self.dead >= self.sweep_from.max(self.living) {
            self.terms.sweep();
            self.dead = 0;
        }
        match change.told {
            Some(told) => self.log.put(Arc::new(told)),
            None => self.log.pass(),
        }
        Ok(())
    }

    fn edges(&mut self, inferred: &Inferred) -> Set<Edge<Iri>> {
        let edges = inferred.edges.iter();
        let mut once = |iri: &NamedNode| self.terms.iri(iri.clone());
        edges.map(|(property, from, to)| (once(property), once(from), once(to))).collect()
    }

    /// The facts of an object's own graph, and those about others.
    fn facts(&mut self, object: &NamedNode, inferred: Inferred) -> (Facts, Facts) {
        let facts = inferred.facts.into_iter().filter_map(|fact| self.terms.fact(fact));
        facts.partition(|fact| owner(fact.subject.get()) == object.as_str())
    }

    /// Makes these the facts of an object's own graph.
    fn move_home(&mut self, name: &Iri, own: Facts, change: &mut Changing, touched: &mut Touched) {
        let had = self.objects.remove(name).unwrap_or_default();
        for fact in had.iter().filter(|fact| !own.contains(fact)) {
            change.put(false, fact, || name.get().clone().into());
            self.shared.settle(fact, false, touched);
        }
        let had: HashSet<&Fact, Places> = had.iter().collect();
        for fact in own.iter().filter(|fact| !had.contains(fact)) {
            change.put(true, fact, || name.get().clone().into());
            self.shared.settle(fact, true, touched);
        }
        if !own.is_empty() {
            self.objects.insert(name.clone(), own.into_iter().collect());
        }
    }

    fn move_chains(&mut self, reached: &Reached<Iri>, touched: &mut Touched) {
        for (pairs, more) in [(&reached.lost, false), (&reached.won, true)] {
            for (property, from, to) in pairs {
                let closure = self.ontology.closure();
                for fact in implied_by_chain(closure, property.get(), from.get(), to.get()) {
                    let Some(fact) = self.terms.fact(fact) else { continue };
                    if more {
                        self.more(&fact, touched);
                    } else {
                        self.shared.less(&fact, touched);
                    }
                }
            }
        }
    }

    /// That somebody says a fact about somebody else, or that a chain does.
    fn more(&mut self, fact: &Fact, touched: &mut Touched) {
        let (terms, objects) = (&self.terms, &self.objects);
        self.shared.more(fact, touched, |fact| {
            let subject = fact.subject.get();
            let home = NamedNode::new(owner(subject)).ok();
            let home = home.and_then(|home| objects.get(terms.find(&home)?));
            home.is_some_and(|facts| facts.contains(fact))
        });
    }

    fn in_ontology(&self, term: &NamedNode) -> bool {
        *term == vocabulary::ONTOLOGY || self.defined.contains(term)
    }

    fn put_ontology(&mut self) {
        let mut stated = Set::default();
        let mut types = BTreeSet::new();
        for axiom in self.ontology.axioms() {
            match axiom {
                // Objects may imply the same of them, so these are counted.
                Axiom::Individual { individual, class } => {
                    let above = self.ontology.closure().supers(class).iter();
                    types.extend(above.map(|class| (individual.clone(), class.clone())));
                }
                axiom => {
                    let triple = axiom.triple();
                    if let NamedOrBlankNode::NamedNode(subject) = &triple.subject {
                        self.defined.insert(subject.clone());
                    }
                    stated.insert(triple.in_graph(vocabulary::ONTOLOGY));
                }
            }
        }
        self.stated = stated.into_iter().collect();
        let mut touched = Touched::default();
        for (individual, class) in types {
            if let Some(fact) = self.terms.fact(Triple::new(individual, rdf::TYPE, class)) {
                self.more(&fact, &mut touched);
            }
        }
        self.living = touched.changed(&self.shared).count();
    }

    /// A digest of everything in the graph, the same in whatever order it came in: the sum of the SHA-256 of all
    /// quads. It shows that two graphs agree; it does not resist somebody who makes up data to fool it.
    pub fn digest(&self) -> String {
        self.quads()
            .fold(Sum::default(), |mut sum, quad| {
                sum.add(&quad);
                sum
            })
            .to_string()
    }

    /// The ontology's own graph.
    pub(crate) fn stated(&self) -> &[Quad] {
        &self.stated
    }

    /// The default graph: what follows about others.
    pub(crate) fn about_others(&self) -> impl Iterator<Item = Triple> {
        self.shared.seen().map(|fact| fact.triple())
    }
}

/// The object that an IRI belongs to: itself, without what comes after `#`.
fn owner(iri: &NamedNode) -> &str {
    iri.as_str().split_once('#').map_or(iri.as_str(), |(object, _)| object)
}
