//! What an object has and can do: data attributes and methods.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::{Prose, Term};

/// The type of a value: the data schemas of a W3C Thing Description (TD 1.1, 5.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DataType {
    /// True or false.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A text.
    String,
    /// Named values.
    Object,
    /// A list of values.
    Array,
}

impl DataType {
    /// As texts have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Object => "object",
            Self::Array => "array",
        }
    }
}

/// What a value is measured in. In text `ucum:Cel`, `qudt:DEG_C`, or anything else as people write it: `°C`.
///
/// The form is checked, not whether the vocabulary has such a unit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// A code of UCUM, case-sensitive: visible ASCII.
    Ucum(String),
    /// The local name of a unit of QUDT, `http://qudt.org/vocab/unit/{name}`: letters, digits, hyphens, underscores.
    Qudt(String),
    /// Words.
    Text(Term),
}

/// A text that is no [`Unit`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a unit: `ucum:Cel`, `qudt:DEG_C` and plain words of at most {} characters are", Term::MAX)]
pub struct InvalidUnit;

impl FromStr for Unit {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let short = |code: &str| (1..=Term::MAX).contains(&code.len());
        if let Some(code) = text.strip_prefix("ucum:") {
            let visible = code.bytes().all(|byte| byte.is_ascii_graphic());
            return if visible && short(code) { Ok(Self::Ucum(code.to_owned())) } else { Err(InvalidUnit) };
        }
        if let Some(name) = text.strip_prefix("qudt:") {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
            return if plain && short(name) { Ok(Self::Qudt(name.to_owned())) } else { Err(InvalidUnit) };
        }
        text.parse().map(Self::Text).map_err(|_| InvalidUnit)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ucum(code) => write!(f, "ucum:{code}"),
            Self::Qudt(name) => write!(f, "qudt:{name}"),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Unit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Unit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A named value: a data attribute of an object, or an input of a method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DataField {
    /// Its name, unique beside the others.
    pub name: Term,
    /// Its type.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// What it is measured in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// What it says.
    #[serde(default, skip_serializing_if = "Prose::is_empty")]
    pub description: Prose,
}

/// What a method answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Its type.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// What it is measured in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// What it says.
    #[serde(default, skip_serializing_if = "Prose::is_empty")]
    pub description: Prose,
}

/// Something that an object can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// Its name, unique in the object: `BlueOn`.
    pub name: Term,
    /// What it does.
    #[serde(default, skip_serializing_if = "Prose::is_empty")]
    pub description: Prose,
    /// What it takes, in order: at most [`Method::MAX_INPUTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<DataField>,
    /// What it answers, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
}

impl Method {
    /// How many inputs a method may have.
    pub const MAX_INPUTS: usize = 16;

    /// A method without inputs and output.
    pub fn named(name: Term) -> Self {
        Self { name, description: Prose::default(), inputs: Vec::new(), output: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_say_their_vocabulary() {
        assert_eq!("ucum:Cel".parse::<Unit>().unwrap(), Unit::Ucum("Cel".to_owned()));
        assert_eq!("qudt:DEG_C".parse::<Unit>().unwrap(), Unit::Qudt("DEG_C".to_owned()));
        assert_eq!("°C".parse::<Unit>().unwrap().to_string(), "°C");
        let long = format!("ucum:{}", "m".repeat(61));
        for bad in ["", "ucum:", "ucum:a b", "ucum:µ", "qudt:a/b", "a\u{202e}", long.as_str()] {
            assert!(bad.parse::<Unit>().is_err(), "{bad:?}");
        }
    }
}
