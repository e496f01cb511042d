//! Which JSON Schemas a product may declare.
//!
//! This crate has no validator. It checks what needs none and what validators do not: how much work a schema can make.
//! Whether the text is a schema at all is asked of a [`SchemaCheck`], where the marketplace was given one.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// The longest text, in bytes.
pub const MAX_SCHEMA_BYTES: usize = 16 * 1_024;

/// The most places (objects and lists) that a schema may have after its references are followed.
pub const MAX_SCHEMA_PLACES: u64 = 1_024;

/// Says whether a text is a JSON Schema that messages can be checked against.
///
/// The answer may be asked for several times while one command is decided, and is not asked for in a replay.
pub trait SchemaCheck: fmt::Debug + Send + Sync + 'static {
    /// Nothing, or what is wrong, for people.
    fn check(&self, schema: &str) -> Result<(), String>;
}

/// Why a text is no schema for a product.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSchema {
    /// It is too long.
    #[error("at most {MAX_SCHEMA_BYTES} bytes are expected")]
    TooLong,
    /// It is no JSON, or none that is a schema.
    #[error("a JSON object is expected: {0}")]
    NotJson(String),
    /// It says something in another document, or has a keyword that could.
    #[error("`{0}` is not taken: only `$ref` with a pointer into the schema itself (`#/…`) is")]
    Foreign(String),
    /// A reference that leads nowhere.
    #[error("`{0}` leads to nothing in the schema")]
    Dangling(String),
    /// It refers to itself, or its references multiply beyond measure.
    #[error("its references lead back to themselves or to more than {MAX_SCHEMA_PLACES} places")]
    Unbounded,
}

/// Checks all that can be checked without a validator. A schema is an object of at most [`MAX_SCHEMA_BYTES`] bytes.
///
/// References are pointers within it (`"$ref": "#/$defs/point"`) that form no circle, and lead to at most
/// [`MAX_SCHEMA_PLACES`] places when all are followed. So what a check of one message costs is bounded, though sellers
/// write the schemas: validators follow references anew each time, and a few lines can double the work with
/// each line.
pub fn check_schema(text: &str) -> Result<(), InvalidSchema> {
    if text.len() > MAX_SCHEMA_BYTES {
        return Err(InvalidSchema::TooLong);
    }
    let schema: Value =
        serde_json::from_str(text).map_err(|error| InvalidSchema::NotJson(error.to_string()))?;
    let Value::Object(members) = &schema else {
        return Err(InvalidSchema::NotJson("it is something else".to_owned()));
    };
    // Draft 4 has names of another spelling, which are not looked for here.
    let old = |dialect: &str| dialect.contains("draft-03") || dialect.contains("draft-04");
    if members.get("$schema").and_then(Value::as_str).is_some_and(old) {
        return Err(InvalidSchema::Foreign("$schema".to_owned()));
    }
    Walk { schema: &schema, known: BTreeMap::new() }.places(&schema)?;
    Ok(())
}

/// Keywords by which a schema could mean something other than its text: other bases, names and dynamic targets.
const FOREIGN: [&str; 7] =
    ["$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$vocabulary"];

struct Walk<'a> {
    schema: &'a Value,
    /// The places behind each pointer; `None` while it is being followed.
    known: BTreeMap<&'a str, Option<u64>>,
}

impl<'a> Walk<'a> {
    /// How many places there are in this one. What looks like a reference counts as one wherever it stands.
    fn places(&mut self, place: &'a Value) -> Result<u64, InvalidSchema> {
        let mut sum = 1_u64;
        match place {
            Value::Array(items) => {
                for item in items {
                    sum = sum.saturating_add(self.places(item)?);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    sum = sum.saturating_add(match member {
                        Value::String(target) if name == "$ref" => self.behind(target)?,
                        // A property may be called so: then what it holds is an object.
                        // At the top the schema's own name changes nothing.
                        Value::String(_) if name == "$id" && std::ptr::eq(place, self.schema) => 1,
                        Value::String(_) | Value::Bool(_) if FOREIGN.contains(&name.as_str()) => {
                            return Err(InvalidSchema::Foreign(name.clone()));
                        }
                        Value::Object(_) if name == "$vocabulary" => {
                            return Err(InvalidSchema::Foreign(name.clone()));
                        }
                        member => self.places(member)?,
                    });
                }
            }
            _ => {}
        }
        if sum > MAX_SCHEMA_PLACES { Err(InvalidSchema::Unbounded) } else { Ok(sum) }
    }

    fn behind(&mut self, target: &'a str) -> Result<u64, InvalidSchema> {
        match self.known.get(target) {
            Some(Some(places)) => return Ok(*places),
            Some(None) => return Err(InvalidSchema::Unbounded),
            None => {}
        }
        let Some(pointer) = target.strip_prefix('#').filter(|pointer| pointer.starts_with('/')) else {
            // `#` alone is the schema itself, and so a circle.
            return Err(if target == "#" {
                InvalidSchema::Unbounded
            } else {
                InvalidSchema::Foreign(target.to_owned())
            });
        };
        // A URI fragment may be written with `%`; nobody needs that here, and two spellings would hide a circle.
        let found = if pointer.contains('%') { None } else { self.schema.pointer(pointer) };
        let found = found.ok_or_else(|| InvalidSchema::Dangling(target.to_owned()))?;
        self.known.insert(target, None);
        let places = self.places(found)?;
        self.known.insert(target, Some(places));
        Ok(places)
    }
}
