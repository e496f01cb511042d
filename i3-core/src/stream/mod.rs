//! What a product's stream of messages promises, and what is kept of it: its numbers, its quality, its samples.
//!
//! [`StreamTerms`] are the seller's word and change by command. The rest is telemetry of gates: they write it through
//! [`gate::Streams`](crate::gate::Streams), it is in no audit log, and a
//! [replay](crate::market::replay) does not bring it back (copies and exports do). After a replay numbers begin at 1
//! again.
//!
//! Each of these is a record of its own beside the product, so that traffic rewrites no product, and a catalogue reads
//! no schema.

mod sample;
mod schema;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

pub use sample::{
    InvalidSampleTerms, Sample, SampleContent, SampleTerms, SampleViews, SampleViewsId, Samples, Withheld,
};
pub use schema::{InvalidSchema, MAX_SCHEMA_BYTES, MAX_SCHEMA_PLACES, SchemaCheck, check_schema};

use crate::id::ProductId;
use crate::merge_patch;
use crate::quality::Quality;
use crate::store::{Collection, Column, Entity, Kind, Value};

/// What a seller says of a product's stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct StreamDescription {
    /// A JSON Schema that payloads conform to; see [`check_schema`]. Messages that do not are delivered and counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// What people see who have not bought; nothing if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleTerms>,
}

/// A description with the schema as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sample: Option<SampleTerms>,
}

impl StreamDescription {
    /// This with a merge patch (RFC 7396) of `schema`, as the JSON that it is, and of `sample`.
    pub fn amended(&self, patch: &Map<String, Json>) -> serde_json::Result<Self> {
        let schema: Option<Json> = self.schema.as_deref().map(serde_json::from_str).transpose()?;
        let mut json = serde_json::to_value(Terms { schema, sample: self.sample.clone() })?;
        merge_patch::apply(&mut json, patch);
        let Terms { schema, sample } = serde_json::from_value(json)?;
        Ok(Self { schema: schema.map(|schema| schema.to_string()), sample })
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is said of a product's stream, and since which revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct StreamTerms {
    /// The product.
    pub product: ProductId,
    /// Raised by every change, from 1; what was measured or redacted under another revision is not shown under
    /// this one.
    pub revision: u32,
    /// What is said.
    #[serde(flatten)]
    pub description: StreamDescription,
}

static STREAM_TERMS: Collection = Collection {
    name: "stream_terms",
    kind: Kind::Records,
    about: "what sellers say of their streams: schemas and samples",
    columns: &[],
    indexes: &[],
};

impl Entity for StreamTerms {
    type Id = ProductId;

    fn collection() -> &'static Collection {
        &STREAM_TERMS
    }

    fn id(&self) -> ProductId {
        self.product
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

/// Which sequence numbers of a product were handed out. Gates take them in blocks; no number is handed out
/// twice, but the end of the last block may be given back unused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamHead {
    /// The product.
    pub product: ProductId,
    /// The next number to hand out. The first one ever is 1.
    pub next: u64,
    /// Who was handed the numbers before it, and from which on without a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastRun>,
}

/// The last numbers that were handed out, if nothing of them was given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// To which gate.
    pub holder: String,
    /// From which number on, up to the head's next one.
    pub first: u64,
}

/// Numbers are used up: there are 2^63 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the product's sequence numbers are used up")]
pub struct NumbersUsedUp;

/// Consecutive sequence numbers, for one gate alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceBlock {
    /// The first one.
    pub first: u64,
    /// The one after the last.
    pub end: u64,
}

impl SequenceBlock {
    /// How many they are.
    pub const fn count(&self) -> u64 {
        self.end.saturating_sub(self.first)
    }
}

impl StreamHead {
    /// The most numbers of one block.
    pub const MAX_BLOCK: u64 = 1 << 20;

    /// The last number that there may be.
    const LAST: u64 = u64::MAX >> 1;

    /// Before the first number.
    pub fn new(product: ProductId) -> Self {
        Self { product, next: 1, last: None }
    }

    /// Hands out `count` numbers: at least one, at most [`Self::MAX_BLOCK`].
    pub fn reserve(&mut self, holder: &str, count: u64) -> Result<SequenceBlock, NumbersUsedUp> {
        let first = self.next;
        let end = first.checked_add(count.clamp(1, Self::MAX_BLOCK)).filter(|end| *end <= Self::LAST);
        let end = end.ok_or(NumbersUsedUp)?;
        if self.last.as_ref().is_none_or(|last| last.holder != holder) {
            self.last = Some(LastRun { holder: holder.to_owned(), first });
        }
        self.next = end;
        Ok(SequenceBlock { first, end })
    }

    /// Takes back these numbers, the last ones that the holder has: it used none of them and will use none. Does
    /// nothing (they are skipped) unless they are the last ones that were handed out at all.
    pub fn release(&mut self, holder: &str, rest: SequenceBlock) -> bool {
        let its = self.last.as_ref().is_some_and(|last| last.holder == holder && last.first <= rest.first);
        let back = its && rest.count() > 0 && rest.end == self.next;
        if back {
            self.next = rest.first;
            self.last = None;
        }
        back
    }
}

static STREAMS: Collection = Collection {
    name: "streams",
    kind: Kind::Records,
    about: "which sequence numbers of each product were handed out",
    columns: &[Column::int("next")],
    indexes: &[],
};

impl Entity for StreamHead {
    type Id = ProductId;

    fn collection() -> &'static Collection {
        &STREAMS
    }

    fn id(&self) -> ProductId {
        self.product
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![i64::try_from(self.next).ok().map(Value::Int)]
    }
}

/// What was measured of a product's stream, by all gates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamQuality {
    /// The product.
    pub product: ProductId,
    /// What was measured.
    pub quality: Quality,
}

static STREAM_QUALITY: Collection = Collection {
    name: "stream_quality",
    kind: Kind::Records,
    about: "what was measured of each product's messages",
    columns: &[Column::int("messages"), Column::int("last_message")],
    indexes: &[],
};

impl Entity for StreamQuality {
    type Id = ProductId;

    fn collection() -> &'static Collection {
        &STREAM_QUALITY
    }

    fn id(&self) -> ProductId {
        self.product
    }

    fn values(&self) -> Vec<Option<Value>> {
        let messages = i64::try_from(self.quality.messages()).unwrap_or(i64::MAX);
        vec![Some(messages.into()), self.quality.last().map(|last| last.micros().into())]
    }
}

/// What a gate tells of a product's stream since its last report.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct StreamReport {
    /// What was measured since then.
    pub quality: Quality,
    /// The newest samples since then, redacted, in the order of their numbers.
    pub samples: Vec<Sample>,
    /// The revision of the terms under which they were redacted.
    pub revision: u32,
}

impl StreamReport {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.quality.is_empty() && self.samples.is_empty()
    }
}

impl fmt::Debug for StreamReport {
    /// Without what the messages say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReport")
            .field("quality", &self.quality)
            .field("samples", &self.samples.len())
            .field("revision", &self.revision)
            .finish()
    }
}

#[cfg(test)]
mod tests;
