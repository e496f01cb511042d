//! The form in which the paper prints a virtual object (section 4.4): fields as lists of `{"value": …}` and
//! `{"target_id": …}`, where what is in them may be one text or a list of texts.
//!
//! ```json
//! {
//!   "type": [{"target_id": "virtual_object"}],
//!   "title": [{"value": "LED from external app"}],
//!   "field_vo_type": [{"target_id": "actuator"}],
//!   "field_supported_protocol": [{"target_id": ["coap", "http"]}],
//!   "field_resource_uri": [{"value": ["coap://129.21.121.1", "http://129.21.121.1"]}]
//! }
//! ```
//!
//! The fields that the paper does not print have names after its manner: `field_category`, `field_class`, `field_tags`,
//! `field_iot_domain`, `field_platform`, `field_data_attributes` (each an object as in the plain form) and `field_parts`.
//! What the form cannot say of methods, places and files is in the plain form alone.

use i3_core::name::Term;
use i3_core::virtual_object::{Content, Method};
use serde_json::{Map, Value, json};

/// What is wrong with a text in this form.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub(super) struct InvalidNode {
    field: String,
    reason: String,
}

fn refuse<T>(field: &str, reason: impl std::fmt::Display) -> Result<T, InvalidNode> {
    Err(InvalidNode { field: field.to_owned(), reason: reason.to_string() })
}

/// Fields that the server tells and nobody else.
const TOLD: [&str; 7] = ["_links", "_embedded", "nid", "created", "changed", "status", "revision"];

/// Whether this is a virtual object in the paper's form: the plain form's title is no list.
pub(super) fn is_node(members: &Map<String, Value>) -> bool {
    members.get("title").is_some_and(Value::is_array) || members.get("type").is_some_and(Value::is_array)
}

/// All that a field holds, whichever way its list is nested.
fn items<'a>(field: &str, value: &'a Value, key: &str) -> Result<Vec<&'a Value>, InvalidNode> {
    let Value::Array(entries) = value else { return refuse(field, "a list is expected") };
    let mut items = Vec::new();
    for entry in entries {
        let Value::Object(members) = entry else {
            return refuse(field, format_args!("a list of `{{\"{key}\": …}}` is expected"));
        };
        match members.get(key) {
            Some(Value::Array(inner)) if members.len() == 1 => items.extend(inner),
            Some(one) if members.len() == 1 => items.push(one),
            _ => return refuse(field, format_args!("`{key}` alone is expected in each entry")),
        }
    }
    Ok(items)
}

fn texts<'a>(field: &str, value: &'a Value, key: &str) -> Result<Vec<&'a str>, InvalidNode> {
    let mut texts = Vec::new();
    for item in items(field, value, key)? {
        match item {
            Value::String(text) => texts.push(text.as_str()),
            _ => return refuse(field, "texts are expected"),
        }
    }
    Ok(texts)
}

/// The one text of a field; `None` if its list is empty.
fn single<'a>(field: &str, value: &'a Value, key: &str) -> Result<Option<&'a str>, InvalidNode> {
    match texts(field, value, key)?.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        _ => refuse(field, "one text is expected"),
    }
}

/// A protocol as people write its name: `CoAP`, `Web Sockets`.
fn protocol(text: &str) -> String {
    let plain: String = text.to_ascii_lowercase().split([' ', '_', '-']).collect();
    match plain.as_str() {
        "websockets" | "ws" => "websocket".to_owned(),
        "coap" | "http" | "mqtt" | "websocket" => plain,
        _ => text.to_ascii_lowercase(),
    }
}

/// What an object in this form says.
pub(super) fn read(members: &Map<String, Value>) -> Result<Content, InvalidNode> {
    let mut plain = Map::new();
    for (field, value) in members {
        if let Some((name, value)) = member(field, value)? {
            plain.insert(name.to_owned(), value);
        }
    }
    for (name, field) in [("kind", "field_vo_type"), ("title", "title")] {
        if !plain.contains_key(name) {
            return refuse(field, "it is missing");
        }
    }
    serde_json::from_value(Value::Object(plain)).or_else(|error| refuse("virtual_object", error))
}

/// A field as a member of the plain form; `None` if it says nothing there.
fn member(field: &str, value: &Value) -> Result<Option<(&'static str, Value)>, InvalidNode> {
    let one =
        |name: &'static str, key: &str| Ok(single(field, value, key)?.map(|text| (name, Value::from(text))));
    let many = |name: &'static str, key: &str| Ok(Some((name, Value::from(texts(field, value, key)?))));
    match field {
        "type" => match single(field, value, "target_id")? {
            Some("virtual_object") => Ok(None),
            _ => refuse(field, "`virtual_object` is expected"),
        },
        "title" => one("title", "value"),
        "body" => one("body", "value"),
        "field_model" => one("model", "value"),
        "field_category" => one("category", "target_id"),
        "field_iot_domain" => one("domain", "target_id"),
        "field_vo_type" => {
            Ok(single(field, value, "target_id")?.map(|kind| ("kind", kind.to_ascii_lowercase().into())))
        }
        "field_supported_protocol" => {
            let protocols = texts(field, value, "target_id")?;
            Ok(Some(("protocols", protocols.into_iter().map(protocol).collect())))
        }
        "field_common_methods" => {
            let mut methods = Vec::new();
            for name in texts(field, value, "value")? {
                let name: Term = name.parse().or_else(|error| refuse(field, error))?;
                methods.push(Method::named(name));
            }
            let methods = serde_json::to_value(methods).or_else(|error| refuse(field, error))?;
            Ok(Some(("methods", methods)))
        }
        "field_resource_uri" => many("resources", "value"),
        "field_tags" => many("tags", "target_id"),
        "field_class" => many("classes", "target_id"),
        "field_platform" => many("platforms", "target_id"),
        "field_parts" => many("parts", "target_id"),
        "field_data_attributes" => {
            let attributes = items(field, value, "value")?;
            Ok(Some(("attributes", attributes.into_iter().cloned().collect())))
        }
        told if TOLD.contains(&told) => Ok(None),
        _ => refuse(field, "there is no such field"),
    }
}

/// A content in this form.
pub(super) fn write(content: &Content) -> Map<String, Value> {
    let mut members = Map::new();
    let mut put = |field: &str, key: &str, value: Value| {
        members.insert(field.to_owned(), json!([{ key: value }]));
    };
    put("type", "target_id", "virtual_object".into());
    put("title", "value", content.title.as_str().into());
    put("field_vo_type", "target_id", content.kind.as_str().into());
    if !content.body.is_empty() {
        put("body", "value", content.body.as_str().into());
    }
    if let Some(model) = &content.model {
        put("field_model", "value", model.as_str().into());
    }
    if let Some(category) = &content.category {
        put("field_category", "target_id", category.as_str().into());
    }
    if let Some(domain) = &content.domain {
        put("field_iot_domain", "target_id", domain.as_str().into());
    }
    let mut list = |field: &str, key: &str, values: Vec<Value>| {
        if !values.is_empty() {
            put(field, key, values.into());
        }
    };
    let protocols = content.protocols.iter().map(|one| one.as_str().into());
    list("field_supported_protocol", "target_id", protocols.collect());
    list(
        "field_common_methods",
        "value",
        content.methods.iter().map(|one| one.name.as_str().into()).collect(),
    );
    list("field_resource_uri", "value", content.resources.iter().map(|one| one.as_str().into()).collect());
    list("field_tags", "target_id", content.tags.iter().map(|one| one.as_str().into()).collect());
    list("field_class", "target_id", content.classes.iter().map(|one| one.as_str().into()).collect());
    list("field_platform", "target_id", content.platforms.iter().map(|one| one.as_str().into()).collect());
    list("field_parts", "target_id", content.parts.iter().map(|one| one.to_string().into()).collect());
    let attributes = content.attributes.iter().filter_map(|one| serde_json::to_value(one).ok());
    list("field_data_attributes", "value", attributes.collect());
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the paper prints it.
    const PRINTED: &str = include_str!("../../tests/fixtures/paper_request.json");

    fn members(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_the_paper_prints_is_read_and_written_again() {
        let printed = members(PRINTED);
        assert!(is_node(&printed));
        let content = read(&printed).unwrap();
        assert_eq!(content.check(), Ok(()));
        let plain = json!({
            "kind": "actuator",
            "title": "LED from external app",
            "body": "Test app?",
            "model": "external-led-edited",
            "protocols": ["coap", "http"],
            "methods": [{"name": "BlueOn"}, {"name": "RedOn"}, {"name": "GreenOn"}, {"name": "TurnOff"}],
            "resources": ["coap://129.21.121.1", "http://129.21.121.1"],
        });
        assert_eq!(serde_json::to_value(&content).unwrap(), plain);
        let mut wanted = printed;
        wanted.remove("_links");
        assert_eq!(write(&content), wanted);
    }

    #[test]
    fn the_usual_nesting_and_other_spellings_say_the_same() {
        let mut usual = members(PRINTED);
        usual.insert(
            "field_supported_protocol".to_owned(),
            json!([{"target_id": "CoAP"}, {"target_id": "HTTP"}]),
        );
        usual.insert("field_vo_type".to_owned(), json!([{"target_id": "Actuator"}]));
        assert_eq!(read(&usual), read(&members(PRINTED)));
        usual.insert(
            "field_supported_protocol".to_owned(),
            json!([{"target_id": ["Web Sockets", "coap", "http"]}]),
        );
        let protocols = read(&usual).unwrap().protocols;
        assert!(protocols.contains(&"websocket".parse().unwrap()));
    }

    #[test]
    fn what_it_says_more_is_read_back() {
        let plain = json!({
            "kind": "service", "title": "T", "category": "C", "domain": "smart-home", "tags": ["a", "b"],
            "platforms": ["Arduino"], "parts": ["vob_00000000000000000000000001"],
            "attributes": [{"name": "t", "type": "number", "unit": "ucum:Cel"}],
        });
        let content: Content = serde_json::from_value(plain).unwrap();
        assert_eq!(read(&write(&content)).unwrap(), content);
    }

    #[test]
    fn what_is_no_such_thing_is_refused_with_its_field() {
        let table = [
            ("type", json!([{"target_id": "article"}]), "type: `virtual_object` is expected"),
            ("title", json!("LED"), "title: a list is expected"),
            ("title", json!(["LED"]), "title: a list of `{\"value\": …}` is expected"),
            ("title", json!([{"value": "a"}, {"value": "b"}]), "title: one text is expected"),
            ("title", json!([{"value": 7}]), "title: texts are expected"),
            ("title", json!([]), "title: it is missing"),
            (
                "title",
                json!([{"value": "a", "format": "x"}]),
                "title: `value` alone is expected in each entry",
            ),
            ("field_vo_type", json!([]), "field_vo_type: it is missing"),
            ("field_wings", json!([{"value": 2}]), "field_wings: there is no such field"),
        ];
        for (field, value, wanted) in table {
            let mut node = members(PRINTED);
            node.insert(field.to_owned(), value);
            assert_eq!(read(&node).unwrap_err().to_string(), wanted);
        }
        let mut node = members(PRINTED);
        node.insert("field_vo_type".to_owned(), json!([{"target_id": "animal"}]));
        assert!(read(&node).unwrap_err().to_string().starts_with("virtual_object: unknown variant"));
    }
}
