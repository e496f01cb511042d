//! The terms of a graph, each kept once.

use oxigraph::model::{GraphName, Literal, NamedNode, NamedOrBlankNode, Quad, Term, Triple};
use std::borrow::Borrow;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

/// Something that is kept once, so that two are equal if they are the same.
#[derive(Debug)]
pub(super) struct Once<T>(Arc<T>);

pub(super) type Iri = Once<NamedNode>;

impl<T> Once<T> {
    pub(super) fn get(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for Once<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> PartialEq for Once<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Eq for Once<T> {}

impl<T> Hash for Once<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).addr().hash(state);
    }
}

/// Hashes what is kept once, by where that is: a few steps where `SipHash` takes tens. Nobody outside chooses addresses.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ByPlace(u64);

/// A hash table's way to hash with [`ByPlace`].
pub(super) type Places = BuildHasherDefault<ByPlace>;

impl Hasher for ByPlace {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // Steele and Vigna's multiplier for generators modulo 2^64; the turn brings high digits, which differ, down.
        self.0 = (self.0 ^ number).wrapping_mul(0xd134_2543_de82_ef95).rotate_left(32);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(u64::try_from(number).unwrap_or(u64::MAX));
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(u64::from_ne_bytes(i64::try_from(number).unwrap_or(0).to_ne_bytes()));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What a property leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Value {
    Iri(Iri),
    Literal(Once<Literal>),
}

/// A triple of terms that are kept once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fact {
    pub(super) subject: Iri,
    pub(super) predicate: Iri,
    pub(super) object: Value,
}

impl Fact {
    pub(super) fn triple(&self) -> Triple {
        let object: Term = match &self.object {
            Value::Iri(iri) => iri.get().clone().into(),
            Value::Literal(literal) => literal.get().clone().into(),
        };
        Triple::new(self.subject.get().clone(), self.predicate.get().clone(), object)
    }

    pub(super) fn quad(&self, graph: impl Into<GraphName>) -> Quad {
        self.triple().in_graph(graph)
    }
}

/// A term in the table, found by its text.
#[derive(Debug)]
struct ByText<T>(Once<T>);

impl<T: Hash> Hash for ByText<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.get().hash(state);
    }
}

impl<T: PartialEq> PartialEq for ByText<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl<T: Eq> Eq for ByText<T> {}

impl<T> Borrow<T> for ByText<T> {
    fn borrow(&self) -> &T {
        self.0.get()
    }
}

/// All terms of a graph.
#[derive(Debug, Default)]
pub(super) struct Terms {
    iris: Set<ByText<NamedNode>>,
    literals: Set<ByText<Literal>>,
}

fn once<T: Clone + Eq + Hash>(known: &mut Set<ByText<T>>, term: T) -> Once<T> {
    if let Some(ByText(once)) = known.get(&term) {
        return once.clone();
    }
    let once = Once(Arc::new(term));
    known.insert(ByText(once.clone()));
    once
}

impl Terms {
    pub(super) fn iri(&mut self, iri: NamedNode) -> Iri {
        once(&mut self.iris, iri)
    }

    /// The IRI, if the graph has it.
    pub(super) fn find(&self, iri: &NamedNode) -> Option<&Iri> {
        self.iris.get(iri).map(|ByText(iri)| iri)
    }

    /// A triple's terms; nothing for one with a blank node, which no graph takes.
    pub(super) fn fact(&mut self, triple: Triple) -> Option<Fact> {
        let NamedOrBlankNode::NamedNode(subject) = triple.subject else { return None };
        let object = match triple.object {
            Term::NamedNode(iri) => Value::Iri(self.iri(iri)),
            Term::Literal(literal) => Value::Literal(once(&mut self.literals, literal)),
            Term::BlankNode(_) => return None,
        };
        Some(Fact { subject: self.iri(subject), predicate: self.iri(triple.predicate), object })
    }

    /// Forgets what nobody has any more.
    pub(super) fn sweep(&mut self) {
        self.iris.retain(|ByText(Once(term))| Arc::strong_count(term) > 1);
        self.literals.retain(|ByText(Once(term))| Arc::strong_count(term) > 1);
        self.iris.shrink_to_fit();
        self.literals.shrink_to_fit();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.iris.len() + self.literals.len()
    }
}
use crate::hashing::Set;
