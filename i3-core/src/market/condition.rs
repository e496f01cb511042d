//! What a command is made to depend on: that a record is still as its sender saw it.

use std::fmt;
use std::str::FromStr;

use super::{Decided, Refusal};
use crate::store::{Digest, Entity, StoreError, Tx};

/// A record as it is at one moment, in 26 characters: 128 bits of the digest of its fields. Two records that
/// differ have different tags; a record that is changed and changed back has its old one again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordTag(String);

/// A text that is no [`RecordTag`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the tag of a record")]
pub struct InvalidRecordTag;

impl RecordTag {
    const LENGTH: usize = 26;

    /// The tag of this record.
    pub fn of<E: Entity>(record: &E) -> Result<Self, StoreError> {
        let digest = Digest::of(record.text()?.as_bytes());
        let (half, _) = digest.as_bytes().split_at(16);
        Ok(Self(data_encoding::BASE32_DNSSEC.encode(half)))
    }
}

impl fmt::Display for RecordTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for RecordTag {
    type Err = InvalidRecordTag;

    fn from_str(text: &str) -> Result<Self, InvalidRecordTag> {
        if text.len() == Self::LENGTH && data_encoding::BASE32_DNSSEC.decode(text.as_bytes()).is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRecordTag)
        }
    }
}

/// Something that must hold of the store in the very decision of a command.
///
/// It is looked at with what the command itself reads and guarded by the same commit. A request that is refused
/// for another reason is refused for that; an answer that was given once under an idempotency key is given
/// again whatever became of the record.
pub trait Condition: fmt::Debug + Send + Sync {
    /// Whether it holds.
    fn holds(&self, tx: &mut Tx<'_, Refusal>) -> Decided<bool>;
}

/// That a record is still one of those that were seen.
pub struct Unchanged<E: Entity> {
    /// The record.
    pub id: E::Id,
    /// What it was when it was seen; `None`: it is enough that there is one.
    pub seen: Option<Vec<RecordTag>>,
}

impl<E: Entity> fmt::Debug for Unchanged<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is one of {:?}", self.id, self.seen)
    }
}

impl<E: Entity> Condition for Unchanged<E> {
    fn holds(&self, tx: &mut Tx<'_, Refusal>) -> Decided<bool> {
        let Some(record) = tx.get::<E>(&self.id)? else { return Ok(false) };
        match &self.seen {
            None => Ok(true),
            Some(seen) => Ok(seen.contains(&RecordTag::of(&record)?)),
        }
    }
}
