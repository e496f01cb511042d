//! Keys, versions, bodies and units.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU64;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Collection, limits};

/// Where a record, counter or stream lives: its collection and its id there.
///
/// The id is 1 to [`limits::KEY_BYTES`] bytes of visible ASCII, so it can be read in any tool
/// and sorts the same on every engine.
#[derive(Clone)]
pub struct Key {
    collection: &'static Collection,
    id: Arc<str>,
}

/// A text that cannot be a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a key: 1 to {} characters of visible ASCII are expected", limits::KEY_BYTES)]
pub struct InvalidKey;

impl Key {
    /// The key with this id in this collection.
    pub fn new(collection: &'static Collection, id: impl Into<Arc<str>>) -> Result<Self, InvalidKey> {
        let id = id.into();
        let visible = id.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && (1..=limits::KEY_BYTES).contains(&id.len()) {
            Ok(Self { collection, id })
        } else {
            Err(InvalidKey)
        }
    }

    /// The collection.
    pub fn collection(&self) -> &'static Collection {
        self.collection
    }

    /// The id within the collection.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.collection.name, &*self.id).cmp(&(other.collection.name, &*other.id))
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.collection.name, &*self.id).hash(state);
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.collection.name, self.id)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The state of a record, for guards. Never used twice for one key; otherwise opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version(NonZeroU64);

impl Version {
    /// For backends: the version with this number. `None` for zero and for numbers above `i64::MAX`.
    pub fn from_number(number: u64) -> Option<Self> {
        i64::try_from(number).ok()?;
        NonZeroU64::new(number).map(Self)
    }

    /// For backends: the number.
    pub const fn number(self) -> u64 {
        self.0.get()
    }
}

/// A record's content: JSON text of at most [`limits::BODY_BYTES`] bytes, cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(Arc<str>);

/// A text that cannot be a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a body: at most {} bytes of text without NUL are expected", limits::BODY_BYTES)]
pub struct InvalidBody;

impl Body {
    /// A body of this text. That it is JSON is the caller's word.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, InvalidBody> {
        let text = text.into();
        if text.len() <= limits::BODY_BYTES && !text.contains('\0') {
            Ok(Self(text))
        } else {
            Err(InvalidBody)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Bodies hold password hashes; output of a debugger is no place for them.
        write!(f, "Body({} bytes)", self.0.len())
    }
}

/// What a counter counts: an integer within ±2^60, so that a sum of two always fits 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Units(i64);

/// A number beyond ±2^60.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the number is beyond 2^60")]
pub struct UnitsOutOfRange;

impl Units {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The most.
    pub const MAX: Self = Self(1 << 60);
    /// The least.
    pub const MIN: Self = Self(-(1 << 60));

    /// `number` units.
    pub fn new(number: i64) -> Result<Self, UnitsOutOfRange> {
        if (Self::MIN.0..=Self::MAX.0).contains(&number) { Ok(Self(number)) } else { Err(UnitsOutOfRange) }
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The opposite number.
    pub const fn negated(self) -> Self {
        Self(-self.0)
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Result<Self, UnitsOutOfRange> {
        Self::new(self.0 + other.0)
    }
}

impl TryFrom<i64> for Units {
    type Error = UnitsOutOfRange;

    fn try_from(number: i64) -> Result<Self, UnitsOutOfRange> {
        Self::new(number)
    }
}

impl From<Units> for i64 {
    fn from(units: Units) -> Self {
        units.0
    }
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
