//! Virtual objects as Thing Descriptions and Thing Models.
//!
//! A data attribute becomes a property that can be read, a method an action; each has a form for each address of the object:
//! that address with the name as one more step. An object that has no address is a model only: its forms have placeholders
//! (`{{RESOURCE}}`, `{{RESOURCE_2}}`, …), which [`instantiate`](super::tm::instantiate) puts addresses in place of. What a
//! virtual object does not say is not invented: the security scheme is `auto`, which is found out by asking. One that was made
//! of a Thing Description ([`from_td`](super::from_td)) says again what that said.

use i3_core::market::ObjectView;
use i3_core::virtual_object::{Content, DataField, Method, ObjectKind};
use serde_json::{Map, Value, json};

use super::from_td::restore;
use super::td;
use crate::description::{iri_part, thing_iri};
use crate::vocabulary::NAMESPACE;

/// The Thing Description of an object; nothing if it has no address.
pub fn description(view: &ObjectView) -> Option<Value> {
    let addresses: Vec<String> = view.content.resources.iter().map(ToString::to_string).collect();
    (!addresses.is_empty()).then(|| Value::Object(described(view, &addresses, true)))
}

/// The Thing Model of an object: all but where it is.
pub fn model(view: &ObjectView) -> Value {
    let addresses: Vec<String> = (1..=view.content.resources.len().max(1))
        .map(
            |number| {
                if number == 1 { "{{RESOURCE}}".to_owned() } else { format!("{{{{RESOURCE_{number}}}}}") }
            },
        )
        .collect();
    let mut model = described(view, &addresses, false);
    model.remove("id");
    model.remove("created");
    model.remove("modified");
    let kind = model.remove("@type");
    let kinds: Vec<&str> = std::iter::once(td::THING_MODEL).chain(td::texts(kind.as_ref())).collect();
    model.insert("@type".to_owned(), json!(kinds));
    let version =
        model.remove("version").and_then(|mut version| version.get_mut("instance").map(Value::take));
    model.insert("version".to_owned(), json!({"model": version.unwrap_or_default()}));
    Value::Object(model)
}

/// What an object says, with what its document said of where it is or without.
fn described(view: &ObjectView, addresses: &[String], located: bool) -> Map<String, Value> {
    let object = &view.object;
    let mut thing = said(&view.content, addresses);
    thing.insert("version".to_owned(), json!({"instance": object.content}));
    restore(&mut thing, &view.content, located);
    thing.insert("id".to_owned(), json!(thing_iri(&object.id.to_string()).as_str()));
    thing.insert("created".to_owned(), json!(object.created));
    thing.insert("modified".to_owned(), json!(object.updated));
    thing
}

/// What the content of an object with these addresses says.
pub(super) fn said(content: &Content, addresses: &[String]) -> Map<String, Value> {
    let mut thing = Map::new();
    let mut say = |name: &str, value: Value| thing.insert(name.to_owned(), value);
    let prefixes =
        json!({"sosa": "http://www.w3.org/ns/sosa/", "schema": "https://schema.org/", "i3": NAMESPACE});
    say("@context", json!([td::CONTEXT, prefixes]));
    if content.classes.is_empty() {
        say("@type", json!(kind(content.kind)));
    } else {
        let classes = content.classes.iter().map(ToString::to_string);
        say("@type", std::iter::once(kind(content.kind).to_owned()).chain(classes).collect());
    }
    say("title", json!(content.title));
    if !content.body.is_empty() {
        say("description", json!(content.body));
    }
    say("securityDefinitions", json!({"auto": {"scheme": "auto"}}));
    say("security", json!("auto"));
    if !content.tags.is_empty() {
        say("schema:keywords", json!(content.tags));
    }
    for (name, value) in [
        ("i3:model", content.model.as_ref().map(|model| json!(model))),
        ("i3:inDomain", content.domain.as_ref().map(|domain| json!(domain))),
        ("i3:onPlatform", (!content.platforms.is_empty()).then(|| json!(content.platforms))),
    ] {
        value.map(|value| say(name, value));
    }
    let part = |id: &i3_core::id::VirtualObjectId| json!({"rel": "item", "href": thing_iri(&id.to_string()).as_str()});
    if !content.parts.is_empty() {
        say("links", content.parts.iter().map(part).collect());
    }
    for (name, affordances) in
        [("properties", properties(content, addresses)), ("actions", actions(content, addresses))]
    {
        if !affordances.is_empty() {
            say(name, Value::Object(affordances));
        }
    }
    thing
}

const fn kind(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Sensor => "sosa:Sensor",
        ObjectKind::Actuator => "sosa:Actuator",
        ObjectKind::Service => "i3:ServiceObject",
    }
}

/// The address with one more step, before what may follow its path.
pub(super) fn below(address: &str, name: &str) -> String {
    let path = address.find(['?', '#']).unwrap_or(address.len());
    let (path, rest) = address.split_at(path);
    format!("{}/{}{rest}", path.trim_end_matches('/'), iri_part(name))
}

fn forms(addresses: &[String], name: &str, operation: &str) -> Value {
    addresses.iter().map(|address| json!({"href": below(address, name), "op": operation})).collect()
}

fn schema(data_type: &str, unit: Option<String>, description: &str) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!(data_type));
    if let Some(unit) = unit {
        schema.insert("unit".to_owned(), json!(unit));
    }
    if !description.is_empty() {
        schema.insert("description".to_owned(), json!(description));
    }
    schema
}

fn of_field(field: &DataField) -> Map<String, Value> {
    schema(field.data_type.as_str(), field.unit.as_ref().map(ToString::to_string), field.description.as_str())
}

fn properties(content: &Content, addresses: &[String]) -> Map<String, Value> {
    let property = |field: &DataField| {
        let mut property = of_field(field);
        property.insert("readOnly".to_owned(), json!(true));
        property.insert("forms".to_owned(), forms(addresses, field.name.as_str(), "readproperty"));
        (field.name.to_string(), Value::Object(property))
    };
    content.attributes.iter().map(property).collect()
}

fn actions(content: &Content, addresses: &[String]) -> Map<String, Value> {
    let action = |method: &Method| {
        let mut action = Map::new();
        if !method.description.is_empty() {
            action.insert("description".to_owned(), json!(method.description));
        }
        if !method.inputs.is_empty() {
            let inputs: Map<String, Value> = method
                .inputs
                .iter()
                .map(|field| (field.name.to_string(), Value::Object(of_field(field))))
                .collect();
            let required: Vec<String> = method.inputs.iter().map(|field| field.name.to_string()).collect();
            let input = json!({"type": "object", "properties": inputs, "required": required});
            action.insert("input".to_owned(), input);
        }
        if let Some(output) = &method.output {
            let unit = output.unit.as_ref().map(ToString::to_string);
            let output = schema(output.data_type.as_str(), unit, output.description.as_str());
            action.insert("output".to_owned(), Value::Object(output));
        }
        action.insert("forms".to_owned(), forms(addresses, method.name.as_str(), "invokeaction"));
        (method.name.to_string(), Value::Object(action))
    };
    content.methods.iter().map(action).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_name_as_one_more_step() {
        let table = [
            ("coap://192.0.2.1", "BlueOn", "coap://192.0.2.1/BlueOn"),
            ("http://a/b/", "on off", "http://a/b/on%20off"),
            ("http://a/b?c=/d#e", "x/y", "http://a/b/x%2Fy?c=/d#e"),
        ];
        for (address, name, expected) in table {
            assert_eq!(below(address, name), expected);
        }
    }
}
