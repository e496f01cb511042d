use super::*;
use crate::vocabulary as i3;
use oxigraph::model::Literal;

fn x(name: &str) -> NamedNode {
    NamedNode::new(format!("urn:x:{name}")).unwrap()
}

fn graph() -> Graph {
    Graph::new(Ontology::core())
}

fn says(graph: &Graph, fact: &Triple) -> bool {
    match graph.quads().filter(|quad| Triple::from(quad.clone()) == *fact).count() {
        0 => false,
        1 => true,
        more => panic!("{fact} is {more} times in the graph"),
    }
}

fn lamp(name: &str, platform: &str) -> [Triple; 2] {
    [Triple::new(x(name), rdf::TYPE, i3::ACTUATOR), Triple::new(x(name), i3::ON_PLATFORM, x(platform))]
}

#[test]
fn what_was_implied_about_others_goes_with_the_last_who_implied_it() {
    let mut graph = graph();
    let empty = graph.digest();
    graph.apply(&x("one"), &lamp("one", "pi")).unwrap();
    graph.apply(&x("two"), &lamp("two", "pi")).unwrap();
    let platform = Triple::new(x("pi"), rdf::TYPE, i3::PLATFORM);
    assert!(says(&graph, &platform));
    graph.remove(&x("one")).unwrap();
    assert!(says(&graph, &platform));
    assert!(!graph.contains(&x("one")));
    graph.remove(&x("two")).unwrap();
    assert!(!says(&graph, &platform));
    assert_eq!(graph.digest(), empty);
    assert!(graph.is_empty());
}

#[test]
fn what_an_object_says_itself_and_others_imply_is_there_once_and_stays_while_one_does() {
    let mut graph = graph();
    let hosts = NamedNode::new("http://www.w3.org/ns/sosa/hosts").unwrap();
    let fact = Triple::new(x("pi"), hosts, x("lamp"));
    for first in [true, false] {
        let own = [fact.clone()];
        let other = lamp("lamp", "pi");
        if first {
            graph.apply(&x("pi"), &own).unwrap();
            graph.apply(&x("lamp"), &other).unwrap();
        } else {
            graph.apply(&x("lamp"), &other).unwrap();
            graph.apply(&x("pi"), &own).unwrap();
        }
        assert!(says(&graph, &fact));
        graph.remove(&x(if first { "pi" } else { "lamp" })).unwrap();
        assert!(says(&graph, &fact));
        graph.remove(&x(if first { "lamp" } else { "pi" })).unwrap();
        assert!(!says(&graph, &fact));
    }
}

#[test]
fn a_place_is_in_every_larger_place_in_whatever_order_they_come() {
    let facts = [("lamp", "room"), ("house", "town"), ("room", "house")];
    for turn in 0..3 {
        let mut graph = graph();
        for at in 0..3 {
            let (what, place) = facts[(at + turn) % 3];
            graph.apply(&x(what), &[Triple::new(x(what), i3::LOCATED_IN, x(place))]).unwrap();
        }
        let contained = NamedNode::new("https://schema.org/containedInPlace").unwrap();
        assert!(says(&graph, &Triple::new(x("lamp"), i3::LOCATED_IN, x("town"))));
        assert!(says(&graph, &Triple::new(x("lamp"), contained, x("town"))));
        graph.remove(&x("room")).unwrap();
        assert!(!says(&graph, &Triple::new(x("lamp"), i3::LOCATED_IN, x("town"))));
        assert!(says(&graph, &Triple::new(x("lamp"), i3::LOCATED_IN, x("room"))));
    }
}

#[test]
fn the_change_tells_a_copy_what_to_do() {
    let mut graph = graph();
    let mut copy: HashSet<Quad> = graph.quads().collect();
    let mut known = graph.revision();
    let mut follow = |graph: &Graph| {
        let changes = graph.since(known).unwrap();
        for change in &changes {
            for quad in &change.removed {
                assert!(copy.remove(quad));
            }
            for quad in &change.added {
                assert!(copy.insert(quad.clone()));
            }
        }
        known = graph.revision();
        assert_eq!(copy, graph.quads().collect());
        changes.iter().map(|change| change.size()).sum::<usize>()
    };
    graph.apply(&x("a"), &lamp("a", "pi")).unwrap();
    assert!(follow(&graph) > 0);
    graph.apply(&x("a"), &lamp("a", "arduino")).unwrap();
    assert!(follow(&graph) > 0);
    graph.apply(&x("a"), &lamp("a", "arduino")).unwrap();
    assert_eq!(follow(&graph), 0);
    graph.remove(&x("a")).unwrap();
    assert!(follow(&graph) > 0);
}

#[test]
fn changes_that_nobody_could_ask_for_are_not_kept_and_count_alike() {
    let (mut seen, mut alone) = (graph(), graph());
    let begin = seen.revision();
    for graph in [&mut seen, &mut alone] {
        graph.apply(&x("a"), &lamp("a", "pi")).unwrap();
        graph.apply(&x("a"), &lamp("a", "arduino")).unwrap();
        graph.apply(&x("b"), &lamp("b", "pi")).unwrap();
        graph.remove(&x("b")).unwrap();
    }
    assert_eq!(seen.since(begin).unwrap().len(), 4);
    assert_eq!((seen.len(), seen.digest()), (alone.len(), alone.digest()));
    // From when somebody knows a state on, all is told.
    let middle = alone.snapshot().revision();
    alone.remove(&x("a")).unwrap();
    assert_eq!(alone.since(middle).unwrap().len(), 1);
}

#[test]
fn a_copy_that_knows_a_state_is_told_all_changes_since_or_to_start_anew() {
    let mut graph = graph();
    let begin = graph.revision();
    graph.apply(&x("a"), &lamp("a", "pi")).unwrap();
    let middle = graph.revision();
    graph.remove(&x("a")).unwrap();
    let both = graph.since(begin).unwrap();
    assert_eq!(both.len(), 2);
    assert_eq!(graph.since(middle).unwrap(), both[1..]);
    assert_eq!(graph.since(graph.revision()), Some(vec![]));
    assert_eq!(super::tests::graph().since(begin), None);
    for round in 0..15_000 {
        let change = Change {
            added: vec![
                Triple::new(x("b"), rdf::TYPE, x(&round.to_string()))
                    .in_graph(GraphName::DefaultGraph);
                8
            ],
            ..Change::default()
        };
        graph.log.put(Arc::new(change));
    }
    assert_eq!(graph.since(middle), None);
}

#[test]
fn facts_about_others_impossible_facts_and_iris_of_the_ontology_are_refused_and_change_nothing() {
    let mut graph = graph();
    graph.apply(&x("a"), &lamp("a", "pi")).unwrap();
    let before = graph.digest();
    let about_another = [Triple::new(x("b"), rdf::TYPE, i3::SENSOR)];
    assert!(matches!(
        graph.apply(&x("a"), &about_another),
        Err(GraphRefused::Fact(FactRefused::NotItsOwn { .. }))
    ));
    let both = [Triple::new(x("a"), rdf::TYPE, i3::SENSOR), Triple::new(x("a"), rdf::TYPE, i3::PLACE)];
    assert!(matches!(graph.apply(&x("a"), &both), Err(GraphRefused::Contradiction(_))));
    for iri in ["urn:x:a#part", "urn:i3:ns:Sensor", "urn:i3:ontology", "urn:i3:protocol:coap"] {
        let iri = NamedNode::new(iri).unwrap();
        assert!(matches!(graph.apply(&iri, &[]), Err(GraphRefused::NotAnObject(_))), "{iri}");
    }
    assert_eq!(graph.digest(), before);
}

#[test]
fn parts_of_an_object_come_and_go_with_it() {
    let mut graph = graph();
    let part = NamedNode::new("urn:x:a#temperature").unwrap();
    let facts = [
        Triple::new(x("a"), i3::HAS_ATTRIBUTE, part.clone()),
        Triple::new(part.clone(), i3::UNIT, Literal::new_simple_literal("Cel")),
    ];
    graph.apply(&x("a"), &facts).unwrap();
    assert!(says(&graph, &Triple::new(part.clone(), rdf::TYPE, i3::DATA_ATTRIBUTE)));
    graph.remove(&x("a")).unwrap();
    assert!(!says(&graph, &facts[1]));
}

#[test]
fn a_chain_that_reaches_too_far_is_refused_and_the_rest_stays() {
    let mut graph = graph();
    graph.max_reached = 200;
    let mut refused = 0;
    for at in 0..40 {
        let (this, next) = (x(&format!("p{at}")), x(&format!("p{}", at + 1)));
        match graph.apply(&this, &[Triple::new(this.clone(), i3::LOCATED_IN, next)]) {
            Ok(()) => {}
            Err(GraphRefused::ChainTooLong(object)) => {
                assert_eq!(object, this);
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 0);
    for at in 0..40 {
        graph.remove(&x(&format!("p{at}"))).unwrap();
    }
    assert_eq!(graph.digest(), super::tests::graph().digest());
}

#[test]
fn an_extension_derives_anew_beside_the_graph_and_is_refused_if_an_object_would_be_impossible() {
    let mut graph = graph();
    let fan = NamedNode::new("urn:x:Fan").unwrap();
    graph.apply(&x("a"), &[Triple::new(x("a"), rdf::TYPE, fan.clone())]).unwrap();
    let turtle = |above: &str| {
        format!(
            "<urn:x:Fan> a <http://www.w3.org/2002/07/owl#Class> ;
             <http://www.w3.org/2000/01/rdf-schema#subClassOf> <urn:i3:ns:{above}> ."
        )
    };
    let next = graph.extended(graph.ontology().extend(&turtle("Actuator")).unwrap()).unwrap();
    let a_virtual_object = Triple::new(x("a"), rdf::TYPE, i3::VIRTUAL_OBJECT);
    assert!(says(&next, &a_virtual_object));
    assert!(!says(&graph, &a_virtual_object));
    let mut fresh = Graph::new(next.ontology().clone());
    fresh.apply(&x("a"), &[Triple::new(x("a"), rdf::TYPE, fan)]).unwrap();
    assert_eq!(fresh.digest(), next.digest());
    // Possible for nothing yet, so the ontology itself is consistent; but this object would be both.
    let apart = "@prefix o: <http://www.w3.org/2002/07/owl#> . <urn:x:A> a o:Class . <urn:x:B> a o:Class ; o:disjointWith <urn:x:A> .";
    let both = [x("A"), x("B")].map(|class| Triple::new(x("b"), rdf::TYPE, class));
    graph.apply(&x("b"), &both).unwrap();
    let refused = graph.extended(graph.ontology().extend(apart).unwrap());
    assert!(matches!(refused, Err(GraphRefused::Contradiction(_))), "{refused:?}");
}

#[test]
fn a_snapshot_shows_what_was_whatever_comes_after() {
    let mut graph = graph();
    graph.apply(&x("a"), &lamp("a", "pi")).unwrap();
    let was: HashSet<Quad> = graph.quads().collect();
    assert_eq!((was.len(), graph.quads().count()), (graph.len(), graph.len()));
    let snapshot = graph.snapshot();
    graph.sweep_from = 0;
    graph.apply(&x("a"), &lamp("a", "arduino")).unwrap();
    graph.remove(&x("a")).unwrap();
    let shown: HashSet<Quad> = snapshot.map(Result::unwrap).collect();
    assert_eq!(shown, was);
}

#[test]
fn terms_that_nothing_says_any_more_are_forgotten() {
    let mut graph = graph();
    graph.sweep_from = 500;
    let none = (graph.terms.len(), graph.len());
    for round in 0..1_000 {
        graph.apply(&x("a"), &lamp("a", &format!("platform{round}"))).unwrap();
    }
    assert!(graph.terms.len() < none.0 + 500, "{}", graph.terms.len());
    graph.remove(&x("a")).unwrap();
    graph.terms.sweep();
    assert_eq!((graph.terms.len(), graph.len()), none);
}

#[test]
fn the_export_reads_back_as_the_same_graph() {
    use oxigraph::io::RdfParser;
    let mut graph = graph();
    graph.apply(&x("a"), &lamp("a", "pi")).unwrap();
    let triples: HashSet<Triple> = graph.quads().map(Triple::from).collect();
    for format in [Format::Turtle, Format::JsonLd, Format::NQuads] {
        let mut text = Vec::new();
        graph.export(format, &mut text).unwrap();
        let read: HashSet<Triple> = RdfParser::from_format(format.rdf())
            .for_slice(&text)
            .map(|quad| Triple::from(quad.unwrap()))
            .collect();
        assert_eq!(read, triples, "{format:?}");
    }
    let mut text = Vec::new();
    graph.export_object(&x("pi"), Format::Turtle, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("sosa:hosts <urn:x:a>"), "{text}");
}
