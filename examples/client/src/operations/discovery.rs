//! Discovery: virtual objects and data products by what they are and do.

use i3_core::market::ProductCard;
use serde::{Deserialize, Serialize};

use crate::operations::VirtualObject;
use crate::request::with_query;
use crate::{Client, Query};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Discovered {
    /// The things on this page.
    pub things: Vec<FoundThing>,
    /// The `cursor` of the next page; `None`: this is the last one.
    pub next: Option<String>,
    /// How many things there are on all pages.
    pub total: u64,
    /// The counts that were asked for.
    pub facets: Vec<FacetCount>,
    /// The position of the outbox up to which the index had followed.
    pub position: u64,
}

/// A thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FoundThing {
    /// Its id.
    pub id: String,
    /// Why it was found: one reason for each part of the question.
    pub why: Vec<Why>,
    /// The thing itself.
    #[serde(flatten)]
    pub thing: Thing,
}

/// A thing of one kind or the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "listing", content = "document", rename_all = "snake_case")]
pub enum Thing {
    /// A virtual object.
    Object(Box<VirtualObject>),
    /// A data product.
    Product(Box<ProductCard>),
}

/// Why a thing was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Why {
    /// The field of the question.
    pub field: String,
    /// What of it the thing has.
    pub value: String,
    /// What it follows from, if nobody said it of the thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
}

/// The most frequent values of a facet among all that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FacetCount {
    /// The facet.
    pub facet: String,
    /// Its values, the most frequent one first.
    pub values: Vec<ValueCount>,
    /// Whether there are more.
    pub more: bool,
}

/// How often a value is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ValueCount {
    /// The value.
    pub value: String,
    /// In how many things.
    pub count: u64,
}

impl Client {
    /// Finds virtual objects and data products by what they are and do: by names and values as `docs/discovery.md` has
    /// them. One that is given again must hold too; values with commas between them are alternatives.
    pub fn discover<'a>(&self, question: impl IntoIterator<Item = (&'a str, &'a str)>) -> Query<Discovered> {
        let pairs = question.into_iter().map(|(name, value)| (name, value.to_owned()));
        self.get(with_query("/discover", pairs))
    }
}
