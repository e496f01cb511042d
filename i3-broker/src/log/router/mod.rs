//! The default topic log: rumqttd's router, in this process, through local links.
//!
//! rumqttd's router can be killed by packets that its public interface takes: a topic that starts with a
//! character beyond ASCII, the loss of a shared subscription's last member, a wake-up after a DISCONNECT. It also
//! never forgets: every filter that was ever subscribed costs about 14 KiB for ever, and every link 25 KiB while it
//! lives. This adapter makes the first unreachable and the second small:
//!
//! - it has a few *lanes*, each one link that publishes and one that subscribes to all of the lane's topics (`l0/+`), made
//!   once, with clean sessions, without wills and aliases, and with `QoS` 0 only;
//! - inside the router a product's topic is a number (`l0/17`), given to it while somebody reads it, and given to
//!   another topic only when the router holds nothing more under it; so there are never more numbers than topics that are
//!   read at a time (and what was in flight), and nothing that a client says becomes a topic of rumqttd's;
//! - DISCONNECT is the last thing that a link ever sends, whatever ends it, and no `wake` follows it;
//! - what a device sends in one go travels as one parcel, so that the router's work is done once for all of it;
//! - what is on its way through a lane is counted, and nothing is taken that the router's ring might push out.
//!
//! Should the router die all the same, a new one is started and all lanes are linked again. What was in the dead one is
//! lost, and counted.

mod engine;
mod lane;
mod parcel;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use i3_core::gate::Principal;
use i3_core::name::Topic;
use rumqttd::protocol::{Packet, Publish};
use tokio::runtime::Handle;

use self::engine::{Engine, Link, start_engine};
use self::lane::{Freed, Lane, Pump};
use super::feed::OnDrop;
use super::{Backlog, Feed, LogDown, Reader, TopicLog};
use crate::message::Message;

/// What a parcel takes in the router's ring beside its own bytes, at most.
const OVERHEAD: usize = 64;

/// The sizes of a [`RumqttdLog`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RumqttdLogConfig {
    /// How many bytes a feed holds for readers that are behind. Default 8 MiB.
    pub feed_bytes: usize,
    /// The bytes of one segment of a lane's ring. At least 1,024. Default 1 MiB.
    pub segment_bytes: usize,
    /// The number of segments in a lane's ring. At least 2. Default 8. When half of the ring is on its way, publishers
    /// are asked to pause.
    pub segments: usize,
    /// The lanes that topics are spread over. At least 1. Default 2.
    pub lanes: usize,
}

impl Default for RumqttdLogConfig {
    fn default() -> Self {
        Self { feed_bytes: 8 << 20, segment_bytes: 1 << 20, segments: 8, lanes: 2 }
    }
}

impl RumqttdLogConfig {
    fn in_range(self) -> Self {
        Self {
            segment_bytes: self.segment_bytes.max(1_024),
            segments: self.segments.max(2),
            lanes: self.lanes.max(1),
            ..self
        }
    }

    /// What may be on its way through a lane: the ring drops a whole segment at a time.
    fn room(&self) -> u64 {
        u64::try_from(self.segment_bytes.saturating_mul(self.segments - 1)).unwrap_or(u64::MAX)
    }
}

/// A topic log on an in-process rumqttd router.
///
/// The router's thread lives until the process ends, since rumqttd has no way to stop it. rumqttd opens
/// `tracing` spans per message: a subscriber should filter its target out (`rumqttd=off`), or it will be slow.
#[derive(Debug)]
pub struct RumqttdLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: RumqttdLogConfig,
    runtime: Handle,
    engine: RwLock<Arc<Engine>>,
    topics: RwLock<HashMap<Topic, Entry>>,
    lanes: Vec<Lane>,
    lost: AtomicU64,
    restarts: AtomicU64,
}

/// A topic that is read.
#[derive(Debug)]
struct Entry {
    feed: Arc<Feed>,
    lane: usize,
    number: u32,
    /// What it is called in the router.
    name: Bytes,
}

impl RumqttdLog {
    /// Starts a router. Must be called within a tokio runtime, which runs the fan-out from then on.
    pub async fn start(config: RumqttdLogConfig) -> Result<Self, LogDown> {
        let config = config.in_range();
        let engine = Arc::new(start_engine(config, 0).await?);
        let shared = Arc::new(Shared {
            config,
            runtime: Handle::current(),
            engine: RwLock::new(Arc::clone(&engine)),
            topics: RwLock::default(),
            lanes: (0..config.lanes).map(|_| Lane::default()).collect(),
            lost: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
        });
        for lane in 0..config.lanes {
            let link = Link::subscribed(&engine, lane).await?;
            let pump = Pump { shared: Arc::clone(&shared), lane };
            shared.runtime.spawn(pump.run(link, Arc::clone(&engine)));
        }
        Ok(Self { shared })
    }

    /// Makes the router's thread panic, by the packet that this adapter otherwise never sends.
    #[cfg(test)]
    pub(crate) fn kill_router(&self) {
        let engine = self.shared.engine();
        let mut publisher = engine.channels[0].publisher();
        publisher.link.publish("ä", "the router slices this topic inside its first character").unwrap();
    }
}

impl Drop for RumqttdLog {
    fn drop(&mut self) {
        for lane in &self.shared.lanes {
            lane.stop.notify_one();
        }
    }
}

#[async_trait]
impl TopicLog for RumqttdLog {
    fn publish(&self, _: Principal, topic: &Topic, messages: &[Message]) -> Result<Backlog, LogDown> {
        if messages.is_empty() {
            return Ok(Backlog::Low);
        }
        let topics = self.shared.topics.read().unwrap_or_else(PoisonError::into_inner);
        // Nobody reads: nothing to carry.
        let Some(entry) = topics.get(topic) else { return Ok(Backlog::Low) };
        let lane = self.shared.lanes.get(entry.lane).ok_or(LogDown)?;
        let engine = self.shared.engine();
        if engine.dead.load(Ordering::Acquire) || lane.linked.load(Ordering::Acquire) != engine.number {
            return Err(LogDown);
        }
        let channel = engine.channels.get(entry.lane).ok_or(LogDown)?;
        let mut publisher = channel.publisher();
        let bytes = size(parcel::length(messages));
        let under_way = channel.under_way.load(Ordering::Acquire);
        // A message that comes alone, with nothing before it on its way, gains nothing from the router but two
        // threads to wait for. Whoever publishes holds the lock, so nothing comes between.
        if under_way == 0 && messages.len() == 1 {
            entry.feed.append(messages.iter().cloned());
            return Ok(Backlog::Low);
        }
        if under_way > 0 && under_way.saturating_add(bytes) > self.shared.config.room() {
            return Err(LogDown);
        }
        let payload = parcel::pack(publisher.sent, messages);
        channel.under_way.fetch_add(bytes, Ordering::AcqRel);
        publisher.sent = publisher.sent.saturating_add(messages.len().try_into().unwrap_or(u64::MAX));
        let mut buffer = publisher.link.buffer();
        let idle = buffer.is_empty();
        if !idle {
            // Whoever found the buffer empty has rung, or is about to: the router will take it all.
            let publish = Publish::new(entry.name.clone(), payload.clone(), false);
            buffer.push_back(Packet::Publish(publish, None));
        }
        drop(buffer);
        if idle && publisher.link.publish(entry.name.clone(), payload).is_err() {
            drop(publisher);
            drop(topics);
            self.shared.died(&engine);
            return Err(LogDown);
        }
        let behind = under_way.saturating_add(bytes) > self.shared.config.room() / 2;
        Ok(if behind { Backlog::High } else { Backlog::Low })
    }

    async fn subscribe(&self, topic: &Topic) -> Result<Reader, LogDown> {
        let shared = &self.shared;
        // The write lock keeps the last reader's farewell out.
        let mut topics = shared.topics.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = topics.get(topic) {
            return Ok(entry.feed.reader().with_on_drop(shared.forget(topic)));
        }
        let emptiest =
            |(_, lane): &(usize, &Lane)| lane.feeds.read().unwrap_or_else(PoisonError::into_inner).len();
        let (at, lane) = shared.lanes.iter().enumerate().min_by_key(emptiest).ok_or(LogDown)?;
        let engine = shared.engine();
        // While the lane is not linked to this engine, it may still hand out what came from the one before.
        let taken = match engine.channels.get(at) {
            Some(channel) if lane.linked.load(Ordering::Acquire) == engine.number => {
                Some(channel.taken.load(Ordering::Acquire))
            }
            _ => None,
        };
        let number = match taken {
            Some(taken) => lane.numbers().take(engine.number, taken),
            None => lane.numbers().fresh(),
        };
        let feed = Feed::new(shared.config.feed_bytes);
        lane.feeds.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::clone(&feed));
        let reader = feed.reader().with_on_drop(shared.forget(topic));
        let name = Bytes::from(format!("l{at}/{number}"));
        topics.insert(topic.clone(), Entry { feed, lane: at, number, name });
        Ok(reader)
    }

    fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    fn restarts(&self) -> u64 {
        self.shared.restarts.load(Ordering::Relaxed)
    }

    fn feeds(&self) -> Vec<Arc<Feed>> {
        let topics = self.shared.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.values().map(|entry| Arc::clone(&entry.feed)).collect()
    }
}

/// What a parcel of this length takes in the router's ring, at most.
fn size(length: usize) -> u64 {
    u64::try_from(length.saturating_add(OVERHEAD)).unwrap_or(u64::MAX)
}

impl Shared {
    fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a reader does when it goes: the last one ends the feed.
    fn forget(self: &Arc<Self>, topic: &Topic) -> OnDrop {
        let (shared, topic) = (Arc::clone(self), topic.clone());
        OnDrop(Box::new(move || {
            let mut topics = shared.topics.write().unwrap_or_else(PoisonError::into_inner);
            if topics.get(&topic).is_some_and(|entry| !entry.feed.is_read())
                && let Some(entry) = topics.remove(&topic)
            {
                // After this nothing more goes in under its number.
                shared.free(&entry);
            }
        }))
    }

    fn free(&self, entry: &Entry) {
        let engine = self.engine();
        let (Some(lane), Some(channel)) = (self.lanes.get(entry.lane), engine.channels.get(entry.lane))
        else {
            return;
        };
        lane.feeds.write().unwrap_or_else(PoisonError::into_inner).remove(&entry.number);
        let sent = channel.publisher().sent;
        let freed = Freed { number: entry.number, engine: engine.number, sent };
        lane.numbers().free.push_back(freed);
    }

    /// Sees to it that an engine which does not answer is replaced.
    fn died(self: &Arc<Self>, engine: &Arc<Engine>) {
        if !engine.dead.swap(true, Ordering::AcqRel) {
            let (shared, number) = (Arc::clone(self), engine.number);
            self.runtime.spawn(async move { shared.replace(number).await });
        }
    }

    async fn replace(&self, dead: u64) {
        tracing::error!(dead, "the topic log's router died; starting another");
        let mut pause = Duration::from_millis(5);
        loop {
            if let Ok(engine) = start_engine(self.config, dead.saturating_add(1)).await {
                *self.engine.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(engine);
                self.restarts.fetch_add(1, Ordering::Relaxed);
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Qos;
    use i3_core::id::{DeviceId, HubId, TypedId};

    fn source() -> Principal {
        Principal::Device { device: DeviceId::from_bits(1), hub: HubId::from_bits(1) }
    }

    fn topic(number: u32) -> Topic {
        format!("i3/h/p{number}").parse().unwrap()
    }

    fn message(text: &str) -> Message {
        Message::plain(text.as_bytes(), Qos::AtMostOnce)
    }

    async fn next(reader: &mut Reader) -> String {
        let mut text = None;
        tokio::time::timeout(Duration::from_secs(10), async {
            while text.is_none() {
                reader.read(|_, message| {
                    let first = text.is_none();
                    if first {
                        text = Some(String::from_utf8(message.payload().to_vec()).unwrap());
                    }
                    first
                });
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();
        text.unwrap()
    }

    #[tokio::test]
    async fn ten_thousand_topics_in_turn_use_few_numbers_and_get_only_their_own() {
        let log = RumqttdLog::start(RumqttdLogConfig::default()).await.unwrap();
        for round in 0..10_000 {
            let topic = topic(round);
            let mut reader = log.subscribe(&topic).await.unwrap();
            if round % 10 == 0 {
                log.publish(source(), &topic, &[message(&round.to_string())]).unwrap();
                assert_eq!(next(&mut reader).await, round.to_string());
            } else {
                // Left in flight when its reader goes: must not reach the next topic.
                log.publish(source(), &topic, &[message("stray")]).unwrap();
            }
        }
        assert!(log.feeds().is_empty());
        let used: u32 = log.shared.lanes.iter().map(|lane| lane.numbers().next).sum();
        assert!(used < 2_000, "{used} numbers for one topic at a time");
    }

    #[tokio::test]
    async fn a_small_ring_loses_nothing_since_no_more_is_taken_than_it_holds() {
        let config = RumqttdLogConfig { segment_bytes: 4_096, segments: 4, ..RumqttdLogConfig::default() };
        let log = RumqttdLog::start(config).await.unwrap();
        let topic = topic(0);
        let mut reader = log.subscribe(&topic).await.unwrap();
        let mut refused = 0;
        for number in 0..5_000_u32 {
            while log.publish(source(), &topic, &[message(&number.to_string())]).is_err() {
                refused += 1;
                tokio::task::yield_now().await;
            }
        }
        for number in 0..5_000_u32 {
            assert_eq!(next_at_once(&mut reader).await, number.to_string());
        }
        assert_eq!(log.lost(), 0);
        println!("the log was full {refused} times");
    }

    #[tokio::test]
    async fn messages_alone_and_in_parcels_come_out_in_the_order_in_which_they_went_in() {
        let log = RumqttdLog::start(RumqttdLogConfig::default()).await.unwrap();
        let topic = topic(0);
        let mut reader = log.subscribe(&topic).await.unwrap();
        log.publish(source(), &topic, &[message("alone")]).unwrap();
        assert_eq!(reader.waiting().1, 1, "it did not wait for the router");
        assert_eq!(next_at_once(&mut reader).await, "alone");
        let mut number = 0;
        for round in 0..3_000_usize {
            let parcel: Vec<_> =
                (0..[1, 3, 1, 1, 2][round % 5]).map(|k| message(&(number + k).to_string())).collect();
            log.publish(source(), &topic, &parcel).unwrap();
            number += parcel.len();
            if round % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
        for expected in 0..number {
            assert_eq!(next_at_once(&mut reader).await, expected.to_string());
        }
    }

    async fn next_at_once(reader: &mut Reader) -> String {
        let (_, waiting) = reader.waiting();
        if waiting == 0 {
            return next(reader).await;
        }
        let mut text = String::new();
        let mut first = true;
        reader.read(|_, message| {
            let take = std::mem::take(&mut first);
            if take {
                text = String::from_utf8(message.payload().to_vec()).unwrap();
            }
            take
        });
        text
    }
}
