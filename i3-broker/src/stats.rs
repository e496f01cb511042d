//! Counters.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use i3_core::id::GrantId;
use i3_core::usage::Missed;

/// What a gate has done since it was started. The numbers are read one after the other, not at one instant, but for
/// `parked` and `parked_ended`: no session is in neither because of that.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GateStats {
    /// Connections that are logged in now.
    pub sessions: u64,
    /// Logins that were accepted.
    pub logins: u64,
    /// Connections that were turned away before or at login.
    pub logins_refused: u64,
    /// Messages taken from devices.
    pub publishes_accepted: u64,
    /// Publishes and wills that were refused.
    pub publishes_refused: u64,
    /// Filters that were refused.
    pub subscriptions_refused: u64,
    /// Messages handed to sockets: the metered ones.
    pub delivered: u64,
    /// Messages that sessions did not get, by why; not charged.
    pub missed: Missed,
    /// Messages that were sent again, free of charge, after a reconnect.
    pub redelivered: u64,
    /// Sessions that wait for their clients to come back.
    pub parked: u64,
    /// Sessions that were taken up again.
    pub resumed: u64,
    /// Sessions that ended without a connection: by time, by a change of access, or for want of room.
    pub parked_ended: u64,
    /// Products that the gate holds sequence numbers of now.
    pub streams: u64,
    /// Messages that the log itself lost.
    pub log_lost: u64,
    /// How often the log's engine was replaced.
    pub log_restarts: u64,
    /// Frames that were reserved, never handed to a socket, and given back.
    pub unwritten: u64,
    /// Changes of access that were put into effect.
    pub revocations: u64,
    /// How long the last one took until nothing more was written.
    pub last_revocation: Option<Duration>,
    /// Connections that did not act on a change in time and were ended by force.
    pub forced: u64,
    /// Bytes held for packets that have not come whole and for what clients have not read yet, as counted against
    /// [`crate::GateConfig::memory`].
    pub memory: u64,
    /// Connections that kept a packet unfinished and were closed because memory was short.
    pub given_up: u64,
    /// Messages delivered per grant.
    pub by_grant: Vec<(GrantId, u64)>,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sessions: AtomicU64,
    pub(crate) logins: AtomicU64,
    pub(crate) logins_refused: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) subscriptions_refused: AtomicU64,
    pub(crate) redelivered: AtomicU64,
    pub(crate) resumed: AtomicU64,
    pub(crate) unwritten: AtomicU64,
    pub(crate) revocations: AtomicU64,
    /// In nanoseconds; 0 if there was none.
    pub(crate) last_revocation: AtomicU64,
    pub(crate) forced: AtomicU64,
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    if count > 0 {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

impl Counters {
    pub(crate) fn snapshot(&self) -> GateStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let last = read(&self.last_revocation);
        GateStats {
            sessions: read(&self.sessions),
            logins: read(&self.logins),
            logins_refused: read(&self.logins_refused),
            publishes_accepted: read(&self.accepted),
            publishes_refused: read(&self.refused),
            subscriptions_refused: read(&self.subscriptions_refused),
            redelivered: read(&self.redelivered),
            resumed: read(&self.resumed),
            unwritten: read(&self.unwritten),
            revocations: read(&self.revocations),
            last_revocation: (last > 0).then(|| Duration::from_nanos(last)),
            forced: read(&self.forced),
            ..GateStats::default()
        }
    }
}
