use bytes::{BufMut, BytesMut};
use i3_core::gate::PublishRight;
use i3_core::id::{ProductId, TypedId};

use super::*;

pub(super) fn right(number: u128, topic: &str) -> PublishRight {
    PublishRight { product: ProductId::from_bits(number), topic: topic.parse().unwrap(), terms: None }
}

pub(super) fn terms(version: Version) -> Terms {
    Terms {
        version,
        expiry: 60,
        most_expiry: 100,
        receive_maximum: 3,
        alias_maximum: 2,
        takes_alias: false,
        refusals: 2,
        explains: true,
        longest: usize::MAX,
    }
}

pub(super) fn device_with(terms: Terms) -> Session {
    let rights = Rights::new(vec![right(2, "i3/h/b"), right(1, "i3/h/a")]);
    Session::new(terms, rights, Received::default(), Window::new(3, usize::MAX))
}

fn device(version: Version) -> Session {
    device_with(terms(version))
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.put_u16(u16::try_from(text.len()).unwrap());
    out.extend_from_slice(text.as_bytes());
}

/// A PUBLISH; alias 0 is none.
pub(super) fn publish(version: Version, topic: &str, alias: u16, qos: Qos, id: u16) -> Packet {
    let mut body = Vec::new();
    string(&mut body, topic);
    if qos != Qos::AtMostOnce {
        body.put_u16(id);
    }
    if version == Version::V5 {
        let alias: &[u8] = if alias == 0 { &[] } else { &[0x23, 0, u8::try_from(alias).unwrap()] };
        body.put_u8(u8::try_from(alias.len()).unwrap());
        body.extend_from_slice(alias);
    }
    body.push(b'x');
    let mut bytes = BytesMut::new();
    bytes.put_u8(0x30 | qos.bits() << 1);
    bytes.put_u8(u8::try_from(body.len()).unwrap());
    bytes.extend_from_slice(&body);
    wire::decode(version, &mut bytes, 1_000).unwrap().unwrap()
}

pub(super) fn ack(id: u16, reason: Reason) -> wire::Ack {
    wire::Ack { packet_id: id, reason }
}

fn judge(session: &mut Session, packet: Packet) -> Result<Event, Ending> {
    session.packet(packet, &mut Vec::new())
}

/// The right that a publish uses; `None` if it is refused.
fn used(session: &mut Session, topic: &str, alias: u16) -> Option<String> {
    match judge(session, publish(Version::V5, topic, alias, Qos::AtMostOnce, 0)) {
        Ok(Event::Publish(_, right)) => Some(session.rights().get(right).unwrap().topic.as_str().to_owned()),
        Ok(Event::Refused(_)) => None,
        other => panic!("{other:?}"),
    }
}

const VIOLATION: fn(Reason) -> Result<Event, Ending> = |reason| Err(Ending::Violation(reason));

#[test]
fn a_device_publishes_to_its_exact_topics_only() {
    let mut session = device(Version::V5);
    for topic in ["i3/h/a", "i3/h/b", "i3/h/b", "i3/h/a"] {
        assert_eq!(used(&mut session, topic, 0).as_deref(), Some(topic));
    }
    for other in
        ["i3/h/c", "i3/h/a/", "/i3/h/a", "i3/h/A", "i3/h/a ", "i3/h", "$SYS/x", "ä/h/a", "i3/h/a\u{301}"]
    {
        assert_eq!(used(&mut session, other, 0), None, "{other}");
    }
    session.set_rights(Rights::new(Vec::new()));
    assert_eq!(used(&mut session, "i3/h/a", 0), None);
}

#[test]
fn an_alias_means_what_it_was_last_allowed_to_mean() {
    let mut session = device(Version::V5);
    assert_eq!(used(&mut session, "i3/h/a", 1).as_deref(), Some("i3/h/a"));
    assert_eq!(used(&mut session, "", 1).as_deref(), Some("i3/h/a"));
    assert_eq!(used(&mut session, "i3/h/b", 1).as_deref(), Some("i3/h/b"));
    assert_eq!(used(&mut session, "", 1).as_deref(), Some("i3/h/b"));
    session.set_rights(Rights::new(vec![right(1, "i3/h/a")]));
    assert_eq!(used(&mut session, "", 1), None, "rights are looked at each time");
    let aliased = |alias, topic: &str| publish(Version::V5, topic, alias, Qos::AtMostOnce, 0);
    assert_eq!(judge(&mut session, aliased(2, "")), VIOLATION(Reason::ProtocolError), "never defined");
    assert_eq!(judge(&mut session, aliased(3, "i3/h/a")), VIOLATION(Reason::TopicAliasInvalid));
}

#[test]
fn a_refused_definition_is_not_remembered_and_ends_the_one_before() {
    let mut session = device(Version::V5);
    let aliased = |topic: &str| publish(Version::V5, topic, 1, Qos::AtMostOnce, 0);
    assert_eq!(used(&mut session, "i3/h/secret", 1), None);
    assert_eq!(judge(&mut session, aliased("")), VIOLATION(Reason::ProtocolError));
    assert_eq!(used(&mut session, "i3/h/a", 1).as_deref(), Some("i3/h/a"));
    assert_eq!(used(&mut session, "i3/h/secret", 1), None);
    assert_eq!(judge(&mut session, aliased("")), VIOLATION(Reason::ProtocolError));
}

#[test]
fn a_message_of_exactly_once_is_accepted_once_until_it_is_released() {
    for version in [Version::V311, Version::V5] {
        let (mut session, mut out) = (device(version), Vec::new());
        let message = || publish(version, "i3/h/a", 0, Qos::ExactlyOnce, 7);
        assert!(matches!(judge(&mut session, message()), Ok(Event::Publish(..))));
        assert_eq!(judge(&mut session, message()), Ok(Event::Again(7)));
        assert_eq!(session.packet(Packet::PubRel(ack(7, Reason::Success)), &mut out), Ok(Event::Done));
        assert!(matches!(judge(&mut session, message()), Ok(Event::Publish(..))));
        session.forget(7);
        assert!(matches!(judge(&mut session, message()), Ok(Event::Publish(..))), "the first was lost");
        session.packet(Packet::PubRel(ack(9, Reason::Success)), &mut out).unwrap();
        let unknown: &[u8] = if version == Version::V5 { &[0x70, 3, 0, 9, 0x92] } else { &[0x70, 2, 0, 9] };
        assert_eq!(out, [&[0x70, 2, 0, 7], unknown].concat());
    }
}

#[test]
fn what_was_received_outlives_the_connection_and_what_waits_for_an_answer_does_not() {
    let mut session = device(Version::V5);
    for (qos, id) in [(Qos::ExactlyOnce, 7), (Qos::AtLeastOnce, 8)] {
        judge(&mut session, publish(Version::V5, "i3/h/a", 0, qos, id)).unwrap();
    }
    let (received, window) = session.into_kept();
    let mut session =
        Session::new(terms(Version::V5), Rights::new(vec![right(1, "i3/h/a")]), received, window);
    let message = |qos, id| publish(Version::V5, "i3/h/a", 0, qos, id);
    assert_eq!(judge(&mut session, message(Qos::ExactlyOnce, 7)), Ok(Event::Again(7)));
    assert!(matches!(judge(&mut session, message(Qos::AtLeastOnce, 8)), Ok(Event::Publish(..))));
    assert!(matches!(judge(&mut session, message(Qos::AtLeastOnce, 9)), Ok(Event::Publish(..))));
}

#[test]
fn more_messages_under_way_than_announced_are_a_violation() {
    let mut session = device(Version::V5);
    let message = |qos, id| publish(Version::V5, "i3/h/a", 0, qos, id);
    for (qos, id) in
        [(Qos::ExactlyOnce, 1), (Qos::AtLeastOnce, 2), (Qos::AtLeastOnce, 3), (Qos::AtMostOnce, 0)]
    {
        assert!(matches!(judge(&mut session, message(qos, id)), Ok(Event::Publish(..))));
    }
    let too_many = VIOLATION(Reason::ReceiveMaximumExceeded);
    assert_eq!(judge(&mut session, message(Qos::AtLeastOnce, 4)), too_many);
    session.acknowledged();
    for id in [4, 5] {
        assert!(matches!(judge(&mut session, message(Qos::ExactlyOnce, id)), Ok(Event::Publish(..))));
    }
    assert_eq!(
        judge(&mut session, message(Qos::ExactlyOnce, 5)),
        Ok(Event::Again(5)),
        "it is under way already"
    );
    assert_eq!(judge(&mut session, message(Qos::ExactlyOnce, 6)), too_many);
    judge(&mut session, Packet::PubRel(ack(5, Reason::Success))).unwrap();
    assert!(matches!(judge(&mut session, message(Qos::ExactlyOnce, 6)), Ok(Event::Publish(..))));
}

#[test]
fn refused_publishes_are_answered_where_there_is_an_answer_and_for_so_long() {
    let ending = Err(Ending::Violation(Reason::NotAuthorized));
    let refuse = |session: &mut Session, qos, out: &mut Vec<u8>| {
        let version = session.version();
        match session.packet(publish(version, "i3/h/c", 0, qos, 5), out) {
            Ok(Event::Refused(publish)) => session.refuse(&publish, out),
            other => panic!("{other:?}"),
        }
    };
    let mut out = Vec::new();
    assert_eq!(refuse(&mut device(Version::V311), Qos::AtLeastOnce, &mut out), ending);
    assert_eq!(refuse(&mut device(Version::V5), Qos::AtMostOnce, &mut out), ending);
    assert!(out.is_empty());
    let mut terse = device_with(Terms { explains: false, ..terms(Version::V5) });
    assert_eq!(refuse(&mut terse, Qos::AtLeastOnce, &mut out), Ok(()));
    assert_eq!(refuse(&mut terse, Qos::ExactlyOnce, &mut out), Ok(()));
    assert_eq!(out, [0x40, 3, 0, 5, 0x87, 0x50, 3, 0, 5, 0x87]);
    assert_eq!(refuse(&mut terse, Qos::ExactlyOnce, &mut out), ending, "enough is enough");
    assert_eq!(terse.received.count(), 0);
    let mut mended = device(Version::V5);
    for _ in 0..10 {
        assert_eq!(refuse(&mut mended, Qos::AtLeastOnce, &mut out), Ok(()));
        judge(&mut mended, publish(Version::V5, "i3/h/a", 0, Qos::AtMostOnce, 0)).unwrap();
    }
    out.clear();
    let mut narrow = device_with(Terms { longest: 20, ..terms(Version::V5) });
    assert_eq!(refuse(&mut narrow, Qos::AtLeastOnce, &mut out), Ok(()));
    assert_eq!(out, [0x40, 3, 0, 5, 0x87], "an explanation that does not fit is left out");
}

#[test]
fn a_session_may_be_lengthened_at_the_end_but_not_begun() {
    let goodbye =
        |expiry| Packet::Disconnect(Disconnect { reason: Reason::Success, session_expiry: Some(expiry) });
    for (expiry, left) in [(0, 0), (70, 70), (101, 100), (u32::MAX, 100)] {
        let mut session = device(Version::V5);
        assert!(matches!(judge(&mut session, goodbye(expiry)), Ok(Event::Disconnect(_))));
        assert_eq!(session.expiry(), left);
    }
    let mut session = device_with(Terms { expiry: 0, ..terms(Version::V5) });
    assert_eq!(judge(&mut session, goodbye(1)), VIOLATION(Reason::ProtocolError));
    assert!(matches!(judge(&mut session, goodbye(0)), Ok(Event::Disconnect(_))));
}

#[test]
fn receipts_are_released_and_unknown_ones_too() {
    let (mut session, mut out) = (device(Version::V5), Vec::new());
    let id = session.window.take(Qos::ExactlyOnce, None).unwrap();
    for (id, reason) in [(id, Reason::Success), (id, Reason::Success), (9, Reason::Success)] {
        session.packet(Packet::PubRec(ack(id, reason)), &mut out).unwrap();
    }
    assert_eq!(out, [0x62, 2, 0, 1, 0x62, 2, 0, 1, 0x62, 3, 0, 9, 0x92]);
    out.clear();
    let id = session.window.take(Qos::ExactlyOnce, None).unwrap();
    session.packet(Packet::PubRec(ack(id, Reason::QuotaExceeded)), &mut out).unwrap();
    assert!(out.is_empty(), "what the client refuses is over");
    session.packet(Packet::PubComp(ack(1, Reason::Success)), &mut out).unwrap();
    assert_eq!(session.window.room(), 3);
}

#[test]
fn extended_authentication_was_not_agreed_on() {
    let auth = Packet::Auth(wire::Auth { reason: Reason::Reauthenticate });
    assert_eq!(judge(&mut device(Version::V5), auth), VIOLATION(Reason::ProtocolError));
}
