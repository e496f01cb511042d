//! The orders that are asked for most, kept sorted.
//!
//! Where much was found, the first of an order are found soon by going along it; where little was found, by a look at
//! each. Neither takes long, however many things there are.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::analysis::Numbers;
use super::search::After;

/// A thing's place in an order; see [`rank`](super::rank).
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    key: i64,
    age: i64,
    id: Arc<str>,
    slot: u32,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Orders {
    newest: BTreeSet<Place>,
    best_rated: BTreeSet<Place>,
}

/// A step along an order costs about so many looks at a thing.
const STEP: u64 = 4;

impl Orders {
    pub(super) fn insert(&mut self, slot: u32, id: &Arc<str>, numbers: &Numbers) {
        let [newest, best_rated] = places(slot, id, numbers);
        self.newest.insert(newest);
        self.best_rated.insert(best_rated);
    }

    pub(super) fn remove(&mut self, slot: u32, id: &Arc<str>, numbers: &Numbers) {
        let [newest, best_rated] = places(slot, id, numbers);
        self.newest.remove(&newest);
        self.best_rated.remove(&best_rated);
    }

    /// The first of what was found, newest first; nothing if a look at each costs less.
    pub(super) fn newest(&self, found: &RoaringBitmap, after: After<'_>, limit: usize) -> Option<Vec<u32>> {
        first(&self.newest, found, after, limit)
    }

    /// The same, best rated first.
    pub(super) fn best_rated(
        &self,
        found: &RoaringBitmap,
        after: After<'_>,
        limit: usize,
    ) -> Option<Vec<u32>> {
        first(&self.best_rated, found, after, limit)
    }
}

fn places(slot: u32, id: &Arc<str>, numbers: &Numbers) -> [Place; 2] {
    let place = |key| Place { key, age: numbers.created.saturating_neg(), id: id.clone(), slot };
    [place(0), place(numbers.rating.saturating_neg())]
}

fn first(order: &BTreeSet<Place>, found: &RoaringBitmap, after: After<'_>, limit: usize) -> Option<Vec<u32>> {
    let [all, wanted] = [order.len(), limit].map(|count| u64::try_from(count).unwrap_or(u64::MAX));
    // If what was found is spread evenly, one of every `all / found` places is of it.
    let steps = wanted.saturating_mul(all).checked_div(found.len())?;
    if steps.saturating_mul(STEP) > found.len() {
        return None;
    }
    let from = after.map_or(Bound::Unbounded, |(key, created, id)| {
        Bound::Excluded(Place { key, age: created.saturating_neg(), id: id.clone(), slot: u32::MAX })
    });
    let mut slots = Vec::with_capacity(limit);
    // If it is not, a look at each comes no more than twice as dear as without these steps.
    let mut left = found.len() / STEP;
    for place in order.range((from, Bound::Unbounded)) {
        if slots.len() >= limit {
            break;
        }
        left = left.checked_sub(1)?;
        if found.contains(place.slot) {
            slots.push(place.slot);
        }
    }
    Some(slots)
}
