//! Whether anything has changed: what lets others keep what they made of data.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use super::{Batch, Collection, Op};

/// What some collections of a store were at one moment; see [`Store::revision`](super::Store::revision). It has no meaning but
/// that it is equal to another of the same collections and the same open store, or not, and none after the store was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision(u64);

/// Counts the changes of each collection, for a backend that alone writes to its data.
#[derive(Debug, Default)]
pub struct Revisions {
    changes: RwLock<BTreeMap<&'static str, u64>>,
}

impl Revisions {
    /// These batches may have changed what they write to. To be called once reads can see it, and before any of the commits
    /// returns; also if nobody knows whether it was written.
    pub fn changed<'a>(&self, batches: impl IntoIterator<Item = &'a Batch>) {
        let mut changes = self.changes.write().unwrap_or_else(PoisonError::into_inner);
        for op in batches.into_iter().flat_map(Batch::ops) {
            if !matches!(op, Op::Require { .. }) {
                let count = changes.entry(op.key().collection().name).or_default();
                *count = count.wrapping_add(1);
            }
        }
    }

    /// What these collections are now. Counts only rise, so equal sums are sums of equal counts.
    pub fn of(&self, collections: &[&Collection]) -> Revision {
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        let counts = collections.iter().filter_map(|collection| changes.get(collection.name));
        Revision(counts.fold(0, |sum, count| sum.wrapping_add(*count)))
    }
}
