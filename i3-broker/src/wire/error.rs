//! Why bytes are no packet.

use super::{Reason, Version};

/// Why bytes are no packet that this server takes. The connection must be closed; MQTT 5 can say why
/// ([`Self::reason`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Longer than this server takes.
    #[error("the packet is longer than allowed")]
    TooLong,
    /// Cannot be read by the rules of the standard.
    #[error("the packet is malformed: {0}")]
    Malformed(&'static str),
    /// Can be read, and says what the standard forbids.
    #[error("the packet breaks the protocol: {0}")]
    Protocol(&'static str),
    /// A packet of a type that clients do not send, or not now: a second CONNECT.
    #[error("a packet of type {0} is not expected")]
    Unexpected(u8),
    /// The topic alias 0 (MQTT 5, 3.3.2-8).
    #[error("the topic alias is 0")]
    TopicAlias,
    /// The client speaks another version of MQTT.
    #[error("this version of MQTT is not offered")]
    OtherVersion,
}

impl WireError {
    /// What a DISCONNECT or CONNACK of MQTT 5 says about it (4.13).
    pub const fn reason(self) -> Reason {
        match self {
            Self::TooLong => Reason::PacketTooLarge,
            Self::Malformed(_) => Reason::MalformedPacket,
            Self::Protocol(_) | Self::Unexpected(_) => Reason::ProtocolError,
            Self::TopicAlias => Reason::TopicAliasInvalid,
            Self::OtherVersion => Reason::UnsupportedProtocolVersion,
        }
    }
}

/// Why the first bytes of a connection are no CONNECT that this server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct ConnectError {
    /// What is wrong.
    #[source]
    pub error: WireError,
    /// In which form the client understands a CONNACK with `error.reason()`. `None` if it has not shown itself as
    /// a client of MQTT: nothing is sent to a stranger (3.1.1, 4.8; 5, 4.13.1).
    pub answer: Option<Version>,
}
