//! What of a description goes into the index.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use i3_core::money::Currency;
use sha2::{Digest as _, Sha256};

use super::Dimension;
use crate::description::{Description, Facet, Point, places_around};
use crate::inference::{Contradiction, FactRefused};
use crate::text::{Field, Words, normal};

/// What a thing cannot be under an ontology. It is neither in the index nor in the graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Impossible {
    /// A fact that the graph does not take.
    #[error(transparent)]
    Refused(#[from] FactRefused),
    /// It would be two things that nothing can be both.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
}

/// What an ontology makes of descriptions.
pub trait Classes: fmt::Debug + Send + Sync {
    /// The IRIs of all classes that a thing of this description belongs to: those that were said and those that
    /// follow.
    fn types(&self, description: &Description) -> Result<BTreeSet<Arc<str>>, Impossible>;

    /// The IRI of the class that is called so: an IRI, or the last part of one.
    fn named(&self, name: &str) -> Option<Arc<str>>;

    /// Whether everything of the one class is of the other: also of a class and itself.
    fn is_under(&self, class: &str, above: &str) -> bool;
}

/// What of a description goes into the index: a pure function of the description and the ontology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Analysed {
    pub(crate) id: Arc<str>,
    /// Sorted.
    pub(crate) terms: BTreeSet<(Dimension, Arc<str>)>,
    /// The classes that were said of it.
    pub(crate) kinds: BTreeSet<Arc<str>>,
    /// Each word with its level, by word.
    pub(crate) words: Vec<(Arc<str>, u8)>,
    pub(crate) numbers: Numbers,
    pub(crate) title: Box<str>,
}

/// The numbers of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Microseconds since the epoch.
    pub(crate) created: i64,
    /// Tenths of a star and how many ratings, so that it sorts; nothing if nobody rated.
    pub(crate) rating: i64,
    /// Thousandths.
    pub(crate) quality: Option<u16>,
    pub(crate) point: Option<Point>,
    /// Billionths of the currency's unit for a message.
    pub(crate) prices: Vec<(Currency, u64)>,
}

/// The text under which an attribute in a unit is found. Neither holds control characters.
pub(crate) fn measured(name: &str, unit: &str) -> String {
    format!("{name}\u{1f}{unit}")
}

/// The tenths of a star and the number of ratings as one number.
pub(crate) fn rating_key(tenths: u16, ratings: u32) -> i64 {
    (i64::from(tenths) << 32) | i64::from(ratings)
}

/// The words that a description is found by.
pub(crate) fn words_of(description: &Description) -> Words {
    let mut words = Words::default();
    words.add(Field::Title, &description.title);
    for label in &description.labels {
        words.add(Field::Label, label);
    }
    for facet in [Facet::Model, Facet::Tag, Facet::Method] {
        for label in description.said(facet) {
            words.add(Field::Label, label);
        }
    }
    for attribute in description.attributes() {
        words.add(Field::Label, &attribute.name);
    }
    for text in &description.texts {
        words.add(Field::Body, text);
    }
    words
}

impl Analysed {
    pub(crate) fn of(description: &Description, classes: &dyn Classes) -> Result<Self, Impossible> {
        Ok(Self::as_member(description, classes.types(description)?))
    }

    /// Of a thing whose classes are known.
    pub(crate) fn as_member(description: &Description, types: impl IntoIterator<Item = Arc<str>>) -> Self {
        let mut terms: BTreeSet<(Dimension, Arc<str>)> = BTreeSet::new();
        for facet in Facet::ALL {
            for said in description.said(facet) {
                match facet {
                    Facet::Place => {
                        let around = places_around(said).map(|place| (Dimension::Facet(facet), place.into()));
                        terms.extend(around);
                    }
                    _ => drop(terms.insert((Dimension::Facet(facet), said.clone()))),
                }
            }
        }
        terms.extend(types.into_iter().map(|class| (Dimension::Facet(Facet::Kind), class)));
        for attribute in description.attributes() {
            terms.insert((Dimension::Facet(Facet::Attribute), attribute.name.clone()));
            if let Some(unit) = &attribute.unit {
                terms.insert((Dimension::Facet(Facet::Unit), unit.clone()));
                terms.insert((Dimension::Measured, measured(&attribute.name, unit).into()));
            }
        }
        terms.insert((Dimension::Facet(Facet::Listing), description.listing.as_str().into()));

        Self {
            id: description.id.clone(),
            terms,
            kinds: description.said(Facet::Kind).cloned().collect(),
            words: words_of(description).levels(),
            numbers: Numbers {
                created: description.created.micros(),
                rating: description.rating.map_or(0, |rating| rating_key(rating.tenths, rating.ratings)),
                quality: description.quality,
                point: description.point,
                prices: description
                    .prices()
                    .iter()
                    .map(|price| (price.currency, price.per_message.nanos()))
                    .collect(),
            },
            title: normal(&description.title).into(),
        }
    }

    /// A digest of all of it.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut text = |text: &str| {
            hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(text);
        };
        text(&self.id);
        text(&self.title);
        for kind in &self.kinds {
            text(kind);
        }
        for (dimension, term) in &self.terms {
            text(dimension.as_str());
            text(term);
        }
        for (word, level) in &self.words {
            text(word);
            text(&level.to_string());
        }
        text(&format!("{:?}", self.numbers));
        hash.finalize().into()
    }
}
