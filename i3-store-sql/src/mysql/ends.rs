//! The last entries of the streams that were appended to lately.
//!
//! To find the end of a stream is the dearest question about a key. Nobody changes a stream without moving the
//! clock on, so as long as the clock stands where our own last commit left it, what that commit left is what
//! is stored.

use std::collections::HashMap;

use i3_core::store::{Change, Digest, Key, Kind};

use crate::server::{Catalog, Found, Wanted};

/// Streams that are remembered.
const MOST: usize = 20_000;

/// What is remembered, by the places of the collections.
#[derive(Debug, Default)]
pub(super) struct Ends {
    clock: Option<u64>,
    ends: Vec<HashMap<String, (u64, Digest)>>,
    count: usize,
}

impl Ends {
    /// Whether what is remembered is what is stored when the clock stands here.
    pub(super) fn hold_at(&self, clock: u64) -> bool {
        self.clock == Some(clock) || self.count == 0
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Takes from what is wanted the streams whose ends are remembered.
    pub(super) fn take_known<'k>(&self, wanted: &mut [Wanted<'k>]) -> Vec<Wanted<'k>> {
        let mut all = Vec::new();
        for (place, collection, ids) in wanted {
            let Some(ends) = self.ends.get(*place).filter(|_| collection.kind == Kind::Streams) else {
                continue;
            };
            let known: Vec<&str> = ids.extract_if(.., |id| ends.contains_key(*id)).collect();
            if !known.is_empty() {
                all.push((*place, *collection, known));
            }
        }
        all
    }

    /// The end of a stream that is remembered.
    pub(super) fn found(&self, place: usize, id: &str) -> Option<Found> {
        let (position, link) = self.ends.get(place)?.get(id)?;
        let number = i64::try_from(*position).ok()?;
        Some(Found { place, id: id.to_owned(), number, text: Some(link.to_string()) })
    }

    /// Remembers what was committed, after which the clock stands here.
    pub(super) fn committed(&mut self, catalog: &Catalog, changes: &[(Key, Change)], clock: u64) {
        if self.count > MOST {
            self.forget();
        }
        self.clock = Some(clock);
        self.ends.resize_with(catalog.collections().len(), HashMap::new);
        for (key, change) in changes {
            let Change::Append { first, entries } = change else { continue };
            let last = u64::try_from(entries.len()).ok().and_then(|count| (first + count).checked_sub(1));
            let ends = catalog.place(key.collection()).ok().and_then(|place| self.ends.get_mut(place));
            if let (Some(position), Some((_, link)), Some(ends)) = (last, entries.last(), ends)
                && ends.insert(key.id().to_owned(), (position, *link)).is_none()
            {
                self.count += 1;
            }
        }
    }
}
