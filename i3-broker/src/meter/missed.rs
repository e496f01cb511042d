//! Messages that sessions do not get, and what of that was told to the marketplace.

use std::sync::{Mutex, PoisonError};

use i3_core::usage::{Miss, Missed};

use crate::metrics::{Label, Tally};

impl Label for Miss {
    const ALL: &'static [Self] = Miss::ALL;

    fn text(self) -> &'static str {
        self.as_str()
    }

    fn place(self) -> usize {
        self as usize
    }
}

/// What the sessions of one grant missed since the gate was started.
#[derive(Debug, Default)]
pub(crate) struct Misses {
    counts: Tally<Miss>,
    /// What was told under leases that are closed. Only the grant's keeper touches it.
    told: Mutex<Missed>,
}

impl Misses {
    pub(crate) fn add(&self, why: Miss, count: u64) {
        self.counts.add(why, count);
    }

    /// All of it.
    pub(crate) fn all(&self) -> Missed {
        self.counts.read().fold(Missed::default(), |sum, (why, count)| sum.plus(Missed::of(why, count)))
    }

    /// What belongs to the present lease: all that was not told under an earlier one, whenever it was missed.
    pub(super) fn of_lease(&self) -> Missed {
        self.all().since(*self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A lease was closed with this as its count. Also when it is not known whether the report arrived: better some
    /// misses are not told than told twice.
    pub(super) fn closed_with(&self, of_lease: Missed) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        *told = told.plus(of_lease);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_tells_what_no_earlier_one_told() {
        let misses = Misses::default();
        misses.add(Miss::Slow, 3);
        misses.add(Miss::TooLarge, 1);
        let first = Missed { slow: 3, too_large: 1, ..Missed::default() };
        assert_eq!((misses.all(), misses.of_lease()), (first, first));
        // Between the report and the next lease.
        misses.add(Miss::Slow, 2);
        misses.closed_with(first);
        assert_eq!(misses.of_lease(), Missed { slow: 2, ..Missed::default() });
        misses.add(Miss::Offline, 7);
        misses.add(Miss::Expired, 4);
        let second = Missed { slow: 2, offline: 7, expired: 4, too_large: 0 };
        assert_eq!(misses.of_lease(), second);
        misses.closed_with(second);
        assert!(misses.of_lease().is_none());
        assert_eq!(misses.all(), first.plus(second));
    }
}
