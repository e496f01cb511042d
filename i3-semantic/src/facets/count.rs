//! How many of what was found have which value.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use roaring::RoaringBitmap;

use super::{Dimension, FacetIndex, Thing};
use crate::description::Facet;
use crate::discovery::{Count, FacetCounts};

/// Up to so many things it costs less to look at each than at the set of each value.
const FEW: u64 = 500;

impl FacetIndex {
    /// The most frequent values of a facet among what was found; values as frequent are in the order of their text.
    pub(super) fn counts(&self, facet: Facet, found: &RoaringBitmap, limit: usize) -> FacetCounts {
        let dimension = Dimension::Facet(facet);
        let (numbers, more) = if found.len() <= FEW {
            self.counted_by_thing(dimension, found, limit)
        } else {
            self.counted_by_value(dimension, found, limit)
        };
        let value = |(count, term): (u64, u32)| self.terms.get(term).map(|(_, value)| Count { value, count });
        FacetCounts { facet, values: numbers.into_iter().filter_map(value).collect(), more }
    }

    fn counted_by_thing(
        &self,
        dimension: Dimension,
        found: &RoaringBitmap,
        limit: usize,
    ) -> (Vec<(u64, u32)>, bool) {
        let mut counts: HashMap<u32, u64> = HashMap::new();
        for slot in found {
            for term in self.thing(slot).into_iter().flat_map(Thing::terms) {
                if self.terms.is_of(term, dimension) {
                    *counts.entry(term).or_default() += 1;
                }
            }
        }
        let mut first = self.first_counts(limit);
        for (term, count) in counts {
            first.offer(count, term);
        }
        first.done()
    }

    fn counted_by_value(
        &self,
        dimension: Dimension,
        found: &RoaringBitmap,
        limit: usize,
    ) -> (Vec<(u64, u32)>, bool) {
        let mut values: Vec<(u64, u32, &RoaringBitmap)> =
            self.terms.of(dimension).map(|(term, _, slots)| (slots.len(), term, slots)).collect();
        values.sort_unstable_by_key(|(all, ..)| Reverse(*all));
        let mut first = self.first_counts(limit);
        for (all, term, slots) in values {
            // A value cannot be had by more of those found than have it at all.
            if first.is_settled(all) {
                break;
            }
            first.offer(slots.intersection_len(found), term);
        }
        first.done()
    }

    fn first_counts(&self, limit: usize) -> FirstCounts<'_> {
        FirstCounts { index: self, limit, heap: BinaryHeap::new(), more: false }
    }
}

/// Keeps the most frequent.
struct FirstCounts<'a> {
    index: &'a FacetIndex,
    limit: usize,
    heap: BinaryHeap<(Reverse<u64>, std::sync::Arc<str>, u32)>,
    more: bool,
}

impl FirstCounts<'_> {
    fn offer(&mut self, count: u64, term: u32) {
        if count == 0 {
            return;
        }
        let Some((_, text)) = self.index.terms.get(term) else { return };
        self.heap.push((Reverse(count), text, term));
        if self.heap.len() > self.limit {
            self.heap.pop();
            self.more = true;
        }
    }

    /// Whether nothing with at most so many can get in any more, and it is known that there are more.
    fn is_settled(&self, most: u64) -> bool {
        self.more && self.heap.peek().is_some_and(|(Reverse(last), ..)| most < *last)
    }

    fn done(self) -> (Vec<(u64, u32)>, bool) {
        let sorted = self.heap.into_sorted_vec();
        (sorted.into_iter().map(|(Reverse(count), _, term)| (count, term)).collect(), self.more)
    }
}
