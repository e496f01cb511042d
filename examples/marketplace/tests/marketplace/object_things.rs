//! Virtual objects as Thing Descriptions, Thing Models and functional blocks.

use std::collections::BTreeMap;

use i3_marketplace::{Assembly, StoreUrl};
use i3_semantic::wot::{td, tm};
use serde_json::{Value, json};

use crate::support::{Rest, assemble, config, text};

/// The actuator of the paper (section 4.4), with what its methods take and answer.
fn led() -> Value {
    json!({
        "kind": "actuator", "title": "LED from external app", "body": "Test app?", "model": "external-led-edited",
        "tags": ["light"], "domain": "smart-home", "platforms": ["Raspberry Pi"], "protocols": ["coap", "http"],
        "attributes": [{"name": "temperature", "type": "number", "unit": "Cel"}],
        "methods": [
            {"name": "BlueOn"},
            {"name": "Fade", "inputs": [{"name": "seconds", "type": "integer"}], "output": {"type": "boolean"}},
        ],
        "resources": ["coap://129.21.121.1", "http://129.21.121.1/led?x=1"],
    })
}

async fn open(content: Value) -> (Assembly, Rest, String, String) {
    let (assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let (maker, _) = rest.register("maker", "provider").await;
    let made = rest.post(&maker, "/virtual_objects", content).await.ok();
    let path = format!("/virtual_objects/{}", text(&made["id"]));
    (assembly, rest, maker, path)
}

#[tokio::test]
async fn a_virtual_object_is_a_valid_thing_description_with_a_form_for_each_address() {
    let (_assembly, rest, maker, path) = open(led()).await;
    let reply = rest.get(&maker, format!("{path}/td")).await;
    assert_eq!(reply.headers["content-type"], "application/td+json");
    let described = reply.ok();
    td::validate(&described).unwrap();
    assert_eq!(
        (&described["@type"], &described["title"]),
        (&json!("sosa:Actuator"), &json!("LED from external app"))
    );
    let hrefs = |affordance: &Value| -> Vec<String> {
        affordance["forms"].as_array().unwrap().iter().map(|form| text(&form["href"])).collect()
    };
    assert_eq!(
        hrefs(&described["actions"]["BlueOn"]),
        ["coap://129.21.121.1/BlueOn", "http://129.21.121.1/led/BlueOn?x=1"]
    );
    assert_eq!(described["actions"]["Fade"]["input"]["properties"]["seconds"]["type"], "integer");
    let temperature = &described["properties"]["temperature"];
    assert_eq!((&temperature["unit"], &temperature["readOnly"]), (&json!("Cel"), &json!(true)));
    // A draft is its owner's.
    rest.ask("GET", format!("{path}/td")).send().await.is(404, "not_found");
    rest.ask("GET", format!("{path}/tm")).send().await.is(404, "not_found");
    rest.ask("GET", format!("{path}/blocks")).send().await.is(404, "not_found");
    let turtle = rest.ask("GET", format!("{path}/td")).token(&maker).header("accept", "text/turtle");
    turtle.send().await.is(406, "not_acceptable");
}

#[tokio::test]
async fn the_model_of_a_virtual_object_becomes_its_description_when_addresses_are_put_in() {
    let (_assembly, rest, maker, path) = open(led()).await;
    let reply = rest.get(&maker, format!("{path}/tm")).await;
    assert_eq!(reply.headers["content-type"], "application/tm+json");
    let model = reply.ok();
    td::validate_model(&model).unwrap();
    assert!(td::is_model(&model) && model.get("id").is_none());
    assert_eq!(tm::placeholders(&model), ["RESOURCE", "RESOURCE_2"]);
    let mut forms = model["actions"].clone();
    let addresses = BTreeMap::from([
        ("RESOURCE".to_owned(), json!("coap://192.0.2.7")),
        ("RESOURCE_2".to_owned(), json!("http://192.0.2.7/led")),
    ]);
    tm::substitute(&mut forms, &addresses).unwrap();
    assert_eq!(forms["BlueOn"]["forms"][1]["href"], "http://192.0.2.7/led/BlueOn");
}

#[tokio::test]
async fn the_blocks_of_a_virtual_object_have_a_binding_for_each_address() {
    let (_assembly, rest, maker, path) = open(led()).await;
    let blocks = rest.get(&maker, format!("{path}/blocks")).await.ok();
    let names: Vec<String> = blocks.as_array().unwrap().iter().map(|block| text(&block["name"])).collect();
    assert_eq!(
        names,
        ["actions/BlueOn/invokeaction", "actions/Fade/invokeaction", "properties/temperature/readproperty"]
    );
    let protocols: Vec<String> =
        blocks[0]["bindings"].as_array().unwrap().iter().map(|binding| text(&binding["protocol"])).collect();
    assert_eq!(protocols, ["coap", "http"]);
}

#[tokio::test]
async fn an_object_without_an_address_is_a_model_only() {
    let mut content = led();
    content["resources"] = json!([]);
    let (_assembly, rest, maker, path) = open(content).await;
    rest.get(&maker, format!("{path}/td")).await.is(409, "wrong_state");
    rest.get(&maker, format!("{path}/blocks")).await.is(409, "wrong_state");
    let model = rest.get(&maker, format!("{path}/tm")).await.ok();
    td::validate_model(&model).unwrap();
    assert_eq!(model["actions"]["BlueOn"]["forms"][0]["href"], "{{RESOURCE}}/BlueOn");
}

#[tokio::test]
async fn a_thing_description_is_shared_as_a_virtual_object_and_described_by_the_same_terms_again() {
    let (_assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let (maker, _) = rest.register("maker", "provider").await;
    let document = json!({
        "@context": ["https://www.w3.org/2022/wot/td/v1.1", {"ex": "https://example.org/"}],
        "@type": ["sosa:Sensor", "ex:Station"], "title": "Weather station", "ex:height": {"ex:metres": 2.5},
        "securityDefinitions": {"nosec_sc": {"scheme": "nosec"}}, "security": "nosec_sc",
        "properties": {
            "wind": {
                "type": "number", "unit": "m/s", "ex:cups": 3,
                "forms": [{"href": "coap://192.0.2.9/wind", "op": "readproperty", "ex:quick": true}]
            }
        },
        "events": {"storm": {"forms": [{"href": "http://192.0.2.9/storm", "subprotocol": "sse"}]}}
    });
    let send = async |method: &str, path: &str, document: &Value| {
        let asked = rest.ask(method, path).token(&maker).header("content-type", "application/td+json");
        asked.text(document.to_string()).send().await
    };
    let made = send("POST", "/virtual_objects", &document).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.ok();
    assert_eq!((&made["kind"], &made["state"]), (&json!("sensor"), &json!("draft")));
    assert_eq!(
        (&made["classes"], &made["attributes"][0]["unit"]),
        (&json!(["https://example.org/Station"]), &json!("m/s"))
    );
    assert_eq!(made["protocols"], json!(["coap", "http"]));
    let path = format!("/virtual_objects/{}", text(&made["id"]));
    let described = async || {
        let mut described = rest.get(&maker, format!("{path}/td")).await.ok();
        for own in ["id", "created", "modified", "version"] {
            assert!(described.as_object_mut().unwrap().remove(own).is_some(), "{own}");
        }
        described
    };
    assert_eq!(described().await, document);
    let mut other = document.clone();
    other["title"] = json!("Another station");
    other["ex:height"] = json!(3);
    send("PUT", &path, &other).await.ok();
    assert_eq!(described().await, other);

    other["properties"]["wind"].as_object_mut().unwrap().remove("type");
    other["ex:nothing"] = Value::Null;
    let reply = send("POST", "/virtual_objects", &other).await;
    reply.is(400, "invalid_description");
    let fields: Vec<String> = reply.body["validationErrors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| text(&error["field"]))
        .collect();
    assert_eq!(fields, ["ex:nothing", "properties.wind.type"]);
    send("POST", "/virtual_objects", &json!({"title": "x"})).await.is(400, "invalid_description");
    send("POST", "/virtual_objects", &json!([])).await.is(400, "invalid_description");
    let deep = "[".repeat(50_000);
    let asked =
        rest.ask("POST", "/virtual_objects").token(&maker).header("content-type", "application/td+json");
    let reply = asked.text(deep).send().await;
    assert!([400, 413].contains(&reply.status), "{reply:?}");
}
