//! What an ontology can say.

use crate::vocabulary::owl;
use oxigraph::model::vocab::{rdf, rdfs};
use oxigraph::model::{Literal, NamedNode, NamedNodeRef, Term, Triple};

/// What a name is declared to be. A name is one of them only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TermKind {
    /// Of individuals.
    Class,
    /// Between individuals.
    ObjectProperty,
    /// From an individual to a literal.
    DataProperty,
    /// Says something to people, and nothing to reasoners.
    AnnotationProperty,
}

impl TermKind {
    /// Whether it is a class.
    pub fn is_class(self) -> bool {
        self == Self::Class
    }

    /// Whether facts can have it as their property.
    pub fn is_property(self) -> bool {
        matches!(self, Self::ObjectProperty | Self::DataProperty)
    }

    /// The class of OWL that declares it.
    pub fn iri(self) -> NamedNodeRef<'static> {
        match self {
            Self::Class => owl::CLASS,
            Self::ObjectProperty => owl::OBJECT_PROPERTY,
            Self::DataProperty => owl::DATATYPE_PROPERTY,
            Self::AnnotationProperty => owl::ANNOTATION_PROPERTY,
        }
    }
}

/// The value of an annotation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Note {
    /// Text, with its language if it has one.
    Text {
        /// The text.
        text: String,
        /// BCP 47 tag.
        language: Option<String>,
    },
    /// Something elsewhere.
    Iri(NamedNode),
}

/// One statement of an ontology: the part of OWL 2 RL that is about names, without class expressions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Axiom {
    /// The name is a class or property.
    Declaration {
        /// The name.
        term: NamedNode,
        /// What it is.
        kind: TermKind,
    },
    /// `rdfs:subClassOf`.
    SubClass {
        /// The narrower class.
        sub: NamedNode,
        /// The wider class.
        sup: NamedNode,
    },
    /// `owl:equivalentClass`.
    EquivalentClasses(NamedNode, NamedNode),
    /// `owl:disjointWith`: nothing is both.
    DisjointClasses(NamedNode, NamedNode),
    /// `rdfs:subPropertyOf`.
    SubProperty {
        /// The narrower property.
        sub: NamedNode,
        /// The wider property.
        sup: NamedNode,
    },
    /// `owl:equivalentProperty`.
    EquivalentProperties(NamedNode, NamedNode),
    /// `owl:inverseOf`.
    Inverse(NamedNode, NamedNode),
    /// `rdfs:domain`: what has the property is of the class.
    Domain {
        /// The property.
        property: NamedNode,
        /// The class.
        class: NamedNode,
    },
    /// `rdfs:range`: a value of the property is of the class.
    Range {
        /// The object property.
        property: NamedNode,
        /// The class.
        class: NamedNode,
    },
    /// `rdfs:range` of a data property. Kept for people and other tools; values are not judged by it.
    DataRange {
        /// The data property.
        property: NamedNode,
        /// The datatype.
        datatype: NamedNode,
    },
    /// `owl:TransitiveProperty`.
    Transitive(NamedNode),
    /// `owl:SymmetricProperty`.
    Symmetric(NamedNode),
    /// An individual that the ontology names, such as a protocol.
    Individual {
        /// The individual.
        individual: NamedNode,
        /// Its class.
        class: NamedNode,
    },
    /// For people.
    Annotation {
        /// What it is about.
        subject: NamedNode,
        /// What kind of remark.
        property: NamedNode,
        /// The remark.
        value: Note,
    },
}

impl Axiom {
    /// The name that this axiom declares.
    pub fn declares(&self) -> Option<(&NamedNode, TermKind)> {
        match self {
            Self::Declaration { term, kind } => Some((term, *kind)),
            _ => None,
        }
    }

    /// The axiom as RDF.
    pub fn triple(&self) -> Triple {
        let say = |s: &NamedNode, p: NamedNodeRef<'_>, o: &NamedNode| Triple::new(s.clone(), p, o.clone());
        let kind = |s: &NamedNode, class: NamedNodeRef<'_>| Triple::new(s.clone(), rdf::TYPE, class);
        match self {
            Self::Declaration { term, kind: of } => kind(term, of.iri()),
            Self::SubClass { sub, sup } => say(sub, rdfs::SUB_CLASS_OF, sup),
            Self::EquivalentClasses(a, b) => say(a, owl::EQUIVALENT_CLASS, b),
            Self::DisjointClasses(a, b) => say(a, owl::DISJOINT_WITH, b),
            Self::SubProperty { sub, sup } => say(sub, rdfs::SUB_PROPERTY_OF, sup),
            Self::EquivalentProperties(a, b) => say(a, owl::EQUIVALENT_PROPERTY, b),
            Self::Inverse(a, b) => say(a, owl::INVERSE_OF, b),
            Self::Domain { property, class } => say(property, rdfs::DOMAIN, class),
            Self::Range { property, class } => say(property, rdfs::RANGE, class),
            Self::DataRange { property, datatype } => say(property, rdfs::RANGE, datatype),
            Self::Transitive(property) => kind(property, owl::TRANSITIVE_PROPERTY),
            Self::Symmetric(property) => kind(property, owl::SYMMETRIC_PROPERTY),
            Self::Individual { individual, class } => say(individual, rdf::TYPE, class),
            Self::Annotation { subject, property, value } => {
                Triple::new(subject.clone(), property.clone(), value.term())
            }
        }
    }
}

impl Note {
    fn term(&self) -> Term {
        match self {
            Self::Iri(iri) => iri.clone().into(),
            Self::Text { text, language: None } => Literal::new_simple_literal(text).into(),
            // A tag that was read is lawful; were it not, the text would stay.
            Self::Text { text, language: Some(language) } => {
                Literal::new_language_tagged_literal(text, language)
                    .unwrap_or_else(|_| Literal::new_simple_literal(text))
                    .into()
            }
        }
    }
}
