//! What an upstream log has seen.

use std::sync::atomic::{AtomicU64, Ordering};

/// What came of messages that did not simply pass, since the log was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct UpstreamCounts {
    /// Messages that gates sent and that never came, and those that the broker did not take.
    pub lost: u64,
    /// Messages that came twice; the second time they were dropped.
    pub repeated: u64,
    /// Messages that no gate sent, dropped or (if so configured) delivered.
    pub foreign: u64,
    /// Messages that claimed to be a gate's and were not, and copies of old ones; dropped.
    pub forged: u64,
    /// Connections to the broker that ended and were made again.
    pub reconnects: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) lost: AtomicU64,
    pub(super) repeated: AtomicU64,
    pub(super) foreign: AtomicU64,
    pub(super) forged: AtomicU64,
    pub(super) reconnects: AtomicU64,
}

impl Counters {
    pub(super) fn snapshot(&self) -> UpstreamCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        UpstreamCounts {
            lost: read(&self.lost),
            repeated: read(&self.repeated),
            foreign: read(&self.foreign),
            forged: read(&self.forged),
            reconnects: read(&self.reconnects),
        }
    }
}
