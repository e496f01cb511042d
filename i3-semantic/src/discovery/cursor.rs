//! Where a page ended.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::query::Query;

/// What a page was sorted by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Key {
    Number(i64),
    Text(Arc<str>),
}

/// The place where a page ended: the sort key and the id of its last thing. What was there before stays before it and
/// what was after stays after, whatever comes or goes in between. It belongs to one question.
///
/// Holds nothing that the page did not show, but for how rare the question's words were at the first page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    #[serde(rename = "m")]
    pub(crate) mark: u64,
    #[serde(rename = "k")]
    pub(crate) key: Key,
    #[serde(rename = "c")]
    pub(crate) created: i64,
    #[serde(rename = "i")]
    pub(crate) id: Arc<str>,
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) weights: Vec<u32>,
}

impl Cursor {
    /// Whether it belongs to this question.
    pub(crate) fn is_of(&self, query: &Query) -> bool {
        self.mark == query.mark()
    }
}

/// A text that is no [`Cursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        f.pad(&BASE64URL_NOPAD.encode(&json))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let json = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| InvalidCursor)?;
        serde_json::from_slice(&json).map_err(|_| InvalidCursor)
    }
}
