//! What is refused, and with which reason. Bytes are written out by hand.

use bytes::BytesMut;
use i3_broker::wire::{self, ConnectError, Packet, Reason, RetainHandling, Version, WireError};

use crate::seen::ours;
use crate::writer::{framed, string};

const V5: Version = Version::V5;
const V311: Version = Version::V311;

/// The reason with which these bytes are refused; `None` if they are taken.
fn refusal(version: Version, bytes: &[u8]) -> Option<Reason> {
    ours(version, bytes).err().map(WireError::reason)
}

const MALFORMED: Option<Reason> = Some(Reason::MalformedPacket);
const PROTOCOL: Option<Reason> = Some(Reason::ProtocolError);

/// The places where a client can say properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Connect,
    Will,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    Unsubscribe,
    Disconnect,
    Auth,
}

use Place::{
    Auth, Connect, Disconnect, PubAck, PubComp, PubRec, PubRel, Publish, Subscribe, Unsubscribe, Will,
};

const PLACES: [Place; 11] =
    [Connect, Will, Publish, PubAck, PubRec, PubRel, PubComp, Subscribe, Unsubscribe, Disconnect, Auth];

impl Place {
    /// A packet that is in order with exactly these properties there.
    fn packet(self, properties: &[u8]) -> Vec<u8> {
        let mut section = vec![u8::try_from(properties.len()).unwrap()];
        section.extend(properties);
        let around =
            |first: u8, before: &[u8], after: &[u8]| framed(first, &[before, &section, after].concat());
        match self {
            Connect => around(0x10, b"\0\x04MQTT\x05\x02\0\0", b"\0\x01c"),
            Will => around(0x10, b"\0\x04MQTT\x05\x06\0\0\0\0\x01c", b"\0\x01t\0\x01p"),
            Publish => around(0x32, b"\0\x01t\0\x01", b"payload"),
            PubAck => around(0x40, &[0, 1, 0], &[]),
            PubRec => around(0x50, &[0, 1, 0], &[]),
            PubRel => around(0x62, &[0, 1, 0], &[]),
            PubComp => around(0x70, &[0, 1, 0], &[]),
            Subscribe => around(0x82, &[0, 1], b"\0\x01f\0"),
            Unsubscribe => around(0xa2, &[0, 1], b"\0\x01f"),
            Disconnect => around(0xe0, &[0], &[]),
            // The method is added where it is not what is tried.
            Auth if properties.first() == Some(&0x15) => around(0xf0, &[0x18], &[]),
            Auth => {
                let all = [b"\x15\0\x01m", properties].concat();
                framed(0xf0, &[&[0x18, u8::try_from(all.len()).unwrap()], &all[..]].concat())
            }
        }
    }
}

/// The table of 2.2.2.2: each property with a value, and where a client may say it.
const PROPERTIES: [(&[u8], &[Place]); 27] = [
    (&[0x01, 1], &[Publish, Will]),
    (&[0x02, 0, 0, 0, 9], &[Publish, Will]),
    (b"\x03\0\x01c", &[Publish, Will]),
    (b"\x08\0\x01r", &[Publish, Will]),
    (b"\x09\0\x01\xff", &[Publish, Will]),
    // In a PUBLISH only servers say it (3.3.4-6).
    (&[0x0b, 5], &[Subscribe]),
    (&[0x11, 0, 0, 0, 9], &[Connect, Disconnect]),
    (b"\x12\0\x01c", &[]),
    (&[0x13, 0, 9], &[]),
    (b"\x15\0\x01m", &[Connect, Auth]),
    // In a CONNECT not without a method (3.1.2.11.10).
    (b"\x16\0\x01d", &[Auth]),
    (&[0x17, 1], &[Connect]),
    (&[0x18, 0, 0, 0, 9], &[Will]),
    (&[0x19, 1], &[Connect]),
    (b"\x1a\0\x01i", &[]),
    (b"\x1c\0\x01s", &[]),
    (b"\x1f\0\x01w", &[PubAck, PubRec, PubRel, PubComp, Disconnect, Auth]),
    (&[0x21, 0, 9], &[Connect]),
    (&[0x22, 0, 9], &[Connect]),
    (&[0x23, 0, 9], &[Publish]),
    (&[0x24, 1], &[]),
    (&[0x25, 1], &[]),
    (b"\x26\0\x01n\0\x01v", &PLACES),
    (&[0x27, 0, 0, 0, 9], &[Connect]),
    (&[0x28, 1], &[]),
    (&[0x29, 1], &[]),
    (&[0x2a, 1], &[]),
];

#[test]
fn each_property_is_taken_exactly_where_the_standard_has_it() {
    for place in PLACES {
        assert_eq!(refusal(V5, &place.packet(&[])), None, "{place:?}");
        for (property, places) in PROPERTIES {
            let refused = refusal(V5, &place.packet(property));
            if places.contains(&place) {
                assert_eq!(refused, None, "{property:02x?} in {place:?}");
            } else {
                // Where the packet has it, but not from a client, it is a protocol error.
                let said_by_servers = matches!((place, property[0]), (Publish, 0x0b) | (Disconnect, 0x1c));
                let without_method = place == Connect && property[0] == 0x16;
                let expected = if said_by_servers || without_method { PROTOCOL } else { MALFORMED };
                assert_eq!(refused, expected, "{property:02x?} in {place:?}");
            }
        }
    }
}

#[test]
fn only_user_properties_come_twice() {
    for (property, places) in PROPERTIES {
        for place in places {
            let expected = if property[0] == 0x26 { None } else { PROTOCOL };
            assert_eq!(
                refusal(V5, &place.packet(&property.repeat(2))),
                expected,
                "{property:02x?} in {place:?}"
            );
        }
    }
}

#[test]
fn a_property_does_not_end_early() {
    for (property, places) in PROPERTIES {
        for place in places {
            for end in 1..property.len() {
                assert_eq!(
                    refusal(V5, &place.packet(&property[..end])),
                    MALFORMED,
                    "{property:02x?} in {place:?}"
                );
            }
        }
    }
}

#[test]
fn there_are_no_other_properties() {
    for id in (0..=0xff_u8).filter(|id| PROPERTIES.iter().all(|(property, _)| property[0] != *id)) {
        for place in PLACES {
            assert_eq!(refusal(V5, &place.packet(&[id, 0, 0, 0, 0, 0])), MALFORMED, "{id:02x} in {place:?}");
        }
    }
    // An identifier is a variable byte integer: 0x26 in two bytes is still not allowed (1.5.5-1), 0x80 0x01 is 128.
    for id in [&[0xa6_u8, 0x00], &[0x80, 0x01]] {
        assert_eq!(refusal(V5, &Publish.packet(&[id, &b"\0\x01n\0\x01v"[..]].concat())), MALFORMED);
    }
}

#[test]
fn values_stay_in_their_ranges() {
    for (place, property, expected) in [
        (Publish, &[0x01, 2][..], PROTOCOL),
        (Will, &[0x01, 0xff], PROTOCOL),
        (Publish, &[0x01, 0], None),
        (Connect, &[0x17, 2], PROTOCOL),
        (Connect, &[0x19, 2], PROTOCOL),
        (Connect, &[0x21, 0, 0], PROTOCOL),
        (Connect, &[0x27, 0, 0, 0, 0], PROTOCOL),
        (Connect, &[0x22, 0, 0], None),
        (Publish, &[0x23, 0, 0], Some(Reason::TopicAliasInvalid)),
        (Publish, &[0x23, 0xff, 0xff], None),
        (Publish, &[0x02, 0, 0, 0, 0], None),
        (Subscribe, &[0x0b, 0], PROTOCOL),
        (Subscribe, &[0x0b, 0xff, 0xff, 0xff, 0x7f], None),
        (Subscribe, &[0x0b, 0xff, 0xff, 0xff, 0xff, 0x01], MALFORMED),
        // The shortest form only (1.5.5-1).
        (Subscribe, &[0x0b, 0x81, 0x00], MALFORMED),
        (Subscribe, &[0x0b, 0x80, 0x80, 0x80, 0x00], MALFORMED),
        (Subscribe, &[0x0b, 0x80, 0x01], None),
        // 3.3.2-14
        (Publish, b"\x08\0\x03a/#", MALFORMED),
        (Publish, b"\x08\0\0", MALFORMED),
        (Will, b"\x08\0\x01+", MALFORMED),
        (Publish, b"\x03\0\0", None),
    ] {
        assert_eq!(refusal(V5, &place.packet(property)), expected, "{property:02x?} in {place:?}");
    }
}

#[test]
fn texts_are_utf8_without_nul_everywhere() {
    let wrong: [&[u8]; 6] = [
        b"\0",
        b"a\0b",
        // A surrogate, an overlong slash, a byte that begins nothing, and one beyond Unicode.
        &[0xed, 0xa0, 0x80],
        &[0xc0, 0xaf],
        &[0xff],
        &[0xf4, 0x90, 0x80, 0x80],
    ];
    for text in wrong {
        let mut counted = Vec::new();
        string(&mut counted, text);
        let with = |before: &[u8], after: &[u8]| [before, &counted, after].concat();
        for (id, place) in
            [(0x03, Publish), (0x08, Will), (0x15, Connect), (0x15, Auth), (0x1f, Disconnect), (0x1f, PubAck)]
        {
            assert_eq!(refusal(V5, &place.packet(&with(&[id], &[]))), MALFORMED, "{text:02x?} in {place:?}");
        }
        for place in PLACES {
            for user in [with(&[0x26], b"\0\x01v"), with(b"\x26\0\x01n", &[])] {
                assert_eq!(refusal(V5, &place.packet(&user)), MALFORMED, "{text:02x?} in {place:?}");
            }
        }
        for (version, empty) in [(V311, &b""[..]), (V5, b"\0")] {
            let level = if version == V5 { 5 } else { 4 };
            let connect = |flags: u8| [b"\0\x04MQTT", &[level, flags][..], &[0, 0], empty].concat();
            for packet in [
                framed(0x30, &with(&[], empty)),
                framed(0x82, &with(&[&[0, 1], empty].concat(), &[0])),
                framed(0xa2, &with(&[&[0, 1], empty].concat(), &[])),
                framed(0x10, &with(&connect(2), &[])),
                framed(0x10, &with(&[&connect(0x82)[..], b"\0\x01c"].concat(), &[])),
                framed(0x10, &with(&[&connect(6)[..], b"\0\x01c", empty].concat(), b"\0\x01p")),
            ] {
                assert_eq!(refusal(version, &packet), MALFORMED, "{text:02x?}: {packet:02x?}");
            }
        }
    }
    // The byte order mark and what is not a character are text like any other (1.5.4-3).
    assert_eq!(refusal(V5, &framed(0x30, b"\0\x06\xef\xbb\xbf\xef\xbf\xbf\0")), None);
}

#[test]
fn a_publish_follows_its_rules() {
    for (version, first, body, expected) in [
        (V311, 0x36, &b"\0\x01t\0\x01"[..], MALFORMED),
        (V5, 0x36, b"\0\x01t\0\x01\0", MALFORMED),
        (V311, 0x38, b"\0\x01t", MALFORMED),
        (V5, 0x38, b"\0\x01t\0", MALFORMED),
        (V311, 0x3a, b"\0\x01t\0\x01", None),
        (V311, 0x32, b"\0\x01t\0\0", PROTOCOL),
        (V5, 0x34, b"\0\x01t\0\0\0", PROTOCOL),
        (V311, 0x30, b"\0\0", PROTOCOL),
        (V5, 0x30, b"\0\0\0", PROTOCOL),
        (V5, 0x30, b"\0\0\x03\x23\0\x01", None),
        (V311, 0x30, b"\0\x03a/#", MALFORMED),
        (V5, 0x30, b"\0\x03a/+\0", MALFORMED),
        (V311, 0x30, b"\0\x09t", MALFORMED),
        (V311, 0x32, b"\0\x01t\0", MALFORMED),
        // No properties' length; one that is longer than the packet; one not in its shortest form.
        (V5, 0x30, b"\0\x01t", MALFORMED),
        (V5, 0x30, b"\0\x01t\x05\x01\x01", MALFORMED),
        (V5, 0x30, b"\0\x01t\x80\x00", MALFORMED),
        (V5, 0x30, b"\0\x01t\xff\xff\xff\xff\x01", MALFORMED),
    ] {
        assert_eq!(refusal(version, &framed(first, body)), expected, "{version:?} {first:02x} {body:02x?}");
    }
}

#[test]
fn a_subscribe_follows_its_rules() {
    for (version, body, expected) in [
        (V311, &b"\0\x01\0\x01f\x02"[..], None),
        (V311, b"\0\x01\0\x01f\x03", PROTOCOL),
        (V311, b"\0\x01\0\x01f\x04", MALFORMED),
        (V311, b"\0\x01\0\x01f", MALFORMED),
        (V311, b"\0\x01", PROTOCOL),
        (V311, b"\0\0\0\x01f\x00", PROTOCOL),
        (V311, b"\0\x01\0\0\x00", MALFORMED),
        (V5, b"\0\x01\0\0\x01f\x2e", None),
        (V5, b"\0\x01\0\0\x01f\x03", PROTOCOL),
        (V5, b"\0\x01\0\0\x01f\x30", PROTOCOL),
        (V5, b"\0\x01\0\0\x01f\x40", MALFORMED),
        (V5, b"\0\x01\0\0\x01f\x80", MALFORMED),
        (V5, b"\0\x01\0", PROTOCOL),
        (V5, b"\0\x01\0\0\x0a$share/g/t\x00", None),
        // 3.8.3-4
        (V5, b"\0\x01\0\0\x0a$share/g/t\x04", PROTOCOL),
    ] {
        assert_eq!(refusal(version, &framed(0x82, body)), expected, "{version:?} {body:02x?}");
    }
    for (version, body, expected) in [
        (V311, &b"\0\x01"[..], PROTOCOL),
        (V5, b"\0\x01\0", PROTOCOL),
        (V5, b"\0\x01\0\0\x01f", None),
        (V5, b"\0\x01", MALFORMED),
        (V311, b"\0\x01\0\0", MALFORMED),
    ] {
        assert_eq!(refusal(version, &framed(0xa2, body)), expected, "{version:?} {body:02x?}");
    }
}

#[test]
fn the_options_of_a_filter_are_told_apart() {
    let mut buffer =
        BytesMut::from(&framed(0x82, b"\0\x07\x02\x0b\x09\0\x01a\x00\0\x01b\x19\0\x01c\x26")[..]);
    let Ok(Some(Packet::Subscribe(subscribe))) = wire::decode(V5, &mut buffer, 100) else {
        panic!("a subscribe")
    };
    assert_eq!((subscribe.packet_id, subscribe.identifier), (7, Some(9)));
    let told: Vec<_> = subscribe
        .filters
        .iter()
        .map(|f| (f.filter.as_str(), f.qos.bits(), f.no_local, f.retain_as_published, f.retain_handling))
        .collect();
    let expected = [
        ("a", 0, false, false, RetainHandling::Always),
        ("b", 1, false, true, RetainHandling::IfNew),
        ("c", 2, true, false, RetainHandling::Never),
    ];
    assert_eq!(told, expected);
}

#[test]
fn acknowledgements_and_farewells_have_their_own_reasons() {
    // (first byte, before the reason, the codes that a client may say)
    let received: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    let goodbye: &[u8] =
        &[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
    for (first, before, allowed) in [
        (0x40, &[0, 1][..], received),
        (0x50, &[0, 1], received),
        (0x62, &[0, 1], &[0x00, 0x92]),
        (0x70, &[0, 1], &[0x00, 0x92]),
        (0xe0, &[], goodbye),
    ] {
        for code in 0..=0xff {
            let expected = if allowed.contains(&code) { None } else { PROTOCOL };
            assert_eq!(
                refusal(V5, &framed(first, &[before, &[code]].concat())),
                expected,
                "{first:02x} {code:02x}"
            );
        }
        assert_eq!(refusal(V5, &framed(first, before)), None);
        assert_eq!(refusal(V5, &framed(first, &[before, &[0, 0]].concat())), None);
        assert_eq!(refusal(V5, &framed(first, &[before, &[0, 0, 0]].concat())), MALFORMED);
        // 3.1.1 has no reasons.
        assert_eq!(refusal(V311, &framed(first, before)), None);
        assert_eq!(refusal(V311, &framed(first, &[before, &[0]].concat())), MALFORMED);
    }
    assert_eq!(refusal(V5, &framed(0x40, &[0, 0])), PROTOCOL);
    assert_eq!(refusal(V311, &framed(0x62, &[0])), MALFORMED);
    for code in 0..=0xff {
        let expected = if matches!(code, 0x18 | 0x19) { None } else { PROTOCOL };
        assert_eq!(refusal(V5, &framed(0xf0, &[code, 4, 0x15, 0, 1, b'm'])), expected, "AUTH {code:02x}");
    }
    assert_eq!(refusal(V5, &framed(0xf0, &[])), PROTOCOL);
    assert_eq!(refusal(V5, &framed(0xf0, &[0x18, 0])), PROTOCOL);
}

#[test]
fn reserved_flags_and_types_are_refused_before_the_packet_is_there() {
    for version in [V311, V5] {
        for first in 0..=0xff_u8 {
            let (kind, flags) = (first >> 4, first & 0x0f);
            let expected = match kind {
                3 => None,
                1 | 2 | 9 | 11 | 13 => PROTOCOL,
                6 | 8 | 10 if flags == 2 => None,
                4 | 5 | 7 | 12 | 14 if flags == 0 => None,
                15 if flags == 0 && version == V5 => None,
                // Type 0 and, in 3.1.1, 15 are reserved.
                _ => MALFORMED,
            };
            let mut buffer = BytesMut::from(&[first, 50][..]);
            let refused = wire::decode(version, &mut buffer, 100).err().map(WireError::reason);
            assert_eq!(refused, expected, "{version:?} {first:02x}");
        }
    }
}

#[test]
fn a_ping_has_no_body() {
    for version in [V311, V5] {
        assert_eq!(refusal(version, &[0xc0, 0]), None);
        assert_eq!(refusal(version, &[0xc0, 1, 0]), MALFORMED);
    }
    assert_eq!(refusal(V311, &[0xe0, 1, 0]), MALFORMED);
}

/// The first packet of a connection.
fn connect(bytes: &[u8]) -> Result<bool, (Reason, Option<Version>)> {
    match wire::decode_connect(&mut BytesMut::from(bytes), 1_000) {
        Ok(connect) => Ok(connect.is_some()),
        Err(ConnectError { error, answer }) => Err((error.reason(), answer)),
    }
}

#[test]
fn a_connect_follows_its_rules_and_the_refusal_is_told_in_its_version() {
    let (malformed, protocol) = (Reason::MalformedPacket, Reason::ProtocolError);
    let version = Reason::UnsupportedProtocolVersion;
    for (body, expected) in [
        (&b"\0\x04MQTT\x04\x02\0\0\0\x01c"[..], Ok(true)),
        (b"\0\x04MQTT\x05\x02\0\0\0\0\x01c", Ok(true)),
        // In 3.1.1 that is the session's to refuse, with return code 2.
        (b"\0\x04MQTT\x04\x00\0\0\0\0", Ok(true)),
        (b"\0\x04MQTT\x05\x00\0\0\0\0\0", Ok(true)),
        (b"\0\x06MQIsdp\x03\x02\0\0\0\x01c", Err((version, Some(V311)))),
        (b"\0\x04MQTT\x03\x02\0\0\0\x01c", Err((version, Some(V311)))),
        (b"\0\x04MQTT\x06\x02\0\0\0\0\x01c", Err((version, Some(V5)))),
        (b"\0\x04MQTT\x84\x02\0\0\0\0\x01c", Err((version, Some(V5)))),
        (b"\0\x04mqtt\x05\x02\0\0\0\0\x01c", Err((malformed, None))),
        (b"\0\x04HTTP\x05\x02\0\0\0\0\x01c", Err((malformed, None))),
        // The reserved flag; a will's QoS 3; flags of a will without one.
        (b"\0\x04MQTT\x05\x03\0\0\0\0\x01c", Err((malformed, Some(V5)))),
        (b"\0\x04MQTT\x05\x1e\0\0\0\0\x01c\0\0\x01t\0\0", Err((malformed, Some(V5)))),
        (b"\0\x04MQTT\x04\x0a\0\0\0\x01c", Err((malformed, Some(V311)))),
        (b"\0\x04MQTT\x05\x22\0\0\0\0\x01c", Err((malformed, Some(V5)))),
        // A password without a name: 3.1.2-22 of 3.1.1; MQTT 5 allows it.
        (b"\0\x04MQTT\x04\x42\0\0\0\x01c\0\x01p", Err((malformed, Some(V311)))),
        (b"\0\x04MQTT\x05\x42\0\0\0\0\x01c\0\x01p", Ok(true)),
        // Authentication data with and without a method.
        (b"\0\x04MQTT\x05\x02\0\0\x04\x16\0\x01d\0\x01c", Err((protocol, Some(V5)))),
        (b"\0\x04MQTT\x05\x02\0\0\x08\x16\0\x01d\x15\0\x01m\0\x01c", Ok(true)),
        // Wills without topic, and with a wildcard in it.
        (b"\0\x04MQTT\x04\x06\0\0\0\x01c\0\0\0\0", Err((malformed, Some(V311)))),
        (b"\0\x04MQTT\x04\x06\0\0\0\x01c\0\x01#\0\0", Err((malformed, Some(V311)))),
        // Too much, and too little.
        (b"\0\x04MQTT\x04\x02\0\0\0\x01c!", Err((malformed, Some(V311)))),
        (b"\0\x04MQTT\x05\x82\0\0\0\0\x01c", Err((malformed, Some(V5)))),
        (b"\0\x04MQTT", Err((malformed, None))),
    ] {
        assert_eq!(connect(&framed(0x10, body)), expected, "{body:02x?}");
    }
}

#[test]
fn nothing_but_connect_is_waited_for() {
    for first in (0..=0xff_u8).filter(|first| *first != 0x10) {
        let reason = if first >> 4 == 1 { Reason::MalformedPacket } else { Reason::ProtocolError };
        assert_eq!(connect(&[first]), Err((reason, None)), "{first:02x}");
    }
    assert_eq!(connect(&[]), Ok(false));
    assert_eq!(connect(b"\x10\x0d\0\x04MQTT\x04"), Ok(false));
    assert_eq!(connect(b"\x10\xff\x7f"), Err((Reason::PacketTooLarge, None)));
    assert_eq!(connect(b"\x10\xff\x7f\0\x04MQTT\x05"), Err((Reason::PacketTooLarge, Some(V5))));
}

#[test]
fn lengths_are_in_their_shortest_form_in_mqtt_5() {
    for (version, expected) in [(V311, None), (V5, MALFORMED)] {
        assert_eq!(refusal(version, &[0xc0, 0x80, 0x00]), expected);
        assert_eq!(refusal(version, &[0xc0, 0x80, 0x80, 0x80, 0x00]), expected);
        assert_eq!(refusal(version, &[0xc0, 0x80, 0x80, 0x80, 0x80, 0x00]), MALFORMED);
    }
    assert_eq!(
        connect(b"\x10\x8e\0\0\x04MQTT\x05\x02\0\0\0\0\x01c"),
        Err((Reason::MalformedPacket, Some(V5)))
    );
    assert_eq!(connect(b"\x10\x8d\0\0\x04MQTT\x04\x02\0\0\0\x01c"), Ok(true));
}

#[test]
fn a_password_is_not_shown() {
    let mut bytes = BytesMut::from(&framed(0x10, b"\0\x04MQTT\x04\xc2\0\0\0\0\0\x01u\0\x06secret")[..]);
    let connect = wire::decode_connect(&mut bytes, 100).unwrap().unwrap();
    assert_eq!(connect.password.as_deref(), Some(b"secret".as_slice()));
    assert!(!format!("{connect:?}").contains("secret") && !format!("{connect:?}").contains("115"));
}
