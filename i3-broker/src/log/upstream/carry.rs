//! From a gate's message to a PUBLISH of the upstream connection, and back.

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Publish, PublishProperties};

use super::envelope::{Envelope, PROPERTY, Seal};
use super::properties;
use super::queue::Item;
use crate::message::{Message, MessageParts};
use crate::wire::Qos;

/// Who sends, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) origin: u64,
    /// In milliseconds since 1970.
    pub(super) now: u64,
}

/// The PUBLISH that carries a message. It goes at `QoS` 1 whatever the message's own `QoS`, so that what the broker
/// does not acknowledge is sent again. `None` if the message's properties are none.
pub(super) fn publish(seal: &Seal, stamp: Stamp, item: &Item) -> Option<Publish> {
    let (topic, message) = (item.topic.as_str(), &item.message);
    let envelope = Envelope {
        origin: stamp.origin,
        number: item.number,
        sent: stamp.now,
        qos: message.qos(),
        retain: message.retain(),
        sequence: message.sequence(),
        published: message.published(),
        expiry: message.expiry(),
    };
    let mut properties = properties::read(message.properties())?;
    let payload = message.frame().slice_ref(message.payload());
    let sealed = seal.seal(&envelope, topic, &properties::write(&properties)?, &payload);
    properties.user_properties.push((PROPERTY.to_owned(), sealed));
    // What has expired goes on for a moment: the gates that read it count it as expired, not as lost.
    properties.message_expiry_interval = message.expiry_at(stamp.now).unwrap_or(Some(1));
    let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload, Some(properties));
    publish.retain = envelope.retain;
    Some(publish)
}

/// What came from the upstream broker.
#[derive(Debug)]
pub(super) enum Arrived {
    /// A gate's message.
    Ours(Envelope, Message),
    /// A message without an envelope.
    Foreign(Message),
    /// A message that claims to be a gate's and is not, or is no message.
    Forged,
}

/// Reads a PUBLISH that came now (in milliseconds since 1970).
pub(super) fn arrived(seal: &Seal, topic: &str, publish: &Publish, now: u64) -> Arrived {
    let none = PublishProperties::default();
    let all = publish.properties.as_ref().unwrap_or(&none);
    let Some(properties) = properties::write(all) else { return Arrived::Forged };
    let mut claims = all.user_properties.iter().filter(|(name, _)| name == PROPERTY).map(|(_, text)| text);
    match (claims.next(), claims.next()) {
        (None, _) => {
            let qos = match publish.qos {
                QoS::AtMostOnce => Qos::AtMostOnce,
                QoS::AtLeastOnce | QoS::ExactlyOnce => Qos::AtLeastOnce,
            };
            let parts = MessageParts {
                qos,
                retain: publish.retain,
                sequence: 0,
                published: now,
                expiry: all.message_expiry_interval,
                properties: &properties,
                payload: &publish.payload,
            };
            Message::new(&parts).map_or(Arrived::Forged, Arrived::Foreign)
        }
        (Some(claim), None) => {
            let Some(envelope) = seal.open(claim, topic, &properties, &publish.payload) else {
                return Arrived::Forged;
            };
            let parts = MessageParts {
                qos: envelope.qos,
                retain: envelope.retain,
                sequence: envelope.sequence,
                published: envelope.published,
                expiry: envelope.expiry,
                properties: &properties,
                payload: &publish.payload,
            };
            Message::new(&parts).map_or(Arrived::Forged, |message| Arrived::Ours(envelope, message))
        }
        (Some(_), Some(_)) => Arrived::Forged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::UpstreamKey;

    /// MQTT 5 form: a content type, and a user property.
    const PROPERTIES: &[u8] = b"\x03\0\x04json\x26\0\x01a\0\x01b";

    #[test]
    fn a_message_comes_back_as_it_went_with_all_that_belongs_to_it() {
        let seal = Seal::new(&UpstreamKey::from_bytes([1; 32]));
        let parts = MessageParts {
            qos: Qos::ExactlyOnce,
            retain: true,
            sequence: 42,
            published: 1_000_000,
            expiry: Some(60),
            properties: PROPERTIES,
            payload: b"17.5",
        };
        let mut queue = super::super::queue::Queue::default();
        queue.take(&"i3/h/p".parse().unwrap(), &[Message::new(&parts).unwrap()]);
        let item = queue.hand_over().unwrap();
        let stamp = Stamp { origin: 5, now: 1_010_000 };
        let publish = publish(&seal, stamp, &item).unwrap();
        assert_eq!((publish.qos, publish.retain), (QoS::AtLeastOnce, true));
        assert_eq!(publish.payload[..], *b"17.5", "others read it as it is");
        let properties = publish.properties.as_ref().unwrap();
        assert_eq!(properties.content_type.as_deref(), Some("json"));
        assert_eq!(properties.user_properties[0], ("a".to_owned(), "b".to_owned()));
        assert_eq!(properties.message_expiry_interval, Some(50), "what is left");

        let Arrived::Ours(envelope, message) = arrived(&seal, "i3/h/p", &publish, 1_010_001) else {
            panic!()
        };
        assert_eq!((envelope.origin, envelope.number, envelope.sent), (5, 1, 1_010_000));
        assert_eq!((message.qos(), message.retain(), message.sequence()), (Qos::ExactlyOnce, true, 42));
        assert_eq!((message.published(), message.expiry()), (1_000_000, Some(60)));
        assert_eq!((message.properties(), message.payload()), (PROPERTIES, b"17.5".as_slice()));

        let mut changed = publish.clone();
        changed.properties.as_mut().unwrap().content_type = Some("text".to_owned());
        assert!(matches!(arrived(&seal, "i3/h/p", &changed, 1_010_001), Arrived::Forged));
    }
}
