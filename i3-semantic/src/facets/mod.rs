//! The facet index: a set of things for each value of each facet.
//!
//! Things have a number of their own here, their *slot*, which is given to another thing once it is free; it never
//! leaves this module. A question is answered under one lock: the sets of its clauses are intersected, smallest
//! first, what numbers must hold is looked up for those that are left, and the first of these in the wanted order
//! are kept. What a thing is found by is kept beside it, so it can be taken out without being described again.

mod analysis;
mod columns;
mod count;
mod geo;
mod held;
mod ontology;
mod orders;
mod rank;
mod search;
mod terms;

use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::HashTable;
use i3_core::money::Currency;
use roaring::RoaringBitmap;
use sha2::{Digest as _, Sha256};

pub(crate) use analysis::{Analysed, measured, rating_key};
pub use analysis::{Classes, Impossible};
pub(crate) use geo::distance;
pub use ontology::OntologyClasses;

use crate::hashing::RandomState;
use crate::text::{TextIndex, Weighted};
use columns::Columns;
use held::Held;
use orders::{Orders, Place};
use terms::Terms;

/// What a term is a value of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Dimension {
    Facet(crate::description::Facet),
    /// An attribute together with its unit.
    Measured,
}

impl Dimension {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Facet(facet) => facet.as_str(),
            Self::Measured => "measured",
        }
    }
}

/// A price of one message, for people and for questions.
pub(crate) fn price_text(nanos: u64, currency: Currency) -> String {
    let part = format!("{:09}", nanos % 1_000_000_000);
    let part = part.trim_end_matches('0');
    let point = if part.is_empty() { "" } else { "." };
    format!("{}{point}{part} {}", nanos / 1_000_000_000, currency.code())
}

/// A thing in the index. There are very many, so it is kept small.
#[derive(Debug)]
struct Thing {
    id: Arc<str>,
    held: Held,
}

impl Thing {
    fn terms(&self) -> impl Iterator<Item = u32> {
        self.held.terms()
    }

    /// The terms of the classes that were said of it.
    fn kinds(&self) -> impl Iterator<Item = u32> {
        self.held.kinds()
    }

    fn words(&self) -> impl Iterator<Item = Weighted> {
        self.held.words().map(Weighted::from_bits)
    }
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct FacetIndex {
    things: Vec<Option<Thing>>,
    free: Vec<u32>,
    /// By the ids of what is in them.
    slots: HashTable<u32>,
    hasher: RandomState,
    live: RoaringBitmap,
    terms: Terms,
    text: TextIndex,
    columns: Columns,
    orders: Orders,
}

fn place(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

/// Makes room for one more, for an eighth more than there are: twice as much would be for nothing most of the time.
fn make_room<T>(column: &mut Vec<T>) {
    if column.len() == column.capacity() {
        column.reserve_exact((column.len() / 8).max(16));
    }
}

fn thing(things: &[Option<Thing>], slot: u32) -> Option<&Thing> {
    things.get(place(slot))?.as_ref()
}

/// Where things are in the orders, by what is kept of them.
struct Places<'a> {
    things: &'a [Option<Thing>],
    columns: &'a Columns,
}

impl Places<'_> {
    fn newest(&self, slot: u32) -> Place<'_> {
        let id = thing(self.things, slot).map_or("", |thing| &thing.id);
        (0, self.columns.created(slot).saturating_neg(), id)
    }

    fn best_rated(&self, slot: u32) -> Place<'_> {
        let (_, age, id) = self.newest(slot);
        (self.columns.rating(slot).saturating_neg(), age, id)
    }
}

impl FacetIndex {
    /// How many things there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The ids of all things, in no order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.live.iter().filter_map(|slot| Some(&self.thing(slot)?.id))
    }

    /// How many terms and words there are.
    pub(crate) fn vocabulary(&self) -> (usize, usize) {
        (self.terms.len(), self.text.len())
    }

    fn thing(&self, slot: u32) -> Option<&Thing> {
        thing(&self.things, slot)
    }

    fn places(&self) -> Places<'_> {
        Places { things: &self.things, columns: &self.columns }
    }

    /// Puts a thing in, in place of the one with its id.
    pub(crate) fn insert(&mut self, analysed: Analysed) {
        self.remove(&analysed.id);
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => u32::try_from(self.things.len()).unwrap_or(u32::MAX),
        };
        let terms = analysed.terms.iter().map(|(dimension, text)| self.terms.insert(*dimension, text, slot));
        let terms: Vec<u32> = terms.collect();
        let kind = Dimension::Facet(crate::description::Facet::Kind);
        let kinds = analysed.kinds.iter().filter_map(|class| self.terms.find(kind, class));
        let kinds = kinds.collect();
        let words = self.text.insert(slot, &analysed.words).into_iter().map(Weighted::to_bits).collect();
        self.columns.set(slot, &analysed.numbers, analysed.title);
        let hash = self.hasher.hash_one(&*analysed.id);
        let new = Some(Thing { id: analysed.id, held: Held::new(terms, kinds, words) });
        if let Some(freed) = self.things.get_mut(place(slot)) {
            *freed = new;
        } else {
            make_room(&mut self.things);
            self.things.push(new);
        }
        let (things, hasher) = (&self.things, &self.hasher);
        let rehash = |slot: &u32| hasher.hash_one(thing(things, *slot).map_or("", |thing| &thing.id));
        self.slots.insert_unique(hash, slot, rehash);
        self.orders.insert(slot, &Places { things, columns: &self.columns });
        self.live.insert(slot);
    }

    /// Takes a thing out, and says whether it was there.
    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let hash = self.hasher.hash_one(id);
        let things = &self.things;
        let is_it = |slot: &u32| thing(things, *slot).is_some_and(|thing| *thing.id == *id);
        let Ok(entry) = self.slots.find_entry(hash, is_it) else { return false };
        let (slot, _) = entry.remove();
        self.orders.remove(slot, &Places { things, columns: &self.columns });
        self.live.remove(slot);
        if let Some(thing) = self.things.get_mut(place(slot)).and_then(Option::take) {
            for term in thing.terms() {
                self.terms.remove(term, slot);
            }
            self.text.remove(slot, thing.words());
        }
        self.columns.clear(slot);
        self.free.push(slot);
        true
    }

    /// What was put in under this id, put together again from the index.
    fn analysed(&self, slot: u32) -> Option<Analysed> {
        let thing = self.thing(slot)?;
        let (numbers, title) = self.columns.get(slot)?;
        let mut words = self.text.words(thing.words());
        words.sort();
        Some(Analysed {
            id: thing.id.clone(),
            terms: thing.terms().filter_map(|term| self.terms.get(term)).collect(),
            kinds: thing.kinds().filter_map(|term| self.terms.get(term)).map(|(_, class)| class).collect(),
            words,
            numbers,
            title,
        })
    }

    /// A digest of all that the index holds, put together from what it answers with.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let things = self.live.iter().filter_map(|slot| self.analysed(slot));
        digest_of(things.map(|thing| (thing.id.clone(), thing.digest())).collect())
    }
}

/// The digest of an index of these things.
pub(crate) fn digest_of(mut things: Vec<(Arc<str>, [u8; 32])>) -> [u8; 32] {
    things.sort();
    let mut hash = Sha256::new();
    hash.update(b"i3 index 1\n");
    for (id, digest) in things {
        hash.update(u64::try_from(id.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(id.as_bytes());
        hash.update(digest);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod against_sparql;
#[cfg(test)]
mod many;
#[cfg(test)]
mod tests;
