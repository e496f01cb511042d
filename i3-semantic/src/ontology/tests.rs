use super::*;

fn extend(turtle: &str) -> Result<Ontology, OntologyRefused> {
    Ontology::core().extend(&format!("{HEAD}\n{turtle}"))
}

const HEAD: &str = "
    @prefix i3: <urn:i3:ns:> .
    @prefix x: <urn:x:> .
    @prefix owl: <http://www.w3.org/2002/07/owl#> .
    @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
    @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
";

fn x(name: &str) -> NamedNode {
    NamedNode::new(format!("urn:x:{name}")).unwrap()
}

#[test]
fn an_administrator_says_that_a_fan_is_an_actuator() {
    let ontology =
        extend("x:Fan a owl:Class ; rdfs:subClassOf i3:Actuator ; rdfs:label \"Ventilator\"@de .").unwrap();
    let above = ontology.closure().supers(&x("Fan"));
    assert!(above.contains(&crate::vocabulary::VIRTUAL_OBJECT.into_owned()));
    let below = ontology.closure().subs(&crate::vocabulary::VIRTUAL_OBJECT.into_owned());
    assert!(below.contains(&x("Fan")));
    assert_eq!(ontology.version().number, 2);
    assert_eq!(ontology.kind(&x("Fan")), Some(TermKind::Class));
}

#[test]
fn each_version_has_a_number_and_a_digest_of_what_it_says() {
    let core = Ontology::core();
    assert_eq!(core.version(), Ontology::core().version());
    let one = extend("x:A a owl:Class . x:B a owl:Class ; rdfs:subClassOf x:A .").unwrap();
    let same = extend("x:B rdfs:subClassOf x:A ; a owl:Class . x:A a owl:Class .").unwrap();
    assert_ne!(core.version().digest, one.version().digest);
    assert_eq!(one.version(), same.version());
    assert_eq!(one.extend("").unwrap().version().digest, one.version().digest);
}

#[test]
fn what_is_written_as_turtle_reads_as_the_same_ontology() {
    let ontology =
        extend("x:Fan a owl:Class ; rdfs:subClassOf i3:Actuator ; rdfs:comment \"a\\nb \\\"c\\\"\" .")
            .unwrap();
    let read = Ontology::from_turtle(&ontology.to_turtle().unwrap(), &BTreeSet::new(), 2).unwrap();
    assert_eq!(read.axioms(), ontology.axioms());
    assert_eq!(read.version(), ontology.version());
}

#[test]
fn classes_in_a_circle_and_a_class_below_itself_are_equivalent() {
    let ontology = extend(
        "x:A a owl:Class ; rdfs:subClassOf x:A , x:B . x:B a owl:Class ; rdfs:subClassOf x:C .
         x:C a owl:Class ; rdfs:subClassOf x:A , i3:Sensor .",
    )
    .unwrap();
    let closure = ontology.closure();
    for name in ["A", "B", "C"] {
        assert_eq!(closure.supers(&x(name)), closure.supers(&x("A")));
        assert!(closure.supers(&x(name)).contains(&crate::vocabulary::SENSOR.into_owned()));
    }
}

#[test]
fn a_class_that_nothing_could_be_is_refused_with_the_two_that_exclude_each_other() {
    let Err(OntologyRefused::EmptyClass { class, one, other }) =
        extend("x:Both a owl:Class ; rdfs:subClassOf i3:Sensor , i3:Product .")
    else {
        panic!("accepted");
    };
    assert_eq!(class, x("Both"));
    assert_eq!([one.as_str(), other.as_str()], ["urn:i3:ns:Product", "urn:i3:ns:VirtualObject"]);
    // A circle that makes disjoint classes one.
    let refused = extend("i3:Offer rdfs:subClassOf i3:Place .");
    assert!(matches!(refused, Err(OntologyRefused::EmptyClass { .. })), "{refused:?}");
    let refused = extend("x:A a owl:Class ; owl:disjointWith x:A .");
    assert!(matches!(refused, Err(OntologyRefused::EmptyClass { .. })), "{refused:?}");
}

#[test]
fn a_property_and_an_individual_that_could_not_be_are_refused() {
    let refused =
        extend("x:p a owl:ObjectProperty ; rdfs:subPropertyOf i3:performs ; rdfs:domain i3:Place .");
    assert!(matches!(&refused, Err(OntologyRefused::EmptyProperty { end: "subject", .. })), "{refused:?}");
    let refused = extend("x:p a owl:ObjectProperty ; owl:inverseOf i3:performs ; rdfs:domain i3:Place .");
    assert!(matches!(refused, Err(OntologyRefused::EmptyProperty { .. })), "{refused:?}");
    let refused = extend("x:it a i3:Protocol , i3:Place .");
    assert!(matches!(&refused, Err(OntologyRefused::ImpossibleIndividual { .. })), "{refused:?}");
}

#[test]
fn what_the_rules_do_not_carry_out_is_refused() {
    for (turtle, what) in [
        ("x:A a owl:Class ; rdfs:subClassOf [ a owl:Restriction ] .", "a nameless class"),
        ("x:A a owl:Class ; owl:unionOf ( i3:Sensor i3:Actuator ) .", "a union"),
        ("x:p a owl:ObjectProperty , owl:FunctionalProperty .", "a functional property"),
        ("x:p a owl:ObjectProperty ; owl:propertyChainAxiom ( i3:partOf i3:locatedIn ) .", "a chain"),
        ("x:a owl:sameAs x:b .", "sameness"),
        ("x:a i3:locatedIn x:b .", "a fact"),
        ("x:o a owl:Ontology ; owl:imports <http://example.org/> .", "an import"),
        (
            "[] a owl:AllDisjointClasses ; owl:members _:l . _:l <http://www.w3.org/1999/02/22-rdf-syntax-ns#first> \
          i3:Sensor ; <http://www.w3.org/1999/02/22-rdf-syntax-ns#rest> _:l .",
            "a list without an end",
        ),
    ] {
        let refused = extend(turtle);
        assert!(
            matches!(refused, Err(OntologyRefused::Unsupported { .. } | OntologyRefused::Reserved { .. })),
            "{what}: {refused:?}"
        );
    }
}

#[test]
fn names_of_standards_and_names_without_a_declaration_are_refused() {
    assert!(matches!(extend("owl:Thing rdfs:subClassOf i3:Sensor ."), Err(OntologyRefused::Reserved { .. })));
    assert!(matches!(
        extend("x:p a owl:ObjectProperty . rdfs:label rdfs:subPropertyOf x:p ."),
        Err(OntologyRefused::Reserved { .. })
    ));
    assert!(matches!(extend("x:Fan rdfs:subClassOf i3:Actuator ."), Err(OntologyRefused::Undeclared { .. })));
    assert!(matches!(
        extend("x:p a owl:DatatypeProperty ; rdfs:subPropertyOf i3:performs ."),
        Err(OntologyRefused::Undeclared { .. })
    ));
    assert!(matches!(extend("i3:Sensor a owl:ObjectProperty ."), Err(OntologyRefused::TwoKinds { .. })));
}

#[test]
fn text_that_is_no_turtle_or_too_long_is_refused() {
    let Err(OntologyRefused::Syntax { message }) = extend("x:A a owl:Class ; \n nonsense") else {
        panic!("accepted");
    };
    assert!(message.contains("line"), "{message}");
    let long = format!("# {}", "x".repeat(MAX_BYTES));
    assert!(matches!(Ontology::core().extend(&long), Err(OntologyRefused::TooLarge { what: "bytes", .. })));
    // Deep nesting neither overflows the stack nor is understood.
    let deep = format!("<urn:x:a> <urn:x:b> {}", "( ".repeat(100_000));
    assert!(Ontology::core().extend(&deep).is_err());
}

#[test]
fn an_ontology_in_which_everything_is_below_everything_is_refused_before_it_takes_long() {
    use std::fmt::Write as _;
    let mut turtle = String::new();
    for at in 0..5_000 {
        writeln!(turtle, "x:C{at} a owl:Class ; rdfs:subClassOf x:C{} .", (at + 1) % 5_000).unwrap();
    }
    assert!(matches!(extend(&turtle), Err(OntologyRefused::TooLarge { what: "implied relations", .. })));
}
