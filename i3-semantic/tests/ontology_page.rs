//! `docs/ontology.md` is made of the Turtle file. `I3_GOLDEN=write` writes it anew.
#![expect(clippy::unwrap_used, reason = "a test: what cannot be written or read fails it")]

use i3_semantic::ontology::{Axiom, Note, Ontology, PREFIXES, TermKind};
use i3_semantic::oxigraph::model::NamedNode;
use i3_semantic::oxigraph::model::vocab::rdfs;
use i3_semantic::vocabulary::NAMESPACE;
use std::fmt::Write as _;
use std::path::Path;

const HEAD: &str = "\
# The vocabulary of the marketplace

Made of [i3.ttl](../i3-semantic/ontology/i3.ttl) by a test; `I3_GOLDEN=write cargo test -p i3-semantic --test
ontology_page` writes it anew. The file opens in Protégé; `.ci/ontology` checks with the OWL API that it is in OWL 2 DL and in
the profile OWL 2 RL, and with HermiT that it is consistent.

The namespace is `urn:i3:ns:`. It is a URN because an address on the web would belong to somebody's domain and promise that
something answers there. A marketplace gives its ontology, with what its administrators added, under an address of its own.

An administrator (who has the permission `ontology:manage`) adds classes and properties while the marketplace runs, with Turtle of
the same kind: `PUT /api/v1/ontology/extension`, or `i3 ontology extend fan.ttl`; in a program the command `ChangeOntology`.

```turtle
@prefix i3: <urn:i3:ns:> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .

<https://example.org/things#Fan> a owl:Class ;
    rdfs:subClassOf i3:Actuator ;
    rdfs:label \"Fan\"@en , \"Ventilator\"@de .
```

What may be said: declarations of classes, object, data and annotation properties; `rdfs:subClassOf`, `owl:equivalentClass`,
`owl:disjointWith`, `owl:AllDisjointClasses`, `rdfs:subPropertyOf`, `owl:equivalentProperty`, `owl:inverseOf`, `rdfs:domain`,
`rdfs:range`, `owl:TransitiveProperty`, `owl:SymmetricProperty`, classes of named individuals, annotations. Everything else
is refused with its reason, as are classes that nothing could be a member of. Classes in a circle are one class.

The text is put as a whole, 40 KiB at most; `If-Match` keeps two from writing over one another. Every version stays, with its author,
time and remark (`GET /api/v1/ontology/versions`); `DELETE` withdraws what there is. `GET /api/v1/ontology` gives the ontology in
force, core and extension together. The answer to a change comes when discovery and SPARQL of that process go by it: everything
is derived anew beside what answers and follows meanwhile, and takes its place. Other processes over the store follow within a
second, and so does who names a position in the outbox. What is stored and cannot be added (it was stored under an earlier
program's ontology) leaves the version before it in force; the extension's answer says why.

A virtual object says its narrower classes in `classes`, by IRI. A class that the ontology does not have yet says nothing until
it has it. An object whose classes exclude each other (`i3:Product` beside `sensor`) is shown at its address and found by nobody.
";

fn short(iri: &NamedNode) -> String {
    PREFIXES
        .iter()
        .find_map(|(name, namespace)| Some(format!("`{name}:{}`", iri.as_str().strip_prefix(namespace)?)))
        .unwrap_or_else(|| format!("`{}`", iri.as_str()))
}

struct Page {
    ontology: Ontology,
    text: String,
}

impl Page {
    fn note(&self, of: &NamedNode, property: &str) -> String {
        let notes = self.ontology.axioms().iter().filter_map(|axiom| match axiom {
            Axiom::Annotation { subject, property: kind, value: Note::Text { text, .. } }
                if subject == of && kind.as_str() == property =>
            {
                Some(text.clone())
            }
            _ => None,
        });
        notes.collect::<Vec<_>>().join("; ")
    }

    fn said(&self, pick: impl Fn(&Axiom) -> Option<&NamedNode>) -> String {
        let found: Vec<_> = self.ontology.axioms().iter().filter_map(pick).map(short).collect();
        found.join(", ")
    }

    fn terms(&self, kind: TermKind, ours: bool) -> Vec<NamedNode> {
        let declared = self.ontology.axioms().iter().filter_map(Axiom::declares);
        declared
            .filter(|(term, of)| *of == kind && term.as_str().starts_with(NAMESPACE) == ours)
            .map(|(term, _)| term.clone())
            .collect()
    }

    fn classes(&mut self) {
        self.text.push_str("\n## Classes\n\n| class | below | what it is |\n|---|---|---|\n");
        for class in self.terms(TermKind::Class, true) {
            let below = self.said(|axiom| match axiom {
                Axiom::SubClass { sub, sup } if *sub == class => Some(sup),
                Axiom::EquivalentClasses(a, b) if *a == class => Some(b),
                _ => None,
            });
            let comment = self.note(&class, rdfs::COMMENT.as_str());
            writeln!(self.text, "| {} | {below} | {comment} |", short(&class)).unwrap();
        }
    }

    fn disjoint(&mut self) {
        let mut all: Vec<_> = self
            .ontology
            .axioms()
            .iter()
            .filter_map(|axiom| match axiom {
                Axiom::DisjointClasses(a, b) => Some([short(a), short(b)]),
                _ => None,
            })
            .flatten()
            .collect();
        all.sort();
        all.dedup();
        writeln!(self.text, "\nNothing is two of {}.", all.join(", ")).unwrap();
    }

    fn properties(&mut self, title: &str, kind: TermKind) {
        writeln!(
            self.text,
            "\n## {title}\n\n| property | from | to | below | remarks | what it says |\n|---|---|---|---|---|---|"
        )
        .unwrap();
        for property in self.terms(kind, true) {
            let from = self.said(|axiom| match axiom {
                Axiom::Domain { property: p, class } if *p == property => Some(class),
                _ => None,
            });
            let to = self.said(|axiom| match axiom {
                Axiom::Range { property: p, class } if *p == property => Some(class),
                Axiom::DataRange { property: p, datatype } if *p == property => Some(datatype),
                _ => None,
            });
            let below = self.said(|axiom| match axiom {
                Axiom::SubProperty { sub, sup } if *sub == property => Some(sup),
                _ => None,
            });
            let mut remarks: Vec<String> = Vec::new();
            for axiom in self.ontology.axioms() {
                match axiom {
                    Axiom::Inverse(a, b) if *a == property => {
                        remarks.push(format!("inverse of {}", short(b)));
                    }
                    Axiom::Inverse(a, b) if *b == property => {
                        remarks.push(format!("inverse of {}", short(a)));
                    }
                    Axiom::Transitive(p) if *p == property => remarks.push("transitive".to_owned()),
                    Axiom::Symmetric(p) if *p == property => remarks.push("symmetric".to_owned()),
                    _ => {}
                }
            }
            let comment = self.note(&property, rdfs::COMMENT.as_str());
            let row = [short(&property), from, to, below, remarks.join(", "), comment];
            writeln!(self.text, "| {} |", row.join(" | ")).unwrap();
        }
    }

    fn individuals(&mut self) {
        self.text
            .push_str("\n## Protocols known by name\n\nOthers get an IRI of the same form.\n\n| protocol | name |\n|---|---|\n");
        let individuals: Vec<_> = self
            .ontology
            .axioms()
            .iter()
            .filter_map(|axiom| match axiom {
                Axiom::Individual { individual, .. } => Some(individual.clone()),
                _ => None,
            })
            .collect();
        for individual in individuals {
            let label = self.note(&individual, rdfs::LABEL.as_str());
            writeln!(self.text, "| {} | {label} |", short(&individual)).unwrap();
        }
    }
}

#[test]
fn the_page_says_what_the_ontology_says() {
    let mut page = Page { ontology: Ontology::core(), text: HEAD.to_owned() };
    page.classes();
    page.disjoint();
    page.properties("Properties between things", TermKind::ObjectProperty);
    page.properties("Properties with values", TermKind::DataProperty);
    page.individuals();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ontology.md");
    if std::env::var("I3_GOLDEN").as_deref() == Ok("write") {
        std::fs::write(&path, &page.text).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == page.text,
        "docs/ontology.md is not what the ontology says: I3_GOLDEN=write cargo test -p i3-semantic --test ontology_page"
    );
}

#[test]
fn every_term_of_ours_says_what_it_is() {
    let page = Page { ontology: Ontology::core(), text: String::new() };
    for kind in [TermKind::Class, TermKind::ObjectProperty, TermKind::DataProperty] {
        for term in page.terms(kind, true) {
            assert_ne!(page.note(&term, rdfs::LABEL.as_str()), "", "{term} has no label");
            assert_ne!(page.note(&term, rdfs::COMMENT.as_str()), "", "{term} has no comment");
        }
        for term in page.terms(kind, false) {
            assert_ne!(page.note(&term, rdfs::LABEL.as_str()), "", "{term} has no label");
        }
    }
}
