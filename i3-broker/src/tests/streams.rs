//! Sequence numbers and quality, over real sockets.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use i3_core::time::{Clock as _, SystemClock};

use super::five::Hello5;
use super::{Scene, TOPIC};
use crate::log::MemoryLog;
use crate::{Gate, GateConfig, Ports};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buyers_see_one_row_of_numbers_over_an_orderly_restart() {
    let scene = Scene::in_memory(1_000, |_| {}).await;
    let mut buyer = scene.buyer5(&Hello5::new("a", "order"), 1).await;
    let mut device = scene.device().await;
    for expected in 1..=3 {
        assert!(device.publish_acked(TOPIC, b"x", false).await);
        assert_eq!(buyer.message5().await.sequence, expected);
    }
    assert_eq!(scene.gate.stats().streams, 1);
    let Scene { gate, market } = scene;
    gate.shutdown().await;
    let measured = market.quality.lock().unwrap().summary(SystemClock.now());
    assert_eq!((measured.messages, measured.bytes, measured.missing), (3, 3, 0));

    let ports = Ports {
        authenticator: Arc::clone(&market) as _,
        directory: Arc::clone(&market) as _,
        metering: Arc::clone(&market) as _,
        streams: Arc::clone(&market) as _,
        clock: Arc::new(SystemClock),
    };
    let config = GateConfig::new("127.0.0.1:0".parse().unwrap());
    let gate = Gate::start(config, ports, Arc::new(MemoryLog::default())).await.unwrap();
    let scene = Scene { gate, market };
    let mut buyer = scene.buyer5(&Hello5::new("a", "order"), 1).await;
    let mut device = scene.device().await;
    assert!(device.publish_acked(TOPIC, b"x", false).await);
    assert_eq!(buyer.message5().await.sequence, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_at_the_very_beginning_is_numbered_without_a_gap() {
    let scene = Scene::in_memory(10_000, |_| {}).await;
    let mut buyer = scene.buyer5(&Hello5::new("a", "order"), 0).await;
    let mut device = scene.device().await;
    for number in 0..5_000_u32 {
        device.publish(number.to_be_bytes()).await;
    }
    for expected in 1..=5_000 {
        assert_eq!(buyer.message5().await.sequence, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_numbers_nothing_is_accepted_and_what_waits_is_taken_when_they_come() {
    let scene = Scene::in_memory(1_000, |_| {}).await;
    let mut buyer = scene.buyer("a", 1).await;
    let mut device = scene.device().await;
    scene.market.numberless.store(true, Ordering::SeqCst);
    device.publish(b"waits").await;
    assert!(buyer.hears_nothing().await);
    assert_eq!(scene.gate.stats().publishes_accepted, 0);
    scene.market.numberless.store(false, Ordering::SeqCst);
    assert_eq!(buyer.message().await.unwrap().payload, b"waits");

    // For as long as the log may be down, and no longer.
    let scene = Scene::in_memory(1_000, |config| config.quota_wait = Duration::from_millis(200)).await;
    scene.market.numberless.store(true, Ordering::SeqCst);
    let mut device = scene.device().await;
    device.publish(b"lost").await;
    assert!(device.is_closed().await);
    assert_eq!(scene.gate.stats().publishes_accepted, 0);
}
