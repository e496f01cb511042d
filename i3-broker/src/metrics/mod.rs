//! What a gate has done, for Prometheus. `docs/observability.md` says what each name means.
//!
//! Nothing here is looked up by name while messages flow: counters are fields, and grow by batches.

mod exposition;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use i3_core::gate::LeaseRefusal;

use self::exposition::Exposition;
use self::tally::{Histogram, label};
use crate::listener::Transport;
use crate::log::{Queued, TopicLog};
use crate::meter::{Grants, Phase};
use crate::shared::Shared;
use crate::stats::GateStats;
use crate::wire::{Reason, Version};

pub use exposition::CONTENT_TYPE as METRICS_CONTENT_TYPE;
pub(crate) use tally::{Label, Tally};

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

label! {
    /// Why a connection was turned away.
    TurnedAway {
        /// The gate has as many as it takes, from everybody, from there or of this device or order.
        Limit = "limit",
        /// The first packet is no CONNECT that this gate takes, or none came.
        Protocol = "protocol",
        /// The client took too long, or the login's check did.
        Timeout = "timeout",
        /// Wrong credentials, or no right to what it asks.
        NotAuthorized = "not_authorized",
        /// The client identifier is not allowed.
        ClientId = "client_id",
        /// It asks for another way to log in.
        Method = "method",
        /// Its device or order logs in too often.
        TooOften = "too_often",
        /// Too many logins are being checked.
        Busy = "busy",
        /// The store does not answer, or access changed too often meanwhile.
        Unavailable = "unavailable",
        /// The gate stops.
        Closing = "closing",
    }
}

impl From<Reason> for TurnedAway {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::NotAuthorized => Self::NotAuthorized,
            Reason::ClientIdentifierNotValid => Self::ClientId,
            Reason::BadAuthenticationMethod => Self::Method,
            Reason::QuotaExceeded => Self::Limit,
            Reason::ConnectionRateExceeded => Self::TooOften,
            Reason::ServerBusy => Self::Busy,
            Reason::ServerUnavailable => Self::Unavailable,
            _ => Self::Protocol,
        }
    }
}

label! {
    /// What was refused of a publisher.
    NotTaken {
        /// A publish to a topic that is not its own.
        Publish = "publish",
        /// A will, at CONNECT.
        WillAtConnect = "will_at_connect",
        /// A will whose right had ended when it was due.
        Will = "will",
    }
}

label! {
    /// The protocol that a client speaks.
    Spoken {
        /// MQTT 3.1.1.
        V311 = "3.1.1",
        /// MQTT 5.
        V5 = "5",
    }
}

impl From<Version> for Spoken {
    fn from(version: Version) -> Self {
        match version {
            Version::V311 => Self::V311,
            Version::V5 => Self::V5,
        }
    }
}

label! {
    /// What carries a client's packets.
    Carried {
        /// TCP as it is.
        Tcp = "tcp",
        /// TLS.
        Tls = "tls",
        /// WebSocket.
        WebSocket = "websocket",
        /// WebSocket over TLS.
        SecureWebSocket = "secure_websocket",
    }
}

impl From<&Transport> for Carried {
    fn from(transport: &Transport) -> Self {
        match transport {
            Transport::Tcp => Self::Tcp,
            Transport::Tls(_) => Self::Tls,
            Transport::WebSocket => Self::WebSocket,
            Transport::SecureWebSocket(_) => Self::SecureWebSocket,
        }
    }
}

/// Something that is counted as long as it is there.
#[derive(Debug)]
pub(crate) struct Present<L: Label> {
    shared: Arc<Shared>,
    among: fn(&Meters) -> &Tally<L>,
    label: L,
}

impl<L: Label> Present<L> {
    fn among(shared: &Arc<Shared>, among: fn(&Meters) -> &Tally<L>, label: L) -> Self {
        among(&shared.meters).one(label);
        Self { shared: Arc::clone(shared), among, label }
    }
}

impl Present<Spoken> {
    /// A client that is logged in.
    pub(crate) fn session(shared: &Arc<Shared>, version: Version) -> Self {
        Self::among(shared, |meters| &meters.sessions, version.into())
    }
}

impl Present<Carried> {
    /// A connection that MQTT can be spoken over.
    pub(crate) fn connection(shared: &Arc<Shared>, transport: &Transport) -> Self {
        Self::among(shared, |meters| &meters.connections, transport.into())
    }
}

impl<L: Label> Drop for Present<L> {
    fn drop(&mut self) {
        (self.among)(&self.shared.meters).less(self.label);
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
    /// Those that are there now.
    pub(crate) sessions: Tally<Spoken>,
    pub(crate) connections: Tally<Carried>,
    pub(crate) turned_away: Tally<TurnedAway>,
    pub(crate) not_taken: Tally<NotTaken>,
    /// Bytes of MQTT that logged-in clients sent, and that were handed to their sockets.
    pub(crate) read: AtomicU64,
    pub(crate) written: AtomicU64,
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
    out.gauges("i3_gate_sessions", "Clients that are logged in.", "version", &present(&meters.sessions));
    out.gauges(
        "i3_gate_connections",
        "Connections that are open, logged in or not yet.",
        "transport",
        &present(&meters.connections),
    );
    out.gauge("i3_gate_sessions_parked", "Sessions that wait for their clients to come back.", stats.parked);
    out.counter("i3_gate_sessions_resumed_total", "Sessions that were taken up again.", stats.resumed);
    out.counter(
        "i3_gate_sessions_parked_ended_total",
        "Sessions that ended while nobody was there.",
        stats.parked_ended,
    );
    out.counter("i3_gate_logins_total", "Logins that were accepted.", stats.logins);
    out.tally(
        "i3_gate_logins_refused_total",
        "Connections that were turned away before or at login.",
        "reason",
        &meters.turned_away,
    );
    out.counter("i3_gate_publishes_total", "Messages taken from devices.", stats.publishes_accepted);
    out.tally(
        "i3_gate_publishes_refused_total",
        "Publishes and wills that were refused.",
        "what",
        &meters.not_taken,
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
    out.counters(
        "i3_gate_missed_total",
        "Messages that sessions did not get; not charged.",
        "reason",
        &[
            ("slow", stats.missed.slow),
            ("offline", stats.missed.offline),
            ("expired", stats.missed.expired),
            ("too_large", stats.missed.too_large),
        ],
    );
    out.counter(
        "i3_gate_redelivered_total",
        "Messages that were sent again after a reconnect; not charged again.",
        stats.redelivered,
    );
    let bytes = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    out.counter("i3_gate_read_bytes_total", "Bytes that logged-in clients sent.", bytes(&meters.read));
    out.counter(
        "i3_gate_written_bytes_total",
        "Bytes handed to logged-in clients' sockets.",
        bytes(&meters.written),
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
    let feeds = log.feeds();
    out.gauge("i3_gate_log_feeds", "Topics with readers.", count(feeds.len()));
    let Queued { messages, longest } =
        feeds.iter().fold(Queued::default(), |sum, feed| sum.and(feed.queued()));
    out.gauge("i3_gate_queue_messages", "Messages that wait for sessions, once for each of them.", messages);
    out.gauge(
        "i3_gate_queue_longest",
        "Messages that wait for the session that is furthest behind.",
        longest,
    );
    out.text()
}

fn present<L: Label>(tally: &Tally<L>) -> Vec<(&'static str, u64)> {
    tally.read().map(|(label, count)| (label.text(), count)).collect()
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
