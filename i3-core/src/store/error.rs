//! How storage fails.

use std::error::Error as StdError;
use std::fmt;

use super::{Key, Units};

/// Whether a write that failed may have been applied all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Applied {
    /// Certainly not.
    No,
    /// Perhaps: run the same command again, its receipt tells.
    Unknown,
}

/// The kinds of storage failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store cannot be reached or answers with an I/O error.
    Unavailable,
    /// The store is in use by another process, or more is asked of it than it takes in time.
    Busy,
    /// The data were written by a newer version of this software, or under another schema.
    Incompatible,
    /// What is stored cannot be what was written.
    Corrupt,
    /// The location or the permission to use it is wrong.
    Misconfigured,
    /// The store was being filled by a copy, import or replay that is not finished.
    Unfinished,
    /// The request is not one that this store knows, for instance an undeclared collection.
    Unsupported,
}

impl StoreErrorKind {
    /// A stable code for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unavailable => "store_unavailable",
            Self::Busy => "store_busy",
            Self::Incompatible => "store_incompatible",
            Self::Corrupt => "store_corrupt",
            Self::Misconfigured => "store_misconfigured",
            Self::Unfinished => "store_unfinished",
            Self::Unsupported => "store_unsupported",
        }
    }
}

/// A failure of the store, as opposed to an answer of the domain.
pub struct StoreError {
    kind: StoreErrorKind,
    applied: Applied,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// A failure before anything was written. The message says what to do where it can.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, applied: Applied::No, message: message.into(), source: None }
    }

    /// The same failure with its cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same failure of a write that may have been applied.
    pub fn outcome_unknown(mut self) -> Self {
        self.applied = Applied::Unknown;
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether the write may have been applied.
    pub fn applied(&self) -> Applied {
        self.applied
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreError")
            .field("kind", &self.kind)
            .field("applied", &self.applied)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Why a batch was not applied.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The precondition of this operation does not hold: read again, decide again.
    #[error("operation {op} was overtaken by another commit ({key})")]
    Stale {
        /// The first operation that failed.
        op: usize,
        /// Its key.
        key: Key,
    },
    /// The counter would fall below its floor: a business answer.
    #[error("operation {op} would take {key} below its floor (it stands at {now})")]
    Floor {
        /// The first operation that failed.
        op: usize,
        /// Its key.
        key: Key,
        /// What the counter holds.
        now: Units,
    },
    /// The counter would leave the range of [`Units`].
    #[error("operation {op} would take {key} out of range (it stands at {now})")]
    Range {
        /// The first operation that failed.
        op: usize,
        /// Its key.
        key: Key,
        /// What the counter holds.
        now: Units,
    },
    /// The store failed; [`StoreError::applied`] says whether the batch may have been applied.
    #[error(transparent)]
    Store(#[from] StoreError),
}
