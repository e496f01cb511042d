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
