//! The log between publishers and subscribers: one ordered stream of messages per product topic.
//!
//! A [`TopicLog`] takes messages and feeds them into a [`Feed`] per topic; sessions read feeds at their own
//! pace. A feed holds a bounded number of bytes. A session that falls behind by more than that misses
//! messages, exactly counted; it never slows anybody else down.

mod feed;
mod memory;
mod router;
#[cfg(feature = "upstream")]
mod upstream;

use std::sync::Arc;

use async_trait::async_trait;
use i3_core::gate::Principal;
use i3_core::name::Topic;

use crate::message::Message;

pub use feed::{Feed, Queued, Reader};
pub use memory::MemoryLog;
pub use router::{RumqttdLog, RumqttdLogConfig};
#[cfg(feature = "upstream")]
pub use upstream::{
    InvalidUpstreamName, InvalidUpstreamUrl, UpstreamConfig, UpstreamCounts, UpstreamKey, UpstreamLog,
    UpstreamLogin, UpstreamUrl,
};

/// The log did not take the messages: they may be offered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the topic log does not answer")]
pub struct LogDown;

/// How much the log has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backlog {
    /// It keeps up.
    Low,
    /// It is behind: publishers should pause.
    High,
}

/// Carries messages from publishers to the readers of exactly the same topic, in the order in which they were
/// published to it. Keeps nothing through a restart. Does not check rights: the gate does.
#[async_trait]
pub trait TopicLog: std::fmt::Debug + Send + Sync + 'static {
    /// Takes messages of one publisher, all to this topic. Does not wait for readers. After an error none may be
    /// lost and some may be doubled by offering them again.
    ///
    /// `source` is whom the messages come from. A log that reaches beyond this process keeps the publishers apart
    /// by it; it decides nothing about rights.
    fn publish(&self, source: Principal, topic: &Topic, messages: &[Message]) -> Result<Backlog, LogDown>;

    /// A reader of the messages that are published from now on.
    async fn subscribe(&self, topic: &Topic) -> Result<Reader, LogDown>;

    /// Messages that the log itself lost, as far as it can tell, since it was made.
    fn lost(&self) -> u64 {
        0
    }

    /// How often the log's engine died and was replaced since it was made.
    fn restarts(&self) -> u64 {
        0
    }

    /// Messages that were taken and are still on their way through the log's engine, as far as it can tell.
    fn waiting(&self) -> usize {
        0
    }

    /// Messages that came to the log and were not passed on, by reason, since it was made. The reasons are few and
    /// stay the same: they become a label of a metric.
    fn dropped(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// The feeds that this log holds open.
    fn feeds(&self) -> Vec<Arc<Feed>>;
}

/// Something to wake when there is more to read.
pub(crate) type Waker = Arc<tokio::sync::Notify>;
