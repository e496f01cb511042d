//! A question answered from the sets.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::rank::First;
use super::{Classes, Dimension, FacetIndex, distance, measured};
use crate::description::Facet;
use crate::discovery::{Cursor, FacetCounts, Hit, Key, Query, Reason, Sort};
use crate::text::{TextIndex, Weighted, query_words};

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

/// The sort key, time and id of the last thing of the page before.
pub(super) type After<'a> = Option<(i64, i64, &'a Arc<str>)>;

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

/// For each word of a question one of its levels: what holds them all scores alike.
struct Combined<'a>(BTreeMap<u32, Vec<Vec<&'a RoaringBitmap>>>);

impl<'a> Combined<'a> {
    /// From so few on it costs less to score each thing.
    const FEW: u64 = 100;
    const MOST: usize = 64;

    /// Nothing if it costs less to score each thing.
    fn of(text: &'a TextIndex, words: &Words, found: &RoaringBitmap) -> Option<Self> {
        if found.len() < Self::FEW {
            return None;
        }
        let mut all: Vec<(u32, Vec<&RoaringBitmap>)> = vec![(0, Vec::new())];
        for (word, weight) in words.numbers.iter().zip(&words.weights) {
            let levels = text.levels(*word);
            if all.len().saturating_mul(levels.len()) > Self::MOST {
                return None;
            }
            let longer = |(score, sets): &(u32, Vec<&'a RoaringBitmap>),
                          (level, slots): &'a (u8, RoaringBitmap)| {
                let score = score.saturating_add(weight.saturating_mul(u32::from(*level)));
                (score, sets.iter().copied().chain([slots]).collect())
            };
            all = all.iter().flat_map(|some| levels.iter().map(|level| longer(some, level))).collect();
        }
        let mut by_score: BTreeMap<u32, Vec<Vec<&RoaringBitmap>>> = BTreeMap::new();
        for (score, sets) in all {
            by_score.entry(score).or_default().push(sets);
        }
        Some(Self(by_score))
    }

    /// The highest first.
    fn by_score(self) -> impl Iterator<Item = (u32, Vec<Vec<&'a RoaringBitmap>>)> {
        self.0.into_iter().rev()
    }
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
        sets.extend(words.iter().map(|word| self.text.holding(*word).map(Cow::Borrowed).unwrap_or_default()));
        let found = intersection(sets).unwrap_or(Cow::Borrowed(&self.live));
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
    fn first(&self, query: &Query, words: &Words, found: &RoaringBitmap, limit: usize) -> Vec<u32> {
        let after = query.after.as_ref();
        let number = after.and_then(|cursor| match &cursor.key {
            Key::Number(number) => Some((*number, cursor.created, &cursor.id)),
            Key::Text(_) => None,
        });
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
                first.slots()
            }
            Sort::Relevance => self.most_relevant(words, found, number, limit),
            Sort::Newest => self.newest(found, number, limit),
            Sort::Rating => {
                let places = self.places();
                let walked =
                    self.orders.best_rated.first(found, number, limit, |slot| places.best_rated(slot));
                walked.unwrap_or_else(|| {
                    self.all_by(found, number, limit, |slot| self.columns.rating(slot).saturating_neg())
                })
            }
            Sort::Price => {
                let prices = query.sold_for().and_then(|currency| self.columns.prices(currency));
                let price = |slot| price_key(prices.and_then(|prices| prices.get(&slot)));
                self.all_by(found, number, limit, price)
            }
        }
    }

    fn newest(&self, found: &RoaringBitmap, after: After<'_>, limit: usize) -> Vec<u32> {
        let places = self.places();
        let walked = self.orders.newest.first(found, after, limit, |slot| places.newest(slot));
        walked.unwrap_or_else(|| self.all_by(found, after, limit, |_| 0))
    }

    /// The first by this number, by a look at each.
    fn all_by(
        &self,
        found: &RoaringBitmap,
        after: After<'_>,
        limit: usize,
        key: impl Fn(u32) -> i64,
    ) -> Vec<u32> {
        let mut first = First::new(limit, after.map(|(key, created, id)| (key, created, &**id)));
        // What came last is often the newest: then the rest is passed over at a glance.
        for slot in found.iter().rev() {
            first.offer(key(slot), self.columns.created(slot), slot, || self.id(slot));
        }
        first.slots()
    }

    fn most_relevant(
        &self,
        words: &Words,
        found: &RoaringBitmap,
        after: After<'_>,
        limit: usize,
    ) -> Vec<u32> {
        let combined = Combined::of(&self.text, words, found);
        let Some(combined) = combined else {
            let scores = self.text.scores(found, &words.numbers, &words.weights);
            let mut first = First::new(limit, after.map(|(key, created, id)| (key, created, &**id)));
            for (slot, score) in scores {
                first.offer(relevance(score), self.columns.created(slot), slot, || self.id(slot));
            }
            return first.slots();
        };
        let mut slots = Vec::with_capacity(limit);
        for (score, parts) in combined.by_score() {
            let key = relevance(score);
            let after = match after {
                Some((last, ..)) if key < last => continue,
                Some((last, created, id)) if key == last => Some((0, created, id)),
                _ => None,
            };
            let mut alike = RoaringBitmap::new();
            for part in parts {
                let sets = part.iter().map(|set| Cow::Borrowed(*set)).chain([Cow::Borrowed(found)]);
                alike |= &*intersection(sets.collect()).unwrap_or_default();
            }
            // What scores less comes after all of these.
            slots.extend(self.newest(&alike, after, limit.saturating_sub(slots.len())));
            if slots.len() >= limit {
                break;
            }
        }
        slots
    }

    /// How much the words of the question say of a thing.
    fn score(&self, words: &Words, slot: u32) -> u32 {
        let thing = self.thing(slot);
        let level = |word: u32| thing?.words().find(|held| held.word() == word).map(Weighted::level);
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
            self.terms.find(dimension, text).is_some_and(|term| thing.terms().any(|held| held == term))
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
        let said = || thing.kinds().filter_map(|term| self.terms.get(term)).map(|(_, class)| class);
        if said().any(|class| &*class == above) {
            return None;
        }
        said().find(|class| classes.is_under(class, above))
    }

    fn innermost(&self, thing: &super::Thing) -> Option<Arc<str>> {
        let terms = thing.terms().filter_map(|term| self.terms.get(term));
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
