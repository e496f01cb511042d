//! What a Thing Description says beyond the object that was made of it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ContentHash;

/// What makes the description of an object the Thing Description again that the object was made of: the terms that an
/// object has no place for. `i3-semantic` writes and reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ThingTerms {
    /// The content that they go with: its hash without them. What speaks of affordances and addresses holds for this
    /// content only.
    pub of: ContentHash,
    /// The terms, as a merge patch (RFC 7396) of the description.
    pub patch: TermsPatch,
}

/// The text of a JSON object, at most [`TermsPatch::MAX`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TermsPatch(String);

/// A text that is no [`TermsPatch`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a merge patch: the text of a JSON object of at most {} bytes is expected", TermsPatch::MAX)]
pub struct InvalidTermsPatch;

impl TermsPatch {
    /// The longest text, in bytes.
    pub const MAX: usize = 24 * 1024;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TermsPatch {
    type Err = InvalidTermsPatch;

    fn from_str(text: &str) -> Result<Self, InvalidTermsPatch> {
        let is_object = || serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok();
        // A zero byte cannot be stored everywhere; JSON has it as an escape.
        if text.len() <= Self::MAX && !text.contains("\\u0000") && is_object() {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTermsPatch)
        }
    }
}

text_forms!(TermsPatch);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_the_text_of_an_object_that_can_be_stored() {
        for good in ["{}", r#"{"a":{"b":null},"c":["\"팬"]}"#] {
            assert_eq!(good.parse::<TermsPatch>().unwrap().as_str(), good);
        }
        let (long, deep) =
            (format!("{{\"a\":\"{}\"}}", "x".repeat(TermsPatch::MAX)), "{\"a\":".repeat(1_000));
        for bad in ["", "[]", "null", "{", "{} {}", r#"{"a":"\u0000"}"#, &long, &deep] {
            assert!(bad.parse::<TermsPatch>().is_err(), "{bad:.40}");
        }
    }
}
