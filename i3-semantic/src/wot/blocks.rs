//! Functional blocks: what the operations of a thing are to those who put services together (paper, section 7).
//!
//! A block is one operation of one interaction affordance, with what goes in, what comes out, and how it is reached in
//! each protocol. Blocks are put together to a [`Microservice`]: rules that carry blocks out when a condition on another
//! block's output holds, as the paper's weather control does (above a temperature the fan goes on).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::td::{self, AFFORDANCES, ValidationError};

/// Which way data go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It gives data: a property that is read or observed, an event.
    Source,
    /// It takes data and acts: a property that is written, an action.
    Sink,
}

/// How a block is reached in one protocol: a form of the description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The protocol: the scheme of the address.
    pub protocol: String,
    /// The address; templates of URIs stay as they are.
    pub href: String,
    /// The media type of what goes over the wire.
    pub content_type: String,
    /// The way of the protocol that is used, `sse` for instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subprotocol: Option<String>,
    /// The names of the security definitions that hold here.
    pub security: Vec<String>,
}

/// One operation of a thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Its name, unique in the thing: `properties/temperature/readproperty`.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// The operation (TD 1.1, section 5.3.4.2).
    pub operation: String,
    /// The data schema of what goes in, if something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// The data schema of what comes out, if something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// How it is reached: at least one.
    pub bindings: Vec<Binding>,
}

/// Why there are no blocks, or no service can be made of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The document is no Thing Description.
    #[error("this is no valid Thing Description")]
    Invalid(Vec<ValidationError>),
    /// An address is relative, and there is no base.
    #[error("`{0}` is a relative address, and the description has no base")]
    Relative(String),
    /// A rule names a thing that the service does not have.
    #[error("the service has no thing `{0}`")]
    NoThing(String),
    /// A rule names a block that the thing does not have.
    #[error("the thing `{thing}` has no block `{block}`")]
    NoBlock {
        /// Which thing.
        thing: String,
        /// Which block.
        block: String,
    },
    /// A block stands where it makes no sense: an action has no value to compare.
    #[error("the block `{0}` gives no data")]
    NoSource(String),
    /// A block that gives data cannot be told to act.
    #[error("the block `{0}` takes nothing and does nothing")]
    NoSink(String),
    /// A value is not what the block's schema says.
    #[error("the block `{block}` expects a value of type {expected}")]
    Type {
        /// Which block.
        block: String,
        /// Of which type.
        expected: String,
    },
    /// Two things or rules have one name, or there are none.
    #[error("{0}")]
    Composition(&'static str),
}

/// The blocks of a description: one for each operation of each affordance, in the order of their names.
///
/// The same description has the same blocks. Operations on all properties at once are no blocks.
pub fn blocks(description: &Value) -> Result<Vec<Block>, BlockError> {
    td::validate(description).map_err(BlockError::Invalid)?;
    let base = description.get("base").and_then(Value::as_str);
    let everywhere = td::texts(description.get("security")).map(ToOwned::to_owned).collect::<Vec<_>>();
    let mut blocks: BTreeMap<String, Block> = BTreeMap::new();
    for (kind, _) in AFFORDANCES {
        let affordances = description.get(kind).and_then(Value::as_object);
        for (name, affordance) in affordances.into_iter().flatten() {
            let forms = affordance.get("forms").and_then(Value::as_array);
            for form in forms.into_iter().flatten() {
                let binding = binding(form, base, &everywhere)?;
                for operation in td::operations(kind, affordance, form) {
                    let block = format!("{kind}/{name}/{operation}");
                    let found = blocks
                        .entry(block.clone())
                        .or_insert_with(|| of_operation(block, operation, kind, affordance));
                    if !found.bindings.contains(&binding) {
                        found.bindings.push(binding.clone());
                    }
                }
            }
        }
    }
    Ok(blocks.into_values().collect())
}

fn binding(form: &Value, base: Option<&str>, everywhere: &[String]) -> Result<Binding, BlockError> {
    let text = |member: &str| form.get(member).and_then(Value::as_str);
    let href = text("href").unwrap_or_default();
    let scheme = |address: &str| {
        let (scheme, _) = address.split_once(':')?;
        let plain = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        (plain && scheme.starts_with(|c: char| c.is_ascii_alphabetic())).then(|| scheme.to_ascii_lowercase())
    };
    let (protocol, href) = match (scheme(href), base) {
        (Some(protocol), _) => (protocol, href.to_owned()),
        (None, Some(base)) => {
            let protocol = scheme(base).ok_or_else(|| BlockError::Relative(base.to_owned()))?;
            (protocol, format!("{}/{}", base.trim_end_matches('/'), href.trim_start_matches('/')))
        }
        (None, None) => return Err(BlockError::Relative(href.to_owned())),
    };
    let own: Vec<String> = td::texts(form.get("security")).map(ToOwned::to_owned).collect();
    Ok(Binding {
        protocol,
        href,
        content_type: text("contentType").unwrap_or("application/json").to_owned(),
        subprotocol: text("subprotocol").map(ToOwned::to_owned),
        security: if own.is_empty() { everywhere.to_vec() } else { own },
    })
}

/// Members of a property that are not of its data schema.
const NO_SCHEMA: [&str; 4] = ["forms", "observable", "uriVariables", "@type"];

fn of_operation(name: String, operation: &str, kind: &str, affordance: &Value) -> Block {
    let part = |member: &str| affordance.get(member).cloned();
    let value = || {
        let mut schema = affordance.clone();
        if let Some(members) = schema.as_object_mut() {
            members.retain(|member, _| !NO_SCHEMA.contains(&member.as_str()));
        }
        Some(schema)
    };
    let (role, input, output) = match (kind, operation) {
        ("properties", "writeproperty") => (Role::Sink, value(), None),
        ("properties", _) => (Role::Source, None, value()),
        ("actions", "invokeaction") => (Role::Sink, part("input"), part("output")),
        ("actions", "queryaction") => (Role::Source, None, part("output")),
        ("actions", _) => (Role::Sink, None, None),
        (_, "subscribeevent") => (Role::Source, part("subscription"), part("data")),
        _ => (Role::Sink, part("cancellation"), None),
    };
    Block { name, role, operation: operation.to_owned(), input, output, bindings: Vec::new() }
}

/// How an output is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// It is greater.
    Above,
    /// It is less.
    Below,
    /// It is the same.
    Equals,
    /// It is another one.
    Differs,
}

/// A block of a thing, by their names in the service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockRef {
    /// The name that the service gives the thing.
    pub thing: String,
    /// The block's name.
    pub block: String,
}

/// When something is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Whose output is looked at.
    pub source: BlockRef,
    /// The member of the output that is compared, as a JSON Pointer; the output itself if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// How it is compared.
    pub is: Comparison,
    /// With what.
    pub value: Value,
}

/// What is to be done when all conditions hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, unique in the service.
    pub name: String,
    /// All of them must hold: at least one.
    pub when: Vec<Condition>,
    /// What is carried out then: at least one.
    pub then: Vec<Step>,
}

/// A block that is carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Which one.
    pub sink: BlockRef,
    /// What goes in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
}

/// A service put together of blocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Microservice {
    /// What people call it.
    pub title: String,
    /// Its things, by the names that the rules use: the ids of their descriptions.
    pub things: BTreeMap<String, String>,
    /// What it does.
    pub rules: Vec<Rule>,
}

/// A service that can be carried out: its rules with the blocks that they name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Composed {
    /// The service as it was said.
    #[serde(flatten)]
    pub service: Microservice,
    /// Every block that a rule names, by thing and name.
    pub blocks: BTreeMap<String, BTreeMap<String, Block>>,
}

/// Puts a service together, with what runs it needs of each block. `described` gives the description of a thing by its id.
pub fn compose(
    service: &Microservice,
    described: &dyn Fn(&str) -> Option<Value>,
) -> Result<Composed, BlockError> {
    if service.rules.is_empty()
        || service.rules.iter().any(|rule| rule.when.is_empty() || rule.then.is_empty())
    {
        return Err(BlockError::Composition(
            "a service has rules, each with something to look at and something to do",
        ));
    }
    let names: BTreeSet<&str> = service.rules.iter().map(|rule| rule.name.as_str()).collect();
    if names.len() != service.rules.len() {
        return Err(BlockError::Composition("two rules have one name"));
    }
    let mut all: BTreeMap<&str, BTreeMap<String, Block>> = BTreeMap::new();
    for (name, id) in &service.things {
        let description = described(id).ok_or_else(|| BlockError::NoThing(id.clone()))?;
        all.insert(
            name,
            blocks(&description)?.into_iter().map(|block| (block.name.clone(), block)).collect(),
        );
    }
    let mut used: BTreeMap<String, BTreeMap<String, Block>> = BTreeMap::new();
    let mut find = |place: &BlockRef| -> Result<Block, BlockError> {
        let thing = all.get(place.thing.as_str()).ok_or_else(|| BlockError::NoThing(place.thing.clone()))?;
        let block = thing
            .get(&place.block)
            .ok_or_else(|| BlockError::NoBlock { thing: place.thing.clone(), block: place.block.clone() })?;
        used.entry(place.thing.clone()).or_default().insert(block.name.clone(), block.clone());
        Ok(block.clone())
    };
    for rule in &service.rules {
        for condition in &rule.when {
            let block = find(&condition.source)?;
            let output = block.output.as_ref().filter(|_| block.role == Role::Source);
            let output = output.ok_or_else(|| BlockError::NoSource(block.name.clone()))?;
            check_value(&block.name, member_of(output, condition.pointer.as_deref()), &condition.value)?;
            if matches!(condition.is, Comparison::Above | Comparison::Below) && !condition.value.is_number() {
                return Err(BlockError::Type { block: block.name, expected: "number".to_owned() });
            }
        }
        for step in &rule.then {
            let block = find(&step.sink)?;
            if block.role != Role::Sink {
                return Err(BlockError::NoSink(block.name));
            }
            match (&block.input, &step.input) {
                (schema, Some(input)) => check_value(&block.name, schema.as_ref(), input)?,
                // A property without a value says nothing.
                (Some(_), None) if block.operation == "writeproperty" => {
                    return Err(BlockError::Type {
                        block: block.name,
                        expected: "its data schema".to_owned(),
                    });
                }
                (_, None) => {}
            }
        }
    }
    Ok(Composed { service: service.clone(), blocks: used })
}

/// The schema of a member of an output, as far as the schema says.
fn member_of<'s>(schema: &'s Value, pointer: Option<&str>) -> Option<&'s Value> {
    let Some(pointer) = pointer.filter(|pointer| !pointer.is_empty()) else { return Some(schema) };
    let mut schema = schema;
    for name in pointer.trim_start_matches('/').split('/') {
        schema = schema.get("properties")?.get(name)?;
    }
    Some(schema)
}

/// Refuses a value of another type than a schema says, if it says one.
fn check_value(block: &str, schema: Option<&Value>, value: &Value) -> Result<(), BlockError> {
    let Some(expected) = schema.and_then(|schema| schema.get("type")).and_then(Value::as_str) else {
        return Ok(());
    };
    let fits = match expected {
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        _ => true,
    };
    if fits {
        Ok(())
    } else {
        Err(BlockError::Type { block: block.to_owned(), expected: expected.to_owned() })
    }
}

impl Composed {
    /// The names of the rules whose conditions hold for these outputs, by thing and block. What is not known yet makes no
    /// condition hold.
    pub fn due(&self, outputs: &BTreeMap<BlockRef, Value>) -> Vec<&str> {
        let holds = |condition: &Condition| {
            let output = outputs.get(&condition.source)?;
            let value = output.pointer(condition.pointer.as_deref().unwrap_or_default())?;
            Some(match condition.is {
                Comparison::Above => value.as_f64()? > condition.value.as_f64()?,
                Comparison::Below => value.as_f64()? < condition.value.as_f64()?,
                Comparison::Equals => *value == condition.value,
                Comparison::Differs => *value != condition.value,
            })
        };
        let rules = self.service.rules.iter();
        rules
            .filter(|rule| rule.when.iter().all(|one| holds(one).unwrap_or(false)))
            .map(|rule| rule.name.as_str())
            .collect()
    }
}

/// The JSON Schema (draft 2020-12) of a [`Microservice`] as it is sent.
pub fn schema() -> Value {
    let place = json!({
        "type": "object",
        "properties": { "thing": { "type": "string" }, "block": { "type": "string" } },
        "required": ["thing", "block"],
        "additionalProperties": false
    });
    let condition = json!({
        "type": "object",
        "properties": {
            "source": { "$ref": "#/$defs/place" },
            "pointer": { "type": "string" },
            "is": { "enum": ["above", "below", "equals", "differs"] },
            "value": {}
        },
        "required": ["source", "is", "value"],
        "additionalProperties": false
    });
    let step = json!({
        "type": "object",
        "properties": { "sink": { "$ref": "#/$defs/place" }, "input": {} },
        "required": ["sink"],
        "additionalProperties": false
    });
    let rule = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string" },
            "when": { "type": "array", "minItems": 1, "items": condition },
            "then": { "type": "array", "minItems": 1, "items": step }
        },
        "required": ["name", "when", "then"],
        "additionalProperties": false
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Microservice",
        "type": "object",
        "properties": {
            "title": { "type": "string" },
            "things": { "type": "object", "additionalProperties": { "type": "string" } },
            "rules": { "type": "array", "minItems": 1, "items": rule }
        },
        "required": ["title", "things", "rules"],
        "additionalProperties": false,
        "$defs": { "place": place }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thing(parts: &Value) -> Value {
        let mut thing = json!({
            "@context": td::CONTEXT,
            "title": "Thing",
            "base": "coap://192.0.2.1/",
            "securityDefinitions": { "none": { "scheme": "nosec" }, "key": { "scheme": "apikey" } },
            "security": "none"
        });
        crate::wot::patch::merge(&mut thing, parts);
        thing
    }

    fn sensor() -> Value {
        let forms = json!([{ "href": "t" }, { "href": "mqtt://b.example.org/t", "op": "observeproperty", "security": "key" }]);
        thing(&json!({ "properties": {
            "temperature": { "type": "number", "unit": "ucum:Cel", "readOnly": true, "forms": forms }
        }}))
    }

    fn fan() -> Value {
        thing(&json!({
            "properties": { "speed": { "type": "integer", "forms": [{ "href": "speed" }] } },
            "actions": { "FanOn": { "forms": [{ "href": "on" }, { "href": "http://192.0.2.1/on" }] } }
        }))
    }

    fn described(id: &str) -> Option<Value> {
        match id {
            "urn:sensor" => Some(sensor()),
            "urn:fan" => Some(fan()),
            _ => None,
        }
    }

    fn place(thing: &str, block: &str) -> BlockRef {
        BlockRef { thing: thing.to_owned(), block: block.to_owned() }
    }

    /// The paper's weather control.
    fn weather() -> Microservice {
        serde_json::from_value(json!({
            "title": "Weather control",
            "things": { "room": "urn:sensor", "fan": "urn:fan" },
            "rules": [{
                "name": "cool",
                "when": [{
                    "source": { "thing": "room", "block": "properties/temperature/readproperty" },
                    "is": "above",
                    "value": 28
                }],
                "then": [{ "sink": { "thing": "fan", "block": "actions/FanOn/invokeaction" } }]
            }]
        }))
        .unwrap()
    }

    #[test]
    fn there_is_one_block_for_each_operation() {
        let names =
            |thing: &Value| blocks(thing).unwrap().into_iter().map(|block| block.name).collect::<Vec<_>>();
        assert_eq!(
            names(&sensor()),
            ["properties/temperature/observeproperty", "properties/temperature/readproperty"]
        );
        let of_fan =
            ["actions/FanOn/invokeaction", "properties/speed/readproperty", "properties/speed/writeproperty"];
        assert_eq!(names(&fan()), of_fan);
    }

    #[test]
    fn a_block_has_a_binding_for_each_protocol_and_its_schemas() {
        let fan = blocks(&fan()).unwrap();
        let protocols: Vec<&str> = fan[0].bindings.iter().map(|binding| binding.protocol.as_str()).collect();
        assert_eq!(
            (protocols, fan[0].bindings[0].href.as_str()),
            (vec!["coap", "http"], "coap://192.0.2.1/on")
        );
        assert_eq!((fan[2].role, &fan[2].input), (Role::Sink, &Some(json!({ "type": "integer" }))));
        let sensor = blocks(&sensor()).unwrap();
        assert_eq!(sensor[0].bindings[0].security, ["key"]);
        assert_eq!(sensor[1].bindings[0].security, ["none"]);
        assert_eq!(sensor[1].output.as_ref().unwrap()["unit"], "ucum:Cel");
    }

    #[test]
    fn above_the_threshold_the_fan_goes_on() {
        let composed = compose(&weather(), &described).unwrap();
        assert_eq!(composed.blocks["fan"]["actions/FanOn/invokeaction"].bindings.len(), 2);
        let at = |degrees: f64| {
            BTreeMap::from([(place("room", "properties/temperature/readproperty"), json!(degrees))])
        };
        assert_eq!(composed.due(&at(28.5)), ["cool"]);
        assert_eq!(composed.due(&at(28.0)), Vec::<&str>::new());
        assert_eq!(composed.due(&BTreeMap::new()), Vec::<&str>::new());
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_reason() {
        let refused = |change: &dyn Fn(&mut Microservice)| {
            let mut service = weather();
            change(&mut service);
            compose(&service, &described).unwrap_err()
        };
        let no_thing = refused(&|service| service.rules[0].when[0].source.thing = "hall".to_owned());
        assert_eq!(no_thing, BlockError::NoThing("hall".to_owned()));
        let unknown = refused(&|service| drop(service.things.insert("x".to_owned(), "urn:x".to_owned())));
        assert_eq!(unknown, BlockError::NoThing("urn:x".to_owned()));
        let no_block =
            refused(&|service| service.rules[0].then[0].sink.block = "actions/Off/invokeaction".to_owned());
        assert!(matches!(no_block, BlockError::NoBlock { .. }));
        let act = place("fan", "actions/FanOn/invokeaction");
        assert!(matches!(
            refused(&|service| service.rules[0].when[0].source = act.clone()),
            BlockError::NoSource(_)
        ));
        let read = place("fan", "properties/speed/readproperty");
        assert!(matches!(
            refused(&|service| service.rules[0].then[0].sink = read.clone()),
            BlockError::NoSink(_)
        ));
        let word = refused(&|service| service.rules[0].when[0].value = json!("hot"));
        assert!(matches!(word, BlockError::Type { .. }));
        let write = place("fan", "properties/speed/writeproperty");
        let nothing = refused(&|service| service.rules[0].then[0].sink = write.clone());
        assert!(matches!(nothing, BlockError::Type { .. }));
        assert!(matches!(refused(&|service| service.rules.clear()), BlockError::Composition(_)));
        let twice = refused(&|service| service.rules.push(service.rules[0].clone()));
        assert!(matches!(twice, BlockError::Composition(_)));
        let relative = thing(&json!({ "base": null, "actions": { "a": { "forms": [{ "href": "a" }] } } }));
        assert_eq!(blocks(&relative), Err(BlockError::Relative("a".to_owned())));
        assert!(matches!(blocks(&json!({})), Err(BlockError::Invalid(_))));
    }

    #[test]
    fn the_documented_schema_is_this_one() {
        let page = include_str!("../../../docs/functional-blocks.md");
        let (_, after) = page.split_once("```json schema\n").unwrap();
        let (text, _) = after.split_once("```").unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), schema());
        let (_, after) = page.split_once("```json example\n").unwrap();
        let (text, _) = after.split_once("```").unwrap();
        assert_eq!(serde_json::from_str::<Microservice>(text).unwrap(), weather());
    }
}
