//! What a message costs, in `docs/decisions/0005-own-mqtt-codec.md`:
//! `cargo test --release -p i3-broker --test wire cost -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use i3_broker::wire::{self, Content, Delivery, Packet, Publish, SequenceProperty, Version};
use tokio_util::codec::{Decoder, Encoder};

use crate::writer::{framed, string};

const TOPIC: &[u8] = b"i3/hub-slug/product-12";
const COUNT: u32 = 1_000;

/// A PUBLISH with 100 bytes of payload at `QoS` 0.
fn frame(version: Version, properties: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    string(&mut body, TOPIC);
    if version == Version::V5 {
        body.push(u8::try_from(properties.len()).unwrap());
        body.extend(properties);
    }
    body.extend([7; 100]);
    framed(0x30, &body)
}

/// Nanoseconds for one message: the median of 101 runs over a stream of them.
fn cost(frame: &[u8], mut run: impl FnMut(BytesMut) -> u32) -> f64 {
    let stream = frame.repeat(usize::try_from(COUNT).unwrap());
    let mut times: Vec<_> = (0..101)
        .map(|_| {
            let buffer = BytesMut::from(&stream[..]);
            let begun = Instant::now();
            assert_eq!(run(black_box(buffer)), COUNT);
            begun.elapsed().as_secs_f64() * 1e9 / f64::from(COUNT)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[50]
}

/// Decodes all, and gives each to `then`.
fn ours(version: Version, frame: &[u8], mut then: impl FnMut(&Publish)) -> f64 {
    cost(frame, |mut buffer| {
        let mut count = 0;
        while let Ok(Some(Packet::Publish(publish))) = wire::decode(version, &mut buffer, 100_000) {
            then(black_box(&publish));
            count += 1;
        }
        count
    })
}

/// To a single subscriber, so that what is written once for all of them counts in full. With a buffer that is emptied
/// when it is about as full as an outbox gets.
fn ours_delivered(version: Version, frame: &[u8]) -> f64 {
    let (mut out, mut content) = (Vec::with_capacity(80_000), Vec::with_capacity(1_000));
    ours(version, frame, |publish| {
        if out.len() > 64 * 1_024 {
            out.clear();
        }
        content.clear();
        content.extend_from_slice(publish.properties());
        content.extend_from_slice(SequenceProperty::of(123_456).as_bytes());
        let payload_at = content.len();
        content.extend_from_slice(publish.payload());
        let delivery = Delivery {
            topic: "i3/hub-slug/product-12",
            alias: None,
            content: Content::new(&content, payload_at).unwrap(),
            qos: publish.qos,
            packet_id: 0,
            dup: false,
            retain: false,
            subscription_identifier: None,
            expiry: publish.expiry,
        };
        wire::deliver(&mut out, version, &delivery);
    })
}

fn rmqtt(frame: &[u8], deliver: bool) -> f64 {
    cost(frame, |mut buffer| {
        let (mut codec, mut out) = (rmqtt_codec::v5::Codec::new(0, 0), BytesMut::with_capacity(200_000));
        let mut count = 0;
        while let Ok(Some((packet, _))) = codec.decode(&mut buffer) {
            if deliver {
                codec.encode(packet, &mut out).unwrap();
            } else {
                black_box(packet);
            }
            count += 1;
        }
        count
    })
}

fn proto(frame: &[u8], deliver: bool) -> f64 {
    let len = frame.len();
    cost(frame, |buffer| {
        let buffer: Bytes = buffer.freeze();
        let (mut rest, mut out, mut count) = (&buffer[..], Vec::with_capacity(200_000), 0);
        while let Some((next, after)) = rest.split_at_checked(len) {
            let packet = mqtt_proto::v5::Packet::decode(next).unwrap().unwrap();
            if deliver {
                out.extend_from_slice(packet.encode().unwrap().as_ref());
            } else {
                black_box(packet);
            }
            rest = after;
            count += 1;
        }
        count
    })
}

#[test]
#[ignore = "says something in a release build only"]
fn the_cost_of_a_message_is_far_below_that_of_other_codecs() {
    let properties = b"\x02\0\0\0\x3c\x03\0\x0aapplicatio\x26\0\x04name\0\x05value";
    let old = frame(Version::V311, &[]);
    println!(
        "3.1.1: {:.0} ns, delivered {:.0} ns",
        ours(Version::V311, &old, |_| {}),
        ours_delivered(Version::V311, &old)
    );
    for (name, properties) in [("no properties", &[][..]), ("three properties", properties)] {
        let frame = frame(Version::V5, properties);
        let own = (ours(Version::V5, &frame, |_| {}), ours_delivered(Version::V5, &frame));
        let others = [
            ("rmqtt-codec", rmqtt(&frame, false), rmqtt(&frame, true)),
            ("mqtt-proto", proto(&frame, false), proto(&frame, true)),
        ];
        println!("5, {name}: {:.0} ns, delivered {:.0} ns", own.0, own.1);
        for (codec, decoded, delivered) in others {
            println!("5, {name}, {codec}: {decoded:.0} ns, delivered {delivered:.0} ns");
            assert!(own.0 < decoded && own.1 < delivered, "{codec} is faster");
        }
    }
}
