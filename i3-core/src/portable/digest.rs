//! One digest over all that a store holds.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Contents, Part, PortError, Progress, Rows};
use crate::store::{Digest, Key, Kind, Row, Store, StoreError, StoreErrorKind, Units};

/// What one collection holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionDigest {
    /// Its name.
    pub name: String,
    /// Records, counters other than zero, or streams.
    pub keys: u64,
    /// Entries of streams.
    pub entries: u64,
    /// Bytes of all bodies.
    pub bytes: u64,
    /// SHA-256 over all of it.
    pub digest: Digest,
    /// Whether it holds secrets.
    pub secret: bool,
    /// Whether a replay of the audit log brings it back.
    pub logged: bool,
}

/// What a store holds; equal for equal content, whatever the backend.
///
/// Covered are the name of every collection that is not empty, and in the order of their keys: of records
/// the key and the body's bytes, of counters the key and the number unless it is zero, of streams the key
/// and of every entry its position, link and body. Not covered are versions, which are a backend's own, and
/// columns, which follow from bodies; [`verify`](super::verify()) compares those.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreDigest {
    /// The collections that are not empty, by name.
    pub collections: Vec<CollectionDigest>,
}

impl StoreDigest {
    /// The digest of everything.
    pub fn total(&self) -> Digest {
        self.of(|_| true)
    }

    /// The digest of what an export holds.
    pub fn without_secrets(&self) -> Digest {
        self.of(|collection| !collection.secret)
    }

    /// The digest of what a replay of the audit log brings back.
    pub fn logged(&self) -> Digest {
        self.of(|collection| collection.logged)
    }

    fn of(&self, which: impl Fn(&CollectionDigest) -> bool) -> Digest {
        let mut hash = Sha256::new();
        hash.update(b"i3 store 1\n");
        for collection in self.collections.iter().filter(|collection| which(collection)) {
            sized(&mut hash, collection.name.as_bytes());
            hash.update(collection.digest.as_bytes());
        }
        Digest::from_bytes(hash.finalize().into())
    }

    /// How many rows there are in all: keys and entries.
    pub fn rows(&self) -> u64 {
        self.collections.iter().map(|collection| collection.keys.saturating_add(collection.entries)).sum()
    }

    /// The collections in which the other one differs.
    pub(crate) fn differences(&self, other: &Self, which: impl Fn(&CollectionDigest) -> bool) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (one, two) in [(self, other), (other, self)] {
            for collection in one.collections.iter().filter(|collection| which(collection)) {
                if !two.collections.contains(collection) && !names.contains(&collection.name) {
                    names.push(collection.name.clone());
                }
            }
        }
        names
    }
}

/// Text or bytes with their length before them, so that nothing can be read two ways.
fn sized(hash: &mut Sha256, bytes: &[u8]) {
    hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(bytes);
}

/// The digest of a collection in the making.
pub(super) struct Tally {
    part: Part,
    hash: Sha256,
    keys: u64,
    entries: u64,
    bytes: u64,
    last: Option<Key>,
}

impl Tally {
    pub(super) fn of(part: Part) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"i3 collection 1\n");
        sized(&mut hash, part.collection().name.as_bytes());
        hash.update(match part.collection().kind {
            Kind::Records => b"r",
            Kind::Counters => b"c",
            Kind::Streams => b"s",
        });
        Self { part, hash, keys: 0, entries: 0, bytes: 0, last: None }
    }

    fn key(&mut self, key: &Key) -> Result<(), StoreError> {
        if self.last.as_ref().is_some_and(|last| last >= key) {
            let message = format!("the store gives {key} out of the order of keys");
            return Err(StoreError::new(StoreErrorKind::Corrupt, message));
        }
        self.last = Some(key.clone());
        self.keys += 1;
        sized(&mut self.hash, key.id().as_bytes());
        Ok(())
    }

    fn body(&mut self, body: &str) {
        self.bytes = self.bytes.saturating_add(u64::try_from(body.len()).unwrap_or(u64::MAX));
        sized(&mut self.hash, body.as_bytes());
    }

    pub(super) fn record(&mut self, key: &Key, body: &str) -> Result<(), StoreError> {
        self.key(key)?;
        self.body(body);
        Ok(())
    }

    pub(super) fn counter(&mut self, key: &Key, units: Units) -> Result<(), StoreError> {
        self.key(key)?;
        self.hash.update(units.get().to_be_bytes());
        Ok(())
    }

    /// A stream begins.
    pub(super) fn stream(&mut self, key: &Key) -> Result<(), StoreError> {
        self.key(key)
    }

    /// An entry of the stream that began last.
    pub(super) fn entry(&mut self, position: u64, link: &Digest, body: &str) {
        self.entries += 1;
        self.hash.update(position.to_be_bytes());
        self.hash.update(link.as_bytes());
        self.body(body);
    }

    /// What the collection holds; none if nothing.
    pub(super) fn done(self) -> Option<CollectionDigest> {
        (self.keys > 0).then(|| CollectionDigest {
            name: self.part.collection().name.to_owned(),
            keys: self.keys,
            entries: self.entries,
            bytes: self.bytes,
            digest: Digest::from_bytes(self.hash.finalize().into()),
            secret: self.part.is_secret(),
            logged: self.part.is_logged(),
        })
    }
}

/// Puts the digests of collections together.
pub(super) fn total(mut collections: Vec<CollectionDigest>) -> StoreDigest {
    collections.sort_by(|one, two| one.name.cmp(&two.name));
    StoreDigest { collections }
}

/// Reads everything in a store that was prepared for these contents. Takes the memory of a page.
///
/// Not a snapshot: of a store that is written to meanwhile the digest says nothing.
pub async fn digest(
    store: &dyn Store,
    contents: &Contents,
    progress: &dyn Progress,
) -> Result<StoreDigest, PortError> {
    let mut collections = Vec::new();
    for part in contents.parts() {
        let mut tally = Tally::of(*part);
        let mut rows = Rows::ids(store, part.collection());
        while let Some(row) = rows.next().await? {
            match row {
                Row::Record { key, body, .. } => tally.record(&key, body.as_str())?,
                Row::Counter { key, units } => tally.counter(&key, units)?,
                Row::Stream { key, .. } => {
                    tally.stream(&key)?;
                    let mut entries = Rows::entries(store, key, 0)?;
                    while let Some(entry) = entries.next().await? {
                        if let Row::Entry { position, body, link } = entry {
                            tally.entry(position, &link, body.as_str());
                            progress.advance(1);
                        }
                    }
                }
                Row::Entry { .. } => {
                    return Err(StoreError::new(StoreErrorKind::Corrupt, "an entry in a scan of ids").into());
                }
            }
            progress.advance(1);
        }
        collections.extend(tally.done());
    }
    Ok(total(collections))
}
