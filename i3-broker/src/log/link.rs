//! The default topic log: rumqttd's router, in this process, through local links.
//!
//! rumqttd's router can be killed by packets that its public interface takes: a topic that starts with a
//! character beyond ASCII, the loss of a shared subscription's last member, a wake-up after a DISCONNECT.
//! This adapter makes those unreachable:
//!
//! - topics are product topics ([`Topic`]), plain ASCII without `$ # +`, and never a shared subscription;
//! - links have ids of our own making, clean sessions, no will, no topic alias, and carry `QoS` 0 only;
//! - DISCONNECT is the last thing that a link ever sends, whatever ends it, and no `wake` follows it.
//!
//! One link subscribes per topic that has readers, and its messages are fanned out by a [`Feed`]; publishers
//! share a few links. Should the router die all the same, a new one is started and all are linked again.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Waker as TaskWaker};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use i3_core::name::Topic;
use rumqttd::local::{LinkBuilder, LinkRx, LinkTx};
use rumqttd::protocol::{Disconnect, DisconnectReasonCode, Packet, Publish};
use rumqttd::{Notification, Router, RouterConfig};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::feed::OnDrop;
use super::{Backlog, Feed, LogDown, Reader, TopicLog};
use crate::message::Message;

/// How long an answer of the router may take. It answers in well under a millisecond or not at all.
const ANSWER: Duration = Duration::from_secs(2);

/// How many messages are fanned out at once.
const BATCH: usize = 1_024;

/// The sizes of a [`RumqttdLog`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RumqttdLogConfig {
    /// How many bytes a feed holds for readers that are behind. Default 8 MiB.
    pub feed_bytes: usize,
    /// The bytes of one segment of the router's ring, per topic. At least 1,024. Default 1 MiB.
    pub segment_bytes: usize,
    /// The number of segments in the router's ring, per topic. At least 1. Default 8.
    pub segments: usize,
    /// The most topics with readers at the same time. Default 4,096.
    pub topics: usize,
    /// The links that publishers share. At least 1. Default 2.
    pub lanes: usize,
    /// The messages on one publishers' link at which publishers are asked to pause. Default 16,384.
    pub backlog: usize,
}

impl Default for RumqttdLogConfig {
    fn default() -> Self {
        Self {
            feed_bytes: 8 << 20,
            segment_bytes: 1 << 20,
            segments: 8,
            topics: 4_096,
            lanes: 2,
            backlog: 16_384,
        }
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

type Connect = Box<dyn Fn(&str) -> Option<(LinkTx, LinkRx)> + Send + Sync>;

/// One life of the router.
struct Engine {
    number: u64,
    connect: Connect,
    lanes: Vec<Mutex<LinkTx>>,
    dead: AtomicBool,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("number", &self.number)
            .field("dead", &self.dead)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Shared {
    config: RumqttdLogConfig,
    runtime: Handle,
    engine: RwLock<Arc<Engine>>,
    feeds: RwLock<HashMap<Topic, Entry>>,
    /// Held while a feed is made or an engine replaced.
    making: tokio::sync::Mutex<()>,
    ids: Mutex<FreeIds>,
    hasher: RandomState,
    lost: AtomicU64,
    restarts: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    feed: Arc<Feed>,
    stop: Arc<Notify>,
    /// The number of the engine that this feed is linked to.
    linked: Arc<AtomicU64>,
}

/// Link ids are used again: the router remembers every id that it ever saw.
#[derive(Debug, Default)]
struct FreeIds {
    free: Vec<u32>,
    next: u32,
}

impl RumqttdLog {
    /// Starts a router. Must be called within a tokio runtime, which runs the fan-out from then on.
    pub async fn start(config: RumqttdLogConfig) -> Result<Self, LogDown> {
        let config = RumqttdLogConfig {
            segment_bytes: config.segment_bytes.max(1_024),
            segments: config.segments.max(1),
            lanes: config.lanes.max(1),
            ..config
        };
        let engine = start_engine(config, 0).await?;
        Ok(Self {
            shared: Arc::new(Shared {
                config,
                runtime: Handle::current(),
                engine: RwLock::new(Arc::new(engine)),
                feeds: RwLock::default(),
                making: tokio::sync::Mutex::default(),
                ids: Mutex::default(),
                hasher: RandomState::new(),
                lost: AtomicU64::new(0),
                restarts: AtomicU64::new(0),
            }),
        })
    }

    /// Makes the router's thread panic, by the packet that this adapter otherwise never sends.
    #[cfg(test)]
    pub(crate) fn kill_router(&self) {
        let engine = self.shared.engine();
        let mut lane = engine.lanes[0].lock().unwrap();
        lane.publish("ä", "the router slices this topic inside its first character").unwrap();
    }
}

#[async_trait]
impl TopicLog for RumqttdLog {
    fn publish(&self, topic: &Topic, messages: &[Message]) -> Result<Backlog, LogDown> {
        let Some((last, others)) = messages.split_last() else { return Ok(Backlog::Low) };
        let feeds = self.shared.feeds.read().unwrap_or_else(PoisonError::into_inner);
        // Nobody reads: nothing to carry.
        let Some(entry) = feeds.get(topic) else { return Ok(Backlog::Low) };
        let engine = self.shared.engine();
        if engine.dead.load(Ordering::Acquire) || entry.linked.load(Ordering::Acquire) != engine.number {
            return Err(LogDown);
        }
        let hash = usize::try_from(self.shared.hasher.hash_one(topic) >> 33).unwrap_or_default();
        let lane = engine.lanes.get(hash % engine.lanes.len().max(1)).ok_or(LogDown)?;
        let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
        let name = Bytes::copy_from_slice(topic.as_str().as_bytes());
        let carry = |message: &Message| {
            let publish = Publish::new(name.clone(), message.frame().clone(), false);
            Packet::Publish(publish, None)
        };
        let mut buffer = lane.buffer();
        let idle = buffer.is_empty();
        buffer.extend(others.iter().map(carry));
        if !idle {
            // Whoever found the buffer empty has rung, or is about to: the router will take it all.
            buffer.push_back(carry(last));
        }
        let waiting = buffer.len();
        drop(buffer);
        if idle && lane.publish(name, last.frame().clone()).is_err() {
            drop(lane);
            drop(feeds);
            self.shared.died(&engine);
            return Err(LogDown);
        }
        Ok(if waiting > self.shared.config.backlog { Backlog::High } else { Backlog::Low })
    }

    async fn subscribe(&self, topic: &Topic) -> Result<Reader, LogDown> {
        let shared = &self.shared;
        if let Some(reader) = shared.reader(topic) {
            return Ok(reader);
        }
        let making = shared.making.lock().await;
        if let Some(reader) = shared.reader(topic) {
            return Ok(reader);
        }
        let engine = shared.engine();
        let feed = Feed::new(shared.config.feed_bytes);
        let Ok(link) = Link::subscribed(shared, &engine, topic, &feed).await else {
            drop(making);
            shared.died(&engine);
            return Err(LogDown);
        };
        let (stop, linked) = (Arc::new(Notify::new()), Arc::new(AtomicU64::new(engine.number)));
        let reader = feed.reader().with_on_drop(shared.forget(topic));
        let entry = Entry { feed: Arc::clone(&feed), stop: Arc::clone(&stop), linked: Arc::clone(&linked) };
        shared.feeds.write().unwrap_or_else(PoisonError::into_inner).insert(topic.clone(), entry);
        let pump = Pump { shared: Arc::clone(shared), topic: topic.clone(), feed, stop, linked };
        shared.runtime.spawn(pump.run(link, engine));
        Ok(reader)
    }

    fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    fn restarts(&self) -> u64 {
        self.shared.restarts.load(Ordering::Relaxed)
    }

    fn feeds(&self) -> usize {
        self.shared.feeds.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Shared {
    fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A reader of a feed that exists.
    fn reader(self: &Arc<Self>, topic: &Topic) -> Option<Reader> {
        // The write lock keeps the last reader's farewell out.
        let feeds = self.feeds.write().unwrap_or_else(PoisonError::into_inner);
        feeds.get(topic).map(|entry| entry.feed.reader().with_on_drop(self.forget(topic)))
    }

    /// What a reader does when it goes: the last one stops the feed.
    fn forget(self: &Arc<Self>, topic: &Topic) -> OnDrop {
        let (shared, topic) = (Arc::clone(self), topic.clone());
        OnDrop(Box::new(move || {
            let mut feeds = shared.feeds.write().unwrap_or_else(PoisonError::into_inner);
            if feeds.get(&topic).is_some_and(|entry| !entry.feed.is_read())
                && let Some(entry) = feeds.remove(&topic)
            {
                entry.stop.notify_one();
            }
        }))
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
        let _making = self.making.lock().await;
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

async fn start_engine(config: RumqttdLogConfig, number: u64) -> Result<Engine, LogDown> {
    let (spare_lanes, topics) = (config.lanes + 16, config.topics);
    on_thread(move || {
        let router = Router::new(
            0,
            RouterConfig {
                max_connections: topics + spare_lanes,
                // What one read of a subscription may bring.
                max_outgoing_packet_count: 1_024,
                max_segment_size: config.segment_bytes,
                max_segment_count: config.segments,
                ..RouterConfig::default()
            },
        )
        .spawn();
        let connect: Connect = Box::new(move |id| {
            let (tx, rx, _) = LinkBuilder::new(id, router.clone()).build().ok()?;
            Some((tx, rx))
        });
        let lanes = (0..config.lanes)
            .map(|lane| connect(&format!("p{lane}")).map(|(tx, _)| Mutex::new(tx)))
            .collect::<Option<Vec<_>>>()?;
        Some(Engine { number, connect, lanes, dead: AtomicBool::new(false) })
    })
    .await
}

/// Runs something that blocks until the router answers on a thread of its own: should the router never
/// answer, neither a worker nor the end of the runtime waits for it.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Option<T> + Send + 'static,
) -> Result<T, LogDown> {
    let (answer, answered) = oneshot::channel();
    std::thread::Builder::new()
        .name("i3-log-link".to_owned())
        .spawn(move || drop(answer.send(work())))
        .map_err(|_| LogDown)?;
    match tokio::time::timeout(ANSWER, answered).await {
        Ok(Ok(Some(made))) => Ok(made),
        _ => Err(LogDown),
    }
}

/// A subscribing link. However it ends, its last word is DISCONNECT, and its id is free after that.
struct Link {
    ends: Option<(LinkTx, LinkRx)>,
    id: u32,
    shared: Arc<Shared>,
}

impl Link {
    async fn subscribed(
        shared: &Arc<Shared>,
        engine: &Arc<Engine>,
        topic: &Topic,
        feed: &Arc<Feed>,
    ) -> Result<Self, LogDown> {
        let id = {
            let mut ids = shared.ids.lock().unwrap_or_else(PoisonError::into_inner);
            ids.free.pop().unwrap_or_else(|| {
                ids.next = ids.next.saturating_add(1);
                ids.next
            })
        };
        let mut link = Self { ends: None, id, shared: Arc::clone(shared) };
        let (engine, name) = (Arc::clone(engine), topic.as_str().to_owned());
        link.ends = Some(
            on_thread(move || {
                let (mut tx, rx) = (engine.connect)(&format!("s{id}"))?;
                tx.subscribe(name).ok()?;
                Some((tx, rx))
            })
            .await?,
        );
        let wait_for_ack = async {
            loop {
                match link.next().await? {
                    Some(Notification::DeviceAck(_)) => return Ok(()),
                    Some(Notification::Forward(forward)) => {
                        feed.append(Message::from_frame(forward.publish.payload));
                    }
                    Some(Notification::Unschedule) => link.wake().await?,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(ANSWER, wait_for_ack).await.map_err(|_| LogDown)??;
        Ok(link)
    }

    async fn next(&mut self) -> Result<Option<Notification>, LogDown> {
        let (_, rx) = self.ends.as_mut().ok_or(LogDown)?;
        rx.next().await.map_err(|_| LogDown)
    }

    /// What has already come.
    fn at_hand(&mut self) -> Option<Notification> {
        let (_, rx) = self.ends.as_mut()?;
        rx.recv_deadline(Instant::now()).ok().flatten()
    }

    /// Answers `Unschedule`, without which the router never sends on this link again.
    async fn wake(&self) -> Result<(), LogDown> {
        let (_, rx) = self.ends.as_ref().ok_or(LogDown)?;
        rx.wake().await.map_err(|_| LogDown)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some((mut tx, rx)) = self.ends.take() {
            let reason_code = DisconnectReasonCode::NormalDisconnection;
            let send = pin!(tx.send(Packet::Disconnect(Disconnect { reason_code }, None)));
            // Never pending: it blocks while the router's channel is full, which it empties steadily. An
            // error means that the router is gone, and the link with it.
            let _ = send.poll(&mut Context::from_waker(TaskWaker::noop()));
            drop(rx);
        }
        self.shared.ids.lock().unwrap_or_else(PoisonError::into_inner).free.push(self.id);
    }
}

/// Moves messages from a link to its feed until nobody reads the feed.
struct Pump {
    shared: Arc<Shared>,
    topic: Topic,
    feed: Arc<Feed>,
    stop: Arc<Notify>,
    linked: Arc<AtomicU64>,
}

impl Pump {
    async fn run(self, link: Link, engine: Arc<Engine>) {
        let (mut link, mut engine) = (Some(link), engine);
        loop {
            tokio::select! {
                biased;
                () = self.stop.notified() => return,
                again = self.step(&mut link, &engine) => engine = again,
            }
        }
    }

    /// Pumps until the engine dies, then links to the next one.
    async fn step(&self, link: &mut Option<Link>, engine: &Arc<Engine>) -> Arc<Engine> {
        if let Some(mut old) = link.take() {
            // Dropping this future drops the link, which says DISCONNECT.
            let LogDown = self.pump(&mut old).await;
        }
        self.shared.died(engine);
        let mut pause = Duration::from_millis(1);
        let fresh = loop {
            tokio::time::sleep(pause).await;
            let fresh = self.shared.engine();
            if fresh.number != engine.number {
                break fresh;
            }
            pause = (pause * 2).min(Duration::from_millis(50));
        };
        if let Ok(linked) = Link::subscribed(&self.shared, &fresh, &self.topic, &self.feed).await {
            *link = Some(linked);
            self.linked.store(fresh.number, Ordering::Release);
        }
        fresh
    }

    async fn pump(&self, link: &mut Link) -> LogDown {
        let mut batch = Vec::new();
        let mut expected: Option<u64> = None;
        loop {
            let mut next = match link.next().await {
                Ok(next) => next,
                Err(down) => return down,
            };
            let mut unschedule = false;
            while let Some(notification) = next.take() {
                match notification {
                    Notification::Forward(forward) => {
                        if let Some((_, offset)) = forward.cursor {
                            let lost = expected.map_or(0, |expected| offset.saturating_sub(expected));
                            if lost > 0 {
                                self.shared.lost.fetch_add(lost, Ordering::Relaxed);
                            }
                            expected = Some(offset.saturating_add(1));
                        }
                        batch.extend(Message::from_frame(forward.publish.payload));
                    }
                    Notification::Unschedule => unschedule = true,
                    Notification::Disconnect(..) => return LogDown,
                    _ => {}
                }
                if batch.len() < BATCH {
                    next = link.at_hand();
                }
            }
            if !batch.is_empty() {
                self.feed.append(batch.drain(..));
            }
            if unschedule && let Err(down) = link.wake().await {
                return down;
            }
            // A busy topic must not keep a worker from everybody else.
            tokio::task::consume_budget().await;
        }
    }
}
