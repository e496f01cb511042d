//! What was denied, and to whom: for administrators to look at.
//!
//! The [audit log](crate::audit) has what happened and can be carried out again; what was denied changed nothing and
//! is not there. It is kept beside, the newest so many only, by who answers requests: a [`DenialRecorder`] takes what
//! was denied without waiting, and what it has too much of it counts. So a flood of requests that are denied neither
//! slows an answer nor grows the store.
//!
//! It holds no secrets: no passwords, tokens, bodies, and no names that somebody tried.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::id::{ClientId, DeviceId, OrderId, UserId};
use crate::store::{Collection, Column, Entity, Index, Kind, Value};
use crate::time::Timestamp;
use crate::waiting::Waiting;

/// A request that was denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct DeniedRequest {
    /// When.
    pub at: Timestamp,
    /// Who asked, or for whom a program did; nobody, if nobody had proved who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The program that asked for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientId>,
    /// The device that asked, at a gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// The order whose client asked, at a gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// From where, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// What was asked: the name of an operation, or the method and the pattern of a path.
    pub operation: String,
    /// About what: a path, or a topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What was answered: a stable code. `not_found` if it was denied that the thing is there at all.
    pub code: String,
    /// The permission that was missing, or the scope, if it was for want of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// The code, and the operation, of a record that only tells how many were lost before it.
pub const UNWRITTEN: &str = "unwritten";

impl DeniedRequest {
    /// No request: what stands for those that were lost and that no other one came after.
    pub(crate) fn unwritten(at: Timestamp) -> Self {
        Self {
            at,
            user: None,
            client: None,
            device: None,
            order: None,
            peer: None,
            operation: UNWRITTEN.to_owned(),
            target: None,
            code: UNWRITTEN.to_owned(),
            missing: None,
        }
    }

    /// The longest text of a part, in bytes; longer ones are cut.
    pub const MAX_TEXT: usize = 200;

    /// As it is kept: its texts are what clients sent, and of any length.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        for text in
            [&mut self.operation, &mut self.code].into_iter().chain(&mut self.target).chain(&mut self.missing)
        {
            let end = (0..=Self::MAX_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            text.truncate(end);
        }
        self
    }
}

/// The number of a record, from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct DenialNumber(pub u64);

/// In order also as text.
impl fmt::Display for DenialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}", self.0)
    }
}

/// A request that was denied, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct DenialRecord {
    /// Its number: numbers have no gaps.
    pub number: DenialNumber,
    /// How many more were denied just before it, and not written since there were too many.
    #[serde(default, skip_serializing_if = "is_none")]
    pub unwritten_before: u64,
    /// What was denied.
    #[serde(flatten)]
    pub denied: DeniedRequest,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference to the field")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

static DENIALS: Collection = Collection {
    name: "denials",
    kind: Kind::Records,
    about: "the newest requests that were denied",
    columns: &[Column::int("at"), Column::text("code"), Column::text("user")],
    indexes: &[
        Index { name: "by_time", columns: &["at"] },
        Index { name: "by_code", columns: &["code", "at"] },
        Index { name: "by_user", columns: &["user", "at"] },
        Index { name: "by_user_and_code", columns: &["user", "code", "at"] },
    ],
};

impl Entity for DenialRecord {
    type Id = DenialNumber;

    fn collection() -> &'static Collection {
        &DENIALS
    }

    fn id(&self) -> DenialNumber {
        self.number
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![
            Some(self.denied.at.micros().into()),
            Some(self.denied.code.as_str().into()),
            self.denied.user.map(|user| user.to_string().into()),
        ]
    }
}

/// Which records there are: from `first` until before `next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenialRing {
    /// The number of the oldest one that is kept.
    pub first: u64,
    /// The number that the next one gets.
    pub next: u64,
}

impl DenialRing {
    /// With nothing in it.
    pub const EMPTY: Self = Self { first: 1, next: 1 };

    /// The ring after so many more came of which `kept` are kept, and the numbers that go. At most `most` go at once: a
    /// ring that was made smaller shrinks as more comes.
    #[must_use]
    pub fn turned(self, incoming: u64, kept: u64, most: u64) -> (Self, std::ops::Range<u64>) {
        let next = self.next.saturating_add(incoming);
        let first = next.saturating_sub(kept.max(1)).clamp(self.first, self.first.saturating_add(most));
        // What would go at once is never written.
        (Self { first, next }, self.first..first.min(self.next))
    }
}

/// The ring's id.
#[derive(Debug, Clone, Copy)]
pub struct TheRing;

impl fmt::Display for TheRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ring")
    }
}

static DENIAL_RING: Collection = Collection {
    name: "denial_ring",
    kind: Kind::Records,
    about: "which requests that were denied are kept",
    columns: &[],
    indexes: &[],
};

impl Entity for DenialRing {
    type Id = TheRing;

    fn collection() -> &'static Collection {
        &DENIAL_RING
    }

    fn id(&self) -> TheRing {
        TheRing
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

/// Is told of what is denied.
pub trait DenialRecorder: fmt::Debug + Send + Sync + 'static {
    /// Takes it, or counts it. Never waits for a store.
    fn record(&self, denied: DeniedRequest);
}

/// What was denied and waits to be [written](crate::market::Marketplace::write_denials), as much as fits.
pub type DenialQueue = Waiting<DeniedRequest>;

impl DenialRecorder for DenialQueue {
    fn record(&self, denied: DeniedRequest) {
        self.push(denied.bounded());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(target: impl Into<String>) -> DeniedRequest {
        DeniedRequest {
            at: Timestamp::default(),
            user: None,
            client: None,
            device: None,
            order: None,
            peer: None,
            operation: "list_users".to_owned(),
            target: Some(target.into()),
            code: "forbidden".to_owned(),
            missing: None,
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let cut = denied("ä".repeat(65_536)).bounded();
        assert_eq!(cut.target.unwrap().len(), DeniedRequest::MAX_TEXT);
        let odd = denied(format!("x{}", "ä".repeat(65_536))).bounded();
        assert_eq!(odd.target.unwrap().len(), DeniedRequest::MAX_TEXT - 1);
    }

    #[test]
    fn a_ring_never_holds_more_than_it_keeps_and_its_numbers_have_no_gaps() {
        let mut ring = DenialRing::EMPTY;
        let mut there = std::collections::BTreeSet::new();
        for (incoming, kept) in [(3, 5), (2, 5), (1, 5), (5, 5), (2, 2), (1, 2), (1, 10), (20, 10)] {
            let (next, gone) = ring.turned(incoming, kept, 1_000);
            for number in gone {
                assert!(there.remove(&number));
            }
            there.extend(ring.next.max(next.first)..next.next);
            ring = next;
            assert!(there.len() as u64 <= kept, "{ring:?}");
            assert!(there.iter().copied().eq(ring.first..ring.next), "{ring:?} {there:?}");
        }
    }

    #[test]
    fn a_ring_that_was_made_smaller_shrinks_bit_by_bit() {
        let ring = DenialRing { first: 1, next: 101 };
        let (ring, gone) = ring.turned(1, 10, 20);
        assert_eq!((ring.first, gone), (21, 1..21));
    }
}
