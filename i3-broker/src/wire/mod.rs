//! MQTT 3.1.1 packets: bytes to packets and back.
//!
//! Only what a server receives and sends is here. Decoding is strict where the standard says that a
//! server must close the connection: reserved bits, UTF-8 without NUL, topics without wildcards, packet
//! identifiers other than 0, lengths that add up. A packet is checked against the size limit before
//! anything is allocated for it. Clause numbers are those of the OASIS MQTT 3.1.1 standard.
//!
//! Why this is not a codec crate: `docs/decisions/0005-own-mqtt-codec.md`.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use decode::decode;
pub(crate) use decode::publish_parts;
pub(crate) use encode::{UNSUPPORTED_VERSION_V5, deliver};
pub use encode::{connack, pingresp, puback, publish, suback, unsuback};

/// Quality of service (clause 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qos {
    /// At most once.
    AtMostOnce,
    /// At least once.
    AtLeastOnce,
    /// Exactly once. Recognized, not offered: see the crate's documentation.
    ExactlyOnce,
}

impl Qos {
    /// The two bits on the wire.
    pub const fn bits(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }

    pub(crate) const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// A packet that a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// 3.1
    Connect(Box<Connect>),
    /// 3.3
    Publish(Publish),
    /// 3.4: the packet identifier.
    PubAck(u16),
    /// 3.8
    Subscribe(Subscribe),
    /// 3.10
    Unsubscribe(Unsubscribe),
    /// 3.12
    PingReq,
    /// 3.14
    Disconnect,
}

/// A request to connect (3.1). The password never appears in `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// Empty if the client wants one to be made for it.
    pub client_id: String,
    /// Whether no state of an earlier connection is wanted.
    pub clean_session: bool,
    /// In seconds; 0 turns it off.
    pub keep_alive: u16,
    /// What to publish if the connection ends without DISCONNECT.
    pub will: Option<Will>,
    /// The user name.
    pub username: Option<String>,
    /// The password: any bytes.
    pub password: Option<Bytes>,
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("client_id", &self.client_id)
            .field("clean_session", &self.clean_session)
            .field("keep_alive", &self.keep_alive)
            .field("will", &self.will)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .finish()
    }
}

/// A will (3.1.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// Where to publish it.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// How.
    pub qos: Qos,
    /// Whether it becomes the topic's retained message.
    pub retain: bool,
}

/// A message on its way (3.3). Holds the frame as it came; topic and payload are parts of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The whole packet, fixed header included.
    pub frame: Bytes,
    /// Where the topic's text begins in the frame.
    pub(crate) topic_at: usize,
    /// Where the payload begins in the frame.
    pub(crate) payload_at: usize,
    /// The quality of service.
    pub qos: Qos,
    /// Whether the sender says that it sent it before.
    pub dup: bool,
    /// Whether it becomes the topic's retained message.
    pub retain: bool,
    /// The packet identifier; `None` at `QoS` 0.
    pub packet_id: Option<u16>,
}

impl Publish {
    /// The topic's text.
    pub fn topic(&self) -> &[u8] {
        let end = self.payload_at - if self.packet_id.is_some() { 2 } else { 0 };
        self.frame.get(self.topic_at..end).unwrap_or_default()
    }

    /// The application's message.
    pub fn payload(&self) -> &[u8] {
        self.frame.get(self.payload_at..).unwrap_or_default()
    }
}

/// A request to subscribe (3.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// The packet identifier.
    pub packet_id: u16,
    /// The filters with the highest `QoS` wanted; at least one.
    pub filters: Vec<(String, Qos)>,
}

/// A request to unsubscribe (3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The packet identifier.
    pub packet_id: u16,
    /// The filters; at least one.
    pub filters: Vec<String>,
}

/// Why bytes are no packet that this server takes. The connection must be closed; for the two versions
/// there is an answer to send before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Longer than this server takes.
    #[error("the packet is longer than allowed")]
    TooLong,
    /// Not as the standard demands.
    #[error("the packet is malformed: {0}")]
    Malformed(&'static str),
    /// A packet that only a server sends, or one of the `QoS` 2 exchange, which is not offered.
    #[error("packet type {0} is not taken from clients")]
    Unexpected(u8),
    /// The client speaks MQTT 5: answer with [`Connack`] in that version's form.
    #[error("MQTT 5 is not offered")]
    Version5,
    /// The client speaks another version of MQTT.
    #[error("this version of MQTT is not offered")]
    OtherVersion,
}

/// The return codes of CONNACK (3.2.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connack {
    /// 0: connection accepted.
    Accepted,
    /// 1: unacceptable protocol version.
    Version,
    /// 2: the client identifier is not allowed.
    Identifier,
    /// 3: the service is unavailable.
    Unavailable,
    /// 5: not authorized. Also for bad credentials, so that a stranger learns nothing.
    NotAuthorized,
}

impl Connack {
    /// The byte on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::Version => 1,
            Self::Identifier => 2,
            Self::Unavailable => 3,
            Self::NotAuthorized => 5,
        }
    }
}
