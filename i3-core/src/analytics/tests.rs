use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::id::TypedId;

fn product(number: u8) -> Item {
    Item::Product(ProductId::from_bits(number.into()))
}

fn at(second: u32) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000 + i64::from(second) * 1_000_000).unwrap()
}

fn domain(number: u8) -> Option<Slug> {
    (number > 0).then(|| format!("domain-{number}").parse().unwrap())
}

fn history() -> History {
    History::empty(UserId::from_bits(1), Interaction::Viewed)
}

fn popular(people: People) -> Popularity {
    Popularity { domain: "smart-home".parse().unwrap(), item: product(1), people }
}

#[test]
fn an_item_reads_back_and_nothing_else_is_one() {
    let object = Item::Object(VirtualObjectId::from_bits(7));
    for item in [product(3), object] {
        assert_eq!(item.to_string().parse(), Ok(item));
        assert_eq!(serde_json::from_str::<Item>(&serde_json::to_string(&item).unwrap()).unwrap(), item);
    }
    assert!(UserId::from_bits(1).to_string().parse::<Item>().is_err());
}

#[test]
fn the_longest_history_and_what_is_counted_of_it_fit_in_a_record() {
    let long: Slug = "d".repeat(48).parse().unwrap();
    let mut full = history();
    for number in 0..History::MAX {
        let item = Item::Object(VirtualObjectId::from_bits(u128::MAX - u128::try_from(number).unwrap()));
        full.occurrences.push(Occurrence {
            item,
            domain: Some(long.clone()),
            times: u32::MAX,
            last: Timestamp::from_micros(1_800_000_000_000_001).unwrap(),
        });
    }
    full.draft().unwrap();
    assert_eq!(full.erased().len(), History::MAX);
    popular(People::default()).draft().unwrap();
}

#[test]
fn who_works_in_another_domain_counts_there_from_the_next_time_on() {
    let (home, farm) = (domain(1), domain(2));
    let mut history = history();
    history.take(product(1), at(1), home.as_ref(), 9);
    assert_eq!(history.take(product(1), at(2), home.as_ref(), 9), []);
    let shift =
        |domain: &Option<Slug>, counts| Shift { domain: domain.clone().unwrap(), item: product(1), counts };
    let moved = history.take(product(1), at(3), farm.as_ref(), 9);
    assert_eq!(moved, [shift(&home, false), shift(&farm, true)]);
    assert_eq!(history.take(product(1), at(2), home.as_ref(), 9), [], "what is told late moves nothing");
    assert_eq!(history.take(product(1), at(4), None, 9), [shift(&farm, false)]);
    let known = &history.occurrences[0];
    assert_eq!((known.times, known.last, &known.domain), (5, at(4), &None));
}

#[test]
fn a_history_that_was_made_shorter_shrinks_bit_by_bit_and_the_oldest_go_first() {
    let home = domain(1);
    let mut history = history();
    for number in 0..10 {
        history.take(product(number), at(number.into()), home.as_ref(), 10);
    }
    let shifts = history.take(product(10), at(10), home.as_ref(), 3);
    let gone: Vec<Item> = shifts.iter().filter(|shift| !shift.counts).map(|shift| shift.item).collect();
    assert_eq!(gone, [product(0), product(1)]);
    assert_eq!(history.occurrences.len(), 9);
    history.take(product(11), at(0), home.as_ref(), 9);
    assert!(history.occurrences.iter().all(|known| known.item != product(11)), "it is the oldest itself");
}

#[test]
fn nothing_is_recommended_that_too_few_used_and_what_they_did_is_neither_told_nor_weighed() {
    let least = LeastPeople::default();
    let of = |people: People| Recommendation::of(&popular(people), least);
    assert_eq!(of(People { bought: 4, rated: 4, viewed: 4, discovered: 4 }), None);
    assert_eq!(of(People { discovered: 1_000, viewed: 4, ..People::default() }), None, "found is not used");
    let told = of(People { bought: 5, rated: 4, viewed: 12, discovered: 4 }).unwrap();
    assert_eq!(told.explanation(), "5 people of smart-home bought it, 12 looked at it");
    assert_eq!(told.weight, 5 * 8 + 12 * 2);
    let same = of(People { bought: 5, rated: 0, viewed: 12, discovered: 0 }).unwrap();
    assert_eq!(same, told, "what fewer did makes no difference at all");
    assert_eq!(LeastPeople::try_from(1), Err(TooFewPeople));
    assert!("0".parse::<LeastPeople>().is_err() && "-3".parse::<LeastPeople>().is_err());
}

#[test]
fn a_purchase_weighs_more_than_a_rating_a_look_and_an_answer_each() {
    let weights = Interaction::ALL.map(Interaction::weight);
    assert!(weights.is_sorted_by(|one, other| one < other), "{weights:?}");
}

fn people() -> impl Strategy<Value = People> {
    (0_u64..12, 0_u64..12, 0_u64..12, 0_u64..12).prop_map(|(discovered, viewed, rated, bought)| People {
        discovered,
        viewed,
        rated,
        bought,
    })
}

proptest! {
    /// Every shift that histories tell, added up, is what the histories hold: whatever comes, in whatever order.
    #[test]
    fn what_is_counted_is_what_the_histories_hold(
        steps in prop::collection::vec((0_u8..3, 0_usize..4, 0_u8..6, 0_u32..20, 0_u8..3, 1_usize..4, any::<bool>()), 0..80),
    ) {
        let mut histories: BTreeMap<(u8, usize), History> = BTreeMap::new();
        let mut counted: BTreeMap<PopularityId, People> = BTreeMap::new();
        for (who, kind, thing, when, place, kept, erase) in steps {
            let interaction = Interaction::ALL[kind];
            let user = UserId::from_bits(who.into());
            let history = histories.entry((who, kind)).or_insert_with(|| History::empty(user, interaction));
            let shifts = if erase && thing == 0 {
                let shifts = history.erased();
                history.occurrences.clear();
                shifts
            } else {
                history.take(product(thing), at(when), domain(place).as_ref(), kept)
            };
            for Shift { domain, item, counts } in shifts {
                let people = counted.entry(PopularityId { domain, item }).or_default();
                people.add(interaction, if counts { 1 } else { -1 });
            }
            counted.retain(|_, people| !people.is_nobody());
            prop_assert_eq!(&counted, &Popularity::of(histories.values()));
        }
    }

    /// The walk that ends early finds what the best of all are.
    #[test]
    fn a_ranking_that_is_settled_has_the_best_of_all(
        all in prop::collection::vec(people(), 0..40), wanted in 0_usize..6, least in 2_u64..8,
    ) {
        let least = LeastPeople::try_from(least).unwrap();
        let mut all: Vec<Popularity> = all
            .into_iter()
            .zip(0..)
            .map(|(people, number)| Popularity { item: product(number), ..popular(people) })
            .collect();
        all.sort_by_key(|popularity| std::cmp::Reverse(popularity.people.weight()));
        let mut ranking = Ranking::new(wanted);
        for popularity in &all {
            if popularity.people.weight() < least.weight() || ranking.is_settled(popularity.people.weight()) {
                break;
            }
            if let Some(one) = Recommendation::of(popularity, least) {
                ranking.offer(one, ());
            }
        }
        let mut best: Vec<_> = all.iter().filter_map(|one| Recommendation::of(one, least)).collect();
        best.sort_by_key(|one| (std::cmp::Reverse(one.weight), one.item));
        best.truncate(wanted);
        let ranked: Vec<_> = ranking.into_best().into_iter().map(|(one, ())| one).collect();
        prop_assert_eq!(ranked, best);
    }
}
