//! Which messages of a topic have come: none twice, and how many are missing.

use std::collections::HashMap;

use super::envelope::Envelope;

/// The most origins of one topic that are remembered.
const MOST: usize = 1_024;

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Deliver it; that many before it were lost.
    Fresh { lost: u64 },
    /// It has come before.
    Repeated,
    /// It is from another time: held back, or a copy that somebody kept.
    Stale,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    number: u64,
    /// When, in milliseconds since 1970.
    at: u64,
}

/// The last message of each origin of one topic. Within an origin the broker keeps the order (MQTT 5, 4.6), so a
/// number that is not above the last has come before or was counted as lost.
#[derive(Debug)]
pub(super) struct Origins {
    seen: HashMap<u64, Seen>,
    max_age: u64,
}

impl Origins {
    /// `max_age` is how many milliseconds a message may be under way.
    pub(super) fn new(max_age: u64) -> Self {
        Self { seen: HashMap::new(), max_age }
    }

    /// Judges a message that came now (in milliseconds since 1970).
    pub(super) fn judge(&mut self, envelope: &Envelope, now: u64) -> Verdict {
        let Envelope { origin, number, sent, .. } = *envelope;
        if now.abs_diff(sent) > self.max_age {
            return Verdict::Stale;
        }
        let Some(seen) = self.seen.get_mut(&origin) else {
            self.make_room(now);
            self.seen.insert(origin, Seen { number, at: now });
            return Verdict::Fresh { lost: 0 };
        };
        seen.at = now;
        if number <= seen.number {
            return Verdict::Repeated;
        }
        let lost = number - seen.number - 1;
        seen.number = number;
        Verdict::Fresh { lost }
    }

    /// Forgets origins of which no copy could pass any more, and if there are none, the one that is silent longest.
    fn make_room(&mut self, now: u64) {
        if self.seen.len() < MOST {
            return;
        }
        // What was sent when it was last seen was at most `max_age` ahead of this clock.
        let horizon = self.max_age.saturating_mul(2);
        self.seen.retain(|_, seen| now.saturating_sub(seen.at) <= horizon);
        if self.seen.len() >= MOST
            && let Some(oldest) = self.seen.iter().min_by_key(|(_, seen)| seen.at).map(|(origin, _)| *origin)
        {
            self.seen.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Qos;
    use proptest::prelude::*;

    fn envelope(origin: u64, number: u64, sent: u64) -> Envelope {
        Envelope {
            origin,
            number,
            sent,
            qos: Qos::AtMostOnce,
            retain: false,
            sequence: 0,
            published: 0,
            expiry: None,
        }
    }

    #[test]
    fn repetitions_are_dropped_and_gaps_counted_for_each_origin() {
        let mut origins = Origins::new(1_000);
        for (origin, number, verdict) in [
            // What came before this reader is not missing.
            (1, 5, Verdict::Fresh { lost: 0 }),
            (1, 6, Verdict::Fresh { lost: 0 }),
            (2, 1, Verdict::Fresh { lost: 0 }),
            (1, 6, Verdict::Repeated),
            (1, 5, Verdict::Repeated),
            (1, 10, Verdict::Fresh { lost: 3 }),
            (1, 7, Verdict::Repeated),
            (2, 2, Verdict::Fresh { lost: 0 }),
        ] {
            assert_eq!(origins.judge(&envelope(origin, number, 0), 0), verdict, "{origin} {number}");
        }
    }

    #[test]
    fn copies_from_another_time_do_not_pass() {
        let mut origins = Origins::new(1_000);
        assert_eq!(origins.judge(&envelope(1, 1, 0), 1_001), Verdict::Stale);
        assert_eq!(
            origins.judge(&envelope(1, 1, 5_000), 3_999),
            Verdict::Stale,
            "not from the future either"
        );
        assert_eq!(origins.judge(&envelope(1, 1, 5_000), 4_000), Verdict::Fresh { lost: 0 });
    }

    #[test]
    fn memory_is_bounded_and_what_is_forgotten_is_stale() {
        let mut origins = Origins::new(1_000);
        for origin in 0..10_000 {
            let now = origin * 10;
            assert_eq!(origins.judge(&envelope(origin, 1, now), now), Verdict::Fresh { lost: 0 });
            assert!(origins.seen.len() <= MOST);
        }
        let now = 100_000;
        for origin in 0..10_000 {
            let verdict = origins.judge(&envelope(origin, 1, origin * 10), now);
            assert_ne!(verdict, Verdict::Fresh { lost: 0 }, "{origin}");
        }
    }

    proptest! {
        /// Whatever the broker repeats or loses: each number at most once, in order, and the sum is right.
        #[test]
        fn delivered_and_lost_add_up(arrivals in proptest::collection::vec((0_u64..3, 1_u64..40), 1..200)) {
            let mut origins = Origins::new(1_000);
            let mut state: HashMap<u64, (u64, u64, u64)> = HashMap::new();
            for (origin, number) in arrivals {
                if let Verdict::Fresh { lost } = origins.judge(&envelope(origin, number, 0), 0) {
                    let (first, last, sum) = state.entry(origin).or_insert((number, number - 1, 0));
                    prop_assert!(number > *last);
                    *last = number;
                    *sum += 1 + lost;
                    prop_assert_eq!(*sum, number - *first + 1);
                }
            }
        }
    }
}
