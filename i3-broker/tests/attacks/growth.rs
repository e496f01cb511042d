//! Attacks 7 and 29: filling the gate's memory with names.

use std::net::SocketAddr;

use crate::client::{Client, Fate};
use crate::market::TOPIC;
use crate::packets::*;
use crate::scene::{Scene, eventually, full_or};

/// Connects, says hello, sends this, hears the first answer and is gone; so many times, eight at a time.
async fn come_and_go(
    address: SocketAddr,
    times: usize,
    make: impl Fn(usize) -> (Hello, Vec<u8>) + Send + Sync + Copy + 'static,
) {
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            tokio::spawn(async move {
                for number in (worker..times).step_by(8) {
                    let (hello, rest) = make(number);
                    let mut client = Client::open(address, hello.version).await;
                    client.send([hello.bytes(), rest].concat()).await;
                    client.reply().await;
                    client.abort();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_07_clients_without_a_name_leave_nothing_behind() {
    let clients = full_or(100_000, 6_000);
    for &version in VERSIONS {
        let scene = Scene::new(1_000_000).await;
        come_and_go(scene.gate.local_addr(), clients, move |number| {
            let user = if number % 2 == 0 { "device" } else { "order" };
            (Hello::new(version, "", user), subscribe(version, 1, &[(TOPIC, 1)], &Props::new()))
        })
        .await;
        eventually("nothing is left", || scene.sessions() == 0 && scene.market.open_leases() == 0).await;
        eventually("nor a feed", || scene.log.feeds().is_empty()).await;
        assert_eq!(scene.gate.stats().logins, u64::try_from(clients).unwrap(), "none displaced another");
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_29_thousands_of_names_do_not_make_the_gate_larger() {
    for &version in VERSIONS {
        let scene = Scene::new(1_000_000).await;
        let mut device = scene.device(version).await;
        let mut buyer = scene.buyer(version, "a", 1).await;
        let times = full_or(50_000, 4_000);
        // Client identifiers, each with a will of its own.
        come_and_go(scene.gate.local_addr(), times, move |number| {
            let hello = Hello::new(version, format!("client-{number}"), "device");
            (hello.will(Will::new(format!("i3/hub/will-{number}"), b"x").retained()), Vec::new())
        })
        .await;
        // Logins that fail, each with another name.
        come_and_go(scene.gate.local_addr(), times, move |number| {
            (Hello::new(version, "x", &format!("nobody-{number}")).password(format!("{number}")), Vec::new())
        })
        .await;
        // Filters, a hundred in a packet.
        for round in 0..times / 66 {
            let filters: Vec<_> = (0..100).map(|number| format!("i3/hub/filter-{round}-{number}")).collect();
            let asked: Vec<_> = filters.iter().map(|filter| (filter.as_str(), 1)).collect();
            assert!(buyer.subscribe(&asked).await.iter().all(|code| *code >= 0x80));
            let names: Vec<_> = filters.iter().map(String::as_str).collect();
            buyer.unsubscribe(&names).await;
        }
        // Topics that are retained where nothing may be published.
        for number in 0..times / 2 {
            let mut forger = scene.client(version, "forger", "stranger").await;
            let forged = Publish::new(format!("i3/hub/topic-{number}"), b"x").qos(1, 1).retained();
            let fate = forger.publish_as(forged, 1, 1).await;
            assert!(matches!(fate, Fate::Closed(None) | Fate::Acknowledged(0x87)), "{fate:?}");
            forger.abort();
        }
        // What is there is what was there before: two sessions, one feed, one lease, one product's last value.
        eventually("two sessions are left", || scene.sessions() == 2).await;
        assert_eq!((scene.log.feeds().len(), scene.market.open_leases()), (1, 1));
        assert_eq!(scene.gate.stats().by_grant.len(), 1);
        assert_eq!(device.publish(TOPIC, b"last", 1).await, Fate::Acknowledged(0));
        assert_eq!(buyer.payload().await, b"last");
        scene.ends_well().await;
    }
}
