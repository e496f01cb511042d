//! Delivered = metered.

use super::client::{Client, Hello, publish};
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_arrive_in_order_at_the_lower_of_both_qualities() {
    let scene = Scene::new(100).await;
    let (mut zero, mut one) = (scene.buyer("a", 0).await, scene.buyer("b", 1).await);
    let mut device = scene.device().await;
    device.publish("first").await;
    assert!(device.publish_acked(TOPIC, b"second", false).await);
    for (client, last) in [(&mut zero, 0), (&mut one, 1)] {
        let (first, second) = (client.message().await.unwrap(), client.message().await.unwrap());
        assert_eq!(
            (first.topic.as_str(), first.payload.as_slice(), first.qos),
            (TOPIC, b"first".as_slice(), 0)
        );
        assert_eq!((second.payload.as_slice(), second.qos), (b"second".as_slice(), last));
        assert!(!first.retain && !second.retain);
    }
    scene.gate.shutdown().await;
    assert_eq!((scene.market.billed(), scene.market.open_leases()), (4, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_n_delivers_exactly_n_however_many_sessions_race_for_it() {
    const QUOTA: u64 = 500;
    let scene = Scene::new(QUOTA).await;
    let racers: Vec<_> = futures_join(&scene).await;
    let mut device = scene.device().await;
    let burst: Vec<u8> = (0..QUOTA * 100)
        .flat_map(|number| publish(TOPIC, &number.to_be_bytes(), u8::from(number % 2 == 0), false, 1))
        .collect();
    let reading: Vec<_> =
        racers.into_iter().map(|mut racer| tokio::spawn(async move { racer.messages().await })).collect();
    let sending = tokio::spawn(async move {
        device.send(&burst).await;
        device
    });
    let mut received = 0;
    for reader in reading {
        let messages = reader.await.unwrap();
        let numbers: Vec<_> =
            messages.iter().map(|m| u64::from_be_bytes(m.payload[..].try_into().unwrap())).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "each session sees each message once, in order");
        received += u64::try_from(numbers.len()).unwrap();
    }
    assert_eq!(received, QUOTA);
    eventually("the books are closed", || scene.market.open_leases() == 0).await;
    assert_eq!((scene.market.billed(), scene.gate.stats().delivered), (QUOTA, QUOTA));
    drop(sending.await.unwrap());
    let mut late = scene.client("late", "order").await;
    assert_eq!(late.subscribe(&[(TOPIC, 1)]).await, [0x80], "nothing is left");
}

async fn futures_join(scene: &Scene) -> Vec<Client> {
    let mut racers = Vec::new();
    for (racer, qos) in [("a", 0), ("b", 1), ("c", 1)] {
        racers.push(scene.buyer(racer, qos).await);
    }
    racers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paying_buyer_gets_every_message_of_a_burst() {
    let scene = Scene::new(1_000_000).await;
    // A store that answers slowly, so that leases run dry under way.
    scene.market.slow.store(3, std::sync::atomic::Ordering::SeqCst);
    let mut buyer = scene.buyer("a", 1).await;
    let mut device = scene.device().await;
    let reading = tokio::spawn(async move {
        for expected in 0..20_000_u64 {
            let message = buyer.message().await.unwrap();
            assert_eq!(message.payload, expected.to_be_bytes());
            if let Some(id) = message.id {
                let [high, low] = id.to_be_bytes();
                buyer.send(&[0x40, 2, high, low]).await;
            }
        }
        buyer
    });
    for number in 0..20_000_u64 {
        device.send(&publish(TOPIC, &number.to_be_bytes(), 1, false, 5)).await;
    }
    let buyer = reading.await.unwrap();
    drop(buyer);
    eventually("the lease is closed", || scene.market.open_leases() == 0).await;
    assert_eq!(scene.market.billed(), 20_000);
    assert_eq!(scene.gate.stats().missed.slow, 0);
    // Fewer than if each were asked for the first lease's 64 messages.
    assert!(scene.market.calls() < 20_000 / 64, "leases grow: {} calls", scene.market.calls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_lease_is_given_back_when_nothing_is_delivered_any_more() {
    let scene = Scene::in_memory(1_000_000, |config| {
        config.report_every = std::time::Duration::from_millis(50);
    })
    .await;
    let mut buyer = scene.buyer("a", 0).await;
    let mut device = scene.device().await;
    let mut most = 0;
    for number in 0..5_000_u64 {
        device.send(&publish(TOPIC, &number.to_be_bytes(), 0, false, 0)).await;
        assert_eq!(buyer.message().await.unwrap().payload, number.to_be_bytes());
        most = most.max(scene.market.granted());
    }
    assert!(most > 64, "the lease has grown");
    let small = || scene.market.open_leases() == 1 && scene.market.granted() <= 64;
    eventually("a small lease takes the place of the large one", small).await;
    assert_eq!(scene.market.billed(), 5_000);
    device.publish("z").await;
    assert_eq!(buyer.message().await.unwrap().payload, b"z");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribing_twice_is_one_delivery_and_one_charge() {
    let scene = Scene::new(100).await;
    let mut buyer = scene.buyer("a", 0).await;
    assert_eq!(buyer.subscribe(&[(TOPIC, 1), (TOPIC, 0), (TOPIC, 2)]).await, [1, 0, 2]);
    scene.device().await.publish("x").await;
    assert_eq!(buyer.message().await.unwrap().payload, b"x");
    assert!(buyer.hears_nothing().await);
    eventually("usage is reported", || scene.market.billed() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retained_message_is_delivered_and_charged_for_each_subscribe() {
    let scene = Scene::new(2).await;
    let mut device = scene.device().await;
    assert!(device.publish_acked(TOPIC, b"last", true).await);
    let mut buyer = scene.buyer("a", 1).await;
    let message = buyer.message().await.unwrap();
    assert!(message.retain && message.qos == 1 && message.payload == b"last");
    assert_eq!(buyer.subscribe(&[(TOPIC, 0)]).await, [0]);
    assert_eq!(buyer.message().await.unwrap().qos, 0);
    assert!(buyer.is_closed().await, "the quota is used up");
    assert_eq!(scene.market.billed(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_retained_message_removes_what_was_retained() {
    let scene = Scene::new(9).await;
    let mut device = scene.device().await;
    assert!(device.publish_acked(TOPIC, b"last", true).await);
    assert!(device.publish_acked(TOPIC, b"", true).await);
    let mut buyer = scene.buyer("a", 1).await;
    assert!(buyer.hears_nothing().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wildcards_and_other_topics_are_refused_one_by_one() {
    let scene = Scene::new(100).await;
    let mut buyer = scene.client("a", "order").await;
    let filters = [
        "#",
        "+/hub/product",
        "i3/+/product",
        "i3/hub/#",
        "/#",
        "$SYS/#",
        "$share/g/i3/hub/product",
        "$share/g/#",
        "$queue/i3/hub/product",
        "i3/hub/other",
        "i3/hub/Product",
        "i3/hub/product/",
        "/i3/hub/product",
        "i3/hub/product ",
        "äi3/hub/product",
        "\u{feff}i3/hub/product",
    ];
    let asked: Vec<_> = filters.iter().map(|filter| (*filter, 1)).collect();
    assert!(buyer.subscribe(&asked).await.iter().all(|code| *code == 0x80));
    assert_eq!(scene.market.calls(), 0, "guesses take no leases");
    assert_eq!(buyer.subscribe(&[("#", 1), (TOPIC, 1), ("i3/hub/other", 0)]).await, [0x80, 1, 0x80]);
    scene.device().await.publish("x").await;
    assert_eq!(buyer.message().await.unwrap().payload, b"x");
    let mut device = scene.client("spy", "other-device").await;
    assert_eq!(device.subscribe(&[(TOPIC, 0), ("#", 0)]).await, [0x80, 0x80], "devices receive nothing");
    assert_eq!(scene.gate.stats().subscriptions_refused, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_acknowledge_gets_a_window_and_is_charged_for_it() {
    let scene = Scene::in_memory(100, |config| config.max_inflight = 10).await;
    let mut buyer = scene.buyer("a", 1).await;
    let mut device = scene.device().await;
    for _ in 0..20 {
        assert!(device.publish_acked(TOPIC, b"x", false).await);
    }
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(buyer.message().await.unwrap().id.unwrap());
    }
    assert!(buyer.hears_nothing().await);
    // Out of order, twice, and of what was never sent.
    for id in ids.iter().rev().chain(&ids).chain(&[999]) {
        let [high, low] = id.to_be_bytes();
        buyer.send(&[0x40, 2, high, low]).await;
    }
    for _ in 0..10 {
        let id = buyer.message().await.unwrap().id.unwrap();
        assert!(id != 0 && !ids.contains(&id));
    }
    drop(buyer);
    eventually("written is charged", || scene.market.billed() == 20 && scene.market.open_leases() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsubscribing_ends_deliveries_and_gives_the_rest_back() {
    let scene = Scene::new(100).await;
    let mut buyer = scene.buyer("a", 1).await;
    let mut body = vec![0, 5];
    super::client::text(&mut body, TOPIC);
    buyer.send(&super::client::packet(0xa2, &body)).await;
    assert_eq!(buyer.packet().await, Some((0xb0, vec![0, 5])));
    eventually("the lease is closed", || scene.market.open_leases() == 0).await;
    scene.device().await.publish("x").await;
    assert!(buyer.hears_nothing().await);
    assert_eq!(buyer.subscribe(&[(TOPIC, 0)]).await, [0]);
    scene.client("d2", "device").await.publish("y").await;
    assert_eq!(buyer.message().await.unwrap().payload, b"y");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_client_id_of_the_same_principal_takes_over_and_of_another_does_not() {
    let scene = Scene::new(100).await;
    let mut buyer = scene.buyer("same", 1).await;
    let mut device = scene.client("same", "device").await;
    assert!(device.publish_acked(TOPIC, b"1", false).await);
    assert_eq!(buyer.message().await.unwrap().payload, b"1");
    let mut again = scene.buyer("same", 1).await;
    assert!(buyer.is_closed().await);
    assert!(device.publish_acked(TOPIC, b"2", false).await);
    assert_eq!(again.message().await.unwrap().payload, b"2");
    eventually("two sessions are left", || scene.gate.stats().sessions == 2).await;
    let mut unnamed = Vec::new();
    for _ in 0..3 {
        unnamed.push(scene.client("", "order").await);
    }
    assert_eq!(scene.gate.stats().sessions, 5, "clients without a name do not displace each other");
    let mut hello = Hello::new("", "order");
    hello.clean = false;
    assert_eq!(Client::open(scene.gate.local_addr()).await.hello(&hello).await, Some(2));
}
