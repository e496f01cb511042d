//! One published message, as the log carries it.

use bytes::Bytes;

use crate::wire::{self, Delivery, Publish, Qos, Version};

/// A message that a device published: its payload and the `QoS` it was published with.
///
/// It is carried as the PUBLISH frame that came in, so that accepting it copies nothing and delivering it
/// is one copy into the socket's buffer. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Message(Publish);

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no message")]
pub struct InvalidMessage;

impl Message {
    /// A message with this topic, payload and `QoS` (0 or 1).
    pub fn new(topic: &str, payload: &[u8], qos: Qos) -> Result<Self, InvalidMessage> {
        Self::from_frame(wire::publish(topic, payload, qos).ok_or(InvalidMessage)?)
    }

    /// A message from the bytes that [`Self::frame`] gave.
    pub fn from_frame(frame: Bytes) -> Result<Self, InvalidMessage> {
        let publish = Publish::from_frame(frame).map_err(|_| InvalidMessage)?;
        if publish.qos == Qos::ExactlyOnce { Err(InvalidMessage) } else { Ok(Self(publish)) }
    }

    /// The message in an accepted PUBLISH of `QoS` 0 or 1.
    pub(crate) fn accepted(publish: Publish) -> Self {
        Self(publish)
    }

    /// The `QoS` it was published with; it is never delivered at a higher one.
    pub fn qos(&self) -> Qos {
        self.0.qos
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        self.0.payload()
    }

    /// The bytes to carry: a PUBLISH frame.
    pub fn frame(&self) -> &Bytes {
        &self.0.frame
    }

    /// The same in memory of its own, which keeps no other bytes alive.
    pub(crate) fn owned(&self) -> Self {
        let mut publish = self.0.clone();
        publish.frame = Bytes::copy_from_slice(&publish.frame);
        Self(publish)
    }

    /// Appends the frame that delivers it: at `QoS` 1 with a packet identifier, at `QoS` 0 without.
    pub(crate) fn deliver(&self, out: &mut Vec<u8>, packet_id: Option<u16>, retain: bool) {
        let delivery = Delivery {
            topic: std::str::from_utf8(self.0.topic()).unwrap_or_default(),
            properties: &[],
            payload: self.payload(),
            sequence: 0,
            qos: if packet_id.is_some() { self.qos() } else { Qos::AtMostOnce },
            packet_id: packet_id.unwrap_or_default(),
            dup: false,
            retain,
            subscription_identifier: None,
            expiry: None,
        };
        wire::deliver(out, Version::V311, &delivery);
    }
}
