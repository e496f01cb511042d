//! One published message, as the log carries it.

use bytes::Bytes;

use crate::wire::{self, Publish, Qos};

/// A message that a device published: its payload and the `QoS` it was published with.
///
/// It is carried as the PUBLISH frame that came in, so that accepting it copies nothing and delivering it
/// is one copy into the socket's buffer. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Message {
    frame: Bytes,
    payload_at: usize,
    topic_at: usize,
    qos: Qos,
}

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
        let (topic_at, payload_at, qos, _) = wire::publish_parts(&frame).map_err(|_| InvalidMessage)?;
        if qos == Qos::ExactlyOnce {
            return Err(InvalidMessage);
        }
        Ok(Self { frame, payload_at, topic_at, qos })
    }

    /// The message in an accepted PUBLISH of `QoS` 0 or 1.
    pub(crate) fn accepted(publish: Publish) -> Self {
        Self {
            payload_at: publish.payload_at,
            topic_at: publish.topic_at,
            qos: publish.qos,
            frame: publish.frame,
        }
    }

    /// The `QoS` it was published with; it is never delivered at a higher one.
    pub fn qos(&self) -> Qos {
        self.qos
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        self.frame.get(self.payload_at..).unwrap_or_default()
    }

    /// The bytes to carry: a PUBLISH frame.
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// The same in memory of its own, which keeps no other bytes alive.
    pub(crate) fn owned(&self) -> Self {
        Self { frame: Bytes::copy_from_slice(&self.frame), ..*self }
    }

    pub(crate) fn payload_at(&self) -> usize {
        self.payload_at
    }

    /// The topic with its length, and the payload.
    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        let id = if self.qos == Qos::AtMostOnce { 0 } else { 2 };
        let topic = self.frame.get(self.topic_at - 2..self.payload_at - id).unwrap_or_default();
        (topic, self.payload())
    }
}
