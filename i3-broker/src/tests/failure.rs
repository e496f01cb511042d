//! The store is down, the router dies, a client is slow, the gate stops.

use std::sync::atomic::Ordering;

use super::client::{Client, publish};
use super::*;
use crate::GateError;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_store_a_running_lease_is_used_up_and_then_deliveries_end() {
    let set = |config: &mut GateConfig| config.quota_wait = Duration::from_millis(500);
    let scene = Scene::in_memory(1_000_000, set).await;
    let mut buyer = scene.buyer("a", 0).await;
    let mut device = scene.device().await;
    scene.market.down.store(true, Ordering::SeqCst);
    let held = scene.market.granted();
    for number in 0..held * 3 {
        device.publish(number.to_be_bytes()).await;
    }
    let received = u64::try_from(buyer.messages().await.len()).unwrap();
    assert_eq!(received, held, "all of the lease and nothing more");
    assert_eq!(Client::open(scene.gate.local_addr()).await.login("b", "order", "secret").await, Some(3));
    scene.market.down.store(false, Ordering::SeqCst);
    let mut again = scene.client("a", "order").await;
    let begun = Instant::now();
    while again.subscribe(&[(TOPIC, 0)]).await != [0] {
        assert!(begun.elapsed() < PATIENCE, "the store is back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_comes_back_in_time_is_not_noticed_by_buyers() {
    let scene = Scene::in_memory(1_000_000, |_| {}).await;
    let mut buyer = scene.buyer("a", 0).await;
    let mut device = scene.device().await;
    scene.market.down.store(true, Ordering::SeqCst);
    let held = scene.market.granted();
    for number in 0..1_000_u64 {
        device.publish(number.to_be_bytes()).await;
    }
    eventually("the lease is used up", || scene.gate.stats().delivered == held).await;
    scene.market.down.store(false, Ordering::SeqCst);
    for expected in 0..1_000_u64 {
        assert_eq!(buyer.message().await.unwrap().payload, expected.to_be_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_flow_again_after_the_router_died() {
    let log = Arc::new(RumqttdLog::start(RumqttdLogConfig::default()).await.unwrap());
    let scene = Scene::with(1_000, Arc::clone(&log) as _, |_| {}).await;
    let mut buyer = scene.buyer("a", 1).await;
    let mut device = scene.device().await;
    for restarts in 1..=2 {
        assert!(device.publish_acked(TOPIC, b"before", false).await);
        assert_eq!(buyer.message().await.unwrap().payload, b"before");
        log.kill_router();
        eventually("another router runs", || scene.gate.stats().log_restarts == restarts).await;
        // The same connections; what is not taken yet is held back, not lost.
        assert!(device.publish_acked(TOPIC, b"after", false).await);
        assert_eq!(buyer.message().await.unwrap().payload, b"after");
    }
    assert_eq!(scene.buyer("b", 0).await.subscribe(&[(TOPIC, 0)]).await, [0], "new subscribers are linked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_misses_a_counted_number_and_hurts_nobody() {
    const MESSAGES: u64 = 3_000;
    let config = RumqttdLogConfig { feed_bytes: 1 << 20, ..RumqttdLogConfig::default() };
    let scene = Scene::with(1_000_000, Arc::new(RumqttdLog::start(config).await.unwrap()), |_| {}).await;
    let mut slow = Client::open_small(scene.gate.local_addr()).await;
    assert_eq!(slow.login("slow", "order", "secret").await, Some(0));
    assert_eq!(slow.subscribe(&[(TOPIC, 0)]).await, [0]);
    let mut quick = scene.buyer("quick", 0).await;
    let mut device = scene.device().await;
    let (seen, mut at_quick) = tokio::sync::watch::channel(0);
    let reading = tokio::spawn(async move {
        for expected in 0..MESSAGES {
            assert_eq!(quick.message().await.unwrap().payload[..8], expected.to_be_bytes());
            seen.send_replace(expected);
        }
        quick
    });
    for number in 0..MESSAGES {
        let mut payload = vec![0; 10_000];
        payload[..8].copy_from_slice(&number.to_be_bytes());
        device.send(&publish(TOPIC, &payload, 0, false, 0)).await;
        // Only the slow one is on trial: the quick one gets the time it needs.
        at_quick.wait_for(|seen| seen + 30 >= number).await.unwrap();
    }
    let mut quick = reading.await.unwrap();
    // The slow one starts to read, and reads the last message in the end.
    let (mut received, mut last) = (0, 0);
    while last < MESSAGES - 1 {
        let number = u64::from_be_bytes(slow.message().await.unwrap().payload[..8].try_into().unwrap());
        assert!(received == 0 || number > last, "in order, none twice");
        (received, last) = (received + 1, number);
    }
    let stats = scene.gate.stats();
    assert!(stats.missed.slow > 0);
    assert_eq!((received + stats.missed.slow, stats.log_lost), (MESSAGES, 0), "what it missed was counted");
    eventually("and not charged", || scene.gate.stats().delivered == MESSAGES + received).await;
    drop(slow);
    device.publish("after").await;
    assert_eq!(quick.message().await.unwrap().payload, b"after");
    drop(quick);
    eventually("the books are closed", || scene.market.open_leases() == 0).await;
    assert_eq!(scene.market.missed(), stats.missed, "the marketplace knows whose order it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutting_down_closes_connections_and_leases() {
    let scene = Scene::new(1_000).await;
    let (mut buyer, mut device) = (scene.buyer("a", 1).await, scene.device().await);
    assert!(device.publish_acked(TOPIC, b"1", false).await);
    assert_eq!(buyer.message().await.unwrap().payload, b"1");
    let address = scene.gate.local_addr();
    let idle = Client::open(address).await;
    scene.gate.shutdown().await;
    assert!(buyer.is_closed().await && device.is_closed().await);
    assert_eq!((scene.market.billed(), scene.market.open_leases()), (1, 0));
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens");
    drop(idle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_told_as_such() {
    let scene = Scene::in_memory(1, |_| {}).await;
    let ports = Ports {
        authenticator: Arc::clone(&scene.market) as _,
        directory: Arc::clone(&scene.market) as _,
        metering: Arc::clone(&scene.market) as _,
        streams: Arc::clone(&scene.market) as _,
        clock: Arc::new(SystemClock),
    };
    let config = GateConfig::new(scene.gate.local_addr());
    let error = Gate::start(config, ports, Arc::new(MemoryLog::default())).await.unwrap_err();
    assert!(matches!(error, GateError::AddressInUse(address) if address == scene.gate.local_addr()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feeds_live_as_long_as_somebody_reads_them() {
    let log = Arc::new(RumqttdLog::start(RumqttdLogConfig::default()).await.unwrap());
    let scene = Scene::with(1_000, Arc::clone(&log) as _, |_| {}).await;
    for _ in 0..50 {
        let (a, b) = (scene.buyer("a", 1).await, scene.buyer("b", 1).await);
        assert_eq!(log.feeds().len(), 1);
        drop((a, b));
        eventually("the feed is gone", || log.feeds().is_empty()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_marketplace_that_panics_refuses_and_recovers() {
    let scene = Scene::in_memory(100, |_| {}).await;
    scene.market.broken.store(true, Ordering::SeqCst);
    let mut buyer = scene.client("a", "order").await;
    assert_eq!(buyer.subscribe(&[(TOPIC, 0)]).await, [0x80]);
    scene.market.broken.store(false, Ordering::SeqCst);
    assert_eq!(buyer.subscribe(&[(TOPIC, 0)]).await, [0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutting_down_does_not_wait_long_for_a_client_that_does_not_read() {
    let set = |config: &mut GateConfig| config.shutdown_limit = Duration::from_millis(300);
    let scene = Scene::in_memory(100_000, set).await;
    let mut blocked = Client::open_small(scene.gate.local_addr()).await;
    assert_eq!(blocked.login("blocked", "order", "secret").await, Some(0));
    assert_eq!(blocked.subscribe(&[(TOPIC, 0)]).await, [0]);
    let mut device = scene.device().await;
    for _ in 0..300 {
        device.send(&publish(TOPIC, &vec![7; 60_000], 0, false, 0)).await;
    }
    eventually("some of it is on its way", || scene.gate.stats().delivered > 0).await;
    in_time("the end, though nobody reads", scene.gate.shutdown()).await;
    let market = &scene.market;
    assert_eq!(market.open_leases(), 0);
    // Charged is what was begun: all of it but the last frame can be read.
    let received = u64::try_from(blocked.messages().await.len()).unwrap();
    assert!(received == market.billed() || received + 1 == market.billed(), "{received} {}", market.billed());
}
