//! Who may publish, and what becomes of it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use i3_core::gate::Principal;
use i3_core::name::Topic;

use super::client::{Client, Hello, packet, publish};
use super::*;
use crate::log::{Backlog, Feed, LogDown, Reader};
use crate::message::Message;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_publish_reaches_nobody_and_is_not_retained() {
    let scene = Scene::new(100).await;
    let mut buyer = scene.buyer("a", 1).await;
    for (number, user) in ["order", "other-device"].into_iter().enumerate() {
        let mut intruder = scene.client(&format!("intruder-{number}"), user).await;
        assert!(!intruder.publish_acked(TOPIC, b"forged", true).await, "{user} is cut off");
    }
    for topic in
        ["i3/hub/other", "$SYS/x", "$share/g/i3/hub/product", "äpfel", "\u{10ffff}", "i3/hub/product/"]
    {
        let mut device = scene.client("wrong topic", "device").await;
        assert!(!device.publish_acked(topic, b"forged", true).await, "{topic:?}");
    }
    let mut late = scene.buyer("late", 1).await;
    assert!(late.hears_nothing().await && buyer.hears_nothing().await);
    let stats = scene.gate.stats();
    assert_eq!((stats.publishes_refused, stats.publishes_accepted, stats.delivered), (8, 0, 0));
    assert!(scene.device().await.publish_acked(TOPIC, b"true", false).await, "the gate lives");
    assert_eq!(buyer.message().await.unwrap().payload, b"true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_before_a_refused_publish_counts() {
    let scene = Scene::new(100).await;
    let mut buyer = scene.buyer("a", 0).await;
    let mut device = scene.device().await;
    let mut bytes = publish(TOPIC, b"good", 0, false, 0);
    bytes.extend(publish("i3/hub/other", b"bad", 0, false, 0));
    bytes.extend(publish(TOPIC, b"after", 0, false, 0));
    device.send(&bytes).await;
    assert!(device.is_closed().await);
    assert_eq!(buyer.message().await.unwrap().payload, b"good");
    assert!(buyer.hears_nothing().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishes_right_behind_connect_are_taken() {
    let scene = Scene::new(100).await;
    let mut buyer = scene.buyer("a", 0).await;
    let mut device = Client::open(scene.gate.local_addr()).await;
    let mut bytes = Hello::new("eager", "device").packet();
    bytes.extend(publish(TOPIC, b"eager", 1, false, 3));
    bytes.extend(packet(0xe0, &[]));
    device.send(&bytes).await;
    assert_eq!(device.packet().await, Some((0x20, vec![0, 0])));
    assert_eq!(buyer.message().await.unwrap().payload, b"eager");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_will_fires_unless_the_client_says_goodbye() {
    let scene = Scene::new(100).await;
    let mut buyer = scene.buyer("a", 1).await;
    let hello = |id| Hello { will: Some((TOPIC, "gone", true)), ..Hello::new(id, "device") };
    let mut polite = Client::open(scene.gate.local_addr()).await;
    assert_eq!(polite.hello(&hello("polite")).await, Some(0));
    polite.send(&packet(0xe0, &[])).await;
    assert!(polite.is_closed().await);
    assert!(buyer.hears_nothing().await);
    let mut sudden = Client::open(scene.gate.local_addr()).await;
    assert_eq!(sudden.hello(&hello("sudden")).await, Some(0));
    drop(sudden);
    assert_eq!(buyer.message().await.unwrap().payload, b"gone");
    let retained = scene.buyer("late", 0).await.message().await.unwrap();
    assert!(retained.retain && retained.payload == b"gone");
}

/// A log that takes nothing while it is full.
#[derive(Debug, Default)]
struct Filled {
    log: MemoryLog,
    full: AtomicBool,
    refused: AtomicUsize,
}

#[async_trait]
impl TopicLog for Filled {
    fn publish(&self, source: Principal, topic: &Topic, messages: &[Message]) -> Result<Backlog, LogDown> {
        if self.full.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(LogDown);
        }
        self.log.publish(source, topic, messages)
    }

    async fn subscribe(&self, topic: &Topic) -> Result<Reader, LogDown> {
        self.log.subscribe(topic).await
    }

    fn feeds(&self) -> Vec<Arc<Feed>> {
        self.log.feeds()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_will_is_offered_again_to_a_log_that_is_full() {
    let log = Arc::new(Filled::default());
    let scene = Scene::with(100, Arc::clone(&log) as _, |_| {}).await;
    let mut buyer = scene.buyer("a", 1).await;
    let hello = Hello { will: Some((TOPIC, "gone", false)), ..Hello::new("sudden", "device") };
    let mut sudden = Client::open(scene.gate.local_addr()).await;
    assert_eq!(sudden.hello(&hello).await, Some(0));
    log.full.store(true, Ordering::SeqCst);
    drop(sudden);
    eventually("it was refused", || log.refused.load(Ordering::SeqCst) > 1).await;
    log.full.store(false, Ordering::SeqCst);
    assert_eq!(buyer.message().await.unwrap().payload, b"gone");
    assert!(buyer.hears_nothing().await, "it comes once");
    eventually("and is counted once", || scene.gate.stats().publishes_accepted == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_will_is_authorized_at_connect_and_again_when_it_fires() {
    let scene = Scene::new(100).await;
    let mut buyer = scene.buyer("a", 1).await;
    for (user, topic) in
        [("device", "i3/hub/other"), ("device", "ätopic"), ("order", TOPIC), ("other-device", TOPIC)]
    {
        let mut client = Client::open(scene.gate.local_addr()).await;
        let hello = Hello { will: Some((topic, "gone", true)), ..Hello::new("w", user) };
        assert_eq!(client.hello(&hello).await, Some(5), "{user} {topic}");
    }
    let mut device = Client::open(scene.gate.local_addr()).await;
    let hello = Hello { will: Some((TOPIC, "gone", true)), ..Hello::new("w", "device") };
    assert_eq!(device.hello(&hello).await, Some(0));
    scene.market.set_device(false).await;
    assert!(device.is_closed().await, "its access ended");
    assert!(buyer.hears_nothing().await, "and its will with it");
    assert!(scene.buyer("late", 1).await.hears_nothing().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_client_publishes_and_another_receives() {
    use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
    let scene = Scene::new(100).await;
    let options = |id: &str, user: &str| {
        let mut options = MqttOptions::new(id, "127.0.0.1", scene.gate.local_addr().port());
        options.set_credentials(user, "secret").set_keep_alive(PATIENCE);
        options
    };
    let (buyer, mut buyer_events) = AsyncClient::new(options("a", "order"), 10);
    buyer_events.network_options.set_connection_timeout(PATIENCE.as_secs());
    buyer.subscribe(TOPIC, QoS::AtLeastOnce).await.unwrap();
    while !matches!(buyer_events.poll().await.unwrap(), Event::Incoming(Incoming::SubAck(_))) {}
    let (device, mut device_events) = AsyncClient::new(options("d", "device"), 10);
    device_events.network_options.set_connection_timeout(PATIENCE.as_secs());
    device.publish(TOPIC, QoS::AtLeastOnce, false, "17.5").await.unwrap();
    while !matches!(device_events.poll().await.unwrap(), Event::Incoming(Incoming::PubAck(_))) {}
    loop {
        if let Event::Incoming(Incoming::Publish(message)) = buyer_events.poll().await.unwrap() {
            assert_eq!((message.topic.as_str(), &message.payload[..]), (TOPIC, b"17.5".as_slice()));
            break;
        }
    }
}
