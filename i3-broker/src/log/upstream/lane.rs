//! A connection that publishes.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use i3_core::name::Topic;
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::v5::{PubAckReason, Publish};
use rumqttc::v5::{AsyncClient, Event, Incoming};
use tokio::sync::Notify;
use tracing::Instrument as _;

use super::carry::{self, Stamp};
use super::line::{Backoff, Ended, Line, Welcome};
use super::queue::Queue;
use super::{Core, milliseconds};
use crate::log::{Backlog, LogDown};
use crate::message::Message;
use crate::stats::add;

/// How long a new connection leaves the subscribing ones time to be there first: what they do not see is lost.
const AFTER_SUBSCRIBERS: Duration = Duration::from_secs(2);

/// How long a closing connection may take for its last messages.
const FAREWELL: Duration = Duration::from_secs(5);

/// A connection that publishes, with its queue. Its task is [`Lane::run`].
#[derive(Debug)]
pub(super) struct Lane {
    client_id: String,
    /// What its messages are recognized by: a random number, another one for each lane of each gate's life.
    origin: u64,
    queue: Mutex<Queue>,
    /// Something was queued, or the lane is to close.
    wake: Notify,
    state: AtomicU8,
}

/// What is known of a lane's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It has not been tried yet.
    Untried = 0,
    Up = 1,
    Down = 2,
    /// It ends when its queue is empty.
    Closing = 3,
}

/// The bytes that all lanes hold.
#[derive(Debug, Default)]
pub(super) struct Held(AtomicUsize);

impl Held {
    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::AcqRel);
    }

    fn free(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::AcqRel);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Lane {
    pub(super) fn new(client_id: String, origin: u64) -> Arc<Self> {
        let state = AtomicU8::new(State::Untried as u8);
        Arc::new(Self { client_id, origin, queue: Mutex::default(), wake: Notify::new(), state })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Untried,
            1 => State::Up,
            3 => State::Closing,
            _ => State::Down,
        }
    }

    /// A closing lane stays so.
    fn set_state(&self, state: State) {
        let closing = State::Closing as u8;
        let next = |present| (present != closing).then_some(state as u8);
        // An error means that it is closing.
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }

    /// Takes messages, all of them or none; gives the queue's mark after them.
    pub(super) fn offer(
        &self,
        core: &Core,
        topic: &Topic,
        messages: &[Message],
    ) -> Result<(Backlog, u64), LogDown> {
        let (most, most_bytes) = (core.config.backlog, core.config.backlog_bytes);
        let bytes = messages.iter().map(|message| message.payload().len()).sum();
        let mut queue = self.queue();
        let waiting = queue.len().saturating_add(messages.len());
        let held = core.held.get().saturating_add(bytes);
        // One batch is taken however large it is, or it would never be.
        if queue.len() > 0 && (waiting > most || held > most_bytes) {
            return Err(LogDown);
        }
        queue.take(topic, messages);
        core.held.add(bytes);
        let mark = queue.taken();
        drop(queue);
        self.wake.notify_one();
        let high = waiting > most / 2 || held > most_bytes / 2;
        Ok((if high { Backlog::High } else { Backlog::Low }, mark))
    }

    /// Whether all messages up to this mark are done with.
    pub(super) fn is_done(&self, mark: u64) -> bool {
        self.queue().done() >= mark
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue().len()
    }

    /// Nothing more is offered: the task ends when the queue is empty, or soon after.
    pub(super) fn close(&self) {
        self.state.store(State::Closing as u8, Ordering::Release);
        self.wake.notify_one();
    }

    /// Keeps the lane connected, and its queue flowing, until it closes.
    pub(super) async fn run(self: Arc<Self>, core: Arc<Core>) {
        let span = tracing::info_span!("gate.upstream", client_id = self.client_id);
        self.keep(core).instrument(span).await;
    }

    async fn keep(self: Arc<Self>, core: Arc<Core>) {
        let mut backoff = Backoff::new();
        let mut met = false;
        while !(self.state() == State::Closing && self.waiting() == 0) {
            match Line::open(&core.config, &self.client_id, true, None).await {
                Ok((client, line, welcome)) => {
                    if std::mem::replace(&mut met, true) {
                        add(&core.counters.reconnects, 1);
                    }
                    core.subscribers_ready(AFTER_SUBSCRIBERS).await;
                    self.set_state(State::Up);
                    backoff.reset();
                    let ended = self.serve(&core, client, line, welcome).await;
                    if self.state() == State::Closing {
                        break;
                    }
                    tracing::warn!(%ended, "a publishing connection to the upstream broker ended");
                }
                Err(error) => {
                    tracing::warn!(%error, "no publishing connection to the upstream broker");
                }
            }
            self.set_state(State::Down);
            core.held.free(self.queue().start_again());
            backoff.wait().await;
        }
        let left = self.queue().abandon();
        core.held.free(left.bytes);
        add(&core.counters.lost, left.messages);
    }

    async fn serve(&self, core: &Core, client: AsyncClient, mut line: Line, welcome: Welcome) -> Ended {
        let farewell = async {
            self.feed(core, &client, welcome).await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            ended = self.follow(core, &mut line) => ended,
            () = farewell => Ended::Silent,
        }
    }

    /// Hands the queue to the connection; returns when the lane closes and all was handed over.
    async fn feed(&self, core: &Core, client: &AsyncClient, welcome: Welcome) {
        loop {
            let Some(item) = self.queue().hand_over() else {
                if self.state() == State::Closing {
                    // An error means that the connection has ended, which the other side tells.
                    let _ = client.disconnect().await;
                    return;
                }
                self.wake.notified().await;
                continue;
            };
            let stamp = Stamp { origin: self.origin, now: milliseconds(core.clock.now()) };
            let publish = carry::publish(&core.seal, stamp, &item);
            // The packet identifier is not in it yet.
            let fits = |publish: &Publish| publish.size().saturating_add(2) <= welcome.max_packet;
            let Some(publish) = publish.filter(fits) else {
                tracing::warn!(
                    topic = item.topic.as_str(),
                    "a message cannot go through the upstream broker"
                );
                core.held.free(self.queue().give_up_last());
                add(&core.counters.lost, 1);
                continue;
            };
            let properties = publish.properties.unwrap_or_default();
            let sending = client.publish_with_properties(
                item.topic.as_str(),
                publish.qos,
                publish.retain,
                publish.payload,
                properties,
            );
            if sending.await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Follows the connection until it ends.
    async fn follow(&self, core: &Core, line: &mut Line) -> Ended {
        loop {
            match line.next().await {
                Ok(event) => self.happened(core, &event),
                Err(ended) => {
                    line.rest().for_each(|event| self.happened(core, &event));
                    return ended;
                }
            }
        }
    }

    fn happened(&self, core: &Core, event: &Event) {
        match event {
            Event::Outgoing(Outgoing::Publish(id)) => self.queue().sent(*id),
            Event::Incoming(Incoming::PubAck(ack)) => {
                core.held.free(self.queue().acknowledged(ack.pkid));
                if !matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers) {
                    add(&core.counters.lost, 1);
                    tracing::warn!(reason = ?ack.reason, "the upstream broker refused a message");
                }
            }
            _ => {}
        }
    }
}
