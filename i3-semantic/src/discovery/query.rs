//! What is asked for.

use std::fmt;
use std::sync::Arc;

use i3_core::money::Currency;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::cursor::Cursor;
use crate::description::{Attribute, Facet, InvalidTerm, Point, Price};

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sort {
    /// How much the words of the question say of a thing (BM25).
    Relevance,
    /// Best rated first, then by how many ratings; the unrated last.
    Rating,
    /// Cheapest message first.
    Price,
    /// Newest first.
    Newest,
    /// By title, in the order of its characters after NFKC and lower-casing.
    Title,
}

impl Sort {
    /// All orders.
    pub const ALL: [Self; 5] = [Self::Relevance, Self::Rating, Self::Price, Self::Newest, Self::Title];

    /// The name in queries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Relevance => "relevance",
            Self::Rating => "rating",
            Self::Price => "price",
            Self::Newest => "newest",
            Self::Title => "title",
        }
    }
}

/// That a thing has one of these values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clause {
    /// Of which facet.
    pub facet: Facet,
    /// The values, in [canonical](Facet::canonical) form; for [`Facet::Kind`] also the last part of a class's IRI.
    pub any_of: Vec<Arc<str>>,
}

/// A circle on the Earth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Near {
    /// Its centre.
    pub centre: Point,
    /// Its radius.
    pub metres: u32,
}

impl Near {
    /// Half of the way around the Earth: every radius is at most that.
    pub const MAX_METRES: u32 = 20_015_087;
}

/// A typed question. Everything that is said must hold: of several clauses all, of a clause's values one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Query {
    /// Values of facets.
    pub clauses: Vec<Clause>,
    /// Data attributes, each of which a thing must have one of; with a unit, in that unit.
    pub attributes: Vec<Vec<Attribute>>,
    /// It is sold for this currency.
    pub currency: Option<Currency>,
    /// A message costs at most this.
    pub max_price: Option<Price>,
    /// It is rated, and with at least so many tenths of a star.
    pub min_rating: Option<u16>,
    /// Its quality was measured, and is at least so many thousandths.
    pub min_quality: Option<u16>,
    /// It is in this circle.
    pub near: Option<Near>,
    /// Words, all of which it is found by.
    pub text: Option<String>,
    /// In which order; by relevance if there is a text, else the newest first.
    pub sort: Option<Sort>,
    /// Where the page before ended.
    #[serde(skip)]
    pub after: Option<Cursor>,
    /// How many at most: 1 to [`Query::MAX_LIMIT`].
    #[serde(skip)]
    pub limit: usize,
    /// Which facets' values are counted, over all that was found.
    #[serde(skip)]
    pub facets: Vec<Facet>,
    /// How many values of each, the most frequent first: 1 to [`Query::MAX_FACET_VALUES`].
    #[serde(skip)]
    pub facet_values: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            clauses: Vec::new(),
            attributes: Vec::new(),
            currency: None,
            max_price: None,
            min_rating: None,
            min_quality: None,
            near: None,
            text: None,
            sort: None,
            after: None,
            limit: Self::DEFAULT_LIMIT,
            facets: Vec::new(),
            facet_values: Self::DEFAULT_FACET_VALUES,
        }
    }
}

impl Query {
    /// How many things a page has, unless said otherwise.
    pub const DEFAULT_LIMIT: usize = 20;
    /// How many things a page may have.
    pub const MAX_LIMIT: usize = 100;
    /// How many values of a facet are counted, unless said otherwise.
    pub const DEFAULT_FACET_VALUES: usize = 10;
    /// How many values of a facet may be counted.
    pub const MAX_FACET_VALUES: usize = 100;
    /// How many clauses a question may have, attributes included.
    pub const MAX_CLAUSES: usize = 32;
    /// How many values a clause may have.
    pub const MAX_VALUES: usize = 32;
    /// The longest text, in bytes.
    pub const MAX_TEXT: usize = 1_000;

    /// Also asks that it has one of these values.
    pub fn having(mut self, facet: Facet, any_of: &[&str]) -> Result<Self, InvalidTerm> {
        if facet == Facet::Attribute {
            let attributes = any_of.iter().map(|name| Attribute::new(name, None));
            self.attributes.push(attributes.collect::<Result<_, _>>()?);
        } else {
            let any_of = any_of.iter().map(|text| facet.canonical(text)).collect::<Result<_, _>>()?;
            self.clauses.push(Clause { facet, any_of });
        }
        Ok(self)
    }

    /// Also asks that it is found by these words.
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// In this order.
    pub fn sorted(mut self, sort: Sort) -> Self {
        self.sort = Some(sort);
        self
    }

    /// With counts of the values of these facets.
    pub fn counting(mut self, facets: &[Facet]) -> Self {
        self.facets = facets.to_vec();
        self
    }

    /// At most so many.
    pub fn limited(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// What comes after this place.
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// The order in which it is answered.
    pub fn order(&self) -> Sort {
        self.sort.unwrap_or(if self.text.is_some() { Sort::Relevance } else { Sort::Newest })
    }

    /// What tells this question from others, pages of it apart.
    pub(crate) fn mark(&self) -> u64 {
        let text = serde_json::to_string(self).unwrap_or_default();
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        digest.iter().take(8).fold(0, |mark, byte| (mark << 8) | u64::from(*byte))
    }

    /// What of it makes no sense.
    pub fn check(&self) -> Result<(), InvalidQuery> {
        let mut wrong = Vec::new();
        let mut bar = |bad: bool, field: &str, what: Wrong| {
            if bad {
                wrong.push(FieldError { field: field.to_owned(), wrong: what });
            }
        };
        bar(!(1..=Self::MAX_LIMIT).contains(&self.limit), "limit", Wrong::Number { least: "1", most: "100" });
        bar(
            !(1..=Self::MAX_FACET_VALUES).contains(&self.facet_values),
            "facet_values",
            Wrong::Number { least: "1", most: "100" },
        );
        let many = self.clauses.len() + self.attributes.len() > Self::MAX_CLAUSES;
        let long = self.clauses.iter().any(|clause| clause.any_of.len() > Self::MAX_VALUES)
            || self.attributes.iter().any(|any_of| any_of.len() > Self::MAX_VALUES);
        bar(many || long, "query", Wrong::TooMany { most: Self::MAX_CLAUSES });
        bar(self.text.as_ref().is_some_and(|text| text.len() > Self::MAX_TEXT), "q", Wrong::Long);
        bar(
            self.near.is_some_and(|near| near.metres > Near::MAX_METRES),
            "radius",
            Wrong::Number { least: "0", most: "20015087" },
        );
        bar(self.min_rating.is_some_and(|tenths| tenths > 50), "min_rating", Wrong::RATING);
        bar(self.min_quality.is_some_and(|share| share > 1_000), "min_quality", Wrong::QUALITY);
        let order = self.order();
        bar(order == Sort::Relevance && self.text.is_none(), "sort", Wrong::Alone { needs: "q" });
        bar(order == Sort::Price && self.sold_for().is_none(), "sort", Wrong::Alone { needs: "currency" });
        let mixed = matches!((self.currency, self.max_price), (Some(one), Some(two)) if one != two.currency);
        bar(mixed, "currency", Wrong::Currency);
        let foreign = self.after.as_ref().is_some_and(|cursor| !cursor.is_of(self));
        bar(foreign, "cursor", Wrong::Cursor);
        if wrong.is_empty() { Ok(()) } else { Err(InvalidQuery { fields: wrong }) }
    }

    /// The currency that it must be sold for.
    pub(crate) fn sold_for(&self) -> Option<Currency> {
        self.currency.or(self.max_price.map(|price| price.currency))
    }
}

/// What is wrong with a field of a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// There is no such field.
    #[error("there is no such parameter")]
    Unknown,
    /// It may be given once only.
    #[error("it is given more than once")]
    Repeated,
    /// It is no value of its facet.
    #[error(transparent)]
    Term(#[from] InvalidTerm),
    /// It is no class of the ontology.
    #[error("the ontology has no class of this name")]
    Class,
    /// It is no number, or out of range.
    #[error("a number from {least} to {most} is expected")]
    Number {
        /// The smallest.
        least: &'static str,
        /// The largest.
        most: &'static str,
    },
    /// It says nothing without another field.
    #[error("it needs `{needs}` beside it")]
    Alone {
        /// Which.
        needs: &'static str,
    },
    /// It is none of those that there are.
    #[error("one of {choices} is expected")]
    Choice {
        /// Which there are.
        choices: &'static str,
    },
    /// It is no currency, or two are named.
    #[error("one currency is expected, as in `EUR`")]
    Currency,
    /// It is no price.
    #[error("a price of one message is expected, with at most nine digits after the point")]
    Price,
    /// It is no point on the Earth.
    #[error("a latitude and a longitude in degrees are expected, as in `33.45,126.57`")]
    Point,
    /// It is no cursor, or one of another question.
    #[error("it is no cursor of this question")]
    Cursor,
    /// There are too many values.
    #[error("at most {most} are expected")]
    TooMany {
        /// How many there may be.
        most: usize,
    },
    /// The text is too long.
    #[error("at most {} bytes are expected", Query::MAX_TEXT)]
    Long,
}

impl Wrong {
    pub(super) const RATING: Self = Self::Number { least: "0", most: "5" };
    pub(super) const QUALITY: Self = Self::Number { least: "0", most: "100" };
}

/// A field of a question, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {wrong}")]
pub struct FieldError {
    /// The field, as the query string calls it.
    pub field: String,
    /// What is wrong.
    pub wrong: Wrong,
}

/// A question that makes no sense: with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidQuery {
    /// The fields, at least one.
    pub fields: Vec<FieldError>,
}

impl fmt::Display for InvalidQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, field) in self.fields.iter().enumerate() {
            write!(f, "{}{field}", if place == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}
