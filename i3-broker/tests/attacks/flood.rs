//! Revocation of a thousand live sessions while messages keep coming, and slow readers among quick ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Client, PATIENCE};
use crate::market::TOPIC;
use crate::packets::*;
use crate::scene::{Scene, eventually, full_or, number, numbered};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_11_a_thousand_live_sessions_hear_nothing_above_the_cut() {
    const SESSIONS: u128 = 1_000;
    for &version in VERSIONS {
        let scene = Scene::new(1_000_000_000).await;
        // Ten orders with a hundred sessions each; nine are refunded, one after the other.
        let mut reading = Vec::new();
        for session in 0..SESSIONS {
            let order = format!("order-{}", session % 10);
            if session < 10 {
                scene.market.add_order(&order, 100 + session, 3, 1_000_000_000);
            }
            let qos = QUALITIES[usize::try_from(session).unwrap() / 10 % QUALITIES.len()];
            let mut client = scene.client(version, &format!("client-{session}"), &order).await;
            assert_eq!(client.subscribe(&[(TOPIC, qos)]).await, [qos]);
            reading.push(tokio::spawn(async move {
                let (mut count, mut last, mut at) = (0_u64, None, Instant::now());
                while let Some(message) = client.message().await {
                    at = Instant::now();
                    let number = number(&message.payload);
                    assert!(last.is_none_or(|last| last < number), "in order, none twice");
                    (count, last) = (count + 1, Some(number));
                    client.acknowledge(&message).await;
                    if session % 10 == 9 && number == u64::MAX {
                        break;
                    }
                }
                (count, last, at)
            }));
        }
        // The flood. What a command cuts off is everything that was sent after it returned.
        let sent = Arc::new(AtomicU64::new(0));
        let mut device = scene.device(version).await;
        let flood = {
            let sent = Arc::clone(&sent);
            tokio::spawn(async move {
                let stop = Instant::now() + Duration::from_mins(5);
                while sent.load(Ordering::SeqCst) < u64::MAX / 2 && Instant::now() < stop {
                    let next = sent.fetch_add(1, Ordering::SeqCst);
                    device.tell(TOPIC, numbered(next, 100)).await;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                device
            })
        };
        eventually("all receive", || scene.gate.stats().delivered > 20_000).await;
        let mut cuts = Vec::new();
        for order in 0..9 {
            scene.market.set_open(&format!("order-{order}"), false).await;
            cuts.push((sent.load(Ordering::SeqCst), Instant::now()));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        sent.store(u64::MAX / 2, Ordering::SeqCst);
        let mut device = flood.await.unwrap();
        device.tell(TOPIC, numbered(u64::MAX, 8)).await;
        let mut delays = Vec::new();
        let mut received = 0;
        for (session, reader) in reading.into_iter().enumerate() {
            let (count, last, at) = reader.await.unwrap();
            received += count;
            let Some((cut, returned)) = cuts.get(session % 10) else {
                assert_eq!(last, Some(u64::MAX), "who was not refunded hears it all");
                continue;
            };
            assert!(last.is_none_or(|last| last < *cut), "{last:?} came after {cut}");
            delays.push(at.saturating_duration_since(*returned));
        }
        delays.sort();
        let p99 = delays[delays.len() * 99 / 100];
        println!(
            "{version:?}: last byte after the command's return: p50 {:?}, p99 {p99:?}, max {:?}; the last revocation took {:?}",
            delays[delays.len() / 2],
            delays[delays.len() - 1],
            scene.gate.stats().last_revocation.unwrap(),
        );
        // Of a machine that does much else the times say nothing.
        assert!(p99 < full_or(Duration::from_millis(250), PATIENCE), "{p99:?}");
        // A part of a last frame may be charged and not readable, for each of the 900.
        eventually("the leases of nine are closed", || scene.market.open_leases() <= 1).await;
        let delivered = || scene.gate.stats().delivered;
        eventually("all that came is counted", || delivered() >= received).await;
        assert!(delivered() <= received + 900, "{received} of {}", delivered());
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_25_slow_readers_do_not_slow_a_quick_one() {
    const MESSAGES: u64 = 3_000;
    for &version in VERSIONS {
        let scene = Scene::new(10_000_000).await;
        let mut quick = scene.client(version, "quick", "order-two").await;
        assert_eq!(quick.subscribe(&[(TOPIC, 0)]).await, [0]);
        let mut device = scene.device(version).await;
        // How long the quick one takes, alone and then beside 50 that do not read.
        let mut took = Vec::new();
        let mut slow = Vec::new();
        for round in 0..2 {
            let begun = Instant::now();
            for number in 0..MESSAGES {
                device.tell(TOPIC, numbered(number, 5_000)).await;
                // One at a time: the quick one never has more than a few to read.
                if number % 10 == 9 {
                    for expected in number - 9..=number {
                        assert_eq!(crate::scene::number(&quick.payload().await), expected, "it misses none");
                    }
                }
            }
            took.push(begun.elapsed());
            if round == 0 {
                for reader in 0..50 {
                    let mut client = Client::open_small(scene.gate.local_addr(), version).await;
                    client.hello(&Hello::new(version, format!("slow-{reader}"), "order")).await.unwrap();
                    let qos = QUALITIES[reader % QUALITIES.len()];
                    assert_eq!(client.subscribe(&[(TOPIC, qos)]).await, [qos]);
                    slow.push(client);
                }
            }
        }
        println!(
            "{version:?}: {MESSAGES} messages took {:?} alone and {:?} beside slow readers",
            took[0], took[1]
        );
        let stats = scene.gate.stats();
        assert!(stats.delivered < MESSAGES * 40, "the slow ones did not get theirs: {}", stats.delivered);
        // With slow readers the same work is done for more clients, so it may take longer. It never waits for them: the
        // quick one would not have got its messages.
        assert!(
            took[1] < full_or(took[0] * 20 + Duration::from_secs(5), took[0] + PATIENCE * 10),
            "{took:?}"
        );
        drop(slow);
        device.tell(TOPIC, numbered(MESSAGES, 8)).await;
        assert_eq!(number(&quick.payload().await), MESSAGES);
        eventually("they are gone", || scene.sessions() == 2).await;
        scene.ends_well().await;
    }
}
