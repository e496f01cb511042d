//! The orders that are asked for most, kept sorted.
//!
//! Where much was found, the first of an order are found soon by going along it; where little was found, by a look at
//! each. Neither takes long, however many things there are.

use std::mem;

use roaring::RoaringBitmap;

use super::Places;
use super::search::After;

/// A thing's place in an order: its key, its age, its id; see [`rank`](super::rank).
pub(super) type Place<'a> = (i64, i64, &'a str);

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Orders {
    pub(super) newest: Order,
    pub(super) best_rated: Order,
}

impl Orders {
    /// Puts a thing in, whose places are known.
    pub(super) fn insert(&mut self, slot: u32, places: &Places<'_>) {
        self.newest.insert(slot, |slot| places.newest(slot));
        self.best_rated.insert(slot, |slot| places.best_rated(slot));
    }

    /// Takes a thing out, whose places are known still.
    pub(super) fn remove(&mut self, slot: u32, places: &Places<'_>) {
        self.newest.remove(slot, |slot| places.newest(slot));
        self.best_rated.remove(slot, |slot| places.best_rated(slot));
    }
}

/// A step along an order costs about so many looks at a thing.
const STEP: u64 = 4;

/// The most slots of a block; a full one is cut in two.
const BLOCK: usize = 512;

/// Slots by their places, in blocks of which none is empty. No two things have one place.
#[derive(Debug, Default)]
pub(super) struct Order {
    blocks: Vec<Vec<u32>>,
    len: usize,
}

impl Order {
    /// The block whose last place is the first from this one on; the last block if there is none.
    fn block<'p>(&self, of: Place<'_>, place: impl Fn(u32) -> Place<'p>) -> usize {
        let before = |block: &Vec<u32>| block.last().is_some_and(|last| place(*last) < of);
        self.blocks.partition_point(before).min(self.blocks.len().saturating_sub(1))
    }

    fn insert<'p>(&mut self, slot: u32, place: impl Fn(u32) -> Place<'p>) {
        let of = place(slot);
        let number = self.block(of, &place);
        self.len = self.len.saturating_add(1);
        let Some(block) = self.blocks.get_mut(number) else {
            self.blocks.push(vec![slot]);
            return;
        };
        let at = block.partition_point(|other| place(*other) < of);
        block.insert(at, slot);
        if block.len() >= BLOCK {
            let later = block.split_off(BLOCK / 2);
            block.shrink_to_fit();
            self.blocks.insert(number.saturating_add(1), later);
        }
    }

    fn remove<'p>(&mut self, slot: u32, place: impl Fn(u32) -> Place<'p>) {
        let of = place(slot);
        let number = self.block(of, &place);
        let Some(block) = self.blocks.get_mut(number) else { return };
        let at = block.partition_point(|other| place(*other) < of);
        if block.get(at) != Some(&slot) {
            return;
        }
        block.remove(at);
        self.len = self.len.saturating_sub(1);
        if block.is_empty() {
            self.blocks.remove(number);
        }
    }

    /// All after this place.
    fn after<'p>(
        &self,
        last: Option<Place<'_>>,
        place: impl Fn(u32) -> Place<'p>,
    ) -> impl Iterator<Item = u32> {
        let (mut number, mut at) = (0, 0);
        if let Some(last) = last {
            number = self.block(last, &place);
            at =
                self.blocks.get(number).map_or(0, |block| block.partition_point(|slot| place(*slot) <= last));
        }
        let blocks = self.blocks.get(number..).unwrap_or_default().iter();
        blocks.flat_map(move |block| block.get(mem::take(&mut at)..).unwrap_or_default()).copied()
    }

    /// The first of what was found; nothing if a look at each costs less.
    pub(super) fn first<'p>(
        &self,
        found: &RoaringBitmap,
        after: After<'_>,
        limit: usize,
        place: impl Fn(u32) -> Place<'p>,
    ) -> Option<Vec<u32>> {
        let [all, wanted] = [self.len, limit].map(|count| u64::try_from(count).unwrap_or(u64::MAX));
        // If what was found is spread evenly, one of every `all / found` places is of it.
        let steps = wanted.saturating_mul(all).checked_div(found.len())?;
        if steps.saturating_mul(STEP) > found.len() {
            return None;
        }
        let after = after.map(|(key, created, id)| (key, created.saturating_neg(), &**id));
        let mut slots = Vec::with_capacity(limit);
        // If it is not, a look at each comes no more than twice as dear as without these steps.
        let mut left = found.len() / STEP;
        for slot in self.after(after, place) {
            if slots.len() >= limit {
                break;
            }
            left = left.checked_sub(1)?;
            if found.contains(slot) {
                slots.push(slot);
            }
        }
        Some(slots)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_order_is_as_a_sorted_set(
            steps in prop::collection::vec((0..3_000_u32, 0..4_u8), 0..4_000),
            from in 0..3_000_u32,
        ) {
            let ids: Vec<String> = (0..3_000).map(|slot: u32| format!("{:04}", slot.wrapping_mul(7_919) % 3_000)).collect();
            let place = |slot: u32| -> Place<'_> {
                (i64::from(slot % 5), i64::from(slot % 11), &ids[usize::try_from(slot).unwrap()])
            };
            let (mut order, mut model) = (Order::default(), BTreeSet::new());
            for (slot, step) in steps {
                if step == 0 {
                    if model.remove(&(place(slot), slot)) {
                        order.remove(slot, place);
                    }
                } else if model.insert((place(slot), slot)) {
                    order.insert(slot, place);
                }
            }
            prop_assert_eq!(order.len, model.len());
            prop_assert!(order.blocks.iter().all(|block| !block.is_empty() && block.len() < BLOCK));
            let all: Vec<u32> = model.iter().map(|(_, slot)| *slot).collect();
            prop_assert_eq!(order.after(None, place).collect::<Vec<_>>(), all);
            let after: Vec<u32> =
                model.iter().filter(|(at, _)| *at > place(from)).map(|(_, slot)| *slot).collect();
            prop_assert_eq!(order.after(Some(place(from)), place).collect::<Vec<_>>(), after);
        }
    }
}
