//! A lane: topics that travel together, under numbers.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use rumqttd::Notification;
use tokio::sync::Notify;

use super::engine::{Channel, Engine, Link};
use super::{Shared, parcel, size};
use crate::log::{Feed, LogDown};
use crate::message::Message;

/// How many messages are fanned out at once.
const BATCH: u64 = 1_024;

/// A part of the topics: those that travel together.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) feeds: RwLock<HashMap<u32, Arc<Feed>>>,
    pub(super) numbers: Mutex<Numbers>,
    /// The number of the engine that this lane is linked to.
    pub(super) linked: AtomicU64,
    pub(super) stop: Notify,
}

/// The numbers of a lane's topics.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) next: u32,
    /// Those that are not used any more, in the order in which they came free.
    pub(super) free: VecDeque<Freed>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Freed {
    pub(super) number: u32,
    /// The engine at that time, and how many messages had gone into the lane: when all of them have come
    /// out, none of this number is left.
    pub(super) engine: u64,
    pub(super) sent: u64,
}

impl Numbers {
    /// A number under which the router holds nothing, given what has come out of the engine of this number.
    pub(super) fn take(&mut self, engine: u64, taken: u64) -> u32 {
        let is_clear = |freed: &Freed| freed.engine != engine || freed.sent <= taken;
        if self.free.front().is_some_and(is_clear)
            && let Some(freed) = self.free.pop_front()
        {
            return freed.number;
        }
        self.fresh()
    }

    pub(super) fn fresh(&mut self) -> u32 {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        number
    }
}

impl Lane {
    pub(super) fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn feed(&self, number: u32) -> Option<Arc<Feed>> {
        self.feeds.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }
}

/// Moves the messages of one lane to their feeds, for as long as there is a log.
pub(super) struct Pump {
    pub(super) shared: Arc<Shared>,
    pub(super) lane: usize,
}

impl Pump {
    pub(super) async fn run(self, link: Link, engine: Arc<Engine>) {
        let Some(lane) = self.shared.lanes.get(self.lane) else { return };
        let (mut link, mut engine) = (Some(link), engine);
        loop {
            tokio::select! {
                biased;
                () = lane.stop.notified() => return,
                again = self.step(lane, &mut link, &engine) => engine = again,
            }
        }
    }

    /// Pumps until the engine dies, then links to the next one.
    async fn step(&self, lane: &Lane, link: &mut Option<Link>, engine: &Arc<Engine>) -> Arc<Engine> {
        if let (Some(mut old), Some(channel)) = (link.take(), engine.channels.get(self.lane)) {
            // Dropping this future drops the link, which says DISCONNECT.
            let LogDown = self.pump(lane, channel, &mut old).await;
            let lost = channel.publisher().sent.saturating_sub(channel.taken.load(Ordering::Acquire));
            self.shared.lost.fetch_add(lost, Ordering::Relaxed);
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
        if let Ok(linked) = Link::subscribed(&fresh, self.lane).await {
            *link = Some(linked);
            lane.linked.store(fresh.number, Ordering::Release);
        }
        fresh
    }

    async fn pump(&self, lane: &Lane, channel: &Channel, link: &mut Link) -> LogDown {
        let mut batch = Batch::default();
        loop {
            let mut next = match link.next().await {
                Ok(next) => next,
                Err(down) => return down,
            };
            let mut unschedule = false;
            let mut came = 0;
            while let Some(notification) = next.take() {
                match notification {
                    Notification::Forward(forward) => {
                        let publish = forward.publish;
                        // Nothing else goes into a lane than what was packed for it.
                        if let Some((first, count)) = batch.add(lane, &publish.topic, publish.payload) {
                            let before = channel.taken.swap(first.saturating_add(count), Ordering::AcqRel);
                            self.shared.lost.fetch_add(first.saturating_sub(before), Ordering::Relaxed);
                            came += count;
                        }
                    }
                    Notification::Unschedule => unschedule = true,
                    Notification::Disconnect(..) => return LogDown,
                    _ => {}
                }
                if came < BATCH {
                    next = link.at_hand();
                }
            }
            channel.came_out(batch.hand_over(lane));
            if unschedule && let Err(down) = link.wake().await {
                return down;
            }
            // A busy lane must not keep a worker from everybody else.
            tokio::task::consume_budget().await;
        }
    }
}

/// Messages of one topic that came one after the other.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) number: u32,
    messages: Vec<Message>,
    bytes: u64,
}

impl Batch {
    /// Adds a parcel; the number of its first message, and how many it has.
    fn add(&mut self, lane: &Lane, name: &[u8], parcel: Bytes) -> Option<(u64, u64)> {
        self.bytes = self.bytes.saturating_add(size(parcel.len()));
        if let Some(number) = number(name).filter(|number| *number != self.number) {
            self.flush(lane);
            self.number = number;
        }
        parcel::unpack(parcel, &mut self.messages)
    }

    fn flush(&mut self, lane: &Lane) {
        if !self.messages.is_empty() {
            match lane.feed(self.number) {
                Some(feed) => feed.append(self.messages.drain(..)),
                // Its last reader has gone.
                None => self.messages.clear(),
            }
        }
    }

    /// Gives the rest to its feed; how many bytes came since the last time.
    fn hand_over(&mut self, lane: &Lane) -> u64 {
        self.flush(lane);
        std::mem::take(&mut self.bytes)
    }
}

/// The number in a topic of the router's.
pub(super) fn number(name: &[u8]) -> Option<u32> {
    std::str::from_utf8(name).ok()?.split_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_given_again_only_when_nothing_of_it_is_left() {
        let mut numbers = Numbers::default();
        assert_eq!((numbers.take(0, 0), numbers.take(0, 0)), (0, 1));
        numbers.free.push_back(Freed { number: 0, engine: 0, sent: 10 });
        assert_eq!(numbers.take(0, 9), 2, "a message may be on its way");
        assert_eq!(numbers.take(0, 10), 0);
        numbers.free.push_back(Freed { number: 1, engine: 0, sent: 10 });
        assert_eq!(numbers.take(1, 0), 1, "what was in the engine before is lost");
    }
}
