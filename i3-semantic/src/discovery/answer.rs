//! What was found.

use std::sync::Arc;

use serde::Serialize;

use super::cursor::Cursor;
use crate::description::Facet;

/// Why a thing was found: one for each part of the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The field of the question, as the query string calls it.
    pub field: &'static str,
    /// What of it the thing has.
    pub value: Arc<str>,
    /// What it follows from, if nobody said it of the thing: the class below the one that was asked for, or the place
    /// in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<Arc<str>>,
}

/// A thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// Its id.
    pub id: Arc<str>,
    /// Why it was found.
    pub why: Vec<Reason>,
}

/// A value of a facet and how many of what was found have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The value.
    pub value: Arc<str>,
    /// How many.
    pub count: u64,
}

/// The most frequent values of a facet among all that was found, most frequent first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FacetCounts {
    /// The facet.
    pub facet: Facet,
    /// The values.
    pub values: Vec<Count>,
    /// Whether there are more.
    pub more: bool,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// A page of things, in the order that was asked for.
    pub hits: Vec<Hit>,
    /// How many there are on all pages.
    pub total: u64,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
    /// The counts that were asked for.
    pub facets: Vec<FacetCounts>,
    /// The position of the outbox up to which the index had followed.
    pub position: u64,
}
