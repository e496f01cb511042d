//! `QoS` 2, both ways.

use super::client::{Client, Hello, publish};
use super::five::{Hello5, Received5};
use super::*;

/// A PUBLISH at `QoS` 2 that was sent before.
fn again(payload: &[u8], id: u16) -> Vec<u8> {
    let mut bytes = publish(TOPIC, payload, 2, false, id);
    bytes[0] |= 0x08;
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_sent_again_before_its_release_arrives_once() {
    let scene = Scene::new(100).await;
    let mut buyer = scene.buyer("a", 0).await;
    let mut device = scene.device().await;
    device.send(&publish(TOPIC, b"1", 2, false, 7)).await;
    assert_eq!(device.packet().await, Some((0x50, vec![0, 7])));
    device.send(&again(b"1", 7)).await;
    assert_eq!(device.packet().await, Some((0x50, vec![0, 7])));
    for _ in 0..2 {
        device.ack(0x62, 7).await;
        assert_eq!(device.packet().await, Some((0x70, vec![0, 7])));
    }
    device.send(&publish(TOPIC, b"2", 2, false, 7)).await;
    assert_eq!(device.packet().await, Some((0x50, vec![0, 7])));
    assert_eq!(buyer.message().await.unwrap().payload, b"1");
    assert_eq!(buyer.message().await.unwrap().payload, b"2");
    assert!(buyer.hears_nothing().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_sent_again_on_the_next_connection_arrives_once() {
    let scene = Scene::new(100).await;
    let mut buyer = scene.buyer("a", 2).await;
    let hello = Hello { clean: false, ..Hello::new("device", "device") };
    for expected in [b"1", b"2"] {
        // The device never hears of the PUBREC.
        let mut device = Client::open(scene.gate.local_addr()).await;
        device.send(&hello.packet()).await;
        device.packet().await.unwrap();
        device.send(&publish(TOPIC, expected, 2, false, 7)).await;
        let message = buyer.message().await.unwrap();
        assert_eq!((message.payload.as_slice(), message.qos), (expected.as_slice(), 2));
        drop(device);
        let mut device = Client::open(scene.gate.local_addr()).await;
        device.send(&hello.packet()).await;
        assert_eq!(device.packet().await, Some((0x20, vec![1, 0])), "its session is present");
        device.send(&again(expected, 7)).await;
        assert_eq!(device.packet().await, Some((0x50, vec![0, 7])));
        device.ack(0x62, 7).await;
        assert_eq!(device.packet().await, Some((0x70, vec![0, 7])));
    }
    assert!(buyer.hears_nothing().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_goes_through_all_its_phases_and_is_charged_once() {
    let scene = Scene::in_memory(100, |config| config.max_inflight = 2).await;
    let mut buyer = scene.buyer("a", 2).await;
    let mut device = scene.device().await;
    for number in 1..=3_u16 {
        device.send(&publish(TOPIC, &number.to_be_bytes(), 2, false, number)).await;
        device.packet().await.unwrap();
    }
    let (first, second) = (buyer.message().await.unwrap(), buyer.message().await.unwrap());
    assert_eq!((first.qos, second.qos), (2, 2));
    assert!(buyer.hears_nothing().await, "two at a time");
    // PUBREC before the other message's PUBACK of the wrong kind; twice; and of what was never sent.
    let (one, two) = (first.id.unwrap(), second.id.unwrap());
    buyer.ack(0x40, one).await;
    buyer.ack(0x70, one).await;
    for id in [two, one, one] {
        buyer.ack(0x50, id).await;
        assert_eq!(buyer.packet().await, Some((0x62, id.to_be_bytes().to_vec())));
    }
    assert!(buyer.hears_nothing().await);
    buyer.ack(0x70, two).await;
    assert_eq!(buyer.message().await.unwrap().payload, 3_u16.to_be_bytes());
    drop(buyer);
    eventually("written is charged", || scene.market.billed() == 3 && scene.market.open_leases() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_quality_is_the_lower_of_both() {
    let scene = Scene::in_memory(100, |_| {}).await;
    let mut device = scene.device().await;
    for (number, granted) in [(1_u16, 0), (2, 1), (3, 2)] {
        let mut buyer = scene.buyer(&number.to_string(), granted).await;
        for published in 0..3 {
            device.send(&publish(TOPIC, b"x", published, false, number * 3 + u16::from(published))).await;
            let message = buyer.message().await.unwrap();
            assert_eq!(message.qos, published.min(granted));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_under_way_when_the_line_broke_goes_on_where_it_was() {
    let scene = Scene::in_memory(100, |_| {}).await;
    let hello = Hello5::lasting("a", "order", 60);
    let mut buyer = scene.buyer5(&hello, 2).await;
    let mut device = scene.device().await;
    for number in 1..=4_u16 {
        let qos = if number == 2 { 1 } else { 2 };
        device.send(&publish(TOPIC, &[u8::try_from(number).unwrap()], qos, false, number)).await;
        device.packet().await.unwrap();
    }
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(buyer.message5().await.id);
    }
    // The fourth and the first are received, and the gate knows; it does not know that the first is complete.
    for id in [ids[3], ids[0]] {
        buyer.ack(0x50, id).await;
        assert_eq!(buyer.packet().await, Some((0x62, id.to_be_bytes().to_vec())));
    }
    drop(buyer);
    eventually("the session is parked", || scene.gate.stats().parked == 1).await;
    let (mut buyer, present) = scene.client5(&hello).await;
    assert!(present);
    for id in [ids[3], ids[0]] {
        assert_eq!(
            buyer.packet().await,
            Some((0x62, id.to_be_bytes().to_vec())),
            "in the order of the receipts"
        );
        buyer.ack(0x70, id).await;
    }
    for number in [2, 3] {
        let message = buyer.message5().await;
        assert_eq!(
            (message.payload, message.id, message.dup),
            (vec![number], ids[usize::from(number) - 1], true)
        );
        buyer.ack(if number == 2 { 0x40 } else { 0x50 }, message.id).await;
    }
    assert_eq!(buyer.packet().await, Some((0x62, ids[2].to_be_bytes().to_vec())));
    buyer.ack(0x70, ids[2]).await;
    assert!(device.publish_acked(TOPIC, b"new", false).await);
    let message = buyer.message5().await;
    assert!(message.payload == b"new" && !message.dup && message.sequence == 5);
    drop(buyer);
    eventually("the books are closed", || scene.market.open_leases() == 0).await;
    assert_eq!((scene.market.billed(), scene.gate.stats().redelivered), (5, 2), "sent again is free");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_once_is_exactly_once_however_often_the_line_breaks() {
    const MESSAGES: u32 = 1_000;
    let scene = Scene::in_memory(1_000_000, |config| config.max_offline = u64::from(MESSAGES)).await;
    let hello = Hello5::lasting("a", "order", 60);
    drop(scene.buyer5(&hello, 2).await);
    eventually("the session is parked", || scene.gate.stats().parked == 1).await;
    let mut device = scene.device().await;
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            device.send(&publish(TOPIC, &number.to_be_bytes(), 2, false, 9)).await;
            assert_eq!(device.packet().await, Some((0x50, vec![0, 9])));
            device.ack(0x62, 9).await;
            assert_eq!(device.packet().await, Some((0x70, vec![0, 9])));
        }
        device
    });
    // What a correct client knows: the identifiers of messages that it has and that were not released.
    let mut known = std::collections::BTreeSet::new();
    let (mut seen, mut chance) = (Vec::new(), 1_u32);
    while seen.len() < usize::try_from(MESSAGES).unwrap() {
        let (mut buyer, present) = scene.client5(&hello).await;
        assert!(present);
        chance = chance.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        for left in (0..20 + (chance >> 16) % 60).rev() {
            if seen.len() == usize::try_from(MESSAGES).unwrap() {
                break;
            }
            let (first, body) = buyer.packet().await.unwrap();
            let answer = if first >> 4 == 3 {
                let message = Received5::read(first, &body);
                if known.insert(message.id) {
                    seen.push(u32::from_be_bytes(message.payload.as_slice().try_into().unwrap()));
                } else {
                    assert!(message.dup);
                }
                (0x50, message.id)
            } else {
                assert_eq!(first, 0x62);
                let id = u16::from_be_bytes([body[0], body[1]]);
                known.remove(&id);
                (0x70, id)
            };
            // The last answers of each connection are never sent.
            if left > chance % 7 {
                buyer.ack(answer.0, answer.1).await;
            }
        }
        drop(buyer);
        eventually("the session is parked", || scene.gate.stats().parked == 1).await;
    }
    drop(sending.await.unwrap());
    assert_eq!(seen, (0..MESSAGES).collect::<Vec<_>>());
    eventually("the books are closed", || scene.market.open_leases() == 0).await;
    let stats = scene.gate.stats();
    assert_eq!((scene.market.billed(), stats.delivered), (MESSAGES.into(), MESSAGES.into()));
    assert!(stats.redelivered > 0);
}
