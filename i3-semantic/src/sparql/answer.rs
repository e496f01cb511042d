//! Answers as text, and what the endpoint says of itself.

use crate::graph::Format;
use crate::ontology::serializer;
use oxigraph::model::vocab::rdf;
use oxigraph::model::{BlankNode, NamedNode, Triple};
use oxigraph::sparql::QueryResults;
use oxigraph::sparql::results::{QueryResultsFormat, QueryResultsSerializer};
use std::io::{self, Write};

/// Longest answer, in bytes.
pub const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// A format of answers: the first three for SELECT and ASK, the others for CONSTRUCT and DESCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnswerFormat {
    /// SPARQL 1.1 Query Results JSON Format.
    Json,
    /// SPARQL 1.1 Query Results CSV.
    Csv,
    /// SPARQL 1.1 Query Results TSV.
    Tsv,
    /// Turtle.
    Turtle,
    /// JSON-LD 1.1.
    JsonLd,
}

impl AnswerFormat {
    /// All formats, the usual one of each kind first.
    pub const ALL: [Self; 5] = [Self::Json, Self::Csv, Self::Tsv, Self::Turtle, Self::JsonLd];

    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/sparql-results+json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Tsv => "text/tab-separated-values; charset=utf-8",
            Self::Turtle => "text/turtle; charset=utf-8",
            Self::JsonLd => "application/ld+json",
        }
    }

    /// Whether it is for triples.
    pub const fn is_graph(self) -> bool {
        matches!(self, Self::Turtle | Self::JsonLd)
    }

    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Json => 0,
            Self::Csv => 1,
            Self::Tsv => 2,
            Self::Turtle => 3,
            Self::JsonLd => 4,
        }
    }

    pub(super) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.code() == code)
    }

    /// Writes an answer; the format must be for its kind.
    pub(crate) fn write(self, results: QueryResults<'_>, to: impl Write) -> io::Result<()> {
        match self {
            Self::Json => table(results, QueryResultsFormat::Json, to),
            Self::Csv => table(results, QueryResultsFormat::Csv, to),
            Self::Tsv => table(results, QueryResultsFormat::Tsv, to),
            Self::Turtle => graph(results, Format::Turtle, to),
            Self::JsonLd => graph(results, Format::JsonLd, to),
        }
    }
}

fn table(results: QueryResults<'_>, format: QueryResultsFormat, to: impl Write) -> io::Result<()> {
    let serializer = QueryResultsSerializer::from_format(format);
    match results {
        QueryResults::Boolean(yes) => serializer.serialize_boolean_to_writer(to, yes).map(drop),
        QueryResults::Solutions(solutions) => {
            let variables = solutions.variables().to_vec();
            let mut writer = serializer.serialize_solutions_to_writer(to, variables)?;
            for solution in solutions {
                writer.serialize(&solution.map_err(io::Error::other)?)?;
            }
            writer.finish()?.flush()
        }
        QueryResults::Graph(_) => Err(io::Error::other("triples in a format of tables")),
    }
}

fn graph(results: QueryResults<'_>, format: Format, to: impl Write) -> io::Result<()> {
    let QueryResults::Graph(triples) = results else {
        return Err(io::Error::other("a table in a format of triples"));
    };
    let mut writer = serializer(format.rdf())?.for_writer(to);
    for triple in triples {
        writer.serialize_triple(&triple.map_err(io::Error::other)?)?;
    }
    writer.finish()?.flush()
}

/// What the endpoint says of itself when it is asked nothing: the SPARQL 1.1 Service Description.
///
/// # Errors
///
/// Only if writing to memory fails.
pub fn service_description(endpoint: &NamedNode, format: AnswerFormat) -> io::Result<Vec<u8>> {
    let iri =
        |namespace: &str, name: &str| NamedNode::new(format!("{namespace}{name}")).map_err(io::Error::other);
    let service = BlankNode::new("service").map_err(io::Error::other)?;
    let mut says = vec![
        (rdf::TYPE.into_owned(), iri(SD, "Service")?),
        (iri(SD, "endpoint")?, endpoint.clone()),
        (iri(SD, "supportedLanguage")?, iri(SD, "SPARQL11Query")?),
        (iri(SD, "feature")?, iri(SD, "UnionDefaultGraph")?),
    ];
    for name in ["SPARQL_Results_JSON", "SPARQL_Results_CSV", "SPARQL_Results_TSV", "Turtle", "JSON-LD"] {
        says.push((iri(SD, "resultFormat")?, iri(FORMATS, name)?));
    }
    let format = if format == AnswerFormat::JsonLd { Format::JsonLd } else { Format::Turtle };
    let mut writer = serializer(format.rdf())?.for_writer(Vec::new());
    for (predicate, object) in says {
        writer.serialize_triple(&Triple::new(service.clone(), predicate, object))?;
    }
    writer.finish()
}

const SD: &str = "http://www.w3.org/ns/sparql-service-description#";
const FORMATS: &str = "http://www.w3.org/ns/formats/";
