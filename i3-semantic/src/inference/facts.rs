//! What follows from the facts about one object.

use super::{Closure, Direction};
use crate::hashing::{Map, Set};
use crate::ontology::is_reserved;
use oxigraph::model::vocab::{rdf, rdfs};
use oxigraph::model::{NamedNode, NamedOrBlankNode, Term, Triple};
use std::collections::BTreeSet;

/// Why a fact is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FactRefused {
    /// A nameless thing: it could not be found again to be taken out.
    #[error("a blank node in a fact: {fact}")]
    BlankNode {
        /// The fact.
        fact: String,
    },
    /// A fact that would change what the terms of RDF or OWL mean, or make an object a class.
    #[error("a fact cannot use <{term}>: {fact}", term = term.as_str())]
    Reserved {
        /// The term.
        term: NamedNode,
        /// The fact.
        fact: String,
    },
    /// The fact is about something else than the object that it was given for.
    #[error("a fact about <{subject}> does not belong to <{object}>", subject = subject.as_str(), object = object.as_str())]
    NotItsOwn {
        /// What the fact is about.
        subject: NamedNode,
        /// Whose facts they were to be.
        object: NamedNode,
    },
}

/// Something would be two things that nothing can be both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error(
    "<{subject}> would be both <{one}> and <{other}>, which are disjoint",
    subject = subject.as_str(), one = one.as_str(), other = other.as_str()
)]
pub struct Contradiction {
    /// What cannot be.
    pub subject: NamedNode,
    /// One of the two classes.
    pub one: NamedNode,
    /// The other.
    pub other: NamedNode,
}

/// What follows from facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inferred {
    /// The facts and all that follows from them, without what needs chains of transitive properties. Each once.
    pub facts: Set<Triple>,
    /// Edges of transitive properties among them: property, from, to.
    pub edges: BTreeSet<(NamedNode, NamedNode, NamedNode)>,
    /// What makes the facts impossible.
    pub contradictions: BTreeSet<Contradiction>,
}

/// Refuses facts that cannot be kept or would be more than data.
///
/// # Errors
///
/// The first fact that is refused.
pub(crate) fn check(fact: &Triple) -> Result<(&NamedNode, &NamedNode), FactRefused> {
    let NamedOrBlankNode::NamedNode(subject) = &fact.subject else {
        return Err(FactRefused::BlankNode { fact: fact.to_string() });
    };
    let reserved = |term: &NamedNode| FactRefused::Reserved { term: term.clone(), fact: fact.to_string() };
    let for_data = [rdf::TYPE, rdfs::LABEL, rdfs::COMMENT, rdfs::SEE_ALSO];
    if is_reserved(fact.predicate.as_ref()) && !for_data.contains(&fact.predicate.as_ref()) {
        return Err(reserved(&fact.predicate));
    }
    if is_reserved(subject.as_ref()) {
        return Err(reserved(subject));
    }
    match &fact.object {
        Term::BlankNode(_) => Err(FactRefused::BlankNode { fact: fact.to_string() }),
        Term::NamedNode(object) if fact.predicate == rdf::TYPE && is_reserved(object.as_ref()) => {
            Err(reserved(object))
        }
        Term::Literal(_) if fact.predicate == rdf::TYPE => Err(reserved(&fact.predicate)),
        _ => Ok((subject, &fact.predicate)),
    }
}

/// What follows from `facts`, by subclass, equivalent class, subproperty, equivalent property, inverse, symmetry, domain
/// and range. The same facts give the same result, and more facts give no less.
///
/// Facts with terms that the ontology does not have are kept as they are.
///
/// # Errors
///
/// [`FactRefused`] for the first fact that cannot be kept.
pub fn infer<'a>(
    closure: &Closure,
    facts: impl IntoIterator<Item = &'a Triple>,
) -> Result<Inferred, FactRefused> {
    let mut found = Inferred::default();
    let mut types: Map<NamedNode, Set<&NamedNode>> = Map::default();
    for fact in facts {
        let (subject, predicate) = check(fact)?;
        found.facts.insert(fact.clone());
        match &fact.object {
            Term::NamedNode(class) if *predicate == rdf::TYPE => {
                is_a(&mut types, subject, closure.supers(class));
            }
            object => {
                let Some(property) = closure.property(predicate) else {
                    continue;
                };
                is_a(&mut types, subject, &property.subject_types);
                let value = match object {
                    Term::NamedNode(value) => Some(value),
                    _ => None,
                };
                if let Some(value) = value {
                    is_a(&mut types, value, &property.object_types);
                    for (wider, direction) in &property.edges {
                        found.edges.insert(turn(*direction, subject, wider, value));
                    }
                }
                for (wider, direction) in &property.implied {
                    match (direction, value) {
                        (Direction::Same, _) => {
                            let implied = Triple::new(subject.clone(), wider.clone(), object.clone());
                            found.facts.insert(implied);
                        }
                        (Direction::Turned, Some(value)) => {
                            let implied = Triple::new(value.clone(), wider.clone(), subject.clone());
                            found.facts.insert(implied);
                        }
                        // A literal is the subject of nothing.
                        (Direction::Turned, None) => {}
                    }
                }
            }
        }
    }
    for (subject, types) in types {
        if let Some((one, other)) = closure.clash(&types.iter().copied().collect()) {
            found.contradictions.insert(Contradiction {
                subject: subject.clone(),
                one: one.clone(),
                other: other.clone(),
            });
        }
        for class in types {
            let implied = Triple::new(subject.clone(), rdf::TYPE, class.clone());
            found.facts.insert(implied);
        }
    }
    Ok(found)
}

fn is_a<'c>(types: &mut Map<NamedNode, Set<&'c NamedNode>>, what: &NamedNode, classes: &'c [NamedNode]) {
    if classes.is_empty() {
        return;
    }
    match types.get_mut(what) {
        Some(known) => known.extend(classes),
        None => {
            types.insert(what.clone(), classes.iter().collect());
        }
    }
}

fn turn(
    direction: Direction,
    subject: &NamedNode,
    property: &NamedNode,
    value: &NamedNode,
) -> (NamedNode, NamedNode, NamedNode) {
    match direction {
        Direction::Same => (property.clone(), subject.clone(), value.clone()),
        Direction::Turned => (property.clone(), value.clone(), subject.clone()),
    }
}

/// What follows from a pair at the ends of a chain: the fact itself, the same with wider properties, and turned round.
pub(crate) fn implied_by_chain(
    closure: &Closure,
    property: &NamedNode,
    from: &NamedNode,
    to: &NamedNode,
) -> Vec<Triple> {
    let mut implied = vec![Triple::new(from.clone(), property.clone(), to.clone())];
    if let Some(wider) = closure.property(property) {
        implied.extend(wider.implied.iter().map(|(wider, direction)| {
            let (wider, from, to) = turn(*direction, from, wider, to);
            Triple::new(from, wider, to)
        }));
    }
    implied
}
