//! One published message, as the log carries it.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::{Content, Qos, SequenceProperty};

/// The form of the record; another number is another form.
const FORM: u8 = 2;

/// The bytes before the properties: form, flags, sequence number, time, expiry, length of the properties. The last of
/// these is the sequence number as clients of MQTT 5 get it, so that what follows here is what follows in each delivery.
const HEADER: usize = 1 + 1 + 8 + 8 + 4 + 4;

const QOS: u8 = 0x03;
const RETAIN: u8 = 0x04;
const EXPIRES: u8 = 0x08;
const KNOWN: u8 = QOS | RETAIN | EXPIRES;

/// A message that a device published: payload, properties, and what the gate adds to them.
///
/// It is one record in one piece of memory, of which [`Message::frame`] is all; a topic log carries that and gives it
/// back to [`Message::from_frame`]. The topic is not in it: whoever carries a message knows where it belongs.
/// Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Message {
    frame: Bytes,
    payload_at: u32,
    flags: u8,
}

/// What a message is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageParts<'a> {
    /// The quality it was published with.
    pub qos: Qos,
    /// Whether it was published to be retained.
    pub retain: bool,
    /// Its number among the messages of its product, counted from 1.
    pub sequence: u64,
    /// When the gate took it, in milliseconds since 1970.
    pub published: u64,
    /// How long it is of use after that, in seconds; `None` is for ever.
    pub expiry: Option<u32>,
    /// What is passed on beside the payload: properties in the form of MQTT 5, one after the other, without a length
    /// before them.
    pub properties: &'a [u8],
    /// The application's message.
    pub payload: &'a [u8],
}

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no message")]
pub struct InvalidMessage;

impl Message {
    /// A message of these parts, in memory of its own.
    pub fn new(parts: &MessageParts<'_>) -> Result<Self, InvalidMessage> {
        Batch::with_capacity(MessageParts::len(parts)).add(parts)
    }

    /// A message from the bytes that [`Self::frame`] gave.
    pub fn from_frame(frame: Bytes) -> Result<Self, InvalidMessage> {
        let [FORM, flags, ..] = *frame else { return Err(InvalidMessage) };
        let properties = frame.get(HEADER - 4..HEADER).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        let payload_at = properties.and_then(|len| index(u32::from_be_bytes(len)).checked_add(HEADER));
        let payload_at = payload_at.filter(|at| *at <= frame.len()).ok_or(InvalidMessage)?;
        if flags & !KNOWN != 0 || flags & QOS == QOS {
            return Err(InvalidMessage);
        }
        Ok(Self { payload_at: u32::try_from(payload_at).map_err(|_| InvalidMessage)?, flags, frame })
    }

    /// The quality it was published with; it is never delivered at a higher one.
    pub fn qos(&self) -> Qos {
        match self.flags & QOS {
            0 => Qos::AtMostOnce,
            1 => Qos::AtLeastOnce,
            _ => Qos::ExactlyOnce,
        }
    }

    /// Whether it was published to be retained.
    pub fn retain(&self) -> bool {
        self.flags & RETAIN != 0
    }

    /// Its number among the messages of its product, counted from 1.
    pub fn sequence(&self) -> u64 {
        self.number(2)
    }

    /// When the gate took it, in milliseconds since 1970.
    pub fn published(&self) -> u64 {
        self.number(10)
    }

    /// How long it is of use after that, in seconds; `None` is for ever.
    pub fn expiry(&self) -> Option<u32> {
        (self.flags & EXPIRES != 0).then(|| u32::try_from(self.number(14) & 0xffff_ffff).unwrap_or(u32::MAX))
    }

    /// What is left of [`Self::expiry`] at this time, in milliseconds since 1970. `Err` if the message is of no
    /// use any more (MQTT 5, 3.3.2-5 and -6).
    pub fn expiry_at(&self, now: u64) -> Result<Option<u32>, Expired> {
        let Some(expiry) = self.expiry() else { return Ok(None) };
        let waited = now.saturating_sub(self.published()) / 1_000;
        match u32::try_from(waited) {
            Ok(waited) if waited < expiry => Ok(Some(expiry - waited)),
            _ => Err(Expired),
        }
    }

    /// What is passed on beside the payload, as in [`MessageParts::properties`].
    pub fn properties(&self) -> &[u8] {
        let end = index(self.payload_at).saturating_sub(SequenceProperty::len_of(self.sequence()));
        self.frame.get(HEADER..end).unwrap_or_default()
    }

    /// What each delivery of it has.
    pub(crate) fn content(&self) -> Content<'_> {
        let bytes = self.frame.get(HEADER..).unwrap_or_default();
        Content::new(bytes, index(self.payload_at).saturating_sub(HEADER))
            .unwrap_or(Content::payload_only(&[]))
    }

    /// The application's message.
    pub fn payload(&self) -> &[u8] {
        self.frame.get(index(self.payload_at)..).unwrap_or_default()
    }

    /// The bytes to carry.
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// The same in memory of its own, which keeps no other bytes alive.
    pub(crate) fn owned(&self) -> Self {
        Self { frame: Bytes::copy_from_slice(&self.frame), ..*self }
    }

    fn number(&self, at: usize) -> u64 {
        let bytes = self.frame.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_be_bytes)
    }
}

#[cfg(test)]
impl Message {
    /// A message of which only this matters.
    pub(crate) fn plain(payload: &[u8], qos: Qos) -> Self {
        let (retain, sequence, published, expiry, properties) = (false, 1, 0, None, [].as_slice());
        Self::new(&MessageParts { qos, retain, sequence, published, expiry, properties, payload }).unwrap()
    }
}

/// The time within which a message was of use has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message has expired")]
pub struct Expired;

impl MessageParts<'_> {
    /// How long the record is at most, whatever its number.
    pub(crate) fn len(&self) -> usize {
        let fixed = HEADER + SequenceProperty::LONGEST;
        fixed.saturating_add(self.properties.len()).saturating_add(self.payload.len())
    }
}

/// Makes messages that share one piece of memory.
#[derive(Debug)]
pub(crate) struct Batch(BytesMut);

impl Batch {
    /// With room for messages of so many bytes in all.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(BytesMut::with_capacity(bytes))
    }

    pub(crate) fn add(&mut self, parts: &MessageParts<'_>) -> Result<Message, InvalidMessage> {
        let sequence = SequenceProperty::of(parts.sequence);
        let length = parts.properties.len() + sequence.as_bytes().len();
        let properties = u32::try_from(length).map_err(|_| InvalidMessage)?;
        let payload_at = u32::try_from(HEADER + length).map_err(|_| InvalidMessage)?;
        let mut flags = parts.qos.bits();
        if parts.retain {
            flags |= RETAIN;
        }
        if parts.expiry.is_some() {
            flags |= EXPIRES;
        }
        let mut header = [0; HEADER];
        {
            let mut header = header.as_mut_slice();
            header.put_u8(FORM);
            header.put_u8(flags);
            header.put_u64(parts.sequence);
            header.put_u64(parts.published);
            header.put_u32(parts.expiry.unwrap_or_default());
            header.put_u32(properties);
        }
        self.0.reserve(parts.len());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(parts.properties);
        self.0.extend_from_slice(sequence.as_bytes());
        self.0.extend_from_slice(parts.payload);
        Ok(Message { frame: self.0.split().freeze(), payload_at, flags })
    }
}

/// An index; the fallback is past every end.
fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts<'a>(properties: &'a [u8], payload: &'a [u8]) -> MessageParts<'a> {
        MessageParts {
            qos: Qos::ExactlyOnce,
            retain: true,
            sequence: 7,
            published: 1_000_000,
            expiry: Some(30),
            properties,
            payload,
        }
    }

    #[test]
    fn messages_of_a_batch_do_not_mix() {
        let (first, second) = (parts(b"p", b"one"), MessageParts { sequence: 8, ..parts(b"", b"two") });
        let mut batch = Batch::with_capacity(first.len() + second.len());
        let (first, second) = (batch.add(&first).unwrap(), batch.add(&second).unwrap());
        assert_eq!(
            (first.properties(), first.payload(), first.sequence()),
            (b"p".as_slice(), b"one".as_slice(), 7)
        );
        assert_eq!(
            (second.properties(), second.payload(), second.sequence()),
            (b"".as_slice(), b"two".as_slice(), 8)
        );
    }

    #[test]
    fn a_message_is_of_use_for_as_long_as_it_says() {
        let message = Message::new(&parts(b"", b"x")).unwrap();
        assert_eq!(message.expiry_at(1_000_000), Ok(Some(30)));
        assert_eq!(message.expiry_at(1_029_999), Ok(Some(1)));
        assert_eq!(message.expiry_at(1_030_000), Err(Expired));
        assert_eq!(message.expiry_at(0), Ok(Some(30)), "a clock that went back gives no time away");
        let lasting = Message::new(&MessageParts { expiry: None, ..parts(b"", b"x") }).unwrap();
        assert_eq!(lasting.expiry_at(u64::MAX), Ok(None));
    }

    proptest! {
        #[test]
        fn what_is_made_is_read_again(
            qos in 0_u8..3, retain: bool, sequence: u64, published: u64, expiry: Option<u32>,
            properties in proptest::collection::vec(any::<u8>(), 0..50),
            payload in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let qos = Qos::from_bits(qos).unwrap();
            let parts = MessageParts {
                qos, retain, sequence, published, expiry, properties: &properties, payload: &payload,
            };
            let made = Message::new(&parts).unwrap();
            let read = Message::from_frame(made.frame().clone()).unwrap();
            for message in [&made, &read, &read.owned()] {
                let seen = MessageParts {
                    qos: message.qos(),
                    retain: message.retain(),
                    sequence: message.sequence(),
                    published: message.published(),
                    expiry: message.expiry(),
                    properties: message.properties(),
                    payload: message.payload(),
                };
                prop_assert_eq!(seen, parts);
            }
        }

        #[test]
        fn no_bytes_harm(bytes in proptest::collection::vec(prop_oneof![Just(1_u8), any::<u8>()], 0..60)) {
            if let Ok(message) = Message::from_frame(bytes.clone().into()) {
                prop_assert!(bytes.ends_with(message.payload()));
                let _ = (message.qos(), message.expiry_at(5), message.sequence(), message.properties());
                let _ = message.content();
            }
        }
    }
}
