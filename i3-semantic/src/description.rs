//! What the index knows of one thing.
//!
//! A [`Description`] is made from what is public of a virtual object or a data product, and everything in the index
//! is made from it: facet terms, words, numbers and RDF facts. So they cannot disagree.

mod facts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use i3_core::money::{Currency, UnitPrice};
use i3_core::time::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use facts::{decimal_literal, iri_part};
pub use facts::{facet_fact, thing_iri};

use crate::text::normal;

/// What things are found by, value by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Facet {
    /// The IRIs of the classes that a thing belongs to. A description has those that were said of it, the index
    /// those that follow too.
    Kind,
    /// How it is spoken to: `coap`, `http`, `mqtt`, … in lower case.
    Protocol,
    /// What it can be told to do: `BlueOn`. As written.
    Method,
    /// What it runs on: `raspberry pi`. In lower case.
    Platform,
    /// The model of the hardware, in lower case.
    Model,
    /// What people search by, in lower case.
    Tag,
    /// The field of use: `smart-home`. In lower case.
    Domain,
    /// The names of what it measures or can be set to. As written.
    Attribute,
    /// The units of these, as written: an IRI of QUDT or a symbol.
    Unit,
    /// The id of who provides it.
    Provider,
    /// Where it is: a path from the whole to the part, `kr/jeju/campus`, in lower case. A description has one, the
    /// index every place that holds it.
    Place,
    /// Whether it is a virtual object or a data product.
    Listing,
}

impl Facet {
    /// All facets.
    pub const ALL: [Self; 12] = [
        Self::Kind,
        Self::Protocol,
        Self::Method,
        Self::Platform,
        Self::Model,
        Self::Tag,
        Self::Domain,
        Self::Attribute,
        Self::Unit,
        Self::Provider,
        Self::Place,
        Self::Listing,
    ];

    /// The name in queries and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Protocol => "protocol",
            Self::Method => "method",
            Self::Platform => "platform",
            Self::Model => "model",
            Self::Tag => "tag",
            Self::Domain => "domain",
            Self::Attribute => "attribute",
            Self::Unit => "unit",
            Self::Provider => "provider",
            Self::Place => "place",
            Self::Listing => "listing",
        }
    }

    /// The facet of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|facet| facet.as_str() == name)
    }

    /// A value of this facet in the form in which values are compared: NFKC without white space at the ends, and
    /// in lower case where the facet says so.
    pub fn canonical(self, text: &str) -> Result<Arc<str>, InvalidTerm> {
        let invalid = |why| InvalidTerm { facet: self, why };
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(invalid(Why::Empty));
        }
        if trimmed.len() > Self::MAX_BYTES {
            return Err(invalid(Why::Long));
        }
        if trimmed.chars().any(char::is_control) {
            return Err(invalid(Why::Control));
        }
        Ok(match self {
            // Identifiers: nothing about them may change.
            Self::Kind | Self::Provider => trimmed.into(),
            Self::Method | Self::Attribute | Self::Unit => {
                use unicode_normalization::UnicodeNormalization as _;
                trimmed.nfkc().collect::<String>().into()
            }
            Self::Protocol | Self::Platform | Self::Model | Self::Tag | Self::Domain => {
                normal(trimmed).into()
            }
            Self::Place => place(trimmed).ok_or_else(|| invalid(Why::Place))?.into(),
            Self::Listing => Listing::named(trimmed).ok_or_else(|| invalid(Why::Listing))?.as_str().into(),
        })
    }

    /// The longest value, in bytes.
    pub const MAX_BYTES: usize = 2_000;
}

impl fmt::Display for Facet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The most parts of a place.
const MAX_PLACE_PARTS: usize = 16;

fn place(text: &str) -> Option<String> {
    let text = normal(text);
    let parts: Vec<&str> = text.trim_matches('/').split('/').map(str::trim).collect();
    let fine = parts.len() <= MAX_PLACE_PARTS && parts.iter().all(|part| !part.is_empty());
    fine.then(|| parts.join("/"))
}

/// A place in [canonical](Facet::canonical) form and all places that hold it, from the outermost on.
pub fn places_around(place: &str) -> impl Iterator<Item = &str> {
    let ends = place.match_indices('/').map(|(at, _)| at).chain([place.len()]);
    ends.filter_map(|end| place.get(..end)).filter(|place| !place.is_empty())
}

/// A text that is no value of a facet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {facet}: {why}")]
pub struct InvalidTerm {
    /// Of which.
    pub facet: Facet,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than {} bytes", Facet::MAX_BYTES)]
    Long,
    #[error("it has control characters")]
    Control,
    #[error("a path of 1 to {MAX_PLACE_PARTS} names is expected, as in `kr/jeju/campus`")]
    Place,
    #[error("`object` or `product` is expected")]
    Listing,
}

/// What a thing is to the marketplace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listing {
    /// A virtual object: taken freely.
    Object,
    /// A data product: bought.
    Product,
}

impl Listing {
    /// The value of [`Facet::Listing`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Product => "product",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Object, Self::Product].into_iter().find(|listing| listing.as_str() == name)
    }
}

/// A data attribute: what is measured, or can be set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attribute {
    /// Its name.
    pub name: Arc<str>,
    /// In what it is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Arc<str>>,
}

impl Attribute {
    /// An attribute of this name, in this unit.
    pub fn new(name: &str, unit: Option<&str>) -> Result<Self, InvalidTerm> {
        Ok(Self {
            name: Facet::Attribute.canonical(name)?,
            unit: unit.map(|unit| Facet::Unit.canonical(unit)).transpose()?,
        })
    }
}

/// What one message costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// In what it is paid.
    pub currency: Currency,
    /// Of one message: what offers of all kinds can be compared by.
    pub per_message: UnitPrice,
}

/// What buyers think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rating {
    /// The mean in tenths of a star.
    pub tenths: u16,
    /// Of how many ratings.
    pub ratings: u32,
}

/// A point on the Earth, to a millionth of a degree (11 cm).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Point {
    latitude: i32,
    longitude: i32,
}

/// Numbers that are no point on the Earth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a point: a latitude of -90 to 90 and a longitude of -180 to 180 degrees are expected")]
pub struct InvalidPoint;

impl Point {
    /// The point of this latitude and longitude, in millionths of a degree.
    pub fn from_micros(latitude: i32, longitude: i32) -> Result<Self, InvalidPoint> {
        let fine = (-90_000_000..=90_000_000).contains(&latitude)
            && (-180_000_000..=180_000_000).contains(&longitude);
        if fine { Ok(Self { latitude, longitude }) } else { Err(InvalidPoint) }
    }

    /// The point of this latitude and longitude in decimal degrees, as in `33.4507` and `126.5707`; digits after the
    /// sixth are dropped.
    pub fn parse(latitude: &str, longitude: &str) -> Result<Self, InvalidPoint> {
        let micros = |text: &str| decimal(text, 6).and_then(|micros| i32::try_from(micros).ok());
        match (micros(latitude), micros(longitude)) {
            (Some(latitude), Some(longitude)) => Self::from_micros(latitude, longitude),
            _ => Err(InvalidPoint),
        }
    }

    /// Millionths of a degree north.
    pub const fn latitude(self) -> i32 {
        self.latitude
    }

    /// Millionths of a degree east.
    pub const fn longitude(self) -> i32 {
        self.longitude
    }
}

/// A decimal number in units of its `places`th digit after the point; further digits are dropped.
pub(crate) fn decimal(text: &str, places: u32) -> Option<i64> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let numeric = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !numeric(whole) || !numeric(part) {
        return None;
    }
    let mut number: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut digits = part.bytes();
    for _ in 0..places {
        let digit = digits.next().map_or(0, |digit| i64::from(digit - b'0'));
        number = number.checked_mul(10)?.checked_add(digit)?;
    }
    number.checked_mul(sign)
}

/// What the index knows of one thing. See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Its id, unique among everything in the index.
    pub id: Arc<str>,
    /// What it is to the marketplace.
    pub listing: Listing,
    /// What people read first.
    pub title: String,
    /// Its title in other languages: found almost as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// What people read then, in any number of languages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
    terms: BTreeMap<Facet, BTreeSet<Arc<str>>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    attributes: BTreeSet<Attribute>,
    /// The cheapest price in each currency that it is sold for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    prices: Vec<Price>,
    /// What buyers think, if there is one who does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<Rating>,
    /// The measured quality in thousandths: the share of messages that arrived and conform to their schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<u16>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<Point>,
    /// When it was created.
    pub created: Timestamp,
    /// When it was changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<Timestamp>,
}

impl Description {
    /// The description of a thing of which nothing more is known.
    pub fn new(id: &str, listing: Listing, title: &str, created: Timestamp) -> Self {
        Self {
            id: id.into(),
            listing,
            title: title.to_owned(),
            labels: Vec::new(),
            texts: Vec::new(),
            terms: BTreeMap::new(),
            attributes: BTreeSet::new(),
            prices: Vec::new(),
            rating: None,
            quality: None,
            point: None,
            created,
            updated: None,
        }
    }

    /// Says that the thing has this value. What it is to the marketplace cannot be said again, and a second place
    /// takes the first one's.
    pub fn add(&mut self, facet: Facet, text: &str) -> Result<(), InvalidTerm> {
        let term = facet.canonical(text)?;
        match facet {
            Facet::Listing => return Ok(()),
            Facet::Attribute => {
                self.attributes.insert(Attribute { name: term, unit: None });
                return Ok(());
            }
            Facet::Place => drop(self.terms.remove(&facet)),
            _ => {}
        }
        self.terms.entry(facet).or_default().insert(term);
        Ok(())
    }

    /// Says that the thing has this data attribute.
    pub fn add_attribute(&mut self, attribute: Attribute) {
        self.attributes.insert(attribute);
    }

    /// Says that the thing is sold at this price. Of several in one currency the cheapest counts.
    pub fn add_price(&mut self, price: Price) {
        match self.prices.iter_mut().find(|known| known.currency == price.currency) {
            Some(known) => known.per_message = known.per_message.min(price.per_message),
            None => self.prices.push(price),
        }
        self.prices.sort_by_cached_key(|price| price.currency.to_string());
    }

    /// What was said of it in this facet; without what follows from it. Attributes and their units are in
    /// [`attributes`](Self::attributes).
    pub fn said(&self, facet: Facet) -> impl Iterator<Item = &Arc<str>> {
        self.terms.get(&facet).into_iter().flatten()
    }

    /// The data attributes.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter()
    }

    /// The cheapest price in each currency, by currency.
    pub fn prices(&self) -> &[Price] {
        &self.prices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_in_one_form() {
        assert_eq!(&*Facet::Protocol.canonical(" CoAP ").unwrap(), "coap");
        assert_eq!(&*Facet::Method.canonical("BlueOn").unwrap(), "BlueOn");
        assert_eq!(&*Facet::Place.canonical("/KR/Jeju/ Campus ").unwrap(), "kr/jeju/campus");
        for (facet, text) in [
            (Facet::Tag, " "),
            (Facet::Tag, "a\nb"),
            (Facet::Place, "kr//jeju"),
            (Facet::Place, "/"),
            (Facet::Listing, "gift"),
        ] {
            assert_eq!(facet.canonical(text).unwrap_err().facet, facet, "{text:?}");
        }
        assert!(Facet::Tag.canonical(&"x".repeat(Facet::MAX_BYTES + 1)).is_err());
        for facet in Facet::ALL {
            assert_eq!(Facet::named(facet.as_str()), Some(facet));
        }
    }

    #[test]
    fn a_place_is_in_every_place_around_it() {
        assert_eq!(places_around("kr/jeju/campus").collect::<Vec<_>>(), ["kr", "kr/jeju", "kr/jeju/campus"]);
        assert_eq!(places_around("kr").collect::<Vec<_>>(), ["kr"]);
    }

    #[test]
    fn a_point_is_read_exactly_or_not_at_all() {
        let point = Point::parse("33.4507", "-126.5707009").unwrap();
        assert_eq!((point.latitude(), point.longitude()), (33_450_700, -126_570_700));
        for (latitude, longitude) in [
            ("90.000001", "0"),
            ("0", "180.1"),
            ("NaN", "0"),
            ("1e1", "0"),
            ("", "0"),
            ("-", "."),
            ("0x1", "0"),
        ] {
            assert_eq!(Point::parse(latitude, longitude), Err(InvalidPoint), "{latitude} {longitude}");
        }
    }

    #[test]
    fn the_cheapest_price_of_each_currency_counts() {
        let mut thing = Description::new("prd_1", Listing::Product, "Air", Timestamp::default());
        let price = |currency: &str, nanos: u64| Price {
            currency: currency.parse().unwrap(),
            per_message: UnitPrice::try_from(nanos).unwrap(),
        };
        for price in [price("KRW", 5), price("EUR", 9), price("EUR", 7), price("EUR", 8)] {
            thing.add_price(price);
        }
        assert_eq!(thing.prices(), [price("EUR", 7), price("KRW", 5)]);
        let text = serde_json::to_string(&thing).unwrap();
        assert_eq!(serde_json::from_str::<Description>(&text).unwrap(), thing);
    }
}
