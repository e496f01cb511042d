//! 3.1.2.4, 4.1, 4.4: sessions and what is sent again.

use std::time::{Duration, Instant};

use super::*;
use crate::client::Reply;
use crate::scene::{eventually, in_so_many_seconds, number, numbered};

/// Connects, and whether a session was present.
async fn connect(scene: &Scene, hello: &Hello) -> (Client, bool) {
    let mut client = scene.open(hello.version).await;
    let (present, code, _) = client.hello(hello).await.expect("a CONNACK");
    assert_eq!(code, 0);
    (client, present)
}

async fn leave(scene: &Scene, mut client: Client) {
    client.send(GOODBYE).await;
    assert_eq!(client.end().await, Fate::Closed(None));
    eventually("it has left", || scene.sessions() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_made_kept_taken_up_and_thrown_away_as_connect_says() {
    for &version in VERSIONS {
        let scene = Scene::new(1_000).await;
        let lasting = Hello::new(version, "x", "order").resuming();
        let clean = Hello::new(version, "x", "order");
        let (mut client, present) = connect(&scene, &lasting).await;
        assert!(!present, "there was none");
        assert_eq!(client.subscribe(&[(TOPIC, 1)]).await, [1]);
        leave(&scene, client).await;
        let (client, present) = connect(&scene, &lasting).await;
        assert!(present);
        leave(&scene, client).await;
        // Under another name there is none.
        let (client, present) = connect(&scene, &Hello::new(version, "y", "order").resuming()).await;
        assert!(!present);
        leave(&scene, client).await;
        let (client, present) = connect(&scene, &clean).await;
        assert!(!present, "a clean start is never present");
        leave(&scene, client).await;
        let (mut client, present) = connect(&scene, &lasting).await;
        assert!(!present, "and has thrown away what there was");
        // Its subscription too.
        let mut device = scene.device(version).await;
        assert_eq!(device.publish(TOPIC, b"x", 1).await, Fate::Acknowledged(0));
        assert!(client.hears_nothing().await);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_goes_on_over_connections_and_messages_wait_for_it() {
    for &version in VERSIONS {
        let scene = Scene::new(1_000).await;
        let hello = Hello::new(version, "x", "order").resuming();
        let mut client = connect(&scene, &hello).await.0;
        let props = if version == V5 { Props::new().number(prop::SUBSCRIPTION_ID, 77) } else { Props::new() };
        assert_eq!(client.subscribe_with(&[(TOPIC, 2)], &props).await, [2]);
        for round in 0..3 {
            leave(&scene, client).await;
            let mut device = scene.device(version).await;
            for qos in [1, 2] {
                let payload = numbered(round * 2 + u64::from(qos), 8);
                assert_eq!(device.publish(TOPIC, payload, qos).await, Fate::Acknowledged(0));
            }
            drop(device);
            client = connect(&scene, &hello).await.0;
            for qos in [1, 2] {
                let message = client.message().await.unwrap();
                assert_eq!((number(&message.payload), message.qos), (round * 2 + u64::from(qos), qos));
                assert!(!message.dup, "it was not sent before");
                if version == V5 {
                    assert_eq!(message.properties.numbers(prop::SUBSCRIPTION_ID), [77]);
                }
                client.acknowledge(&message).await;
            }
            assert!(client.lives().await && client.hears_nothing().await);
            eventually("the device has gone", || scene.sessions() == 1).await;
        }
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_acknowledged_is_sent_again_in_order_with_dup_and_its_identifier() {
    for &version in VERSIONS {
        let scene = Scene::new(1_000).await;
        let hello = Hello::new(version, "x", "order").resuming();
        let mut client = connect(&scene, &hello).await.0;
        assert_eq!(client.subscribe(&[(TOPIC, 2)]).await, [2]);
        let mut device = scene.device(version).await;
        let mut sent = Vec::new();
        for number in 0..9_u64 {
            let qos = u8::try_from(number % 3).unwrap();
            if qos == 0 {
                device.tell(TOPIC, numbered(number, 8)).await;
            } else {
                assert_eq!(device.publish(TOPIC, numbered(number, 8), qos).await, Fate::Acknowledged(0));
            }
            sent.push(client.message().await.unwrap());
        }
        // 1: QoS 1, acknowledged. 2: QoS 2, completed. 5: QoS 2, received and not completed.
        client.acknowledge(&sent[1]).await;
        client.acknowledge(&sent[2]).await;
        let released = sent[5].id.unwrap();
        client.send(ack(5, released)).await;
        assert!(matches!(client.reply().await, Some(Reply::Ack(6, id, 0, _)) if id == released));
        for round in 0..2 {
            client.abort();
            eventually("it is parked", || scene.gate.stats().parked == 1).await;
            let present;
            (client, present) = connect(&scene, &hello).await;
            assert!(present);
            // The PUBREL again, not the PUBLISH (4.3.3-6); and the publishes in their order.
            let mut again = Vec::new();
            let mut releases = Vec::new();
            for _ in 0..4 {
                match client.reply().await.unwrap() {
                    Reply::Publish(message) => again.push(message),
                    Reply::Ack(6, id, 0, _) => releases.push(id),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(releases, [released], "round {round}");
            let expected: Vec<_> = [4, 7, 8].iter().map(|place: &usize| (&sent[*place], true)).collect();
            for (message, (before, dup)) in again.iter().zip(expected) {
                assert_eq!(
                    (message.id, &message.payload, message.qos),
                    (before.id, &before.payload, before.qos)
                );
                assert_eq!(message.dup, dup);
            }
            assert!(client.hears_nothing().await, "QoS 0 and what is done are not sent again");
        }
        client.send(ack(7, released)).await;
        assert!(client.lives().await && client.hears_nothing().await);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_start_sends_nothing_again() {
    for &version in VERSIONS {
        let scene = Scene::new(1_000).await;
        let hello = Hello::new(version, "x", "order").resuming();
        let mut client = connect(&scene, &hello).await.0;
        assert_eq!(client.subscribe(&[(TOPIC, 1)]).await, [1]);
        let mut device = scene.device(version).await;
        assert_eq!(device.publish(TOPIC, b"x", 1).await, Fate::Acknowledged(0));
        assert!(client.message().await.is_some());
        client.abort();
        eventually("it is parked", || scene.gate.stats().parked == 1).await;
        let (mut client, present) = connect(&scene, &Hello::new(version, "x", "order")).await;
        assert!(!present && client.hears_nothing().await);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_when_its_time_is_over_and_not_before() {
    let hello = |expiry| {
        let hello = Hello::new(V5, "x", "order").dirty();
        hello.props(Props::new().four(prop::SESSION_EXPIRY, expiry))
    };
    in_so_many_seconds(async |seconds| {
        let scene = Scene::new(1_000).await;
        let (client, _) = connect(&scene, &hello(seconds)).await;
        let span = Duration::from_secs(seconds.into());
        tokio::time::sleep(span * 5 / 4).await;
        let begun = Instant::now();
        leave(&scene, client).await;
        let (client, present) = connect(&scene, &hello(1)).await;
        if begun.elapsed() >= span {
            return false;
        }
        assert!(present, "it lasts at least as long as its connection");
        let begun = Instant::now();
        leave(&scene, client).await;
        eventually("its time is over", || scene.gate.stats().parked_ended == 1).await;
        assert!(begun.elapsed() >= Duration::from_secs(1));
        let (client, present) = connect(&scene, &hello(0)).await;
        assert!(!present, "over");
        leave(&scene, client).await;
        true
    })
    .await;
    let scene = Scene::new(1_000).await;
    leave(&scene, connect(&scene, &hello(0)).await.0).await;
    let (client, present) = connect(&scene, &hello(0)).await;
    assert!(!present, "0 is the end of the connection");
    leave(&scene, client).await;
    // A DISCONNECT may change it, but not make one of none.
    let (mut client, _) = connect(&scene, &hello(100)).await;
    client.send(packet(0xe0, &[0, 5, prop::SESSION_EXPIRY, 0, 0, 0, 0])).await;
    assert_eq!(client.end().await, Fate::Closed(None));
    let (mut client, present) = connect(&scene, &hello(0)).await;
    assert!(!present);
    client.send(packet(0xe0, &[0, 5, prop::SESSION_EXPIRY, 0, 0, 0, 9])).await;
    assert_eq!(client.end().await, Fate::Closed(Some(0x82)));
    assert_eq!(scene.gate.stats().parked, 0);
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_takes_up_what_it_had_not_completed() {
    for &version in VERSIONS {
        let scene = Scene::new(1_000).await;
        let mut buyer = scene.buyer(version, "buyer", 2).await;
        let hello = Hello::new(version, "device", "device").resuming();
        let mut device = connect(&scene, &hello).await.0;
        device.send(Publish::new(TOPIC, b"x").qos(2, 7).bytes(version)).await;
        assert!(matches!(device.reply().await, Some(Reply::Ack(5, 7, 0, _))));
        device.abort();
        eventually("it is parked", || scene.gate.stats().parked == 1).await;
        let (mut device, present) = connect(&scene, &hello).await;
        assert!(present);
        device.send(ack(6, 7)).await;
        assert!(matches!(device.reply().await, Some(Reply::Ack(7, 7, 0, _))), "it is known");
        assert_eq!(buyer.payload().await, b"x");
        assert!(buyer.hears_nothing().await);
        scene.ends_well().await;
    }
}
