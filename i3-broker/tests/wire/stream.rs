//! Packets out of a stream of bytes.

use bytes::BytesMut;
use i3_broker::wire::{self, Version, WireError};
use proptest::prelude::*;
use proptest::sample::select;

use crate::seen::Seen;
use crate::writer::{framed, later};

fn version() -> impl Strategy<Value = Version> {
    select(vec![Version::V311, Version::V5])
}

proptest! {
    #[test]
    fn a_stream_cut_anywhere_gives_the_same_packets(
        packets in version().prop_flat_map(|version| proptest::collection::vec(later(version), 1..6)),
        cuts in proptest::collection::vec(prop_oneof![1_usize..4, 1_usize..300, Just(10_000)], 1..20)
    ) {
        let version = packets[0].version;
        let mut stream: Vec<u8> = packets.iter().flat_map(|written| written.bytes.clone()).collect();
        let (mut buffer, mut cuts, mut seen) = (BytesMut::new(), cuts.into_iter().cycle(), Vec::new());
        while !stream.is_empty() {
            let next = cuts.next().unwrap().min(stream.len());
            buffer.extend(stream.drain(..next));
            while let Some(packet) = wire::decode(version, &mut buffer, 100_000).unwrap() {
                seen.push(Seen::from(packet));
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert!(seen.iter().eq(packets.iter().map(|written| &written.seen)), "{:?}", seen);
    }

    #[test]
    fn a_packet_is_taken_at_its_length_and_refused_below_it(written in version().prop_flat_map(later)) {
        let len = written.bytes.len();
        for limit in [len, len + 1] {
            let mut buffer = BytesMut::from(&written.bytes[..]);
            prop_assert!(matches!(wire::decode(written.version, &mut buffer, limit), Ok(Some(_))));
        }
        let mut buffer = BytesMut::from(&written.bytes[..]);
        prop_assert_eq!(wire::decode(written.version, &mut buffer, len - 1), Err(WireError::TooLong));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic_or_take_more_than_a_packet(
        version in version(), bytes in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        let before = bytes.len();
        let mut buffer = BytesMut::from(&bytes[..]);
        match wire::decode(version, &mut buffer, 150) {
            Ok(Some(_)) => prop_assert!(buffer.len() < before && before - buffer.len() <= 150),
            Ok(None) => prop_assert_eq!(&buffer[..], &bytes[..]),
            Err(_) => {}
        }
        let mut buffer = BytesMut::from(&bytes[..]);
        if matches!(wire::decode_connect(&mut buffer, 150), Ok(None)) {
            prop_assert_eq!(&buffer[..], &bytes[..]);
        }
    }

    #[test]
    fn likely_packets_of_any_bytes_do_not_make_a_decoder_panic(
        version in version(), kind in 1_u8..16, body in proptest::collection::vec(prop_oneof![0_u8..12, any::<u8>()], 0..60)
    ) {
        let bytes = framed(kind << 4 | if matches!(kind, 6 | 8 | 10) { 2 } else { 0 }, &body);
        let mut buffer = BytesMut::from(&bytes[..]);
        if let Ok(taken) = wire::decode(version, &mut buffer, 150) {
            prop_assert!(taken.is_some() && buffer.is_empty());
        }
        let connect = [b"\0\x04MQTT".to_vec(), body].concat();
        let _ = wire::decode_connect(&mut BytesMut::from(&framed(0x10, &connect)[..]), 150);
    }
}

#[test]
fn a_packet_above_the_limit_is_refused_from_its_header_alone() {
    for version in [Version::V311, Version::V5] {
        let header = BytesMut::from(&[0x30, 0x80, 0x80, 0x04][..]);
        assert_eq!(wire::decode(version, &mut header.clone(), 65_539), Err(WireError::TooLong));
        let mut buffer = header.clone();
        assert_eq!(wire::decode(version, &mut buffer, 65_540), Ok(None));
        // Nothing has been made ready for what is to come.
        assert_eq!(buffer, header);
        let mut largest = BytesMut::from(&[0x30, 0xff, 0xff, 0xff, 0x7f][..]);
        assert_eq!(wire::decode(version, &mut largest, 268_435_459), Err(WireError::TooLong));
        assert_eq!(wire::decode(version, &mut largest, 268_435_460), Ok(None));
    }
}

#[test]
fn a_publish_is_not_copied() {
    for (version, frame) in [
        (Version::V311, framed(0x30, b"\0\x01tpayload")),
        (Version::V5, framed(0x30, b"\0\x01t\x09\x23\0\x01\x03\0\x03a/bpayload")),
    ] {
        let mut buffer = BytesMut::from(&frame[..]);
        let range = buffer.as_ptr_range();
        let Ok(Some(wire::Packet::Publish(publish))) = wire::decode(version, &mut buffer, 100) else {
            panic!("a publish")
        };
        assert!(range.contains(&publish.payload().as_ptr()) && range.contains(&publish.topic().as_ptr()));
        if version == Version::V5 {
            assert_eq!(publish.properties(), b"\x03\0\x03a/b");
            assert!(range.contains(&publish.properties().as_ptr()));
        }
    }
}
