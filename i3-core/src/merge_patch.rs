//! JSON Merge Patch (RFC 7396).

use serde_json::{Map, Value};

/// Applies a patch (RFC 7396, section 2). As deep as the patch, and so as what was read as JSON: 128 levels.
pub(crate) fn apply(target: &mut Value, patch: &Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, value) in patch {
        match value {
            Value::Null => {
                members.remove(name);
            }
            Value::Object(inner) => apply(members.entry(name.as_str()).or_insert(Value::Null), inner),
            plain => {
                members.insert(name.clone(), plain.clone());
            }
        }
    }
}
