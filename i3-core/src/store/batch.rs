//! Batches: what a commit is asked to do.

use std::collections::BTreeSet;

use super::{Body, Collection, Digest, InvalidBody, InvalidKey, Key, Kind, Units, Value, Version, limits};

/// A record as it is to be stored: key, body, and the values of the collection's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    key: Key,
    values: Vec<Option<Value>>,
    body: Body,
}

impl Draft {
    /// A record with one value (or none) for each declared column, in their order.
    pub fn new(
        collection: &'static Collection,
        id: &str,
        values: Vec<Option<Value>>,
        body: impl Into<Box<str>>,
    ) -> Result<Self, BatchError> {
        let key = Key::new(collection, id)?;
        let fits = collection.columns.len() == values.len()
            && collection.columns.iter().zip(&values).all(|(column, value)| {
                value.as_ref().is_none_or(|value| value.kind() == column.kind && value.is_storable())
            });
        if collection.kind != Kind::Records || !fits {
            return Err(BatchError::WrongColumns { key });
        }
        Ok(Self { key, values, body: Body::new(body)? })
    }

    /// Where it is stored.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The values of the columns, in the order of the collection's declaration.
    pub fn values(&self) -> &[Option<Value>] {
        &self.values
    }

    /// The content.
    pub fn body(&self) -> &Body {
        &self.body
    }
}

/// One operation with its precondition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// Stores a new record; stale if the key is taken.
    Create(Draft),
    /// Stores a record in place of one of this version; stale if that is not the present one.
    Replace {
        /// The version that was read.
        expect: Version,
        /// What to store.
        with: Draft,
    },
    /// Removes a record of this version; stale if that is not the present one.
    Remove {
        /// The record.
        key: Key,
        /// The version that was read.
        expect: Version,
    },
    /// Changes nothing; stale if the record's version is not this one.
    Require {
        /// The record.
        key: Key,
        /// The version that was read.
        expect: Version,
    },
    /// Adds to a counter, which starts at zero. Refused if a negative change would take it below the
    /// floor, or any change out of the range of [`Units`].
    Adjust {
        /// The counter.
        counter: Key,
        /// What to add.
        by: Units,
        /// Where a fall must stop. A rise is never refused by it.
        floor: Units,
    },
    /// Adds an entry to a stream's end.
    Append {
        /// The stream.
        stream: Key,
        /// The entry.
        body: Body,
    },
}

impl Op {
    /// The key that the operation is about.
    pub fn key(&self) -> &Key {
        match self {
            Self::Create(draft) | Self::Replace { with: draft, .. } => &draft.key,
            Self::Remove { key, .. } | Self::Require { key, .. } => key,
            Self::Adjust { counter, .. } => counter,
            Self::Append { stream, .. } => stream,
        }
    }

    fn body(&self) -> Option<&Body> {
        match self {
            Self::Create(draft) | Self::Replace { with: draft, .. } => Some(&draft.body),
            Self::Append { body, .. } => Some(body),
            _ => None,
        }
    }

    const fn wants(&self) -> Kind {
        match self {
            Self::Adjust { .. } => Kind::Counters,
            Self::Append { .. } => Kind::Streams,
            _ => Kind::Records,
        }
    }
}

/// A batch that a store would not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// See [`InvalidKey`].
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// See [`InvalidBody`].
    #[error(transparent)]
    Body(#[from] InvalidBody),
    /// The values are not those that the collection declares, or too long.
    #[error("{key}: the values do not fit the collection's columns")]
    WrongColumns {
        /// The record.
        key: Key,
    },
    /// The operation is not one for this kind of collection.
    #[error("{key}: the operation does not fit the kind of the collection")]
    WrongKind {
        /// What it was asked for.
        key: Key,
    },
    /// A record or counter appears twice.
    #[error("{key}: more than one operation in one batch")]
    Repeated {
        /// What appears twice.
        key: Key,
    },
    /// There is nothing to do, or more than [`limits::BATCH_OPS`] or [`limits::BATCH_BYTES`] allow.
    #[error("a batch has 1 to {} operations and at most {} bytes", limits::BATCH_OPS, limits::BATCH_BYTES)]
    Size,
}

/// Operations that are applied all together or not at all. Built by [`Batch::of`] or [`BatchBuilder`];
/// every record and counter appears at most once, a stream may be appended to several times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    ops: Vec<Op>,
}

impl Batch {
    /// A batch of these operations.
    pub fn of(ops: Vec<Op>) -> Result<Self, BatchError> {
        let bytes: usize = ops.iter().filter_map(Op::body).map(|body| body.as_str().len()).sum();
        if ops.is_empty() || ops.len() > limits::BATCH_OPS || bytes > limits::BATCH_BYTES {
            return Err(BatchError::Size);
        }
        let mut seen = BTreeSet::new();
        for op in &ops {
            let key = op.key();
            if key.collection().kind != op.wants() {
                return Err(BatchError::WrongKind { key: key.clone() });
            }
            if !matches!(op, Op::Append { .. }) && !seen.insert(key) {
                return Err(BatchError::Repeated { key: key.clone() });
            }
        }
        Ok(Self { ops })
    }

    /// The operations, in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }
}

/// Collects operations for a [`Batch`].
#[derive(Debug, Default)]
pub struct BatchBuilder {
    ops: Vec<Op>,
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds any operation.
    pub fn op(mut self, op: Op) -> Self {
        self.ops.push(op);
        self
    }

    /// See [`Op::Create`].
    pub fn create(self, draft: Draft) -> Self {
        self.op(Op::Create(draft))
    }

    /// See [`Op::Replace`].
    pub fn replace(self, expect: Version, with: Draft) -> Self {
        self.op(Op::Replace { expect, with })
    }

    /// See [`Op::Remove`].
    pub fn remove(self, key: Key, expect: Version) -> Self {
        self.op(Op::Remove { key, expect })
    }

    /// See [`Op::Require`].
    pub fn require(self, key: Key, expect: Version) -> Self {
        self.op(Op::Require { key, expect })
    }

    /// See [`Op::Adjust`].
    pub fn adjust(self, counter: Key, by: Units, floor: Units) -> Self {
        self.op(Op::Adjust { counter, by, floor })
    }

    /// See [`Op::Append`].
    pub fn append(self, stream: Key, body: Body) -> Self {
        self.op(Op::Append { stream, body })
    }

    /// The batch.
    pub fn build(self) -> Result<Batch, BatchError> {
        Batch::of(self.ops)
    }
}

/// What one operation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The record has this version now.
    Written(Version),
    /// The record is gone.
    Removed,
    /// The guard held.
    Held,
    /// The counter holds this now.
    Adjusted(Units),
    /// The entry has this number and this link.
    Appended {
        /// Its number.
        position: u64,
        /// Its link.
        link: Digest,
    },
}

/// What a batch did: one outcome for each operation, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The outcomes.
    pub outcomes: Vec<Outcome>,
}
