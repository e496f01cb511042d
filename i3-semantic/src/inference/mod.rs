//! What follows from facts: the rules of OWL 2 RL that our ontologies can ask for.
//!
//! Two steps. [`Closure`] is computed once for each version of the ontology; [`infer`] then looks up what follows from
//! the facts about one object. No rule of `infer` joins two facts, so what follows from many objects is the union of
//! what follows from each: an object's facts are put in, changed and taken out exactly, without looking at others.
//!
//! The one rule that joins facts is that of transitive properties. The graph carries it out ([`crate::graph`]), as the
//! chain may run through many objects.

mod closure;
mod facts;
#[cfg(test)]
mod tests;

pub(crate) use facts::implied_by_chain;

pub use closure::{Closure, Direction, MAX_RELATIONS, PropertyClosure};
pub use facts::{Contradiction, FactRefused, Inferred, infer};
