use super::*;
use crate::ontology::Ontology;
use crate::vocabulary as i3;
use oxigraph::model::vocab::rdf;
use oxigraph::model::{BlankNode, Literal, NamedNode, Triple};

fn x(name: &str) -> NamedNode {
    NamedNode::new(format!("urn:x:{name}")).unwrap()
}

#[test]
fn the_papers_fan_actuator_is_a_virtual_object() {
    let ontology = Ontology::core();
    let asserted = [Triple::new(x("FanActuator"), rdf::TYPE, i3::ACTUATOR)];
    let inferred = infer(ontology.closure(), &asserted).unwrap();
    assert!(inferred.facts.contains(&Triple::new(x("FanActuator"), rdf::TYPE, i3::VIRTUAL_OBJECT)));
    assert!(inferred.contradictions.is_empty());
}

#[test]
fn one_fact_tells_of_both_its_ends() {
    let ontology = Ontology::core();
    let asserted = [Triple::new(x("lamp"), i3::ON_PLATFORM, x("raspberry"))];
    let inferred = infer(ontology.closure(), &asserted).unwrap().facts;
    for fact in [
        Triple::new(x("lamp"), rdf::TYPE, i3::VIRTUAL_OBJECT),
        Triple::new(x("raspberry"), rdf::TYPE, i3::PLATFORM),
        Triple::new(x("raspberry"), rdf::TYPE, NamedNode::new("http://www.w3.org/ns/sosa/Platform").unwrap()),
        Triple::new(
            x("lamp"),
            NamedNode::new("http://www.w3.org/ns/sosa/isHostedBy").unwrap(),
            x("raspberry"),
        ),
        Triple::new(x("raspberry"), NamedNode::new("http://www.w3.org/ns/sosa/hosts").unwrap(), x("lamp")),
    ] {
        assert!(inferred.contains(&fact), "{fact}");
    }
}

#[test]
fn a_symmetric_property_holds_both_ways_and_a_literal_is_the_subject_of_nothing() {
    let ontology = Ontology::core();
    let asserted = [
        Triple::new(x("a"), i3::COMPATIBLE_WITH, x("b")),
        Triple::new(x("a"), i3::PERFORMS, Literal::new_simple_literal("on")),
    ];
    let inferred = infer(ontology.closure(), &asserted).unwrap().facts;
    assert!(inferred.contains(&Triple::new(x("b"), i3::COMPATIBLE_WITH, x("a"))));
    assert!(inferred.iter().all(|fact| fact.subject.is_named_node()));
}

#[test]
fn what_is_two_disjoint_things_is_reported() {
    let ontology = Ontology::core();
    let asserted =
        [Triple::new(x("it"), i3::PERFORMS, x("on")), Triple::new(x("it"), i3::HAS_OFFER, x("cheap"))];
    let found = infer(ontology.closure(), &asserted).unwrap().contradictions;
    assert_eq!(found.len(), 1);
    assert_eq!(found.first().unwrap().subject, x("it"));
}

#[test]
fn facts_that_would_be_more_than_data_are_refused() {
    let ontology = Ontology::core();
    let class = NamedNode::new("http://www.w3.org/2002/07/owl#Class").unwrap();
    let same = NamedNode::new("http://www.w3.org/2002/07/owl#sameAs").unwrap();
    for fact in [
        Triple::new(x("it"), rdf::TYPE, class.clone()),
        Triple::new(x("it"), same, x("other")),
        Triple::new(class, i3::TITLE, Literal::new_simple_literal("mine")),
        Triple::new(x("it"), rdf::TYPE, Literal::new_simple_literal("thing")),
    ] {
        let refused = infer(ontology.closure(), [&fact]);
        assert!(matches!(refused, Err(FactRefused::Reserved { .. })), "{fact}");
    }
    let fact = Triple::new(x("it"), i3::PERFORMS, BlankNode::default());
    assert!(matches!(infer(ontology.closure(), [&fact]), Err(FactRefused::BlankNode { .. })));
}
