//! A topic log behind the gate: any MQTT 5 broker, shared by gates on several machines and by whoever else reads it.
//!
//! The gate ends its clients' MQTT and speaks its own to the upstream broker:
//!
//! - **Nothing of a client's bytes is passed on but payload and properties**, in packets that the gate makes itself.
//!   Clients' user names, passwords and client ids never leave the gate, which has one login of its own.
//! - **Client ids are the gate's making**: `{prefix}.{gate}.{device id}` for a connection that publishes for one
//!   device (there is a bound on those, and idle ones are closed), `{prefix}.{gate}.shared-{n}` for those that
//!   other devices share, `{prefix}.{gate}.subscriber-{n}` for those that subscribe. So the upstream broker's log and
//!   access rules can tell sellers apart.
//! - **Only gates' messages are delivered.** Each carries an envelope with a code that only gates with the same
//!   [`UpstreamKey`] can make, bound to topic and payload; anything else is dropped and counted, unless
//!   [`UpstreamConfig::accept_foreign`] says otherwise. Copies of gates' messages are dropped too.
//! - **Nothing is doubled.** Messages go at `QoS` 1 and are sent again when a connection ends; the gates drop what
//!   they have seen. Other consumers of the upstream broker may see such a message twice.
//! - **What is lost is counted**, by gaps in the numbers: what the broker forgot when it was restarted, dropped
//!   from a full queue, or refused.
//!
//! That the log took a message means that it is in this process's memory, and is offered to the broker until the
//! broker has taken it. While the broker cannot be reached, or when too much waits, the log says that it is down and
//! publishers pause.
//!
//! TLS is not offered: the client in use brings a version with known defects. Keep the two on one machine, or put a
//! tunnel between them. The broker should allow at least 4,096 messages in flight and a long queue for the
//! subscribing clients (Mosquitto: `max_inflight_messages`, `max_queued_messages`); what its queue drops is lost.

mod carry;
mod config;
mod counts;
mod envelope;
mod lane;
mod lanes;
mod line;
mod origins;
mod properties;
mod queue;
mod subscriber;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use i3_core::gate::Principal;
use i3_core::name::Topic;
use i3_core::time::{Clock, Timestamp};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use self::counts::Counters;
use self::envelope::Seal;
use self::lane::Held;
use self::lanes::Lanes;
use self::subscriber::Subscriber;
use super::{Backlog, Feed, LogDown, Reader, TopicLog};
use crate::message::Message;

pub use config::{
    InvalidUpstreamName, InvalidUpstreamUrl, UpstreamConfig, UpstreamKey, UpstreamLogin, UpstreamUrl,
};
pub use counts::UpstreamCounts;

/// A topic log that is an MQTT 5 broker elsewhere. Dropping it ends its connections.
#[derive(Debug)]
pub struct UpstreamLog {
    core: Arc<Core>,
    lanes: Arc<Lanes>,
    tasks: Vec<AbortHandle>,
    hasher: RandomState,
    runtime: Handle,
}

/// What all connections share.
#[derive(Debug)]
struct Core {
    config: UpstreamConfig,
    seal: Seal,
    clock: Arc<dyn Clock>,
    counters: Counters,
    held: Held,
    subscribers: Vec<Arc<Subscriber>>,
    /// Two random numbers, from which those of the lanes are made.
    origins: (RandomState, AtomicU64),
}

impl Core {
    /// A client id at the upstream broker.
    fn client_id(&self, name: &str) -> String {
        format!("{}.{}.{name}", self.config.prefix, self.config.gate)
    }

    fn fresh_origin(&self) -> u64 {
        let (random, next) = &self.origins;
        random.hash_one((next.fetch_add(1, Ordering::Relaxed), self.clock.now().micros()))
    }

    fn max_age(&self) -> u64 {
        u64::try_from(self.config.max_age.as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits until all subscribing connections are there, but not for long.
    async fn subscribers_ready(&self, limit: Duration) {
        let all = async {
            for subscriber in &self.subscribers {
                subscriber.ready().await;
            }
        };
        // Those that are not there count what they miss.
        let _ = tokio::time::timeout(limit, all).await;
    }
}

/// In milliseconds since 1970.
fn milliseconds(time: Timestamp) -> u64 {
    u64::try_from(time.micros() / 1_000).unwrap_or_default()
}

impl UpstreamLog {
    /// Begins to connect, and goes on trying for as long as the log lives. Must be called within a tokio runtime.
    pub fn start(config: UpstreamConfig, clock: Arc<dyn Clock>) -> Result<Self, InvalidUpstreamName> {
        let config = config.in_range()?;
        let runtime = Handle::current();
        let name = |n| format!("{}.{}.subscriber-{n}", config.prefix, config.gate);
        let (subscribers, left): (Vec<_>, Vec<_>) =
            (0..config.subscribers).map(|n| Subscriber::new(name(n))).unzip();
        let core = Arc::new(Core {
            seal: Seal::new(&config.key),
            config,
            clock,
            counters: Counters::default(),
            held: Held::default(),
            subscribers,
            origins: (RandomState::new(), AtomicU64::new(0)),
        });
        let mut tasks = Vec::new();
        for (subscriber, left) in core.subscribers.iter().zip(left) {
            let run = Arc::clone(subscriber).run(Arc::clone(&core), left);
            tasks.push(runtime.spawn(run).abort_handle());
        }
        let lanes = Arc::new(Lanes::new(&core, runtime.clone()));
        tasks.push(runtime.spawn(Arc::clone(&lanes).sweep_often()).abort_handle());
        Ok(Self { core, lanes, tasks, hasher: RandomState::new(), runtime })
    }

    /// Whether the broker is reached: all shared connections are up. Those of single publishers are not looked at.
    pub fn is_up(&self) -> bool {
        self.lanes.are_up() && self.core.subscribers.iter().all(|subscriber| subscriber.is_up())
    }

    /// What came of messages that did not simply pass.
    pub fn counts(&self) -> UpstreamCounts {
        self.core.counters.snapshot()
    }

    /// How many publishers have a connection of their own.
    pub fn own_lanes(&self) -> usize {
        self.lanes.own()
    }
}

impl Drop for UpstreamLog {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.lanes.stop();
    }
}

#[async_trait]
impl TopicLog for UpstreamLog {
    fn publish(&self, source: Principal, topic: &Topic, messages: &[Message]) -> Result<Backlog, LogDown> {
        if messages.is_empty() {
            return Ok(Backlog::Low);
        }
        self.lanes.publish(source, topic, messages)
    }

    async fn subscribe(&self, topic: &Topic) -> Result<Reader, LogDown> {
        let subscribers = &self.core.subscribers;
        let hash = usize::try_from(self.hasher.hash_one(topic) >> 33).unwrap_or_default();
        let subscriber = subscribers.get(hash % subscribers.len().max(1)).ok_or(LogDown)?;
        let subscribing = Arc::clone(subscriber).subscribe(Arc::clone(&self.core), topic.clone());
        // In a task of its own: whoever asked may go away, but the broker's answer belongs to this question.
        self.runtime.spawn(subscribing).await.map_err(|_| LogDown)?
    }

    fn lost(&self) -> u64 {
        self.core.counters.snapshot().lost
    }

    fn restarts(&self) -> u64 {
        self.core.counters.snapshot().reconnects
    }

    fn waiting(&self) -> usize {
        self.lanes.waiting()
    }

    fn dropped(&self) -> Vec<(&'static str, u64)> {
        let UpstreamCounts { repeated, foreign, forged, .. } = self.counts();
        let foreign = if self.core.config.accept_foreign { 0 } else { foreign };
        vec![("repeated", repeated), ("foreign", foreign), ("forged", forged)]
    }

    fn feeds(&self) -> Vec<Arc<Feed>> {
        self.core.subscribers.iter().flat_map(|subscriber| subscriber.feeds()).collect()
    }
}
