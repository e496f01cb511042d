//! A bound on the memory that clients can make the gate hold, whoever they are and however many.
//!
//! Each connection may hold a little without asking, so small traffic always goes on. What it holds above that
//! it claims from a budget of the whole gate. Where nothing is left, whoever wants more waits, and whoever has
//! kept a packet unfinished for longest is given up: it is the likeliest never to finish it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// What each connection may hold without asking.
pub(crate) const FREE: usize = 4 * 1_024;

/// How long a packet may be unfinished before others' need can end it, and how often one is ended: the memory
/// of the last one is seen to come back before the next one has to go.
const GRACE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(2);

/// So many bytes for all connections of a gate.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    evicted: AtomicUsize,
    unfinished: Mutex<Unfinished>,
}

/// Since when a packet is unfinished, and a number to tell it from others.
type Place = (Instant, u64);

/// Who holds part of a packet, the oldest first.
#[derive(Debug, Default)]
struct Unfinished {
    queue: BTreeMap<Place, Arc<Holder>>,
    next: u64,
    last_eviction: Option<Instant>,
}

#[derive(Debug)]
struct Holder {
    evicted: AtomicBool,
    wake: Arc<Notify>,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
            evicted: AtomicUsize::new(0),
            unfinished: Mutex::default(),
        })
    }

    /// A claim on nothing yet. `wake` is notified when the claim's holder is given up.
    pub(crate) fn claim(self: &Arc<Self>, wake: &Arc<Notify>) -> Claim {
        Claim { budget: Arc::clone(self), wake: Arc::clone(wake), bytes: 0, place: None }
    }

    /// How many bytes are claimed.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// How many connections were given up for others.
    pub(crate) fn evicted(&self) -> usize {
        self.evicted.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn unfinished(&self) -> MutexGuard<'_, Unfinished> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up whoever has kept a packet unfinished for longest.
    fn evict(&self, now: Instant) {
        let mut unfinished = self.unfinished();
        let too_soon = |last: Instant| now.saturating_duration_since(last) < PAUSE;
        if unfinished.last_eviction.is_some_and(too_soon) {
            return;
        }
        let Some(oldest) = unfinished.queue.first_entry() else { return };
        if now.saturating_duration_since(oldest.key().0) < GRACE {
            return;
        }
        let holder = oldest.remove();
        unfinished.last_eviction = Some(now);
        drop(unfinished);
        self.evicted.fetch_add(1, Ordering::Relaxed);
        holder.evicted.store(true, Ordering::Release);
        holder.wake.notify_one();
    }
}

/// One connection's part of the budget. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    budget: Arc<Budget>,
    wake: Arc<Notify>,
    bytes: usize,
    place: Option<(Place, Arc<Holder>)>,
}

impl Claim {
    /// Asks to hold this many bytes in all. If not, what was held before stays so, and the connection that
    /// has kept a packet unfinished for longest is told to go: asking again soon may help.
    pub(crate) fn cover(&mut self, bytes: usize, now: Instant) -> bool {
        let need = bytes.saturating_sub(FREE);
        let more = need.saturating_sub(self.bytes);
        if more > 0 {
            if !self.budget.take(more) {
                self.budget.evict(now);
                return false;
            }
            self.bytes = need;
        } else {
            self.shrink(need);
        }
        true
    }

    /// As [`Self::cover`], but never refused: for what must be held for anything to go on. Others feel it.
    pub(crate) fn owe(&mut self, bytes: usize) {
        let need = bytes.saturating_sub(FREE);
        let more = need.saturating_sub(self.bytes);
        if more > 0 {
            self.budget.used.fetch_add(more, Ordering::Relaxed);
            self.bytes = need;
        } else {
            self.shrink(need);
        }
    }

    /// Says what is held of a packet that is not complete, and since when; `None` if there is none. Nothing is
    /// claimed: it was covered before it came.
    pub(crate) fn unfinished(&mut self, bytes: usize, since: Option<Instant>) {
        self.shrink(bytes.saturating_sub(FREE));
        let since = since.filter(|_| self.bytes > 0);
        if self.place.as_ref().map(|(place, _)| place.0) == since {
            return;
        }
        self.leave();
        if let Some(since) = since {
            let holder = Arc::new(Holder { evicted: AtomicBool::new(false), wake: Arc::clone(&self.wake) });
            let mut unfinished = self.budget.unfinished();
            let place = (since, unfinished.next);
            unfinished.next += 1;
            unfinished.queue.insert(place, Arc::clone(&holder));
            drop(unfinished);
            self.place = Some((place, holder));
        }
    }

    /// Whether the connection is to end for the sake of others.
    pub(crate) fn evicted(&self) -> bool {
        self.place.as_ref().is_some_and(|(_, holder)| holder.evicted.load(Ordering::Acquire))
    }

    fn shrink(&mut self, need: usize) {
        let less = self.bytes.saturating_sub(need);
        if less > 0 {
            self.budget.used.fetch_sub(less, Ordering::Relaxed);
            self.bytes -= less;
        }
    }

    fn leave(&mut self) {
        if let Some((place, _)) = self.place.take() {
            self.budget.unfinished().queue.remove(&place);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shrink(0);
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MUCH: usize = 100_000;

    fn holder(budget: &Arc<Budget>, bytes: usize, now: Instant) -> Claim {
        let mut claim = budget.claim(&Arc::default());
        assert!(claim.cover(bytes, now));
        claim.unfinished(bytes, Some(now));
        claim
    }

    #[test]
    fn small_holdings_are_free_and_large_ones_come_back() {
        let budget = Budget::new(MUCH);
        let now = Instant::now();
        let mut small: Vec<_> = (0..1_000).map(|_| budget.claim(&Arc::default())).collect();
        assert!(small.iter_mut().all(|claim| claim.cover(FREE, now)));
        assert_eq!(budget.used(), 0);
        let mut large = budget.claim(&Arc::default());
        assert!(large.cover(MUCH + FREE, now) && large.cover(MUCH, now));
        assert_eq!(budget.used(), MUCH - FREE);
        assert!(!small[0].cover(2 * FREE + 1, now), "there is not so much left");
        assert!(small[0].cover(2 * FREE, now));
        assert!(!large.cover(MUCH + 1, now), "not a byte more");
        drop((large, small));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_oldest_unfinished_packet_makes_room_but_not_a_young_one() {
        let budget = Budget::new(MUCH);
        let begun = Instant::now();
        let later = begun + Duration::from_millis(600);
        let first = holder(&budget, MUCH / 2, begun);
        let second = holder(&budget, MUCH / 2, later);
        let mut third = budget.claim(&Arc::default());
        assert!(!third.cover(MUCH / 2, later));
        assert!(!first.evicted() && !second.evicted(), "both are young");
        assert!(!third.cover(MUCH / 2, begun + GRACE));
        assert!(first.evicted() && !second.evicted());
        drop(first);
        assert!(third.cover(MUCH / 2, begun + GRACE));
        assert_eq!(budget.evicted(), 1);
    }

    #[test]
    fn one_goes_at_a_time_and_whoever_finishes_a_packet_is_young_again() {
        let budget = Budget::new(MUCH);
        let begun = Instant::now();
        let mut claims: Vec<_> = (0..4).map(|_| holder(&budget, MUCH / 4, begun)).collect();
        let old = begun + 2 * GRACE;
        claims[0].unfinished(MUCH / 5, Some(old));
        let mut wants = budget.claim(&Arc::default());
        for _ in 0..10 {
            assert!(!wants.cover(MUCH, old));
        }
        let evicted = |claims: &[Claim]| claims.iter().map(Claim::evicted).collect::<Vec<_>>();
        assert_eq!(evicted(&claims), [false, true, false, false]);
        assert!(!wants.cover(MUCH, old + PAUSE));
        assert_eq!(evicted(&claims), [false, true, true, false]);
        claims[3].unfinished(0, None);
        assert!(!wants.cover(MUCH, old + 2 * PAUSE));
        assert_eq!(evicted(&claims), [false, true, true, false], "nobody else is old");
    }

    #[test]
    fn age_counts_from_when_a_packet_began_not_from_when_it_got_memory() {
        let budget = Budget::new(MUCH);
        let begun = Instant::now();
        let mut waiting = budget.claim(&Arc::default());
        waiting.unfinished(FREE, Some(begun));
        let second = holder(&budget, MUCH / 2, begun + GRACE / 2);
        assert!(waiting.cover(MUCH / 2, begun + GRACE));
        waiting.unfinished(MUCH / 2, Some(begun));
        assert!(!budget.claim(&Arc::default()).cover(MUCH, begun + 2 * GRACE));
        assert!(waiting.evicted() && !second.evicted());
    }

    #[test]
    fn what_is_owed_is_counted_beyond_the_limit() {
        let budget = Budget::new(MUCH);
        let now = Instant::now();
        let mut owes = budget.claim(&Arc::default());
        owes.owe(2 * MUCH);
        let mut other = budget.claim(&Arc::default());
        assert!(!other.cover(FREE + 1, now));
        owes.owe(0);
        assert!(other.cover(MUCH, now));
    }
}
