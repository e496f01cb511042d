//! 3.3.1.3 and 3.8.3.1: retained messages.

use std::sync::Arc;
use std::time::Duration;

use i3_core::time::{Clock as _, ManualClock, SystemClock};

use super::*;

async fn retain(device: &mut Client, payload: &[u8], qos: u8) {
    let publish = Publish::new(TOPIC, payload).qos(qos, 5).retained();
    if qos == 0 {
        device.send(publish.bytes(device.version)).await;
        assert!(device.lives().await);
    } else {
        assert_eq!(device.publish_as(publish, qos, 5).await, Fate::Acknowledged(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retained_message_is_replaced_kept_removed_and_never_empty() {
    for &version in VERSIONS {
        let scene = Scene::new(1_000).await;
        let mut device = scene.device(version).await;
        let finds = async |qos: u8, expected: Option<(&[u8], u8)>| {
            let mut buyer = scene.buyer(version, "buyer", qos).await;
            if let Some((payload, qos)) = expected {
                let message = buyer.message().await.unwrap();
                assert_eq!((message.payload.as_slice(), message.qos, message.retain), (payload, qos, true));
                buyer.acknowledge(&message).await;
            }
            assert!(buyer.lives().await && buyer.hears_nothing().await, "{expected:?} and nothing else");
        };
        finds(2, None).await;
        retain(&mut device, b"one", 1).await;
        finds(2, Some((b"one", 1))).await;
        retain(&mut device, b"two", 2).await;
        finds(2, Some((b"two", 2))).await;
        finds(1, Some((b"two", 1))).await;
        // QoS 0 replaces it too (3.1.1 3.3.1-7).
        retain(&mut device, b"three", 0).await;
        finds(2, Some((b"three", 0))).await;
        // Without the flag it is not touched, not by an empty one either.
        for payload in [b"passing".as_slice(), b""] {
            assert_eq!(device.publish(TOPIC, payload, 1).await, Fate::Acknowledged(0));
            finds(2, Some((b"three", 0))).await;
        }
        // An empty one with it removes it, and is not kept.
        retain(&mut device, b"", 1).await;
        finds(2, None).await;
        // Sessions end; what is retained does not.
        retain(&mut device, b"four", 1).await;
        drop(device);
        finds(1, Some((b"four", 1))).await;
        finds(1, Some((b"four", 1))).await;
        device = scene.device(version).await;
        assert!(device.lives().await);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_retained_message_goes_to_those_who_subscribed_before() {
    for &version in VERSIONS {
        let (scene, mut buyer, mut device) = pair(version, 1).await;
        for payload in [b"x".as_slice(), b""] {
            retain(&mut device, payload, 1).await;
            let message = buyer.message().await.unwrap();
            assert_eq!(
                (message.payload.as_slice(), message.retain),
                (payload, false),
                "an established subscription"
            );
            buyer.acknowledge(&message).await;
        }
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_subscribe_brings_the_retained_message_again_and_interrupts_nothing() {
    for &version in VERSIONS {
        let (scene, mut buyer, mut device) = pair(version, 1).await;
        retain(&mut device, b"kept", 1).await;
        assert!(!buyer.message().await.unwrap().retain);
        assert_eq!(buyer.subscribe(&[(TOPIC, 0)]).await, [0]);
        let message = buyer.message().await.unwrap();
        assert!(message.retain && message.qos == 0 && message.payload == b"kept");
        assert_eq!(device.publish(TOPIC, b"next", 1).await, Fate::Acknowledged(0));
        let message = buyer.message().await.unwrap();
        assert!(!message.retain && message.qos == 0 && message.payload == b"next", "at the new quality");
        assert!(buyer.hears_nothing().await);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retain_handling_says_when_the_retained_message_comes() {
    let scene = Scene::new(1_000).await;
    let mut device = scene.device(V5).await;
    retain(&mut device, b"kept", 1).await;
    for (handling, first, second) in [(0_u8, true, true), (1, true, false), (2, false, false)] {
        let mut buyer = scene.client(V5, "buyer", "order").await;
        for expected in [first, second, second] {
            assert_eq!(buyer.subscribe(&[(TOPIC, 1 | handling << 4)]).await, [1]);
            if expected {
                let message = buyer.message().await.unwrap();
                assert!(message.retain, "handling {handling}");
                buyer.acknowledge(&message).await;
            }
            assert!(buyer.lives().await && buyer.hears_nothing().await, "handling {handling}");
        }
        // After an UNSUBSCRIBE it is a new one.
        assert_eq!(buyer.unsubscribe(&[TOPIC]).await, [0]);
        assert_eq!(buyer.subscribe(&[(TOPIC, 1 | handling << 4)]).await, [1]);
        assert_eq!(buyer.messages_for_a_while().await.len(), usize::from(first));
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retain_as_published_keeps_the_flag_of_the_publisher() {
    let scene = Scene::new(1_000).await;
    for keeps in [false, true] {
        let mut buyer = scene.client(V5, "buyer", "order").await;
        assert_eq!(buyer.subscribe(&[(TOPIC, 1 | u8::from(keeps) << 3 | 2 << 4)]).await, [1]);
        let mut device = scene.device(V5).await;
        for flagged in [true, false] {
            let publish = Publish::new(TOPIC, b"x");
            let publish = if flagged { publish.retained() } else { publish };
            assert_eq!(through(&mut device, &mut buyer, publish).await.retain, flagged && keeps);
        }
        // What comes of subscribing has it in any case.
        assert_eq!(buyer.subscribe(&[(TOPIC, 1 | u8::from(keeps) << 3)]).await, [1]);
        assert!(buyer.message().await.unwrap().retain);
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retained_message_that_has_expired_is_gone() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let scene = Scene::at(1_000, clock.clone(), |_| {}).await;
    let mut device = scene.device(V5).await;
    let props = Props::new().four(prop::MESSAGE_EXPIRY, 1);
    let publish = Publish::new(TOPIC, b"x").qos(1, 5).retained().props(props);
    assert_eq!(device.publish_as(publish, 1, 5).await, Fate::Acknowledged(0));
    let mut early = scene.buyer(V5, "early", 1).await;
    assert!(early.message().await.unwrap().retain);
    clock.advance(Duration::from_secs(1));
    let mut late = scene.buyer(V5, "late", 1).await;
    assert!(late.hears_nothing().await);
    scene.ends_well().await;
}
