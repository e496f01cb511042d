//! Where the gate listens, and how.

mod accept;
mod certificates;

use std::net::SocketAddr;

pub(crate) use self::accept::{Listening, bind};
pub(crate) use self::certificates::Protocol;
pub use self::certificates::{CertificateError, Certificates, ClientCertificates, Tls};

/// One address that the gate listens at. All listeners speak the same MQTT to the same sessions.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Listener {
    /// Port 0 lets the system choose; see [`crate::Gate::local_addrs`].
    pub address: SocketAddr,
    /// What carries MQTT there.
    pub transport: Transport,
}

/// What carries MQTT packets.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Transport {
    /// TCP as it is: for networks that are trusted, or behind something that ends TLS.
    Tcp,
    /// TLS 1.2 or 1.3 over TCP.
    Tls(Tls),
    /// WebSocket over TCP (RFC 6455; MQTT 5, section 6; the same for MQTT 3.1.1): any path, subprotocol `mqtt`,
    /// binary frames.
    WebSocket,
    /// The same over TLS.
    SecureWebSocket(Tls),
}

impl Listener {
    /// MQTT over TCP.
    pub fn tcp(address: SocketAddr) -> Self {
        Self { address, transport: Transport::Tcp }
    }

    /// MQTT over TLS.
    pub fn tls(address: SocketAddr, tls: Tls) -> Self {
        Self { address, transport: Transport::Tls(tls) }
    }

    /// MQTT over WebSocket.
    pub fn websocket(address: SocketAddr) -> Self {
        Self { address, transport: Transport::WebSocket }
    }

    /// MQTT over WebSocket over TLS.
    pub fn secure_websocket(address: SocketAddr, tls: Tls) -> Self {
        Self { address, transport: Transport::SecureWebSocket(tls) }
    }
}
