//! What each part of a Thing Description must be (TD 1.1, section 5.3, and its JSON Schema).

use serde_json::{Map, Value};

use super::check::Checker;
use super::{AFFORDANCES, CONTEXT, CONTEXT_1_0, THING_MODEL};

type Object = Map<String, Value>;

/// Operations on all properties, actions or events at once.
const ROOT_OPERATIONS: &[&str] = &[
    "readallproperties",
    "writeallproperties",
    "readmultipleproperties",
    "writemultipleproperties",
    "observeallproperties",
    "unobserveallproperties",
    "queryallactions",
    "subscribeallevents",
    "unsubscribeallevents",
];

pub(super) fn thing<'d>(c: &mut Checker<'d>, value: &'d Value) {
    let Some(thing) = c.object(value) else { return };
    c.required(thing, "@context");
    if c.model {
        c.required(thing, "@type");
    } else {
        for name in ["title", "security", "securityDefinitions"] {
            c.required(thing, name);
        }
    }
    c.member(thing, "@context", context);
    c.member(thing, "@type", if c.model { model_types } else { types });
    c.member(thing, "id", id);
    words(c, thing);
    c.members(thing, &["base", "support"], uri);
    c.members(thing, &["created", "modified"], date_time);
    c.member(thing, "profile", |c, value| c.one_or_more(value, 1, uri));
    c.member(thing, "version", version);
    c.member(thing, "properties", |c, value| c.each_member(value, property));
    c.member(thing, "actions", |c, value| c.each_member(value, action));
    c.member(thing, "events", |c, value| c.each_member(value, event));
    c.member(thing, "links", links);
    c.member(thing, "forms", |c, value| c.each_item(value, 1, root_form));
    c.member(thing, "securityDefinitions", |c, value| not_empty(c, value, security_scheme));
    c.member(thing, "schemaDefinitions", |c, value| not_empty(c, value, data_schema));
    c.member(thing, "security", security);
    c.member(thing, "uriVariables", |c, value| c.each_member(value, data_schema));
    c.member(thing, "tm:optional", |c, value| c.each_item(value, 0, optional_part));
}

/// A version's own context comes first. A description of version 1.1 that older programs shall read may name the one
/// of 1.0 before it, not after it (TD 1.1, section 5.3.1.1).
fn context<'d>(c: &mut Checker<'d>, value: &'d Value) {
    let first = match value {
        Value::Array(items) => items.first(),
        one => Some(one),
    };
    match first.and_then(Value::as_str) {
        Some(CONTEXT_1_0) => {}
        Some(CONTEXT) => {
            let later = value.as_array().into_iter().flatten().skip(1);
            if later.filter_map(Value::as_str).any(|context| context == CONTEXT_1_0) {
                c.wrong("the context of version 1.0 comes before the one of 1.1");
            }
        }
        _ => c.wrong(format_args!("`{CONTEXT}` is expected, alone or as the first of an array")),
    }
    if value.is_array() {
        c.each_item(value, 1, |c, item| match item {
            Value::Object(_) => {}
            other => uri(c, other),
        });
    }
}

fn text<'d>(c: &mut Checker<'d>, value: &'d Value) {
    if !value.is_string() {
        c.expected("a text", value);
    }
}

fn boolean<'d>(c: &mut Checker<'d>, value: &'d Value) {
    if !value.is_boolean() {
        c.expected("a boolean", value);
    }
}

fn number<'d>(c: &mut Checker<'d>, value: &'d Value) {
    if !value.is_number() {
        c.expected("a number", value);
    }
}

fn count<'d>(c: &mut Checker<'d>, value: &'d Value) {
    if !value.is_u64() {
        c.expected("an integer that is not negative", value);
    }
}

fn positive<'d>(c: &mut Checker<'d>, value: &'d Value) {
    if value.as_f64().is_none_or(|number| number <= 0.0) {
        c.expected("a number greater than zero", value);
    }
}

/// A reference (RFC 3986, also with characters of other scripts: RFC 3987). URI templates are references too, so braces
/// pass; what no client could make an address of does not.
fn uri<'d>(c: &mut Checker<'d>, value: &'d Value) {
    match value.as_str() {
        None => c.expected("a text", value),
        Some(text)
            if text
                .contains(|ch: char| ch.is_whitespace() || ch.is_control() || "<>\"\\^`|".contains(ch)) =>
        {
            c.wrong("this is no URI: it has white space, a control character or one of `<>\"\\^`|`");
        }
        Some(_) => {}
    }
}

/// An absolute identifier: a scheme, a colon and more.
fn id<'d>(c: &mut Checker<'d>, value: &'d Value) {
    uri(c, value);
    if let Some(text) = value.as_str() {
        let absolute = text.split_once(':').is_some_and(|(scheme, rest)| {
            let plain = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
            plain && scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && !rest.is_empty()
        });
        if !absolute && !c.stands_for_value(value) {
            c.wrong("this is no absolute URI: `urn:uuid:…` would be one");
        }
    }
}

fn date_time<'d>(c: &mut Checker<'d>, value: &'d Value) {
    match value.as_str() {
        None => c.expected("a text", value),
        Some(text) if text.parse::<i3_core::time::Timestamp>().is_ok() || c.stands_for_value(value) => {}
        Some(_) => c.wrong("this is no time of RFC 3339, with date and offset"),
    }
}

fn types<'d>(c: &mut Checker<'d>, value: &'d Value) {
    c.one_or_more(value, 0, |c, value| {
        text(c, value);
        if value.as_str() == Some(THING_MODEL) {
            c.wrong("a Thing Model is no Thing Description: make one of it first");
        }
    });
}

fn model_types<'d>(c: &mut Checker<'d>, value: &'d Value) {
    c.one_or_more(value, 0, text);
    if !super::texts(Some(value)).any(|kind| kind == THING_MODEL) {
        c.wrong(format_args!("`{THING_MODEL}` is expected"));
    }
}

/// Types of anything but the thing itself.
fn plain_types<'d>(c: &mut Checker<'d>, value: &'d Value) {
    c.one_or_more(value, 0, text);
}

/// Titles and descriptions, in the default language and in several.
fn words<'d>(c: &mut Checker<'d>, object: &'d Object) {
    c.members(object, &["title", "description"], text);
    c.members(object, &["titles", "descriptions"], |c, value| c.each_member(value, text));
}

/// A description says which instance it is of; a model is of none.
fn version<'d>(c: &mut Checker<'d>, value: &'d Value) {
    let Some(version) = c.object(value) else { return };
    match (c.model, version.contains_key("instance")) {
        (false, false) => c.wrong("`instance` is required"),
        (true, true) => c.wrong("a model has no `instance`"),
        _ => {}
    }
    c.members(version, &["instance", "model"], text);
}

/// An object with at least one member.
fn not_empty<'d>(c: &mut Checker<'d>, value: &'d Value, rule: super::check::Rule<'d>) {
    if value.as_object().is_some_and(Map::is_empty) {
        c.wrong("at least one member is expected");
    }
    c.each_member(value, rule);
}

/// What properties, actions and events have in common.
fn affordance<'d>(c: &mut Checker<'d>, affordance: &'d Object) {
    if !c.model {
        c.required(affordance, "forms");
    }
    c.member(affordance, "@type", plain_types);
    words(c, affordance);
    c.member(affordance, "uriVariables", |c, value| c.each_member(value, data_schema));
}

fn property<'d>(c: &mut Checker<'d>, value: &'d Value) {
    let Some(property) = c.object(value) else { return };
    affordance(c, property);
    data_schema_members(c, property);
    c.member(property, "observable", boolean);
    c.member(property, "forms", |c, value| {
        c.each_item(value, 1, |c, form| self::form(c, form, operations_of(0)));
    });
}

fn action<'d>(c: &mut Checker<'d>, value: &'d Value) {
    let Some(action) = c.object(value) else { return };
    affordance(c, action);
    c.members(action, &["input", "output"], data_schema);
    c.members(action, &["safe", "idempotent", "synchronous"], boolean);
    c.member(action, "forms", |c, value| {
        c.each_item(value, 1, |c, form| self::form(c, form, operations_of(1)));
    });
}

fn event<'d>(c: &mut Checker<'d>, value: &'d Value) {
    let Some(event) = c.object(value) else { return };
    affordance(c, event);
    c.members(event, &["subscription", "data", "dataResponse", "cancellation"], data_schema);
    c.member(event, "forms", |c, value| {
        c.each_item(value, 1, |c, form| self::form(c, form, operations_of(2)));
    });
}

fn operations_of(place: usize) -> &'static [&'static str] {
    AFFORDANCES.get(place).map_or(&[], |(_, operations)| operations)
}

fn root_form<'d>(c: &mut Checker<'d>, value: &'d Value) {
    if let Some(form) = value.as_object().filter(|_| !c.model) {
        c.required(form, "op");
    }
    form(c, value, ROOT_OPERATIONS);
}

fn form<'d>(c: &mut Checker<'d>, value: &'d Value, operations: &'static [&'static str]) {
    let Some(form) = c.object(value) else { return };
    if !c.model {
        c.required(form, "href");
    }
    if let Some(operation) = form.get("op") {
        let several = operation.as_array();
        for one in several.into_iter().flatten().chain(several.is_none().then_some(operation)) {
            if one.as_str().is_none_or(|text| !operations.contains(&text)) && !c.stands_for_value(one) {
                let found = one.as_str().map_or_else(|| one.to_string(), ToOwned::to_owned);
                c.wrong(format_args!("op: `{found}` is not one of: {}", operations.join(", ")));
            }
        }
    }
    c.member(form, "href", uri);
    c.members(form, &["contentType", "contentCoding", "subprotocol"], text);
    c.member(form, "security", security);
    c.member(form, "scopes", |c, value| c.one_or_more(value, 0, text));
    c.member(form, "response", |c, value| {
        if let Some(response) = c.object(value) {
            c.member(response, "contentType", text);
        }
    });
    c.member(form, "additionalResponses", |c, value| {
        c.each_item(value, 0, |c, value| {
            let Some(response) = c.object(value) else { return };
            c.member(response, "contentType", text);
            c.member(response, "success", boolean);
            c.member(response, "schema", |c, value| match value.as_str() {
                Some(name) if c.schemas.contains(&name) || c.stands_for_value(value) => {}
                Some(name) => c.wrong(format_args!("`schemaDefinitions` has no `{name}`")),
                None => c.expected("a text", value),
            });
        });
    });
}

fn links<'d>(c: &mut Checker<'d>, value: &'d Value) {
    c.each_item(value, 0, |c, value| {
        let Some(link) = c.object(value) else { return };
        c.required(link, "href");
        c.members(link, &["href", "anchor"], uri);
        c.members(link, &["type", "rel"], text);
        c.member(link, "hreflang", |c, value| c.one_or_more(value, 0, language));
        let relation = link.get("rel").and_then(Value::as_str);
        if relation == Some("tm:extends") && !c.model {
            c.wrong("only models extend others: an instance links to its model with `type`");
        }
        match (link.get("sizes"), relation) {
            (Some(sizes), Some("icon")) => {
                let pixels = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
                let good = |text: &str| text.split_once('x').is_some_and(|(w, h)| pixels(w) && pixels(h));
                if !sizes.as_str().is_some_and(|text| text.split(' ').all(good)) && !c.stands_for_value(sizes)
                {
                    c.wrong("sizes: `16x16` would be good");
                }
            }
            (Some(_), _) => c.wrong("only icons have `sizes`"),
            (None, _) => {}
        }
    });
    let relations = value.as_array().into_iter().flatten().filter_map(|link| link.get("rel"));
    if relations.filter(|relation| relation.as_str() == Some("type")).count() > 1 {
        c.wrong("an instance has at most one link `type`: it is of one model");
    }
}

/// A language tag (BCP 47): subtags of letters and digits.
fn language<'d>(c: &mut Checker<'d>, value: &'d Value) {
    let good = |tag: &str| {
        tag.split('-')
            .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
    };
    match value.as_str() {
        Some(tag) if good(tag) || c.stands_for_value(value) => {}
        Some(_) => c.wrong("this is no language tag"),
        None => c.expected("a text", value),
    }
}

/// Names of security definitions.
fn security<'d>(c: &mut Checker<'d>, value: &'d Value) {
    c.one_or_more(value, 1, security_name);
}

fn security_name<'d>(c: &mut Checker<'d>, value: &'d Value) {
    match value.as_str() {
        // What a model extends may have them.
        Some(name) if c.model || c.security.contains(&name) => {}
        Some(name) => c.wrong(format_args!("`securityDefinitions` has no `{name}`")),
        None => c.expected("a text", value),
    }
}

const PLACES: &[&str] = &["header", "query", "body", "cookie", "auto"];
const PLACES_OF_KEYS: &[&str] = &["header", "query", "body", "cookie", "uri", "auto"];

fn security_scheme<'d>(c: &mut Checker<'d>, value: &'d Value) {
    let Some(scheme) = c.object(value) else { return };
    c.required(scheme, "scheme");
    c.member(scheme, "@type", plain_types);
    c.member(scheme, "description", text);
    c.member(scheme, "descriptions", |c, value| c.each_member(value, text));
    c.member(scheme, "proxy", uri);
    c.member(scheme, "scheme", |c, value| {
        const KNOWN: &[&str] =
            &["nosec", "auto", "combo", "basic", "digest", "apikey", "bearer", "psk", "oauth2"];
        // Others come from a context of their own, so they have its prefix.
        let extension = |text: &str| text.split_once(':').is_some_and(|(prefix, _)| !prefix.is_empty());
        if !value.as_str().is_some_and(extension) {
            c.one_of(value, KNOWN);
        }
    });
    match scheme.get("scheme").and_then(Value::as_str) {
        Some("auto") if scheme.contains_key("name") => c.wrong("`auto` has no `name`"),
        Some("combo") => combo(c, scheme),
        Some("apikey") => {
            c.member(scheme, "in", |c, value| c.one_of(value, PLACES_OF_KEYS));
            c.member(scheme, "name", text);
        }
        Some(kind @ ("basic" | "digest" | "bearer")) => {
            c.member(scheme, "in", |c, value| c.one_of(value, PLACES));
            c.member(scheme, "name", text);
            if kind == "digest" {
                c.member(scheme, "qop", |c, value| c.one_of(value, &["auth", "auth-int"]));
            }
            if kind == "bearer" {
                c.members(scheme, &["alg", "format"], text);
                c.member(scheme, "authorization", uri);
            }
        }
        Some("psk") => c.member(scheme, "identity", text),
        Some("oauth2") => {
            c.members(scheme, &["authorization", "token", "refresh"], uri);
            c.member(scheme, "scopes", |c, value| c.one_or_more(value, 0, text));
            c.member(scheme, "flow", text);
        }
        _ => {}
    }
}

fn combo<'d>(c: &mut Checker<'d>, scheme: &'d Object) {
    if scheme.contains_key("oneOf") == scheme.contains_key("allOf") {
        c.wrong("either `oneOf` or `allOf` is expected");
    }
    c.members(scheme, &["oneOf", "allOf"], |c, value| c.each_item(value, 2, security_name));
}

fn data_schema<'d>(c: &mut Checker<'d>, value: &'d Value) {
    let Some(schema) = c.object(value) else { return };
    c.member(schema, "@type", plain_types);
    words(c, schema);
    data_schema_members(c, schema);
}

fn data_schema_members<'d>(c: &mut Checker<'d>, schema: &'d Object) {
    c.member(schema, "type", |c, value| {
        c.one_of(value, &["boolean", "integer", "number", "string", "object", "array", "null"]);
    });
    c.members(schema, &["writeOnly", "readOnly"], boolean);
    c.members(schema, &["unit", "format", "contentEncoding", "contentMediaType"], text);
    c.members(schema, &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], number);
    c.members(schema, &["minItems", "maxItems", "minLength", "maxLength"], count);
    c.member(schema, "multipleOf", positive);
    c.member(schema, "enum", |c, value| {
        c.each_item(value, 1, |_, _| {});
        let items = value.as_array().map_or(&[][..], Vec::as_slice);
        // Texts are what is compared: a set of values would need an order of them.
        let mut texts: Vec<String> = items.iter().map(Value::to_string).collect();
        texts.sort_unstable();
        texts.dedup();
        if texts.len() < items.len() {
            c.wrong("a value is there twice");
        }
    });
    c.member(schema, "oneOf", |c, value| c.each_item(value, 0, data_schema));
    c.member(schema, "items", |c, value| c.one_or_more(value, 0, data_schema));
    c.member(schema, "properties", |c, value| c.each_member(value, data_schema));
    c.member(schema, "required", |c, value| c.each_item(value, 0, text));
}

/// A part of a model that an instance may leave out: a JSON Pointer (RFC 6901) to one affordance.
fn optional_part<'d>(c: &mut Checker<'d>, value: &'d Value) {
    match value.as_str() {
        Some(pointer) => {
            let parts: Vec<&str> = pointer.split('/').collect();
            let good = matches!(parts.as_slice(), ["", "properties" | "actions" | "events", name] if !name.is_empty());
            if !good {
                c.wrong("`/properties/…`, `/actions/…` or `/events/…` with one name is expected");
            }
        }
        None => c.expected("a text", value),
    }
}
