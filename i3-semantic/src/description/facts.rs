//! A description as facts of the ontology.

use std::fmt::Write as _;

use oxigraph::model::vocab::{rdf, xsd};
use oxigraph::model::{Literal, NamedNode, NamedNodeRef, Term, Triple};

use super::{Attribute, Description, Facet, Listing, places_around};
use crate::vocabulary as i3;

/// A text as a part of an IRI: letters, digits, `-`, `.`, `_` and `~` as they are, all other bytes as `%` and two digits
/// (RFC 3986, 2.1).
pub(crate) fn iri_part(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            part.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(part, "%{byte:02X}");
        }
    }
    part
}

/// The IRI of something of ours. Made of what an IRI may hold only, so it is always one.
fn iri(kind: &str, text: &str) -> NamedNode {
    NamedNode::new(format!("urn:i3:{kind}:{}", iri_part(text))).unwrap_or_else(|_| i3::ONTOLOGY.into_owned())
}

/// The IRI of what has this id.
pub fn thing_iri(id: &str) -> NamedNode {
    iri("thing", id)
}

/// What a facet's value is in the graph, and by which property a thing has it; nothing for a class whose name is no IRI.
///
/// Methods, attributes and units are values of parts of a thing and not of the thing itself: see [`Description::facts`].
pub fn facet_fact(facet: Facet, value: &str) -> Option<(NamedNodeRef<'static>, Term)> {
    let place = || {
        let parts: Vec<String> = value.split('/').map(iri_part).collect();
        NamedNode::new(format!("urn:i3:place:{}", parts.join("/"))).ok()
    };
    Some(match facet {
        Facet::Kind => (rdf::TYPE, NamedNode::new(value).ok()?.into()),
        Facet::Protocol => (i3::SUPPORTS_PROTOCOL, iri("protocol", value).into()),
        Facet::Platform => (i3::ON_PLATFORM, iri("platform", value).into()),
        Facet::Domain => (i3::IN_DOMAIN, iri("domain", value).into()),
        Facet::Provider => (i3::PROVIDED_BY, iri("provider", value).into()),
        Facet::Place => (i3::LOCATED_IN, place()?.into()),
        Facet::Model => (i3::MODEL, Literal::from(value).into()),
        Facet::Tag => (i3::TAG, Literal::from(value).into()),
        Facet::Listing if value == Listing::Product.as_str() => (rdf::TYPE, i3::PRODUCT.into()),
        Facet::Listing => (rdf::TYPE, i3::VIRTUAL_OBJECT.into()),
        Facet::Method | Facet::Attribute => (i3::NAME, Literal::from(value).into()),
        Facet::Unit => (i3::UNIT, Literal::from(value).into()),
    })
}

/// A number of units of its `places`th digit after the point, as a decimal.
pub(crate) fn decimal_literal(number: i64, places: u32) -> Literal {
    let (sign, digits) = (if number < 0 { "-" } else { "" }, number.unsigned_abs());
    let base = 10_u64.saturating_pow(places);
    let width = usize::try_from(places).unwrap_or(0);
    let text = format!("{sign}{}.{:0width$}", digits / base, digits % base);
    let text = text.trim_end_matches('0');
    let whole = if text.ends_with('.') { "0" } else { "" };
    Literal::new_typed_literal(format!("{text}{whole}"), xsd::DECIMAL)
}

impl Description {
    /// Its IRI in the graph.
    pub fn iri(&self) -> NamedNode {
        thing_iri(&self.id)
    }

    /// Everything that it says, as triples about its [IRI](Self::iri) and its parts, whose IRIs begin with that and
    /// `#`. Without what follows, but for the places around its place, of which nobody else may speak.
    pub fn facts(&self) -> Vec<Triple> {
        let thing = self.iri();
        let mut facts = Vec::with_capacity(16);
        let mut say = |subject: &NamedNode, property: NamedNodeRef<'_>, value: Term| {
            facts.push(Triple::new(subject.clone(), property.into_owned(), value));
        };
        let of = |what: &str| NamedNode::new(format!("{}#{what}", thing.as_str())).ok();

        for (facet, values) in &self.terms {
            for value in values {
                match facet {
                    Facet::Method => {
                        let Some(method) = of(&format!("method-{}", iri_part(value))) else { continue };
                        say(&thing, i3::PERFORMS, method.clone().into());
                        say(&method, i3::NAME, Literal::from(&**value).into());
                    }
                    Facet::Place => {
                        for place in places_around(value) {
                            if let Some((property, place)) = facet_fact(*facet, place) {
                                say(&thing, property, place);
                            }
                        }
                    }
                    _ => {
                        if let Some((property, value)) = facet_fact(*facet, value) {
                            say(&thing, property, value);
                        }
                    }
                }
            }
        }
        if let Some((property, class)) = facet_fact(Facet::Listing, self.listing.as_str()) {
            say(&thing, property, class);
        }
        for Attribute { name, unit } in &self.attributes {
            let unit_part =
                unit.as_deref().map_or_else(String::new, |unit| format!("-in-{}", iri_part(unit)));
            let Some(attribute) = of(&format!("attribute-{}{unit_part}", iri_part(name))) else { continue };
            say(&thing, i3::HAS_ATTRIBUTE, attribute.clone().into());
            say(&attribute, i3::NAME, Literal::from(&**name).into());
            if let Some(unit) = unit {
                say(&attribute, i3::UNIT, Literal::from(&**unit).into());
            }
        }
        for price in &self.prices {
            let currency = price.currency.to_string();
            let Some(offer) = of(&format!("offer-{}", iri_part(&currency))) else { continue };
            let nanos = i64::try_from(price.per_message.nanos()).unwrap_or(i64::MAX);
            say(&thing, i3::HAS_OFFER, offer.clone().into());
            say(&offer, i3::PRICE, decimal_literal(nanos, 9).into());
            say(&offer, i3::CURRENCY, Literal::from(currency).into());
        }
        if let (Some(rating), Some(node)) = (self.rating, of("rating")) {
            say(&thing, i3::HAS_RATING, node.clone().into());
            say(&node, i3::RATING_VALUE, decimal_literal(rating.tenths.into(), 1).into());
            say(&node, i3::RATING_COUNT, Literal::from(rating.ratings).into());
        }
        if let (Some(quality), Some(node)) = (self.quality, of("quality")) {
            say(&thing, i3::HAS_QUALITY, node.clone().into());
            say(&node, i3::QUALITY_SCORE, decimal_literal(quality.into(), 3).into());
        }
        if let Some(point) = self.point {
            say(&thing, i3::LATITUDE, decimal_literal(point.latitude.into(), 6).into());
            say(&thing, i3::LONGITUDE, decimal_literal(point.longitude.into(), 6).into());
        }
        say(&thing, i3::TITLE, Literal::from(&*self.title).into());
        for label in &self.labels {
            say(&thing, i3::TITLE, Literal::from(&**label).into());
        }
        for text in &self.texts {
            say(&thing, i3::DESCRIPTION, Literal::from(&**text).into());
        }
        let time = |time: i3_core::time::Timestamp| {
            Term::from(Literal::new_typed_literal(time.to_string(), xsd::DATE_TIME))
        };
        say(&thing, i3::CREATED, time(self.created));
        if let Some(updated) = self.updated {
            say(&thing, i3::MODIFIED, time(updated));
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::infer;
    use crate::ontology::Ontology;
    use i3_core::time::Timestamp;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_is_said_is_data_and_never_more_than_data(texts in prop::collection::vec("\\PC{1,12}", 12)) {
            let mut thing = Description::new(&texts[0], Listing::Object, &texts[1], Timestamp::default());
            for (facet, text) in Facet::ALL.into_iter().zip(&texts) {
                let _ = thing.add(facet, text);
            }
            thing.texts.push(texts[3].clone());
            let facts = thing.facts();
            prop_assert!(infer(Ontology::core().closure(), &facts).is_ok());
            for fact in facts {
                let subject = fact.subject.to_string();
                prop_assert!(subject.starts_with(thing.iri().to_string().trim_end_matches('>')), "{subject}");
                let read = oxigraph::io::RdfParser::from_format(oxigraph::io::RdfFormat::NTriples);
                let line = format!("{fact} .");
                let again: Vec<_> = read.for_slice(line.as_bytes()).collect::<Result<_, _>>().unwrap();
                prop_assert_eq!(Triple::from(again[0].clone()), fact);
            }
        }
    }

    #[test]
    fn numbers_are_decimals() {
        let text = |number, places| decimal_literal(number, places).value().to_owned();
        assert_eq!(
            [text(45, 1), text(50, 1), text(-1_500_000, 6), text(7, 9), text(0, 6)],
            ["4.5", "5.0", "-1.5", "0.000000007", "0.0"]
        );
    }
}
