//! Thing Descriptions, version 1.1 (W3C Recommendation, 5 December 2023): what makes a document one.

mod check;
mod rules;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use check::ValidationError;
pub(crate) use check::placeholder_in;

/// The context of version 1.1, which says what the terms of a description mean.
pub const CONTEXT: &str = "https://www.w3.org/2022/wot/td/v1.1";
/// The context of version 1.0.
pub const CONTEXT_1_0: &str = "https://www.w3.org/2019/wot/td/v1";
/// The type that makes a description a Thing Model.
pub const THING_MODEL: &str = "tm:ThingModel";

/// The kinds of interaction affordances, with the operations that a form of each may have; the first ones are those
/// that a form without `op` has (TD 1.1, sections 5.3.4.2 and 5.4).
pub const AFFORDANCES: [(&str, &[&str]); 3] = [
    ("properties", &["readproperty", "writeproperty", "observeproperty", "unobserveproperty"]),
    ("actions", &["invokeaction", "queryaction", "cancelaction"]),
    ("events", &["subscribeevent", "unsubscribeevent"]),
];

/// Refuses what is no Thing Description: what the JSON Schema of version 1.1 would refuse, and names of security
/// definitions that are not there. At most [`ValidationError::MOST`] errors are told.
///
/// Terms that the specification does not have are not looked at. Documents of version 1.0 pass by the same rules.
pub fn validate(document: &Value) -> Result<(), Vec<ValidationError>> {
    check::run(document, false)
}

/// As [`validate`], for Thing Models (TD 1.1, section 9): parts that an instance has to have may be missing, and a
/// placeholder may stand for any value.
pub fn validate_model(document: &Value) -> Result<(), Vec<ValidationError>> {
    check::run(document, true)
}

/// Whether a document says that it is a Thing Model.
pub fn is_model(document: &Value) -> bool {
    types(document).any(|kind| kind == THING_MODEL)
}

/// The `@type`s of a description or of a part of it.
pub fn types(part: &Value) -> impl Iterator<Item = &str> {
    texts(part.get("@type"))
}

/// The operations of a form: what it says, or what forms of its kind have if they say nothing
/// (TD 1.1, section 5.4). A property's default depends on whether it is read-only or write-only.
pub fn operations<'a>(kind: &str, affordance: &'a Value, form: &'a Value) -> Vec<&'a str> {
    if form.get("op").is_some() {
        return texts(form.get("op")).collect();
    }
    let is = |member: &str| affordance.get(member).and_then(Value::as_bool).unwrap_or(false);
    match kind {
        "properties" if is("readOnly") => vec!["readproperty"],
        "properties" if is("writeOnly") => vec!["writeproperty"],
        "properties" => vec!["readproperty", "writeproperty"],
        "actions" => vec!["invokeaction"],
        "events" => vec!["subscribeevent", "unsubscribeevent"],
        _ => Vec::new(),
    }
}

/// A text, or an array of texts.
pub(crate) fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let one = value.and_then(Value::as_str);
    let many = value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(many)
}
