//! The recent messages of one topic, and those who read them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::Waker;
use crate::message::Message;

/// The most messages a feed holds, whatever their size: bounds the overhead of tiny messages.
const MOST_MESSAGES: usize = 262_144;

/// The recent messages of one topic: a ring that is bounded in bytes.
///
/// Messages that every reader has read are dropped at once; a reader that is slower than the ring is long
/// jumps forward.
#[derive(Debug)]
pub struct Feed {
    ring: RwLock<Ring>,
    readers: Mutex<Vec<Arc<Place>>>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Ring {
    messages: VecDeque<Message>,
    /// The number of the first message held.
    first: u64,
    bytes: usize,
}

impl Ring {
    fn end(&self) -> u64 {
        self.first.saturating_add(self.messages.len().try_into().unwrap_or(u64::MAX))
    }

    fn drop_first(&mut self) {
        if let Some(message) = self.messages.pop_front() {
            self.bytes = self.bytes.saturating_sub(message.frame().len());
            self.first = self.first.saturating_add(1);
        }
    }
}

/// Where a reader is.
#[derive(Debug)]
struct Place {
    next: AtomicU64,
    /// How many messages, and how many bytes, are held for it at most: no limits of its own while it is awake.
    most: AtomicU64,
    most_bytes: AtomicUsize,
    waker: Waker,
}

impl Place {
    fn new(next: u64, waker: Waker) -> Arc<Self> {
        Arc::new(Self {
            next: AtomicU64::new(next),
            most: AtomicU64::new(u64::MAX),
            most_bytes: AtomicUsize::new(usize::MAX),
            waker,
        })
    }
}

/// What the readers of a ring need of it.
struct Needs {
    /// All before this may be dropped.
    first: u64,
    /// So may all before this, as far as the ring has more than `bytes`: readers that are awake need none of it.
    awake: u64,
    bytes: usize,
}

impl Needs {
    fn of(readers: &[Arc<Place>], end: u64) -> Self {
        let mut needs = Self { first: end, awake: end, bytes: 0 };
        for reader in readers {
            let next = reader.next.load(Ordering::Acquire);
            let most = reader.most.load(Ordering::Acquire);
            needs.first = needs.first.min(next.max(end.saturating_sub(most)));
            match reader.most_bytes.load(Ordering::Acquire) {
                usize::MAX => needs.awake = needs.awake.min(next),
                bytes => needs.bytes = needs.bytes.max(bytes),
            }
        }
        needs
    }
}

/// How much waits for the readers of feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queued {
    /// Messages that readers are still to be done with: one that waits for two readers counts twice.
    pub messages: u64,
    /// The most that one reader has to go.
    pub longest: u64,
}

impl Queued {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            longest: self.longest.max(other.longest),
        }
    }
}

impl Feed {
    /// A feed that holds at most about `capacity` bytes of frames, and at least one message.
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { ring: RwLock::default(), readers: Mutex::default(), capacity })
    }

    /// Appends messages and wakes the readers.
    pub fn append(&self, messages: impl IntoIterator<Item = Message>) {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
            // Nobody goes back behind what it has read, except by a `rewind` that its own place covers.
            let needs = Needs::of(&readers, ring.end());
            while !ring.messages.is_empty()
                && (ring.first < needs.first || (ring.first < needs.awake && ring.bytes > needs.bytes))
            {
                ring.drop_first();
            }
            for message in messages {
                ring.bytes = ring.bytes.saturating_add(message.frame().len());
                ring.messages.push_back(message);
                while (ring.bytes > self.capacity || ring.messages.len() > MOST_MESSAGES)
                    && ring.messages.len() > 1
                {
                    ring.drop_first();
                }
            }
        }
        for reader in readers.iter() {
            reader.waker.notify_one();
        }
    }

    /// A reader of what is appended from now on.
    pub fn reader(self: &Arc<Self>) -> Reader {
        self.reader_with(Waker::default())
    }

    fn reader_with(self: &Arc<Self>, waker: Waker) -> Reader {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let end = self.ring.read().unwrap_or_else(PoisonError::into_inner).end();
        let place = Place::new(end, waker);
        readers.push(Arc::clone(&place));
        Reader { feed: Arc::clone(self), place, next: end, on_drop: None }
    }

    /// How much waits for its readers, parked ones included.
    pub fn queued(&self) -> Queued {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        readers.iter().fold(Queued::default(), |queued, reader| {
            let next = reader.next.load(Ordering::Acquire).max(ring.first);
            let longest = ring.end().saturating_sub(next).min(reader.most.load(Ordering::Acquire));
            queued.and(Queued { messages: longest, longest })
        })
    }

    /// Whether somebody reads this feed.
    pub fn is_read(&self) -> bool {
        !self.readers.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// What a [`Reader`] does when it goes.
pub(super) struct OnDrop(pub(super) Box<dyn FnOnce() + Send + Sync>);

impl std::fmt::Debug for OnDrop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnDrop")
    }
}

/// Reads one feed.
#[derive(Debug)]
pub struct Reader {
    feed: Arc<Feed>,
    place: Arc<Place>,
    next: u64,
    on_drop: Option<OnDrop>,
}

impl Reader {
    /// The same reader, which wakes this when there is more to read.
    pub(crate) fn with_waker(mut self, waker: Waker) -> Self {
        let place = Place::new(self.next, waker);
        let mut readers = self.feed.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|other| !Arc::ptr_eq(other, &self.place));
        readers.push(Arc::clone(&place));
        drop(readers);
        self.place = place;
        self
    }

    pub(super) fn with_on_drop(mut self, on_drop: OnDrop) -> Self {
        self.on_drop = Some(on_drop);
        self
    }

    /// The same reader, for which nobody waits: about so many messages and bytes are held for it at most, the newest.
    pub(crate) fn parked(self, most: u64, bytes: usize) -> Self {
        let parked = self.with_waker(Waker::default());
        parked.place.most.store(most, Ordering::Release);
        parked.place.most_bytes.store(bytes, Ordering::Release);
        parked
    }

    /// The same reader, which wakes this again; and how many messages it missed because more than `most` came, or more
    /// than were held for it.
    pub(crate) fn unparked(mut self, most: u64, waker: Waker) -> (Self, u64) {
        let ring = self.feed.ring.read().unwrap_or_else(PoisonError::into_inner);
        let missed = ring.end().saturating_sub(most).max(ring.first).saturating_sub(self.next);
        drop(ring);
        self.next = self.next.saturating_add(missed);
        (self.with_waker(waker), missed)
    }

    /// The number of the message that it reads next.
    pub(crate) fn place(&self) -> u64 {
        self.next
    }

    /// Jumps over what the ring no longer holds; how many messages that were, and how many wait.
    pub(crate) fn waiting(&mut self) -> (u64, u64) {
        let ring = self.feed.ring.read().unwrap_or_else(PoisonError::into_inner);
        let missed = ring.first.saturating_sub(self.next);
        let waiting = ring.end().saturating_sub(self.next.max(ring.first));
        drop(ring);
        self.next = self.next.saturating_add(missed);
        (missed, waiting)
    }

    /// Shows the waiting messages, in order, until `each` says that it does not take one more; how many it
    /// took and how many this reader missed before them. Only what [`Self::release`] lets go may be dropped.
    pub(crate) fn read(&mut self, mut each: impl FnMut(u64, &Message) -> bool) -> (u64, u64) {
        let ring = self.feed.ring.read().unwrap_or_else(PoisonError::into_inner);
        let missed = ring.first.saturating_sub(self.next);
        self.next = self.next.saturating_add(missed);
        let skip = usize::try_from(self.next.saturating_sub(ring.first)).unwrap_or(usize::MAX);
        let mut taken = 0;
        for message in ring.messages.range(skip.min(ring.messages.len())..) {
            if !each(self.next, message) {
                break;
            }
            self.next = self.next.saturating_add(1);
            taken += 1;
        }
        (taken, missed)
    }

    /// Goes back to an earlier message that was not released.
    pub(crate) fn rewind(&mut self, to: u64) {
        self.next = to.min(self.next);
    }

    /// Lets the feed drop all messages before the present position.
    pub(crate) fn release(&self) {
        self.place.next.store(self.next, Ordering::Release);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut readers = self.feed.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|other| !Arc::ptr_eq(other, &self.place));
        drop(readers);
        if let Some(OnDrop(on_drop)) = self.on_drop.take() {
            on_drop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Qos;
    use proptest::prelude::*;

    fn message(number: u64) -> Message {
        Message::plain(&number.to_be_bytes(), Qos::AtMostOnce)
    }

    fn number(message: &Message) -> u64 {
        u64::from_be_bytes(message.payload().try_into().unwrap())
    }

    #[test]
    fn a_reader_starts_at_the_end_and_gets_everything_in_order() {
        let feed = Feed::new(1 << 20);
        feed.append([message(0)]);
        let mut reader = feed.reader();
        feed.append((1..=5).map(message));
        let mut seen = Vec::new();
        let count = reader.read(|_, m| {
            seen.push(number(m));
            seen.len() < 4
        });
        assert_eq!((seen.as_slice(), count), ([1, 2, 3, 4].as_slice(), (3, 0)), "the fourth was not taken");
        assert_eq!(reader.waiting(), (0, 2));
    }

    #[test]
    fn what_was_not_released_can_be_read_again() {
        let feed = Feed::new(1 << 20);
        let mut reader = feed.reader();
        feed.append((0..3).map(message));
        let start = reader.next;
        assert_eq!(reader.read(|_, _| true), (3, 0));
        feed.append([message(3)]);
        reader.rewind(start + 1);
        let mut seen = Vec::new();
        reader.read(|_, m| {
            seen.push(number(m));
            true
        });
        assert_eq!(seen, [1, 2, 3]);
    }

    #[test]
    fn what_waits_is_counted_for_each_reader_until_it_is_released() {
        let feed = Feed::new(1 << 20);
        assert_eq!(feed.queued(), Queued::default());
        let (mut fast, slow) = (feed.reader(), feed.reader());
        feed.append((0..5).map(message));
        assert_eq!(feed.queued(), Queued { messages: 10, longest: 5 });
        fast.read(|_, message| number(message) < 3);
        assert_eq!(feed.queued().messages, 10, "it was not released");
        fast.release();
        assert_eq!(feed.queued(), Queued { messages: 7, longest: 5 });
        let parked = slow.parked(3, 1 << 20);
        assert_eq!(feed.queued(), Queued { messages: 5, longest: 3 });
        drop(parked);
        assert_eq!(feed.queued(), Queued { messages: 2, longest: 2 });
    }

    #[test]
    fn a_feed_without_readers_keeps_nothing_of_the_past() {
        let feed = Feed::new(1 << 20);
        feed.append((0..100).map(message));
        feed.append([message(100)]);
        assert_eq!(feed.ring.read().unwrap().messages.len(), 1);
    }

    #[test]
    fn a_parked_reader_keeps_the_newest_messages_and_not_the_memory_of_more() {
        let feed = Feed::new(1 << 20);
        let reader = feed.reader().parked(3, 1 << 20);
        for number in 0..10 {
            feed.append([message(number)]);
        }
        assert_eq!(feed.ring.read().unwrap().messages.len(), 4, "one more until the next append");
        let (mut reader, missed) = reader.unparked(3, Waker::default());
        assert_eq!((missed, reader.waiting()), (7, (0, 3)));
        feed.append((10..20).map(message));
        assert_eq!(reader.waiting(), (0, 13), "awake it is as any other");
    }

    #[test]
    fn parked_readers_hold_so_many_bytes_and_those_awake_what_they_need() {
        let size = message(0).frame().len();
        let feed = Feed::new(1 << 20);
        let parked = feed.reader().parked(1_000, 5 * size);
        for number in 0..20 {
            feed.append([message(number)]);
        }
        assert_eq!(feed.ring.read().unwrap().messages.len(), 6);
        let mut awake = feed.reader();
        feed.append((20..40).map(message));
        feed.append([message(40)]);
        assert_eq!(awake.waiting(), (0, 21), "nothing is taken from who is awake");
        let (mut parked, missed) = parked.unparked(1_000, Waker::default());
        assert_eq!((missed, parked.waiting()), (20, (0, 21)));
    }

    proptest! {
        #[test]
        fn what_is_missed_and_what_is_read_make_up_all(
            steps in proptest::collection::vec((0_u64..60, 0_u64..60), 1..40)
        ) {
            let size = message(0).frame().len();
            let feed = Feed::new(size * 20);
            let mut reader = feed.reader();
            let (mut appended, mut expected) = (0, 0);
            for (append, take) in steps {
                feed.append((appended..appended + append).map(message));
                appended += append;
                let mut left = take;
                let mut seen = Vec::new();
                let (taken, missed) = reader.read(|_, m| {
                    let more = left > 0;
                    if more {
                        left -= 1;
                        seen.push(number(m));
                    }
                    more
                });
                reader.release();
                expected += missed;
                for number in &seen {
                    prop_assert_eq!(*number, expected);
                    expected += 1;
                }
                prop_assert_eq!(taken, u64::try_from(seen.len()).unwrap());
            }
            let (missed, waiting) = reader.waiting();
            prop_assert_eq!(expected + missed + waiting, appended);
            prop_assert!(waiting <= 20);
        }
    }
}
