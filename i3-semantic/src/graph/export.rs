//! The graph as text.

use super::Graph;
use crate::ontology::serializer;
use oxigraph::io::{JsonLdProfileSet, RdfFormat};
use oxigraph::model::NamedNode;
use std::io::{self, Write};

/// A format that the graph is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Triples for people, without the graphs that they are in.
    Turtle,
    /// Triples as JSON-LD 1.1 in expanded form, without the graphs that they are in.
    JsonLd,
    /// Everything, line by line, with the graphs.
    NQuads,
}

impl Format {
    /// The format's name in oxigraph.
    pub fn rdf(self) -> RdfFormat {
        match self {
            Self::Turtle => RdfFormat::Turtle,
            Self::JsonLd => RdfFormat::JsonLd { profile: JsonLdProfileSet::empty() },
            Self::NQuads => RdfFormat::NQuads,
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Turtle => "text/turtle",
            Self::JsonLd => "application/ld+json",
            Self::NQuads => "application/n-quads",
        }
    }
}

impl Graph {
    /// Writes everything that queries see, in no particular order.
    ///
    /// # Errors
    ///
    /// Those of `to`.
    pub fn export(&self, format: Format, to: impl Write) -> io::Result<()> {
        let mut writer = serializer(format.rdf())?.for_writer(to);
        for quad in self.quads() {
            if format == Format::NQuads {
                writer.serialize_quad(&quad)?;
            } else {
                writer.serialize_triple(quad.as_ref())?;
            }
        }
        writer.finish()?.flush()
    }

    /// Writes what is known of one object: its own graph, and what follows about it from others.
    ///
    /// # Errors
    ///
    /// Those of `to`.
    pub fn export_object(&self, object: &NamedNode, format: Format, to: impl Write) -> io::Result<()> {
        let mut writer = serializer(format.rdf())?.for_writer(to);
        let name = self.terms.find(object);
        let from_others = name.into_iter().flat_map(|name| self.shared.about(name)).map(|fact| fact.triple());
        for triple in self.own(object).chain(from_others) {
            writer.serialize_triple(&triple)?;
        }
        writer.finish()?.flush()
    }
}
