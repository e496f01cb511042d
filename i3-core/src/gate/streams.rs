//! The port for what a gate knows of the messages themselves: their numbers, and what they were like.

use std::fmt;

use async_trait::async_trait;

use crate::id::ProductId;
use crate::store::StoreError;
use crate::stream::{NumbersUsedUp, SequenceBlock, StreamReport};

/// No numbers, or no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamsError {
    /// There is no such product.
    #[error("there is no such product")]
    NoSuchProduct,
    /// All numbers were handed out.
    #[error(transparent)]
    NumbersUsedUp(#[from] NumbersUsedUp),
    /// The store gave no answer: use up the numbers that are held, then take no more messages.
    #[error("the store could not be asked")]
    Store(#[from] StoreError),
}

/// Numbers the messages of a product, for all gates together, and keeps what gates measured.
///
/// Asks no policy: whoever holds it is a gate. What is written is telemetry and stands in no audit log.
#[async_trait]
pub trait Streams: fmt::Debug + Send + Sync + 'static {
    /// Hands up to `count` sequence numbers of a product (at least one) to the gate called `holder`, which no other
    /// call of anybody's gets, above all that were handed out before. They are handed out durably, as far as the
    /// store is durable, before this returns; what a gate that dies has not used is skipped, and so is a block whose
    /// answer was lost.
    async fn reserve(
        &self,
        product: ProductId,
        holder: &str,
        count: u64,
    ) -> Result<SequenceBlock, StreamsError>;

    /// Gives these numbers back, the last ones that the gate has of the product: it has used none of them, will use
    /// none, and asks for no others before this has returned. They come back if they are the last ones that were
    /// handed out at all; otherwise they are skipped.
    async fn release(
        &self,
        product: ProductId,
        holder: &str,
        rest: SequenceBlock,
    ) -> Result<(), StreamsError>;

    /// Adds to what is known of a product's stream. Must not be repeated if the outcome is unknown: better some
    /// messages are not measured than measured twice. Samples that were redacted under other terms than the present
    /// ones are left out.
    async fn report(&self, product: ProductId, report: StreamReport) -> Result<(), StreamsError>;
}
