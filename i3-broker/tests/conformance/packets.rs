//! Chapters 1 and 2: strings, lengths, flags, packet identifiers.

use super::*;
use crate::client::Reply;
use crate::scene::numbered;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_that_is_not_well_formed_ends_the_connection() {
    // Overlong, surrogates, cut off, beyond the last character, NUL (1.5.4-1, -2; 3.1.1 1.5.3-1, -2).
    let bad = [b"\xc0\xaf".as_slice(), b"\xed\xa0\x80", b"\xe2\x82", b"\xf4\x90\x80\x80", b"\xff", b"a\0b"];
    for &version in VERSIONS {
        let (scene, _buyer, _) = pair(version, 1).await;
        for text in bad {
            let packets = [
                Publish::new(text, b"x").bytes(version),
                subscribe(version, 1, &[(text, 0)], &Props::new()),
                unsubscribe(version, 1, &[text]),
            ];
            for packet in packets {
                let mut client = scene.device(version).await;
                client.send(packet).await;
                assert_eq!(client.end().await, told(version, 0x81), "{version:?} {text:02x?}");
            }
            let hellos = [
                Hello::new(version, text, "device"),
                Hello::new(version, "x", "device").login(Some(text), Some(b"secret")),
                Hello::new(version, "x", "device").will(Will::new(text, b"x")),
            ];
            for hello in hellos {
                let mut client = scene.open(version).await;
                let answer = client.hello(&hello).await.map(|(_, code, _)| code);
                assert!(
                    answer.is_none() || (version == V5 && answer.is_some_and(|code| code >= 0x80)),
                    "{answer:?}"
                );
                assert!(matches!(client.end().await, Fate::Closed(_)));
            }
        }
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_in_properties_is_checked_too() {
    let (scene, _buyer, _) = pair(V5, 1).await;
    for bad in [b"\xed\xa0\x80".as_slice(), b"\xff", b"a\0b"] {
        // 3.3.2-13, -19, 1.5.7-1 (either string of a pair)
        let mut pair = vec![prop::USER];
        text(&mut pair, bad);
        text(&mut pair, b"x");
        let mut other = vec![prop::USER];
        text(&mut other, b"x");
        text(&mut other, bad);
        for props in [
            Props::new().text(prop::CONTENT_TYPE, bad),
            Props::new().text(prop::RESPONSE_TOPIC, bad),
            Props::new().raw(&pair),
            Props::new().raw(&other),
        ] {
            let mut device = scene.device(V5).await;
            device.send(Publish::new(TOPIC, b"x").props(props).bytes(V5)).await;
            assert_eq!(device.end().await, Fate::Closed(Some(0x81)));
        }
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_byte_order_mark_is_a_character_like_any_other() {
    let (scene, mut buyer, mut device) = pair(V5, 1).await;
    let props = Props::new().user("\u{feff}name", "\u{feff}").text(prop::CONTENT_TYPE, "\u{feff}text");
    let message =
        through(&mut device, &mut buyer, Publish::new(TOPIC, b"\xef\xbb\xbfpayload").props(props)).await;
    assert_eq!(message.payload, b"\xef\xbb\xbfpayload");
    assert!(message.properties.user().contains(&("\u{feff}name", "\u{feff}")));
    assert_eq!(message.properties.text(prop::CONTENT_TYPE), Some("\u{feff}text".as_bytes()));
    assert_eq!(buyer.subscribe(&[("\u{feff}i3/hub/product", 1)]).await, [0x87], "it is not skipped");
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_in_more_bytes_than_it_needs_is_malformed() {
    let (scene, _, _) = pair(V5, 1).await;
    let body = topic();
    for bytes in [
        vec![0xc0, 0x80, 0x00],
        // The length of the properties.
        packet(0x30, &[body.as_slice(), &[0x80, 0x00]].concat()),
        // A subscription identifier.
        packet(0x82, &[&[0, 1, 3, 0x0b, 0x81, 0x00], body.as_slice(), &[0]].concat()),
    ] {
        let mut client = scene.client(V5, "x", "device").await;
        client.send(&bytes).await;
        assert_eq!(client.end().await, Fate::Closed(Some(0x81)), "{bytes:02x?}");
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reserved_flags_of_the_first_byte_are_as_the_table_says() {
    for &version in VERSIONS {
        let (scene, _buyer, _) = pair(version, 1).await;
        let filter = [&[0, 1], none(version), b"\0\x01a"].concat();
        let subscribe = [filter.as_slice(), &[0]].concat();
        let id: &[u8] = &[0, 1];
        for (kind, right, body) in [
            (4_u8, 0_u8, id),
            (5, 0, id),
            (6, 2, id),
            (7, 0, id),
            (8, 2, &subscribe),
            (10, 2, &filter),
            (12, 0, &[]),
            (14, 0, &[]),
        ] {
            for flags in (0..16).filter(|flags| *flags != right) {
                let mut client = scene.device(version).await;
                client.send(packet(kind << 4 | flags, body)).await;
                assert_eq!(client.end().await, told(version, 0x81), "{kind} with {flags:#x}");
            }
        }
        // The same of CONNECT, which is answered before there is a session (3.1.1 2.2.2-2).
        for flags in 1..16 {
            let mut client = scene.open(version).await;
            let mut hello = Hello::new(version, "x", "device").bytes();
            hello[0] |= flags;
            client.send(hello).await;
            if let Some(reply) = client.reply().await {
                assert!(matches!(reply, Reply::Connack { code: 0x81.., .. }) && version == V5, "{reply:?}");
            }
            assert!(matches!(client.end().await, Fate::Closed(_)));
        }
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packet_identifier_is_there_when_it_must_be_and_is_not_0() {
    for &version in VERSIONS {
        let (scene, mut buyer, mut device) = pair(version, 1).await;
        let filter = [none(version), b"\0\x01a"].concat();
        for bytes in [
            packet(0x32, &[topic().as_slice(), &[0, 0], none(version)].concat()),
            packet(0x34, &[topic().as_slice(), &[0, 0], none(version)].concat()),
            packet(0x82, &[&[0, 0], filter.as_slice(), &[0]].concat()),
            packet(0xa2, &[&[0, 0], filter.as_slice()].concat()),
        ] {
            let mut client = scene.client(version, "x", "device").await;
            client.send(&bytes).await;
            let Fate::Closed(told) = client.end().await else { unreachable!() };
            assert!(if version == V5 { matches!(told, Some(0x81 | 0x82)) } else { told.is_none() });
        }
        // At QoS 0 there is none: the two bytes belong to the payload (2.2.1-2; 3.1.1 2.3.1-5).
        device.tell(TOPIC, [0, 7, b'x']).await;
        assert_eq!(buyer.payload().await, [0, 7, b'x']);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_has_the_identifier_of_what_it_answers() {
    for &version in VERSIONS {
        let (scene, mut buyer, mut device) = pair(version, 0).await;
        for id in [1_u16, 2, 255, 256, 65_535] {
            device.send(Publish::new(TOPIC, b"x").qos(1, id).bytes(version)).await;
            assert!(matches!(device.reply().await, Some(Reply::Ack(4, of, 0, _)) if of == id));
            device.send(Publish::new(TOPIC, b"x").qos(2, id).bytes(version)).await;
            assert!(matches!(device.reply().await, Some(Reply::Ack(5, of, 0, _)) if of == id));
            device.send(ack(6, id)).await;
            assert!(matches!(device.reply().await, Some(Reply::Ack(7, of, 0, _)) if of == id));
            for _ in 0..2 {
                assert_eq!(buyer.payload().await, b"x");
            }
            buyer.send(subscribe(version, id, &[(TOPIC, 0)], &Props::new())).await;
            assert!(matches!(buyer.reply().await, Some(Reply::Suback(of, ..)) if of == id));
            buyer.send(unsubscribe(version, id, &["x"])).await;
            assert!(matches!(buyer.reply().await, Some(Reply::Unsuback(of, ..)) if of == id));
        }
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gates_own_identifiers_are_not_0_and_not_in_use() {
    for &version in VERSIONS {
        for qos in [1, 2] {
            let scene = Scene::with(100_000, |config| config.max_inflight = 5).await;
            let mut buyer = scene.buyer(version, "buyer", qos).await;
            let mut device = scene.device(version).await;
            let mut open: Vec<Message> = Vec::new();
            for number in 0..40 {
                assert_eq!(device.publish(TOPIC, numbered(number, 8), qos).await, Fate::Acknowledged(0));
                // The strict client has checked for 0.
                let message = buyer.message().await.unwrap();
                assert!(!message.dup && open.iter().all(|other| other.id != message.id), "{open:?}");
                open.push(message);
                if open.len() == 5 {
                    // The middle one first, so that gaps arise.
                    for place in [2, 0, 1] {
                        let done = open.remove(place);
                        buyer.acknowledge(&done).await;
                    }
                }
            }
            scene.ends_well().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_may_come_in_any_pieces() {
    // 4.2.0-1: a stream of bytes has no packets.
    for &version in VERSIONS {
        let (scene, mut buyer, _) = pair(version, 1).await;
        let mut device = scene.open(version).await;
        let bytes = [
            Hello::new(version, "pieces", "device").bytes(),
            Publish::new(TOPIC, b"one").qos(1, 1).bytes(version),
            Publish::new(TOPIC, b"two").qos(1, 2).bytes(version),
            PINGREQ.to_vec(),
        ]
        .concat();
        for byte in bytes {
            device.send([byte]).await;
            tokio::task::yield_now().await;
        }
        assert!(device.lives().await);
        assert_eq!((buyer.payload().await, buyer.payload().await), (b"one".to_vec(), b"two".to_vec()));
        scene.ends_well().await;
    }
}
