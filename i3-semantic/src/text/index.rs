//! An inverted index of words that ranks as BM25 does.
//!
//! What a word says of a thing (BM25's saturated frequency, `k1` 1.2 and `b` 0.75) is put in one of 16 levels when
//! the thing comes in, against a [reference length](super::words::REFERENCE_LENGTH) in place of the mean: so it never changes as
//! other things come and go, and the best of a word are found level by level without a look at the rest. How rare
//! a word is ([`Weights`]) belongs to a question; a cursor keeps it, so pages follow one another without gaps or
//! repetitions whatever comes in between.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::hashing::Map;

/// A word of a thing, with its level: 28 bits and 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weighted(u32);

impl Weighted {
    /// Levels are 1 to 16. `None`: there are 2^28 words already.
    fn new(word: u32, level: u8) -> Option<Self> {
        let level = u32::from(level).checked_sub(1).filter(|level| *level < 16)?;
        (word < 1 << 28).then_some(Self(word << 4 | level))
    }

    /// As [`to_bits`](Self::to_bits) gave it.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(crate) const fn to_bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn word(self) -> u32 {
        self.0 >> 4
    }

    pub(crate) fn level(self) -> u8 {
        u8::try_from((self.0 & 15) + 1).unwrap_or(u8::MAX)
    }
}

/// What is known of a word.
#[derive(Debug, Default)]
struct Posting {
    word: Arc<str>,
    /// Who holds it, by level, highest first. Nobody is in two levels of a word.
    levels: Vec<(u8, RoaringBitmap)>,
    /// Who holds it, if there is more than one level.
    all: RoaringBitmap,
}

impl Posting {
    fn all(&self) -> &RoaringBitmap {
        match self.levels.as_slice() {
            [(_, only)] => only,
            _ => &self.all,
        }
    }

    fn insert(&mut self, slot: u32, level: u8) {
        match self.levels.binary_search_by(|(known, _)| level.cmp(known)) {
            Ok(at) => {
                if let Some((_, slots)) = self.levels.get_mut(at) {
                    slots.insert(slot);
                }
            }
            Err(at) => {
                if let [(_, only)] = self.levels.as_slice() {
                    self.all = only.clone();
                }
                self.levels.insert(at, (level, RoaringBitmap::from([slot])));
            }
        }
        if self.levels.len() > 1 {
            self.all.insert(slot);
        }
    }

    fn remove(&mut self, slot: u32, level: u8) {
        if let Some((_, slots)) = self.levels.iter_mut().find(|(known, _)| *known == level) {
            slots.remove(slot);
        }
        self.levels.retain(|(_, slots)| !slots.is_empty());
        if self.levels.len() > 1 {
            self.all.remove(slot);
        } else {
            self.all = RoaringBitmap::new();
        }
    }
}

/// How much each word of a question weighs: its rarity in 256ths of a power of two.
pub(crate) type Weights = Vec<u32>;

/// The binary logarithm of a number from 1 on in 256ths, with straight lines between powers of two.
fn log2(number: u64) -> u32 {
    let whole = number.checked_ilog2().unwrap_or(0);
    let part = ((u128::from(number) << 8) >> whole) & 255;
    whole * 256 + u32::try_from(part).unwrap_or(0)
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct TextIndex {
    known: Map<Arc<str>, u32>,
    postings: Vec<Posting>,
    free: Vec<u32>,
}

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl TextIndex {
    fn posting(&self, word: u32) -> Option<&Posting> {
        self.postings.get(place(word))
    }

    /// What is not found by a word, because there are too many, is left out of what is given back.
    pub(crate) fn insert(&mut self, slot: u32, words: &[(Arc<str>, u8)]) -> Vec<Weighted> {
        let mut held = Vec::with_capacity(words.len());
        for (text, level) in words {
            let word = self.word(text);
            let Some(posting) = self.postings.get_mut(place(word)) else { continue };
            let Some(weighted) = Weighted::new(word, *level) else { continue };
            posting.insert(slot, *level);
            held.push(weighted);
        }
        held
    }

    fn word(&mut self, text: &Arc<str>) -> u32 {
        if let Some(word) = self.known.get(text) {
            return *word;
        }
        let posting = Posting { word: text.clone(), levels: Vec::with_capacity(1), ..Posting::default() };
        let word = match self.free.pop() {
            Some(word) => word,
            None => u32::try_from(self.postings.len()).unwrap_or(u32::MAX),
        };
        match self.postings.get_mut(place(word)) {
            Some(freed) => *freed = posting,
            None => self.postings.push(posting),
        }
        self.known.insert(text.clone(), word);
        word
    }

    pub(crate) fn remove(&mut self, slot: u32, words: impl Iterator<Item = Weighted>) {
        for held in words {
            let Some(posting) = self.postings.get_mut(place(held.word())) else { continue };
            posting.remove(slot, held.level());
            if posting.levels.is_empty() {
                self.known.remove(&posting.word);
                *posting = Posting::default();
                self.free.push(held.word());
            }
        }
    }

    /// The text of a word.
    pub(crate) fn text(&self, word: u32) -> Option<&Arc<str>> {
        self.posting(word).map(|posting| &posting.word)
    }

    /// The words of a thing as they were put in.
    pub(crate) fn words(&self, held: impl Iterator<Item = Weighted>) -> Vec<(Arc<str>, u8)> {
        held.filter_map(|held| Some((self.text(held.word())?.clone(), held.level()))).collect()
    }

    /// The word of a text, if anything holds it.
    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        self.known.get(text).copied()
    }

    /// How many hold a word.
    pub(crate) fn frequency(&self, word: u32) -> u64 {
        self.posting(word).map_or(0, |posting| posting.all().len())
    }

    /// How much words weigh among so many things.
    pub(crate) fn weights(&self, words: &[u32], things: u64) -> Weights {
        let all = log2(2 * things + 2);
        // (things + 1) / (frequency + 1/2): BM25's rarity.
        words.iter().map(|word| all.saturating_sub(log2(2 * self.frequency(*word) + 1)).max(1)).collect()
    }

    /// What holds a word.
    pub(crate) fn holding(&self, word: u32) -> Option<&RoaringBitmap> {
        self.posting(word).map(Posting::all)
    }

    /// What holds a word, by level from the highest on.
    pub(crate) fn levels(&self, word: u32) -> &[(u8, RoaringBitmap)] {
        self.posting(word).map_or(&[], |posting| &posting.levels)
    }

    /// The scores of slots, in their order: of each word its weight times its level, in all.
    pub(crate) fn scores(&self, slots: &RoaringBitmap, words: &[u32], weights: &[u32]) -> Vec<(u32, u32)> {
        let mut scores: Vec<(u32, u32)> = slots.iter().map(|slot| (slot, 0)).collect();
        for (word, weight) in words.iter().zip(weights) {
            for (level, holding) in self.levels(*word) {
                let more = weight.saturating_mul(u32::from(*level));
                let mut rest = scores.iter_mut();
                for slot in holding & slots {
                    if let Some((_, score)) = rest.find(|(at, _)| *at == slot) {
                        *score = score.saturating_add(more);
                    }
                }
            }
        }
        scores
    }

    /// How many words there are.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether every word's posting is just what the things say: for proofs in tests.
    #[cfg(test)]
    pub(crate) fn all(&self) -> std::collections::BTreeMap<(Arc<str>, u8), RoaringBitmap> {
        let postings = self.known.values().filter_map(|word| self.posting(*word));
        let levels = |posting: &Posting| {
            let word = posting.word.clone();
            posting
                .levels
                .iter()
                .map(move |(level, slots)| ((word.clone(), *level), slots.clone()))
                .collect::<Vec<_>>()
        };
        postings.flat_map(levels).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::{Field, Words};
    use super::*;

    fn words(title: &str, body: &str) -> Vec<(Arc<str>, u8)> {
        let mut words = Words::default();
        words.add(Field::Title, title);
        words.add(Field::Body, body);
        words.levels()
    }

    #[test]
    fn a_rare_word_weighs_more_than_a_common_one() {
        let mut index = TextIndex::default();
        for slot in 0..100 {
            index.insert(slot, &words(if slot == 7 { "fan heater" } else { "fan" }, ""));
        }
        let (fan, heater) = (index.find("fan").unwrap(), index.find("heater").unwrap());
        let weights = index.weights(&[fan, heater], 100);
        assert!(weights[1] > 5 * weights[0], "{weights:?}");
        let scores = index.scores(&RoaringBitmap::from([7, 8]), &[fan, heater], &weights);
        assert!(scores[0].1 > scores[1].1, "{scores:?}");
    }

    #[test]
    fn what_is_taken_out_leaves_nothing_behind() {
        let mut index = TextIndex::default();
        let one = index.insert(1, &words("blue fan", "it blows"));
        let two = index.insert(2, &words("red fan", ""));
        index.remove(1, one.into_iter());
        assert_eq!(index.find("blue"), None);
        assert_eq!(index.holding(index.find("fan").unwrap()), Some(&RoaringBitmap::from([2])));
        index.remove(2, two.into_iter());
        assert_eq!((index.len(), index.all().len()), (0, 0));
        let held = index.insert(3, &words("green lamp", ""));
        assert!(held.iter().all(|held| index.text(held.word()).is_some()));
    }

    #[test]
    fn logarithms_never_fall() {
        assert_eq!((log2(1), log2(2), log2(1024)), (0, 256, 2560));
        assert!((1..5_000).all(|number| log2(number) <= log2(number + 1)));
        let _ = log2(u64::MAX);
    }
}
