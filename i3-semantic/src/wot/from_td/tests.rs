use super::*;

use i3_core::id::{TypedId as _, UserId, VirtualObjectId};
use i3_core::market::ObjectView;
use i3_core::time::Timestamp;
use i3_core::virtual_object::{ObjectState, VirtualObject};
use proptest::prelude::*;
use serde_json::json;

use crate::wot::json::any_value;
use crate::wot::object::{description, model};

/// As an object of the marketplace.
fn view(content: &Content) -> ObjectView {
    let at = Timestamp::from_micros(1_800_000_000_000_000).unwrap();
    let object = VirtualObject {
        id: VirtualObjectId::from_bits(7),
        owner: UserId::from_bits(8),
        hub: None,
        product: None,
        state: ObjectState::Published,
        revision: 1,
        version: 1,
        content: content.hash(),
        public: None,
        level: 0,
        settled: false,
        kept_files: BTreeMap::new(),
        remark: None,
        created: at,
        updated: at,
    };
    ObjectView { object, content: content.clone() }
}

/// Without what the object says of itself.
fn rest(mut document: Value, of: &Value) -> Value {
    let members = document.as_object_mut().unwrap();
    for own in OWN {
        members.remove(own);
    }
    if of.get("version").is_none() {
        members.remove("version");
    }
    document
}

fn made(document: &Value) -> Content {
    content(document, &Ontology::core()).unwrap_or_else(|refused| panic!("{:?}", refused.errors))
}

fn refused(document: &Value) -> Vec<ValidationError> {
    content(document, &Ontology::core()).unwrap_err().errors
}

/// With something of everything.
fn lamp() -> Value {
    json!({
        "@context": [
            "https://www.w3.org/2022/wot/td/v1.1",
            {"saref": "https://w3id.org/saref#", "x": "urn:x:", "ex": "https://example.org/"}
        ],
        "@type": ["saref:LightSwitch", "x:Fan", "Nameless"],
        "id": "urn:uuid:0804d572-cce8-422a-bb7c-4412fcd56f06",
        "title": "MyLampThing",
        "titles": {"de": "Lampe"},
        "description": "Lights",
        "version": {"instance": "1.2.1", "model": "3"},
        "support": "mailto:help@example.org",
        "ex:colour": {"ex:of": ["red", 1, 2.5, null, {"deep": true}]},
        "securityDefinitions": {"basic_sc": {"scheme": "basic", "in": "header"}},
        "security": ["basic_sc"],
        "properties": {
            "status": {
                "type": "string", "enum": ["on", "off"], "readOnly": true,
                "forms": [{"href": "https://mylamp.example.com/status", "htv:methodName": "GET"}]
            },
            "temperature": {
                "type": "number", "unit": "http://qudt.org/vocab/unit/DEG_C", "minimum": -20, "observable": true,
                "forms": [
                    {"href": "coaps://mylamp.example.com/temperature", "op": "readproperty"},
                    {"href": "mqtt://broker.example.com/lamp/t{?x}", "op": "observeproperty", "subprotocol": "x"}
                ]
            }
        },
        "actions": {
            "toggle": {"forms": [{"href": "https://mylamp.example.com/toggle"}], "safe": false},
            "fade": {
                "input": {
                    "type": "object",
                    "properties": {"to": {"type": "integer", "maximum": 100}, "in": {"type": "number", "unit": "s"}},
                    "required": ["to"]
                },
                "output": {"type": "boolean", "ex:means": "done"},
                "forms": [{"href": "https://mylamp.example.com/fade"}]
            },
            "level": {"input": {"type": "integer"}, "forms": [{"href": "https://mylamp.example.com/level"}]}
        },
        "events": {
            "overheating": {
                "data": {"type": "string"},
                "forms": [{"href": "https://mylamp.example.com/oh", "subprotocol": "longpoll"}]
            }
        },
        "links": [{"rel": "author", "href": "https://example.org/me"}]
    })
}

#[test]
fn a_thing_description_becomes_an_object_that_is_described_by_it_again() {
    let document = lamp();
    let content = made(&document);
    assert_eq!(
        (content.kind, content.title.as_str(), content.body.as_str()),
        (ObjectKind::Actuator, "MyLampThing", "Lights")
    );
    let classes: Vec<&str> = content.classes.iter().map(ClassIri::as_str).collect();
    assert_eq!(classes, ["https://w3id.org/saref#LightSwitch", "urn:x:Fan"]);
    let temperature = content.attributes.iter().find(|field| field.name.as_str() == "temperature").unwrap();
    assert_eq!(temperature.unit.as_ref().unwrap().to_string(), "qudt:DEG_C");
    let mut methods: Vec<(&str, usize, bool)> = content
        .methods
        .iter()
        .map(|one| (one.name.as_str(), one.inputs.len(), one.output.is_some()))
        .collect();
    methods.sort_unstable();
    assert_eq!(methods, [("fade", 2, true), ("level", 1, false), ("toggle", 0, false)]);
    let addresses: BTreeSet<&str> = content.resources.iter().map(ResourceUri::as_str).collect();
    let expected = ["coaps://mylamp.example.com", "https://mylamp.example.com", "mqtt://broker.example.com"];
    assert_eq!(addresses, expected.into());
    assert_eq!(content.protocols, [Protocol::Coap, Protocol::Http, Protocol::Mqtt].into());
    content.check().unwrap();

    let described = description(&view(&content)).unwrap();
    td::validate(&described).unwrap();
    assert_eq!(described["id"], thing_iri(&VirtualObjectId::from_bits(7).to_string()).as_str());
    assert_eq!(rest(described, &document), rest(document.clone(), &document));
    // And what is made of that is the same object.
    let again = made(&description(&view(&content)).unwrap());
    assert_eq!(again, content);

    let model = model(&view(&content));
    td::validate_model(&model).unwrap();
    assert!(!model.to_string().contains("mylamp.example.com"), "{model}");
    assert_eq!(model["ex:colour"], document["ex:colour"]);
}

#[test]
fn what_an_object_says_of_itself_becomes_the_same_object() {
    let content: Content = serde_json::from_value(json!({
        "kind": "service", "title": "Both", "body": "Text", "model": "M-1", "tags": ["a", "b"], "domain": "smart-home",
        "platforms": ["Raspberry Pi"], "protocols": ["coap"], "resources": ["coap://192.0.2.1/x"],
        "attributes": [{"name": "t", "type": "number", "unit": "ucum:Cel"}],
        "methods": [{"name": "BlueOn", "inputs": [{"name": "level", "type": "integer"}]}],
        "parts": [VirtualObjectId::from_bits(9)], "classes": ["urn:x:Lamp"],
    }))
    .unwrap();
    let made = made(&description(&view(&content)).unwrap());
    assert!(made.thing.is_some_and(|terms| terms.patch.as_str().starts_with("{\"version\":")));
    assert_eq!(Content { thing: None, ..made }, content);
}

#[test]
fn the_kind_is_said_by_the_ontology_or_by_what_the_thing_does() {
    let fan = "@prefix owl: <http://www.w3.org/2002/07/owl#> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
        <urn:x:Fan> a owl:Class ; rdfs:subClassOf <urn:i3:ns:Sensor> .";
    let ontology = Ontology::core().extend(fan).unwrap();
    assert_eq!(content(&lamp(), &ontology).unwrap().kind, ObjectKind::Sensor);
    for (kinds, kind) in [
        (json!("sosa:Actuator"), ObjectKind::Actuator),
        (json!(["x:Unheard", "http://www.w3.org/ns/sosa/Sensor"]), ObjectKind::Sensor),
        (json!("i3:Actuator"), ObjectKind::Actuator),
        (json!("Thing"), ObjectKind::Actuator),
    ] {
        let mut document = lamp();
        document["@type"] = kinds;
        assert_eq!(made(&document).kind, kind, "{document}");
        assert_eq!(
            rest(description(&view(&made(&document))).unwrap(), &document),
            rest(document.clone(), &document)
        );
    }
}

#[test]
fn everything_that_cannot_be_taken_is_told_with_its_place() {
    let mut document = lamp();
    document["ex:nothing"] = Value::Null;
    document["properties"]["status"].as_object_mut().unwrap().remove("type");
    document["properties"]["temperature"]["unit"] = json!("u".repeat(100));
    document["properties"]["x".repeat(61)] = document["properties"]["status"].clone();
    document["actions"]["toggle"]["forms"][0]["href"] = json!("https://me:secret@mylamp.example.com/toggle");
    document["actions"]["fade"]["forms"][0]["href"] = json!("relative");
    let errors = refused(&document);
    let fields: BTreeSet<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    let long = format!("properties.{}", "x".repeat(61));
    for expected in [
        "ex:nothing",
        "properties.status.type",
        "properties.temperature.unit",
        "actions.toggle.forms.0.href",
        "actions.fade.forms.0.href",
        &long,
    ] {
        assert!(fields.contains(expected), "{expected} of {errors:?}");
    }
    // What is no Thing Description is refused as the directory refuses it.
    assert!(!refused(&json!({"title": "x"})).is_empty());
    let mut model = lamp();
    model["@type"] = json!("tm:ThingModel");
    assert_eq!(refused(&model)[0].field, "@type");
    let mut much = lamp();
    for number in 0..100 {
        much["properties"][format!("p{number}")] = much["properties"]["status"].clone();
    }
    assert!(refused(&much)[0].description.contains("at most 64"), "{:?}", refused(&much));
    let mut long = lamp();
    long["ex:long"] = json!("x".repeat(30_000));
    assert_eq!(refused(&long)[0].field, "(root)");
}

#[test]
fn after_a_change_of_the_object_what_does_not_hold_any_more_is_left_out() {
    let mut content = made(&lamp());
    content.title = "Another".parse().unwrap();
    content.methods.retain(|method| method.name.as_str() != "toggle");
    content.resources = vec!["https://other.example".parse().unwrap()];
    let described = description(&view(&content)).unwrap();
    td::validate(&described).unwrap();
    assert_eq!(described["title"], "Another");
    assert!(described["actions"].get("toggle").is_none());
    let forms = described["properties"]["status"]["forms"].as_array().unwrap();
    assert_eq!(forms.len(), 1);
    assert_eq!(forms[0]["href"], "https://other.example/status");
    // What speaks of none of it still holds.
    assert_eq!(described["properties"]["status"]["enum"], json!(["on", "off"]));
    assert_eq!(described["events"], lamp()["events"]);
    assert_eq!(described["titles"], lamp()["titles"]);
}

proptest! {
    #[test]
    fn terms_that_nobody_knows_are_given_back(
        terms in prop::collection::btree_map("ex:[a-z]{1,6}", any_value(), 0..4),
        place in 0_usize..5,
        twice in any::<bool>(),
    ) {
        let mut document = lamp();
        let at = |document: &mut Value, terms: &BTreeMap<String, Value>| {
            let target = match place {
                0 => document,
                1 => &mut document["properties"]["status"],
                2 => &mut document["actions"]["fade"]["input"]["properties"]["to"],
                3 => &mut document["securityDefinitions"]["basic_sc"],
                _ => &mut document["events"]["overheating"]["forms"][0],
            };
            for (name, value) in terms {
                target[name] = value.clone();
            }
        };
        at(&mut document, &terms);
        match content(&document, &Ontology::core()) {
            Ok(content) => {
                content.check().unwrap();
                let stored: Content = serde_json::from_str(&serde_json::to_string(&content).unwrap()).unwrap();
                let mut described = description(&view(&stored)).unwrap();
                if twice {
                    described = description(&view(&made(&described))).unwrap();
                }
                prop_assert_eq!(rest(described, &document), rest(document.clone(), &document));
            }
            // Only for the reason that it says.
            Err(refused) => prop_assert!(
                refused.errors.iter().all(|error| error.description.contains("null") || error.field == "(root)"),
                "{:?}", refused.errors
            ),
        }
    }
}
