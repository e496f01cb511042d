use std::collections::BTreeMap;

use i3_core::money::{Currency, UnitPrice};
use i3_core::time::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::description::{Attribute, Description, Facet, Listing, Point, Price, Rating};
use crate::discovery::{Live, Near, Query, Sort};
use crate::ontology::Ontology;
use crate::text::{query_words, tokens};

const FANS: &str = "
    @prefix i3: <urn:i3:ns:> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
    @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
    i3:FanActuator a owl:Class ; rdfs:subClassOf i3:Actuator .
    i3:Fan a owl:Class ; owl:equivalentClass i3:FanActuator .
    i3:AirSensor a owl:Class ; rdfs:subClassOf i3:Sensor .";

pub(super) fn classes() -> Arc<OntologyClasses> {
    static CLASSES: std::sync::OnceLock<Arc<OntologyClasses>> = std::sync::OnceLock::new();
    CLASSES.get_or_init(|| Arc::new(OntologyClasses::new(Ontology::core().extend(FANS).unwrap()))).clone()
}

fn price(nanos: u64) -> Price {
    Price { currency: Currency::EUR, per_message: UnitPrice::try_from(nanos).unwrap() }
}

/// Things of few values, so that questions find some of them.
pub(super) fn things() -> impl Strategy<Value = Description> {
    let some = |of: &'static [&'static str]| prop::collection::vec(prop::sample::select(of), 0..3);
    let kinds = some(&[
        "urn:i3:ns:FanActuator",
        "urn:i3:ns:AirSensor",
        "urn:i3:ns:Sensor",
        "urn:i3:ns:ServiceObject",
    ]);
    let protocols = some(&["coap", "http", "MQTT"]);
    let methods = some(&["BlueOn", "TurnOff"]);
    let tags = some(&["air", "light", "灯"]);
    let places = prop::option::of(prop::sample::select(&["kr/jeju/campus", "kr/jeju", "kr/seoul", "de"][..]));
    let attributes = prop::collection::vec(
        (prop::sample::select(&["temperature", "humidity"][..]), prop::option::of(Just("C"))),
        0..3,
    );
    let titles =
        prop::sample::select(&["Blue fan", "LED 灯 fan", "Red lamp", "blue lamp lamp", "智能温度传感器"][..]);
    let numbers = (
        prop::option::of((10_u16..=50, 1_u32..9)),
        prop::option::of(0_u16..=1_000),
        prop::option::of((-90..=90_i32, -180..=180_i32)),
        prop::option::of(0_u64..5),
        0_i64..5,
    );
    (0_u8..12, titles, kinds, protocols, methods, tags, places, attributes, numbers).prop_map(
        |(id, title, kinds, protocols, methods, tags, place, attributes, numbers)| {
            let (rating, quality, point, nanos, created) = numbers;
            let listing = if id.is_multiple_of(2) { Listing::Product } else { Listing::Object };
            let id = name(id);
            let created = Timestamp::from_micros(created).unwrap();
            let mut thing = Description::new(&id, listing, title, created);
            for (facet, texts) in [
                (Facet::Kind, kinds),
                (Facet::Protocol, protocols),
                (Facet::Method, methods),
                (Facet::Tag, tags),
                (Facet::Place, place.into_iter().collect()),
            ] {
                // A product is no virtual object: what only these can have would contradict that.
                let only_objects = matches!(facet, Facet::Kind | Facet::Protocol | Facet::Method);
                for text in texts.into_iter().filter(|_| listing == Listing::Object || !only_objects) {
                    thing.add(facet, text).unwrap();
                }
            }
            for (name, unit) in attributes {
                thing.add_attribute(Attribute::new(name, unit).unwrap());
            }
            thing.rating = rating.map(|(tenths, ratings)| Rating { tenths, ratings });
            thing.quality = quality;
            thing.point =
                point.map(|(north, east)| Point::from_micros(north * 1_000_000, east * 1_000_000).unwrap());
            // And only products have offers.
            if let Some(nanos) = nanos.filter(|_| listing == Listing::Product) {
                thing.add_price(price(nanos));
            }
            thing
        },
    )
}

/// The id of a thing, of which every other is a product.
fn name(number: u8) -> String {
    format!("{}_{number:02}", if number.is_multiple_of(2) { "prd" } else { "vob" })
}

const CLAUSES: &[(Facet, &[&str])] = &[
    (Facet::Kind, &["virtualobject"]),
    (Facet::Kind, &["Actuator", "AirSensor"]),
    (Facet::Kind, &["urn:i3:ns:Fan"]),
    (Facet::Protocol, &["coap"]),
    (Facet::Protocol, &["http", "mqtt"]),
    (Facet::Method, &["BlueOn"]),
    (Facet::Tag, &["灯", "air"]),
    (Facet::Place, &["kr"]),
    (Facet::Place, &["kr/jeju"]),
    (Facet::Attribute, &["temperature"]),
    (Facet::Unit, &["C"]),
    (Facet::Listing, &["product"]),
    (Facet::Platform, &["nothing runs on this"]),
];

pub(super) fn questions() -> impl Strategy<Value = Query> {
    let clause = prop::sample::select(CLAUSES);
    let numbers = (
        prop::option::of(0_u16..=50),
        prop::option::of(0_u16..=1_000),
        prop::option::of(((-90..=90_i32, -180..=180_i32), 0..10_000_000_u32)),
        prop::option::of(0_u64..5),
        prop::option::of(prop::sample::select(&["fan", "灯", "blue lamp", "温度", "nothing"][..])),
        any::<bool>(),
    );
    let sorts = prop::option::of(prop::sample::select(&Sort::ALL[..]));
    (prop::collection::vec(clause, 0..3), numbers, sorts, 1_usize..5).prop_map(
        |(clauses, (rating, quality, near, nanos, text, measured), sort, limit)| {
            let mut query = Query::default().limited(limit);
            for (facet, any_of) in clauses {
                query = query.having(facet, any_of).unwrap();
            }
            // Few questions have all of it: most would find nothing.
            query.min_rating = rating.filter(|tenths| tenths % 3 == 0);
            query.min_quality = quality.filter(|share| share % 3 == 0);
            query.near = near.filter(|(_, metres)| metres % 3 == 0).map(|((north, east), metres)| Near {
                centre: Point::from_micros(north * 1_000_000, east * 1_000_000).unwrap(),
                metres,
            });
            query.max_price = nanos.map(price);
            query.text = text.map(str::to_owned);
            if measured {
                query.attributes.push(vec![Attribute::new("humidity", Some("C")).unwrap()]);
            }
            query.sort = sort.filter(|sort| match sort {
                Sort::Relevance => query.text.is_some(),
                Sort::Price => query.max_price.is_some(),
                _ => true,
            });
            query
        },
    )
}

/// Whether a thing answers a question, by looking at it alone.
fn answers(thing: &Description, query: &Query, classes: &dyn Classes) -> bool {
    let clauses = query.clauses.iter().all(|clause| {
        clause.any_of.iter().any(|value| match clause.facet {
            Facet::Kind => classes.types(thing).unwrap().contains(&classes.named(value).unwrap()),
            Facet::Place => thing
                .said(Facet::Place)
                .any(|place| place == value || place.starts_with(&format!("{value}/"))),
            Facet::Unit => thing.attributes().any(|attribute| attribute.unit.as_ref() == Some(value)),
            Facet::Listing => thing.listing.as_str() == &**value,
            facet => thing.said(facet).any(|said| said == value),
        })
    });
    let attributes = query.attributes.iter().all(|any_of| {
        any_of.iter().any(|asked| {
            thing
                .attributes()
                .any(|held| held.name == asked.name && (asked.unit.is_none() || held.unit == asked.unit))
        })
    });
    let words: Vec<String> = [&thing.title]
        .into_iter()
        .map(String::as_str)
        .chain(thing.said(Facet::Tag).map(|text| &**text))
        .chain(thing.said(Facet::Method).map(|text| &**text))
        .chain(thing.attributes().map(|attribute| &*attribute.name))
        .flat_map(tokens)
        .collect();
    let sold = thing.prices().first();
    clauses
        && attributes
        && query.text.as_ref().is_none_or(|text| query_words(text).iter().all(|word| words.contains(word)))
        && query.max_price.is_none_or(|most| sold.is_some_and(|price| price.per_message <= most.per_message))
        && query.min_rating.is_none_or(|least| thing.rating.is_some_and(|rating| rating.tenths >= least))
        && query.min_quality.is_none_or(|least| thing.quality.is_some_and(|quality| quality >= least))
        && query.near.is_none_or(|near| {
            thing.point.is_some_and(|point| distance(near.centre, point) <= f64::from(near.metres))
        })
}

fn all_pages(live: &Live, query: &Query) -> Vec<Arc<str>> {
    let mut query = query.clone();
    let mut ids = Vec::new();
    loop {
        let answer = live.find(&query).unwrap();
        ids.extend(answer.hits.into_iter().map(|hit| hit.id));
        match answer.next {
            Some(next) => query = query.after(next.to_string().parse().unwrap()),
            None => break,
        }
    }
    ids
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Insert(Box<Description>),
    Remove(u8),
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => things().prop_map(|thing| Step::Insert(Box::new(thing))),
        1 => (0_u8..12).prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 0..60)
}

/// The index after these steps, and what it should hold.
pub(super) fn carried_out(steps: Vec<Step>) -> (Live, BTreeMap<Arc<str>, Description>) {
    let live = Live::new(classes());
    let mut held = BTreeMap::new();
    for step in steps {
        match step {
            Step::Insert(thing) => {
                live.insert(&thing).unwrap();
                held.insert(thing.id.clone(), *thing);
            }
            Step::Remove(number) => {
                let id = name(number);
                assert_eq!(live.remove(&id), held.remove(&*id).is_some());
            }
        }
    }
    (live, held)
}

proptest! {
    #[test]
    fn an_answer_is_what_looking_at_each_thing_finds_in_its_order(steps in steps(), query in questions()) {
        let (live, held) = carried_out(steps);
        let classes = classes();
        let mut expected: Vec<&Description> =
            held.values().filter(|thing| answers(thing, &query, &*classes)).collect();
        let total = u64::try_from(expected.len()).unwrap();
        let counted = query.clone().counting(&Facet::ALL);
        let answer = live.find(&counted).unwrap();
        prop_assert_eq!(answer.total, total);
        for counts in answer.facets {
            for count in counts.values {
                let has = |thing: &&&Description| {
                    let one = match counts.facet {
                        Facet::Attribute => {
                            let mut query = Query::default();
                            query.attributes.push(vec![Attribute::new(&count.value, None).unwrap()]);
                            query
                        }
                        facet => Query::default().having(facet, &[&count.value]).unwrap(),
                    };
                    answers(thing, &one, &*classes)
                };
                let number = expected.iter().filter(has).count();
                prop_assert_eq!(count.count, u64::try_from(number).unwrap(), "{}", count.value);
            }
        }
        let pages = all_pages(&live, &query);
        let newest = |thing: &Description| (std::cmp::Reverse(thing.created), thing.id.clone());
        match query.order() {
            Sort::Newest => expected.sort_by_key(|thing| newest(thing)),
            Sort::Title => expected.sort_by_key(|thing| (crate::text::normal(&thing.title), newest(thing))),
            Sort::Rating => expected.sort_by_key(|thing| (std::cmp::Reverse(thing.rating), newest(thing))),
            Sort::Price => {
                expected.sort_by_key(|thing| (thing.prices()[0].per_message.nanos(), newest(thing)));
            }
            Sort::Relevance => {
                let mut found = pages.clone();
                found.sort();
                let ids: Vec<_> = expected.iter().map(|thing| thing.id.clone()).collect();
                prop_assert_eq!(found, ids);
                return Ok(());
            }
        }
        let expected: Vec<_> = expected.into_iter().map(|thing| thing.id.clone()).collect();
        prop_assert_eq!(pages, expected);
    }

    #[test]
    fn an_index_that_was_written_often_is_one_that_was_written_once(steps in steps()) {
        let (live, held) = carried_out(steps);
        let fresh = Live::new(classes());
        for thing in held.values().rev() {
            fresh.insert(thing).unwrap();
        }
        prop_assert_eq!(live.size(), fresh.size());
        prop_assert_eq!(live.digest(), fresh.digest());
        prop_assert_eq!(live.digest(), Live::digest_of_all(&*classes(), held.values()));
    }

    #[test]
    fn pages_neither_repeat_nor_leave_out_what_stays_while_others_come(
        steps in steps(), more in steps(), query in questions(),
    ) {
        let (live, held) = carried_out(steps);
        let page = live.find(&query).unwrap();
        let all = all_pages(&live, &query);
        for step in more {
            if let Step::Insert(thing) = step
                && !held.contains_key(&thing.id)
            {
                live.insert(&thing).unwrap();
            }
        }
        if let Some(next) = page.next {
            let rest = all_pages(&live, &query.clone().after(next));
            let shown: Vec<_> = page.hits.iter().map(|hit| hit.id.clone()).collect();
            prop_assert!(shown.iter().all(|id| !rest.contains(id)), "{shown:?} again in {rest:?}");
            let left: Vec<_> = all.iter().skip(shown.len()).cloned().collect();
            let kept: Vec<_> = rest.iter().filter(|id| left.contains(id)).cloned().collect();
            prop_assert_eq!(kept, left);
        }
    }
}

fn live_of(things: &[Description]) -> Live {
    let live = Live::new(classes());
    for thing in things {
        live.insert(thing).unwrap();
    }
    live
}

fn fan() -> Description {
    let mut fan = Description::new("vob_1", Listing::Object, "Blue fan", Timestamp::default());
    fan.add(Facet::Kind, "urn:i3:ns:FanActuator").unwrap();
    fan.add(Facet::Protocol, "coap").unwrap();
    fan.add(Facet::Place, "kr/jeju/campus").unwrap();
    fan.add_attribute(Attribute::new("speed", Some("rpm")).unwrap());
    fan.rating = Some(Rating { tenths: 45, ratings: 2 });
    fan
}

#[test]
fn a_fan_actuator_is_found_as_a_virtual_object_and_the_answer_says_why() {
    let live = live_of(&[fan()]);
    let text = "kind=VirtualObject&protocol=coap&place=kr&attribute=speed@rpm&q=FAN&min_rating=4";
    let answer = live.find(&Query::parse(text).unwrap()).unwrap();
    let why: Vec<_> =
        answer.hits[0].why.iter().map(|why| (why.field, &*why.value, why.through.as_deref())).collect();
    assert_eq!(
        why,
        [
            ("kind", "urn:i3:ns:VirtualObject", Some("urn:i3:ns:FanActuator")),
            ("protocol", "coap", None),
            ("place", "kr", Some("kr/jeju/campus")),
            ("attribute", "speed@rpm", None),
            ("min_rating", "4.5", None),
            ("q", "fan", None),
        ]
    );
}

#[test]
fn what_cannot_be_under_the_ontology_is_not_in_the_index() {
    let mut product = Description::new("prd_1", Listing::Product, "Air", Timestamp::default());
    product.add_price(price(2_500_000));
    let live = live_of(std::slice::from_ref(&product));
    let found = live.find(&Query::parse("currency=EUR&max_price=0.003&sort=price").unwrap()).unwrap();
    assert_eq!(&*found.hits[0].why[0].value, "0.0025 EUR");
    product.add(Facet::Kind, "urn:i3:ns:Actuator").unwrap();
    assert!(matches!(live.insert(&product), Err(Impossible::Contradiction(_))));
    assert_eq!(live.size().things, 0);
}

#[test]
fn a_class_that_the_ontology_does_not_have_is_an_error_and_not_an_empty_answer() {
    let error = live_of(&[fan()]).find(&Query::parse("kind=Toaster").unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "kind: the ontology has no class of this name");
}

#[test]
fn what_was_withdrawn_is_in_no_answer_and_no_count() {
    let live = live_of(&[fan()]);
    assert!(live.remove("vob_1"));
    let answer = live.find(&Query::default().counting(&Facet::ALL)).unwrap();
    assert_eq!((answer.hits.len(), answer.total), (0, 0));
    assert!(answer.facets.iter().all(|counts| counts.values.is_empty()));
    assert_eq!(live.size(), Live::new(classes()).size());
}

#[test]
fn a_cursor_belongs_to_its_question() {
    let mut other = fan();
    other.id = "vob_2".into();
    let live = live_of(&[fan(), other]);
    let query = Query::default().limited(1);
    let next = live.find(&query).unwrap().next.unwrap();
    assert_eq!(live.find(&query.clone().limited(9).after(next.clone())).unwrap().hits.len(), 1);
    let error = live.find(&query.with_text("fan").after(next)).unwrap_err();
    assert_eq!(error.to_string(), "cursor: it is no cursor of this question");
}

#[test]
fn the_best_match_comes_first() {
    let mut things = Vec::new();
    for (number, (title, text)) in
        [("Red lamp", "a fan is near"), ("Blue fan", ""), ("Fan fan", "fan"), ("Lamp", "")].iter().enumerate()
    {
        let created = Timestamp::from_micros(i64::try_from(number).unwrap()).unwrap();
        let mut thing = Description::new(&format!("vob_{number}"), Listing::Object, title, created);
        thing.texts.push((*text).to_owned());
        things.push(thing);
    }
    let live = live_of(&things);
    let ids = |text: &str| all_pages(&live, &Query::default().with_text(text).limited(1));
    assert_eq!(ids("fan").iter().map(|id| &**id).collect::<Vec<_>>(), ["vob_2", "vob_1", "vob_0"]);
    assert_eq!(ids("lamp fan").len(), 1);
    assert!(ids("…").is_empty());
}

#[test]
fn frequent_values_are_counted_exactly_whichever_way_they_are_counted() {
    let mut things = Vec::new();
    for number in 0..1_200_u32 {
        let id = format!("vob_{number:05}");
        let mut thing = Description::new(&id, Listing::Object, "Lamp", Timestamp::default());
        for tag in 1..=12 {
            if number % tag == 0 {
                thing.add(Facet::Tag, &format!("every-{tag:02}")).unwrap();
            }
        }
        thing.add(Facet::Protocol, if number < 300 { "coap" } else { "http" }).unwrap();
        things.push(thing);
    }
    let live = live_of(&things);
    for text in ["", "protocol=coap", "protocol=http"] {
        let query = Query::parse(&format!("{text}&facets=tag&facet_values=3"));
        let answer = live.find(&query.unwrap()).unwrap();
        let total = answer.total;
        let counts = &answer.facets[0];
        assert!(counts.more);
        let of = |tag: u32| {
            let range = match text {
                "" => 0..1_200,
                "protocol=coap" => 0..300,
                _ => 300..1_200_u32,
            };
            u64::try_from(range.filter(|number| number % tag == 0).count()).unwrap()
        };
        let counts: Vec<_> = counts.values.iter().map(|count| (&*count.value, count.count)).collect();
        assert_eq!(counts, [("every-01", total), ("every-02", of(2)), ("every-03", of(3))], "{text}");
    }
}
