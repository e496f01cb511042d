//! From a gate's message to a PUBLISH of the upstream connection, and back.

use bytes::Bytes;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Publish, PublishProperties};

use super::envelope::{Envelope, PROPERTY, Seal};
use super::queue::Item;
use crate::message::Message;
use crate::wire::Qos;

/// Who sends, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) origin: u64,
    /// In milliseconds since 1970.
    pub(super) now: u64,
}

/// The PUBLISH that carries a message. It goes at `QoS` 1 whatever the message's own `QoS`, so that what the broker
/// does not acknowledge is sent again.
pub(super) fn publish(seal: &Seal, stamp: Stamp, item: &Item) -> Publish {
    let (topic, message) = (item.topic.as_str(), &item.message);
    let envelope = Envelope {
        origin: stamp.origin,
        number: item.number,
        sent: stamp.now,
        qos: message.qos(),
        retain: retained(message),
        sequence: 0,
        published: 0,
        expiry: None,
    };
    let payload = message.frame().slice_ref(message.payload());
    let sealed = seal.seal(&envelope, topic, &[], &payload);
    let properties =
        PublishProperties { user_properties: vec![(PROPERTY.to_owned(), sealed)], ..Default::default() };
    let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload, Some(properties));
    publish.retain = envelope.retain;
    publish
}

fn retained(message: &Message) -> bool {
    message.frame().first().is_some_and(|first| first & 1 != 0)
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

/// Reads a PUBLISH.
pub(super) fn arrived(seal: &Seal, topic: &str, publish: &Publish) -> Arrived {
    let properties =
        publish.properties.as_ref().map(|all| all.user_properties.as_slice()).unwrap_or_default();
    let mut claims = properties.iter().filter(|(name, _)| name == PROPERTY).map(|(_, text)| text);
    match (claims.next(), claims.next()) {
        (None, _) => {
            let qos = match publish.qos {
                QoS::AtMostOnce => Qos::AtMostOnce,
                QoS::AtLeastOnce | QoS::ExactlyOnce => Qos::AtLeastOnce,
            };
            message(topic, &publish.payload, qos).map_or(Arrived::Forged, Arrived::Foreign)
        }
        (Some(claim), None) => {
            let Some(envelope) = seal.open(claim, topic, &[], &publish.payload) else {
                return Arrived::Forged;
            };
            message(topic, &publish.payload, envelope.qos)
                .map_or(Arrived::Forged, |message| Arrived::Ours(envelope, message))
        }
        (Some(_), Some(_)) => Arrived::Forged,
    }
}

fn message(topic: &str, payload: &Bytes, qos: Qos) -> Option<Message> {
    Message::new(topic, payload, qos).ok()
}
