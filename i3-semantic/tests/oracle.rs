//! What our rules infer, object by object, is what the OWL 2 RL reasoner `reasonable` infers from everything at once.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use i3_semantic::graph::{Format, Graph, GraphRefused};
use i3_semantic::ontology::{Axiom, Ontology, TermKind};
use i3_semantic::oxigraph::io::{RdfFormat, RdfParser};
use i3_semantic::oxigraph::model::vocab::rdf;
use i3_semantic::oxigraph::model::{NamedNode, NamedOrBlankNode, Term, Triple};
use proptest::prelude::*;
use reasonable::reasoner::Reasoner;

const CLASSES: usize = 7;
const PROPERTIES: usize = 5;
const OBJECTS: usize = 6;

fn x(kind: &str, at: usize) -> NamedNode {
    NamedNode::new(format!("urn:x:{kind}{at}")).unwrap()
}

/// One line of a made-up ontology.
fn statement() -> impl Strategy<Value = String> {
    let class = 0..CLASSES;
    let property = 0..PROPERTIES;
    prop_oneof![
        4 => (class.clone(), class.clone()).prop_map(|(a, b)| format!("x:C{a} rdfs:subClassOf x:C{b} .")),
        1 => (class.clone(), class.clone()).prop_map(|(a, b)| format!("x:C{a} owl:equivalentClass x:C{b} .")),
        3 => (property.clone(), property.clone()).prop_map(|(a, b)| format!("x:p{a} rdfs:subPropertyOf x:p{b} .")),
        1 => (property.clone(), property.clone()).prop_map(|(a, b)| format!("x:p{a} owl:equivalentProperty x:p{b} .")),
        2 => (property.clone(), property.clone()).prop_map(|(a, b)| format!("x:p{a} owl:inverseOf x:p{b} .")),
        1 => property.clone().prop_map(|p| format!("x:p{p} a owl:SymmetricProperty .")),
        2 => property.clone().prop_map(|p| format!("x:p{p} a owl:TransitiveProperty .")),
        2 => (property.clone(), class.clone()).prop_map(|(p, c)| format!("x:p{p} rdfs:domain x:C{c} .")),
        2 => (property, class).prop_map(|(p, c)| format!("x:p{p} rdfs:range x:C{c} .")),
    ]
}

fn ontology(statements: &[String]) -> Ontology {
    let mut turtle = String::from(
        "@prefix x: <urn:x:> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
         @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n",
    );
    for at in 0..CLASSES {
        writeln!(turtle, "x:C{at} a owl:Class .").unwrap();
    }
    for at in 0..PROPERTIES {
        writeln!(turtle, "x:p{at} a owl:ObjectProperty .").unwrap();
    }
    for statement in statements {
        writeln!(turtle, "{statement}").unwrap();
    }
    Ontology::core().extend(&turtle).unwrap()
}

/// A fact about the object of this number.
#[derive(Clone, Copy, Debug)]
enum Fact {
    Is(usize),
    Has(usize, usize),
}

impl Fact {
    fn triple(self, object: usize) -> Triple {
        match self {
            Self::Is(class) => Triple::new(x("o", object), rdf::TYPE, x("C", class)),
            Self::Has(property, other) => Triple::new(x("o", object), x("p", property), x("o", other)),
        }
    }
}

fn fact() -> impl Strategy<Value = Fact> {
    prop_oneof![
        (0..CLASSES).prop_map(Fact::Is),
        (0..PROPERTIES, 0..OBJECTS).prop_map(|(p, o)| Fact::Has(p, o)),
    ]
}

/// What an object says from now on; nothing takes it out.
fn step() -> impl Strategy<Value = (usize, Vec<Fact>)> {
    (0..OBJECTS, prop::collection::vec(fact(), 0..4))
}

/// Facts about objects in terms of the made-up ontology.
fn answers(triples: impl IntoIterator<Item = Triple>) -> BTreeSet<String> {
    triples
        .into_iter()
        .filter(|triple| {
            let ours = |iri: &NamedNode, kind: &str| iri.as_str().starts_with(&format!("urn:x:{kind}"));
            let subject = matches!(&triple.subject, NamedOrBlankNode::NamedNode(s) if ours(s, "o"));
            let Term::NamedNode(object) = &triple.object else { return false };
            subject
                && if triple.predicate == rdf::TYPE {
                    ours(object, "C")
                } else {
                    ours(&triple.predicate, "p")
                }
        })
        .map(|triple| triple.to_string())
        .collect()
}

fn in_graph(graph: &Graph) -> Vec<Triple> {
    let mut text = Vec::new();
    graph.export(Format::NQuads, &mut text).unwrap();
    RdfParser::from_format(RdfFormat::NQuads)
        .for_slice(&text)
        .map(|quad| Triple::from(quad.unwrap()))
        .collect()
}

fn by_the_oracle(ontology: &Ontology, facts: Vec<Triple>) -> BTreeSet<String> {
    // Only what matters to inference; annotations would be slow.
    let tbox = ontology
        .axioms()
        .iter()
        .filter(|axiom| !matches!(axiom, Axiom::Annotation { .. }))
        .map(Axiom::triple)
        .filter(|triple| triple.to_string().contains("urn:x:"));
    let mut reasoner = Reasoner::new();
    reasoner.load_triples(tbox.chain(facts).collect());
    reasoner.reason();
    answers(reasoner.get_triples())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_changes_the_graph_says_what_the_oracle_says(
        statements in prop::collection::vec(statement(), 0..14),
        steps in prop::collection::vec(step(), 1..14),
    ) {
        let ontology = ontology(&statements);
        let mut graph = Graph::new(ontology.clone());
        let mut said: BTreeMap<usize, Vec<Triple>> = BTreeMap::new();
        for (object, facts) in steps {
            let facts: Vec<_> = facts.into_iter().map(|fact| fact.triple(object)).collect();
            graph.apply(&x("o", object), &facts).unwrap();
            said.insert(object, facts);
        }
        let triples = in_graph(&graph);
        let ours = answers(triples.iter().cloned());
        let theirs = by_the_oracle(&ontology, said.values().flatten().cloned().collect());
        prop_assert_eq!(&ours, &theirs);
        // Nothing twice, and the same as if it had been built at once.
        prop_assert_eq!(triples.len(), triples.iter().map(ToString::to_string).collect::<BTreeSet<_>>().len());
        let mut fresh = Graph::new(ontology);
        for (object, facts) in &said {
            fresh.apply(&x("o", *object), facts).unwrap();
        }
        prop_assert_eq!(fresh.digest(), graph.digest());
    }

    #[test]
    fn a_fact_more_never_takes_an_answer_away(
        statements in prop::collection::vec(statement(), 0..14),
        facts in prop::collection::vec((0..OBJECTS, fact()), 1..12),
        more in (0..OBJECTS, fact()),
        widen in statement(),
    ) {
        let build = |ontology: Ontology, facts: &[(usize, Fact)]| -> Result<Graph, GraphRefused> {
            let mut graph = Graph::new(ontology);
            let mut said: BTreeMap<usize, Vec<Triple>> = BTreeMap::new();
            for (object, fact) in facts {
                said.entry(*object).or_default().push(fact.triple(*object));
            }
            for (object, facts) in said {
                graph.apply(&x("o", object), &facts)?;
            }
            Ok(graph)
        };
        let first = build(ontology(&statements), &facts).unwrap();
        let before = answers(in_graph(&first));
        let mut larger = facts;
        larger.push(more);
        let second = build(ontology(&statements), &larger).unwrap();
        let after = answers(in_graph(&second));
        prop_assert!(before.is_subset(&after));
        // Nor does an axiom more; and deriving anew beside the graph is the same as building it.
        let prefixes = "@prefix x: <urn:x:> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
            @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .";
        let wider = second.ontology().extend(&format!("{prefixes} {widen}")).unwrap();
        let extended = second.extended(wider.clone()).unwrap();
        prop_assert!(after.is_subset(&answers(in_graph(&extended))));
        prop_assert_eq!(extended.digest(), build(wider, &larger).unwrap().digest());
    }
}

fn cases() -> u32 {
    std::env::var("I3_ORACLE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48)
}

#[test]
fn the_shipped_ontology_is_read_alike_by_the_oracle() {
    let ontology = Ontology::core();
    assert!(
        ontology
            .axioms()
            .iter()
            .filter_map(Axiom::declares)
            .any(|(_, kind)| kind == TermKind::ObjectProperty)
    );
    let lamp = NamedNode::new("urn:y:lamp").unwrap();
    let facts = vec![
        Triple::new(lamp.clone(), rdf::TYPE, i3_semantic::vocabulary::ACTUATOR),
        Triple::new(lamp.clone(), i3_semantic::vocabulary::ON_PLATFORM, NamedNode::new("urn:y:pi").unwrap()),
        Triple::new(lamp.clone(), i3_semantic::vocabulary::LOCATED_IN, NamedNode::new("urn:y:room").unwrap()),
    ];
    let mut graph = Graph::new(ontology.clone());
    graph.apply(&lamp, &facts).unwrap();
    let of_data = |triples: Vec<Triple>| -> BTreeSet<String> {
        triples
            .into_iter()
            .filter(|triple| triple.subject.to_string().starts_with("<urn:y:"))
            .map(|triple| triple.to_string())
            .filter(|line| !line.contains("owl#"))
            .collect()
    };
    let mut reasoner = Reasoner::new();
    reasoner.load_triples(ontology.triples().chain(facts).collect());
    reasoner.reason();
    assert_eq!(of_data(in_graph(&graph)), of_data(reasoner.get_triples()));
}
