//! The MQTT gate of the I3 IoT data marketplace: authorization, metering and revocation at every delivery.
//!
//! A [`Gate`] is an MQTT 3.1.1 server that lets in the marketplace's principals and nobody else. It asks an
//! [`Authenticator`](i3_core::gate::Authenticator) who connects, a [`Directory`](i3_core::gate::Directory) what they
//! may do, takes quota from [`Metering`](i3_core::gate::Metering), and hears of changes as an
//! [`AccessListener`](i3_core::gate::AccessListener). Between publishers and subscribers stands a
//! [`log::TopicLog`]: by default rumqttd's router, in this process.
//!
//! # What it promises
//!
//! - **Delivered = metered.** Every frame is reserved under a lease before it is put in a connection's buffer, by one
//!   compare-and-swap, and counted from the moment that its first byte is handed to the socket, at either `QoS`.
//!   Frames of which nothing was written go back. Under one grant no more is delivered than `Metering` granted,
//!   by however many sessions at once.
//! - **Revocation is done when the call returns.** `access_changed` returns when no connection concerned will write
//!   or accept what the change forbids. That does not depend on any client reading.
//! - **A buyer with quota gets every message** that the log still holds: while more quota is on its way, messages
//!   wait. A session that falls behind by more than the log holds misses messages; they are counted, not charged.
//! - **It fails closed.** Without the store nobody logs in and no new quota is taken; what a lease still holds is
//!   delivered, then sessions end.
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
//! its grant and publishes nothing. A refused filter is answered with 0x80, whether the topic exists or not;
//! wildcards, shared subscriptions and `$` topics are always refused. A refused publish closes the connection, since
//! MQTT 3.1.1 has no other answer; it reaches nobody and is not retained. A will is authorized at CONNECT (refused
//! with return code 5) and again when it fires.
//!
//! When an order's quota is used up, or its access ends, its sessions are closed.
//!
//! # What of MQTT is here, and what is not
//!
//! - MQTT 3.1.1 over TCP, TLS, WebSocket, and WebSocket over TLS: see [`Listener`]. MQTT 5 clients are refused with reason code 0x84 in their own packet form, MQTT 3.1 clients
//!   with return code 1.
//! - `QoS` 0 and 1 in both directions, `QoS` of a delivery being the lower of published and subscribed. A SUBSCRIBE for
//!   `QoS` 2 is granted 1; a PUBLISH or will at `QoS` 2 is refused. PUBACK to a publisher means that the log took the
//!   message, in memory: it does not survive a crash of the process.
//! - **No session outlives its connection.** A client that asks for a persistent session is let in with *session
//!   present* = 0 every time, nothing is queued while it is away, and so nothing is ever sent again with DUP. (This
//!   departs from 3.1.1, clause 3.1.2.4.)
//! - Retained messages: the last one of each product, in memory, delivered and charged like any other, once for each
//!   SUBSCRIBE.
//! - Takeover by the same client id works within one principal; two principals never displace each other.

mod config;
mod connection;
mod gate;
mod limits;
mod listener;
pub mod log;
mod message;
mod meter;
mod revoke;
mod session;
mod shared;
mod signal;
mod stats;
#[cfg(test)]
mod tests;
mod transport;
pub mod wire;

pub use config::{GateConfig, GateError};
pub use gate::Gate;
pub use listener::{CertificateError, Certificates, ClientCertificates, Listener, Tls, Transport};
pub use message::{InvalidMessage, Message};
pub use shared::Ports;
pub use stats::GateStats;
