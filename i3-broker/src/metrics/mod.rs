//! What a gate has done, for Prometheus. `docs/observability.md` says what each name means.
//!
//! Nothing here is looked up by name while messages flow: counters are fields, and grow by batches.

mod exposition;
mod tally;

use std::sync::Arc;

use i3_core::gate::LeaseRefusal;

use self::exposition::Exposition;
use self::tally::{Histogram, Tally, label};
use crate::log::TopicLog;
use crate::meter::{Grants, Phase};
use crate::shared::Shared;
use crate::stats::GateStats;

pub use exposition::CONTENT_TYPE as METRICS_CONTENT_TYPE;

label! {
    /// What became of a lease.
    LeaseEvent {
        /// Quota was granted under a new lease.
        Opened = "opened",
        /// A lease was given more, or its usage was reported.
        Extended = "extended",
        /// The final count was reported.
        Closed = "closed",
        /// It was gone before its final count was reported.
        Gone = "gone",
        /// The final count could not be reported: the lease's last messages are in doubt.
        LeftOpen = "left_open",
    }
}

label! {
    /// Why no quota was given.
    NoQuota {
        /// All that was bought has been delivered.
        Exhausted = "exhausted",
        /// Other gates hold the rest.
        LeasedElsewhere = "leased_elsewhere",
        /// The buyer has no money left.
        InsufficientFunds = "insufficient_funds",
        /// The grant has ended or something under it has.
        NotActive = "not_active",
        /// The lease is gone.
        NoSuchLease = "no_such_lease",
        /// The store did not answer.
        Unavailable = "unavailable",
        /// For a reason that this gate does not know.
        Other = "other",
    }
}

impl From<LeaseRefusal> for NoQuota {
    fn from(refusal: LeaseRefusal) -> Self {
        match refusal {
            LeaseRefusal::Exhausted => Self::Exhausted,
            LeaseRefusal::LeasedElsewhere => Self::LeasedElsewhere,
            LeaseRefusal::InsufficientFunds => Self::InsufficientFunds,
            LeaseRefusal::NotActive => Self::NotActive,
            LeaseRefusal::NoSuchLease => Self::NoSuchLease,
            _ => Self::Other,
        }
    }
}

/// What is counted for the metrics alone. The rest is in [`crate::stats`].
#[derive(Debug, Default)]
pub(crate) struct Meters {
    pub(crate) leases: Tally<LeaseEvent>,
    pub(crate) no_quota: Tally<NoQuota>,
    /// From the call to the last byte.
    pub(crate) revocations: Histogram,
}

/// The metrics of a gate, as they are whenever they are asked for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GateMetrics(Arc<Shared>);

impl GateMetrics {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }

    /// All metrics as Prometheus reads them; serve it as [`METRICS_CONTENT_TYPE`]. No names, addresses or topics
    /// are in it. The numbers are read one after the other, not at one instant.
    pub fn text(&self) -> String {
        let shared = &self.0;
        exposition(&shared.stats(), &shared.meters, &shared.grants, &*shared.log)
    }
}

fn exposition(stats: &GateStats, meters: &Meters, grants: &Grants, log: &dyn TopicLog) -> String {
    let mut out = Exposition::default();
    out.gauge("i3_gate_sessions", "Clients that are logged in.", stats.sessions);
    out.counter("i3_gate_logins_total", "Logins that were accepted.", stats.logins);
    out.counter(
        "i3_gate_logins_refused_total",
        "Connections that were turned away before or at login.",
        stats.logins_refused,
    );
    out.counter("i3_gate_publishes_total", "Messages taken from devices.", stats.publishes_accepted);
    out.counter(
        "i3_gate_publishes_refused_total",
        "Publishes and wills that were refused.",
        stats.publishes_refused,
    );
    out.counter(
        "i3_gate_subscriptions_refused_total",
        "Filters that were refused.",
        stats.subscriptions_refused,
    );
    out.counter(
        "i3_gate_deliveries_total",
        "Messages handed to sockets: the ones that are charged.",
        stats.delivered,
    );
    out.counter(
        "i3_gate_gaps_total",
        "Messages that sessions missed because they read too slowly; not charged.",
        stats.gaps,
    );
    out.counter(
        "i3_gate_unwritten_total",
        "Messages that were reserved, never handed to a socket, and given back.",
        stats.unwritten,
    );
    out.tally("i3_gate_leases_total", "What became of leases.", "event", &meters.leases);
    out.tally("i3_gate_no_quota_total", "Answers that gave no quota.", "reason", &meters.no_quota);
    out.gauges("i3_gate_grants", "Grants with sessions, by what they do.", "phase", &phases(grants));
    out.histogram(
        "i3_gate_revocation_seconds",
        "Time from a change of access to the last byte that it forbids.",
        &meters.revocations.read(),
    );
    out.counter(
        "i3_gate_forced_closes_total",
        "Connections that did not act on a change in time and were ended by force.",
        stats.forced,
    );
    out.counter("i3_gate_log_lost_total", "Messages that the topic log lost.", stats.log_lost);
    out.counter(
        "i3_gate_log_restarts_total",
        "How often the topic log's engine or connection was made anew.",
        stats.log_restarts,
    );
    out.counters(
        "i3_gate_log_dropped_total",
        "Messages that came to the topic log and were not passed on.",
        "reason",
        &log.dropped(),
    );
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    out.gauge("i3_gate_log_waiting", "Messages on their way through the topic log.", count(log.waiting()));
    out.gauge("i3_gate_log_feeds", "Topics with readers.", count(log.feeds()));
    out.text()
}

fn phases(grants: &Grants) -> [(&'static str, u64); 2] {
    let (mut open, mut waiting) = (0, 0);
    for grant in grants.all() {
        match grant.phase() {
            Phase::Open { .. } => open += 1,
            Phase::Waiting => waiting += 1,
            Phase::Ended(_) => {}
        }
    }
    [("open", open), ("waiting", waiting)]
}
