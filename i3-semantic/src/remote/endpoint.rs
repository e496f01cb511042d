//! What a SPARQL 1.1 store elsewhere is to us.

use std::fmt;

use async_trait::async_trait;

/// A store that speaks the SPARQL 1.1 Protocol. Whoever implements this only carries texts back and forth.
#[async_trait]
pub trait Endpoint: fmt::Debug + Send + Sync {
    /// Carries out an update (`application/sparql-update`): all of its operations or none.
    async fn update(&self, update: &str) -> Result<(), EndpointError>;

    /// Carries out a SELECT or ASK query, and gives its answer as `application/sparql-results+json`.
    async fn query(&self, query: &str) -> Result<Vec<u8>, EndpointError>;
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// It was not reached, or the connection broke: whether it did what it was asked is not known.
    #[error("the SPARQL store cannot be reached: {0}")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answered that it will not.
    #[error("the SPARQL store answers {status}: {reason}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The beginning of what it says.
        reason: String,
    },
}

/// Why a graph could not be brought up to date elsewhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The store did not do what it was asked.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The store's answer makes no sense.
    #[error("the SPARQL store's answer makes no sense: {0}")]
    Answer(String),
    /// Somebody else wrote there meanwhile, or an earlier request of ours arrived late. Nothing was changed by this one.
    #[error("somebody else keeps the SPARQL store too")]
    Overtaken,
    /// A later version of this program keeps the store.
    #[error("what keeps the SPARQL store is not understood: format {0}")]
    Format(String),
}
