//! Why an ontology is not accepted.

use oxigraph::model::NamedNode;

/// Why an ontology, or an addition to one, is not accepted. Nothing of it was taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OntologyRefused {
    /// Not Turtle.
    #[error("not lawful Turtle: {message}")]
    Syntax {
        /// What the parser says, with the place.
        message: String,
    },
    /// More than we work with.
    #[error("the ontology has too many {what}: at most {limit}")]
    TooLarge {
        /// Bytes, statements, classes and properties, or implied relations.
        what: &'static str,
        /// How many are accepted.
        limit: usize,
    },
    /// A construct that our rules do not carry out. Better refused than silently without effect.
    #[error("{construct} is not supported: {statement}")]
    Unsupported {
        /// Which construct.
        construct: &'static str,
        /// The statement that has it.
        statement: String,
    },
    /// A class or property without a declaration.
    #[error("<{term}> is used as {expected} but not declared to be one", term = term.as_str())]
    Undeclared {
        /// The name.
        term: NamedNode,
        /// What it would have to be.
        expected: &'static str,
    },
    /// One name, two kinds of thing.
    #[error("<{term}> is declared to be two kinds of thing", term = term.as_str())]
    TwoKinds {
        /// The name.
        term: NamedNode,
    },
    /// A name of RDF, RDF Schema, OWL or XML Schema is not ours to say anything about.
    #[error("<{term}> belongs to a standard and cannot be described or used here", term = term.as_str())]
    Reserved {
        /// The name.
        term: NamedNode,
    },
    /// A class that nothing can be a member of, because two classes above it are disjoint.
    #[error(
        "nothing could be a <{class}>: it would be both <{one}> and <{other}>, which are disjoint",
        class = class.as_str(), one = one.as_str(), other = other.as_str()
    )]
    EmptyClass {
        /// The class.
        class: NamedNode,
        /// One of the two.
        one: NamedNode,
        /// The other.
        other: NamedNode,
    },
    /// A property that nothing can have, because its domains or ranges are disjoint.
    #[error(
        "nothing could have <{property}>: its {end} would be both <{one}> and <{other}>, which are disjoint",
        property = property.as_str(), one = one.as_str(), other = other.as_str()
    )]
    EmptyProperty {
        /// The property.
        property: NamedNode,
        /// `subject` or `object`.
        end: &'static str,
        /// One of the two.
        one: NamedNode,
        /// The other.
        other: NamedNode,
    },
    /// An individual that the ontology itself puts into two disjoint classes.
    #[error(
        "<{individual}> would be both <{one}> and <{other}>, which are disjoint",
        individual = individual.as_str(), one = one.as_str(), other = other.as_str()
    )]
    ImpossibleIndividual {
        /// The individual.
        individual: NamedNode,
        /// One of the two.
        one: NamedNode,
        /// The other.
        other: NamedNode,
    },
}
