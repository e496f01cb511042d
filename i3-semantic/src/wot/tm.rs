//! Thing Models (TD 1.1, section 9): descriptions to be completed, and the instances made of them.
//!
//! A model has placeholders where its instances differ, typically in the address; it may extend another model and take
//! parts over from others. Models that a model names are asked of the caller: nothing is fetched.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::patch::merge;
use super::td::{self, THING_MODEL, ValidationError, placeholder_in};

/// How many models may stand behind one, through extension and references together.
pub const MAX_MODELS: usize = 16;

/// Why no instance can be made of a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The document is no Thing Model.
    #[error("this is no valid Thing Model")]
    Invalid(Vec<ValidationError>),
    /// Nothing is given for a placeholder.
    #[error("nothing is given for the placeholder `{0}`")]
    Unbound(String),
    /// What is given for no placeholder: probably misspelt.
    #[error("the model has no placeholder `{0}`")]
    Unknown(String),
    /// Something that is no text, number or boolean stands within a longer text.
    #[error("the placeholder `{0}` stands within a text: only a text, number or boolean can take its place")]
    NotText(String),
    /// A model that is named is not at hand.
    #[error("the model `{0}` is not known here, and nothing is fetched")]
    NotAtHand(String),
    /// A reference leads nowhere.
    #[error("the reference `{0}` leads nowhere")]
    Dangling(String),
    /// Models extend or refer to each other in a circle, or stand on too many others.
    #[error("the model stands on more than {MAX_MODELS} others, or on itself")]
    TooMany,
    /// A part cannot be left out, as the model does not say that it is optional.
    #[error("the model does not say that `{0}` is optional")]
    NotOptional(String),
    /// What came out is no Thing Description.
    #[error("what the model and the completions give is no valid Thing Description")]
    Incomplete(Vec<ValidationError>),
}

/// What an instance has beside its model.
#[derive(Debug, Clone, Default)]
pub struct Instance<'a> {
    /// Where the model is: the instance links to it.
    pub model: Option<&'a str>,
    /// What stands for each placeholder.
    pub bindings: BTreeMap<String, Value>,
    /// The optional affordances that this instance has not, as JSON Pointers.
    pub left_out: Vec<String>,
    /// What is said in addition, as a merge patch: `id`, security, forms.
    pub completion: Option<&'a Value>,
}

/// The names of a model's placeholders, each once.
pub fn placeholders(model: &Value) -> Vec<String> {
    fn collect(value: &Value, names: &mut Vec<String>) {
        match value {
            Value::String(text) => {
                let mut rest = text.as_str();
                while let Some(name) = placeholder_in(rest) {
                    names.push(name.to_owned());
                    rest = rest.split_once("}}").map_or("", |(_, after)| after);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
            Value::Object(members) => members.values().for_each(|member| collect(member, names)),
            _ => {}
        }
    }
    let mut names = Vec::new();
    collect(model, &mut names);
    names.sort_unstable();
    names.dedup();
    names
}

/// Puts values where placeholders are: a text that is nothing but one placeholder becomes the value, of whatever type;
/// within a longer text the value's text takes its place (TD 1.1, section 9.3.4). What is put in is not looked
/// through again.
pub fn substitute(value: &mut Value, bindings: &BTreeMap<String, Value>) -> Result<(), ModelError> {
    match value {
        Value::String(text) => {
            if let Some(replaced) = substituted(text, bindings)? {
                *value = replaced;
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| substitute(item, bindings)),
        Value::Object(members) => members.values_mut().try_for_each(|member| substitute(member, bindings)),
        _ => Ok(()),
    }
}

fn substituted(text: &str, bindings: &BTreeMap<String, Value>) -> Result<Option<Value>, ModelError> {
    let bound = |name: &str| bindings.get(name).ok_or_else(|| ModelError::Unbound(name.to_owned()));
    let mut done = String::new();
    let mut rest = text;
    while let Some(name) = placeholder_in(rest) {
        let (Some((before, _)), Some((_, after))) = (rest.split_once("{{"), rest.split_once("}}")) else {
            break;
        };
        if done.is_empty() && before.is_empty() && after.is_empty() {
            return bound(name).cloned().map(Some);
        }
        done.push_str(before);
        match bound(name)? {
            Value::String(text) => done.push_str(text),
            plain @ (Value::Number(_) | Value::Bool(_)) => done.push_str(&plain.to_string()),
            _ => return Err(ModelError::NotText(name.to_owned())),
        }
        rest = after;
    }
    if done.is_empty() && rest.len() == text.len() {
        return Ok(None);
    }
    done.push_str(rest);
    Ok(Some(Value::String(done)))
}

/// Makes an instance of a model. `at_hand` gives the models that it names, by their addresses.
pub fn instantiate(
    model: &Value,
    instance: &Instance<'_>,
    at_hand: &dyn Fn(&str) -> Option<Value>,
) -> Result<Value, ModelError> {
    let mut source = Source { at_hand, left: MAX_MODELS };
    let mut thing = source.flat(model)?;
    for pointer in &instance.left_out {
        leave_out(&mut thing, pointer)?;
    }
    let names = placeholders(&thing);
    if let Some(unknown) = instance.bindings.keys().find(|name| !names.contains(name)) {
        return Err(ModelError::Unknown(unknown.clone()));
    }
    substitute(&mut thing, &instance.bindings)?;
    settle(&mut thing, instance.model);
    if let Some(completion) = instance.completion {
        merge(&mut thing, completion);
    }
    td::validate(&thing).map_err(ModelError::Incomplete)?;
    Ok(thing)
}

/// Where models come from, and how many more may.
struct Source<'a> {
    at_hand: &'a dyn Fn(&str) -> Option<Value>,
    left: usize,
}

impl Source<'_> {
    fn fetch(&mut self, address: &str) -> Result<Value, ModelError> {
        self.left = self.left.checked_sub(1).ok_or(ModelError::TooMany)?;
        (self.at_hand)(address).ok_or_else(|| ModelError::NotAtHand(address.to_owned()))
    }

    /// The model with all that it extends and refers to.
    fn flat(&mut self, model: &Value) -> Result<Value, ModelError> {
        td::validate_model(model).map_err(ModelError::Invalid)?;
        let links = model.get("links").and_then(Value::as_array).into_iter().flatten();
        let bases = links.filter(|link| link.get("rel").and_then(Value::as_str) == Some("tm:extends"));
        let mut whole = Value::Object(Map::new());
        for base in bases {
            let address = base.get("href").and_then(Value::as_str).unwrap_or_default();
            let base = self.fetch(address)?;
            let base = self.flat(&base)?;
            merge(&mut whole, &base);
        }
        let mut own = model.clone();
        self.resolve(&mut own, model)?;
        merge(&mut whole, &own);
        Ok(whole)
    }

    /// Replaces each `tm:ref` by what it refers to; what stands beside it overwrites that
    /// (TD 1.1, section 9.3.3).
    fn resolve(&mut self, part: &mut Value, whole: &Value) -> Result<(), ModelError> {
        if let Value::Object(members) = part
            && let Some(reference) = members.remove("tm:ref")
        {
            let reference = reference.as_str().unwrap_or_default().to_owned();
            let mut referred = self.referred(&reference, whole)?;
            merge(&mut referred, part);
            *part = referred;
        }
        match part {
            Value::Object(members) => members.values_mut().try_for_each(|member| self.resolve(member, whole)),
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.resolve(item, whole)),
            _ => Ok(()),
        }
    }

    fn referred(&mut self, reference: &str, whole: &Value) -> Result<Value, ModelError> {
        let dangling = || ModelError::Dangling(reference.to_owned());
        let (address, pointer) = reference.split_once('#').ok_or_else(dangling)?;
        let other;
        let document = if address.is_empty() {
            self.left = self.left.checked_sub(1).ok_or(ModelError::TooMany)?;
            whole
        } else {
            other = self.fetch(address)?;
            &other
        };
        let mut found = document.pointer(pointer).cloned().ok_or_else(dangling)?;
        self.resolve(&mut found, document)?;
        Ok(found)
    }
}

fn leave_out(thing: &mut Value, pointer: &str) -> Result<(), ModelError> {
    let optional = td::texts(thing.get("tm:optional")).any(|part| part == pointer);
    let path = pointer.strip_prefix('/').and_then(|path| path.split_once('/'));
    let (true, Some((kind, name))) = (optional, path) else {
        return Err(ModelError::NotOptional(pointer.to_owned()));
    };
    let name = name.replace("~1", "/").replace("~0", "~");
    if let Some(affordances) = thing.get_mut(kind).and_then(Value::as_object_mut) {
        affordances.remove(&name);
    }
    Ok(())
}

/// What makes a model a model goes; a link to it comes.
fn settle(thing: &mut Value, model: Option<&str>) {
    let Some(members) = thing.as_object_mut() else { return };
    members.remove("tm:optional");
    let kinds: Vec<Value> = td::texts(members.get("@type"))
        .filter(|kind| *kind != THING_MODEL)
        .map(|kind| Value::String(kind.to_owned()))
        .collect();
    if kinds.is_empty() {
        members.remove("@type");
    } else {
        members.insert("@type".to_owned(), Value::Array(kinds));
    }
    // The version of the model stays; the one of the instance comes with its completion.
    let model_version = members.get("version").and_then(|version| version.get("model")).cloned();
    if let Some(version) = model_version {
        members.insert("version".to_owned(), json!({ "model": version.clone(), "instance": version }));
    }
    let mut links: Vec<Value> = match members.remove("links") {
        Some(Value::Array(links)) => links,
        _ => Vec::new(),
    };
    links.retain(|link| !matches!(link.get("rel").and_then(Value::as_str), Some("tm:extends" | "type")));
    if let Some(model) = model {
        links.push(json!({ "rel": "type", "href": model, "type": "application/tm+json" }));
    }
    if !links.is_empty() {
        members.insert("links".to_owned(), Value::Array(links));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wot::td::CONTEXT;

    fn model() -> Value {
        json!({
            "@context": CONTEXT,
            "@type": "tm:ThingModel",
            "title": "Fan {{NAME}}",
            "base": "coap://{{HOST}}:{{PORT}}/",
            "version": { "model": "2.0.0" },
            "tm:optional": ["/actions/swing"],
            "securityDefinitions": { "none": { "scheme": "nosec" } },
            "security": "none",
            "properties": { "speed": { "type": "integer", "maximum": "{{MAX}}", "forms": [{ "href": "speed" }] } },
            "actions": {
                "on": { "forms": [{ "href": "on" }] },
                "swing": { "forms": [{ "href": "swing" }] }
            }
        })
    }

    fn bindings(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    fn all() -> BTreeMap<String, Value> {
        let host = json!("192.0.2.7");
        bindings(&[("NAME", json!("7")), ("HOST", host), ("PORT", json!(5683)), ("MAX", json!(3))])
    }

    fn nothing(_: &str) -> Option<Value> {
        None
    }

    #[test]
    fn an_instance_is_the_model_with_its_placeholders_filled() {
        let completion = json!({ "id": "urn:fan:7" });
        let instance = Instance {
            model: Some("https://example.org/fan.tm.json"),
            bindings: all(),
            left_out: vec!["/actions/swing".to_owned()],
            completion: Some(&completion),
        };
        let thing = instantiate(&model(), &instance, &nothing).unwrap();
        assert_eq!(thing["title"], "Fan 7");
        assert_eq!(thing["base"], "coap://192.0.2.7:5683/");
        assert_eq!(thing["properties"]["speed"]["maximum"], 3);
        assert_eq!(thing["id"], "urn:fan:7");
        assert_eq!(thing["links"][0]["rel"], "type");
        assert!(thing["actions"].get("swing").is_none());
        assert!(thing.get("tm:optional").is_none() && thing.get("@type").is_none());
        assert_eq!(td::validate(&thing), Ok(()));
    }

    #[test]
    fn what_is_missing_or_too_much_is_said() {
        let make = |bindings, left_out: &[&str]| {
            let left_out = left_out.iter().map(ToString::to_string).collect();
            instantiate(&model(), &Instance { bindings, left_out, ..Instance::default() }, &nothing)
        };
        let mut less = all();
        less.remove("HOST");
        assert_eq!(make(less, &[]), Err(ModelError::Unbound("HOST".to_owned())));
        let mut more = all();
        more.insert("HOTS".to_owned(), json!(1));
        assert_eq!(make(more, &[]), Err(ModelError::Unknown("HOTS".to_owned())));
        let mut list = all();
        list.insert("NAME".to_owned(), json!([1]));
        assert_eq!(make(list, &[]), Err(ModelError::NotText("NAME".to_owned())));
        assert_eq!(make(all(), &["/actions/on"]), Err(ModelError::NotOptional("/actions/on".to_owned())));
        let mut bad = all();
        bad.insert("MAX".to_owned(), json!("three"));
        assert!(
            matches!(make(bad, &[]), Err(ModelError::Incomplete(errors)) if errors[0].field.contains("maximum"))
        );
    }

    #[test]
    fn what_is_put_in_is_not_looked_through_again() {
        let mut value = json!("{{A}} {{B}}");
        substitute(&mut value, &bindings(&[("A", json!("{{B}}")), ("B", json!("b"))])).unwrap();
        assert_eq!(value, json!("{{B}} b"));
    }

    #[test]
    fn a_model_extends_another_and_takes_parts_over() {
        let base = json!({
            "@context": CONTEXT,
            "@type": "tm:ThingModel",
            "title": "Base",
            "securityDefinitions": { "none": { "scheme": "nosec" } },
            "security": "none",
            "properties": { "on": { "type": "boolean", "forms": [{ "href": "on" }] } }
        });
        let derived = json!({
            "@context": CONTEXT,
            "@type": "tm:ThingModel",
            "title": "Derived",
            "links": [{ "rel": "tm:extends", "href": "https://example.org/base" }],
            "properties": {
                "off": { "tm:ref": "https://example.org/base#/properties/on", "title": "Off" },
                "again": { "tm:ref": "#/properties/off" }
            }
        });
        let at_hand = |address: &str| (address == "https://example.org/base").then(|| base.clone());
        let thing = instantiate(&derived, &Instance::default(), &at_hand).unwrap();
        assert_eq!(thing["title"], "Derived");
        assert_eq!(thing["properties"]["on"]["type"], "boolean");
        assert_eq!(thing["properties"]["off"]["type"], "boolean");
        assert_eq!(thing["properties"]["again"]["title"], "Off");
        assert!(thing.get("links").is_none());
        let missing = instantiate(&derived, &Instance::default(), &nothing);
        assert_eq!(missing, Err(ModelError::NotAtHand("https://example.org/base".to_owned())));
    }

    #[test]
    fn circles_of_models_and_references_end() {
        let model = |links: Value, properties: Value| json!({ "@context": CONTEXT, "@type": "tm:ThingModel", "links": links, "properties": properties });
        let own = model(json!([{ "rel": "tm:extends", "href": "urn:own" }]), json!({}));
        let at_hand = |_: &str| Some(own.clone());
        assert_eq!(instantiate(&own, &Instance::default(), &at_hand), Err(ModelError::TooMany));
        let circle = model(
            json!([]),
            json!({ "a": { "tm:ref": "#/properties/b" }, "b": { "tm:ref": "#/properties/a" } }),
        );
        assert_eq!(instantiate(&circle, &Instance::default(), &nothing), Err(ModelError::TooMany));
        let nowhere = model(json!([]), json!({ "a": { "tm:ref": "#/nowhere" } }));
        let dangling = instantiate(&nowhere, &Instance::default(), &nothing);
        assert_eq!(dangling, Err(ModelError::Dangling("#/nowhere".to_owned())));
    }

    #[test]
    fn placeholders_are_found_once_each() {
        assert_eq!(placeholders(&model()), ["HOST", "MAX", "NAME", "PORT"]);
        assert_eq!(placeholders(&json!(["{{}}", "{{A", "A}}", "{A}"])), Vec::<String>::new());
    }
}
