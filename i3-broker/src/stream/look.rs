//! Looking at some of the messages that pass: samples, and checks against the schema. A bounded part of them, so that
//! neither a fast stream nor a costly schema slows the gate down.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use i3_core::quality::Quality;
use i3_core::stream::{Sample, SampleTerms, StreamTerms};
use i3_core::time::Timestamp;

use super::schema::Checker;

/// The most checks of one product in one second, in one batch, and the longest payload that is checked.
const CHECKS_A_SECOND: u32 = 100;
const CHECKS_A_BATCH: u32 = 8;
const LONGEST_CHECKED: usize = 16 * 1_024;

/// After a check, a product waits so many times as long as it took, and all products together so many times.
const OWN_REST: u32 = 50;
const COMMON_REST: u32 = 4;

/// When the next check of any product may begin: what all products of a gate share.
#[derive(Debug)]
pub(super) struct Pace {
    start: Instant,
    /// Nanoseconds after the start.
    free: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { start: Instant::now(), free: AtomicU64::new(0) }
    }
}

impl Pace {
    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX)
    }

    fn is_free(&self, now: Instant) -> bool {
        self.free.load(Ordering::Relaxed) <= self.nanos(now)
    }

    fn rest(&self, until: Instant) {
        self.free.fetch_max(self.nanos(until), Ordering::Relaxed);
    }
}

/// So many in each second.
#[derive(Debug, Default)]
struct Allowance {
    second: i64,
    used: u32,
}

impl Allowance {
    fn left(&mut self, at: Timestamp, limit: u32) -> u32 {
        if self.second != at.seconds() {
            (self.second, self.used) = (at.seconds(), 0);
        }
        limit.saturating_sub(self.used)
    }
}

/// What is looked at of one product.
#[derive(Debug, Default)]
pub(super) struct Looks {
    terms: Option<Arc<StreamTerms>>,
    checker: Option<Arc<Checker>>,
    samples: VecDeque<Sample>,
    sampled: Allowance,
    checked: Allowance,
    rest_until: Option<Instant>,
}

impl Looks {
    /// The revision of the terms; 0 before there are any.
    pub(super) fn revision(&self) -> u32 {
        self.terms.as_ref().map_or(0, |terms| terms.revision)
    }

    /// Goes by these terms if they are newer; the schema to compile then. Who publishes by older rights is late.
    pub(super) fn adopt(&mut self, terms: Option<&Arc<StreamTerms>>) -> Option<Arc<StreamTerms>> {
        let terms = terms.filter(|terms| terms.revision > self.revision())?;
        self.terms = Some(Arc::clone(terms));
        self.checker = None;
        self.samples.clear();
        terms.description.schema.is_some().then(|| Arc::clone(terms))
    }

    /// Checks with this from now on, if it is still the present schema.
    pub(super) fn compiled(&mut self, revision: u32, checker: Arc<Checker>) {
        if revision == self.revision() {
            self.checker = Some(checker);
        }
    }

    #[cfg(test)]
    pub(super) fn is_checked(&self) -> bool {
        self.checker.is_some()
    }

    fn sample_terms(&self) -> Option<&SampleTerms> {
        self.terms.as_ref()?.description.sample.as_ref()
    }

    /// Looks at messages with consecutive numbers from `first` on.
    pub(super) fn look<'m>(
        &mut self,
        at: Timestamp,
        first: u64,
        payloads: impl ExactSizeIterator<Item = &'m [u8]> + Clone,
        quality: &mut Quality,
        pace: &Pace,
    ) {
        if self.terms.is_none() {
            return;
        }
        self.sample(at, first, payloads.clone());
        if self.checker.is_some() {
            self.check(at, first, payloads, quality, pace);
        }
    }

    fn sample<'m>(&mut self, at: Timestamp, first: u64, payloads: impl ExactSizeIterator<Item = &'m [u8]>) {
        let Some(last) = self.sample_terms().map(|sample| sample.last) else { return };
        let (count, last) = (payloads.len(), usize::from(last));
        let wanted = u32::try_from(last.min(count)).unwrap_or(0);
        // The newest of a batch; of many batches in one second, the first ones.
        let taken = wanted.min(self.sampled.left(at, u32::try_from(last).unwrap_or(0)));
        if taken == 0 {
            return;
        }
        self.sampled.used += taken;
        let skipped = count - usize::try_from(taken).unwrap_or(count);
        let Some(terms) = self.terms.as_ref().and_then(|terms| terms.description.sample.as_ref()) else {
            return;
        };
        for (sequence, payload) in (first..).zip(payloads).skip(skipped) {
            let bytes = u64::try_from(payload.len()).unwrap_or(u64::MAX);
            self.samples.push_back(Sample { sequence, at, bytes, content: terms.show(payload) });
        }
        let over = self.samples.len().saturating_sub(last);
        self.samples.drain(..over);
    }

    fn check<'m>(
        &mut self,
        at: Timestamp,
        first: u64,
        payloads: impl Iterator<Item = &'m [u8]>,
        quality: &mut Quality,
        pace: &Pace,
    ) {
        let Some(checker) = self.checker.clone() else { return };
        let allowed = self.checked.left(at, CHECKS_A_SECOND).min(CHECKS_A_BATCH);
        let short = (first..).zip(payloads).filter(|(_, payload)| payload.len() <= LONGEST_CHECKED);
        for (sequence, payload) in short.take(usize::try_from(allowed).unwrap_or(0)) {
            let begun = Instant::now();
            if self.rest_until.is_some_and(|until| begun < until) || !pace.is_free(begun) {
                return;
            }
            quality.checked(at, sequence, checker.check(payload));
            self.checked.used += 1;
            let ended = Instant::now();
            let took = ended.saturating_duration_since(begun);
            // What is cheap costs too little to wait for.
            if took > Duration::from_micros(200) {
                self.rest_until = Some(ended + took * OWN_REST);
                pace.rest(ended + took * COMMON_REST);
            }
        }
    }

    /// The samples since the last time this was asked.
    pub(super) fn take_samples(&mut self) -> Vec<Sample> {
        self.samples.drain(..).collect()
    }

    /// Puts back what could not be told.
    pub(super) fn put_back(&mut self, revision: u32, samples: Vec<Sample>) {
        if revision != self.revision() {
            return;
        }
        let Some(last) = self.sample_terms().map(|sample| usize::from(sample.last)) else { return };
        let room = last.saturating_sub(self.samples.len());
        for sample in samples.into_iter().rev().take(room) {
            self.samples.push_front(sample);
        }
    }
}
