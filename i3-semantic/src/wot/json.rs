//! JSON documents from strangers: read strictly, within limits.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The longest document, in bytes of its text. What is stored of it, with what is stored beside it, fits a record.
pub const MAX_BYTES: usize = 40 * 1024;
/// How deeply arrays and objects may be nested.
pub const MAX_DEPTH: usize = 32;

/// A text that is not taken for a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidJson {
    /// It is too long.
    #[error("the document has {bytes} bytes; at most {MAX_BYTES} are allowed")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// Its arrays and objects are nested too deeply.
    #[error("the document is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// It is no JSON (RFC 8259), or an object in it has a name twice (RFC 7493, section 2.3): one of the two values
    /// would be lost.
    #[error("not JSON: {0}")]
    Syntax(String),
}

/// Reads a document.
///
/// Numbers are those of RFC 8259, section 6: integers of 64 bits and IEEE 754 doubles.
pub fn read(text: &str) -> Result<Value, InvalidJson> {
    if text.len() > MAX_BYTES {
        return Err(InvalidJson::TooLong { bytes: text.len() });
    }
    if depth(text) > MAX_DEPTH {
        return Err(InvalidJson::TooDeep);
    }
    let syntax = |error: serde_json::Error| InvalidJson::Syntax(error.to_string());
    let mut source = serde_json::Deserializer::from_str(text);
    let value = Strict.deserialize(&mut source).map_err(syntax)?;
    source.end().map_err(syntax)?;
    Ok(value)
}

/// How deeply brackets are nested outside of strings, before anything is built of them.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Reads any value, but no object with a name twice.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Self)?;
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!("the name `{name}` is there twice in one object")));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

/// What a value is, in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
pub(crate) use tests::any_value;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_name_that_is_there_twice_is_refused() {
        let refused = read(r#"{"a": {"b": 1, "b": 2}}"#).unwrap_err();
        assert!(refused.to_string().contains("`b` is there twice"), "{refused}");
    }

    #[test]
    fn lone_surrogates_trailing_text_and_endless_numbers_are_refused() {
        for bad in [r#""\ud800""#, "{} {}", "1e999", "{", "", "nul", "\u{feff}{}"] {
            assert!(matches!(read(bad), Err(InvalidJson::Syntax(_))), "{bad}");
        }
    }

    #[test]
    fn depth_is_counted_outside_of_strings() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(read(&nested(MAX_DEPTH + 1)), Err(InvalidJson::TooDeep));
        assert_eq!(read(&"[".repeat(30_000)), Err(InvalidJson::TooDeep));
        let text = json!({ "a\"": "[".repeat(1_000) }).to_string();
        assert!(read(&text).is_ok());
    }

    #[test]
    fn a_document_that_is_too_long_is_refused() {
        let text = format!("\"{}\"", "a".repeat(MAX_BYTES));
        assert_eq!(read(&text), Err(InvalidJson::TooLong { bytes: MAX_BYTES + 2 }));
    }

    /// Any JSON value, a few levels deep.
    pub(crate) fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\\\é]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c]{1,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(value in any_value()) {
            prop_assert_eq!(read(&value.to_string()).unwrap(), value);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            let _ = read(&text);
        }
    }
}
