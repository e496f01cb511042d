//! What travels with a message through the upstream broker, and how gates know that it is theirs.
//!
//! The payload goes as it is, so that the broker's other consumers can read it. All that MQTT cannot carry goes in the
//! user property [`PROPERTY`]: base64url (RFC 4648, section 5, without padding) of
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | flags: `QoS` of the publish in the two lowest bits; 4 if it was published to be retained; 8 if it expires |
//! | 8 | origin: which connection of which gate published it, a random number |
//! | 8 | the message's number among those of its origin and topic, from 1 |
//! | 8 | when the gate sent it, in milliseconds since 1970 |
//! | 8 | the message's sequence number in its product, 0 if it has none |
//! | 8 | when the first gate took it, in milliseconds since 1970 |
//! | 4 | how long it is of use after that, in seconds; 0 if it does not expire |
//! | 16 | HMAC-SHA256 over the above, the topic's length (2 bytes) and text, the length (4 bytes) of the other |
//! | | properties and they themselves, and the payload; cut to 16 bytes |
//!
//! Numbers have the most significant byte first. A copy under another topic, or with another payload, is not valid.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::config::UpstreamKey;
use crate::wire::Qos;

/// The name of the user property.
pub(super) const PROPERTY: &str = "i3-envelope";

const VERSION: u8 = 1;
const BODY: usize = 46;
const TAG: usize = 16;

const QOS: u8 = 3;
const RETAIN: u8 = 4;
const EXPIRES: u8 = 8;

/// What a gate says about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) origin: u64,
    pub(super) number: u64,
    /// In milliseconds since 1970.
    pub(super) sent: u64,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) sequence: u64,
    /// In milliseconds since 1970.
    pub(super) published: u64,
    /// In seconds after [`Self::published`].
    pub(super) expiry: Option<u32>,
}

impl Envelope {
    fn body(&self) -> [u8; BODY] {
        let retain = if self.retain { RETAIN } else { 0 };
        let expires = if self.expiry.is_some() { EXPIRES } else { 0 };
        let numbers = [self.origin, self.number, self.sent, self.sequence, self.published];
        let bytes = [VERSION, self.qos.bits() | retain | expires]
            .into_iter()
            .chain(numbers.into_iter().flat_map(u64::to_be_bytes))
            .chain(self.expiry.unwrap_or_default().to_be_bytes());
        let mut body = [0; BODY];
        for (place, byte) in body.iter_mut().zip(bytes) {
            *place = byte;
        }
        body
    }

    fn of_body(body: &[u8]) -> Option<Self> {
        let (&[VERSION, flags], rest) = body.split_first_chunk::<2>()? else { return None };
        let (origin, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (sent, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (published, rest) = rest.split_first_chunk()?;
        let (expiry, []) = rest.split_first_chunk()? else { return None };
        let qos = match flags & QOS {
            0 => Qos::AtMostOnce,
            1 => Qos::AtLeastOnce,
            2 => Qos::ExactlyOnce,
            _ => return None,
        };
        Some(Self {
            origin: u64::from_be_bytes(*origin),
            number: u64::from_be_bytes(*number),
            sent: u64::from_be_bytes(*sent),
            qos,
            retain: flags & RETAIN != 0,
            sequence: u64::from_be_bytes(*sequence),
            published: u64::from_be_bytes(*published),
            expiry: (flags & EXPIRES != 0).then(|| u32::from_be_bytes(*expiry)),
        })
    }
}
/// Seals and opens envelopes.
#[derive(Clone)]
pub(super) struct Seal(Hmac<Sha256>);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(…)")
    }
}

impl Seal {
    pub(super) fn new(key: &UpstreamKey) -> Self {
        // The block size of SHA-256: a shorter key is filled up with zeros (RFC 2104, section 2).
        let mut block = [0; 64];
        for (place, byte) in block.iter_mut().zip(key.0) {
            *place = byte;
        }
        Self(Hmac::new((&block).into()))
    }

    fn mac(&self, body: &[u8], topic: &str, properties: &[u8], payload: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(body);
        mac.update(&u16::try_from(topic.len()).unwrap_or(u16::MAX).to_be_bytes());
        mac.update(topic.as_bytes());
        mac.update(&u32::try_from(properties.len()).unwrap_or(u32::MAX).to_be_bytes());
        mac.update(properties);
        mac.update(payload);
        mac
    }

    /// The property's text. `properties` are those that are passed on, in the form of MQTT 5.
    pub(super) fn seal(&self, envelope: &Envelope, topic: &str, properties: &[u8], payload: &[u8]) -> String {
        let body = envelope.body();
        let tag = self.mac(&body, topic, properties, payload).finalize().into_bytes();
        let mut bytes = [0; BODY + TAG];
        for (place, byte) in bytes.iter_mut().zip(body.into_iter().chain(tag)) {
            *place = byte;
        }
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// What the property says, if a gate with the same key said it of this message.
    pub(super) fn open(
        &self,
        text: &str,
        topic: &str,
        properties: &[u8],
        payload: &[u8],
    ) -> Option<Envelope> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (body, tag) = bytes.split_first_chunk::<BODY>()?;
        if tag.len() != TAG {
            return None;
        }
        self.mac(body, topic, properties, payload).verify_truncated_left(tag).ok()?;
        Envelope::of_body(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seal(byte: u8) -> Seal {
        Seal::new(&UpstreamKey::from_bytes([byte; 32]))
    }

    fn envelope() -> Envelope {
        Envelope {
            origin: u64::MAX,
            number: 7,
            sent: 1_700_000_000_000,
            qos: Qos::AtLeastOnce,
            retain: true,
            sequence: 9,
            published: 1_699_999_999_999,
            expiry: Some(60),
        }
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_opened_and_nothing_else_is(
            origin: u64, number: u64, sent: u64, qos in 0_u8..3, retain: bool,
            sequence: u64, published: u64, expiry: Option<u32>,
            payload in proptest::collection::vec(any::<u8>(), 0..200), bit in 0_usize..(BODY + TAG) * 8,
        ) {
            let qos = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce][usize::from(qos)];
            let envelope = Envelope { origin, number, sent, qos, retain, sequence, published, expiry };
            let text = seal(1).seal(&envelope, "i3/h/p", b"", &payload);
            prop_assert_eq!(seal(1).open(&text, "i3/h/p", b"", &payload), Some(envelope));
            prop_assert_eq!(seal(2).open(&text, "i3/h/p", b"", &payload), None);
            prop_assert_eq!(seal(1).open(&text, "i3/h/q", b"", &payload), None);
            let mut other = payload.clone();
            other.push(0);
            prop_assert_eq!(seal(1).open(&text, "i3/h/p", b"", &other), None);
            let mut bytes = BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(seal(1).open(&BASE64URL_NOPAD.encode(&bytes), "i3/h/p", b"", &payload), None);
        }

        #[test]
        fn any_text_is_taken_without_harm(text in ".{0,100}") {
            prop_assert_eq!(seal(1).open(&text, "i3/h/p", b"", b""), None);
        }
    }

    #[test]
    fn topic_properties_and_payload_cannot_flow_into_each_other() {
        let text = seal(1).seal(&envelope(), "i3/h/p", b"", b"qx");
        assert_eq!(seal(1).open(&text, "i3/h/pq", b"", b"x"), None);
        assert_eq!(seal(1).open(&text, "i3/h/p", b"q", b"x"), None);
    }

    #[test]
    fn a_cut_tag_is_refused() {
        let text = seal(1).seal(&envelope(), "i3/h/p", b"ab", b"x");
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
        for length in 0..bytes.len() {
            assert_eq!(seal(1).open(&BASE64URL_NOPAD.encode(&bytes[..length]), "i3/h/p", b"ab", b"x"), None);
        }
    }

    /// The format is shared by gates of different versions: it must not change unnoticed. Computed with Python:
    /// `hmac.new(b'\x01'*32, body + b'\0\6i3/h/p\0\0\0\2abx', 'sha256').digest()[:16]`.
    #[test]
    fn the_format_is_as_documented() {
        let text = seal(1).seal(&envelope(), "i3/h/p", b"ab", b"x");
        assert_eq!(
            text,
            "AQ3__________wAAAAAAAAAHAAABi8_laAAAAAAAAAAACQAAAYvP5Wf_AAAAPIWfiLZXidB3M2wh_1Bhz7I"
        );
    }
}
