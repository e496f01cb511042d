//! What the server writes, read by others.

use std::num::NonZeroU16;

use i3_broker::wire::{
    Connack, Content, Delivery, Qos, Reason, SequenceProperty, Version, connack, deliver, delivered_len,
    disconnect, pingresp, puback, pubcomp, publish, pubrec, pubrel, suback, unsuback,
};
use mqtt_proto::v5 as proto5;
use proptest::prelude::*;
use proptest::sample::select;
use rmqtt_codec::{MqttPacket, v3, v5};

use crate::proto::{self, Theirs};
use crate::rmqtt;
use crate::seen::{PassedOn, Seen, SeenPublish};

const V5: Version = Version::V5;
const V311: Version = Version::V311;

#[test]
fn answers_of_3_1_1_are_what_the_standard_says() {
    let mut out = Vec::new();
    connack(&mut out, V311, &Connack { session_present: true, ..Connack::refused(Reason::Success) });
    // 3.2.2-4: no session with a refusal.
    connack(&mut out, V311, &Connack { session_present: true, ..Connack::refused(Reason::NotAuthorized) });
    puback(&mut out, V311, 0x1234, Reason::NotAuthorized, Some("unsaid"));
    pubrec(&mut out, V311, 2, Reason::Success, None);
    pubrel(&mut out, V311, 3, Reason::PacketIdentifierNotFound, None);
    pubcomp(&mut out, V311, 4, Reason::Success, None);
    let reasons = [Reason::Success, Reason::GrantedQos1, Reason::GrantedQos2, Reason::NotAuthorized];
    suback(&mut out, V311, 7, &reasons);
    unsuback(&mut out, V311, 8, &[Reason::Success, Reason::NoSubscriptionExisted]);
    pingresp(&mut out);
    let expected = [
        [0x20, 2, 1, 0].as_slice(),
        &[0x20, 2, 0, 5],
        &[0x40, 2, 0x12, 0x34],
        &[0x50, 2, 0, 2],
        &[0x62, 2, 0, 3],
        &[0x70, 2, 0, 4],
        &[0x90, 6, 0, 7, 0, 1, 2, 0x80],
        &[0xb0, 2, 0, 8],
        &[0xd0, 0],
    ]
    .concat();
    assert_eq!(out, expected);
}

#[test]
fn refusals_of_3_1_1_are_return_codes_or_silence() {
    for reason in Reason::ALL {
        let expected = match reason.code() {
            0x00 => Some(0),
            0x84 => Some(1),
            0x85 => Some(2),
            0x88 | 0x89 | 0x8b | 0x97 | 0x9c | 0x9d | 0x9f => Some(3),
            0x86 => Some(4),
            0x87 | 0x8a | 0x8c => Some(5),
            _ => None,
        };
        let mut out = Vec::new();
        connack(&mut out, V311, &Connack::refused(*reason));
        assert_eq!(out, expected.map(|code| vec![0x20, 2, 0, code]).unwrap_or_default(), "{reason}");
    }
}

#[test]
fn reasons_are_those_of_the_standard() {
    // 2.4, table 2-6
    let codes = [
        0x00, 0x01, 0x02, 0x04, 0x10, 0x11, 0x18, 0x19, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88,
        0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
        0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
    ];
    assert!(Reason::ALL.iter().map(|reason| reason.code()).eq(codes));
    for code in 0..=0xff {
        assert_eq!(Reason::from_code(code).map(Reason::code), Some(code).filter(|code| codes.contains(code)));
    }
    assert!(!Reason::Reauthenticate.is_error() && Reason::Unspecified.is_error());
}

/// A CONNACK of MQTT 5 as both others read it.
fn read_connack(bytes: &[u8]) -> (v5::ConnectAck, proto5::Connack) {
    let Some(MqttPacket::V5(v5::Packet::ConnectAck(first))) = rmqtt::read(V5, bytes) else {
        panic!("a CONNACK")
    };
    let Some(Theirs::V5(second)) = proto::read(V5, bytes) else { panic!("a CONNACK") };
    let proto5::Packet::Connack(second) = *second else { panic!("a CONNACK") };
    (*first, second)
}

proptest! {
    #[test]
    fn a_connack_says_what_was_meant(
        session_present: bool, code in select(vec![0x00_u8, 0x81, 0x84, 0x85, 0x87, 0x88, 0x8c, 0x97]),
        assigned in proptest::option::of("[a-z]{1,20}"), keep_alive: Option<u16>, session_expiry: Option<u32>,
        receive_maximum in 1_u16.., packet_size in proptest::option::of(1_u32..), aliases: u16,
        why in proptest::option::of("[a-zä ]{0,200}")
    ) {
        let said = Connack {
            session_present,
            reason: Reason::from_code(code).unwrap(),
            assigned_client_id: assigned.as_deref(),
            server_keep_alive: keep_alive,
            session_expiry,
            receive_maximum,
            maximum_packet_size: packet_size,
            topic_alias_maximum: aliases,
            reason_string: why.as_deref(),
        };
        let mut out = Vec::new();
        connack(&mut out, V5, &said);
        let (first, second) = read_connack(&out);
        let success = code == 0;
        prop_assert_eq!(first, v5::ConnectAck {
            session_present: session_present && success,
            reason_code: v5::ConnectAckReason::try_from(code).unwrap(),
            session_expiry_interval_secs: session_expiry,
            receive_max: NonZeroU16::new(receive_maximum).unwrap(),
            max_packet_size: packet_size,
            assigned_client_id: assigned.clone().map(Into::into),
            topic_alias_max: aliases,
            server_keepalive_sec: keep_alive,
            reason_string: why.clone().map(Into::into),
            wildcard_subscription_available: !success,
            shared_subscription_available: !success,
            ..v5::ConnectAck::default()
        });
        let unavailable = success.then_some(false);
        let properties = proto5::ConnackProperties {
            session_expiry_interval: session_expiry,
            receive_max: Some(receive_maximum).filter(|count| *count != u16::MAX),
            max_packet_size: packet_size,
            assigned_client_id: assigned.map(Into::into),
            topic_alias_max: Some(aliases).filter(|highest| *highest != 0),
            reason_string: why.map(Into::into),
            wildcard_subscription_available: unavailable,
            shared_subscription_available: unavailable,
            server_keep_alive: keep_alive,
            ..proto5::ConnackProperties::default()
        };
        let reason_code = proto5::ConnectReasonCode::from_u8(code).unwrap();
        let session_present = session_present && success;
        prop_assert_eq!(second, proto5::Connack { session_present, reason_code, properties });
    }

    #[test]
    fn acknowledgements_and_farewells_say_why(
        id in 1_u16.., code in select(vec![0x00_u8, 0x10, 0x83, 0x87, 0x90, 0x97]), released: bool,
        farewell in select(vec![0x00_u8, 0x81, 0x82, 0x87, 0x8b, 0x8d, 0x8e, 0x93, 0x94, 0x95, 0x97, 0x98, 0xa0]),
        why in proptest::option::of("[a-zä ]{0,200}")
    ) {
        let why = why.as_deref();
        let reason = Reason::from_code(code).unwrap();
        let released = if released { Reason::Success } else { Reason::PacketIdentifierNotFound };
        let mut all = [Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        puback(&mut all[0], V5, id, reason, why);
        pubrec(&mut all[1], V5, id, reason, why);
        pubrel(&mut all[2], V5, id, released, why);
        pubcomp(&mut all[3], V5, id, released, why);
        disconnect(&mut all[4], Reason::from_code(farewell).unwrap(), why);
        let packet_id = NonZeroU16::new(id).unwrap();
        let reason_string = why.map(Into::into);
        let ack = v5::PublishAck {
            packet_id,
            reason_code: v5::PublishAckReason::try_from(code).unwrap(),
            properties: Vec::new(),
            reason_string: why.map(Into::into),
        };
        let ack2 = v5::PublishAck2 {
            packet_id,
            reason_code: v5::PublishAck2Reason::try_from(released.code()).unwrap(),
            properties: Vec::new(),
            reason_string: why.map(Into::into),
        };
        let expected = [
            v5::Packet::PublishAck(ack.clone()),
            v5::Packet::PublishReceived(ack),
            v5::Packet::PublishRelease(ack2.clone()),
            v5::Packet::PublishComplete(ack2),
            v5::Packet::Disconnect(v5::Disconnect {
                reason_code: v5::DisconnectReasonCode::try_from(farewell).unwrap(),
                session_expiry_interval_secs: None,
                server_reference: None,
                reason_string,
                user_properties: Vec::new(),
            }),
        ];
        for (bytes, expected) in all.iter().zip(expected) {
            let Some(MqttPacket::V5(read)) = rmqtt::read(V5, bytes) else { panic!("{bytes:02x?}") };
            prop_assert_eq!(read, expected);
        }
        // The other reads reason strings too.
        let said = |theirs: Option<Theirs>| {
            let Some(Theirs::V5(packet)) = theirs else { panic!("{theirs:?}") };
            match *packet {
                proto5::Packet::Puback(p) => (p.reason_code as u8, p.properties.reason_string),
                proto5::Packet::Pubrec(p) => (p.reason_code as u8, p.properties.reason_string),
                proto5::Packet::Pubrel(p) => (p.reason_code as u8, p.properties.reason_string),
                proto5::Packet::Pubcomp(p) => (p.reason_code as u8, p.properties.reason_string),
                proto5::Packet::Disconnect(p) => (p.reason_code as u8, p.properties.reason_string),
                other => panic!("{other:?}"),
            }
        };
        for (bytes, code) in all.iter().zip([code, code, released.code(), released.code(), farewell]) {
            prop_assert_eq!(said(proto::read(V5, bytes)), (code, why.map(Into::into)));
        }
    }

    #[test]
    fn each_filter_is_answered_in_its_place(
        id in 1_u16.., granted in proptest::collection::vec(select(vec![0_u8, 1, 2, 0x80, 0x87, 0x8f, 0x9e, 0xa2]), 1..200),
        ended in proptest::collection::vec(select(vec![0_u8, 0x11, 0x87]), 1..200)
    ) {
        let reasons = |codes: &[u8]| -> Vec<_> { codes.iter().map(|code| Reason::from_code(*code).unwrap()).collect() };
        for version in [V311, V5] {
            let mut out = Vec::new();
            suback(&mut out, version, id, &reasons(&granted));
            let codes: Vec<u8> = match rmqtt::read(version, &out) {
                Some(MqttPacket::V3(v3::Packet::SubscribeAck { packet_id, status })) => {
                    prop_assert_eq!(packet_id.get(), id);
                    status.into_iter().map(|code| match code {
                        v3::SubscribeReturnCode::Success(qos) => qos.value(),
                        v3::SubscribeReturnCode::Failure => 0x80,
                    }).collect()
                }
                Some(MqttPacket::V5(v5::Packet::SubscribeAck(ack))) => {
                    prop_assert_eq!(ack.packet_id.get(), id);
                    ack.status.into_iter().map(Into::into).collect()
                }
                other => panic!("{other:?}"),
            };
            let expected = |code: &u8| if version == V311 && *code > 2 { 0x80 } else { *code };
            prop_assert_eq!(codes, granted.iter().map(expected).collect::<Vec<_>>());
            let mut out = Vec::new();
            unsuback(&mut out, version, id, &reasons(&ended));
            match proto::read(version, &out) {
                Some(Theirs::V3(mqtt_proto::v3::Packet::Unsuback(pid))) => prop_assert_eq!(pid.value(), id),
                Some(Theirs::V5(packet)) => {
                    let proto5::Packet::Unsuback(ack) = *packet else { panic!("an UNSUBACK") };
                    prop_assert_eq!(ack.pid.value(), id);
                    prop_assert_eq!(ack.topics.iter().map(|code| *code as u8).collect::<Vec<_>>(), ended.clone());
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_delivery_says_what_was_meant(
        version in select(vec![V311, V5]), topic in "[a-zä/]{1,200}", payload in proptest::collection::vec(any::<u8>(), 0..300),
        qos in select(vec![Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]), packet_id in 1_u16..,
        (dup, retain) in any::<(bool, bool)>(), sequence: u64, identifier in proptest::option::of(1_u32..268_435_456),
        expiry in proptest::option::of(1_u32..), utf8: bool, kind in proptest::option::of("[a-z]{0,200}"),
        (alias, named) in (proptest::option::of(1_u16..), any::<bool>())
    ) {
        let alias = alias.filter(|_| version == V5);
        let topic = if named || alias.is_none() { topic } else { String::new() };
        let mut properties = Vec::new();
        if utf8 {
            properties.extend([0x01, 0]);
        }
        if let Some(kind) = &kind {
            properties.push(0x03);
            crate::writer::string(&mut properties, kind.as_bytes());
        }
        properties.extend(SequenceProperty::of(sequence).as_bytes());
        let bytes = [properties.as_slice(), &payload].concat();
        prop_assert_eq!(Content::new(&bytes, bytes.len() + 1), None);
        let content = Content::new(&bytes, properties.len()).unwrap();
        let delivery = Delivery {
            topic: &topic, alias, content, qos, packet_id, dup, retain, subscription_identifier: identifier, expiry,
        };
        let mut out = vec![1, 2, 3];
        let len = deliver(&mut out, version, &delivery);
        prop_assert_eq!((len, delivered_len(version, &delivery)), (out.len() - 3, Some(out.len() - 3)));
        let v5 = version == V5;
        let with_id = qos != Qos::AtMostOnce;
        let expected = Seen::Publish(SeenPublish {
            topic: topic.clone().into_bytes(),
            payload: payload.clone(),
            qos,
            dup: dup && with_id,
            retain,
            packet_id: with_id.then_some(packet_id),
            alias,
            expiry: expiry.filter(|_| v5),
            passed_on: PassedOn { content_type: kind.clone().filter(|_| v5), ..PassedOn::default() },
        });
        let (first, second) = (rmqtt::read(version, &out[3..]).unwrap(), proto::read(version, &out[3..]).unwrap());
        // The sequence number comes last, and the subscription identifier is told.
        if let (MqttPacket::V5(v5::Packet::Publish(first)), Theirs::V5(second)) = (&first, &second) {
            let proto5::Packet::Publish(second) = &**second else { panic!("a PUBLISH") };
            let told = first.properties.clone().unwrap();
            prop_assert_eq!(told.user_properties, vec![("i3-seq".into(), sequence.to_string().into())]);
            prop_assert!(told.subscription_ids.iter().map(|id| id.get()).eq(identifier));
            let told = &second.properties;
            prop_assert_eq!(told.subscription_id.map(proto5::VarByteInt::value), identifier);
            let users: Vec<_> = told.user_properties.iter().map(|user| (&*user.name, user.value.to_string())).collect();
            prop_assert_eq!(users, vec![("i3-seq", sequence.to_string())]);
        }
        prop_assert_eq!(rmqtt::seen(first), Some(expected.clone()));
        prop_assert_eq!(proto::seen(second), Some(expected));
    }
}

#[test]
fn what_is_no_packet_is_not_written() {
    let (longest, topic) = ("t".repeat(65_535), "t".repeat(65_536));
    let delivery = Delivery {
        topic: &topic,
        alias: None,
        content: Content::payload_only(&[]),
        qos: Qos::AtMostOnce,
        packet_id: 0,
        dup: false,
        retain: false,
        subscription_identifier: None,
        expiry: None,
    };
    for version in [V311, V5] {
        assert_eq!(delivered_len(version, &delivery), None);
        let mut out = Vec::new();
        assert_eq!((deliver(&mut out, version, &delivery), out.len()), (0, 0));
        let longest = Delivery { topic: &longest, ..delivery };
        assert_eq!(delivered_len(version, &longest), Some(deliver(&mut out, version, &longest)));
    }
    assert_eq!(publish(&topic, b"", Qos::AtMostOnce), None);
    let payload = vec![0; 268_435_455];
    assert_eq!(publish("t", &payload, Qos::AtMostOnce), None);
    let content = Content::payload_only(&payload[3..]);
    assert_eq!(delivered_len(V311, &Delivery { topic: "t", content, ..delivery }), Some(268_435_460));
    assert_eq!(delivered_len(V5, &Delivery { topic: "t", content, ..delivery }), None, "one byte more");
}

#[test]
fn a_reason_that_is_too_long_is_cut_between_characters() {
    let mut out = Vec::new();
    disconnect(&mut out, Reason::NotAuthorized, Some(&"ä".repeat(40_000)));
    let Some(MqttPacket::V5(v5::Packet::Disconnect(read))) = rmqtt::read(V5, &out) else {
        panic!("a DISCONNECT")
    };
    assert_eq!(read.reason_string.unwrap().to_string(), "ä".repeat(32_767));
}
