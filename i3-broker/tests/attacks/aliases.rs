//! Attacks 4 and 5: topic aliases and properties of MQTT 5.

use crate::client::{Client, Fate, Message};
use crate::market::{FOREIGN, SIBLING, TOPIC};
use crate::packets::*;
use crate::scene::Scene;

/// The highest alias that the gate announces.
const MOST: u16 = 5;

async fn scene() -> Scene {
    Scene::with(1_000, |config| config.max_topic_alias = MOST).await
}

/// A PUBLISH with the alias in place of the topic.
fn by_alias(alias: u16, payload: &str) -> Publish {
    Publish::new("", payload).qos(1, 77).alias(alias)
}

async fn next(buyer: &mut Client) -> Message {
    let message = buyer.message().await.expect("a message");
    buyer.acknowledge(&message).await;
    message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_04_an_alias_of_0_or_above_the_maximum_ends_the_connection() {
    let scene = scene().await;
    let mut client = scene.open(V5).await;
    let (_, _, told) = client.hello(&Hello::new(V5, "a", "device")).await.unwrap();
    assert_eq!(told.number(prop::TOPIC_ALIAS_MAXIMUM), Some(MOST.into()), "it is announced");
    for alias in [0, MOST + 1, 1_000, u16::MAX] {
        for topic in [TOPIC, ""] {
            let mut device = scene.device(V5).await;
            let fate = device.publish_as(Publish::new(topic, b"forged").qos(1, 77).alias(alias), 1, 77).await;
            assert_eq!(fate, Fate::Closed(Some(0x94)), "{alias} for {topic:?}");
        }
    }
    assert_eq!(scene.gate.stats().publishes_accepted, 0);
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_04_an_alias_that_was_never_defined_ends_the_connection() {
    let scene = scene().await;
    for defined in [false, true] {
        let mut device = scene.device(V5).await;
        if defined {
            let with_topic = Publish::new(TOPIC, b"x").qos(1, 77).alias(1);
            assert_eq!(device.publish_as(with_topic, 1, 77).await, Fate::Acknowledged(0));
        }
        let fate = device.publish_as(by_alias(2, "forged"), 1, 77).await;
        assert!(matches!(fate, Fate::Closed(Some(0x82 | 0x94))), "{fate:?}");
    }
    assert_eq!(scene.gate.stats().publishes_accepted, 1);
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_04_the_definition_of_a_refused_publish_is_not_remembered() {
    let scene = scene().await;
    let mut buyer = scene.buyer(V5, "a", 1).await;
    let mut victim = scene.client(V5, "victim", "sibling-order").await;
    assert_eq!(victim.subscribe(&[(SIBLING, 1)]).await, [1]);
    // Defined only by a refused publish: not defined.
    let mut device = scene.device(V5).await;
    let refused = Publish::new(SIBLING, b"forged").qos(1, 77).alias(1);
    assert_eq!(device.publish_as(refused.clone(), 1, 77).await, Fate::Acknowledged(0x87));
    let fate = device.publish_as(by_alias(1, "forged"), 1, 77).await;
    assert!(matches!(fate, Fate::Closed(Some(0x82 | 0x94))), "{fate:?}");
    // An allowed alias that is mapped anew to a forbidden topic: what is published by it never gets there.
    let mut device = scene.device(V5).await;
    let allowed = Publish::new(TOPIC, b"first").qos(1, 77).alias(1);
    assert_eq!(device.publish_as(allowed, 1, 77).await, Fate::Acknowledged(0));
    assert_eq!(next(&mut buyer).await.payload, b"first");
    assert_eq!(device.publish_as(refused, 1, 77).await, Fate::Acknowledged(0x87));
    let fate = device.publish_as(by_alias(1, "second"), 1, 77).await;
    match fate {
        Fate::Acknowledged(0) => {
            let message = next(&mut buyer).await;
            assert_eq!((message.topic.as_str(), message.payload.as_slice()), (TOPIC, b"second".as_slice()));
        }
        other => assert!(matches!(other, Fate::Closed(Some(0x82 | 0x94))), "{other:?}"),
    }
    assert!(victim.hears_nothing().await && buyer.hears_nothing().await);
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_04_an_alias_ends_with_its_connection() {
    let scene = scene().await;
    for takeover in [false, true] {
        let mut device = scene.enter(&Hello::new(V5, "device", "device").resuming()).await;
        let with_topic = Publish::new(TOPIC, b"x").qos(1, 77).alias(1);
        assert_eq!(device.publish_as(with_topic, 1, 77).await, Fate::Acknowledged(0));
        assert_eq!(device.publish_as(by_alias(1, "y"), 1, 77).await, Fate::Acknowledged(0));
        if !takeover {
            device.send(GOODBYE).await;
            device.end().await;
        }
        let mut again = scene.enter(&Hello::new(V5, "device", "device").resuming()).await;
        let fate = again.publish_as(by_alias(1, "forged"), 1, 77).await;
        assert!(matches!(fate, Fate::Closed(Some(0x82 | 0x94))), "{fate:?}");
    }
    assert_eq!(scene.gate.stats().publishes_accepted, 4);
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_04_the_gates_own_alias_is_not_the_publishers_and_names_the_orders_topic() {
    let scene = scene().await;
    let hello = Hello::new(V5, "a", "order").props(Props::new().two(prop::TOPIC_ALIAS_MAXIMUM, 100));
    let mut buyer = scene.enter(&hello).await;
    assert_eq!(buyer.subscribe(&[(TOPIC, 1)]).await, [1]);
    let mut device = scene.device(V5).await;
    for (alias, topic) in [(Some(3), TOPIC), (None, ""), (Some(3), "")] {
        let publish = Publish::new(TOPIC, b"x").qos(1, 77);
        let publish = if let Some(alias) = alias { publish.alias(alias) } else { publish };
        assert_eq!(device.publish_as(publish, 1, 77).await, Fate::Acknowledged(0));
        let message = next(&mut buyer).await;
        let told = (message.topic.as_str(), message.properties.number(prop::TOPIC_ALIAS));
        assert_eq!(told, (topic, Some(1)));
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_05_properties_are_passed_on_and_never_acted_upon() {
    let scene = scene().await;
    let mut buyer = scene.buyer(V5, "a", 1).await;
    let mut third = scene.client(V5, "third", "foreign-order").await;
    assert_eq!(third.subscribe(&[(FOREIGN, 1)]).await, [1]);
    let mut old = scene.client(V311, "old", "order").await;
    assert_eq!(old.subscribe(&[(TOPIC, 1)]).await, [1]);
    let mut device = scene.device(V5).await;
    let props = Props::new()
        .byte(prop::PAYLOAD_FORMAT, 1)
        .text(prop::CONTENT_TYPE, "text/plain")
        .user("colour", "blue")
        .text(prop::RESPONSE_TOPIC, FOREIGN)
        .user("i3-seq", "999999")
        .text(prop::CORRELATION, b"\0\xff")
        .user("i3-", "forged")
        .user("colour", "red");
    for number in 0..2 {
        let publish = Publish::new(TOPIC, b"x").qos(1, 77).props(props.clone());
        assert_eq!(device.publish_as(publish, 1, 77).await, Fate::Acknowledged(0));
        let message = next(&mut buyer).await;
        let of = &message.properties;
        assert_eq!(of.number(prop::PAYLOAD_FORMAT), Some(1));
        assert_eq!(of.text(prop::CONTENT_TYPE), Some(b"text/plain".as_slice()));
        assert_eq!(of.text(prop::RESPONSE_TOPIC), Some(FOREIGN.as_bytes()));
        assert_eq!(of.text(prop::CORRELATION), Some(b"\0\xff".as_slice()));
        // The gate's own mark is its own: one, and not what the device says.
        let (own, theirs): (Vec<_>, Vec<_>) =
            of.user().into_iter().partition(|(name, _)| name.starts_with("i3-"));
        assert_eq!(theirs, [("colour", "blue"), ("colour", "red")], "in their order");
        assert_eq!(own.len(), 1, "{own:?}");
        let sequence: u64 = own[0].1.parse().unwrap();
        assert!(own[0].0 == "i3-seq" && sequence < 1_000, "{own:?} of message {number}");
    }
    for _ in 0..2 {
        assert_eq!(old.payload().await, b"x", "a client of 3.1.1 gets the payload alone");
    }
    // A buyer that answers where it was told to is one that publishes where it may not.
    assert_eq!(buyer.publish(FOREIGN, b"answer", 1).await, Fate::Acknowledged(0x87));
    assert!(third.hears_nothing().await, "nobody is steered there");
    scene.ends_well().await;
}
