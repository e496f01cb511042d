//! The port for what a gate remembers of single messages.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::id::{GrantId, ProductId};
use crate::time::Timestamp;
use crate::usage::Miss;

/// What became of one message at one session, as far as a gate remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "fate")]
pub enum Fate {
    /// It was handed to the client's connection.
    Delivered {
        /// How often, each time charged: more than once if it was retained and the client subscribed anew.
        times: u64,
        /// How often it was sent again after that, which is free.
        again: u64,
    },
    /// It was not handed to the connection, and not charged.
    Missed {
        /// Why.
        why: Miss,
        /// It is one of so many that were missed together: all with these numbers, or fewer if numbers among them
        /// were never used or belong to messages that another gate took.
        messages: u64,
        /// The first of these numbers.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// The client had no session then.
    Absent,
    /// It came before the first message that the session was there for.
    Before,
    /// Nothing with so high a number has had its turn.
    Ahead,
    /// No message with this number came, though higher ones did: numbers that a gate had taken ahead are skipped when
    /// it dies.
    Skipped,
    /// That is so long ago that it is not remembered.
    Forgotten,
}

/// What one session knows of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFate {
    /// The client's name for itself.
    pub client: String,
    /// Whether the session goes on, with or without a connection.
    pub present: bool,
    /// What became of the message.
    pub fate: Fate,
}

/// What a gate remembers of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recollection {
    /// The gate, as in its leases.
    pub holder: String,
    /// No session of the grant that ended after this was forgotten: at the earliest, when the gate was started.
    pub since: Timestamp,
    /// The gate holds the number for a message that has not come yet.
    pub unused: bool,
    /// The sessions of the grant that it remembers, by name.
    pub sessions: Vec<SessionFate>,
}

/// Remembers for a while what became of single messages. A gate need not: then only counts are known.
#[async_trait]
pub trait Recall: fmt::Debug + Send + Sync + 'static {
    /// What became of the message with this number among those of the product that the grant opens.
    async fn recall(&self, grant: GrantId, product: ProductId, number: u64) -> Recollection;
}
