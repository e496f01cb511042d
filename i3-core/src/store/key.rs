//! Keys, versions, bodies and units.

use std::any::Any;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock};

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
        // Most keys of one collection name the same declaration.
        let same =
            std::ptr::eq(self.collection, other.collection) || self.collection.name == other.collection.name;
        same && self.id == other.id
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

/// A record's content: JSON text of at most [`limits::BODY_BYTES`] bytes, cheap to clone. Clones share what the text was
/// read as: a record that a store keeps in memory is parsed once.
#[derive(Clone)]
pub struct Body(Arc<Content>);

struct Content {
    text: Box<str>,
    read: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// A text that cannot be a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a body: at most {} bytes of text without NUL are expected", limits::BODY_BYTES)]
pub struct InvalidBody;

impl Body {
    /// A body of this text. That it is JSON is the caller's word.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidBody> {
        let text = text.into();
        if text.len() <= limits::BODY_BYTES && !text.contains('\0') {
            Ok(Self(Arc::new(Content { text, read: OnceLock::new() })))
        } else {
            Err(InvalidBody)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// What the text says, as this function reads it or as it was read as the same type before. Kept only while somebody
    /// else holds the body too: what nobody keeps is not asked for again.
    pub(crate) fn read<T, E>(&self, parse: impl FnOnce() -> Result<T, E>) -> Result<T, E>
    where
        T: Any + Clone + Send + Sync,
    {
        if let Some(known) = self.0.read.get().and_then(|known| known.downcast_ref::<T>()) {
            return Ok(known.clone());
        }
        let read = parse()?;
        if Arc::strong_count(&self.0) > 1 {
            // Two that read at the same time read the same.
            let _ = self.0.read.set(Box::new(read.clone()));
        }
        Ok(read)
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Body {}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Bodies hold password hashes; output of a debugger is no place for them.
        write!(f, "Body({} bytes)", self.as_str().len())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &Body, times: &mut usize) -> Result<u64, std::num::ParseIntError> {
        body.read(|| {
            *times += 1;
            body.as_str().parse()
        })
    }

    #[test]
    fn a_body_that_somebody_keeps_is_parsed_once() {
        let (kept, mut times) = (Body::new("7").unwrap(), 0);
        assert_eq!(parsed(&kept, &mut times), Ok(7));
        assert_eq!((parsed(&kept.clone(), &mut times), times), (Ok(7), 2), "nobody kept it before");
        assert_eq!((parsed(&kept, &mut times), times), (Ok(7), 2));
    }

    #[test]
    fn as_something_else_it_is_parsed_again() {
        let (kept, mut times) = (Body::new("7").unwrap(), 0);
        let read = kept.clone();
        assert_eq!(parsed(&read, &mut times), Ok(7));
        assert_eq!(read.read(|| kept.as_str().parse::<i8>()), Ok(7));
        assert_eq!(times, 1);
    }

    #[test]
    fn what_cannot_be_read_stays_so() {
        let (kept, mut times) = (Body::new("x").unwrap(), 0);
        let read = kept.clone();
        assert!(parsed(&read, &mut times).is_err() && parsed(&read, &mut times).is_err());
        assert_eq!(times, 2);
    }

    #[test]
    fn bodies_with_one_text_are_equal_however_they_were_read() {
        let (kept, mut times) = (Body::new("7").unwrap(), 0);
        parsed(&kept.clone(), &mut times).unwrap();
        assert_eq!(kept, Body::new("7").unwrap());
        assert_ne!(kept, Body::new("8").unwrap());
    }
}
