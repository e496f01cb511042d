//! The first of many in an order.
//!
//! Every order ends with "newest first, then by id", so no two things are in the same place and a place says where to
//! go on, whatever came or went since.

use std::collections::BinaryHeap;

/// A thing's place in an order; smaller comes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry<'a, K> {
    key: K,
    age: i64,
    id: &'a str,
    slot: u32,
}

/// Keeps the first so many of those that it is shown.
#[derive(Debug)]
pub(super) struct First<'a, K> {
    limit: usize,
    after: Option<(K, i64, &'a str)>,
    heap: BinaryHeap<Entry<'a, K>>,
}

impl<'a, K: Ord + Copy> First<'a, K> {
    /// The first `limit` of those after a place.
    pub(super) fn new(limit: usize, after: Option<(K, i64, &'a str)>) -> Self {
        let after = after.map(|(key, created, id)| (key, created.saturating_neg(), id));
        Self { limit, after, heap: BinaryHeap::with_capacity(limit.saturating_add(1)) }
    }

    /// Shows a thing. The id is asked for only where it decides.
    pub(super) fn offer(&mut self, key: K, created: i64, slot: u32, id: impl Fn() -> &'a str) {
        let age = created.saturating_neg();
        if let Some(after) = &self.after
            && ((key, age) < (after.0, after.1) || ((key, age) == (after.0, after.1) && id() <= after.2))
        {
            return;
        }
        if self.heap.len() < self.limit {
            self.heap.push(Entry { key, age, id: id(), slot });
            return;
        }
        let Some(mut last) = self.heap.peek_mut() else { return };
        if (key, age) > (last.key, last.age) {
            return;
        }
        let entry = Entry { key, age, id: id(), slot };
        if entry < *last {
            *last = entry;
        }
    }

    /// Their slots, first first.
    pub(super) fn slots(self) -> Vec<u32> {
        self.heap.into_sorted_vec().into_iter().map(|entry| entry.slot).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pages_put_together_are_the_whole_order(
            things in prop::collection::vec((0_i64..4, 0_i64..4), 0..60), limit in 1_usize..9,
        ) {
            let ids: Vec<String> = (0..things.len()).map(|n| format!("{:02}", (n * 37) % 61)).collect();
            let mut whole: Vec<_> =
                things.iter().zip(&ids).map(|((key, created), id)| (*key, -created, id.as_str())).collect();
            whole.sort_unstable();
            let mut seen = Vec::new();
            let mut after = None;
            loop {
                let mut first = First::new(limit, after);
                for (slot, (key, created)) in things.iter().enumerate() {
                    let id = ids[slot].as_str();
                    first.offer(*key, *created, u32::try_from(slot).unwrap(), || id);
                }
                let page = first.slots();
                if page.is_empty() {
                    break;
                }
                for slot in page {
                    let slot = usize::try_from(slot).unwrap();
                    after = Some((things[slot].0, things[slot].1, ids[slot].as_str()));
                    seen.push((things[slot].0, -things[slot].1, ids[slot].as_str()));
                }
            }
            prop_assert_eq!(seen, whole);
        }
    }
}
