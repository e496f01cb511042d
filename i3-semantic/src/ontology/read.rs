//! Turtle to axioms. What our rules do not carry out is refused.

use super::{Axiom, Note, OntologyRefused, TermKind};
use crate::vocabulary::{ONTOLOGY, owl};
use oxigraph::io::{RdfFormat, RdfParser};
use oxigraph::model::vocab::{rdf, rdfs, xsd};
use oxigraph::model::{BlankNode, NamedNode, NamedNodeRef, NamedOrBlankNode, Quad, Term};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Largest Turtle text of an ontology or addition.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Most statements of an ontology.
pub const MAX_STATEMENTS: usize = 100_000;
/// Most members of one list of disjoint classes; every pair of them is an axiom.
const MAX_DISJOINT: usize = 256;

/// What is declared, by name.
pub(super) type Declared = HashMap<NamedNode, TermKind>;

/// Reads `turtle`, which may use what `known` declares.
pub(super) fn read(turtle: &str, known: &BTreeSet<Axiom>) -> Result<BTreeSet<Axiom>, OntologyRefused> {
    if turtle.len() > MAX_BYTES {
        return Err(OntologyRefused::TooLarge { what: "bytes", limit: MAX_BYTES });
    }
    let mut statements = Vec::new();
    for quad in RdfParser::from_format(RdfFormat::Turtle).for_slice(turtle.as_bytes()) {
        let quad = quad.map_err(|error| OntologyRefused::Syntax { message: error.to_string() })?;
        statements.push(quad);
        if statements.len() > MAX_STATEMENTS {
            return Err(OntologyRefused::TooLarge { what: "statements", limit: MAX_STATEMENTS });
        }
    }
    let declared = declarations(&statements, known)?;
    let mut reader = Reader { declared: &declared, lists: Lists::of(&statements), axioms: BTreeSet::new() };
    for statement in &statements {
        reader.statement(statement)?;
    }
    Ok(reader.axioms)
}

/// What is declared, here and before; each name is of one kind.
fn declarations(statements: &[Quad], known: &BTreeSet<Axiom>) -> Result<Declared, OntologyRefused> {
    let mut declared: Declared =
        known.iter().filter_map(Axiom::declares).map(|(term, kind)| (term.clone(), kind)).collect();
    for statement in statements {
        let (NamedOrBlankNode::NamedNode(term), Term::NamedNode(class)) =
            (&statement.subject, &statement.object)
        else {
            continue;
        };
        if statement.predicate != rdf::TYPE {
            continue;
        }
        let Some(kind) = kind(class.as_ref()) else { continue };
        if declared.insert(term.clone(), kind).is_some_and(|before| before != kind) {
            return Err(OntologyRefused::TwoKinds { term: term.clone() });
        }
    }
    Ok(declared)
}

fn kind(class: NamedNodeRef<'_>) -> Option<TermKind> {
    [TermKind::Class, TermKind::ObjectProperty, TermKind::DataProperty, TermKind::AnnotationProperty]
        .into_iter()
        .find(|kind| kind.iri() == class)
}

/// Names that nobody but their standard may describe.
pub(crate) fn is_reserved(term: NamedNodeRef<'_>) -> bool {
    [
        owl::NAMESPACE,
        "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        "http://www.w3.org/2000/01/rdf-schema#",
        "http://www.w3.org/2001/XMLSchema#",
    ]
    .iter()
    .any(|namespace| term.as_str().starts_with(namespace))
}

/// Annotation properties that need no declaration.
fn annotates(property: NamedNodeRef<'_>) -> bool {
    [rdfs::LABEL, rdfs::COMMENT, rdfs::SEE_ALSO, rdfs::IS_DEFINED_BY, owl::VERSION_INFO].contains(&property)
}

/// Datatypes of OWL 2 RL that a data property may have as its range.
fn is_datatype(term: NamedNodeRef<'_>) -> bool {
    term == rdfs::LITERAL
        || [
            xsd::STRING,
            xsd::BOOLEAN,
            xsd::DECIMAL,
            xsd::INTEGER,
            xsd::DOUBLE,
            xsd::FLOAT,
            xsd::DATE_TIME,
            xsd::ANY_URI,
        ]
        .contains(&term)
}

/// The lists of a document, for the members of disjoint classes.
struct Lists<'a> {
    first: BTreeMap<&'a str, &'a Term>,
    rest: BTreeMap<&'a str, &'a Term>,
    members: BTreeMap<&'a str, &'a Term>,
}

impl<'a> Lists<'a> {
    fn of(statements: &'a [Quad]) -> Self {
        let of = |predicate: NamedNodeRef<'_>| {
            statements
                .iter()
                .filter(|statement| statement.predicate == predicate)
                .filter_map(|statement| match &statement.subject {
                    NamedOrBlankNode::BlankNode(node) => Some((node.as_str(), &statement.object)),
                    NamedOrBlankNode::NamedNode(_) => None,
                })
                .collect()
        };
        Self { first: of(rdf::FIRST), rest: of(rdf::REST), members: of(owl::MEMBERS) }
    }

    /// The named members of `node`; `None` if there are others, the list does not end, or it is too long.
    fn members(&self, node: &BlankNode) -> Option<Vec<NamedNode>> {
        let mut at = *self.members.get(node.as_str())?;
        let mut found = Vec::new();
        loop {
            match at {
                Term::NamedNode(end) if *end == rdf::NIL => return Some(found),
                Term::BlankNode(cell) if found.len() < MAX_DISJOINT => {
                    let Term::NamedNode(member) = self.first.get(cell.as_str())? else {
                        return None;
                    };
                    found.push(member.clone());
                    at = self.rest.get(cell.as_str())?;
                }
                _ => return None,
            }
        }
    }
}

struct Reader<'a> {
    declared: &'a Declared,
    lists: Lists<'a>,
    axioms: BTreeSet<Axiom>,
}

impl Reader<'_> {
    fn statement(&mut self, statement: &Quad) -> Result<(), OntologyRefused> {
        let predicate = statement.predicate.as_ref();
        let unsupported = |construct| OntologyRefused::Unsupported {
            construct,
            statement: format!("{} {} {}", statement.subject, statement.predicate, statement.object),
        };
        let subject = match &statement.subject {
            NamedOrBlankNode::NamedNode(subject) => subject,
            // Cells of lists are read from their head.
            NamedOrBlankNode::BlankNode(_) if [rdf::FIRST, rdf::REST, owl::MEMBERS].contains(&predicate) => {
                return Ok(());
            }
            NamedOrBlankNode::BlankNode(node)
                if predicate == rdf::TYPE && statement.object == Term::from(owl::ALL_DISJOINT_CLASSES) =>
            {
                let members =
                    self.lists.members(node).ok_or_else(|| unsupported("such a list of disjoint classes"))?;
                return self.all_disjoint(&members);
            }
            NamedOrBlankNode::BlankNode(_) => {
                return Err(unsupported("a class expression or another nameless thing"));
            }
        };
        if subject.as_ref() == ONTOLOGY || statement.object == Term::from(owl::ONTOLOGY) {
            // The head of the document. What it imports would have to be fetched.
            if predicate.as_str().ends_with("#imports") {
                return Err(unsupported("an import"));
            }
            if predicate == rdf::TYPE {
                return Ok(());
            }
        }
        if is_reserved(subject.as_ref()) {
            return Err(OntologyRefused::Reserved { term: subject.clone() });
        }
        if annotates(predicate)
            || self.declared.get(&statement.predicate) == Some(&TermKind::AnnotationProperty)
        {
            let value = match &statement.object {
                Term::NamedNode(iri) => Note::Iri(iri.clone()),
                Term::Literal(literal)
                    if literal.language().is_some() || literal.datatype() == xsd::STRING =>
                {
                    Note::Text {
                        text: literal.value().to_owned(),
                        language: literal.language().map(str::to_owned),
                    }
                }
                _ => return Err(unsupported("an annotation that is neither text nor an IRI")),
            };
            self.axioms.insert(Axiom::Annotation {
                subject: subject.clone(),
                property: statement.predicate.clone(),
                value,
            });
            return Ok(());
        }
        let Term::NamedNode(object) = &statement.object else {
            return Err(unsupported("a class expression or a value"));
        };
        let axiom = self.axiom(subject, predicate, object)?.ok_or_else(|| unsupported("this construct"))?;
        self.axioms.insert(axiom);
        Ok(())
    }

    /// The axiom of a statement between two names; `None` if it is none that we carry out.
    fn axiom(
        &self,
        subject: &NamedNode,
        predicate: NamedNodeRef<'_>,
        object: &NamedNode,
    ) -> Result<Option<Axiom>, OntologyRefused> {
        let (s, o) = (subject.clone(), object.clone());
        Ok(Some(if predicate == rdf::TYPE {
            match object.as_ref() {
                class if kind(class).is_some() => match kind(class) {
                    Some(kind) => Axiom::Declaration { term: s, kind },
                    None => return Ok(None),
                },
                owl::TRANSITIVE_PROPERTY => Axiom::Transitive(self.object_property(subject)?),
                owl::SYMMETRIC_PROPERTY => Axiom::Symmetric(self.object_property(subject)?),
                // Its class says what it is; the declaration alone says nothing.
                owl::NAMED_INDIVIDUAL => {
                    Axiom::Annotation { subject: s, property: rdf::TYPE.into_owned(), value: Note::Iri(o) }
                }
                _ => Axiom::Individual { individual: s, class: self.class(object)? },
            }
        } else if predicate == rdfs::SUB_CLASS_OF {
            Axiom::SubClass { sub: self.class(subject)?, sup: self.class(object)? }
        } else if predicate == owl::EQUIVALENT_CLASS {
            Axiom::EquivalentClasses(self.class(subject)?, self.class(object)?)
        } else if predicate == owl::DISJOINT_WITH {
            Axiom::DisjointClasses(self.class(subject)?, self.class(object)?)
        } else if predicate == rdfs::SUB_PROPERTY_OF || predicate == owl::EQUIVALENT_PROPERTY {
            let (one, other) = (self.property(subject)?, self.property(object)?);
            if one != other {
                return Err(OntologyRefused::Undeclared { term: o, expected: "a property of the same kind" });
            }
            if predicate == rdfs::SUB_PROPERTY_OF {
                Axiom::SubProperty { sub: s, sup: o }
            } else {
                Axiom::EquivalentProperties(s, o)
            }
        } else if predicate == owl::INVERSE_OF {
            Axiom::Inverse(self.object_property(subject)?, self.object_property(object)?)
        } else if predicate == rdfs::DOMAIN {
            self.property(subject)?;
            Axiom::Domain { property: s, class: self.class(object)? }
        } else if predicate == rdfs::RANGE {
            if self.property(subject)? == TermKind::ObjectProperty {
                Axiom::Range { property: s, class: self.class(object)? }
            } else if is_datatype(object.as_ref()) {
                Axiom::DataRange { property: s, datatype: o }
            } else {
                return Err(OntologyRefused::Undeclared { term: o, expected: "a datatype of OWL 2 RL" });
            }
        } else {
            return Ok(None);
        }))
    }

    fn all_disjoint(&mut self, members: &[NamedNode]) -> Result<(), OntologyRefused> {
        for (at, one) in members.iter().enumerate() {
            self.class(one)?;
            for other in members.iter().skip(at + 1) {
                self.axioms.insert(Axiom::DisjointClasses(one.clone(), other.clone()));
            }
        }
        Ok(())
    }

    fn class(&self, term: &NamedNode) -> Result<NamedNode, OntologyRefused> {
        self.of_kind(term, TermKind::Class, "a class")
    }

    fn object_property(&self, term: &NamedNode) -> Result<NamedNode, OntologyRefused> {
        self.of_kind(term, TermKind::ObjectProperty, "an object property")
    }

    fn of_kind(
        &self,
        term: &NamedNode,
        kind: TermKind,
        expected: &'static str,
    ) -> Result<NamedNode, OntologyRefused> {
        if is_reserved(term.as_ref()) {
            return Err(OntologyRefused::Reserved { term: term.clone() });
        }
        if self.declared.get(term) != Some(&kind) {
            return Err(OntologyRefused::Undeclared { term: term.clone(), expected });
        }
        Ok(term.clone())
    }

    /// The kind of a property that facts can have.
    fn property(&self, term: &NamedNode) -> Result<TermKind, OntologyRefused> {
        match self.declared.get(term) {
            Some(kind @ (TermKind::ObjectProperty | TermKind::DataProperty)) => Ok(*kind),
            _ => Err(OntologyRefused::Undeclared {
                term: term.clone(),
                expected: "an object or data property",
            }),
        }
    }
}
