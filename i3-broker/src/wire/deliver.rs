//! PUBLISH as a server sends it (3.3): one pass, no allocation beyond the buffer's.

use bytes::Bytes;

use super::encode::variable;
use super::property::id;
use super::reader::variable_len;
use super::{Qos, Version};

/// The longest that can follow a fixed header (3.1.1, 2.2.3; 5, 2.1.4).
const LONGEST: usize = 268_435_455;

/// The user property that tells a message's sequence number, up to its value: that value's length is its last byte.
const SEQUENCE: [u8; 11] = [id::USER_PROPERTY, 0, 6, b'i', b'3', b'-', b's', b'e', b'q', 0, 0];

/// A message for one subscriber. What is said of properties is for MQTT 5; 3.1.1 has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The topic; not empty.
    pub topic: &'a str,
    /// What the publisher passes on, as [`Publish::properties`](super::Publish::properties) gave it.
    pub properties: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// The message's number in its product's sequence, told as the user property `i3-seq`.
    pub sequence: u64,
    /// The quality of service.
    pub qos: Qos,
    /// The packet identifier at `QoS` 1 and 2. At `QoS` 0 there is none, and this is ignored.
    pub packet_id: u16,
    /// Whether it was sent to this client before; ignored at `QoS` 0.
    pub dup: bool,
    /// Whether it is delivered because it was retained.
    pub retain: bool,
    /// The subscription's identifier, 1 to 268,435,455, if it has one.
    pub subscription_identifier: Option<u32>,
    /// For how many more seconds the message is of use, if it is known.
    pub expiry: Option<u32>,
}

/// The lengths of a delivery's parts.
struct Lengths {
    topic: u16,
    /// Of all properties, without the length before them.
    properties: usize,
    remaining: usize,
}

impl Lengths {
    /// `None` if it cannot be one packet.
    fn of(version: Version, delivery: &Delivery<'_>, number: &str) -> Option<Self> {
        let topic = u16::try_from(delivery.topic.len()).ok()?;
        let mut remaining = 2 + delivery.topic.len() + delivery.payload.len();
        if delivery.qos != Qos::AtMostOnce {
            remaining += 2;
        }
        let mut properties = 0;
        if version == Version::V5 {
            let identifier = delivery
                .subscription_identifier
                .map_or(0, |number| 1 + variable_len(usize::try_from(number).unwrap_or(usize::MAX)));
            let expiry = if delivery.expiry.is_some() { 5 } else { 0 };
            let sequence = SEQUENCE.len() + number.len();
            properties = delivery.properties.len() + identifier + expiry + sequence;
            remaining += variable_len(properties) + properties;
        }
        (remaining <= LONGEST).then_some(Self { topic, properties, remaining })
    }

    fn total(&self) -> usize {
        1 + variable_len(self.remaining) + self.remaining
    }
}

/// How many bytes [`deliver`] will append; `None` if that is no packet, since topic or properties are too long.
pub fn delivered_len(version: Version, delivery: &Delivery<'_>) -> Option<usize> {
    let mut digits = itoa::Buffer::new();
    Lengths::of(version, delivery, digits.format(delivery.sequence)).map(|lengths| lengths.total())
}

/// Appends the PUBLISH that delivers a message; how many bytes that are. 0 if it is no packet: see
/// [`delivered_len`].
pub fn deliver(out: &mut Vec<u8>, version: Version, delivery: &Delivery<'_>) -> usize {
    let mut digits = itoa::Buffer::new();
    let number = if version == Version::V5 { digits.format(delivery.sequence) } else { "" };
    let Some(lengths) = Lengths::of(version, delivery, number) else { return 0 };
    out.reserve(lengths.total());
    let with_id = delivery.qos != Qos::AtMostOnce;
    let dup = if delivery.dup && with_id { 0x08 } else { 0 };
    out.push(0x30 | dup | delivery.qos.bits() << 1 | u8::from(delivery.retain));
    variable(out, lengths.remaining);
    out.extend_from_slice(&lengths.topic.to_be_bytes());
    out.extend_from_slice(delivery.topic.as_bytes());
    if with_id {
        out.extend_from_slice(&delivery.packet_id.to_be_bytes());
    }
    if version == Version::V5 {
        variable(out, lengths.properties);
        if let Some(seconds) = delivery.expiry {
            out.push(id::MESSAGE_EXPIRY);
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        if let Some(number) = delivery.subscription_identifier {
            out.push(id::SUBSCRIPTION_IDENTIFIER);
            variable(out, usize::try_from(number).unwrap_or_default());
        }
        out.extend_from_slice(delivery.properties);
        let mut property = SEQUENCE;
        property[10] = u8::try_from(number.len()).unwrap_or_default();
        out.extend_from_slice(&property);
        out.extend_from_slice(number.as_bytes());
    }
    out.extend_from_slice(delivery.payload);
    lengths.total()
}

/// A PUBLISH frame of MQTT 3.1.1 without DUP and RETAIN; at `QoS` 1 and 2 with packet identifier 1. `None` if topic or
/// payload are longer than a packet can hold.
pub fn publish(topic: &str, payload: &[u8], qos: Qos) -> Option<Bytes> {
    let mut out = Vec::new();
    let delivery = Delivery {
        topic,
        properties: &[],
        payload,
        sequence: 0,
        qos,
        packet_id: 1,
        dup: false,
        retain: false,
        subscription_identifier: None,
        expiry: None,
    };
    (deliver(&mut out, Version::V311, &delivery) > 0).then(|| out.into())
}
