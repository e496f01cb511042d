use oxigraph::model::dataset::Dataset;
use oxigraph::sparql::{QueryResults, SparqlEvaluator};
use oxigraph::store::Store;
use serde_json::json;

use super::*;

const PREFIXES: &str = "
    PREFIX td: <https://www.w3.org/2019/wot/td#>
    PREFIX js: <https://www.w3.org/2019/wot/json-schema#>
    PREFIX sec: <https://www.w3.org/2019/wot/security#>
    PREFIX hctl: <https://www.w3.org/2019/wot/hypermedia#>
    PREFIX discovery: <https://www.w3.org/2022/wot/discovery-ontology#>
    PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>
    PREFIX dct: <http://purl.org/dc/terms/>
    PREFIX rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#>
    PREFIX ex: <http://example.org/>\n";

fn lamp() -> Value {
    json!({
        "@context": ["https://www.w3.org/2022/wot/td/v1.1", {
            "ex": "http://example.org/",
            "floor": { "@id": "ex:floor", "@type": "xsd:integer" },
            "near": { "@id": "ex:near", "@type": "@id" },
            "odd": { "@id": "ex:odd", "@context": {} },
            "@language": "de",
        }],
        "id": "urn:lamp",
        "@type": ["ex:Light", "Thing"],
        "title": "Lampe",
        "titles": { "de": "Lampe", "ko": "등" },
        "created": "2026-01-01T00:00:00Z",
        "base": "coap://192.0.2.1/",
        "security": ["basic_sc"],
        "securityDefinitions": { "basic_sc": { "scheme": "basic", "in": "header", "name": "x" } },
        "registration": { "created": "2026-01-02T00:00:00Z", "ttl": 60 },
        "floor": 4,
        "near": ["ex:door", "urn:window"],
        "odd": "not understood",
        "ex:note": "Notiz",
        "ex:weight": { "@value": "1.5", "@type": "xsd:decimal" },
        "ex:steps": { "@list": [1, 2.5] },
        "properties": {
            "level": {
                "@type": "ex:Level",
                "type": "object",
                "title": "Helligkeit",
                "readOnly": true,
                "properties": { "now": { "type": "integer", "minimum": 0, "unit": "ex:percent" } },
                "forms": [{ "href": "level", "op": ["readproperty", "writeproperty"], "contentType": "application/json" }],
            }
        },
        "actions": { "toggle": { "safe": false, "input": { "type": "number", "maximum": 1.5 } } },
        "links": [{ "href": "http://example.org/manual", "rel": "manual", "type": "text/html" }],
    })
}

fn store(document: &Value) -> Store {
    let store = Store::new().unwrap();
    store.extend(quads(document["id"].as_str().unwrap(), document)).unwrap();
    store
}

fn holds(store: &Store, pattern: &str) -> bool {
    let mut query = SparqlEvaluator::new().parse_query(&format!("{PREFIXES}ASK {{ {pattern} }}")).unwrap();
    query.dataset_mut().set_default_graph_as_union();
    match query.on_store(store).execute().unwrap() {
        QueryResults::Boolean(yes) => yes,
        _ => panic!("not a question"),
    }
}

#[test]
fn a_description_says_what_the_context_of_td_1_1_makes_of_it() {
    let store = store(&lamp());
    for pattern in [
        "<urn:lamp> a td:Thing , ex:Light ; td:title \"Lampe\"@de ; td:titleInLanguage \"등\"@ko",
        "<urn:lamp> dct:created \"2026-01-01T00:00:00Z\"^^xsd:dateTime ; td:baseURI \"coap://192.0.2.1/\"^^xsd:anyURI",
        // A scheme is found by its name.
        "<urn:lamp> td:hasSecurityConfiguration ?name ; td:definesSecurityScheme ?scheme .
         ?scheme td:hasInstanceConfiguration ?name ; a sec:BasicSecurityScheme ; sec:in \"header\" ; sec:name \"x\"",
        "<urn:lamp> discovery:hasRegistrationInformation
            [ discovery:dateCreated \"2026-01-02T00:00:00Z\"^^xsd:dateTime ; discovery:ttl \"60\"^^xsd:unsignedInt ]",
        "<urn:lamp> td:hasPropertyAffordance ?level . ?level td:name \"level\" ; a js:ObjectSchema , ex:Level ;
            js:readOnly true ; td:title \"Helligkeit\"@de ; js:properties ?now .
         ?now td:name \"now\" ; a js:IntegerSchema ; js:minimum 0 ; <https://schema.org/unitCode> ex:percent",
        "?level td:name \"level\" ; td:hasForm ?form . ?form hctl:hasTarget \"level\"^^xsd:anyURI ;
            hctl:forContentType \"application/json\" ; hctl:hasOperationType td:readProperty , td:writeProperty",
        "<urn:lamp> td:hasActionAffordance ?toggle . ?toggle td:name \"toggle\" ; td:isSafe false ;
            td:hasInputSchema [ a js:NumberSchema ; js:maximum \"1.5E0\"^^xsd:double ]",
        // A link's type is a media type, a schema's its class.
        "<urn:lamp> td:hasLink [ hctl:hasRelationType \"manual\" ; hctl:hintsAtMediaType \"text/html\" ]",
    ] {
        assert!(holds(&store, pattern), "{pattern}");
    }
}

#[test]
fn what_a_description_says_of_its_own_words_holds() {
    let store = store(&lamp());
    for pattern in [
        "<urn:lamp> ex:floor 4 ; ex:near ex:door , <urn:window> ; ex:note \"Notiz\"@de ; ex:weight 1.5",
        "<urn:lamp> ex:steps ( 1 2.5e0 )",
    ] {
        assert!(holds(&store, pattern), "{pattern}");
    }
    assert!(!holds(&store, "?s ?p ?text FILTER(CONTAINS(STR(?text), \"not understood\"))"));
}

#[test]
fn all_of_it_is_in_the_graph_of_the_thing_and_the_same_each_time() {
    let document = lamp();
    let first = quads("urn:lamp", &document);
    assert!(first.iter().all(|quad| quad.graph_name.to_string() == "<urn:lamp>"));
    assert_eq!(first, quads("urn:lamp", &document));
    // Two things have no part in common.
    let blank = |quads: Vec<Quad>| -> Vec<String> {
        quads
            .iter()
            .map(|quad| quad.subject.to_string())
            .filter(|subject| subject.starts_with("_:"))
            .collect()
    };
    let (one, other) = (blank(first), blank(quads("urn:lamp2", &document)));
    assert!(!one.is_empty() && one.iter().all(|label| !other.contains(label)));
}

/// Prefixes apart, no context is needed to read these, so another reader of JSON-LD reads the same.
#[test]
fn what_needs_no_context_is_read_as_json_ld_is() {
    let plain = json!({
        "@context": { "@vocab": "https://www.w3.org/2019/wot/td#", "ex": "http://example.org/" },
        "@id": "urn:x",
        "@type": ["ex:A", "Thing"],
        "ex:text": "words",
        "ex:many": [1, 2.5, true, "x", null, [3, 4]],
        "ex:large": 1e30,
        "ex:none": {},
        "ex:deep": { "@id": "ex:y", "ex:back": { "@id": "urn:x" }, "ex:set": { "@set": [5] } },
        "ex:label": { "@value": "eins", "@language": "de" },
        "ex:typed": { "@value": 7, "@type": "ex:T" },
        "ex:list": { "@list": ["a", { "@id": "_:b" }] },
        "ex:blank": { "@id": "_:b", "ex:of": "b" },
        "word": "of the vocabulary",
    });
    let text = plain.to_string();
    let parser = oxigraph::io::RdfParser::from_format(oxigraph::io::RdfFormat::JsonLd {
        profile: oxigraph::io::JsonLdProfileSet::empty(),
    });
    let read = |quads: Vec<Quad>| {
        let mut dataset: Dataset =
            quads.into_iter().map(|quad| Quad { graph_name: GraphName::DefaultGraph, ..quad }).collect();
        dataset.canonicalize(oxigraph::model::dataset::CanonicalizationAlgorithm::Unstable);
        let mut lines: Vec<String> = dataset.iter().map(|quad| quad.to_string()).collect();
        lines.sort();
        lines
    };
    let theirs = read(parser.for_slice(&text).collect::<Result<_, _>>().unwrap());
    let ours = read(quads("urn:x", &plain));
    assert_eq!(ours, theirs);
}

#[test]
fn hostile_words_are_data_or_nothing() {
    let hostile = json!({
        "@context": [
            "https://evil.example/context",
            { "a": "b", "b": "a", "c": { "@id": "c:c" }, "d": null, "ex": "http://example.org/", "e": "ex:<> \"x" }
        ],
        "id": "urn:lamp",
        "title": "\" . <urn:x> <urn:y> \"\u{0}\n }} DROP ALL",
        "a": 1, "b": 2, "c": 3, "d": 4, "e": 5,
        "<urn:x> <urn:y>": "z",
        "@unknown": [1], "@graph": [{ "@id": "urn:other" }], "@reverse": { "ex:p": { "@id": "urn:other" } },
        "ex:sp ace": 1,
        "ex:p": [{ "@id": "not an iri" }, { "@value": { "x": 1 } }, { "@value": "x", "@language": "no tag" }],
        "titles": { "no tag!": "x", "en": 5 },
        "properties": { "x": null, "y": [[1]], "z": "text" },
    });
    let store = store(&hostile);
    assert!(holds(&store, "<urn:lamp> td:title ?title FILTER(CONTAINS(?title, \"DROP ALL\"))"));
    let text: Vec<String> = store.iter().map(|quad| quad.unwrap().to_string()).collect();
    assert!(text.iter().all(|line| line.starts_with('<') && !line.contains("urn:other")), "{text:?}");
    // Every quad can be told as text, and is the same again.
    let told = text.join(" .\n") + " .\n";
    let again = oxigraph::io::RdfParser::from_format(oxigraph::io::RdfFormat::NQuads).for_slice(&told);
    assert_eq!(again.map(Result::unwrap).count(), text.len());
    assert_eq!(quads("urn:a{}", &hostile), [], "no IRI, no graph");
    assert_eq!(quads("urn:a", &json!([])), []);
}
