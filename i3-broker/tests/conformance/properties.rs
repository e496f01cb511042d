//! 3.1.2.11, 3.3.2.3: the properties of MQTT 5 and what they ask of the gate.

use std::sync::Arc;
use std::time::Duration;

use i3_core::time::{Clock as _, ManualClock, SystemClock};

use super::*;
use crate::client::Reply;
use crate::scene::eventually;

/// A buyer with these properties in its CONNECT.
async fn buyer_with(scene: &Scene, props: Props) -> Client {
    let mut buyer = scene.enter(&Hello::new(V5, "buyer", "order").props(props)).await;
    assert_eq!(buyer.subscribe(&[(TOPIC, 1)]).await, [1]);
    buyer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_the_receiver_is_passed_on_unaltered() {
    let (scene, mut buyer, mut device) = pair(V5, 1).await;
    let user: Vec<_> = (0..50).map(|number| (format!("name-{}", number % 7), number.to_string())).collect();
    for format in [0, 1] {
        let mut props = Props::new()
            .text(prop::RESPONSE_TOPIC, "answers/to/ä")
            .byte(prop::PAYLOAD_FORMAT, format)
            .text(prop::CORRELATION, [0, 255, 7])
            .text(prop::CONTENT_TYPE, "application/ü");
        for (name, value) in &user {
            props = props.user(name, value);
        }
        let message = through(&mut device, &mut buyer, Publish::new(TOPIC, "x").props(props)).await;
        let of = &message.properties;
        assert_eq!(of.number(prop::PAYLOAD_FORMAT), Some(format.into()));
        assert_eq!(of.text(prop::RESPONSE_TOPIC), Some("answers/to/ä".as_bytes()));
        assert_eq!(of.text(prop::CORRELATION), Some([0, 255, 7].as_slice()));
        assert_eq!(of.text(prop::CONTENT_TYPE), Some("application/ü".as_bytes()));
        let passed: Vec<_> = of.user().into_iter().filter(|(name, _)| !name.starts_with("i3-")).collect();
        assert!(passed.into_iter().eq(user.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
    }
    // What is not there is not made up.
    let message = through(&mut device, &mut buyer, Publish::new(TOPIC, "x")).await;
    let made: Vec<_> = message.properties.0.iter().filter(|(id, _)| *id != prop::USER).collect();
    assert!(made.is_empty(), "{made:?}");
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_topic_has_no_wildcards() {
    let (scene, _buyer, _) = pair(V5, 1).await;
    for topic in ["a/#", "+", "a/+/b"] {
        let mut device = scene.device(V5).await;
        let props = Props::new().text(prop::RESPONSE_TOPIC, topic);
        device.send(Publish::new(TOPIC, b"x").props(props).bytes(V5)).await;
        assert!(matches!(device.end().await, Fate::Closed(Some(0x81 | 0x82 | 0x90))));
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_has_expired_is_not_delivered_and_others_say_what_is_left() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let scene = Scene::at(1_000, clock.clone(), |_| {}).await;
    let hello = Hello::new(V5, "buyer", "order").resuming();
    let mut buyer = scene.enter(&hello).await;
    assert_eq!(buyer.subscribe(&[(TOPIC, 1)]).await, [1]);
    let mut device = scene.device(V5).await;
    let lasting = |seconds| Props::new().four(prop::MESSAGE_EXPIRY, seconds);
    let message = through(&mut device, &mut buyer, Publish::new(TOPIC, b"now").props(lasting(100))).await;
    assert_eq!(message.properties.number(prop::MESSAGE_EXPIRY), Some(100));
    buyer.send(GOODBYE).await;
    buyer.end().await;
    eventually("it is parked", || scene.gate.stats().parked == 1).await;
    for (payload, props) in [("short", lasting(1)), ("long", lasting(100)), ("for ever", Props::new())] {
        let publish = Publish::new(TOPIC, payload).qos(1, 5).props(props);
        assert_eq!(device.publish_as(publish, 1, 5).await, Fate::Acknowledged(0));
    }
    clock.advance(Duration::from_millis(2_100));
    let mut buyer = scene.enter(&hello).await;
    let message = buyer.message().await.unwrap();
    assert_eq!(message.payload, b"long", "the short one is gone");
    assert_eq!(message.properties.number(prop::MESSAGE_EXPIRY), Some(98));
    let message = buyer.message().await.unwrap();
    assert_eq!(
        (message.payload.as_slice(), message.properties.number(prop::MESSAGE_EXPIRY)),
        (b"for ever".as_slice(), None)
    );
    assert_eq!(scene.gate.stats().missed.expired, 1);
    eventually("it is not charged", || scene.market.billed_to("order") == 3).await;
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_was_sent_is_sent_again_though_it_has_expired_since() {
    // 4.3.3-7 and -13: expiry is not applied to what was sent already.
    for qos in [1, 2] {
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let scene = Scene::at(1_000, clock.clone(), |_| {}).await;
        let hello = Hello::new(V5, "buyer", "order").resuming();
        let mut buyer = scene.enter(&hello).await;
        assert_eq!(buyer.subscribe(&[(TOPIC, qos)]).await, [qos]);
        let mut device = scene.device(V5).await;
        let publish = Publish::new(TOPIC, b"x").props(Props::new().four(prop::MESSAGE_EXPIRY, 1)).qos(qos, 5);
        assert_eq!(device.publish_as(publish, qos, 5).await, Fate::Acknowledged(0));
        let first = buyer.message().await.unwrap();
        buyer.abort();
        eventually("it is parked", || scene.gate.stats().parked == 1).await;
        clock.advance(Duration::from_millis(2_100));
        let mut buyer = scene.enter(&hello).await;
        let again = buyer.message().await.unwrap();
        assert!(again.dup && again.id == first.id && again.payload == b"x");
        buyer.acknowledge(&again).await;
        assert!(buyer.lives().await && buyer.hears_nothing().await);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_larger_than_the_client_takes_is_passed_over() {
    let scene = Scene::new(1_000).await;
    for qos in [0, 1, 2] {
        let hello = Hello::new(V5, "buyer", "order").props(Props::new().four(prop::MAXIMUM_PACKET, 200));
        let mut buyer = scene.enter(&hello).await;
        assert_eq!(buyer.subscribe(&[(TOPIC, qos)]).await, [qos]);
        let mut device = scene.device(V5).await;
        let before = scene.market.billed_to("order");
        for (place, length) in [10, 500, 150, 201, 10, 100_000, 11].into_iter().enumerate() {
            let payload = vec![u8::try_from(place).unwrap(); length];
            assert_eq!(device.publish(TOPIC, payload, 2).await, Fate::Acknowledged(0));
        }
        for (place, length) in [(0, 10), (2, 150), (4, 10), (6, 11)] {
            assert_eq!(buyer.payload().await, vec![place; length]);
        }
        assert!(buyer.lives().await && buyer.hears_nothing().await, "as if they had been sent");
        eventually("and they are not charged", || scene.market.billed_to("order") == before + 4).await;
        buyer.send(GOODBYE).await;
        buyer.end().await;
    }
    assert_eq!(scene.gate.stats().missed.too_large, 9);
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reasons_in_words_are_left_out_where_they_are_not_wanted_or_too_long() {
    let scene = Scene::with(10, |config| config.max_refused = 2).await;
    for (props, longest, spoken) in [
        (Props::new(), usize::MAX, None),
        (Props::new().byte(prop::PROBLEM_INFORMATION, 1), usize::MAX, None),
        // 3.1.2-29
        (Props::new().byte(prop::PROBLEM_INFORMATION, 0), usize::MAX, Some(false)),
        // 3.4.2-2, 3.5.2-2: with it the packet would be larger than the client takes.
        (Props::new().four(prop::MAXIMUM_PACKET, 25), 25, Some(false)),
    ] {
        let mut device = scene.open(V5).await;
        device.longest = longest;
        assert_eq!(
            device.hello(&Hello::new(V5, "x", "device").props(props)).await.map(|(_, code, _)| code),
            Some(0)
        );
        for (qos, kind) in [(1, 4), (2, 5)] {
            device.send(Publish::new("i3/hub/other", b"x").qos(qos, 5).bytes(V5)).await;
            let Some(Reply::Ack(of, 5, 0x87, properties)) = device.reply().await else { panic!() };
            let told = properties.text(prop::REASON_STRING).is_some();
            assert!(of == kind && spoken.is_none_or(|spoken| spoken == told));
        }
        // One too many: the DISCONNECT keeps to the size too (3.14.2-3).
        device.send(Publish::new("i3/hub/other", b"x").qos(1, 5).bytes(V5)).await;
        assert_eq!(device.end().await, Fate::Closed(Some(0x87)));
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_no_packet_as_long_as_its_answer_is_turned_away() {
    let scene = Scene::new(10).await;
    for (size, answer) in [(6, Some(0x95)), (5, Some(0x95)), (4, None), (1, None)] {
        let hello = Hello::new(V5, "x", "device").props(Props::new().four(prop::MAXIMUM_PACKET, size));
        let mut client = scene.open(V5).await;
        assert_eq!(client.hello(&hello).await.map(|(_, code, _)| code), answer, "{size}");
        assert_eq!(client.end().await, Fate::Closed(None));
    }
    // 0 is no size (3.1.2.11.4).
    let mut client = scene.open(V5).await;
    client
        .send(Hello::new(V5, "x", "device").props(Props::new().four(prop::MAXIMUM_PACKET, 0)).bytes())
        .await;
    let reply = client.reply().await;
    assert!(matches!(reply, None | Some(Reply::Connack { code: 0x81 | 0x82, .. })), "{reply:?}");
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aliases_up_to_the_maximum_are_taken() {
    let scene = Scene::with(1_000, |config| config.max_topic_alias = 3).await;
    let mut buyer = buyer_with(&scene, Props::new()).await;
    let mut device = scene.device(V5).await;
    for alias in [3, 1, 2] {
        let publish = Publish::new(TOPIC, b"x").alias(alias);
        assert_eq!(through(&mut device, &mut buyer, publish).await.topic, TOPIC);
        for _ in 0..2 {
            let publish = Publish::new("", b"y").alias(alias);
            assert_eq!(through(&mut device, &mut buyer, publish).await.topic, TOPIC);
        }
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_no_aliases_is_sent_none() {
    let scene = Scene::new(1_000).await;
    for props in [Props::new(), Props::new().two(prop::TOPIC_ALIAS_MAXIMUM, 0)] {
        let mut buyer = buyer_with(&scene, props).await;
        let mut device = scene.device(V5).await;
        for _ in 0..3 {
            let message = through(&mut device, &mut buyer, Publish::new(TOPIC, b"x").alias(1)).await;
            assert_eq!((message.topic.as_str(), message.properties.number(prop::TOPIC_ALIAS)), (TOPIC, None));
        }
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_aliases_is_told_the_topic_once_on_each_connection() {
    let scene = Scene::new(1_000).await;
    let mut device = scene.device(V5).await;
    for most in [1, 9] {
        let props = Props::new().two(prop::TOPIC_ALIAS_MAXIMUM, most);
        let hello = Hello::new(V5, "buyer", "order").props(props).resuming();
        for connection in 0..2 {
            let mut buyer = scene.enter(&hello).await;
            if connection == 0 {
                assert_eq!(buyer.subscribe(&[(TOPIC, 1)]).await, [1]);
            }
            for topic in [TOPIC, "", ""] {
                let message = through(&mut device, &mut buyer, Publish::new(TOPIC, b"x")).await;
                let alias = message.properties.number(prop::TOPIC_ALIAS);
                assert_eq!((message.topic.as_str(), alias), (topic, Some(1)), "connection {connection}");
            }
            buyer.send(GOODBYE).await;
            buyer.end().await;
            eventually("it is parked", || scene.gate.stats().parked == 1).await;
        }
        let mut over = scene.enter(&Hello::new(V5, "buyer", "order")).await;
        over.send(GOODBYE).await;
        over.end().await;
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_only_the_alias_makes_too_long_comes_without_it() {
    let scene = Scene::new(1_000).await;
    let mut device = scene.device(V5).await;
    // Fixed header, topic, identifier, and the property with a number of one digit.
    let longest = u32::try_from(2 + 2 + TOPIC.len() + 2 + 1 + 12 + "ten bytes.".len()).unwrap();
    let props = Props::new().two(prop::TOPIC_ALIAS_MAXIMUM, 1).four(prop::MAXIMUM_PACKET, longest);
    let mut buyer = buyer_with(&scene, props).await;
    for (payload, topic, alias) in [
        ("ten bytes.", TOPIC, None),
        ("seven b", TOPIC, Some(1)),
        ("ten bytes.", "", Some(1)),
        ("a little too long", "skipped", None),
        ("after it", "", Some(1)),
    ] {
        device.publish(TOPIC, payload.as_bytes(), 1).await;
        if topic != "skipped" {
            let message = buyer.message().await.unwrap();
            buyer.acknowledge(&message).await;
            assert_eq!(message.payload, payload.as_bytes());
            let told = (message.topic.as_str(), message.properties.number(prop::TOPIC_ALIAS));
            assert_eq!(told, (topic, alias), "{payload}");
        }
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_sent_no_more_at_a_time_than_its_receive_maximum_but_all_else() {
    for most in [1, 4] {
        let scene = Scene::new(1_000).await;
        let mut buyer = buyer_with(&scene, Props::new().two(prop::RECEIVE_MAXIMUM, most)).await;
        let mut device = scene.device(V5).await;
        for _ in 0..10 {
            assert_eq!(device.publish(TOPIC, b"1", 1).await, Fate::Acknowledged(0));
        }
        let mut open = Vec::new();
        for _ in 0..most {
            open.push(buyer.message().await.unwrap());
        }
        assert!(buyer.hears_nothing().await);
        // 3.3.4-10, 4.9.0-3: other packets are answered meanwhile.
        assert!(buyer.lives().await);
        assert_eq!(buyer.unsubscribe(&["other"]).await, [0x11]);
        assert_eq!(buyer.subscribe(&[("other", 0)]).await, [0x87]);
        for message in &open {
            buyer.acknowledge(message).await;
        }
        for _ in most..10 {
            buyer.payload().await;
        }
        scene.ends_well().await;
    }
}
