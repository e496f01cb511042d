//! Ours beside two others: `rmqtt-codec` and `mqtt-proto`.
//!
//! All packets that clients may send read alike. Where changed bytes do not, the reason is one of [`STRICTER`] or one
//! of those in [`refused_by_rmqtt`] and [`refused_by_proto`]; any other difference fails.

use i3_broker::wire::{Packet, Version, WireError};
use proptest::prelude::*;

use crate::seen::{PassedOn, Seen, SeenPublish, ours};
use crate::writer::{any_packet, framed};
use crate::{proto, rmqtt};

/// What we refuse and at least one of the others takes, with the rule that says so and an example.
const STRICTER: &[(WireError, Version, &[u8])] = &[
    // 1.5.3-2 of 3.1.1, 1.5.4-2 of 5. One checks no text, the other only topics.
    (WireError::Malformed("a text has a NUL"), Version::V5, b"\x30\x0b\0\x01t\x07\x26\0\x01\0\0\x01v"),
    // 3.3.2-2. One does not look.
    (WireError::Malformed("a topic has a wildcard"), Version::V311, b"\x30\x03\0\x01#"),
    // 4.7.3-1, in will and response topics.
    (WireError::Malformed("a topic is empty"), Version::V5, b"\x30\x07\0\x01t\x03\x08\0\0"),
    (WireError::Protocol("the topic is empty"), Version::V311, b"\x30\x02\0\0"),
    // What comes after the last field of a packet is none of it. Neither looks everywhere.
    (WireError::Malformed("bytes are left over"), Version::V311, b"\xc0\x01\0"),
    // 3.3.1-2
    (WireError::Malformed("DUP at QoS 0"), Version::V311, b"\x38\x03\0\x01t"),
    // 3.1.2-22 of 3.1.1
    (
        WireError::Malformed("a password without a user name"),
        Version::V311,
        b"\x10\x10\0\x04MQTT\x04\x42\0\0\0\x01c\0\x01p",
    ),
    // 3.1.2-11, 3.1.2-13, 3.1.2-15
    (
        WireError::Malformed("flags of a will without a will"),
        Version::V311,
        b"\x10\x0d\0\x04MQTT\x04\x22\0\0\0\x01c",
    ),
    // The same, with bits that mean no quality at all.
    (WireError::Malformed("the will's QoS is 3"), Version::V5, b"\x10\x0e\0\x04MQTT\x05\x1a\0\0\0\0\x01c"),
    // 3.8.3-4 of 3.1.1. One does not look.
    (
        WireError::Malformed("reserved bits of the subscription options are set"),
        Version::V311,
        b"\x82\x06\0\x01\0\x01f\x10",
    ),
    // 3.14.2.1 and 3.15.2.1 of 5: only servers say it.
    (WireError::Protocol("a reason code that this packet does not have"), Version::V5, b"\xe0\x01\x8b"),
    // 3.15.2.2.2 of 5
    (WireError::Protocol("no authentication method"), Version::V5, b"\xf0\x02\x18\0"),
    // 3.1.2.11.10 of 5
    (
        WireError::Protocol("authentication data without a method"),
        Version::V5,
        b"\x10\x12\0\x04MQTT\x05\x02\0\0\x04\x16\0\x01d\0\x01c",
    ),
    // 3.8.3-4 of 5
    (
        WireError::Protocol("no local on a shared subscription"),
        Version::V5,
        b"\x82\x10\0\x01\0\0\x0a$share/g/t\x04",
    ),
    // 3.14.2.2.5 of 5: only servers say it.
    (WireError::Protocol("a server reference from a client"), Version::V5, b"\xe0\x06\0\x04\x1c\0\x01s"),
    // 3.3.4-6 of 5
    (
        WireError::Protocol("a subscription identifier from a client"),
        Version::V5,
        b"\x30\x06\0\x01t\x02\x0b\x05",
    ),
    // The name "MQTT" with level 3, which is no version at all.
    (WireError::OtherVersion, Version::V311, b"\x10\x0d\0\x04MQTT\x03\x02\0\0\0\x01c"),
];

#[test]
fn every_listed_difference_is_one() {
    for (error, version, bytes) in STRICTER {
        assert_eq!(ours(*version, bytes), Err(*error));
        let others = (rmqtt::read(*version, bytes), proto::read(*version, bytes));
        assert!(others.0.is_some() || others.1.is_some(), "all refuse: {error}");
    }
}

/// Why the other refuses what we take.
fn refused_by_rmqtt(seen: &Seen) -> bool {
    match seen {
        // In 3.1.1 it is the session that refuses it, with return code 2 (3.1.3-8); in 5 it is allowed.
        Seen::Connect(connect, _) if connect.client_id.is_empty() && !connect.clean_start => true,
        // 0 is a number of seconds like any other.
        Seen::Connect(connect, _) => connect.will.as_ref().is_some_and(|will| will.expiry == Some(0)),
        Seen::Publish(publish) => publish.expiry == Some(0),
        Seen::Other(_) => false,
    }
}

/// Why the other refuses what we take.
fn refused_by_proto(seen: &Seen) -> bool {
    // A receiver may check the payload against its format, and need not (5, 3.3.2.3.2).
    let not_text =
        |passed_on: &PassedOn, payload: &[u8]| passed_on.utf8 && std::str::from_utf8(payload).is_err();
    // The form of filters is the session's to judge: it answers each with a reason of its own.
    let odd = |filter: &str| mqtt_proto::TopicFilter::try_from(filter).is_err();
    match seen {
        Seen::Publish(SeenPublish { passed_on, payload, .. }) => not_text(passed_on, payload),
        Seen::Connect(connect, Some(passed_on)) => {
            connect.will.as_ref().is_some_and(|will| not_text(passed_on, &will.payload))
        }
        Seen::Other(Packet::Subscribe(subscribe)) => {
            subscribe.filters.iter().any(|filter| odd(&filter.filter))
        }
        Seen::Other(Packet::Unsubscribe(unsubscribe)) => unsubscribe.filters.iter().any(|filter| odd(filter)),
        _ => false,
    }
}

/// Fails if the three differ in a way that is not explained.
fn compare(version: Version, bytes: &[u8]) -> Result<(), TestCaseError> {
    let rmqtt = rmqtt::read(version, bytes).and_then(rmqtt::seen);
    let proto = proto::read(version, bytes).and_then(proto::seen);
    match ours(version, bytes) {
        Ok(seen) => {
            prop_assert!(rmqtt.is_some() || refused_by_rmqtt(&seen), "rmqtt-codec refuses {:?}", seen);
            prop_assert!(proto.is_some() || refused_by_proto(&seen), "mqtt-proto refuses {:?}", seen);
            for theirs in [rmqtt, proto].into_iter().flatten() {
                prop_assert_eq!(&theirs, &seen);
            }
        }
        // What both refuse, we refuse: otherwise one of the two assertions above fails, or is explained.
        Err(error) => {
            let alone = rmqtt.is_some() || proto.is_some();
            prop_assert!(
                !alone || STRICTER.iter().any(|(stricter, ..)| *stricter == error),
                "only we refuse it: {}",
                error
            );
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_packet_reads_as_two_other_codecs_read_it(written in any_packet()) {
        let (version, bytes, expected) = (written.version, &written.bytes[..], written.seen);
        prop_assert_eq!(ours(version, bytes), Ok(expected.clone()));
        compare(version, bytes)?;
        // And what they write reads the same.
        if let Some(theirs) = proto::read(version, bytes) {
            prop_assert_eq!(ours(version, &proto::write(&theirs)), Ok(expected.clone()));
        }
        if let Some(theirs) = rmqtt::read(version, bytes) {
            prop_assert_eq!(ours(version, &rmqtt::write(version, theirs)), Ok(expected));
        }
    }
}

proptest! {
    // Most changes are refused by all three.
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn changed_packets_are_read_alike_but_for_what_is_explained(
        written in any_packet(), changes in proptest::collection::vec(change(), 1..4)
    ) {
        compare(written.version, &changed(&written.bytes, &changes))?;
    }
}

/// A change to a packet's bytes. The remaining length is made right again after changes of length.
#[derive(Debug, Clone)]
enum Change {
    Set(proptest::sample::Index, u8),
    Flip(proptest::sample::Index, u8),
    Insert(proptest::sample::Index, u8),
    Remove(proptest::sample::Index),
    Cut(proptest::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<proptest::sample::Index>;
    prop_oneof![
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => (at(), 0_u8..4).prop_map(|(at, byte)| Change::Set(at, byte)),
        2 => (at(), 0_u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        1 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        1 => at().prop_map(Change::Remove),
        1 => at().prop_map(Change::Cut),
    ]
}

fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let head = 2 + bytes[1..].iter().position(|byte| byte & 0x80 == 0).unwrap();
    let (mut first, mut body) = (bytes[0], bytes[head..].to_vec());
    for change in changes {
        // The front, where most of the rules are, is hit as often as the rest.
        let place = |at: &proptest::sample::Index, len: usize| {
            let at = at.index(len * 2);
            if at < len { at } else { at % len.min(24) }
        };
        let len = body.len() + 1;
        match change {
            Change::Set(at, byte) => match place(at, len) {
                0 => first = *byte,
                at => body[at - 1] = *byte,
            },
            Change::Flip(at, bit) => match place(at, len) {
                0 => first ^= 1 << bit,
                at => body[at - 1] ^= 1 << bit,
            },
            Change::Insert(at, byte) => body.insert(place(at, len), *byte),
            Change::Remove(at) if !body.is_empty() => drop(body.remove(place(at, len - 1))),
            Change::Cut(at) => body.truncate(place(at, len)),
            Change::Remove(_) => {}
        }
    }
    framed(first, &body)
}
