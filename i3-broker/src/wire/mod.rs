//! Packets of MQTT 3.1.1 and 5: bytes to packets and back.
//!
//! Only what a server receives and sends is here. Decoding is strict where the standards say that a
//! server must close the connection: reserved bits, UTF-8 without NUL, topics without wildcards, packet
//! identifiers other than 0, lengths that add up, properties that belong to the packet and come once. A packet is
//! checked against the size limit before anything is allocated for it. Clause numbers are those of the OASIS
//! standards MQTT 3.1.1 and MQTT 5; a single number is the same in both.
//!
//! Why this is not a codec crate: `docs/decisions/0005-own-mqtt-codec.md`.

mod connect;
mod decode;
mod deliver;
mod encode;
mod error;
mod packet;
mod property;
mod publish;
mod reader;
mod reason;

pub use connect::decode_connect;
pub use decode::decode;
pub use deliver::{Content, Delivery, SequenceProperty, deliver, delivered_len, publish};
pub use encode::{Connack, connack, disconnect, pingresp, puback, pubcomp, pubrec, pubrel, suback, unsuback};
pub use error::{ConnectError, WireError};
pub use packet::{
    Ack, Auth, Connect, Disconnect, Filter, FilterKind, Packet, Publish, RetainHandling, Subscribe,
    Unsubscribe, Will,
};
pub use reason::Reason;

/// Which standard a connection follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5, protocol level 5.
    V5,
}

/// Quality of service (clause 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qos {
    /// At most once.
    AtMostOnce,
    /// At least once.
    AtLeastOnce,
    /// Exactly once.
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

    /// The quality of service with these bits; `None` above 2.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}
