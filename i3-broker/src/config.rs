//! What can be set, and how starting fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use i3_core::denial::DenialRecorder;

use crate::listener::Listener;
use crate::log::LogDown;

/// The gate's settings. [`GateConfig::new`] gives defaults that suit one machine.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GateConfig {
    /// Where to listen, and what carries MQTT there. At least one.
    pub listeners: Vec<Listener>,
    /// The name under which this process takes leases: unique among the gates of one marketplace.
    pub holder: String,
    /// Who is told of what the gate denies; nobody by default. What is merely too much is counted alone.
    pub denials: Option<Arc<dyn DenialRecorder>>,
    /// The most connections at a time; more are closed at once. Default 10,000.
    pub max_connections: usize,
    /// The most connections at a time from one IPv4 address or one IPv6 /64; more are closed at once. Raise it
    /// behind something that hides its clients' addresses. Default 1,024.
    pub max_connections_per_address: usize,
    /// The most sessions with a connection at a time of one device or one order; more are refused (MQTT 5: quota
    /// exceeded). Each is charged for what it receives. Default 1,024.
    pub max_connections_per_principal: usize,
    /// How many logins of one device or one order are let in at once, after which each waits for
    /// [`Self::login_interval`]; more are refused (MQTT 5: connection rate exceeded). Default 256.
    pub login_burst: u32,
    /// How often one more login of the same device or order is let in. Zero: any number. Default 20 ms.
    pub login_interval: Duration,
    /// The most memory, in bytes, for packets that have not come whole and for what clients have not read yet, half
    /// for each. Every connection has 4 KiB of each besides. When the first half is used up, clients with large
    /// packets wait, and those that have kept one unfinished for longest are closed; when the second is, each client
    /// gets one message at a time. Default 256 MiB.
    pub memory: usize,
    /// The longest packet taken, in bytes. Default 256 KiB.
    pub max_packet: usize,
    /// The most messages of `QoS` 1 and 2 sent to a client and not acknowledged by it, unless the client takes fewer.
    /// At least 1. Default 1,024.
    pub max_inflight: u16,
    /// The most bytes of such messages that are kept for sending them again, for each session that outlives its
    /// connection. Default 1 MiB.
    pub max_inflight_bytes: usize,
    /// The most messages of `QoS` 1 and 2 that a client of MQTT 5 may have under way to the gate. At least 1.
    /// Default 1,024.
    pub receive_maximum: u16,
    /// The highest topic alias that clients may use; 0 is none. Default 16.
    pub max_topic_alias: u16,
    /// The longest keep alive that clients of MQTT 5 are granted, in seconds; one that asks for more, or for none,
    /// is told this one. Default `None`: any.
    pub max_keep_alive: Option<u16>,
    /// How many publishes of a client of MQTT 5 may be refused, one after the other, before it is disconnected.
    /// Default 16.
    pub max_refused: u32,
    /// How long a session may go on without a connection, in whole seconds. Zero: not at all. Default one day.
    pub session_expiry_max: Duration,
    /// The most messages that wait for a session without a connection; of more, the newest. Default 1,000.
    pub max_offline: u64,
    /// About the most bytes of them. At most as many as the log holds of a topic. Default 256 KiB.
    pub max_offline_bytes: usize,
    /// The most sessions without a connection; for one more, the one that waits longest ends. Default 10,000.
    pub max_parked: usize,
    /// The same for each principal. Default 16.
    pub max_parked_per_principal: usize,
    /// The most bytes that sessions without a connection may hold: what each has for itself, and
    /// [`Self::max_offline_bytes`] for each that is subscribed, whether messages wait for it or not. Default 512 MiB.
    pub max_parked_bytes: usize,
    /// How long a TLS handshake and a WebSocket upgrade may take together. Default 10 s.
    pub handshake_limit: Duration,
    /// How long a client may then take to send its CONNECT, and the login to be checked. Default 10 s.
    pub connect_limit: Duration,
    /// How long a client may take to send the rest of a packet that it began. Default 30 s.
    pub packet_limit: Duration,
    /// How long a client may read nothing of what waits for it before it is closed. Default 60 s.
    pub write_limit: Duration,
    /// How many messages the first lease of a grant asks for. At least 1. Default 64.
    pub first_lease: u64,
    /// The most messages that a lease asks for at a time. With what is being written at that moment, it is also
    /// what may come into doubt for a grant when the process dies. Leases grow with the rate, to what is delivered in
    /// half a second to a second. Default 2,097,152.
    pub largest_lease: u64,
    /// How often usage is reported while it changes. Default 1 s.
    pub report_every: Duration,
    /// How long a product may have no publishes before its unused sequence numbers go back and the gate forgets it.
    /// Default 10 minutes.
    pub stream_idle: Duration,
    /// How long a session waits for quota when the store does not answer, before it is closed; also how long
    /// the gate tries to close a lease. Default 10 s.
    pub quota_wait: Duration,
    /// How long the topic log may take no messages before a device that publishes is closed, what it sent last
    /// unacknowledged; also how long it waits for sequence numbers. Default 3 s.
    pub log_wait: Duration,
    /// How long a connection may take to act on a revocation before its task is ended by force. Default 2 s.
    pub revoke_limit: Duration,
    /// How long [`crate::Gate::shutdown`] waits for clients to read what is in hand. Default 5 s.
    pub shutdown_limit: Duration,
}

impl GateConfig {
    /// The defaults, listening at this address, over plain TCP, under the name `gate`.
    pub fn new(listen: SocketAddr) -> Self {
        Self::over(vec![Listener::tcp(listen)])
    }

    /// The defaults with these listeners, under the name `gate`.
    pub fn over(listeners: Vec<Listener>) -> Self {
        Self {
            listeners,
            holder: "gate".to_owned(),
            denials: None,
            max_connections: 10_000,
            max_connections_per_address: 1_024,
            max_connections_per_principal: 1_024,
            login_burst: 256,
            login_interval: Duration::from_millis(20),
            memory: 256 * 1_024 * 1_024,
            max_packet: 256 * 1_024,
            max_inflight: 1_024,
            max_inflight_bytes: 1_024 * 1_024,
            receive_maximum: 1_024,
            max_topic_alias: 16,
            max_keep_alive: None,
            max_refused: 16,
            session_expiry_max: Duration::from_hours(24),
            max_offline: 1_000,
            max_offline_bytes: 256 * 1_024,
            max_parked: 10_000,
            max_parked_per_principal: 16,
            max_parked_bytes: 512 * 1_024 * 1_024,
            handshake_limit: Duration::from_secs(10),
            connect_limit: Duration::from_secs(10),
            packet_limit: Duration::from_secs(30),
            write_limit: Duration::from_mins(1),
            first_lease: 64,
            largest_lease: 2_097_152,
            report_every: Duration::from_secs(1),
            stream_idle: Duration::from_mins(10),
            quota_wait: Duration::from_secs(10),
            log_wait: Duration::from_secs(3),
            revoke_limit: Duration::from_secs(2),
            shutdown_limit: Duration::from_secs(5),
        }
    }

    /// The same within the ranges that work.
    pub(crate) fn in_range(mut self) -> Self {
        // A delivery is a little longer than what was published.
        self.max_packet = self.max_packet.min(256 * 1_024 * 1_024 - 64 * 1_024);
        self.max_inflight = self.max_inflight.max(1);
        self.max_inflight_bytes = self.max_inflight_bytes.max(1);
        self.receive_maximum = self.receive_maximum.max(1);
        self.first_lease = self.first_lease.max(1);
        self
    }
}

/// The gate could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// [`GateConfig::listeners`] is empty.
    #[error("the gate has nowhere to listen")]
    NoListener,
    /// Another process (or gate) listens there.
    #[error("the address {0} is in use")]
    AddressInUse(SocketAddr),
    /// The address cannot be listened at.
    #[error("cannot listen at {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The topic log does not answer.
    #[error(transparent)]
    Log(#[from] LogDown),
}
