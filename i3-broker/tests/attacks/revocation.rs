//! Attacks 11 and 20: access ends while a client is in the middle of something.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use i3_core::time::{Clock, SystemClock, Timestamp};

use crate::client::{Client, Fate, Reply};
use crate::market::TOPIC;
use crate::packets::*;
use crate::scene::{Scene, eventually, flood, in_so_many_seconds, in_time, number, numbered, ways};

/// What a client is told when its access ends: only MQTT 5 has words for it.
fn told(version: Version, reason: u8) -> Option<u8> {
    (version == V5).then_some(reason)
}

/// Refunds the order. That waits for no client.
async fn refund(scene: &Scene) {
    in_time("a refund", scene.market.set_open("order", false)).await;
}

/// A client of another order of the same product, which no attack concerns.
async fn bystander(scene: &Scene, version: Version, qos: u8) -> Client {
    let mut other = scene.client(version, "bystander", "order-two").await;
    assert_eq!(other.subscribe(&[(TOPIC, qos)]).await, [qos]);
    other
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_11_a_refund_reaches_an_idle_client_at_once() {
    for (version, qos) in ways() {
        let scene = Scene::new(1_000).await;
        let mut buyer = scene.buyer(version, "a", qos).await;
        let mut other = bystander(&scene, version, qos).await;
        refund(&scene).await;
        assert_eq!(buyer.end().await, Fate::Closed(told(version, 0x87)));
        let mut device = scene.device(version).await;
        assert_eq!(device.publish(TOPIC, b"after", 1).await, Fate::Acknowledged(0));
        assert_eq!(other.payload().await, b"after", "the same product, another order");
        let mut again = scene.client(version, "a", "order").await;
        assert_eq!(again.subscribe(&[(TOPIC, qos)]).await, [if version == V5 { 0x87 } else { 0x80 }]);
        assert_eq!(scene.market.billed_to("order"), 0);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_11_a_refund_in_the_middle_of_a_burst_lets_nothing_more_through() {
    const MESSAGES: u64 = 10_000;
    for (version, qos) in ways() {
        let scene = Scene::new(1_000_000).await;
        let mut buyer = scene.buyer(version, "a", qos).await;
        let mut other = bystander(&scene, version, qos).await;
        let sending = flood(scene.device(version).await, qos, MESSAGES, 8);
        let others = tokio::spawn(async move {
            for expected in 0..MESSAGES {
                assert_eq!(number(&other.payload().await), expected, "others lose nothing");
            }
        });
        for expected in 0..50 {
            assert_eq!(number(&buyer.payload().await), expected);
        }
        refund(&scene).await;
        let received = 50 + u64::try_from(buyer.messages().await.len()).unwrap();
        assert!(buyer.told.is_none_or(|reason| reason == 0x87), "{:02x?}", buyer.told);
        sending.await.unwrap();
        others.await.unwrap();
        eventually("the books are closed", || scene.market.open_leases() == 0).await;
        // Of the last frame a part may have been written: charged, but not readable.
        let charged = scene.market.billed_to("order");
        assert!(received == charged || received + 1 == charged, "{received} of {charged}");
        assert!(charged < MESSAGES, "the burst went on without it");
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_11_frames_that_wait_for_a_blocked_client_are_taken_back() {
    for (version, qos) in ways() {
        let scene = Scene::new(1_000_000).await;
        let mut blocked = Client::open_small(scene.gate.local_addr(), version).await;
        assert_eq!(
            blocked.hello(&Hello::new(version, "blocked", "order")).await.map(|(_, code, _)| code),
            Some(0)
        );
        assert_eq!(blocked.subscribe(&[(TOPIC, qos)]).await, [qos]);
        let sending = flood(scene.device(version).await, qos, 300, 60_000);
        scene.until_blocked(version).await;
        refund(&scene).await;
        let delivered = scene.gate.stats().delivered;
        sending.await.unwrap();
        eventually("the lease is closed", || scene.market.open_leases() == 0).await;
        // Now it reads: what the system had, and no more than the beginning of the frame after that.
        let mut received = 0;
        while let Some(reply) = blocked.reply().await {
            received += u64::from(matches!(reply, Reply::Publish(_)));
        }
        assert!(received == delivered || received + 1 == delivered, "{received} of {delivered}");
        assert_eq!((scene.gate.stats().delivered, scene.market.billed()), (delivered, delivered));
        assert_eq!(scene.gate.stats().forced, 0);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_11_a_refund_finds_messages_in_flight_that_are_not_acknowledged() {
    for (version, qos) in ways().into_iter().filter(|(_, qos)| *qos > 0) {
        let scene = Scene::new(1_000).await;
        let mut buyer = scene.buyer(version, "a", qos).await;
        let mut other = bystander(&scene, version, qos).await;
        let mut device = scene.device(version).await;
        let mut open = Vec::new();
        for number in 0..6 {
            assert_eq!(device.publish(TOPIC, numbered(number, 8), qos).await, Fate::Acknowledged(0));
            open.push(buyer.message().await.unwrap());
            assert_eq!(crate::scene::number(&other.payload().await), number);
        }
        // The first two are acknowledged in full; of QoS 2 the next two are in the PUBREL phase.
        for message in &open[..2] {
            buyer.acknowledge(message).await;
        }
        if qos == 2 {
            for message in &open[2..4] {
                buyer.send(ack(5, message.id.unwrap())).await;
                assert!(
                    matches!(buyer.reply().await, Some(Reply::Ack(6, id, 0, _)) if Some(id) == message.id)
                );
            }
        }
        refund(&scene).await;
        // Late acknowledgements hurt nobody, and bring nothing.
        for message in &open[2..] {
            let kind = if qos == 1 { 4 } else { 7 };
            buyer.try_send(ack(kind, message.id.unwrap())).await;
        }
        assert_eq!(buyer.end().await, Fate::Closed(told(version, 0x87)));
        assert_eq!(device.publish(TOPIC, numbered(6, 8), qos).await, Fate::Acknowledged(0));
        assert_eq!(number(&other.payload().await), 6);
        eventually("the six are charged", || scene.market.billed_to("order") == 6).await;
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_11_an_order_that_is_spent_ends_exactly_there() {
    const QUOTA: u64 = 300;
    for (version, qos) in ways() {
        let scene = Scene::new(QUOTA).await;
        scene.market.add_order("large", 77, 3, 1_000_000);
        let mut buyer = scene.buyer(version, "a", qos).await;
        let mut other = scene.client(version, "other", "large").await;
        assert_eq!(other.subscribe(&[(TOPIC, qos)]).await, [qos]);
        let sending = flood(scene.device(version).await, qos, QUOTA * 4, 8);
        let received = buyer.messages().await;
        let numbers: Vec<_> = received.iter().map(|message| number(&message.payload)).collect();
        assert_eq!(numbers, (0..QUOTA).collect::<Vec<_>>());
        assert_eq!(buyer.told, told(version, 0x97));
        for expected in 0..QUOTA * 4 {
            assert_eq!(number(&other.payload().await), expected);
        }
        sending.await.unwrap();
        assert_eq!(scene.market.billed_to("order"), QUOTA);
        let mut again = scene.client(version, "a", "order").await;
        let code = again.subscribe(&[(TOPIC, qos)]).await;
        assert!(if version == V5 { code == [0x87] || code == [0x97] } else { code == [0x80] }, "{code:02x?}");
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_11_an_order_that_expires_ends_at_its_time_even_for_a_blocked_client() {
    for (version, qos) in ways() {
        let scene = Scene::new(1_000_000).await;
        let mut buyer = scene.buyer(version, "a", qos).await;
        let mut blocked = Client::open_small(scene.gate.local_addr(), version).await;
        blocked.hello(&Hello::new(version, "blocked", "order")).await.unwrap();
        assert_eq!(blocked.subscribe(&[(TOPIC, qos)]).await, [qos]);
        let sending = flood(scene.device(version).await, qos, 400, 30_000);
        buyer.payload().await;
        // Told as a change: what is open already learns of it.
        let until = SystemClock.now().plus(Duration::from_millis(600));
        scene.market.set_until("order", Some(until));
        scene.market.set_open("order", true).await;
        buyer.messages().await;
        assert!(SystemClock.now() >= until, "not before its time");
        assert!(buyer.told.is_none_or(|reason| reason == 0x87), "{:02x?}", buyer.told);
        eventually("the blocked one is gone too", || scene.sessions() <= 1).await;
        let delivered = scene.gate.stats().delivered;
        sending.await.unwrap();
        assert_eq!(scene.gate.stats().delivered, delivered, "nothing after the end");
        let mut again = scene.client(version, "a", "order").await;
        assert_eq!(again.subscribe(&[(TOPIC, qos)]).await, [if version == V5 { 0x87 } else { 0x80 }]);
        scene.ends_well().await;
    }
}

/// A clock that can be set back.
#[derive(Debug, Default)]
struct Adjusted {
    /// Microseconds.
    by: AtomicI64,
}

impl Clock for Adjusted {
    fn now(&self) -> Timestamp {
        let micros = SystemClock.now().micros() + self.by.load(Ordering::SeqCst);
        Timestamp::from_micros(micros).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_20_a_clock_that_is_set_back_gives_no_more_time() {
    for &version in VERSIONS {
        in_so_many_seconds(async |seconds| {
            let clock = Arc::new(Adjusted::default());
            let scene = Scene::at(1_000, clock.clone(), |_| {}).await;
            let mut device = scene.device(version).await;
            let mut buyer = scene.client(version, "a", "order").await;
            let span = Duration::from_secs(seconds.into());
            let end = Instant::now() + span;
            scene.market.set_until("order", Some(clock.now().plus(span)));
            let granted = buyer.try_subscribe(TOPIC, 1).await;
            if granted != Some(1) {
                assert!(Instant::now() >= end, "{granted:02x?}");
                return false;
            }
            clock.by.store(-3_600_000_000, Ordering::SeqCst);
            assert_eq!(device.publish(TOPIC, b"in time", 1).await, Fate::Acknowledged(0));
            let message = buyer.message().await;
            if Instant::now() >= end {
                return false;
            }
            assert_eq!(message.unwrap().payload, b"in time");
            assert_eq!(buyer.told_at_end().await, told(version, 0x87));
            assert!(Instant::now() >= end);
            scene.ends_well().await;
            true
        })
        .await;
    }
}
