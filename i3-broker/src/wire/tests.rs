use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rumqttd::protocol::v4::V4;
use rumqttd::protocol::{self as theirs, Protocol};

use super::*;

const LIMIT: usize = 100_000;

fn read(bytes: &[u8]) -> Result<Option<Packet>, WireError> {
    decode(Version::V311, &mut BytesMut::from(bytes), LIMIT)
}

/// What rumqttd's codec makes of the same bytes. It panics on none of those that are tried here.
fn read_theirs(bytes: &[u8]) -> Option<theirs::Packet> {
    V4.read_mut(&mut BytesMut::from(bytes), LIMIT).ok()
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9/ äß€]{0,20}"
}

fn topic() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9/ äß€]{1,20}"
}

fn qos() -> impl Strategy<Value = Qos> {
    prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce)]
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text);
}

fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 16_384);
    let mut out = vec![first];
    if body.len() > 127 {
        out.extend([u8::try_from(body.len() % 128).unwrap() | 128, u8::try_from(body.len() / 128).unwrap()]);
    } else {
        out.push(u8::try_from(body.len()).unwrap());
    }
    out.extend(body);
    out
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic_or_take_more_than_a_packet(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        let before = buffer.len();
        match decode(Version::V311, &mut buffer, 150) {
            Ok(Some(_)) => prop_assert!(buffer.len() < before && before - buffer.len() <= 150),
            Ok(None) => prop_assert_eq!(buffer.len(), before),
            Err(_) => {}
        }
    }

    #[test]
    fn likely_packets_with_one_byte_changed_do_not_make_the_decoder_panic(
        kind in 1_u8..15, body in proptest::collection::vec(any::<u8>(), 0..60), at in 0_usize..60, byte: u8
    ) {
        let mut bytes = framed(kind << 4 | if matches!(kind, 8 | 10) { 2 } else { 0 }, &body);
        let _ = read(&bytes);
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        let _ = read(&bytes);
    }

    #[test]
    fn a_publish_reads_back_and_reads_as_rumqttd_reads_it(
        topic in topic(), payload in proptest::collection::vec(any::<u8>(), 0..300), qos in qos()
    ) {
        let frame = publish(&topic, &payload, qos).unwrap();
        let Packet::Publish(ours) = read(&frame).unwrap().unwrap() else { panic!("a publish") };
        prop_assert_eq!(ours.topic(), topic.as_bytes());
        prop_assert_eq!(ours.payload(), &payload[..]);
        prop_assert_eq!((ours.qos, ours.retain, ours.dup), (qos, false, false));
        let Some(theirs::Packet::Publish(publish, _)) = read_theirs(&frame) else { panic!("a publish") };
        prop_assert_eq!(ours.topic(), &publish.topic[..]);
        prop_assert_eq!(ours.payload(), &publish.payload[..]);
        prop_assert_eq!(publish.retain, ours.retain);
    }

    #[test]
    fn a_delivery_reads_as_what_it_was(
        topic in topic(), payload in proptest::collection::vec(any::<u8>(), 0..300),
        qos in qos(), id in 1_u16.., retain: bool
    ) {
        let (properties, sequence) = ([].as_slice(), 7);
        let delivery = Delivery {
            topic: &topic, properties, payload: &payload, sequence, qos, packet_id: id, dup: false, retain,
            subscription_identifier: None, expiry: None,
        };
        let mut out = vec![1, 2, 3];
        deliver(&mut out, Version::V311, &delivery);
        let Packet::Publish(read) = read(&out[3..]).unwrap().unwrap() else { panic!("a publish") };
        prop_assert_eq!(delivered_len(Version::V311, &delivery), Some(out.len() - 3));
        prop_assert_eq!((read.topic(), read.payload()), (topic.as_bytes(), &payload[..]));
        let id = (qos != Qos::AtMostOnce).then_some(id);
        prop_assert_eq!((read.packet_id, read.retain, read.dup), (id, retain, false));
    }

    #[test]
    fn a_connect_reads_as_rumqttd_reads_it(
        id in text(), user in proptest::option::of(text()), password in "[a-z]{0,9}", keep_alive: u16, clean: bool,
        will in proptest::option::of((topic(), "[a-z]{0,9}", qos(), any::<bool>()))
    ) {
        let mut body = Vec::new();
        string(&mut body, b"MQTT");
        let mut flags = u8::from(clean) << 1;
        if let Some((_, _, qos, retain)) = &will {
            flags |= 4 | qos.bits() << 3 | u8::from(*retain) << 5;
        }
        if user.is_some() {
            flags |= 0xc0;
        }
        body.extend([4, flags]);
        body.extend(keep_alive.to_be_bytes());
        string(&mut body, id.as_bytes());
        if let Some((topic, payload, ..)) = &will {
            string(&mut body, topic.as_bytes());
            string(&mut body, payload.as_bytes());
        }
        if let Some(user) = &user {
            string(&mut body, user.as_bytes());
            string(&mut body, password.as_bytes());
        }
        let bytes = framed(0x10, &body);
        let ours = decode_connect(&mut BytesMut::from(&bytes[..]), LIMIT).unwrap().unwrap();
        prop_assert_eq!((&ours.client_id, ours.keep_alive, ours.clean_start), (&id, keep_alive, clean));
        prop_assert_eq!(&ours.username, &user);
        let Some(theirs::Packet::Connect(connect, _, their_will, _, login)) = read_theirs(&bytes) else {
            panic!("a connect")
        };
        prop_assert_eq!((connect.client_id, connect.keep_alive, connect.clean_session), (id, keep_alive, clean));
        // It takes an empty name with an empty password for no login.
        prop_assert_eq!(login.map(|login| login.username).unwrap_or_default(), user.unwrap_or_default());
        let ours = ours.will.map(|will| (Bytes::from(will.topic), will.payload, will.retain));
        prop_assert_eq!(ours, their_will.map(|will| (will.topic, will.message, will.retain)));
    }

    #[test]
    fn subscriptions_read_as_rumqttd_reads_them(id in 1_u16.., filters in proptest::collection::vec((topic(), 0_u8..3), 1..5)) {
        let mut body = id.to_be_bytes().to_vec();
        let mut names = id.to_be_bytes().to_vec();
        for (filter, qos) in &filters {
            string(&mut body, filter.as_bytes());
            body.push(*qos);
            string(&mut names, filter.as_bytes());
        }
        let bytes = framed(0x82, &body);
        let Packet::Subscribe(ours) = read(&bytes).unwrap().unwrap() else { panic!("a subscribe") };
        let read_back: Vec<_> = ours.filters.iter().map(|f| (f.filter.clone(), f.qos.bits())).collect();
        prop_assert_eq!((ours.packet_id, read_back), (id, filters.clone()));
        let Some(theirs::Packet::Subscribe(subscribe, _)) = read_theirs(&bytes) else { panic!("a subscribe") };
        let their_filters: Vec<_> = subscribe.filters.into_iter().map(|f| (f.path, f.qos as u8)).collect();
        prop_assert_eq!((subscribe.pkid, their_filters), (id, filters.clone()));
        let Packet::Unsubscribe(ours) = read(&framed(0xa2, &names)).unwrap().unwrap() else { panic!("an unsubscribe") };
        prop_assert_eq!(ours.packet_id, id);
        prop_assert!(ours.filters.iter().eq(filters.iter().map(|(filter, _)| filter)));
    }

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_packets(cuts in proptest::collection::vec(1_usize..30, 1..20)) {
        let mut stream = Vec::new();
        for number in 0..5_u8 {
            stream.extend_from_slice(&publish("i3/h/p", &vec![number; 40 * usize::from(number)], Qos::AtLeastOnce).unwrap());
            stream.extend([0xc0, 0, 0x40, 2, 0, number + 1]);
        }
        let (mut buffer, mut count, mut cuts) = (BytesMut::new(), 0, cuts.into_iter().cycle());
        while !stream.is_empty() {
            let next = cuts.next().unwrap().min(stream.len());
            buffer.extend(stream.drain(..next));
            while let Some(packet) = decode(Version::V311, &mut buffer, LIMIT).unwrap() {
                match count % 3 {
                    0 => prop_assert!(matches!(packet, Packet::Publish(publish) if publish.payload().len() == 40 * (count / 3))),
                    1 => prop_assert_eq!(packet, Packet::PingReq),
                    _ => prop_assert_eq!(packet, Packet::PubAck(Ack { packet_id: u16::try_from(count / 3 + 1).unwrap(), reason: Reason::Success })),
                }
                count += 1;
            }
        }
        prop_assert_eq!((count, buffer.len()), (15, 0));
    }
}

#[test]
fn answers_are_what_the_standard_says() {
    let mut out = Vec::new();
    connack(&mut out, Version::V311, &Connack::refused(Reason::Success));
    connack(&mut out, Version::V311, &Connack::refused(Reason::NotAuthorized));
    puback(&mut out, Version::V311, 0x1234, Reason::Success, None);
    suback(&mut out, Version::V311, 7, &[Reason::Success, Reason::GrantedQos1, Reason::NotAuthorized]);
    unsuback(&mut out, Version::V311, 8, &[Reason::Success]);
    pingresp(&mut out);
    let expected = [
        [0x20, 2, 0, 0].as_slice(),
        &[0x20, 2, 0, 5],
        &[0x40, 2, 0x12, 0x34],
        &[0x90, 5, 0, 7, 0, 1, 0x80],
        &[0xb0, 2, 0, 8],
        &[0xd0, 0],
    ]
    .concat();
    assert_eq!(out, expected);
}

#[test]
fn a_packet_above_the_limit_is_refused_from_its_header_alone() {
    let mut buffer = BytesMut::from(&[0x30, 0x80, 0x80, 0x04][..]);
    assert_eq!(decode(Version::V311, &mut buffer, 65_539), Err(WireError::TooLong));
    assert_eq!(decode(Version::V311, &mut buffer, 65_540), Ok(None));
    assert_eq!(
        read(&[0x10, 0x80, 0x80, 0x80, 0x80, 0]),
        Err(WireError::Malformed("a variable byte integer has more than four bytes"))
    );
}

#[test]
fn a_password_is_not_shown() {
    let mut connect = BytesMut::from(&b"\x10\x17\0\x04MQTT\x04\xc2\0\0\0\0\0\x01u\0\x06secret"[..]);
    let connect = decode_connect(&mut connect, LIMIT).unwrap().unwrap();
    assert_eq!(connect.password.as_deref(), Some(b"secret".as_slice()));
    assert!(!format!("{connect:?}").contains("secret") && !format!("{connect:?}").contains("115"));
}
