//! Updates and queries as text. All that is data is written by the RDF library, so none of it is taken for SPARQL.

use std::fmt::Write as _;

use oxigraph::model::vocab::xsd;
use oxigraph::model::{Literal, NamedNode, NamedNodeRef, Term, Triple};

use crate::description::iri_part;
use crate::graph::Sum;
use crate::vocabulary::iri;

/// The graph that says what is there, and what it is about.
pub(super) const STATE: NamedNodeRef<'static> = iri("urn:i3:projection");
/// The graph of what follows from objects about others.
pub(super) const SHARED: NamedNodeRef<'static> = iri("urn:i3:shared");
/// What the names of objects' graphs begin with.
pub(super) const THINGS: &str = "urn:i3:thing:";
pub(super) const TOKEN: NamedNodeRef<'static> = iri("urn:i3:projection#token");
pub(super) const POSITION: NamedNodeRef<'static> = iri("urn:i3:projection#position");
pub(super) const DIGEST: NamedNodeRef<'static> = iri("urn:i3:projection#digest");
pub(super) const FORMAT: NamedNodeRef<'static> = iri("urn:i3:projection#format");
/// How all of this is kept.
pub(super) const THIS_FORMAT: &str = "1";

/// What is said of a graph is said of this, and not of what the graph is about: who asks for that shall not find it.
fn about(graph: NamedNodeRef<'_>) -> NamedNode {
    // Of letters, digits and `%` only, so it is one.
    let name = format!("{}:{}", STATE.as_str(), iri_part(graph.as_str()));
    NamedNode::new(name).unwrap_or_else(|_| STATE.into_owned())
}

/// One request: what it says becomes so, all of it, if the store is as it was left. Building it again and sending it again
/// changes nothing more.
#[derive(Debug)]
pub(super) struct Part {
    guard: String,
    operations: String,
    inserted: String,
    /// How many triples it has.
    pub(super) size: usize,
}

impl Part {
    /// For a store that was left with this token.
    pub(super) fn after(token: &str) -> Self {
        let token = Literal::new_simple_literal(token);
        let guard = format!("GRAPH {STATE} {{ {STATE} {TOKEN} {token} }}");
        Self { guard, operations: String::new(), inserted: String::new(), size: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.inserted.is_empty()
    }

    // Writing to a string does not fail.
    fn delete(&mut self, graph: NamedNodeRef<'_>, pattern: &str) {
        let guard = &self.guard;
        let _ = writeln!(
            self.operations,
            "DELETE {{ GRAPH {graph} {{ {pattern} }} }} WHERE {{ {guard} GRAPH {graph} {{ {pattern} }} }} ;"
        );
    }

    fn insert(&mut self, graph: NamedNodeRef<'_>, triples: &[Triple]) {
        let _ = writeln!(self.inserted, "GRAPH {graph} {{");
        for triple in triples {
            let _ = writeln!(self.inserted, "{triple} .");
        }
        self.inserted.push_str("}\n");
        self.size = self.size.saturating_add(triples.len());
    }

    /// That this is what the graph holds; nothing, and it is gone.
    pub(super) fn put(&mut self, graph: NamedNodeRef<'_>, triples: &[Triple], sum: Option<Sum>) {
        self.delete(graph, "?s ?p ?o");
        self.digest(graph, sum);
        if !triples.is_empty() {
            self.insert(graph, triples);
        }
        self.size = self.size.saturating_add(1);
    }

    /// That this is the digest of the graph; none, if it is not known.
    pub(super) fn digest(&mut self, graph: NamedNodeRef<'_>, sum: Option<Sum>) {
        let about = about(graph);
        self.delete(STATE, &format!("{about} {DIGEST} ?d"));
        if let Some(sum) = sum {
            let digest = Literal::new_simple_literal(format!("{sum} {}", graph.as_str()));
            self.insert(STATE, &[Triple::new(about, DIGEST, digest)]);
        }
    }

    /// Changes the graph of what follows about others.
    pub(super) fn change(&mut self, removed: &[Triple], added: &[Triple]) {
        if !removed.is_empty() {
            let _ = writeln!(self.operations, "DELETE {{ GRAPH {SHARED} {{");
            for triple in removed {
                let _ = writeln!(self.operations, "{triple} .");
            }
            let _ = writeln!(self.operations, "}} }} WHERE {{ {} }} ;", self.guard);
            self.size = self.size.saturating_add(removed.len());
        }
        if !added.is_empty() {
            self.insert(SHARED, added);
        }
    }

    /// That everything up to this position of the outbox is there.
    pub(super) fn position(&mut self, position: u64) {
        self.delete(STATE, &format!("{STATE} {POSITION} ?at"));
        let position = Literal::new_typed_literal(position.to_string(), xsd::INTEGER);
        self.insert(STATE, &[Triple::new(STATE, POSITION, position)]);
    }

    /// The request, which leaves the store with this token.
    pub(super) fn request(self, token: &str) -> String {
        let Self { guard, mut operations, inserted, .. } = self;
        if !inserted.is_empty() {
            let _ = writeln!(operations, "INSERT {{\n{inserted}}} WHERE {{ {guard} }} ;");
        }
        let token = Literal::new_simple_literal(token);
        let _ = writeln!(
            operations,
            "DELETE {{ GRAPH {STATE} {{ {STATE} {TOKEN} ?t }} }} INSERT {{ GRAPH {STATE} {{ {STATE} {TOKEN} {token} }} }} \
             WHERE {{ {guard} GRAPH {STATE} {{ {STATE} {TOKEN} ?t }} }}"
        );
        operations
    }
}

/// Begins to keep a store that nobody keeps: without what is in these graphs under our names, and in our own. Where
/// somebody keeps it by now, it does nothing.
pub(super) fn begin(graphs: &[NamedNode], token: &str) -> String {
    let unkept = format!("FILTER NOT EXISTS {{ GRAPH {STATE} {{ {STATE} {TOKEN} ?t }} }}");
    let mut update = String::new();
    for graph in graphs.iter().map(NamedNode::as_ref).chain([SHARED, crate::vocabulary::ONTOLOGY]) {
        let all = format!("GRAPH {graph} {{ ?s ?p ?o }}");
        let _ = writeln!(update, "DELETE {{ {all} }} WHERE {{ {all} {unkept} }} ;");
    }
    let (token, format) = (Literal::new_simple_literal(token), Literal::new_simple_literal(THIS_FORMAT));
    let _ = writeln!(
        update,
        "INSERT {{ GRAPH {STATE} {{ {STATE} {TOKEN} {token} ; {FORMAT} {format} }} }} WHERE {{ {unkept} }}"
    );
    update
}

/// That nothing is known of the store any more.
pub(super) fn forget() -> String {
    format!("DROP SILENT GRAPH {STATE}")
}

/// What is known of the store itself.
pub(super) fn ask_state() -> String {
    format!("SELECT ?p ?o WHERE {{ GRAPH {STATE} {{ {STATE} ?p ?o }} }}")
}

/// The digests of the graphs.
pub(super) fn ask_digests() -> String {
    format!("SELECT ?d WHERE {{ GRAPH {STATE} {{ ?about {DIGEST} ?d }} }}")
}

/// The graphs that are ours by name.
pub(super) fn ask_graphs() -> String {
    let things = Literal::new_simple_literal(THINGS);
    format!("SELECT DISTINCT ?g WHERE {{ GRAPH ?g {{ ?s ?p ?o }} FILTER(STRSTARTS(STR(?g), {things})) }}")
}

/// Whether the store was left with this token.
pub(super) fn ask_token(token: &str) -> String {
    let token = Literal::new_simple_literal(token);
    format!("ASK {{ GRAPH {STATE} {{ {STATE} {TOKEN} {token} }} }}")
}

/// What is in these graphs.
pub(super) fn ask_contents(graphs: &[NamedNode]) -> String {
    let branch = |graph: &NamedNode| format!("{{ GRAPH {graph} {{ ?s ?p ?o }} BIND({graph} AS ?g) }}");
    let branches: Vec<String> = graphs.iter().map(branch).collect();
    format!("SELECT ?g ?s ?p ?o WHERE {{ {} }}", branches.join(" UNION "))
}

/// A term as stores give it back: some keep numbers and times by their value.
pub(super) fn canonical(term: Term) -> Term {
    let Term::Literal(literal) = &term else { return term };
    let (text, kind) = (literal.value(), literal.datatype());
    let shortest = |text: &str| {
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
        text.to_owned()
    };
    if kind == xsd::DECIMAL {
        Literal::new_typed_literal(shortest(text), kind).into()
    } else if kind == xsd::DATE_TIME {
        let zoned = text.strip_suffix('Z');
        let text = shortest(zoned.unwrap_or(text));
        Literal::new_typed_literal(text + if zoned.is_some() { "Z" } else { "" }, kind).into()
    } else {
        term
    }
}
