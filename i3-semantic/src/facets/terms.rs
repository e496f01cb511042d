//! The terms: which things have which value of which facet.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::{Dimension, place};
use crate::hashing::Map;

#[derive(Debug)]
struct Term {
    dimension: Dimension,
    text: Arc<str>,
    slots: RoaringBitmap,
}

/// See the [module](self). A term that nothing has any more is forgotten.
#[derive(Debug, Default)]
pub(super) struct Terms {
    known: Map<Dimension, Map<Arc<str>, u32>>,
    all: Vec<Option<Term>>,
    free: Vec<u32>,
}

impl Terms {
    /// Says that a thing has a value, and names the term.
    pub(super) fn insert(&mut self, dimension: Dimension, text: &Arc<str>, slot: u32) -> u32 {
        if let Some(number) = self.find(dimension, text) {
            if let Some(Some(term)) = self.all.get_mut(place(number)) {
                term.slots.insert(slot);
            }
            return number;
        }
        let term = Some(Term { dimension, text: text.clone(), slots: RoaringBitmap::from([slot]) });
        let number = match self.free.pop() {
            Some(number) => number,
            None => u32::try_from(self.all.len()).unwrap_or(u32::MAX),
        };
        match self.all.get_mut(place(number)) {
            Some(freed) => *freed = term,
            None => self.all.push(term),
        }
        self.known.entry(dimension).or_default().insert(text.clone(), number);
        number
    }

    /// Says that a thing has a value no more.
    pub(super) fn remove(&mut self, number: u32, slot: u32) {
        let Some(entry) = self.all.get_mut(place(number)) else { return };
        let Some(term) = entry else { return };
        term.slots.remove(slot);
        if term.slots.is_empty()
            && let Some(term) = entry.take()
        {
            if let Some(known) = self.known.get_mut(&term.dimension) {
                known.remove(&term.text);
            }
            self.free.push(number);
        }
    }

    /// The term of a value, if anything has it.
    pub(super) fn find(&self, dimension: Dimension, text: &str) -> Option<u32> {
        self.known.get(&dimension)?.get(text).copied()
    }

    /// What has the value, if anything has.
    pub(super) fn slots(&self, dimension: Dimension, text: &str) -> Option<&RoaringBitmap> {
        self.slots_of(self.find(dimension, text)?)
    }

    pub(super) fn slots_of(&self, number: u32) -> Option<&RoaringBitmap> {
        self.all.get(place(number))?.as_ref().map(|term| &term.slots)
    }

    /// A term's value.
    pub(super) fn get(&self, number: u32) -> Option<(Dimension, Arc<str>)> {
        self.all.get(place(number))?.as_ref().map(|term| (term.dimension, term.text.clone()))
    }

    /// Whether a term is a value of this.
    pub(super) fn is_of(&self, number: u32, dimension: Dimension) -> bool {
        self.all.get(place(number)).and_then(Option::as_ref).is_some_and(|term| term.dimension == dimension)
    }

    /// The terms of a facet, with what has them.
    pub(super) fn of(&self, dimension: Dimension) -> impl Iterator<Item = (u32, &Arc<str>, &RoaringBitmap)> {
        let known = self.known.get(&dimension).into_iter().flatten();
        known.filter_map(|(text, number)| Some((*number, text, self.slots_of(*number)?)))
    }

    /// How many terms there are.
    pub(super) fn len(&self) -> usize {
        self.known.values().map(Map::len).sum()
    }
}
