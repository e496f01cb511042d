//! What must hold of packets, whatever the bytes. A broken promise is a panic, which the fuzzer reports.

use bytes::BytesMut;
use i3_broker::wire::{self, Content, Delivery, Packet, Publish, SequenceProperty, Version, WireError};

/// What the gate takes at most.
const LIMIT: usize = 2_048;

/// A packet with this first byte and body.
pub fn framed(first: u8, body: &[u8]) -> BytesMut {
    let (mut out, mut len) = (BytesMut::from(&[first][..]), body.len());
    loop {
        let more = if len > 0x7f { 0x80 } else { 0 };
        out.extend_from_slice(&[(len & 0x7f) as u8 | more]);
        len >>= 7;
        if more == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

/// Decodes a stream that comes in pieces of at most `piece` bytes: the packets, and the error that ends it.
fn read(version: Version, mut bytes: &[u8], piece: usize) -> (Vec<Packet>, Option<WireError>) {
    let (mut buffer, mut packets) = (BytesMut::new(), Vec::new());
    while !bytes.is_empty() {
        let (next, rest) = bytes.split_at(piece.min(bytes.len()));
        buffer.extend_from_slice(next);
        bytes = rest;
        loop {
            let before = buffer.len();
            match wire::decode(version, &mut buffer, LIMIT) {
                Ok(Some(packet)) => {
                    assert!(before > buffer.len() && before - buffer.len() <= LIMIT);
                    packets.push(packet);
                }
                Ok(None) => {
                    assert_eq!(buffer.len(), before);
                    break;
                }
                Err(error) => {
                    assert!(error.reason().is_error());
                    return (packets, Some(error));
                }
            }
        }
    }
    (packets, None)
}

/// Bytes of a connection after CONNECT. The first says how the rest is cut.
pub fn stream(version: Version, data: &[u8]) {
    let Some((piece, bytes)) = data.split_first() else { return };
    let whole = read(version, bytes, usize::MAX);
    assert_eq!(whole, read(version, bytes, 1 + usize::from(*piece)), "the cuts matter");
    for packet in &whole.0 {
        match packet {
            Packet::Publish(publish) => deliverable(version, publish),
            Packet::Subscribe(subscribe) => {
                assert!(subscribe.packet_id != 0 && !subscribe.filters.is_empty());
                assert!(subscribe.identifier.is_none_or(|number| (1..=268_435_455).contains(&number)));
            }
            Packet::Unsubscribe(unsubscribe) => assert!(!unsubscribe.filters.is_empty()),
            _ => {}
        }
    }
}

/// What was taken can be delivered, and then says the same.
fn deliverable(version: Version, publish: &Publish) {
    let topic = std::str::from_utf8(publish.topic()).expect("a topic is UTF-8");
    assert!(!topic.contains(['\0', '+', '#']));
    assert!(!topic.is_empty() || publish.alias.is_some());
    assert_eq!(publish.packet_id.is_some(), publish.qos != wire::Qos::AtMostOnce);
    if version == Version::V311 {
        assert!(publish.properties().is_empty() && publish.alias.is_none() && publish.expiry.is_none());
    }
    passed_on(publish.properties(), publish.payload());
}

/// Properties that are passed on are properties of a PUBLISH, and none of the gate's own is among them.
pub fn passed_on(properties: &[u8], payload: &[u8]) {
    let sequence = SequenceProperty::of(7);
    let content = [properties, sequence.as_bytes(), payload].concat();
    let payload_at = properties.len() + sequence.as_bytes().len();
    for (version, topic, alias) in [
        (Version::V311, "t", None),
        (Version::V5, "t", None),
        (Version::V5, "t", Some(1)),
        (Version::V5, "", Some(9)),
    ] {
        let delivery = Delivery {
            topic,
            alias,
            content: Content::new(&content, payload_at).expect("the payload is within"),
            qos: wire::Qos::AtLeastOnce,
            packet_id: 9,
            dup: true,
            retain: true,
            subscription_identifier: None,
            expiry: Some(5),
        };
        let mut out = Vec::new();
        let len = wire::deliver(&mut out, version, &delivery);
        assert_eq!((Some(len), len), (wire::delivered_len(version, &delivery), out.len()));
        let Ok(Some(Packet::Publish(again))) = wire::decode(version, &mut BytesMut::from(&out[..]), len)
        else {
            panic!("a delivery is no PUBLISH")
        };
        assert_eq!((again.topic(), again.alias), (topic.as_bytes(), alias));
        assert_eq!((again.payload(), again.packet_id), (payload, Some(9)));
        // The gate's `i3-seq` goes, as any that begins with "i3-": what is left is what was passed on.
        assert_eq!(again.properties(), if version == Version::V5 { properties } else { &[] });
    }
}
