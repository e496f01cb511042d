//! Finding things by what they are and do: the typed question and its answer.

mod answer;
mod cursor;
mod live;
mod parse;
mod query;

use std::fmt;

use async_trait::async_trait;

pub use answer::{Answer, Count, FacetCounts, Hit, Reason};
pub(crate) use cursor::Key;
pub use cursor::{Cursor, InvalidCursor};
pub use live::{Live, Size};
pub use query::{Clause, FieldError, InvalidQuery, Near, Query, Sort, Wrong};

/// Finds things.
#[async_trait]
pub trait Discovery: fmt::Debug + Send + Sync {
    /// Answers a question from an index that has followed the outbox at least up to the position `seen`: whoever
    /// passes the position of a commit finds what it changed.
    async fn discover(&self, query: &Query, seen: Option<u64>) -> Result<Answer, DiscoveryError>;
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// The question makes no sense.
    #[error(transparent)]
    Invalid(#[from] InvalidQuery),
    /// The index cannot follow the outbox.
    #[error("the index cannot be brought up to date")]
    Behind(#[source] Box<dyn std::error::Error + Send + Sync>),
}
