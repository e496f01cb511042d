//! Made-up virtual objects in the shape in which semantic stores were compared, the same in every run: 279 classes in
//! four levels with aliases, 1,056 places in a tree, and for each object about 14 facts, its tags distributed by Zipf.

use std::fmt::Write as _;

use i3_core::time::Timestamp;
use i3_core::virtual_object::Content;
use i3_semantic::description::{Description, Facet, Listing, Rating};
use i3_semantic::ontology::Ontology;

/// Numbers that look random and are the same in every run (`SplitMix64`).
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// A number below this one, the smaller the more frequent: `1 / (n + 1)`.
    fn zipf(&mut self, bound: u64) -> u64 {
        let all: u64 = (1..=bound).map(|rank| 1_000_000 / rank).sum();
        let mut point = self.below(all);
        for rank in 1..=bound {
            let share = 1_000_000 / rank;
            if point < share {
                return rank - 1;
            }
            point -= share;
        }
        0
    }
}

const GROUPS: u64 = 6;
const FAMILIES: u64 = 6;
const LEAVES: u64 = 6;
/// Protocols that are spoken.
const PROTOCOLS: [&str; 8] = ["coap", "http", "mqtt", "websocket", "opc-ua", "modbus", "zigbee", "ble"];
const WORDS: [&str; 40] = [
    "Blue",
    "Smart",
    "Indoor",
    "Outdoor",
    "Campus",
    "Garden",
    "Office",
    "Kitchen",
    "Roof",
    "Basement",
    "Temperature",
    "Humidity",
    "Light",
    "Fan",
    "Valve",
    "Door",
    "Window",
    "Motion",
    "Gas",
    "Smoke",
    "Noise",
    "Dust",
    "Camera",
    "Relay",
    "Switch",
    "Meter",
    "Pump",
    "Heater",
    "Cooler",
    "Lock",
    "Lamp",
    "Panel",
    "Gateway",
    "Tracker",
    "Scale",
    "Pulse",
    "Soil",
    "Rain",
    "Wind",
    "Solar",
];

fn class(group: u64, family: Option<u64>, leaf: Option<u64>) -> String {
    match (family, leaf) {
        (None, _) => format!("urn:bench:G{group}"),
        (Some(family), None) => format!("urn:bench:G{group}F{family}"),
        (Some(family), Some(leaf)) => format!("urn:bench:G{group}F{family}L{leaf}"),
    }
}

/// Our ontology with the classes of the bench under `VirtualObject`, and an alias for every fourth leaf.
pub fn ontology() -> Option<Ontology> {
    let mut turtle = String::from(
        "@prefix owl: <http://www.w3.org/2002/07/owl#> .\n@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n",
    );
    let mut leaf_number = 0;
    for group in 0..GROUPS {
        let name = class(group, None, None);
        let _ = writeln!(turtle, "<{name}> a owl:Class ; rdfs:subClassOf <urn:i3:ns:VirtualObject> .");
        for family in 0..FAMILIES {
            let above = class(group, None, None);
            let name = class(group, Some(family), None);
            let _ = writeln!(turtle, "<{name}> a owl:Class ; rdfs:subClassOf <{above}> .");
            for leaf in 0..LEAVES {
                let above = class(group, Some(family), None);
                let name = class(group, Some(family), Some(leaf));
                let _ = writeln!(turtle, "<{name}> a owl:Class ; rdfs:subClassOf <{above}> .");
                if leaf_number % 4 == 0 {
                    let _ = writeln!(turtle, "<{name}Alias> a owl:Class ; owl:equivalentClass <{name}> .");
                }
                leaf_number += 1;
            }
        }
    }
    Ontology::core().extend(&turtle).ok()
}

/// The object of this number.
pub fn thing(number: u64) -> Description {
    let mut numbers = Numbers::new(number.wrapping_mul(0x5851_f42d_4c95_7f2d));
    let mut word = || {
        let word = usize::try_from(numbers.zipf(40)).unwrap_or(0);
        WORDS.get(word).copied().unwrap_or("Thing")
    };
    let title = format!("{} {} {} {}", word(), word(), word(), number % 1_000);
    let micros = 1_700_000_000_000_000 + i64::try_from(number).unwrap_or(0) * 1_000_000;
    let created = Timestamp::from_micros(micros).unwrap_or_default();
    let mut thing = Description::new(&format!("vob_{number:026}"), Listing::Object, &title, created);
    let mut say = |facet, text: String| drop(thing.add(facet, &text));
    let (group, family, leaf) = (numbers.below(GROUPS), numbers.below(FAMILIES), numbers.below(LEAVES));
    say(Facet::Kind, class(group, Some(family), Some(leaf)));
    say(Facet::Model, format!("model-{}", numbers.below(500)));
    for _ in 0..=numbers.below(3) {
        let protocol = usize::try_from(numbers.zipf(8)).unwrap_or(0);
        say(Facet::Protocol, PROTOCOLS.get(protocol).copied().unwrap_or("http").to_owned());
    }
    for _ in 0..=numbers.below(4) {
        say(Facet::Method, format!("method{}", numbers.zipf(60)));
    }
    for _ in 0..=numbers.below(4) {
        say(Facet::Tag, format!("tag-{}", numbers.zipf(300)));
    }
    say(Facet::Platform, format!("platform-{}", numbers.zipf(20)));
    let (country, city, building) = (numbers.below(4), numbers.below(8), numbers.below(32));
    say(Facet::Place, format!("c{country}/t{city}/b{building}"));
    say(Facet::Provider, format!("hub_{}", numbers.below(200)));
    let tenths = u16::try_from(10 + numbers.below(41)).unwrap_or(10);
    let ratings = u32::try_from(1 + numbers.below(50)).unwrap_or(1);
    thing.rating = Some(Rating { tenths, ratings });
    thing
}

/// The classes that a question may ask for instead of an object's own: its group, everything, or its own, in turn.
pub fn asked_class(own: &str, turn: u64) -> String {
    match turn % 3 {
        0 => own.get(.."urn:bench:G0".len()).unwrap_or(own).to_owned(),
        1 => "urn:i3:ns:VirtualObject".to_owned(),
        _ => own.to_owned(),
    }
}

/// The stored document of an object: JSON of about 1.8 kB.
pub fn document(thing: &Description) -> String {
    let mut json = serde_json::to_value(thing).unwrap_or_default();
    if let Some(fields) = json.as_object_mut() {
        fields.insert(
            "body".to_owned(),
            "What this object is for, and how it is put to use. ".repeat(18).into(),
        );
        fields.insert(
            "resources".to_owned(),
            ["coap://129.21.121.1/led", "http://129.21.121.1/led"].as_slice().into(),
        );
    }
    json.to_string()
}

/// The object of this number as its owner publishes it: the same facts, but for the class, which is one of three, and
/// the rating.
pub fn content(number: u64) -> Option<Content> {
    let thing = thing(number);
    let said = |facet| thing.said(facet).map(ToString::to_string).collect::<Vec<_>>();
    let methods: Vec<_> =
        said(Facet::Method).into_iter().map(|name| serde_json::json!({"name": name})).collect();
    let kind = if number.is_multiple_of(2) { "sensor" } else { "actuator" };
    let content = serde_json::json!({
        "kind": kind,
        "title": thing.title,
        "body": "What this object is for, and how it is put to use.",
        "model": said(Facet::Model).first()?,
        "tags": said(Facet::Tag),
        "platforms": said(Facet::Platform),
        "protocols": said(Facet::Protocol),
        "methods": methods,
        "location": {"place": said(Facet::Place).first()?},
    });
    serde_json::from_value(content).ok()
}
