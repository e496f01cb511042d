//! Attacks 12 and 14 on sessions that outlive their connections.

use std::sync::Arc;
use std::time::Duration;

use i3_core::time::{Clock, ManualClock, SystemClock};

use crate::client::{Client, Fate};
use crate::market::TOPIC;
use crate::packets::*;
use crate::scene::{Scene, eventually, number, numbered, ways};

/// Connects again where the session was left; whether one was there.
async fn back(scene: &Scene, version: Version, id: &str, user: &str) -> (Client, bool) {
    let mut client = scene.open(version).await;
    let (present, code, _) =
        client.hello(&Hello::new(version, id, user).resuming()).await.expect("a CONNACK");
    assert_eq!(code, 0);
    (client, present)
}

/// A buyer that subscribes and goes, leaving its session behind.
async fn leaves(scene: &Scene, version: Version, qos: u8) {
    let (mut buyer, present) = back(scene, version, "away", "order").await;
    assert!(!present);
    assert_eq!(buyer.subscribe(&[(TOPIC, qos)]).await, [qos]);
    buyer.send(GOODBYE).await;
    assert_eq!(buyer.end().await, Fate::Closed(None));
    eventually("it is parked", || scene.gate.stats().parked == 1).await;
}

async fn say(device: &mut Client, numbers: std::ops::Range<u64>, qos: u8) {
    for number in numbers {
        assert_eq!(device.publish(TOPIC, numbered(number, 8), qos).await, Fate::Acknowledged(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_12_a_session_that_waits_for_its_client_gets_and_pays_what_was_said_meanwhile_once() {
    for (version, qos) in ways().into_iter().filter(|(_, qos)| *qos > 0) {
        let scene = Scene::new(1_000).await;
        leaves(&scene, version, qos).await;
        eventually("it holds no lease", || scene.market.open_leases() == 0).await;
        let mut device = scene.device(version).await;
        say(&mut device, 0..20, qos).await;
        assert_eq!(scene.gate.stats().delivered, 0, "nothing is charged before it is written");
        let (mut buyer, present) = back(&scene, version, "away", "order").await;
        assert!(present);
        for expected in 0..20 {
            assert_eq!(number(&buyer.payload().await), expected);
        }
        assert!(buyer.lives().await && buyer.hears_nothing().await);
        eventually("20 are charged", || scene.market.billed_to("order") == 20).await;
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_12_an_order_that_was_refunded_while_its_client_was_away_gives_it_nothing() {
    for (version, qos) in ways() {
        let scene = Scene::new(1_000).await;
        leaves(&scene, version, qos).await;
        let mut device = scene.device(version).await;
        say(&mut device, 0..10, 1).await;
        scene.market.set_open("order", false).await;
        say(&mut device, 10..20, 1).await;
        let (mut buyer, _) = back(&scene, version, "away", "order").await;
        assert!(buyer.messages_for_a_while().await.is_empty());
        assert_eq!((scene.gate.stats().delivered, scene.market.billed()), (0, 0));
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_12_an_order_that_expired_while_its_client_was_away_gives_it_nothing() {
    for (version, qos) in ways() {
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let scene = Scene::at(1_000, clock.clone(), |_| {}).await;
        scene.market.set_until("order", Some(clock.now().plus(Duration::from_hours(1))));
        leaves(&scene, version, qos).await;
        let mut device = scene.device(version).await;
        say(&mut device, 0..10, 1).await;
        clock.advance(Duration::from_hours(2));
        let (mut buyer, _) = back(&scene, version, "away", "order").await;
        assert!(buyer.messages_for_a_while().await.is_empty());
        assert_eq!(scene.gate.stats().delivered, 0);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_12_what_was_said_while_the_order_was_not_paid_is_not_among_what_comes_later() {
    for (version, qos) in ways() {
        let scene = Scene::new(1_000).await;
        leaves(&scene, version, qos).await;
        let mut device = scene.device(version).await;
        scene.market.set_open("order", false).await;
        say(&mut device, 0..10, 1).await;
        scene.market.set_open("order", true).await;
        say(&mut device, 10..20, 1).await;
        let (mut buyer, _) = back(&scene, version, "away", "order").await;
        for message in buyer.messages_for_a_while().await {
            assert!(number(&message.payload) >= 10, "said while nobody had paid for it");
        }
        assert_eq!(buyer.subscribe(&[(TOPIC, qos)]).await, [qos], "it is paid for again");
        say(&mut device, 20..21, 1).await;
        while number(&buyer.payload().await) < 20 {}
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_12_a_removed_product_and_a_spent_order_purge_what_waits() {
    for (version, qos) in ways() {
        let scene = Scene::new(5).await;
        leaves(&scene, version, qos).await;
        let mut device = scene.device(version).await;
        say(&mut device, 0..3, 1).await;
        scene.market.set_listed(TOPIC, false).await;
        let (mut buyer, _) = back(&scene, version, "away", "order").await;
        assert!(buyer.messages_for_a_while().await.is_empty());
        assert_eq!(scene.gate.stats().delivered, 0);
        drop(buyer);
        scene.market.set_listed(TOPIC, true).await;
        // Five are left: of ten that wait, five come. The rest is nobody's.
        let mut buyer = back(&scene, version, "other", "order").await.0;
        assert_eq!(buyer.subscribe(&[(TOPIC, qos)]).await, [qos]);
        buyer.send(GOODBYE).await;
        buyer.end().await;
        let mut device = scene.client(version, "again", "device").await;
        say(&mut device, 0..10, 1).await;
        if qos > 0 {
            let (mut buyer, _) = back(&scene, version, "other", "order").await;
            assert_eq!(buyer.messages().await.len(), 5);
            assert_eq!(buyer.told, (version == V5).then_some(0x97));
            assert_eq!(scene.market.billed_to("order"), 5);
        }
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_12_a_session_is_its_principals_and_no_other_finds_it() {
    for &version in VERSIONS {
        let scene = Scene::new(1_000).await;
        leaves(&scene, version, 1).await;
        for user in ["order-two", "foreign-order", "device", "stranger"] {
            let (mut other, present) = back(&scene, version, "away", user).await;
            assert!(!present && other.hears_nothing().await, "{user}");
        }
        let (_, present) = back(&scene, version, "away", "order").await;
        assert!(present);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_14_what_was_written_and_not_acknowledged_comes_again_free_and_is_not_refunded() {
    for (version, qos) in ways().into_iter().filter(|(_, qos)| *qos > 0) {
        let scene = Scene::with(1_000, |config| config.max_inflight = 10).await;
        let (mut buyer, _) = back(&scene, version, "never acks", "order").await;
        assert_eq!(buyer.subscribe(&[(TOPIC, qos)]).await, [qos]);
        let mut device = scene.device(version).await;
        say(&mut device, 0..30, qos).await;
        let mut ids = Vec::new();
        for expected in 0..10 {
            let message = buyer.message().await.unwrap();
            assert!(!message.dup && number(&message.payload) == expected);
            ids.push(message.id.unwrap());
        }
        for _ in 0..4 {
            buyer.abort();
            eventually("it is parked", || scene.gate.stats().parked == 1).await;
            let present;
            (buyer, present) = back(&scene, version, "never acks", "order").await;
            assert!(present);
            for (expected, id) in ids.iter().enumerate() {
                let message = buyer.message().await.unwrap();
                assert!(message.dup && message.id == Some(*id), "{message:?}");
                assert_eq!(number(&message.payload), u64::try_from(expected).unwrap(), "in the same order");
            }
            assert!(buyer.hears_nothing().await);
        }
        eventually("ten are charged", || scene.market.billed_to("order") == 10).await;
        // A client that starts clean gets none of it back, and pays for none of it twice.
        buyer.abort();
        eventually("it is parked", || scene.gate.stats().parked == 1).await;
        let mut clean = scene.client(version, "never acks", "order").await;
        assert!(clean.hears_nothing().await);
        assert_eq!(scene.market.billed_to("order"), 10, "and nothing is refunded");
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_12_what_waits_for_clients_that_do_not_come_back_is_bounded() {
    for &version in VERSIONS {
        let scene = Scene::with(1_000_000, |config| {
            config.max_parked = 50;
            config.max_parked_per_principal = 20;
            config.max_offline = 30;
        })
        .await;
        for number in 0..200 {
            let user = ["order", "order-two", "foreign-order", "sibling-order"][number % 4];
            let (mut client, _) = back(&scene, version, &format!("gone-{number}"), user).await;
            if user == "order" {
                assert_eq!(client.subscribe(&[(TOPIC, 1)]).await, [1]);
            }
            client.abort();
        }
        eventually("no more are kept than may be", || {
            let stats = scene.gate.stats();
            stats.sessions == 0 && stats.parked <= 50
        })
        .await;
        let mut there = scene.client(version, "there", "order-two").await;
        assert_eq!(there.subscribe(&[(TOPIC, 1)]).await, [1]);
        let mut device = scene.device(version).await;
        say(&mut device, 0..100, 1).await;
        // Until the log has passed all of it on.
        while number(&there.payload().await) < 99 {}
        // The last of an order's sessions is still there, with the newest messages.
        let (mut buyer, present) = back(&scene, version, "gone-196", "order").await;
        assert!(present);
        for expected in 70..100 {
            assert_eq!(number(&buyer.payload().await), expected);
        }
        assert!(buyer.hears_nothing().await);
        let (_, present) = back(&scene, version, "gone-0", "order").await;
        assert!(!present, "the oldest had to go");
        scene.ends_well().await;
    }
}
