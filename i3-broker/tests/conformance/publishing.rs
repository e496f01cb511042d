//! 3.3, 4.3, 4.5, 4.6 and 4.7: PUBLISH, its qualities of service and its topic.

use super::*;
use crate::client::Reply;
use crate::scene::{eventually, number, numbered};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_quality_of_service_is_answered_as_it_must_be() {
    for &version in VERSIONS {
        let (scene, mut buyer, mut device) = pair(version, 0).await;
        device.tell(TOPIC, b"0").await;
        assert_eq!(buyer.payload().await, b"0");
        assert!(device.hears_nothing().await, "nothing answers QoS 0");
        device.send(Publish::new(TOPIC, b"1").qos(1, 3).bytes(version)).await;
        assert!(matches!(device.reply().await, Some(Reply::Ack(4, 3, 0, _))));
        device.send(Publish::new(TOPIC, b"2").qos(2, 4).bytes(version)).await;
        assert!(matches!(device.reply().await, Some(Reply::Ack(5, 4, 0, _))));
        assert!(device.hears_nothing().await);
        device.send(ack(6, 4)).await;
        assert!(matches!(device.reply().await, Some(Reply::Ack(7, 4, 0, _))));
        assert!(device.hears_nothing().await);
        assert_eq!((buyer.payload().await, buyer.payload().await), (b"1".to_vec(), b"2".to_vec()));
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_puback_the_same_identifier_is_a_new_message_whatever_dup_says() {
    for &version in VERSIONS {
        let (scene, mut buyer, mut device) = pair(version, 1).await;
        for publish in [Publish::new(TOPIC, b"a"), Publish::new(TOPIC, b"b").again()] {
            assert_eq!(device.publish_as(publish.qos(1, 3), 1, 3).await, Fate::Acknowledged(0));
        }
        assert_eq!((buyer.payload().await, buyer.payload().await), (b"a".to_vec(), b"b".to_vec()));
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_qos_2_is_delivered_once_until_it_is_released() {
    for &version in VERSIONS {
        let (scene, mut buyer, mut device) = pair(version, 2).await;
        for round in 0..2_u64 {
            let publish = Publish::new(TOPIC, numbered(round, 8)).qos(2, 3);
            for again in [publish.clone(), publish.again()] {
                device.send(again.bytes(version)).await;
                assert!(matches!(device.reply().await, Some(Reply::Ack(5, 3, 0, _))));
            }
            device.send(ack(6, 3)).await;
            assert!(matches!(device.reply().await, Some(Reply::Ack(7, 3, 0, _))));
            assert_eq!(number(&buyer.payload().await), round);
        }
        assert!(buyer.lives().await && buyer.hears_nothing().await);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_on_has_its_own_dup_and_the_lower_quality() {
    for &version in VERSIONS {
        for granted in [0, 1, 2] {
            let (scene, mut buyer, mut device) = pair(version, granted).await;
            for published in [0, 1, 2] {
                let publish = Publish::new(TOPIC, b"x").qos(published, 9);
                if published == 0 {
                    device.send(publish.bytes(version)).await;
                } else {
                    // The publisher's DUP is its own affair (3.3.1-3).
                    let fate = device.publish_as(publish.again(), published, 9).await;
                    assert_eq!(fate, Fate::Acknowledged(0));
                }
                let message = buyer.message().await.unwrap();
                assert_eq!(
                    (message.qos, message.dup, message.retain),
                    (published.min(granted), false, false)
                );
                assert_eq!(message.topic, TOPIC, "the topic, not the filter nor an alias");
                buyer.acknowledge(&message).await;
            }
            scene.ends_well().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_bits_of_the_quality_are_malformed() {
    for &version in VERSIONS {
        let (scene, _buyer, mut device) = pair(version, 1).await;
        device.send(packet(0x36, &[topic().as_slice(), &[0, 1], none(version), b"x"].concat())).await;
        assert_eq!(device.end().await, told(version, 0x81));
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_one_publisher_come_in_the_order_in_which_they_were_sent() {
    const MESSAGES: u64 = 600;
    for &version in VERSIONS {
        for granted in [0, 1, 2] {
            let scene = Scene::new(100_000).await;
            let mut buyer = scene.buyer(version, "buyer", granted).await;
            let mut device = scene.device(version).await;
            let sending = tokio::spawn(async move {
                let mut open = 0;
                for number in 0..MESSAGES {
                    let qos = u8::try_from(number % 3).unwrap();
                    device.publish_next(TOPIC, &numbered(number, 8), qos, &mut open).await;
                }
                device.settle(&mut open, 0).await;
            });
            // Topics are ordered ones, over all qualities here.
            for expected in 0..MESSAGES {
                assert_eq!(number(&buyer.payload().await), expected);
            }
            sending.await.unwrap();
            scene.ends_well().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_has_a_character_no_wildcard_and_no_nul() {
    for &version in VERSIONS {
        let (scene, _buyer, _) = pair(version, 1).await;
        for topic in [b"".as_slice(), b"#", b"+", b"a/+/b", b"a/#", b"a\0"] {
            let mut device = scene.device(version).await;
            device.send(Publish::new(topic, b"x").bytes(version)).await;
            let Fate::Closed(told) = device.end().await else { unreachable!() };
            assert!(if version == V5 { matches!(told, Some(0x81 | 0x82 | 0x90)) } else { told.is_none() });
        }
        // The longest topic there is is one like any other: nobody may publish there.
        let mut device = scene.device(version).await;
        let longest = "x".repeat(65_535);
        let fate = device.publish(&longest, b"x", 1).await;
        assert_eq!(fate, if version == V5 { Fate::Acknowledged(0x87) } else { Fate::Closed(None) });
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_compared_byte_by_byte() {
    for &version in VERSIONS {
        let (scene, mut buyer, _) = pair(version, 1).await;
        for near in [
            "i3/hub/product/",
            "/i3/hub/product",
            "I3/hub/product",
            "i3//hub/product",
            "i3/hub/produ\u{363}ct",
        ] {
            let mut device = scene.device(version).await;
            let fate = device.publish(near, b"forged", 1).await;
            assert_eq!(fate, if version == V5 { Fate::Acknowledged(0x87) } else { Fate::Closed(None) });
            let code = if version == V5 { 0x87 } else { 0x80 };
            assert_eq!(buyer.subscribe(&[(near, 1)]).await, [code]);
        }
        assert!(buyer.hears_nothing().await);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_reaches_every_session_that_subscribed() {
    for &version in VERSIONS {
        let scene = Scene::new(1_000).await;
        let mut buyers = Vec::new();
        for (place, &other) in VERSIONS.iter().chain(VERSIONS).enumerate() {
            buyers.push(scene.buyer(other, &format!("buyer-{place}"), 1).await);
        }
        let mut other_order = scene.client(version, "x", "order-two").await;
        assert_eq!(other_order.subscribe(&[(TOPIC, 2)]).await, [2]);
        buyers.push(other_order);
        let mut device = scene.device(version).await;
        assert_eq!(device.publish(TOPIC, b"to all", 2).await, Fate::Acknowledged(0));
        for buyer in &mut buyers {
            assert_eq!(buyer.payload().await, b"to all");
        }
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_message_ends_a_connection_that_cannot_be_told_and_no_other() {
    let scene = Scene::with(10, |config| config.max_refused = 3).await;
    // 3.1.1 3.3.5-2: a positive answer or the end.
    let mut old = scene.device(V311).await;
    assert_eq!(old.publish("i3/hub/other", b"x", 1).await, Fate::Closed(None));
    let mut at_0 = scene.device(V5).await;
    at_0.tell("i3/hub/other", b"x").await;
    assert_eq!(at_0.end().await, Fate::Closed(Some(0x87)));
    let mut at_2 = scene.device(V5).await;
    for _ in 0..3 {
        assert_eq!(at_2.publish("i3/hub/other", b"x", 2).await, Fate::Acknowledged(0x87));
    }
    // One that is accepted begins the count anew.
    assert_eq!(at_2.publish(TOPIC, b"x", 2).await, Fate::Acknowledged(0));
    for _ in 0..3 {
        assert_eq!(at_2.publish("i3/hub/other", b"x", 1).await, Fate::Acknowledged(0x87));
    }
    assert_eq!(at_2.publish("i3/hub/other", b"x", 1).await, Fate::Closed(Some(0x87)), "one too many");
    eventually("only one was accepted", || scene.gate.stats().publishes_accepted == 1).await;
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_message_of_qos_2_leaves_its_identifier_free() {
    // 4.3.3-9
    let (scene, mut buyer, mut device) = pair(V5, 2).await;
    assert_eq!(
        device.publish_as(Publish::new("i3/hub/other", b"x").qos(2, 3), 2, 3).await,
        Fate::Acknowledged(0x87)
    );
    assert_eq!(device.publish_as(Publish::new(TOPIC, b"y").qos(2, 3), 2, 3).await, Fate::Acknowledged(0));
    assert_eq!(buyer.payload().await, b"y");
    scene.ends_well().await;
}
