//! How often something may happen for each of many.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Below this many entries nobody looks for ones that are no longer needed.
const FEW: usize = 1_024;

/// Lets each key through so often: `burst` times at once, then once in each interval (a leaky bucket, kept as the time
/// at which it will be empty). Forgets keys whose bucket is empty, so it holds no more entries than keys came within
/// `burst` intervals, or twice as many.
#[derive(Debug)]
pub(crate) struct Pace<K> {
    /// How long a bucket takes to become empty, less one drop.
    room: Duration,
    interval: Duration,
    empty: Mutex<Buckets<K>>,
}

#[derive(Debug)]
struct Buckets<K> {
    at: HashMap<K, Instant>,
    sweep_at: usize,
}

impl<K: Hash + Eq> Pace<K> {
    /// An interval of zero lets everything through; a burst of zero counts as one.
    pub(crate) fn new(burst: u32, interval: Duration) -> Self {
        let room = interval.saturating_mul(burst.saturating_sub(1));
        Self { room, interval, empty: Mutex::new(Buckets { at: HashMap::new(), sweep_at: FEW }) }
    }

    /// Whether this key may once more now; if so, it is counted.
    pub(crate) fn allows(&self, key: K, now: Instant) -> bool {
        if self.interval.is_zero() {
            return true;
        }
        let mut buckets = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.at.len() >= buckets.sweep_at {
            buckets.at.retain(|_, empty| *empty > now);
            buckets.sweep_at = FEW.max(buckets.at.len().saturating_mul(2));
        }
        let empty = buckets.at.entry(key).or_insert(now);
        let begins = (*empty).max(now);
        let allowed = begins.duration_since(now) <= self.room;
        if allowed && let Some(later) = begins.checked_add(self.interval) {
            *empty = later;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_then_one_in_each_interval_for_each_key_alone() {
        let (pace, start) = (Pace::new(3, SECOND), Instant::now());
        let allowed = |key, after: f64, times: u32| -> u32 {
            (0..times).map(|_| u32::from(pace.allows(key, start + SECOND.mul_f64(after)))).sum()
        };
        assert_eq!(allowed("a", 0.0, 10), 3);
        assert_eq!(allowed("b", 0.0, 10), 3);
        assert_eq!(allowed("a", 0.9, 10), 0);
        assert_eq!(allowed("a", 1.0, 10), 1);
        assert_eq!(allowed("a", 2.5, 10), 1);
        assert_eq!(allowed("a", 60.0, 10), 3, "a pause brings the burst back, and no more");
    }

    #[test]
    fn refusals_do_not_make_the_wait_longer() {
        let (pace, start) = (Pace::new(1, SECOND), Instant::now());
        assert!(pace.allows("a", start));
        for tenth in 1..10 {
            assert!(!pace.allows("a", start + SECOND.mul_f64(f64::from(tenth) / 10.0)));
        }
        assert!(pace.allows("a", start + SECOND));
    }

    #[test]
    fn an_interval_of_zero_lets_everything_through_and_remembers_nothing() {
        let pace = Pace::new(0, Duration::ZERO);
        assert!((0..10_000).all(|_| pace.allows("a", Instant::now())));
        assert!(pace.empty.lock().unwrap().at.is_empty());
    }

    #[test]
    fn keys_that_come_once_are_forgotten() {
        let (pace, start) = (Pace::new(5, SECOND), Instant::now());
        for number in 0..100_000_u32 {
            assert!(pace.allows(number, start + SECOND / 100 * number));
            assert!(pace.empty.lock().unwrap().at.len() <= FEW);
        }
    }
}
