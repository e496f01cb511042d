//! Moving a store's content elsewhere, and proving that it is the same.
//!
//! Everything here works with any [`Store`], through the storage contract alone:
//!
//! - [`digest`]: one SHA-256 over all that a store holds, equal on every backend.
//! - [`copy`]: from one store into another, resumable, verified by digest.
//! - [`export`] and [`import`]: as lines of JSON, without secrets, verified by digest.
//! - [`verify`]: are chains whole, bodies readable, indexes complete?
//!
//! What is moved is said by [`Contents`]: the collections, and for records the entity that they hold, because
//! a backend gives bodies back and not the values of columns. [`market::contents`](crate::market::contents)
//! has those of the marketplace. Collections that the contents do not name are not moved; the outcome
//! [names](Store::unnamed) them.
//!
//! # A store that is being filled
//!
//! The first batch of a copy, import or replay leaves a mark in the target, and the last one takes it away,
//! after the digests were found equal. A marketplace refuses a store with that mark
//! ([`StoreErrorKind::Unfinished`]), so nobody works with half of the data. The source is only read.
//! Both stores should be at rest. A source that changed meanwhile is noticed; see [`copy`].

mod batches;
mod copy;
mod digest;
mod export;
mod filling;
mod import;
mod line;
mod verify;
mod walk;

use std::fmt;

use crate::store::{
    Body, Collection, Draft, Entity, Key, Kind, Schema, SchemaError, Store, StoreError, StoreErrorKind,
};

pub use copy::{Copied, copy};
pub use digest::{CollectionDigest, StoreDigest, digest};
pub use export::{Exported, export};
pub(crate) use filling::{FILLINGS, begin, finish};
pub use filling::{Filling, FillingKind, refuse_unfinished};
pub use import::{Imported, import};
pub use line::FORMAT;
pub use verify::{Fault, Verification, verify};
pub use walk::Rows;

/// One collection, and what its records are.
#[derive(Clone, Copy)]
pub struct Part {
    collection: &'static Collection,
    draft: fn(&Key, &Body) -> Result<Draft, StoreError>,
    secret: bool,
    logged: bool,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { collection, secret, logged, .. } = self;
        let mut out = f.debug_struct("Part");
        out.field("collection", &collection.name).field("secret", secret).field("logged", logged).finish()
    }
}

impl Part {
    /// The records of an entity.
    pub fn records<E: Entity>() -> Self {
        Self { collection: E::collection(), draft: draft_of::<E>, secret: false, logged: true }
    }

    /// Counters or streams, which have no columns.
    pub fn plain(collection: &'static Collection) -> Self {
        Self { collection, draft: no_record, secret: false, logged: true }
    }

    /// The same, holding secrets: never exported, and in no audit log.
    pub fn secret(self) -> Self {
        Self { secret: true, logged: false, ..self }
    }

    /// The same, written by others than commands, so that a replay does not bring it back.
    pub fn unlogged(self) -> Self {
        Self { logged: false, ..self }
    }

    /// The collection.
    pub fn collection(&self) -> &'static Collection {
        self.collection
    }

    /// Whether it holds secrets.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// Whether a replay of the audit log brings it back.
    pub fn is_logged(&self) -> bool {
        self.logged
    }

    /// The record with this body, exactly, and with the values of its columns.
    pub(crate) fn draft(&self, key: &Key, body: &Body) -> Result<Draft, StoreError> {
        (self.draft)(key, body)
    }
}

fn draft_of<E: Entity>(key: &Key, body: &Body) -> Result<Draft, StoreError> {
    let entity = E::from_body(key, body)?;
    let own = E::key(&entity.id())?;
    if own != *key {
        return Err(StoreError::new(StoreErrorKind::Corrupt, format!("{key} holds the record of {own}")));
    }
    Draft::new(key.collection(), key.id(), entity.values(), body.as_str()).map_err(|error| {
        StoreError::new(StoreErrorKind::Corrupt, format!("{key} does not fit its collection"))
            .with_source(error)
    })
}

fn no_record(key: &Key, _: &Body) -> Result<Draft, StoreError> {
    Err(StoreError::new(StoreErrorKind::Unsupported, format!("{key}: nothing says what its records are")))
}

/// All that a program keeps in a store.
#[derive(Debug, Clone)]
pub struct Contents {
    schema: Schema,
    parts: Vec<Part>,
}

impl Contents {
    /// These parts, of this revision.
    pub fn new(revision: u32, parts: Vec<Part>) -> Result<Self, SchemaError> {
        let mut collections: Vec<_> = parts.iter().map(|part| part.collection).collect();
        collections.push(&FILLINGS);
        Ok(Self { schema: Schema::new(revision, &collections)?, parts })
    }

    /// The schema to prepare a store for: the parts, and the mark of a store that is being filled.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The parts.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The part with this collection.
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.collection.name == name)
    }
}

/// Is told how far a long task has come.
pub trait Progress: Send + Sync {
    /// A step begins that will take so many rows, if that is known already.
    fn begin(&self, step: &str, rows: Option<u64>);

    /// So many rows more are done.
    fn advance(&self, rows: u64);
}

/// Tells nobody.
impl Progress for () {
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
}

/// Why a store's content was not moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target holds something, and not from an unfinished task of this kind.
    #[error("the target is not empty: it has something in `{collection}`")]
    NotEmpty {
        /// Where.
        collection: &'static str,
    },
    /// The target is being filled, or was and is not finished, in a way that cannot be gone on with.
    #[error("the target was being filled by {how} and is not finished: delete it and begin again")]
    Unfinished {
        /// How.
        how: FillingKind,
    },
    /// A stream in the target is not the beginning of the one in the source.
    #[error("{stream} in the target is not the beginning of the one in the source: delete the target")]
    Diverged {
        /// The stream.
        stream: Key,
    },
    /// The source was written to meanwhile. What is in the target is not finished; go on when it is at rest.
    #[error("the source changed meanwhile: stop what writes to it, then run the same again to finish")]
    SourceChanged,
    /// The target does not hold what the source holds.
    #[error("the digests differ in {}", collections.join(", "))]
    Differs {
        /// In which collections.
        collections: Vec<String>,
    },
    /// Reading or writing lines failed.
    #[error("the lines cannot be read or written")]
    Io(#[from] std::io::Error),
    /// A line of an export is not one.
    #[error("line {line}: {what}")]
    Line {
        /// Which, from one.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// The export ends before its end.
    #[error("the export ends after line {line} without its last line: it is not whole")]
    Truncated {
        /// How many lines there are.
        line: u64,
    },
    /// The export was written by a newer program.
    #[error("the export is of {what} {found}, this program knows {known}: use a newer version")]
    Newer {
        /// What is newer.
        what: &'static str,
        /// What the export says.
        found: u32,
        /// What is known here.
        known: u32,
    },
    /// The content is not what the export's last line says.
    #[error("what was read is not what the export's last line says: it was changed on the way")]
    Tampered,
    /// An entry of the audit log cannot be carried out again.
    #[error("entry {position} of the audit log (`{command}`) cannot be carried out again")]
    Replay {
        /// Which.
        position: u64,
        /// Its command.
        command: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl PortError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.kind().code(),
            Self::NotEmpty { .. } => "target_not_empty",
            Self::Unfinished { .. } => StoreErrorKind::Unfinished.code(),
            Self::Diverged { .. } => "target_diverged",
            Self::SourceChanged => "source_changed",
            Self::Differs { .. } => "digests_differ",
            Self::Io(_) => "io",
            Self::Line { .. } => "export_malformed",
            Self::Truncated { .. } => "export_truncated",
            Self::Newer { .. } => "export_newer",
            Self::Tampered => "export_tampered",
            Self::Replay { .. } => "replay_diverged",
        }
    }
}

/// Refuses a target with anything in it.
pub(crate) async fn refuse_unless_empty(store: &dyn Store, contents: &Contents) -> Result<(), PortError> {
    for part in contents.parts() {
        if Rows::ids(store, part.collection).next().await?.is_some() {
            return Err(PortError::NotEmpty { collection: part.collection.name });
        }
    }
    Ok(())
}

/// Where all streams end: they move when commands have an effect.
pub(crate) async fn ends(store: &dyn Store, contents: &Contents) -> Result<Vec<(Key, u64)>, PortError> {
    let mut ends = Vec::new();
    for part in contents.parts().iter().filter(|part| part.collection.kind == Kind::Streams) {
        let mut rows = Rows::ids(store, part.collection);
        while let Some(row) = rows.next().await? {
            if let crate::store::Row::Stream { key, position, .. } = row {
                ends.push((key, position));
            }
        }
    }
    Ok(ends)
}
