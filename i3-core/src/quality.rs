//! What a stream of messages was like: a small summary that is measured as messages pass and can be merged.
//!
//! A [`Quality`] counts; it holds no messages. Two of them, of different gates or different times, merge into
//! one, and it does not matter in which order ([`Quality::merge`] is commutative and associative, an empty one
//! changes nothing). All numbers are integers that stop at their maximum. What is worth reading is computed when it
//! is asked for: [`Quality::summary`].
//!
//! # How coarse it is
//!
//! Sizes and intervals are kept in buckets of powers of two, so a median is right to a factor of two. An interval is
//! between two messages *as one gate took them*, in milliseconds; messages that came in one read of the socket have none
//! between them. Where several gates take one product's messages, each measures its own.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::Timestamp;

/// How many hours are kept one by one.
pub const HOURS: i64 = 24;

/// The longest reason of a [`Fault`], in bytes.
pub const MAX_REASON: usize = 120;

/// How many buckets a histogram has: the last one takes all from 2^38 on.
const BUCKETS: usize = 40;

/// An interval is a silence from this bucket on (1,024 ms) …
const SILENCE: usize = 11;
/// … and only if it is so many buckets above the median: at least eight times as long.
const SILENCE_ABOVE: usize = 4;

/// Numbers, counted by how many binary digits they have.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Histogram([u64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

fn bucket(number: u64) -> usize {
    let digits = u64::BITS - number.leading_zeros();
    usize::try_from(digits).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The largest number of a bucket.
fn largest_in(bucket: usize) -> u64 {
    u32::try_from(bucket).ok().and_then(|bits| 1_u64.checked_shl(bits)).map_or(u64::MAX, |above| above - 1)
}

impl Histogram {
    fn add(&mut self, number: u64, times: u64) {
        if let Some(count) = self.0.get_mut(bucket(number)) {
            *count = count.saturating_add(times);
        }
    }

    fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }

    fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The bucket in which the median is.
    fn median(&self) -> Option<usize> {
        let total = self.total();
        let mut seen = 0_u64;
        self.0.iter().position(|count| {
            seen = seen.saturating_add(*count);
            total > 0 && seen >= total.div_ceil(2)
        })
    }
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let used = self.0.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        serializer.collect_seq(self.0.iter().take(used))
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let counts = Vec::<u64>::deserialize(deserializer)?;
        let mut histogram = Self::default();
        for (place, count) in counts.into_iter().enumerate() {
            if let Some(bucket) = histogram.0.get_mut(place.min(BUCKETS - 1)) {
                *bucket = bucket.saturating_add(count);
            }
        }
        Ok(histogram)
    }
}

/// One hour of a stream. Stored as a list, for there are many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(i64, u64, u64, u64, u64)", into = "(i64, u64, u64, u64, u64)")]
struct Hour {
    /// Hours since the epoch.
    number: i64,
    messages: u64,
    bytes: u64,
    checked: u64,
    failed: u64,
}

impl From<(i64, u64, u64, u64, u64)> for Hour {
    fn from((number, messages, bytes, checked, failed): (i64, u64, u64, u64, u64)) -> Self {
        Self { number, messages, bytes, checked, failed }
    }
}

impl From<Hour> for (i64, u64, u64, u64, u64) {
    fn from(hour: Hour) -> Self {
        (hour.number, hour.messages, hour.bytes, hour.checked, hour.failed)
    }
}

fn hour_of(time: Timestamp) -> i64 {
    time.seconds().div_euclid(3_600)
}

/// The last message that did not conform to the product's schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Fault {
    /// When it was taken.
    pub at: Timestamp,
    /// Its sequence number.
    pub sequence: u64,
    /// What is wrong with it, for people; at most [`MAX_REASON`] bytes.
    pub reason: String,
}

/// A summary of messages. See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Quality {
    messages: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    smallest: Option<u64>,
    largest: u64,
    sizes: Histogram,
    intervals: Histogram,
    /// Milliseconds.
    longest_interval: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lowest: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    highest: Option<u64>,
    checked: u64,
    failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<Fault>,
    hours: Vec<Hour>,
}

fn least<T: Ord>(one: Option<T>, two: Option<T>) -> Option<T> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one.min(two)),
        (one, two) => one.or(two),
    }
}

impl Quality {
    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.messages == 0 && self.checked == 0
    }

    /// Messages.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// When the last message was taken.
    pub fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// Takes messages in that came together: when, the time of the message before them if the same gate took it,
    /// the sequence number of the first (the others follow it without a gap), and the bytes of each payload.
    pub fn observe(
        &mut self,
        at: Timestamp,
        before: Option<Timestamp>,
        first: u64,
        sizes: impl IntoIterator<Item = usize>,
    ) {
        let (mut messages, mut bytes) = (0_u64, 0_u64);
        for size in sizes {
            let size = u64::try_from(size).unwrap_or(u64::MAX);
            messages += 1;
            bytes = bytes.saturating_add(size);
            self.sizes.add(size, 1);
            self.smallest = Some(self.smallest.map_or(size, |smallest| smallest.min(size)));
            self.largest = self.largest.max(size);
        }
        if messages == 0 {
            return;
        }
        self.messages = self.messages.saturating_add(messages);
        self.bytes = self.bytes.saturating_add(bytes);
        self.intervals.add(0, messages - 1);
        if let Some(before) = before {
            let interval = u64::try_from(at.since(before).as_millis()).unwrap_or(u64::MAX);
            self.intervals.add(interval, 1);
            self.longest_interval = self.longest_interval.max(interval);
        }
        self.first = least(self.first, Some(at));
        self.last = self.last.max(Some(at));
        self.lowest = least(self.lowest, Some(first));
        self.highest = self.highest.max(Some(first.saturating_add(messages - 1)));
        self.note(Hour { number: hour_of(at), messages, bytes, checked: 0, failed: 0 });
        self.forget();
    }

    /// Takes in what a check of a message against the product's schema said. The reason is shown to everybody who sees
    /// the product: it must say nothing of what the message says.
    pub fn checked(&mut self, at: Timestamp, sequence: u64, outcome: Result<(), String>) {
        let failed = u64::from(outcome.is_err());
        self.checked = self.checked.saturating_add(1);
        self.failed = self.failed.saturating_add(failed);
        if let Err(mut reason) = outcome {
            while reason.len() > MAX_REASON {
                reason.pop();
            }
            self.fault = self.fault.take().max(Some(Fault { at, sequence, reason }));
        }
        self.note(Hour { number: hour_of(at), messages: 0, bytes: 0, checked: 1, failed });
        self.forget();
    }

    /// Adds what another one measured.
    pub fn merge(&mut self, other: &Self) {
        self.messages = self.messages.saturating_add(other.messages);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.smallest = least(self.smallest, other.smallest);
        self.largest = self.largest.max(other.largest);
        self.sizes.merge(&other.sizes);
        self.intervals.merge(&other.intervals);
        self.longest_interval = self.longest_interval.max(other.longest_interval);
        self.first = least(self.first, other.first);
        self.last = self.last.max(other.last);
        self.lowest = least(self.lowest, other.lowest);
        self.highest = self.highest.max(other.highest);
        self.checked = self.checked.saturating_add(other.checked);
        self.failed = self.failed.saturating_add(other.failed);
        self.fault = self.fault.take().max(other.fault.clone());
        for hour in &other.hours {
            self.note(*hour);
        }
        self.forget();
    }

    fn note(&mut self, more: Hour) {
        // The present hour is the last one, nearly always.
        let place = match self.hours.last() {
            Some(last) if last.number == more.number => Ok(self.hours.len() - 1),
            _ => self.hours.binary_search_by_key(&more.number, |hour| hour.number),
        };
        match place {
            Ok(place) => {
                if let Some(hour) = self.hours.get_mut(place) {
                    hour.messages = hour.messages.saturating_add(more.messages);
                    hour.bytes = hour.bytes.saturating_add(more.bytes);
                    hour.checked = hour.checked.saturating_add(more.checked);
                    hour.failed = hour.failed.saturating_add(more.failed);
                }
            }
            Err(place) => self.hours.insert(place, more),
        }
    }

    /// Forgets hours that are a day older than the newest one.
    fn forget(&mut self) {
        if let Some(newest) = self.hours.last().map(|hour| hour.number) {
            self.hours.retain(|hour| hour.number > newest - HOURS);
        }
    }

    /// Intervals that were at least eight times as long as the median one, and at least 1,024 ms.
    fn silences(&self) -> u64 {
        let Some(median) = self.intervals.median() else { return 0 };
        let from = (median + SILENCE_ABOVE).max(SILENCE);
        self.intervals.0.iter().skip(from).fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// How many in a thousand intervals were shorter than an eighth of the mean one.
    fn burstiness(&self) -> Option<u64> {
        let (first, last) = (self.first?, self.last?);
        let mean =
            last.since(first).as_millis() / u128::from(self.messages.checked_sub(1).filter(|n| *n > 0)?);
        let eighth = u64::try_from(mean / 8).unwrap_or(u64::MAX);
        let short = (0..BUCKETS).zip(self.intervals.0).filter(|(bucket, _)| largest_in(*bucket) < eighth);
        let short = short.fold(0_u64, |sum, (_, count)| sum.saturating_add(count));
        per_mille(short, self.intervals.total())
    }

    /// What is worth knowing at this moment.
    pub fn summary(&self, now: Timestamp) -> QualitySummary {
        let since = hour_of(now) - HOURS;
        let (mut messages, mut bytes, mut checked, mut failed) = (0_u64, 0_u64, 0_u64, 0_u64);
        for hour in self.hours.iter().filter(|hour| hour.number > since) {
            messages = messages.saturating_add(hour.messages);
            bytes = bytes.saturating_add(hour.bytes);
            checked = checked.saturating_add(hour.checked);
            failed = failed.saturating_add(hour.failed);
        }
        // The part of the day that there was something to measure in: to a whole hour where it is longer.
        let begun = self.first.map(Timestamp::seconds).unwrap_or_default().max((since + 1) * 3_600);
        let seconds = u128::try_from(now.seconds() - begun).unwrap_or(0).max(1);
        let hourly = u128::from(messages) * 3_600 / seconds;
        let size = |bucket: Option<usize>| bucket.map(|bucket| largest_in(bucket).min(self.largest));
        QualitySummary {
            messages: self.messages,
            bytes: self.bytes,
            first: self.first,
            last: self.last,
            freshness_ms: self.last.map(|last| millis(now, last)),
            messages_per_hour: u64::try_from(hourly).unwrap_or(u64::MAX),
            messages_day: messages,
            bytes_day: bytes,
            smallest_bytes: self.smallest,
            median_bytes: size(self.sizes.median()),
            mean_bytes: self.bytes.checked_div(self.messages),
            largest_bytes: self.smallest.map(|_| self.largest),
            median_interval_ms: self
                .intervals
                .median()
                .map(|bucket| largest_in(bucket).min(self.longest_interval)),
            longest_interval_ms: self.intervals.median().map(|_| self.longest_interval),
            burst_per_mille: self.burstiness(),
            silences: self.silences(),
            missing: match (self.lowest, self.highest) {
                (Some(lowest), Some(highest)) => {
                    (highest - lowest).saturating_add(1).saturating_sub(self.messages)
                }
                _ => 0,
            },
            checked: self.checked,
            conforming_per_mille: per_mille(self.checked.saturating_sub(self.failed), self.checked),
            conforming_per_mille_day: per_mille(checked.saturating_sub(failed), checked),
            last_fault: self.fault.clone(),
        }
    }
}

fn millis(now: Timestamp, earlier: Timestamp) -> u64 {
    u64::try_from(now.since(earlier).as_millis()).unwrap_or(u64::MAX)
}

fn per_mille(part: u64, whole: u64) -> Option<u64> {
    let share = (u128::from(part) * 1_000).checked_div(u128::from(whole))?;
    u64::try_from(share).ok()
}

/// A [`Quality`] as people and programs read it. `None` where there is nothing to say it of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct QualitySummary {
    /// Messages in all.
    pub messages: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// When the first one was taken.
    pub first: Option<Timestamp>,
    /// When the last one was taken.
    pub last: Option<Timestamp>,
    /// Milliseconds since the last one; never negative.
    pub freshness_ms: Option<u64>,
    /// Messages per hour, over the last day or since the first one if that is later.
    pub messages_per_hour: u64,
    /// Messages within the last day: this hour and the 23 before it.
    pub messages_day: u64,
    /// Bytes within the last day.
    pub bytes_day: u64,
    /// The smallest payload, in bytes.
    pub smallest_bytes: Option<u64>,
    /// The median payload, in bytes, rounded up to below a power of two.
    pub median_bytes: Option<u64>,
    /// The mean payload, in bytes, rounded down.
    pub mean_bytes: Option<u64>,
    /// The largest payload, in bytes.
    pub largest_bytes: Option<u64>,
    /// The median interval between messages, in milliseconds, rounded up to below a power of two.
    pub median_interval_ms: Option<u64>,
    /// The longest interval, in milliseconds.
    pub longest_interval_ms: Option<u64>,
    /// How many in a thousand intervals were shorter than an eighth of the mean one: 0 for a steady beat, near
    /// 1,000 where messages come in bursts.
    pub burst_per_mille: Option<u64>,
    /// Intervals of at least 1,024 ms that were at least eight times as long as the median one.
    pub silences: u64,
    /// Sequence numbers between the lowest and the highest one that belong to no measured message: what a gate
    /// that died had taken ahead or had not reported, and what other gates hold at the moment.
    pub missing: u64,
    /// Messages that were checked against the product's schema: a part of all.
    pub checked: u64,
    /// How many in a thousand of those conformed.
    pub conforming_per_mille: Option<u64>,
    /// The same within the last day.
    pub conforming_per_mille_day: Option<u64>,
    /// The last one that did not.
    pub last_fault: Option<Fault>,
}

#[cfg(test)]
mod tests;
