//! The parameters of a call: a JSON object or a form.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Reads parameters, as the content type says; JSON if it says nothing. `None` if they make no sense: a
/// parameter that comes twice, too, since two readers may take another one of them.
pub(super) fn read<T: DeserializeOwned>(content_type: Option<&str>, body: &[u8]) -> Option<T> {
    let kind = content_type.unwrap_or("application/json").split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let mut fields = Map::new();
        for (name, value) in form_urlencoded::parse(body) {
            if fields.insert(name.into_owned(), Value::String(value.into_owned())).is_some() {
                return None;
            }
        }
        return serde_json::from_value(Value::Object(fields)).ok();
    }
    serde_json::from_slice(body).ok()
}

/// A small number, which a form has as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(pub(super) u8);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u8),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Two {
        a: String,
        n: Number,
    }

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded; charset=utf-8");

    #[test]
    fn a_form_and_an_object_with_the_same_parameters_are_the_same() {
        let two = Two { a: "x y/ü".to_owned(), n: Number(4) };
        assert_eq!(read(FORM, "a=x+y%2F%C3%BC&n=4&more=1".as_bytes()), Some(two));
        let two = Two { a: "x y/ü".to_owned(), n: Number(4) };
        assert_eq!(read(None, r#"{"n":4,"a":"x y/ü","more":[]}"#.as_bytes()), Some(two));
    }

    #[test]
    fn a_parameter_that_is_missing_or_comes_twice_is_no_request() {
        for form in ["a=x&a=y&n=1", "n=1", "a=x&n=many", "a=x&n=256", ""] {
            assert_eq!(read::<Two>(FORM, form.as_bytes()), None, "{form}");
        }
        for json in [r#"{"a":"x","a":"y","n":1}"#, r#"{"a":"x","n":-1}"#, "[]", "", "\0", r#"{"a":1,"n":1}"#]
        {
            assert_eq!(read::<Two>(Some("application/json"), json.as_bytes()), None, "{json}");
        }
    }
}
