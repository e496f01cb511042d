//! The lines of an export: JSON objects, one a line.
//!
//! ```text
//! {"i3_export":1,"revision":1}
//! {"in":"orders","key":"ord_…","body":{…}}
//! {"in":"balances","key":"fees:EUR","units":120}
//! {"in":"audit","key":"commands","position":1,"link":"…","body":{…}}
//! {"end":{"rows":3,"digest":"…","left_out":{"user_secrets":2}}}
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::store::{Digest, Units};

/// The format of exports that this version writes, and the only one it reads.
pub const FORMAT: u32 = 1;

/// More than a line can have: a body may double when it is quoted, and its neighbours are short.
pub(super) const LINE_BYTES: u64 = 1024 * 1024;

/// Any line; which one it is, the fields tell.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// The format: only in the first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) i3_export: Option<u32>,
    /// The schema's revision: only in the first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revision: Option<u32>,
    /// The collection.
    #[serde(rename = "in", default, skip_serializing_if = "Option::is_none")]
    pub(super) collection: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) units: Option<Units>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<Digest>,
    /// A body to the byte, if it can stand in a line as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<Box<RawValue>>,
    /// A body that cannot, quoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    /// Only in the last line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<End>,
}

/// What the last line says of all before it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    /// How many lines there are between the first and this one.
    pub(super) rows: u64,
    /// The digest of what they say.
    pub(super) digest: Digest,
    /// Collections of secrets, with the numbers of their records, that are not in the export.
    pub(super) left_out: BTreeMap<String, u64>,
}

impl Line {
    pub(super) fn with_body(mut self, body: &str) -> Self {
        match RawValue::from_string(body.to_owned()) {
            Ok(raw) if raw.get() == body && !body.contains(['\n', '\r']) => self.body = Some(raw),
            _ => self.text = Some(body.to_owned()),
        }
        self
    }

    /// The body, to the byte.
    pub(super) fn body(&self) -> Option<&str> {
        match (&self.body, &self.text) {
            (Some(body), None) => Some(body.get()),
            (None, Some(text)) => Some(text),
            _ => None,
        }
    }
}
