//! Attacks 23 to 27: broken packets, slow clients, acknowledgements out of order.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::client::{Client, Fate};
use crate::market::TOPIC;
use crate::packets::*;
use crate::scene::{Scene, eventually, full_or, number, numbered};

/// Packets that end a connection, with the reasons of which MQTT 5 is told one.
fn broken(version: Version) -> Vec<(&'static str, Vec<u8>, &'static [u8])> {
    const MALFORMED: &[u8] = &[0x81, 0x82];
    let of = |first: u8, parts: &[&[u8]]| packet(first, &parts.concat());
    let topic = {
        let mut out = Vec::new();
        text(&mut out, TOPIC);
        out
    };
    // The empty properties of MQTT 5, where a packet has some.
    let none: &[u8] = if version == V5 { &[0] } else { &[] };
    let filter = b"\0\x01a";
    let mut all = vec![
        ("a length of five bytes", vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x01], MALFORMED),
        ("a length of five bytes, small", vec![0xc0, 0x80, 0x80, 0x80, 0x80, 0x00], MALFORMED),
        ("a packet that is too large", vec![0x30, 0xff, 0xff, 0xff, 0x7f], &[0x95]),
        ("QoS 3", of(0x36, &[&topic, &[0, 1], none]), MALFORMED),
        ("DUP at QoS 0", of(0x38, &[&topic, none]), MALFORMED),
        ("a PUBLISH with identifier 0", of(0x32, &[&topic, &[0, 0], none]), MALFORMED),
        ("a PUBLISH without its identifier", of(0x32, &[&topic]), MALFORMED),
        ("a PUBLISH of nothing", of(0x30, &[]), MALFORMED),
        ("a topic longer than the packet", of(0x30, &[&[0, 200, b'i']]), MALFORMED),
        ("a PUBACK with identifier 0", of(0x40, &[&[0, 0]]), MALFORMED),
        ("a PUBACK without identifier", of(0x40, &[]), MALFORMED),
        ("a PUBACK with flags", of(0x41, &[&[0, 1]]), MALFORMED),
        ("a PUBREC with flags", of(0x52, &[&[0, 1]]), MALFORMED),
        ("a PUBREL without its flags", of(0x60, &[&[0, 1]]), MALFORMED),
        ("a PUBCOMP with flags", of(0x74, &[&[0, 1]]), MALFORMED),
        ("a SUBSCRIBE without its flags", of(0x80, &[&[0, 1], none, filter, &[0]]), MALFORMED),
        ("a SUBSCRIBE of nothing", of(0x82, &[&[0, 1], none]), MALFORMED),
        ("a SUBSCRIBE with identifier 0", of(0x82, &[&[0, 0], none, filter, &[0]]), MALFORMED),
        ("a SUBSCRIBE at QoS 3", of(0x82, &[&[0, 1], none, filter, &[3]]), MALFORMED),
        ("a SUBSCRIBE with reserved bits", of(0x82, &[&[0, 1], none, filter, &[0x40]]), MALFORMED),
        ("a SUBSCRIBE to the empty filter", of(0x82, &[&[0, 1], none, &[0, 0, 0]]), &[0x81, 0x82, 0x8f]),
        ("a SUBSCRIBE that ends in a filter", of(0x82, &[&[0, 1], none, &[0, 9, b'a', 0]]), MALFORMED),
        ("an UNSUBSCRIBE of nothing", of(0xa2, &[&[0, 1], none]), MALFORMED),
        ("an UNSUBSCRIBE with identifier 0", of(0xa2, &[&[0, 0], none, filter]), MALFORMED),
        ("an UNSUBSCRIBE without its flags", of(0xa0, &[&[0, 1], none, filter]), MALFORMED),
        ("a PINGREQ with a body", of(0xc0, &[&[1]]), MALFORMED),
        ("a PINGREQ with flags", of(0xc1, &[]), MALFORMED),
        ("a DISCONNECT with flags", of(0xe1, &[]), MALFORMED),
        ("packet type 0", of(0x00, &[]), MALFORMED),
        ("packet type 0 with a body", of(0x00, &[&[0, 0]]), MALFORMED),
        // What only a server sends (C5).
        ("a CONNACK", of(0x20, &[&[0, 0], none]), MALFORMED),
        ("a SUBACK", of(0x90, &[&[0, 1], none, &[0]]), MALFORMED),
        ("an UNSUBACK", of(0xb0, &[&[0, 1], none]), MALFORMED),
        ("a PINGRESP", of(0xd0, &[]), MALFORMED),
    ];
    if version == V311 {
        all.push(("a PUBACK with a reason", of(0x40, &[&[0, 1, 2]]), MALFORMED));
        all.push(("a DISCONNECT with a body", of(0xe0, &[&[0]]), MALFORMED));
        all.push(("packet type 15", of(0xf0, &[]), MALFORMED));
        return all;
    }
    let publish = |props: Props| Publish::new(TOPIC, b"x").props(props).bytes(V5);
    let subscribe = |props: Props| subscribe(V5, 1, &[(TOPIC, 1)], &props);
    let twice = |props: Props| props.clone().raw(props.as_bytes());
    all.extend([
        ("a length in more bytes than needed", vec![0xc0, 0x80, 0x00], MALFORMED),
        ("no topic and no alias", Publish::new("", b"x").bytes(V5), MALFORMED),
        ("AUTH unasked", of(0xf0, &[&[0x18, 0]]), &[0x82]),
        ("an empty AUTH", of(0xf0, &[]), &[0x82]),
        ("AUTH with flags", of(0xf1, &[&[0x18, 0]]), MALFORMED),
        ("a DISCONNECT with properties past its end", of(0xe0, &[&[0, 9, 0x11]]), MALFORMED),
        ("a DISCONNECT with a server's reason", of(0xe0, &[&[0x8e, 0]]), MALFORMED),
        ("a DISCONNECT with a reason that is none", of(0xe0, &[&[0x03, 0]]), MALFORMED),
        ("a DISCONNECT that starts a session's expiry", of(0xe0, &[&[0, 5, 0x11, 0, 0, 0, 9]]), &[0x82]),
        ("a PUBLISH with properties past its end", of(0x30, &[&topic, &[200, 1, 0]]), MALFORMED),
        ("a PUBLISH without properties' length", of(0x30, &[&topic]), MALFORMED),
        ("properties' length in five bytes", of(0x30, &[&topic, &[0x80, 0x80, 0x80, 0x80, 0]]), MALFORMED),
        ("an unknown property", publish(Props::new().byte(0x7f, 0)), MALFORMED),
        ("a property of another packet", publish(Props::new().four(prop::SESSION_EXPIRY, 1)), MALFORMED),
        ("a property cut off", publish(Props::new().raw(&[prop::MESSAGE_EXPIRY, 0, 0])), MALFORMED),
        ("a payload format that is none", publish(Props::new().byte(prop::PAYLOAD_FORMAT, 2)), MALFORMED),
        ("a format twice", publish(twice(Props::new().byte(prop::PAYLOAD_FORMAT, 0))), MALFORMED),
        ("an expiry twice", publish(twice(Props::new().four(prop::MESSAGE_EXPIRY, 9))), MALFORMED),
        ("an alias twice", publish(twice(Props::new().two(prop::TOPIC_ALIAS, 1))), MALFORMED),
        ("a content type twice", publish(twice(Props::new().text(prop::CONTENT_TYPE, "a"))), MALFORMED),
        ("a response topic twice", publish(twice(Props::new().text(prop::RESPONSE_TOPIC, "a"))), MALFORMED),
        ("correlation data twice", publish(twice(Props::new().text(prop::CORRELATION, "a"))), MALFORMED),
        ("a user property that is no text", publish(Props::new().raw(b"\x26\0\x01\xff\0\x01a")), MALFORMED),
        ("a user property with NUL", publish(Props::new().user("a\0", "b")), MALFORMED),
        (
            "a content type that is no text",
            publish(Props::new().text(prop::CONTENT_TYPE, b"\xff")),
            MALFORMED,
        ),
        (
            "a response topic with a wildcard",
            publish(Props::new().text(prop::RESPONSE_TOPIC, "a/#")),
            &[0x81, 0x82, 0x90],
        ),
        (
            "a subscription identifier in PUBLISH",
            publish(Props::new().number(prop::SUBSCRIPTION_ID, 1)),
            MALFORMED,
        ),
        ("subscription identifier 0", subscribe(Props::new().number(prop::SUBSCRIPTION_ID, 0)), MALFORMED),
        (
            "two subscription identifiers",
            subscribe(twice(Props::new().number(prop::SUBSCRIPTION_ID, 1))),
            MALFORMED,
        ),
        ("retain handling 3", of(0x82, &[&[0, 1, 0], filter, &[0x30]]), MALFORMED),
        ("no local of a share", of(0x82, &[&[0, 1, 0], b"\0\x0a$share/g/a", &[0x04]]), MALFORMED),
        ("a PUBACK with a reason that is none", of(0x40, &[&[0, 1, 0x05]]), MALFORMED),
        ("a PUBACK with bad properties", of(0x40, &[&[0, 1, 0, 3, 0x01, 0, 0]]), MALFORMED),
        ("a PUBREL with a reason that is none", of(0x62, &[&[0, 1, 0x10]]), MALFORMED),
    ]);
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_23_a_broken_packet_ends_its_connection_and_nothing_else() {
    for &version in VERSIONS {
        let scene = Scene::with(1_000, |config| config.max_packet = 100_000).await;
        let mut buyer = scene.buyer(version, "a", 1).await;
        for user in ["device", "order"] {
            for (what, bytes, reasons) in broken(version) {
                let mut client = scene.client(version, "bad", user).await;
                client.send(&bytes).await;
                // A buyer may not publish anything, good or bad.
                let Fate::Closed(told) = client.end().await else { unreachable!() };
                let expected = match (version, told) {
                    (V311, told) => told.is_none(),
                    (V5, Some(told)) => reasons.contains(&told) || (user == "order" && told == 0x87),
                    (V5, None) => false,
                };
                assert!(expected, "{version:?} {user} {what}: told {told:02x?}, not one of {reasons:02x?}");
            }
        }
        let mut device = scene.device(version).await;
        assert_eq!(device.publish(TOPIC, b"x", 1).await, Fate::Acknowledged(0));
        assert_eq!(buyer.payload().await, b"x");
        assert_eq!(scene.gate.stats().publishes_accepted, 1);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_23_connections_of_random_bytes_hurt_nobody() {
    // A generator of its own (xorshift), so that every run tries the same.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    let scene = Scene::with(100, |config| {
        config.connect_limit = Duration::from_millis(100);
        config.packet_limit = Duration::from_millis(100);
    })
    .await;
    for round in 0..1_500 {
        let version = if round % 2 == 0 { V311 } else { V5 };
        let mut bytes = [
            Hello::new(version, "mutant", "device").will(Will::new(TOPIC, b"w")).bytes(),
            Publish::new(TOPIC, b"payload").qos(1, 9).bytes(version),
            subscribe(version, 1, &[(TOPIC, 1)], &Props::new()),
            unsubscribe(version, 2, &[TOPIC]),
            ack(4, 1),
            ack(5, 1),
            ack(6, 1),
            ack(7, 1),
            PINGREQ.to_vec(),
        ]
        .concat();
        for _ in 0..=random(4) {
            let place = random(bytes.len());
            match random(3) {
                0 => bytes[place] = u8::try_from(random(256)).unwrap(),
                1 => bytes.insert(place, u8::try_from(random(256)).unwrap()),
                _ => drop(bytes.remove(place)),
            }
        }
        let mut client = scene.open(version).await;
        client.try_send(&bytes).await;
        if round % 50 == 0 {
            let _ = client.stream.shutdown().await;
        }
        client.abort();
    }
    eventually("all are gone", || scene.sessions() == 0).await;
    assert_eq!(scene.gate.stats().forced, 0);
    scene.ends_well().await;
}

/// Clients that begin and do not go on. Bytes of other protocols are just a CONNECT that does not come.
async fn beginners(scene: &Scene, version: Version) -> Vec<Client> {
    let beginnings = [
        Vec::new(),
        vec![0x10],
        Hello::new(version, "half", "device").bytes()[..12].to_vec(),
        // A CONNECT that says it is as long as may be.
        vec![0x10, 0xff, 0xff, 0x0f, 0, 4, b'M', b'Q', b'T', b'T'],
    ];
    let mut slow = Vec::new();
    for beginning in &beginnings {
        for _ in 0..25 {
            let mut client = scene.open(version).await;
            client.try_send(beginning).await;
            slow.push(client);
        }
    }
    slow
}

/// Devices that are logged in and send half of a PUBLISH as large as may be.
async fn halves(scene: &Scene, version: Version) -> Vec<Client> {
    let mut bytes = Publish::new(TOPIC, vec![7; 200_000]).bytes(version);
    bytes.truncate(100_000);
    let mut slow = Vec::new();
    for number in 0..25 {
        let mut device = scene.client(version, &format!("half-{number}"), "device").await;
        device.try_send(&bytes).await;
        slow.push(device);
    }
    slow
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_24_clients_that_send_slowly_or_nothing_hold_up_nobody() {
    let scene = Scene::new(1_000).await;
    for &version in VERSIONS {
        let slow = (beginners(&scene, version).await, halves(&scene, version).await);
        let mut buyer = scene.buyer(version, "a", 1).await;
        let mut device = scene.device(version).await;
        assert_eq!(device.publish(TOPIC, b"x", 1).await, Fate::Acknowledged(0));
        assert_eq!(buyer.payload().await, b"x");
        assert_eq!(scene.sessions(), 27, "all are still there");
        drop((slow, buyer, device));
        eventually("all are gone", || scene.sessions() == 0).await;
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_24_clients_that_send_slowly_or_nothing_are_given_up() {
    const SOON: Duration = Duration::from_millis(400);
    for &version in VERSIONS {
        let scene = Scene::with(1_000, |config| config.connect_limit = SOON).await;
        let mut slow = beginners(&scene, version).await;
        // One byte at a time does not make the time for CONNECT longer: all of this one would take a minute.
        let dribbling = scene.open(version).await;
        for byte in Hello::new(version, "x".repeat(1_200), "device").bytes() {
            if dribbling.stream.try_write(&[byte]).is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        slow.push(dribbling);
        for client in &mut slow {
            assert_eq!(client.end().await, Fate::Closed(None));
        }
        assert_eq!(scene.gate.stats().logins, 0);
        scene.ends_well().await;

        let scene = Scene::with(1_000, |config| config.packet_limit = SOON).await;
        for mut client in halves(&scene, version).await {
            client.told_at_end().await;
        }
        eventually("all are gone", || scene.sessions() == 0).await;
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_25_a_burst_for_a_client_that_does_not_read_is_bounded_and_its_goodbye_hurts_nobody() {
    let messages = full_or(1_000_000, 200_000);
    for &version in VERSIONS {
        let scene = Scene::new(10_000_000).await;
        let mut stopped = Client::open_small(scene.gate.local_addr(), version).await;
        stopped.hello(&Hello::new(version, "stopped", "order")).await.unwrap();
        assert_eq!(stopped.subscribe(&[(TOPIC, 0)]).await, [0]);
        let mut device = scene.device(version).await;
        let mut batch = Vec::new();
        for number in 0..messages {
            batch.extend(Publish::new(TOPIC, numbered(number, 100)).bytes(version));
            if batch.len() > 60_000 || number + 1 == messages {
                device.send(&batch).await;
                batch.clear();
            }
        }
        assert!(device.lives().await, "all was taken: {:02x?}", device.told);
        let stats = scene.gate.stats();
        assert!(stats.delivered < messages / 2, "what nobody reads is not delivered: {}", stats.delivered);
        // Good-bye, with the burst unread (C3).
        stopped.send(GOODBYE).await;
        drop(stopped);
        eventually("it is gone", || scene.sessions() == 1).await;
        let mut buyer = scene.buyer(version, "stopped", 1).await;
        assert_eq!(device.publish(TOPIC, b"after", 1).await, Fate::Acknowledged(0));
        assert_eq!(buyer.payload().await, b"after", "none of the burst is left over");
        assert_eq!(scene.gate.stats().log_restarts, 0);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_26_acknowledgements_in_any_order_twice_and_of_nothing_are_taken_calmly() {
    for &version in VERSIONS {
        let scene = Scene::with(1_000, |config| config.max_inflight = 8).await;
        let mut buyer = scene.buyer(version, "a", 1).await;
        let mut device = scene.device(version).await;
        for number in 0..24 {
            assert_eq!(device.publish(TOPIC, numbered(number, 8), 1).await, Fate::Acknowledged(0));
        }
        let mut expected = 0;
        for _ in 0..3 {
            let mut ids = Vec::new();
            for _ in 0..8 {
                let message = buyer.message().await.unwrap();
                assert_eq!(number(&message.payload), expected);
                expected += 1;
                ids.push(message.id.unwrap());
            }
            assert!(buyer.hears_nothing().await, "the window is full");
            // Unknown ones, then the last first, then all again.
            for id in [999, 65_535].iter().chain(ids.iter().rev()).chain(&ids) {
                buyer.send(ack(4, *id)).await;
            }
        }
        assert!(buyer.lives().await && buyer.hears_nothing().await);
        eventually("24 are charged", || scene.market.billed() == 24).await;
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_a_share_is_not_offered_so_none_can_die_with_its_member() {
    for &version in VERSIONS {
        let scene = Scene::new(100).await;
        let mut device = scene.device(version).await;
        let shared = format!("$share/g/{TOPIC}");
        let mut other = scene.buyer(version, "other", 1).await;
        for number in 0..5 {
            // As C2 does it: the only member of a group, at QoS 1, goes without acknowledging.
            let mut member = scene.enter(&Hello::new(version, "member", "order").resuming()).await;
            let refused = if version == V5 { 0x9e } else { 0x80 };
            assert_eq!(member.subscribe(&[(&shared, 1)]).await, [refused]);
            assert_eq!(device.publish(TOPIC, numbered(number, 8), 1).await, Fate::Acknowledged(0));
            assert_eq!(crate::scene::number(&other.payload().await), number);
            assert!(member.hears_nothing().await);
            member.abort();
        }
        assert_eq!(scene.gate.stats().log_restarts, 0);
        scene.ends_well().await;
    }
}
