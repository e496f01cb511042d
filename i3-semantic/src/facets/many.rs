//! Tests with so many things that orders are gone along and words are scored by level.

use std::collections::BTreeMap;

use i3_core::time::Timestamp;

use super::tests::classes;
use super::*;
use crate::description::{Description, Facet, Listing, Rating};
use crate::discovery::{Live, Query, Sort};

const THINGS: u32 = 2_500;

/// Words of the titles, the first ones more frequent.
const WORDS: [&str; 6] = ["fan", "blue", "smart", "lamp", "old", "gate"];

fn thing(number: u32) -> Description {
    let word = |turn: u32| {
        let roll = number.wrapping_mul(turn).wrapping_mul(2_654_435_761) >> 16;
        WORDS[usize::try_from((roll % 6).min(roll / 6 % 6)).unwrap()]
    };
    let title = format!("{} {} {}", word(1), word(5), word(11));
    // Neither in the order of the numbers nor all different.
    let created = i64::from((number * 7_919) % 800);
    let mut thing = Description::new(
        &format!("vob_{:05}", (number * 1_031) % 10_007),
        Listing::Object,
        &title,
        Timestamp::from_micros(created).unwrap(),
    );
    thing.texts.push("a text ".repeat(usize::try_from(number % 40).unwrap()));
    thing.add(Facet::Tag, if number % 100 < 97 { "frequent" } else { "rare" }).unwrap();
    // All of one tag are the last of the newest.
    thing.add(Facet::Tag, if created < 300 { "early" } else { "late" }).unwrap();
    thing.rating = number
        .is_multiple_of(3)
        .then_some(Rating { tenths: 10 + u16::try_from(number % 40).unwrap(), ratings: 1 });
    thing
}

/// All ids, page by page.
fn paged(live: &Live, query: &Query) -> Vec<String> {
    let mut ids = Vec::new();
    let mut query = query.clone().limited(23);
    loop {
        let answer = live.find(&query).unwrap();
        ids.extend(answer.hits.iter().map(|hit| hit.id.to_string()));
        match answer.next {
            Some(next) => query.after = Some(next),
            None => return ids,
        }
    }
}

/// All that have a tag and hold the words, sorted by what a key says of each, then newest first, then by id.
fn sorted<K: Ord>(
    things: &BTreeMap<u32, Description>,
    holds: impl Fn(&Description) -> bool,
    key: impl Fn(&Description) -> K,
) -> Vec<String> {
    let mut found: Vec<_> = things
        .values()
        .filter(|thing| holds(thing))
        .map(|thing| (key(thing), -thing.created.micros(), thing.id.to_string()))
        .collect();
    found.sort();
    found.into_iter().map(|(_, _, id)| id).collect()
}

#[test]
fn pages_of_very_many_are_in_the_same_order_as_a_look_at_each_gives() {
    let live = Live::new(classes());
    let mut things = BTreeMap::new();
    for number in 0..THINGS {
        live.insert(&thing(number)).unwrap();
        things.insert(number, thing(number));
    }
    // Some go, and some say something else.
    for number in (0..THINGS).step_by(9) {
        assert!(live.remove(&thing(number).id));
        things.remove(&number);
    }
    for number in (0..THINGS).step_by(7) {
        if let Some(thing) = things.get_mut(&number) {
            thing.rating = Some(Rating { tenths: 50, ratings: number + 1 });
            live.insert(thing).unwrap();
        }
    }
    let rated =
        |thing: &Description| thing.rating.map_or(0, |rating| -rating_key(rating.tenths, rating.ratings));
    for tag in ["frequent", "rare", "early", "late"] {
        let has = |thing: &Description| thing.said(Facet::Tag).any(|said| &**said == tag);
        let query = Query::default().having(Facet::Tag, &[tag]).unwrap();
        assert_eq!(paged(&live, &query.clone().sorted(Sort::Newest)), sorted(&things, has, |_| 0), "{tag}");
        assert_eq!(paged(&live, &query.sorted(Sort::Rating)), sorted(&things, has, rated), "{tag}");
    }
    // How much words say of a thing, found by a look at each of its words.
    let index = |thing: &Description| Analysed::of(thing, &*classes()).unwrap().words;
    let held: BTreeMap<&str, Vec<(Arc<str>, u8)>> =
        things.values().map(|thing| (&*thing.id, index(thing))).collect();
    let mut all = crate::text::TextIndex::default();
    for (slot, words) in (0..).zip(held.values()) {
        all.insert(slot, words);
    }
    for text in ["fan", "fan blue", "blue smart fan", "smart lamp", "text fan", "a text old"] {
        let words: Vec<&str> = text.split(' ').collect();
        let level = |thing: &Description, word: &str| {
            let words = held[&*thing.id].iter();
            words.clone().find(|(held, _)| &**held == word).map(|(_, level)| u32::from(*level))
        };
        let numbers: Vec<u32> = words.iter().filter_map(|word| all.find(word)).collect();
        assert_eq!(numbers.len(), words.len(), "{text}");
        let weights = all.weights(&numbers, u64::try_from(things.len()).unwrap());
        let score = |thing: &Description| -> i64 {
            let of_words = words.iter().zip(&weights);
            -of_words.map(|(word, weight)| i64::from(weight * level(thing, word).unwrap())).sum::<i64>()
        };
        let holds = |thing: &Description| words.iter().all(|word| level(thing, word).is_some());
        let expected = sorted(&things, holds, score);
        assert!(expected.len() > 100, "{text}: {}", expected.len());
        assert_eq!(paged(&live, &Query::default().with_text(text)), expected, "{text}");
    }
}
