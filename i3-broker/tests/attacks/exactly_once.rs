//! Attacks 26 and 28 at `QoS` 2, in both directions, and the delays of wills (22).

use std::time::{Duration, Instant};

use crate::client::{Client, Fate};
use crate::market::TOPIC;
use crate::packets::*;
use crate::scene::{Scene, eventually, in_so_many_seconds, number, numbered};

/// The reason in an acknowledgement of a message that is not known; 3.1.1 has no words for it.
fn unknown(version: Version) -> u8 {
    if version == V5 { 0x92 } else { 0 }
}

/// The next acknowledgement: its kind, identifier and reason. Messages are kept.
async fn answer(client: &mut Client) -> (u8, u16, u8) {
    client.acknowledgement().await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_26_a_release_of_nothing_is_completed_and_a_publish_sent_again_goes_nowhere() {
    for &version in VERSIONS {
        let scene = Scene::new(1_000).await;
        let mut buyer = scene.buyer(version, "a", 2).await;
        let mut device = scene.device(version).await;
        // PUBREL of an identifier that is not in use, and PUBCOMP, PUBACK, PUBREC of messages never sent.
        device.send(ack(6, 9)).await;
        assert_eq!(answer(&mut device).await, (7, 9, unknown(version)));
        device.send([ack(7, 9), ack(4, 9)].concat()).await;
        device.send(ack(5, 9)).await;
        assert_eq!(answer(&mut device).await, (6, 9, unknown(version)));
        // Three times the same message, with DUP and without, is one.
        let publish = Publish::new(TOPIC, numbered(1, 8)).qos(2, 5);
        for again in [publish.clone(), publish.clone().again(), publish.clone().again()] {
            device.send(again.bytes(version)).await;
            assert_eq!(answer(&mut device).await, (5, 5, 0));
        }
        // Released twice; after that the identifier is free, and the same bytes are another message.
        device.send(ack(6, 5)).await;
        assert_eq!(answer(&mut device).await, (7, 5, 0));
        device.send(ack(6, 5)).await;
        assert_eq!(answer(&mut device).await, (7, 5, unknown(version)));
        device.send(publish.bytes(version)).await;
        assert_eq!(answer(&mut device).await, (5, 5, 0));
        for _ in 0..2 {
            assert_eq!(number(&buyer.payload().await), 1);
        }
        assert!(buyer.lives().await && buyer.hears_nothing().await);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_26_a_duplicate_is_known_over_a_reconnect() {
    for &version in VERSIONS {
        let scene = Scene::new(1_000).await;
        let mut buyer = scene.buyer(version, "a", 2).await;
        let hello = Hello::new(version, "device", "device").resuming();
        let publish = Publish::new(TOPIC, numbered(1, 8)).qos(2, 5);
        let mut device = scene.enter(&hello).await;
        device.send(publish.bytes(version)).await;
        assert_eq!(answer(&mut device).await, (5, 5, 0));
        device.abort();
        eventually("it is parked", || scene.gate.stats().parked == 1).await;
        let mut device = scene.open(version).await;
        assert!(device.hello(&hello).await.unwrap().0, "its session is present");
        device.send(publish.again().bytes(version)).await;
        assert_eq!(answer(&mut device).await, (5, 5, 0));
        device.send(ack(6, 5)).await;
        assert_eq!(answer(&mut device).await, (7, 5, 0));
        assert_eq!(number(&buyer.payload().await), 1);
        assert!(buyer.lives().await && buyer.hears_nothing().await, "once");
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_26_acknowledgements_of_the_wrong_kind_complete_nothing_they_should_not() {
    for &version in VERSIONS {
        let scene = Scene::with(1_000, |config| config.max_inflight = 4).await;
        let mut buyer = scene.buyer(version, "a", 2).await;
        let mut device = scene.device(version).await;
        for number in 0..12 {
            assert_eq!(device.publish(TOPIC, numbered(number, 8), 2).await, Fate::Acknowledged(0));
        }
        let mut ids = Vec::new();
        for expected in 0..4 {
            let message = buyer.message().await.unwrap();
            assert_eq!((message.qos, number(&message.payload)), (2, expected));
            ids.push(message.id.unwrap());
        }
        // PUBREC, then PUBACK; PUBCOMP before PUBREC; PUBREC twice; what is unknown.
        buyer.send([ack(5, ids[0]), ack(4, ids[0])].concat()).await;
        assert_eq!(answer(&mut buyer).await, (6, ids[0], 0));
        buyer.send(ack(7, ids[1])).await;
        buyer.send([ack(5, ids[2]), ack(5, ids[2])].concat()).await;
        for _ in 0..2 {
            assert_eq!(answer(&mut buyer).await, (6, ids[2], 0));
        }
        buyer.send([ack(4, 60_000), ack(7, 60_000)].concat()).await;
        assert!(buyer.lives().await, "none of it is worth the connection");
        // In the end all are completed in the right way, backwards.
        for id in ids.iter().rev() {
            buyer.send(ack(5, *id)).await;
            while answer(&mut buyer).await != (6, *id, 0) {}
            buyer.send(ack(7, *id)).await;
        }
        for expected in 4..12 {
            assert_eq!(number(&buyer.payload().await), expected, "each once, in order");
        }
        assert!(buyer.lives().await && buyer.hears_nothing().await);
        eventually("twelve are charged", || scene.market.billed() == 12).await;
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_28_more_messages_under_way_than_the_receive_maximum_end_the_connection() {
    const MOST: u16 = 20;
    let scene = Scene::with(1_000, |config| config.receive_maximum = MOST).await;
    let mut buyer = scene.buyer(V5, "a", 0).await;
    let mut device = scene.open(V5).await;
    let (_, _, told) = device.hello(&Hello::new(V5, "device", "device")).await.unwrap();
    assert_eq!(told.number(prop::RECEIVE_MAXIMUM), Some(MOST.into()), "it is announced");
    for id in 1..=MOST {
        device.send(Publish::new(TOPIC, numbered(id.into(), 8)).qos(2, id).bytes(V5)).await;
        assert_eq!(answer(&mut device).await, (5, id, 0));
    }
    device.send(Publish::new(TOPIC, b"one too many").qos(2, MOST + 1).bytes(V5)).await;
    assert_eq!(device.end().await, Fate::Closed(Some(0x93)));
    for expected in 1..=MOST {
        assert_eq!(number(&buyer.payload().await), u64::from(expected));
    }
    assert!(buyer.lives().await && buyer.hears_nothing().await);
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_28_every_packet_identifier_in_use_at_once_is_bounded_and_remembered() {
    let scene = Scene::new(1_000_000).await;
    let mut device = scene.device(V311).await;
    // 3.1.1 has no receive maximum: a client may open as many as there are identifiers.
    let (mut sent, mut answered) = (0_u32, 0_u32);
    while answered < 65_535 {
        if sent < 65_535 && sent - answered < 500 {
            sent += 1;
            let id = u16::try_from(sent).unwrap();
            device.send(Publish::new(TOPIC, b"x").qos(2, id).bytes(V311)).await;
        } else {
            answered += 1;
            assert_eq!(answer(&mut device).await, (5, u16::try_from(answered).unwrap(), 0));
        }
    }
    let mut buyer = scene.buyer(V311, "a", 2).await;
    // All are in use: each is a duplicate now, whatever it carries.
    for id in [1, 30_000, 65_535] {
        device.send(Publish::new(TOPIC, b"again").qos(2, id).bytes(V311)).await;
        assert_eq!(answer(&mut device).await, (5, id, 0));
    }
    assert!(buyer.hears_nothing().await);
    device.send(ack(6, 30_000)).await;
    assert_eq!(answer(&mut device).await, (7, 30_000, 0));
    device.send(Publish::new(TOPIC, b"new").qos(2, 30_000).bytes(V311)).await;
    assert_eq!(answer(&mut device).await, (5, 30_000, 0));
    assert_eq!(buyer.payload().await, b"new");
    assert_eq!(scene.gate.stats().publishes_accepted, 65_536);
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_28_a_client_is_sent_no_more_at_a_time_than_it_takes() {
    let scene = Scene::new(1_000).await;
    for qos in [1, 2] {
        let hello = Hello::new(V5, "a", "order").props(Props::new().two(prop::RECEIVE_MAXIMUM, 3));
        let mut buyer = scene.enter(&hello).await;
        assert_eq!(buyer.subscribe(&[(TOPIC, qos)]).await, [qos]);
        let mut device = scene.device(V5).await;
        for number in 0..12 {
            assert_eq!(device.publish(TOPIC, numbered(number, 8), qos).await, Fate::Acknowledged(0));
        }
        for round in 0..4 {
            let mut open = Vec::new();
            for place in 0..3 {
                let message = buyer.message().await.unwrap();
                assert_eq!(number(&message.payload), round * 3 + place);
                open.push(message);
            }
            assert!(buyer.hears_nothing().await, "three are open");
            // A PUBREC alone is not the end of it.
            if qos == 2 {
                buyer.send(ack(5, open[0].id.unwrap())).await;
                assert_eq!(answer(&mut buyer).await, (6, open[0].id.unwrap(), 0));
                assert!(buyer.hears_nothing().await);
                buyer.send(ack(7, open[0].id.unwrap())).await;
                open.remove(0);
            }
            for message in &open {
                buyer.acknowledge(message).await;
            }
        }
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_22_a_will_waits_for_its_delay_or_the_sessions_end_whichever_is_first() {
    let scene = Scene::new(1_000).await;
    let mut buyer = scene.buyer(V5, "a", 1).await;
    // (delay, session expiry, when it fires), in seconds.
    for (delay, expiry, fires) in [(1, 3_600, 1), (3_600, 1, 1), (3_600, 0, 0), (0, 3_600, 0)] {
        let will = Will::new(TOPIC, b"gone").after(delay);
        let props = Props::new().four(prop::SESSION_EXPIRY, expiry);
        let mortal = scene.enter(&Hello::new(V5, "mortal", "device").props(props).will(will)).await;
        let begun = Instant::now();
        mortal.abort();
        assert_eq!(buyer.payload().await, b"gone", "{delay} {expiry}");
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(fires * 1_000), "{delay} {expiry}: {took:?}");
        // The session of the next round is a new one.
        let mut last = scene.enter(&Hello::new(V5, "mortal", "device")).await;
        last.send(GOODBYE).await;
        last.end().await;
    }
    assert!(buyer.hears_nothing().await);
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_22_a_client_that_comes_back_in_time_takes_its_delayed_will_back() {
    in_so_many_seconds(async |seconds| {
        let scene = Scene::new(1_000).await;
        let mut buyer = scene.buyer(V5, "a", 1).await;
        let hello = Hello::new(V5, "mortal", "device").resuming();
        let mortal = scene.enter(&hello.clone().will(Will::new(TOPIC, b"gone").after(seconds))).await;
        let delay = Duration::from_secs(seconds.into());
        let begun = Instant::now();
        mortal.abort();
        eventually("it is parked", || scene.gate.stats().parked == 1).await;
        let mut again = scene.enter(&hello).await;
        if begun.elapsed() >= delay {
            return false;
        }
        tokio::time::sleep(delay + Duration::from_millis(500)).await;
        assert!(again.lives().await && buyer.hears_nothing().await);
        scene.ends_well().await;
        true
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_22_a_delayed_will_is_checked_when_it_fires_too() {
    for change in ["disabled", "retired", "key removed"] {
        in_so_many_seconds(async |seconds| {
            let scene = Scene::new(1_000).await;
            let mut buyer = scene.buyer(V5, "before", 1).await;
            let hello = Hello::new(V5, "mortal", "device").resuming();
            let will = Will::new(TOPIC, b"forged").after(seconds).retained();
            let mortal = scene.enter(&hello.will(will)).await;
            let delay = Duration::from_secs(seconds.into());
            let begun = Instant::now();
            mortal.abort();
            eventually("it is parked", || scene.gate.stats().parked == 1).await;
            match change {
                "disabled" => scene.market.set_device("device", false).await,
                "retired" => scene.market.set_listed(TOPIC, false).await,
                _ => scene.market.remove_credential("device").await,
            }
            if begun.elapsed() >= delay {
                return false;
            }
            if change == "key removed" {
                tokio::time::sleep(delay + Duration::from_millis(500)).await;
            } else {
                eventually("it is refused", || scene.gate.stats().publishes_refused == 1).await;
            }
            scene.market.set_device("device", true).await;
            scene.market.set_listed(TOPIC, true).await;
            if change != "retired" {
                assert!(buyer.hears_nothing().await, "{change}");
            }
            let mut late = scene.buyer(V5, "late", 1).await;
            assert!(late.hears_nothing().await, "{change}: nor was it retained");
            let mut last = scene.enter(&Hello::new(V5, "mortal", "device")).await;
            last.send(GOODBYE).await;
            last.end().await;
            eventually("nothing waits", || scene.gate.stats().parked == 0).await;
            scene.ends_well().await;
            true
        })
        .await;
    }
}
