//! A question answered from the sets.

use std::borrow::Cow;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::rank::First;
use super::{Classes, Dimension, FacetIndex, distance, measured};
use crate::description::Facet;
use crate::discovery::{Cursor, FacetCounts, Hit, Key, Query, Reason, Sort};
use crate::text::query_words;

/// What was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) hits: Vec<Hit>,
    pub(crate) total: u64,
    pub(crate) next: Option<Cursor>,
    pub(crate) facets: Vec<FacetCounts>,
}

/// A set that is in the index, or was put together for a question.
type Set<'a> = Cow<'a, RoaringBitmap>;

/// The words of a question with how much they weigh; none if there is no text.
#[derive(Debug, Default)]
struct Words {
    texts: Vec<String>,
    numbers: Vec<u32>,
    weights: Vec<u32>,
}

/// The smallest first, all in all; nothing if there is no set.
fn intersection(mut sets: Vec<Set<'_>>) -> Option<Set<'_>> {
    sets.sort_by_key(|set| set.len());
    let mut rest = sets.into_iter();
    let mut all = rest.next()?;
    for set in rest {
        match &mut all {
            Cow::Owned(all) => *all &= &*set,
            Cow::Borrowed(first) => all = Cow::Owned(*first & &*set),
        }
        if all.is_empty() {
            break;
        }
    }
    Some(all)
}

impl FacetIndex {
    /// Answers a [checked](Query::check) question whose classes are named by their IRIs.
    pub(crate) fn search(&self, query: &Query, classes: &dyn Classes) -> Found {
        let words = self.words(query);
        let (mut hits, mut next) = (Vec::new(), None);
        let found = match &words {
            Some(words) => self.found(query, &words.numbers),
            None => Cow::Owned(RoaringBitmap::new()),
        };
        if let Some(words) = &words
            && !found.is_empty()
        {
            let limit = query.limit.saturating_add(1);
            let mut slots = self.first(query, words, &found, limit);
            let more = slots.len() > query.limit;
            slots.truncate(query.limit);
            if more && let Some(last) = slots.last() {
                next = self.cursor(query, words, *last);
            }
            hits = slots.iter().filter_map(|slot| self.hit(query, words, *slot, classes)).collect();
        }
        let facets =
            query.facets.iter().map(|facet| self.counts(*facet, &found, query.facet_values)).collect();
        Found { hits, total: found.len(), next, facets }
    }

    /// The words of a question. None if nothing can be found by one of them.
    fn words(&self, query: &Query) -> Option<Words> {
        let Some(text) = &query.text else { return Some(Words::default()) };
        let texts = query_words(text);
        if texts.is_empty() {
            return None;
        }
        let numbers: Vec<u32> = texts.iter().map(|text| self.text.find(text)).collect::<Option<_>>()?;
        let weights = match &query.after {
            Some(cursor) if cursor.weights.len() == numbers.len() => cursor.weights.clone(),
            _ => self.text.weights(&numbers, self.live.len()),
        };
        Some(Words { texts, numbers, weights })
    }

    /// What has one of these values.
    fn any<'t>(&self, terms: impl Iterator<Item = (Dimension, Cow<'t, str>)>) -> Set<'_> {
        let mut any: Option<Set<'_>> = None;
        for (dimension, text) in terms {
            let Some(slots) = self.terms.slots(dimension, &text) else { continue };
            match &mut any {
                Some(any) => *any.to_mut() |= slots,
                None => any = Some(Cow::Borrowed(slots)),
            }
        }
        any.unwrap_or_default()
    }

    /// All that the question asks for.
    fn found(&self, query: &Query, words: &[u32]) -> Set<'_> {
        let mut sets: Vec<Set<'_>> = Vec::with_capacity(query.clauses.len() + query.attributes.len() + 1);
        for clause in &query.clauses {
            let facet = Dimension::Facet(clause.facet);
            let values = clause.any_of.iter().map(|text| (facet, Cow::Borrowed(&**text)));
            sets.push(self.any(values));
        }
        for any_of in &query.attributes {
            sets.push(self.any(any_of.iter().map(|attribute| match &attribute.unit {
                Some(unit) => (Dimension::Measured, measured(&attribute.name, unit).into()),
                None => (Dimension::Facet(Facet::Attribute), Cow::Borrowed(&*attribute.name)),
            })));
        }
        if let Some(near) = query.near {
            sets.push(Cow::Owned(self.columns.around(near.centre, near.metres)));
        }
        let mut found = intersection(sets);
        let mut words = words.to_vec();
        words.sort_by_key(|word| self.text.frequency(*word));
        for word in words {
            found = Some(Cow::Owned(self.text.holding(word, found.as_deref())));
        }
        let found = found.unwrap_or(Cow::Borrowed(&self.live));
        self.filtered(query, found)
    }

    /// Those of them whose numbers are as the question wants.
    fn filtered<'a>(&self, query: &Query, mut found: Set<'a>) -> Set<'a> {
        let mut keep = |holds: &dyn Fn(u32) -> bool| {
            // In their order, so it does not fail.
            let kept = RoaringBitmap::from_sorted_iter(found.iter().filter(|slot| holds(*slot)));
            found = Cow::Owned(kept.unwrap_or_default());
        };
        if let Some(currency) = query.sold_for() {
            let prices = self.columns.prices(currency);
            let most = query.max_price.map_or(u64::MAX, |price| price.per_message.nanos());
            keep(&|slot| prices.and_then(|prices| prices.get(&slot)).is_some_and(|nanos| *nanos <= most));
        }
        if let Some(tenths) = query.min_rating {
            let least = super::rating_key(tenths, 1);
            keep(&|slot| self.columns.rating(slot) >= least);
        }
        if let Some(least) = query.min_quality {
            keep(&|slot| self.columns.quality(slot).is_some_and(|quality| quality >= least));
        }
        if let Some(near) = query.near {
            let metres = f64::from(near.metres);
            keep(&|slot| {
                self.columns.point(slot).is_some_and(|point| distance(near.centre, point) <= metres)
            });
        }
        found
    }

    fn id(&self, slot: u32) -> &str {
        self.thing(slot).map_or("", |thing| &thing.id)
    }

    /// The first of what was found, in the order that was asked for.
    fn first<'a>(&'a self, query: &'a Query, words: &Words, found: &RoaringBitmap, limit: usize) -> Vec<u32> {
        let after = query.after.as_ref();
        let number = after.and_then(|cursor| match &cursor.key {
            Key::Number(number) => Some((*number, cursor.created, &*cursor.id)),
            Key::Text(_) => None,
        });
        let mut first = First::new(limit, number);
        match query.order() {
            Sort::Title => {
                let text = after.and_then(|cursor| match &cursor.key {
                    Key::Text(text) => Some((&**text, cursor.created, &*cursor.id)),
                    Key::Number(_) => None,
                });
                let mut first = First::new(limit, text);
                for slot in found {
                    let title = self.columns.title(slot);
                    first.offer(title, self.columns.created(slot), slot, || self.id(slot));
                }
                return first.slots();
            }
            Sort::Relevance => self.most_relevant(words, found, &mut first),
            Sort::Newest => self.all_by(found, &mut first, |_| 0),
            Sort::Rating => self.all_by(found, &mut first, |slot| self.columns.rating(slot).saturating_neg()),
            Sort::Price => {
                let prices = query.sold_for().and_then(|currency| self.columns.prices(currency));
                self.all_by(found, &mut first, |slot| price_key(prices.and_then(|prices| prices.get(&slot))));
            }
        }
        first.slots()
    }

    fn all_by<'a>(&'a self, found: &RoaringBitmap, first: &mut First<'a, i64>, key: impl Fn(u32) -> i64) {
        for slot in found {
            first.offer(key(slot), self.columns.created(slot), slot, || self.id(slot));
        }
    }

    fn most_relevant<'a>(&'a self, words: &Words, found: &RoaringBitmap, first: &mut First<'a, i64>) {
        let ([word], [weight]) = (words.numbers.as_slice(), words.weights.as_slice()) else {
            for (slot, score) in self.text.scores(found, &words.numbers, &words.weights) {
                first.offer(relevance(score), self.columns.created(slot), slot, || self.id(slot));
            }
            return;
        };
        for (level, slots) in self.text.by_level(*word, found) {
            self.all_by(&slots, first, |_| relevance(weight.saturating_mul(u32::from(level))));
            // What is on a lower level comes after all of a higher one.
            if first.is_full() {
                break;
            }
        }
    }

    /// How much the words of the question say of a thing.
    fn score(&self, words: &Words, slot: u32) -> u32 {
        let held = self.thing(slot).map(|thing| &thing.words);
        let level = |word: u32| held?.iter().find(|held| held.word == word).map(|held| held.level);
        words.numbers.iter().zip(&words.weights).fold(0, |score: u32, (word, weight)| {
            score.saturating_add(weight.saturating_mul(level(*word).map_or(0, u32::from)))
        })
    }

    /// Where a page ends whose last thing is in this slot.
    fn cursor(&self, query: &Query, words: &Words, slot: u32) -> Option<Cursor> {
        let key = match query.order() {
            Sort::Title => Key::Text(self.columns.title(slot).into()),
            Sort::Relevance => Key::Number(relevance(self.score(words, slot))),
            Sort::Rating => Key::Number(self.columns.rating(slot).saturating_neg()),
            Sort::Price => {
                let prices = query.sold_for().and_then(|currency| self.columns.prices(currency));
                Key::Number(price_key(prices.and_then(|prices| prices.get(&slot))))
            }
            Sort::Newest => Key::Number(0),
        };
        Some(Cursor {
            // Of the question as it was asked: who resolved its classes says.
            mark: 0,
            key,
            created: self.columns.created(slot),
            id: self.thing(slot)?.id.clone(),
            weights: words.weights.clone(),
        })
    }

    fn hit(&self, query: &Query, words: &Words, slot: u32, classes: &dyn Classes) -> Option<Hit> {
        let thing = self.thing(slot)?;
        let mut why = Vec::with_capacity(query.clauses.len() + query.attributes.len() + words.texts.len());
        let mut because = |field, value: Arc<str>, through| why.push(Reason { field, value, through });
        let has = |dimension, text: &str| {
            self.terms.find(dimension, text).is_some_and(|term| thing.terms.contains(&term))
        };
        for clause in &query.clauses {
            let dimension = Dimension::Facet(clause.facet);
            for value in clause.any_of.iter().filter(|value| has(dimension, value)) {
                let through = match clause.facet {
                    Facet::Kind => self.said_under(thing, value, classes),
                    Facet::Place => self.innermost(thing).filter(|place| place != value),
                    _ => None,
                };
                because(clause.facet.as_str(), value.clone(), through);
            }
        }
        for attribute in query.attributes.iter().flatten() {
            match &attribute.unit {
                None if has(Dimension::Facet(Facet::Attribute), &attribute.name) => {
                    because("attribute", attribute.name.clone(), None);
                }
                Some(unit) if has(Dimension::Measured, &measured(&attribute.name, unit)) => {
                    because("attribute", format!("{}@{unit}", attribute.name).into(), None);
                }
                _ => {}
            }
        }
        if let Some(currency) = query.sold_for()
            && let Some(nanos) = self.columns.prices(currency).and_then(|prices| prices.get(&slot))
        {
            let field = if query.max_price.is_some() { "max_price" } else { "currency" };
            because(field, super::price_text(*nanos, currency).into(), None);
        }
        if query.min_rating.is_some() {
            let tenths = self.columns.rating(slot) >> 32;
            because("min_rating", format!("{}.{}", tenths / 10, tenths % 10).into(), None);
        }
        if query.min_quality.is_some()
            && let Some(quality) = self.columns.quality(slot)
        {
            because("min_quality", format!("{}.{}", quality / 10, quality % 10).into(), None);
        }
        if let Some(near) = query.near
            && let Some(point) = self.columns.point(slot)
        {
            because("near", format!("{:.0} m", distance(near.centre, point)).into(), None);
        }
        for word in &words.texts {
            because("q", word.as_str().into(), None);
        }
        Some(Hit { id: thing.id.clone(), why })
    }

    /// The class that was said of a thing and makes it one of another class, if that was not said itself.
    fn said_under(&self, thing: &super::Thing, above: &str, classes: &dyn Classes) -> Option<Arc<str>> {
        let said = || thing.kinds.iter().filter_map(|term| self.terms.get(*term)).map(|(_, class)| class);
        if said().any(|class| &*class == above) {
            return None;
        }
        said().find(|class| classes.is_under(class, above))
    }

    fn innermost(&self, thing: &super::Thing) -> Option<Arc<str>> {
        let terms = thing.terms.iter().filter_map(|term| self.terms.get(*term));
        let places = terms.filter(|(dimension, _)| *dimension == Dimension::Facet(Facet::Place));
        places.map(|(_, place)| place).max_by_key(|place| place.len())
    }
}

/// Higher scores first.
fn relevance(score: u32) -> i64 {
    -i64::from(score)
}

fn price_key(nanos: Option<&u64>) -> i64 {
    nanos.and_then(|nanos| i64::try_from(*nanos).ok()).unwrap_or(i64::MAX)
}
