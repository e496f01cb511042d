//! One lease, shared by all sessions of a grant.

use std::sync::atomic::{AtomicU64, Ordering};

use i3_core::id::LeaseId;

/// Set in [`Lease::word`] once nothing may be reserved any more. In the same word as the count, so that no
/// reservation can slip in after it.
const CLOSED: u64 = 1 << 63;

/// A block of quota. `delivered <= reserved <= granted` at all times.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) id: LeaseId,
    pub(crate) epoch: u32,
    /// Messages reserved in all, and [`CLOSED`].
    word: AtomicU64,
    granted: AtomicU64,
    delivered: AtomicU64,
    /// The reserved count at which more should be asked for.
    ask_at: AtomicU64,
}

/// The answer to [`Lease::reserve`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reserve {
    /// That many may be written; `ask` if somebody should ask for more quota now.
    Got { count: u64, ask: bool },
    /// Nothing is left at the moment.
    Empty { ask: bool },
    /// The lease has ended.
    Closed,
}

impl Lease {
    pub(crate) fn new(id: LeaseId, epoch: u32, granted: u64) -> Self {
        let lease = Self {
            id,
            epoch,
            word: AtomicU64::new(0),
            granted: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            ask_at: AtomicU64::new(u64::MAX),
        };
        lease.extend(granted);
        lease
    }

    /// Reserves up to `want` messages, which is at least 1.
    pub(crate) fn reserve(&self, want: u64) -> Reserve {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & CLOSED != 0 {
                return Reserve::Closed;
            }
            let count = want.min(self.granted.load(Ordering::Acquire).saturating_sub(word));
            if count == 0 {
                return Reserve::Empty { ask: self.should_ask(word) };
            }
            let after = word.saturating_add(count);
            match self.word.compare_exchange_weak(word, after, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Reserve::Got { count, ask: self.should_ask(after) },
                Err(now) => word = now,
            }
        }
    }

    /// True for one caller each time that the mark is passed.
    fn should_ask(&self, reserved: u64) -> bool {
        reserved >= self.ask_at.load(Ordering::Relaxed)
            && self.ask_at.swap(u64::MAX, Ordering::AcqRel) <= reserved
    }

    /// Gives back what was reserved and never written.
    pub(crate) fn unreserve(&self, count: u64) {
        self.word.fetch_sub(count, Ordering::AcqRel);
    }

    /// What was reserved has been handed to the socket.
    pub(crate) fn settle(&self, count: u64) {
        self.delivered.fetch_add(count, Ordering::AcqRel);
    }

    /// Nothing can be reserved after this.
    pub(crate) fn close(&self) {
        self.word.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// More was granted: `granted` in all. Asks again when half of the new part is reserved.
    pub(crate) fn extend(&self, granted: u64) {
        let granted = granted.min(CLOSED - 1);
        let before = self.granted.fetch_max(granted, Ordering::AcqRel);
        if granted > before {
            let left = granted.saturating_sub(self.reserved());
            self.ask_at.store(granted.saturating_sub(left / 2), Ordering::Release);
        }
    }

    /// Whether the mark has been passed since the last extension.
    pub(crate) fn wants_more(&self) -> bool {
        self.ask_at.load(Ordering::Acquire) == u64::MAX
    }

    pub(crate) fn granted(&self) -> u64 {
        self.granted.load(Ordering::Acquire)
    }

    pub(crate) fn reserved(&self) -> u64 {
        self.word.load(Ordering::Acquire) & !CLOSED
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use i3_core::id::TypedId;
    use proptest::prelude::*;

    fn lease(granted: u64) -> Lease {
        Lease::new(LeaseId::from_bits(1), 1, granted)
    }

    #[test]
    fn a_closed_lease_reserves_nothing_and_still_counts() {
        let lease = lease(10);
        assert!(matches!(lease.reserve(4), Reserve::Got { count: 4, .. }));
        lease.close();
        assert_eq!(lease.reserve(1), Reserve::Closed);
        lease.settle(3);
        lease.unreserve(1);
        assert_eq!((lease.reserved(), lease.delivered(), lease.granted()), (3, 3, 10));
        assert_eq!(lease.reserve(1), Reserve::Closed);
    }

    #[test]
    fn exactly_one_reservation_asks_for_more_each_time() {
        let lease = lease(8);
        assert_eq!(lease.reserve(3), Reserve::Got { count: 3, ask: false });
        assert_eq!(lease.reserve(1), Reserve::Got { count: 1, ask: true });
        assert_eq!(lease.reserve(1), Reserve::Got { count: 1, ask: false });
        lease.extend(20);
        assert_eq!(lease.reserve(5), Reserve::Got { count: 5, ask: false });
        assert_eq!(lease.reserve(20), Reserve::Got { count: 10, ask: true });
        assert_eq!(lease.reserve(1), Reserve::Empty { ask: false });
    }

    #[test]
    fn threads_that_race_reserve_exactly_what_is_granted() {
        let lease = lease(10_000);
        let total: u64 = std::thread::scope(|scope| {
            let racers: Vec<_> = (1..=4_u64)
                .map(|step| {
                    let lease = &lease;
                    scope.spawn(move || {
                        let mut kept = 0;
                        while let Reserve::Got { count, .. } = lease.reserve(step * 3) {
                            let back = u64::from(count > 1);
                            lease.unreserve(back);
                            kept += count - back;
                        }
                        kept
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).sum()
        });
        assert_eq!(lease.reserved(), total);
        // What one gave back at the very end may be left over; nothing is ever exceeded.
        assert!((9_996..=10_000).contains(&total), "{total}");
    }

    proptest! {
        #[test]
        fn no_order_of_calls_exceeds_the_grant(steps in proptest::collection::vec((0_u8..4, 1_u64..50), 1..100)) {
            let lease = lease(100);
            let (mut held, mut settled, mut granted) = (0_u64, 0_u64, 100_u64);
            for (what, count) in steps {
                match what {
                    0 | 1 => if let Reserve::Got { count: got, .. } = lease.reserve(count) {
                        prop_assert!(got >= 1 && got <= count);
                        held += got;
                    },
                    2 => { let back = count.min(held); lease.unreserve(back); held -= back; }
                    _ => { let put = count.min(held); lease.settle(put); held -= put; settled += put; }
                }
                if count % 17 == 0 { granted += count; lease.extend(granted); }
                prop_assert_eq!(lease.reserved(), held + settled);
                prop_assert_eq!(lease.delivered(), settled);
                prop_assert!(lease.reserved() <= granted);
            }
        }
    }
}
