//! PUBLISH as a server sends it (3.3): one pass, no allocation beyond the buffer's.

use bytes::Bytes;

use super::encode::variable;
use super::property::id;
use super::reader::variable_len;
use super::{Qos, Version};

/// The longest that can follow a fixed header (3.1.1, 2.2.3; 5, 2.1.4).
const LONGEST: usize = 268_435_455;

/// A message's number in its product's sequence, as the user property `i3-seq` that tells it to clients of MQTT 5.
#[derive(Debug, Clone, Copy)]
pub struct SequenceProperty {
    bytes: [u8; Self::LONGEST],
    len: usize,
}

impl SequenceProperty {
    /// Up to the number's text: its length is the last byte.
    const HEAD: [u8; 11] = [id::USER_PROPERTY, 0, 6, b'i', b'3', b'-', b's', b'e', b'q', 0, 0];

    /// The most bytes that there can be.
    pub const LONGEST: usize = Self::HEAD.len() + 20;

    /// Of this number.
    pub fn of(number: u64) -> Self {
        let mut digits = itoa::Buffer::new();
        let text = digits.format(number).as_bytes();
        let mut bytes = [0; Self::LONGEST];
        let (head, rest) = bytes.split_at_mut(Self::HEAD.len());
        head.copy_from_slice(&Self::HEAD);
        if let (Some(length), Some(place)) = (head.last_mut(), rest.get_mut(..text.len())) {
            *length = u8::try_from(text.len()).unwrap_or_default();
            place.copy_from_slice(text);
        }
        Self { bytes, len: Self::HEAD.len() + text.len() }
    }

    /// How long it is for this number.
    pub(crate) fn len_of(number: u64) -> usize {
        let digits = number.checked_ilog10().unwrap_or_default() + 1;
        Self::HEAD.len() + usize::try_from(digits).unwrap_or_default()
    }

    /// The property.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// What all subscribers of a message get alike, as it stands in a PUBLISH of MQTT 5 from its properties to its end: it
/// is written once for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content<'a> {
    bytes: &'a [u8],
    payload_at: usize,
}

impl<'a> Content<'a> {
    /// Properties, and from `payload_at` on the payload. The properties are what the publisher passes on, as
    /// [`Publish::properties`](super::Publish::properties) gave it, and a [`SequenceProperty`]. `None` if the payload
    /// would begin past the end.
    pub fn new(bytes: &'a [u8], payload_at: usize) -> Option<Self> {
        (payload_at <= bytes.len()).then_some(Self { bytes, payload_at })
    }

    /// Without any property.
    pub const fn payload_only(payload: &'a [u8]) -> Self {
        Self { bytes: payload, payload_at: 0 }
    }

    /// What follows the length of the properties, or in 3.1.1 their place.
    fn of(self, version: Version) -> &'a [u8] {
        let from = if version == Version::V5 { 0 } else { self.payload_at };
        self.bytes.get(from..).unwrap_or_default()
    }
}

/// A message for one subscriber. What is said of properties is for MQTT 5; 3.1.1 has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The topic; empty only with an alias that the client knows.
    pub topic: &'a str,
    /// What stands for the topic from here on, from 1 to the most that the client takes (5, 3.3.2.3.4).
    pub alias: Option<u16>,
    /// What every subscriber gets.
    pub content: Content<'a>,
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
    fn of(version: Version, delivery: &Delivery<'_>) -> Option<Self> {
        let topic = u16::try_from(delivery.topic.len()).ok()?;
        let mut remaining = 2 + delivery.topic.len() + delivery.content.of(version).len();
        if delivery.qos != Qos::AtMostOnce {
            remaining += 2;
        }
        let mut properties = 0;
        if version == Version::V5 {
            let identifier = delivery
                .subscription_identifier
                .map_or(0, |number| 1 + variable_len(usize::try_from(number).unwrap_or(usize::MAX)));
            let expiry = if delivery.expiry.is_some() { 5 } else { 0 };
            let own = identifier + expiry + if delivery.alias.is_some() { 3 } else { 0 };
            properties = delivery.content.payload_at + own;
            remaining += variable_len(properties) + own;
        }
        (remaining <= LONGEST).then_some(Self { topic, properties, remaining })
    }

    fn total(&self) -> usize {
        1 + variable_len(self.remaining) + self.remaining
    }
}

/// How many bytes [`deliver`] will append; `None` if that is no packet, since topic or properties are too long.
pub fn delivered_len(version: Version, delivery: &Delivery<'_>) -> Option<usize> {
    Lengths::of(version, delivery).map(|lengths| lengths.total())
}

/// Appends the PUBLISH that delivers a message; how many bytes that are. 0 if it is no packet: see
/// [`delivered_len`].
pub fn deliver(out: &mut Vec<u8>, version: Version, delivery: &Delivery<'_>) -> usize {
    let Some(lengths) = Lengths::of(version, delivery) else { return 0 };
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
        if let Some(alias) = delivery.alias {
            out.push(id::TOPIC_ALIAS);
            out.extend_from_slice(&alias.to_be_bytes());
        }
        if let Some(seconds) = delivery.expiry {
            out.push(id::MESSAGE_EXPIRY);
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        if let Some(number) = delivery.subscription_identifier {
            out.push(id::SUBSCRIPTION_IDENTIFIER);
            variable(out, usize::try_from(number).unwrap_or_default());
        }
    }
    out.extend_from_slice(delivery.content.of(version));
    lengths.total()
}

/// A PUBLISH frame of MQTT 3.1.1 without DUP and RETAIN; at `QoS` 1 and 2 with packet identifier 1. `None` if topic or
/// payload are longer than a packet can hold.
pub fn publish(topic: &str, payload: &[u8], qos: Qos) -> Option<Bytes> {
    let mut out = Vec::new();
    let delivery = Delivery {
        topic,
        alias: None,
        content: Content::payload_only(payload),
        qos,
        packet_id: 1,
        dup: false,
        retain: false,
        subscription_identifier: None,
        expiry: None,
    };
    (deliver(&mut out, Version::V311, &delivery) > 0).then(|| out.into())
}
