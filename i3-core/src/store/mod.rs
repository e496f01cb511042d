//! The storage contract: what a backend must do, and all that it must do.
//!
//! A backend implements [`Store`]: a few async methods over plain data. Domain rules are written once,
//! above it, as *read, decide, commit*; see [`StoreExt::transact`]. The model that a backend keeps:
//!
//! - A [`Collection`] is declared, with typed columns and indexes, and is of one [`Kind`]: *records*
//!   (a version and a JSON body), *counters* (one integer), or *streams* (numbered entries, each linked
//!   to the one before by a digest).
//! - A [`Batch`] is a list of operations, each with its own precondition: an unguarded write cannot
//!   be spelled. A batch is applied whole or not at all.
//!
//! # What a backend guarantees
//!
//! - **Atomic and isolated.** No read or scan ever sees half a batch's effect on one key; after `commit`
//!   returned, every later read sees all of it. `read` and `scan` are *not* snapshots across keys: what a
//!   decision relies on, it guards with [`Op::Require`] or an op on the same key.
//! - **The first failing operation** in the order of the batch is the one that [`CommitError`] names, and
//!   its index is the same on every backend. A refused batch has no effect, on others committed
//!   together with it neither.
//! - **Versions are never used twice for one key**, not even when a record is removed and created again.
//!   They say nothing else: no order, no counting.
//! - **Streams are dense**: positions count 1, 2, 3… in the order of commit, and an entry is visible
//!   only when all before it are. Every entry carries [`Digest::link`] of the one before and itself.
//! - **Durable as it says**: a batch whose commit returned survives what [`Store::durability`] names. A
//!   commit whose future was dropped may or may not be applied, whole.
//! - **Text order is byte order** (UTF-8), case matters, and nothing is trimmed.
//!
//! What is *not* guaranteed: an order between commits that share no key; that a scan sees a record which
//! moves across its cursor meanwhile exactly once; that [`Applied::Unknown`] will ever be resolved other
//! than by looking.

mod batch;
mod collection;
mod error;
mod eval;
mod key;
mod link;
mod memory;
mod revision;
mod scan;
mod transact;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use batch::{Batch, BatchBuilder, BatchError, Draft, Op, Outcome, Receipt};
pub use collection::{Collection, Column, ColumnKind, Index, Kind, Schema, SchemaError, Value};
pub use error::{Applied, CommitError, StoreError, StoreErrorKind};
pub use eval::{Change, Group, State};
pub use key::{Body, InvalidBody, InvalidKey, Key, Units, UnitsOutOfRange, Version};
pub use link::{Digest, InvalidDigest};
pub use memory::MemoryStore;
pub use revision::{Revision, Revisions};
pub use scan::{By, Cursor, Direction, InvalidCursor, InvalidScan, Page, Row, Scan};
pub(crate) use transact::read_body;
pub use transact::{Decision, Entity, Halt, Refused, StoreExt, Tx, Versioned};

/// Bounds that constructors check, so that a backend never meets a value it cannot keep.
pub mod limits {
    /// Bytes of a key's text.
    pub const KEY_BYTES: usize = 200;
    /// Bytes of a text in an index column.
    pub const INDEX_TEXT_BYTES: usize = 255;
    /// Bytes of a body.
    pub const BODY_BYTES: usize = 60 * 1024;
    /// Operations in a batch.
    pub const BATCH_OPS: usize = 1_000;
    /// Bytes of all bodies of a batch.
    pub const BATCH_BYTES: usize = 1024 * 1024;
    /// Rows of a page.
    pub const PAGE_ROWS: usize = 1_000;
    /// Keys of one read.
    pub const READ_KEYS: usize = 1_000;
}

/// What the present value of a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A record.
    Record {
        /// Its version, for guards.
        version: Version,
        /// Its content.
        body: Body,
    },
    /// A counter. One that was never adjusted is absent, which reads as zero.
    Counter(Units),
    /// A stream that has entries.
    Stream {
        /// The number of the last entry.
        position: u64,
        /// The last entry's link.
        link: Digest,
    },
}

/// What a successful commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// Nothing: the data live as long as the process.
    Memory,
    /// The process being killed, but not the machine losing power.
    ProcessCrash,
    /// The machine losing power, as far as its disks do what they say.
    PowerLoss,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Memory => "memory",
            Self::ProcessCrash => "process crash",
            Self::PowerLoss => "power loss",
        })
    }
}

/// A storage backend. See the [module](self) for what it guarantees.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Creates what the schema names and is missing; refuses data written under a newer revision, and
    /// a schema that contradicts the stored shape of a collection ([`Collection::same_shape`]). May be called
    /// again; collections that the last schema does not name keep their data, and are refused until one
    /// names them again.
    async fn prepare(&self, schema: &Schema) -> Result<(), StoreError>;

    /// The present values, in the order asked: at most [`limits::READ_KEYS`].
    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError>;

    /// One page of records, counters or entries.
    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError>;

    /// Applies all operations or none.
    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError>;

    /// What a successful commit survives.
    fn durability(&self) -> Durability;

    /// What these collections are now, if the store can tell at once: another as soon as a commit that changed one of them
    /// has returned, also if it failed with an unknown outcome, and the same only while none has. A store that others
    /// write to as well cannot tell. [`Revisions`] counts for one that can.
    fn revision(&self, _collections: &[&Collection]) -> Option<Revision> {
        None
    }

    /// The names of the collections that earlier schemas had and the last one has not, in order. Asked before
    /// data are moved elsewhere, so that what would be left behind can be named.
    async fn unnamed(&self) -> Result<Vec<String>, StoreError>;
}

/// A shared store of any kind.
pub type DynStore = Arc<dyn Store>;
