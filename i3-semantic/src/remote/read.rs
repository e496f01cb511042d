//! What a store answers.

use std::collections::HashMap;

use oxigraph::model::{GraphName, NamedNode, NamedNodeRef, Quad, Term, Triple};
use oxigraph::sparql::QuerySolution;
use oxigraph::sparql::results::{QueryResultsFormat, QueryResultsParser, SliceQueryResultsParserOutput};

use super::RemoteError;
use super::endpoint::Endpoint;
use super::write;
use crate::graph::Sum;

/// How many graphs are read with one query.
const GRAPHS: usize = 50;

/// What a store says of itself.
#[derive(Debug, Default)]
pub(super) struct State {
    /// What it was left with; none if nobody keeps it.
    pub(super) token: Option<String>,
    /// Everything up to this position of the outbox is there.
    pub(super) position: u64,
    /// The digests of the graphs.
    pub(super) sums: HashMap<NamedNode, Sum>,
}

fn senseless(error: impl std::fmt::Display) -> RemoteError {
    RemoteError::Answer(error.to_string())
}

async fn select(endpoint: &dyn Endpoint, query: &str) -> Result<Vec<QuerySolution>, RemoteError> {
    let answer = endpoint.query(query).await?;
    let parser = QueryResultsParser::from_format(QueryResultsFormat::Json);
    match parser.for_slice(&answer).map_err(senseless)? {
        SliceQueryResultsParserOutput::Solutions(solutions) => {
            solutions.collect::<Result<_, _>>().map_err(senseless)
        }
        SliceQueryResultsParserOutput::Boolean(_) => Err(senseless("a table was asked for")),
    }
}

/// Whether the store was left with this token.
pub(super) async fn is_left_with(endpoint: &dyn Endpoint, token: &str) -> Result<bool, RemoteError> {
    let answer = endpoint.query(&write::ask_token(token)).await?;
    let parser = QueryResultsParser::from_format(QueryResultsFormat::Json);
    match parser.for_slice(&answer).map_err(senseless)? {
        SliceQueryResultsParserOutput::Boolean(yes) => Ok(yes),
        SliceQueryResultsParserOutput::Solutions(_) => Err(senseless("yes or no was asked for")),
    }
}

fn named(solution: &QuerySolution, name: &str) -> Result<NamedNode, RemoteError> {
    match solution.get(name) {
        Some(Term::NamedNode(node)) => Ok(node.clone()),
        other => Err(senseless(format_args!("an IRI is expected, not {other:?}"))),
    }
}

fn text<'a>(solution: &'a QuerySolution, name: &str) -> Result<&'a str, RemoteError> {
    match solution.get(name) {
        Some(Term::Literal(literal)) => Ok(literal.value()),
        other => Err(senseless(format_args!("a literal is expected, not {other:?}"))),
    }
}

/// What the store says of itself.
pub(super) async fn state(endpoint: &dyn Endpoint) -> Result<State, RemoteError> {
    let mut state = State::default();
    for solution in select(endpoint, &write::ask_state()).await? {
        let property = named(&solution, "p")?;
        if property == write::TOKEN {
            let token = text(&solution, "o")?.to_owned();
            if state.token.replace(token).is_some() {
                return Err(senseless("it was left by two at once"));
            }
        } else if property == write::POSITION {
            let position: u64 = text(&solution, "o")?.parse().map_err(senseless)?;
            state.position = state.position.max(position);
        } else if property == write::FORMAT && text(&solution, "o")? != write::THIS_FORMAT {
            return Err(RemoteError::Format(text(&solution, "o")?.to_owned()));
        }
    }
    for solution in select(endpoint, &write::ask_digests()).await? {
        let wrong = || senseless("a digest of 64 digits and the name of a graph are expected");
        let (digest, graph) = text(&solution, "d")?.split_once(' ').ok_or_else(wrong)?;
        let digest = digest.parse().map_err(|()| wrong())?;
        if state.sums.insert(NamedNode::new(graph).map_err(senseless)?, digest).is_some() {
            return Err(senseless("a graph has two digests"));
        }
    }
    Ok(state)
}

/// The graphs of objects that are there.
pub(super) async fn graphs(endpoint: &dyn Endpoint) -> Result<Vec<NamedNode>, RemoteError> {
    select(endpoint, &write::ask_graphs()).await?.iter().map(|solution| named(solution, "g")).collect()
}

/// What is in these graphs, graph by graph.
pub(super) async fn contents(
    endpoint: &dyn Endpoint,
    graphs: &[NamedNode],
    mut show: impl FnMut(NamedNode, Vec<Triple>),
) -> Result<(), RemoteError> {
    for some in graphs.chunks(GRAPHS) {
        let mut found: HashMap<NamedNode, Vec<Triple>> =
            some.iter().map(|graph| (graph.clone(), Vec::new())).collect();
        for solution in select(endpoint, &write::ask_contents(some)).await? {
            let object = solution.get("o").cloned().ok_or_else(|| senseless("a triple without an object"))?;
            let triple = Triple::new(named(&solution, "s")?, named(&solution, "p")?, object);
            found.entry(named(&solution, "g")?).or_default().push(triple);
        }
        for (graph, triples) in found {
            show(graph, triples);
        }
    }
    Ok(())
}

/// The digest of a graph.
pub(super) fn sum(graph: NamedNodeRef<'_>, triples: impl IntoIterator<Item = Triple>) -> Sum {
    triples.into_iter().fold(Sum::default(), |mut sum, triple| {
        sum.add(&triple.in_graph(graph));
        sum
    })
}

/// The digest of a graph as stores give it back.
pub(super) fn canonical_sum(graph: NamedNodeRef<'_>, triples: impl IntoIterator<Item = Triple>) -> Sum {
    let same = |triple: Triple| Triple { object: write::canonical(triple.object), ..triple };
    sum(graph, triples.into_iter().map(same))
}

/// The triple as it is in the graph of what follows about others.
pub(super) fn shared(triple: Triple) -> Quad {
    triple.in_graph(GraphName::from(write::SHARED.into_owned()))
}
