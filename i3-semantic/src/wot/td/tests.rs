use serde_json::{Value, json};

use super::*;
use crate::wot::patch::merge;

fn lamp() -> Value {
    json!({
        "@context": [CONTEXT, { "ex": "https://example.org/terms#" }],
        "@type": "ex:Lamp",
        "id": "urn:dev:ops:32473-lamp-1234",
        "title": "Lamp",
        "titles": { "en": "Lamp", "ko": "램프" },
        "securityDefinitions": { "basic": { "scheme": "basic", "in": "header" } },
        "security": "basic",
        "ex:colour": { "ex:deep": [1, null] },
        "properties": {
            "on": { "type": "boolean", "forms": [{ "href": "https://lamp.example.org/on", "ex:term": 1 }] }
        },
        "actions": { "toggle": { "forms": [{ "href": "coap://lamp.example.org/toggle", "op": "invokeaction" }] } },
        "events": { "hot": { "data": { "type": "number" }, "forms": [{ "href": "mqtt://b.example.org/hot" }] } }
    })
}

/// What is wrong with a lamp to which this patch was applied.
fn wrong(patch: &Value) -> Vec<String> {
    let mut lamp = lamp();
    merge(&mut lamp, patch);
    validate(&lamp).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn a_description_with_terms_of_its_own_is_valid() {
    assert_eq!(validate(&lamp()), Ok(()));
}

#[test]
fn an_error_says_where_it_is() {
    let patch = json!({ "title": null, "properties": { "on": { "forms": [{ "href": 7 }] } } });
    let wanted = [
        "(root): `title` is required",
        "properties.on.forms.0.href: a text is expected, but this is integer",
    ];
    assert_eq!(wrong(&patch), wanted);
}

#[test]
fn each_part_is_checked() {
    let table = [
        (json!({ "@context": null }), "(root): `@context` is required"),
        (
            json!({ "@context": "https://example.org/other" }),
            "@context: `https://www.w3.org/2022/wot/td/v1.1`",
        ),
        (json!({ "@context": [CONTEXT, CONTEXT_1_0] }), "@context: the context of version 1.0"),
        (json!({ "@context": [CONTEXT, 3] }), "@context.1: a text"),
        (json!({ "@type": ["tm:ThingModel"] }), "@type.0: a Thing Model"),
        (json!({ "id": "lamp 1" }), "id: this is no URI"),
        (json!({ "id": "lamp" }), "id: this is no absolute URI"),
        (json!({ "base": "http://a\"b" }), "base: this is no URI"),
        (json!({ "created": "yesterday" }), "created: this is no time"),
        (json!({ "modified": "2024-01-01T00:00:00" }), "modified: this is no time"),
        (json!({ "version": { "model": "1" } }), "version: `instance`"),
        (json!({ "security": [] }), "security: at least 1"),
        (json!({ "security": "none" }), "security: `securityDefinitions` has no `none`"),
        (json!({ "securityDefinitions": { "basic": null } }), "securityDefinitions: at least one"),
        (
            json!({ "securityDefinitions": { "x": { "scheme": "secret" } } }),
            "securityDefinitions.x.scheme: `secret`",
        ),
        (
            json!({ "securityDefinitions": { "x": { "scheme": "combo", "oneOf": ["basic"] } } }),
            "oneOf: at least 2",
        ),
        (json!({ "securityDefinitions": { "x": { "scheme": "combo" } } }), "either `oneOf` or `allOf`"),
        (json!({ "securityDefinitions": { "x": { "scheme": "basic", "in": "uri" } } }), "in: `uri`"),
        (json!({ "properties": { "on": { "forms": null } } }), "properties.on: `forms` is required"),
        (json!({ "properties": { "on": { "forms": [] } } }), "properties.on.forms: at least 1"),
        (json!({ "properties": { "on": { "forms": [{}] } } }), "properties.on.forms.0: `href`"),
        (json!({ "properties": { "on": { "type": "float" } } }), "properties.on.type: `float`"),
        (
            json!({ "properties": { "on": { "enum": [1, 2, 1] } } }),
            "properties.on.enum: a value is there twice",
        ),
        (json!({ "properties": { "on": { "minLength": -1 } } }), "properties.on.minLength"),
        (json!({ "properties": { "on": { "multipleOf": 0 } } }), "properties.on.multipleOf"),
        (json!({ "properties": { "on": { "items": [{ "type": 1 }] } } }), "properties.on.items.0.type"),
        (json!({ "properties": { "on": 1 } }), "properties.on: an object"),
        (json!({ "properties": [] }), "properties: an object"),
        (
            json!({ "actions": { "toggle": { "forms": [{ "href": "a", "op": "invokeAction" }] } } }),
            "`invokeAction`",
        ),
        (json!({ "actions": { "toggle": { "safe": "yes" } } }), "actions.toggle.safe: a boolean"),
        (json!({ "actions": { "toggle": { "input": 1 } } }), "actions.toggle.input: an object"),
        (json!({ "events": { "hot": { "data": { "type": 1 } } } }), "events.hot.data.type"),
        (json!({ "forms": [{ "href": "a" }] }), "forms.0: `op` is required"),
        (json!({ "forms": [{ "href": "a", "op": "readproperty" }] }), "forms.0: op: `readproperty`"),
        (json!({ "links": [{ "rel": "type" }] }), "links.0: `href`"),
        (json!({ "links": [{ "href": "a", "rel": "tm:extends" }] }), "links.0: only models"),
        (json!({ "links": [{ "href": "a", "sizes": "1x1" }] }), "links.0: only icons"),
        (
            json!({ "links": [{ "href": "a", "rel": "type" }, { "href": "b", "rel": "type" }] }),
            "at most one link",
        ),
        (json!({ "links": [{ "href": "a", "hreflang": "not a tag" }] }), "links.0.hreflang"),
        (
            json!({ "properties": { "on": { "forms": [{ "href": "a", "additionalResponses": [{ "schema": "x" }] }] } } }),
            "additionalResponses.0.schema: `schemaDefinitions` has no `x`",
        ),
    ];
    for (patch, wanted) in table {
        let errors = wrong(&patch);
        assert!(errors.iter().any(|error| error.contains(wanted)), "{patch}: {wanted} is not in {errors:?}");
    }
}

#[test]
fn what_the_schema_of_the_specification_allows_is_allowed() {
    for patch in [
        json!({ "@context": CONTEXT }),
        json!({ "@context": CONTEXT_1_0 }),
        json!({ "@context": [CONTEXT_1_0, CONTEXT, { "x": "http://x/" }] }),
        json!({ "id": null }),
        json!({ "securityDefinitions": { "x": { "scheme": "ace:ACESecurityScheme" } } }),
        json!({ "securityDefinitions": { "x": { "scheme": "apikey", "in": "uri", "name": "k" } } }),
        json!({ "forms": [{ "href": "/all{?x}", "op": ["readallproperties", "readmultipleproperties"] }] }),
        json!({ "properties": { "on": { "forms": [{ "href": "a", "op": ["readproperty", "observeproperty"] }] } } }),
        json!({ "links": [{ "href": "a", "rel": "icon", "sizes": "16x16 32x32" }] }),
        json!({ "created": "2024-01-01T00:00:00.5+09:00", "profile": ["https://example.org/p"] }),
    ] {
        assert_eq!(wrong(&patch), Vec::<String>::new(), "{patch}");
    }
}

#[test]
fn of_many_errors_a_hundred_are_told() {
    let properties: serde_json::Map<String, Value> =
        (0..1_000).map(|number| (format!("p{number}"), Value::Null)).collect();
    let mut lamp = lamp();
    lamp["properties"] = Value::Object(properties);
    assert_eq!(validate(&lamp).unwrap_err().len(), ValidationError::MOST);
}

#[test]
fn no_value_at_all_makes_validation_panic() {
    use crate::wot::json::any_value;
    use proptest::prelude::*;
    proptest!(|(value in any_value(), name in "(properties|actions|events|links|forms|security|@context|version)")| {
        let mut lamp = lamp();
        lamp[name.as_str()] = value.clone();
        let _ = validate(&lamp);
        let _ = validate_model(&lamp);
        let _ = validate(&value);
    });
}

#[test]
fn a_form_without_operations_has_those_of_its_kind() {
    let form = json!({ "href": "a" });
    let plain = json!({});
    assert_eq!(operations("properties", &plain, &form), ["readproperty", "writeproperty"]);
    assert_eq!(operations("properties", &json!({ "readOnly": true }), &form), ["readproperty"]);
    assert_eq!(operations("properties", &json!({ "writeOnly": true }), &form), ["writeproperty"]);
    assert_eq!(operations("actions", &plain, &form), ["invokeaction"]);
    assert_eq!(operations("events", &plain, &form), ["subscribeevent", "unsubscribeevent"]);
    let said = json!({ "href": "a", "op": ["observeproperty"] });
    assert_eq!(operations("properties", &plain, &said), ["observeproperty"]);
}

#[test]
fn a_model_may_lack_what_an_instance_has_and_have_placeholders() {
    let model = json!({
        "@context": CONTEXT,
        "@type": ["tm:ThingModel", "ex:Lamp"],
        "title": "Lamp {{NAME}}",
        "base": "{{BASE}}",
        "tm:optional": ["/properties/on"],
        "properties": { "on": { "type": "boolean", "observable": "{{OBSERVABLE}}" }, "level": { "maximum": "{{MAX}}" } }
    });
    assert!(is_model(&model));
    assert_eq!(validate_model(&model), Ok(()));
    assert!(validate(&model).is_err());
    assert!(!is_model(&lamp()));

    let errors = |patch: Value| {
        let mut model = model.clone();
        merge(&mut model, &patch);
        validate_model(&model).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert!(errors(json!({ "@type": "ex:Lamp" })).contains("`tm:ThingModel` is expected"));
    assert!(errors(json!({ "tm:optional": ["/properties/a/b"] })).contains("tm:optional.0"));
    assert!(errors(json!({ "properties": { "{{X}}": {} } })).contains("cannot be a placeholder"));
    assert!(errors(json!({ "version": { "instance": "1" } })).contains("a model has no"));
    assert!(
        errors(json!({ "properties": { "level": { "maximum": "{MAX}" } } })).contains("a number is expected")
    );
}
