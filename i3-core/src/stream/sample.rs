//! Samples: what people see of a stream before they buy.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::id::{ProductId, UserId};
use crate::store::{Collection, Column, Entity, Kind, Value, limits};
use crate::time::Timestamp;

/// What a seller shows of a product to people who have not bought it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SampleTerms {
    /// How many of the newest messages: 1 to [`SampleTerms::MAX_LAST`].
    pub last: u8,
    /// What is taken out of each: JSON Pointers (RFC 6901), at most [`SampleTerms::MAX_REDACTIONS`].
    #[serde(default)]
    pub redact: Vec<String>,
    /// How often one person may look on one day (UTC): 1 to 1,000.
    pub per_person_per_day: u16,
}

/// Terms that make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSampleTerms {
    /// The number of messages is out of range.
    #[error("`last` is 1 to {}", SampleTerms::MAX_LAST)]
    Last,
    /// The number of looks is out of range.
    #[error("`per_person_per_day` is 1 to {}", SampleTerms::MAX_LOOKS)]
    Looks,
    /// There are too many redactions.
    #[error("at most {} redactions are expected", SampleTerms::MAX_REDACTIONS)]
    Redactions,
    /// A redaction is no pointer to a part of a message.
    #[error("`{0}` is no JSON Pointer to a part of a message: `/position/lat` is one")]
    Pointer(String),
}

/// What a sample shows of a payload.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SampleContent {
    /// A JSON document, redacted.
    Json(Json),
    /// Another text.
    Text(String),
    /// Other bytes, in base64 (RFC 4648, with padding).
    Base64(String),
    /// Nothing, and why.
    Withheld(Withheld),
}

impl fmt::Debug for SampleContent {
    /// Without what the message says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(_) => f.write_str("Json"),
            Self::Text(_) => f.write_str("Text"),
            Self::Base64(_) => f.write_str("Base64"),
            Self::Withheld(why) => f.debug_tuple("Withheld").field(why).finish(),
        }
    }
}

/// Why a payload is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Withheld {
    /// It has more than [`SampleTerms::MAX_PAYLOAD`] bytes.
    TooLong,
    /// Something is to be taken out, and it is no JSON document in which that could be found.
    NotJson,
}

impl SampleTerms {
    /// The most messages of a sample.
    pub const MAX_LAST: u8 = 16;
    /// The most redactions.
    pub const MAX_REDACTIONS: usize = 32;
    /// The most looks of a person a day.
    pub const MAX_LOOKS: u16 = 1_000;
    /// The longest payload that is shown, in bytes.
    pub const MAX_PAYLOAD: usize = 4 * 1_024;
    /// The longest pointer, in bytes.
    const MAX_POINTER: usize = 256;

    /// Whether they make sense.
    pub fn check(&self) -> Result<(), InvalidSampleTerms> {
        if !(1..=Self::MAX_LAST).contains(&self.last) {
            return Err(InvalidSampleTerms::Last);
        }
        if !(1..=Self::MAX_LOOKS).contains(&self.per_person_per_day) {
            return Err(InvalidSampleTerms::Looks);
        }
        if self.redact.len() > Self::MAX_REDACTIONS {
            return Err(InvalidSampleTerms::Redactions);
        }
        for pointer in &self.redact {
            // RFC 6901, clause 3: `~` stands before 0 or 1 only.
            let escapes = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
            let printable = !pointer.chars().any(char::is_control);
            if !pointer.starts_with('/') || !escapes || !printable || pointer.len() > Self::MAX_POINTER {
                return Err(InvalidSampleTerms::Pointer(pointer.chars().take(80).collect()));
            }
        }
        Ok(())
    }

    /// What is shown of this payload: what the terms let others see, and nothing else of it.
    ///
    /// A member of an object is removed; an item of a list becomes `null`, so that the places of the others stay what
    /// the pointers mean. What a pointer does not find is not there to be shown.
    pub fn show(&self, payload: &[u8]) -> SampleContent {
        if payload.len() > Self::MAX_PAYLOAD {
            return SampleContent::Withheld(Withheld::TooLong);
        }
        // A name that is twice in an object is once in what was read: nothing hides behind the other one.
        match serde_json::from_slice::<Json>(payload) {
            Ok(mut document) => {
                for pointer in &self.redact {
                    remove(&mut document, pointer);
                }
                SampleContent::Json(document)
            }
            Err(_) if !self.redact.is_empty() => SampleContent::Withheld(Withheld::NotJson),
            Err(_) => match std::str::from_utf8(payload) {
                Ok(text) => SampleContent::Text(text.to_owned()),
                Err(_) => SampleContent::Base64(data_encoding::BASE64.encode(payload)),
            },
        }
    }
}

/// Removes what the pointer finds.
fn remove(document: &mut Json, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match document.pointer_mut(parent) {
        Some(Json::Object(members)) => {
            // RFC 6901, clause 4: `~1` first.
            members.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        Some(list @ Json::Array(_)) => {
            if let Some(item) = list.pointer_mut(&format!("/{name}")) {
                *item = Json::Null;
            }
        }
        _ => {}
    }
}

/// One message as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Sample {
    /// Its sequence number.
    pub sequence: u64,
    /// When the gate took it.
    pub at: Timestamp,
    /// The bytes of the whole payload.
    pub bytes: u64,
    /// What is shown of it.
    pub content: SampleContent,
}

/// The newest messages of a product as they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Samples {
    /// The product.
    pub product: ProductId,
    /// The revision of the terms by which they were redacted.
    pub revision: u32,
    /// In the order of their numbers.
    pub samples: Vec<Sample>,
}

impl Samples {
    /// What their text may take in the store, in bytes.
    const BUDGET: usize = limits::BODY_BYTES - 1_024;

    /// None yet, of this revision.
    pub fn new(product: ProductId, revision: u32) -> Self {
        Self { product, revision, samples: Vec::new() }
    }

    /// Adds these, and keeps the newest `last`, or fewer if those are too long for one record.
    pub fn add(&mut self, more: &[Sample], last: u8) {
        self.samples.extend_from_slice(more);
        self.samples.sort_by_key(|sample| sample.sequence);
        self.samples.dedup_by_key(|sample| sample.sequence);
        let mut left = Self::BUDGET;
        let newest = self.samples.iter().rev().take(usize::from(last)).take_while(|sample| {
            let length = serde_json::to_string(sample).map_or(usize::MAX, |text| text.len() + 1);
            let fits = length <= left;
            left = left.saturating_sub(length);
            fits
        });
        let keep = newest.count();
        self.samples.drain(..self.samples.len() - keep);
    }
}

static SAMPLES: Collection = Collection {
    name: "samples",
    kind: Kind::Records,
    about: "the newest messages of products that show some, redacted",
    columns: &[],
    indexes: &[],
};

impl Entity for Samples {
    type Id = ProductId;

    fn collection() -> &'static Collection {
        &SAMPLES
    }

    fn id(&self) -> ProductId {
        self.product
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

/// How often somebody looked at a product's sample on the last day of doing so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct SampleViews {
    /// The product.
    pub product: ProductId,
    /// Who.
    pub user: UserId,
    /// Days since the epoch (UTC).
    pub day: i64,
    /// How often.
    pub looks: u16,
}

/// Names a [`SampleViews`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SampleViewsId {
    /// The product.
    pub product: ProductId,
    /// Who.
    pub user: UserId,
}

impl fmt::Display for SampleViewsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.product, self.user)
    }
}

impl SampleViews {
    /// Of somebody who has not looked.
    pub fn none(id: SampleViewsId) -> Self {
        Self { product: id.product, user: id.user, day: 0, looks: 0 }
    }

    /// Counts one look; how many are left for the day, or `None` if there was none.
    pub fn look(&mut self, now: Timestamp, limit: u16) -> Option<u16> {
        let day = now.seconds().div_euclid(24 * 3_600);
        // A clock that went back gives nobody a second day.
        if day > self.day {
            (self.day, self.looks) = (day, 0);
        }
        if self.looks >= limit {
            return None;
        }
        self.looks += 1;
        Some(limit - self.looks)
    }
}

static SAMPLE_VIEWS: Collection = Collection {
    name: "sample_views",
    kind: Kind::Records,
    about: "how often each person looked at a product's sample on the last day of doing so",
    columns: &[Column::text("user_id")],
    indexes: &[],
};

impl Entity for SampleViews {
    type Id = SampleViewsId;

    fn collection() -> &'static Collection {
        &SAMPLE_VIEWS
    }

    fn id(&self) -> SampleViewsId {
        SampleViewsId { product: self.product, user: self.user }
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![Some(self.user.to_string().into())]
    }
}
