//! Counters by reason, and counts of durations.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The few values that a label can have.
pub(crate) trait Label: Copy + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// The value's text in the metrics. It stays the same.
    fn text(self) -> &'static str;

    /// The value's place in [`Self::ALL`].
    fn place(self) -> usize;
}

/// Makes a [`Label`] of an enumeration and its texts.
macro_rules! label {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$what])* $value,)+
        }

        impl crate::metrics::tally::Label for $name {
            const ALL: &'static [Self] = &[$(Self::$value),+];

            fn text(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)+
                }
            }

            fn place(self) -> usize {
                self as usize
            }
        }
    };
}
pub(crate) use label;

/// One counter for each value of a label.
#[derive(Debug)]
pub(crate) struct Tally<L> {
    counts: Box<[AtomicU64]>,
    of: PhantomData<fn(L)>,
}

impl<L: Label> Default for Tally<L> {
    fn default() -> Self {
        Self { counts: L::ALL.iter().map(|_| AtomicU64::new(0)).collect(), of: PhantomData }
    }
}

impl<L: Label> Tally<L> {
    pub(crate) fn add(&self, label: L, count: u64) {
        if let Some(counter) = self.counts.get(label.place())
            && count > 0
        {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(crate) fn one(&self, label: L) {
        self.add(label, 1);
    }

    /// One less, where what is counted can go.
    pub(crate) fn less(&self, label: L) {
        if let Some(counter) = self.counts.get(label.place()) {
            counter.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// All values with their counts.
    pub(crate) fn read(&self) -> impl Iterator<Item = (L, u64)> {
        L::ALL.iter().copied().zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

/// The upper bounds of a [`Histogram`]'s buckets, in seconds as Prometheus wants them.
pub(crate) const BOUNDS: [(Duration, &str); 12] = [
    (Duration::from_micros(100), "0.0001"),
    (Duration::from_micros(500), "0.0005"),
    (Duration::from_millis(1), "0.001"),
    (Duration::from_micros(2_500), "0.0025"),
    (Duration::from_millis(5), "0.005"),
    (Duration::from_millis(10), "0.01"),
    (Duration::from_millis(25), "0.025"),
    (Duration::from_millis(50), "0.05"),
    (Duration::from_millis(100), "0.1"),
    (Duration::from_millis(250), "0.25"),
    (Duration::from_secs(1), "1"),
    (Duration::from_millis(2_500), "2.5"),
];

/// How many durations fell between which bounds.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// One for each of [`BOUNDS`], and one for what is longer than all.
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

/// What a [`Histogram`] held at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Distribution {
    /// How many were at most as long as each of [`BOUNDS`].
    pub(crate) at_most: Vec<u64>,
    /// How many there were.
    pub(crate) count: u64,
    /// How long they were together.
    pub(crate) sum: Duration,
}

impl Histogram {
    pub(crate) fn observe(&self, took: Duration) {
        let place = BOUNDS.partition_point(|(bound, _)| *bound < took);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Distribution {
        let mut count = 0;
        let mut at_most: Vec<u64> = self
            .counts
            .iter()
            .map(|of_bucket| {
                count += of_bucket.load(Ordering::Relaxed);
                count
            })
            .collect();
        at_most.pop();
        Distribution { at_most, count, sum: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    label! {
        Colour {
            Red = "red",
            Green = "green",
        }
    }

    #[test]
    fn each_label_has_its_own_count() {
        let tally = Tally::<Colour>::default();
        tally.one(Colour::Green);
        tally.add(Colour::Green, 2);
        tally.add(Colour::Red, 0);
        tally.one(Colour::Red);
        tally.less(Colour::Red);
        let read: Vec<_> = tally.read().map(|(label, count)| (label.text(), count)).collect();
        assert_eq!(read, [("red", 0), ("green", 3)]);
    }

    #[test]
    fn durations_fall_below_the_bounds_that_they_do_not_exceed() {
        let histogram = Histogram::default();
        for milliseconds in [1, 3, 10_000] {
            histogram.observe(Duration::from_millis(milliseconds));
        }
        let Distribution { at_most, count, sum } = histogram.read();
        assert_eq!(at_most, [0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]);
        assert_eq!((count, sum), (3, Duration::from_millis(10_004)));
    }

    #[test]
    fn the_bounds_rise_and_say_what_they_are() {
        assert!(BOUNDS.is_sorted_by(|(a, _), (b, _)| a < b));
        for (bound, text) in BOUNDS {
            assert!((bound.as_secs_f64() - text.parse::<f64>().unwrap()).abs() < 1e-9, "{text}");
        }
    }
}
