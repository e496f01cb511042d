//! The MQTT gate of the I3 IoT data marketplace: authorization, metering and revocation at every delivery.
//!
//! A [`Gate`] is a server of MQTT 3.1.1 and MQTT 5, on one port, that lets in the marketplace's principals and nobody
//! else. It asks an [`Authenticator`](i3_core::gate::Authenticator) who connects, a
//! [`Directory`](i3_core::gate::Directory) what they may do, takes quota from [`Metering`](i3_core::gate::Metering),
//! and hears of changes as an [`AccessListener`](i3_core::gate::AccessListener). Between publishers and subscribers
//! stands a [`log::TopicLog`]: by default rumqttd's router, in this process.
//!
//! # What it promises
//!
//! - **Delivered = metered.** Every frame is reserved under a lease before it is put in a connection's buffer, by one
//!   compare-and-swap, and counted from the moment that its first byte is handed to the socket, at every `QoS`.
//!   Frames of which nothing was written go back. A message that is sent again to a session that it was written to
//!   before is free, and nothing that was written is ever refunded for want of an acknowledgement. Under one grant no
//!   more is delivered than `Metering` granted, by however many sessions at once.
//! - **Revocation is done when the call returns.** `access_changed` returns when no connection concerned will write
//!   or accept what the change forbids, and nothing waits any more for sessions without a connection that it ends.
//!   That does not depend on any client reading. A client of MQTT 5 is then told the reason, unless that would have
//!   to stand in the middle of a message.
//! - **A buyer with quota gets every message** that the log still holds: while more quota is on its way, messages
//!   wait. A session that falls behind by more than the log holds misses messages; they are counted, not charged.
//! - **Every message has a number** that no other message of its product has or will have, whichever gate takes it and
//!   whatever dies. A gate takes numbers ahead, from [`Streams`](i3_core::gate::Streams); what one that dies had not used
//!   is skipped. While there are no numbers, no messages are taken.
//! - **It fails closed.** Without the store nobody logs in and no new quota is taken; what a lease still holds is
//!   delivered, then connections end.
//!
//! - **Strangers cannot take it all.** Handshakes, CONNECT and packets have deadlines, and none holds up another.
//!   Connections are limited in all and by address, and so is the memory for packets that have not come whole and for
//!   what clients have not read: see [`GateConfig`]. Besides that memory, a connection over TLS or WebSocket holds at
//!   most one record or frame of 16 KiB in each direction, and what TLS needs for itself.
//!
//! Over TLS and WebSocket, what counts as handed to the socket is what was encrypted or framed: at most one record or
//! frame more than the system has taken. It still goes out after a revocation, as does what the system holds.
//!
//! # Who may do what
//!
//! A device publishes to the exact topics of its products and receives nothing. An order receives the exact topic of
//! its grant and publishes nothing. A refused filter is answered with 0x80 (MQTT 5: 0x87), whether the topic exists
//! or not; that wildcards (0xA2) and shared subscriptions (0x9E) are never granted shows in their form alone.
//!
//! A refused publish reaches nobody, is not retained, and leaves no topic alias behind. With MQTT 5 at `QoS` 1 and 2 it
//! is answered with 0x87, and the connection lives until too many were refused in a row
//! ([`GateConfig::max_refused`]); otherwise the connection ends, since there is no other answer. A will is authorized
//! at CONNECT (refused with 5 or 0x87) and again when it fires.
//!
//! When an order's quota is used up, or its access ends, its connections are closed and its sessions end.
//!
//! # What of MQTT is here
//!
//! - `QoS` 0, 1 and 2 in both directions, that of a delivery being the lower of published and subscribed. An
//!   acknowledgement to a publisher means that the log took the message, in memory: it does not survive a crash of
//!   the process.
//! - Sessions that go on without a connection, for at most [`GateConfig::session_expiry_max`]: 3.1.1 without clean
//!   session, MQTT 5 by session expiry. A session is one of a principal and a client identifier; two principals never
//!   displace each other. While it has no connection it holds no quota. What is published meanwhile, at every `QoS`,
//!   waits in the topic's feed, the newest [`GateConfig::max_offline`] messages at most. When the client comes back
//!   the grant is read again before anything is sent: has it ended or changed meanwhile, the session is gone
//!   (*session present* = 0). A used-up order, a revoked grant and a removed key leave no session.
//! - Retained messages: the last one of each product, delivered and charged like any other.
//! - Wills, with delay. They do not fire when the gate shuts down, nor when the login that left them is no longer good.
//! - MQTT 5: properties passed on as they came, subscription identifiers and options, message expiry, receive maximum
//!   and maximum packet size both ways, topic aliases from clients and, for the topic that a buyer receives, one to
//!   those that take any, server keep alive, assigned client identifiers, reason codes on every answer and DISCONNECT,
//!   reason strings where the client wants them. A delivery has the message's number in its product's sequence as the
//!   user property `i3-seq`; names that begin with `i3-` are the gate's, and are dropped from what clients send.
//!
//! # What is not, on purpose
//!
//! - Wildcards and shared subscriptions: an order opens one topic.
//! - No Local has nothing to act on, since no buyer publishes.
//! - Extended authentication: CONNACK 0x8C; an AUTH packet is a protocol error. MQTT 3.1 is refused.
//! - Sessions and retained messages do not outlive the process.
//! - A session that was unsubscribed while messages of it were unacknowledged is not taken up again: there is no
//!   grant under which they could be sent.

mod config;
mod connection;
mod denials;
pub mod dialect;
mod gate;
mod history;
mod limits;
mod listener;
pub mod log;
mod message;
mod meter;
mod metrics;
mod parked;
mod revoke;
mod session;
mod shared;
mod signal;
mod stats;
mod stream;
#[cfg(test)]
mod tests;
mod transport;
mod will;
pub mod wire;

pub use config::{GateConfig, GateError};
pub use gate::Gate;
pub use listener::{CertificateError, Certificates, ClientCertificates, Listener, Tls, Transport};
pub use message::{Expired, InvalidMessage, Message, MessageParts};
pub use metrics::{GateMetrics, METRICS_CONTENT_TYPE};
pub use shared::Ports;
pub use stats::GateStats;
pub use stream::JsonSchemas;
