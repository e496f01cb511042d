//! The ontology: what kinds of things there are, and how they are related.
//!
//! The core is `ontology/i3.ttl`, part of the program. An administrator extends it while the marketplace runs, "a fan is
//! an actuator", with Turtle of the same kind: classes, properties, and what relates them by name. What our rules cannot
//! carry out (class expressions, property chains, cardinalities), what contradicts itself and what is too large is refused
//! with the reason, and the ontology stays as it was. A class below itself is no contradiction: classes in a circle are
//! equivalent.
//!
//! Each version has a number and a digest of everything it says.

mod axiom;
mod read;
mod refusal;
mod stored;
#[cfg(test)]
mod tests;

pub use axiom::{Axiom, Note, TermKind};
pub(crate) use read::is_reserved;
pub use read::{MAX_BYTES, MAX_STATEMENTS};
pub use refusal::OntologyRefused;
pub use stored::{InForce, NotInForce, Stored};

use crate::inference::Closure;
use crate::vocabulary::ONTOLOGY;
use oxigraph::io::{RdfFormat, RdfSerializer};
use oxigraph::model::{NamedNode, Triple};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// The text of the core ontology, as shipped.
pub const CORE: &str = include_str!("../../ontology/i3.ttl");

/// Prefixes for people's eyes.
pub const PREFIXES: &[(&str, &str)] = &[
    ("i3", crate::vocabulary::NAMESPACE),
    ("proto", crate::vocabulary::PROTOCOL_NAMESPACE),
    ("owl", crate::vocabulary::owl::NAMESPACE),
    ("rdf", "http://www.w3.org/1999/02/22-rdf-syntax-ns#"),
    ("rdfs", "http://www.w3.org/2000/01/rdf-schema#"),
    ("xsd", "http://www.w3.org/2001/XMLSchema#"),
    ("skos", "http://www.w3.org/2004/02/skos/core#"),
    ("sosa", "http://www.w3.org/ns/sosa/"),
    ("td", "https://www.w3.org/2019/wot/td#"),
    ("tm", "https://www.w3.org/2019/wot/tm#"),
    ("dcat", "http://www.w3.org/ns/dcat#"),
    ("dct", "http://purl.org/dc/terms/"),
    ("dqv", "http://www.w3.org/ns/dqv#"),
    ("odrl", "http://www.w3.org/ns/odrl/2/"),
    ("foaf", "http://xmlns.com/foaf/0.1/"),
    ("schema", "https://schema.org/"),
];

/// Which state of the ontology something was derived with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OntologyVersion {
    /// The core is 1; every extension adds one.
    pub number: u64,
    /// SHA-256 of all statements in order, in hexadecimal.
    pub digest: String,
}

/// An ontology that was found consistent, with everything that follows from it computed.
#[derive(Clone, Debug)]
pub struct Ontology {
    axioms: BTreeSet<Axiom>,
    version: OntologyVersion,
    closure: Arc<Closure>,
}

impl Ontology {
    /// The vocabulary that the marketplace ships with.
    ///
    /// # Panics
    ///
    /// Never: the text is part of the program, and tests read it.
    #[expect(clippy::expect_used, reason = "the text is part of the program, and tests read it")]
    pub fn core() -> Self {
        Self::from_turtle(CORE, &BTreeSet::new(), 1).expect("the core ontology is lawful")
    }

    /// This ontology with `turtle` added: the next version. The text may use everything that is declared already.
    ///
    /// # Errors
    ///
    /// [`OntologyRefused`] says why; the ontology is as it was.
    pub fn extend(&self, turtle: &str) -> Result<Self, OntologyRefused> {
        self.extended(turtle, self.version.number.saturating_add(1))
    }

    /// This ontology with `turtle` added, as the version of this number: what an administrator's text says, whatever
    /// versions there were between.
    ///
    /// # Errors
    ///
    /// [`OntologyRefused`] says why; the ontology is as it was.
    pub fn extended(&self, turtle: &str, number: u64) -> Result<Self, OntologyRefused> {
        Self::from_turtle(turtle, &self.axioms, number)
    }

    /// The same statements as the version of this number.
    pub fn numbered(mut self, number: u64) -> Self {
        self.version.number = number;
        self
    }

    fn from_turtle(turtle: &str, known: &BTreeSet<Axiom>, number: u64) -> Result<Self, OntologyRefused> {
        let mut axioms = read::read(turtle, known)?;
        axioms.extend(known.iter().cloned());
        if axioms.len() > MAX_STATEMENTS {
            return Err(OntologyRefused::TooLarge { what: "statements", limit: MAX_STATEMENTS });
        }
        let closure = Closure::of(&axioms)?;
        let mut digest = Sha256::new();
        let mut lines: Vec<_> = axioms.iter().map(|axiom| axiom.triple().to_string()).collect();
        lines.sort_unstable();
        for line in lines {
            digest.update(line);
            digest.update(b"\n");
        }
        Ok(Self {
            axioms,
            version: OntologyVersion { number, digest: data_encoding::HEXLOWER.encode(&digest.finalize()) },
            closure: Arc::new(closure),
        })
    }

    /// What it says.
    pub fn axioms(&self) -> &BTreeSet<Axiom> {
        &self.axioms
    }

    /// Which version this is.
    pub fn version(&self) -> &OntologyVersion {
        &self.version
    }

    /// Everything that follows from it, ready to be looked up.
    pub fn closure(&self) -> &Arc<Closure> {
        &self.closure
    }

    /// What the name is declared to be.
    pub fn kind(&self, term: &NamedNode) -> Option<TermKind> {
        self.axioms
            .iter()
            .filter_map(Axiom::declares)
            .find(|(declared, _)| *declared == term)
            .map(|(_, kind)| kind)
    }

    /// As RDF, without the head.
    pub fn triples(&self) -> impl Iterator<Item = Triple> + '_ {
        self.axioms.iter().map(Axiom::triple)
    }

    /// As Turtle that Protégé and [`Ontology::extend`] read.
    ///
    /// # Errors
    ///
    /// Only if writing to memory fails.
    pub fn to_turtle(&self) -> io::Result<String> {
        let mut writer = serializer(RdfFormat::Turtle)?.for_writer(Vec::new());
        let head = Triple::new(ONTOLOGY, oxigraph::model::vocab::rdf::TYPE, crate::vocabulary::owl::ONTOLOGY);
        writer.serialize_triple(&head)?;
        for triple in self.triples() {
            writer.serialize_triple(&triple)?;
        }
        String::from_utf8(writer.finish()?).map_err(io::Error::other)
    }
}

/// A serializer that abbreviates with [`PREFIXES`].
pub(crate) fn serializer(format: RdfFormat) -> io::Result<RdfSerializer> {
    PREFIXES.iter().try_fold(RdfSerializer::from_format(format), |serializer, (name, iri)| {
        serializer.with_prefix(*name, *iri).map_err(io::Error::other)
    })
}
