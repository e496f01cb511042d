//! What is asked: of the index, and in SPARQL.

use i3_semantic::description::{Description, Facet, facet_fact};
use i3_semantic::discovery::{Live, Query};

use crate::things::{Numbers, asked_class, thing};

/// How many questions of each kind.
pub(super) const QUESTIONS: u64 = 400;

/// A class, a protocol, a method and a tag.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub(super) query: Query,
    /// The same as a group of SPARQL patterns over `?it`, the most selective first.
    pub(super) patterns: String,
}

/// What is asked for, drawn from a thing, so that at least that is found. The class is the thing's own, the one two
/// levels above, or the one above all, in turn.
fn drawn(thing: &Description, turn: u64) -> Option<[(Facet, String); 4]> {
    let one = |facet| thing.said(facet).next().map(ToString::to_string);
    Some([
        (Facet::Kind, asked_class(&one(Facet::Kind)?, turn)),
        (Facet::Protocol, one(Facet::Protocol)?),
        (Facet::Method, one(Facet::Method)?),
        (Facet::Tag, one(Facet::Tag)?),
    ])
}

fn typed(live: &Live, thing: &Description, turn: u64) -> Option<Typed> {
    let mut query = Query::default();
    let mut patterns = Vec::new();
    for (facet, value) in drawn(thing, turn)? {
        // How many have the value is known exactly: who writes SPARQL by hand has no better order.
        let rows = live.find(&Query::default().having(facet, &[&value]).ok()?).ok()?.total;
        let (property, term) = facet_fact(facet, &value)?;
        let pattern = match facet {
            Facet::Method => format!("?it <urn:i3:ns:performs> ?method . ?method {property} {term} ."),
            _ => format!("?it {property} {term} ."),
        };
        patterns.push((rows, pattern));
        query = query.having(facet, &[&value]).ok()?;
    }
    patterns.sort();
    let patterns: Vec<String> = patterns.into_iter().map(|(_, pattern)| pattern).collect();
    Some(Typed { query, patterns: patterns.join(" ") })
}

impl Typed {
    /// The first twenty that SPARQL finds.
    pub(super) fn first(&self) -> String {
        format!("SELECT ?it WHERE {{ {} }} LIMIT 20", self.patterns)
    }

    /// Everything that SPARQL finds.
    pub(super) fn all(&self) -> String {
        format!("SELECT DISTINCT ?it WHERE {{ {} }}", self.patterns)
    }

    /// The twenty best rated.
    pub(super) fn best(&self) -> String {
        format!(
            "SELECT ?it WHERE {{ {} ?it <urn:i3:ns:hasRating> ?rating . ?rating <urn:i3:ns:ratingValue> ?value }} \
             ORDER BY DESC(?value) LIMIT 20",
            self.patterns
        )
    }
}

/// Of typed questions the class and the protocol alone, where that fills a page among a thousand things already.
pub(super) fn wide_questions(live: &Live, typed: &[Typed]) -> Vec<Query> {
    let wide = typed.iter().map(|asked| Query {
        clauses: asked.query.clauses.iter().take(2).cloned().collect(),
        ..Query::default()
    });
    wide.filter(|query| live.find(query).is_ok_and(|answer| answer.next.is_some())).collect()
}

/// Typed questions over so many things.
pub(super) fn typed_questions(live: &Live, objects: u64) -> Vec<Typed> {
    let mut numbers = Numbers::new(7);
    let drawn = (0..QUESTIONS).map(|turn| typed(live, &thing(numbers.below(objects)), turn));
    drawn.flatten().collect()
}

/// Texts that are searched for.
#[derive(Debug)]
pub(super) struct Texts {
    /// A word that one title of a thousand has.
    pub(super) rare: Vec<Query>,
    /// Two words of one title.
    pub(super) two: Vec<Query>,
    /// Words of up to every fourth title.
    pub(super) frequent: Vec<Query>,
}

impl Texts {
    pub(super) fn new(objects: u64) -> Self {
        let mut numbers = Numbers::new(8);
        let words = |number: u64| {
            let thing = thing(number);
            let mut words: Vec<String> = thing.title.split(' ').map(str::to_owned).collect();
            words.dedup();
            words
        };
        let mut drawn = || words(numbers.below(objects));
        let text = |text: String| Query::default().with_text(text);
        let all: Vec<Vec<String>> = (0..QUESTIONS).map(|_| drawn()).collect();
        let of = |pick: &dyn Fn(&[String]) -> Option<String>| {
            all.iter().filter_map(|words| pick(words)).map(text).collect()
        };
        Self {
            rare: of(&|words| words.last().cloned()),
            two: of(&|words| Some(format!("{} {}", words.first()?, words.get(1)?))),
            frequent: of(&|words| words.first().cloned()),
        }
    }
}
