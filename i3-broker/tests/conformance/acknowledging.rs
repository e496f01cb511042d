//! 3.4 to 3.7, 3.12 and 4.9: acknowledgements, pings and windows.

use super::*;
use crate::client::Reply;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reasons_that_the_table_has_are_taken_and_others_are_malformed() {
    let (scene, _buyer, _) = pair(V5, 1).await;
    let of_publish: &[u8] = &[0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    let of_release: &[u8] = &[0, 0x92];
    for (first, good) in [(0x40_u8, of_publish), (0x50, of_publish), (0x62, of_release), (0x70, of_release)] {
        for reason in 0..=255_u8 {
            // One connection for all good ones, one for each bad one of a sample.
            if !good.contains(&reason) && reason % 16 != 2 {
                continue;
            }
            let mut client = scene.device(V5).await;
            client.send(packet(first, &[0, 9, reason])).await;
            if good.contains(&reason) {
                assert!(client.lives().await, "{first:#x} {reason:#x}");
            } else {
                let Fate::Closed(told) = client.end().await else { unreachable!() };
                assert!(matches!(told, Some(0x81 | 0x82)), "{first:#x} {reason:#x} {told:02x?}");
            }
        }
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_the_client_refuses_is_not_sent_again() {
    // 4.4.0-2
    for qos in [1_u8, 2] {
        let scene = Scene::new(100).await;
        let hello = Hello::new(V5, "buyer", "order").resuming();
        let mut buyer = scene.enter(&hello).await;
        assert_eq!(buyer.subscribe(&[(TOPIC, qos)]).await, [qos]);
        let mut device = scene.device(V5).await;
        assert_eq!(device.publish(TOPIC, b"x", qos).await, Fate::Acknowledged(0));
        let [high, low] = buyer.message().await.unwrap().id.unwrap().to_be_bytes();
        let first = if qos == 1 { 0x40 } else { 0x50 };
        buyer.send(packet(first, &[high, low, 0x80])).await;
        assert!(buyer.lives().await && buyer.hears_nothing().await, "no PUBREL either");
        buyer.abort();
        crate::scene::eventually("it is parked", || scene.gate.stats().parked == 1).await;
        let mut buyer = scene.enter(&hello).await;
        assert!(buyer.hears_nothing().await);
        assert_eq!(device.publish(TOPIC, b"y", qos).await, Fate::Acknowledged(0));
        assert_eq!(buyer.payload().await, b"y");
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_of_qos_2_stays_open_until_pubrec_and_a_pubrel_until_pubcomp() {
    for &version in VERSIONS {
        let (scene, mut buyer, mut device) = pair(version, 2).await;
        assert_eq!(device.publish(TOPIC, b"x", 2).await, Fate::Acknowledged(0));
        let message = buyer.message().await.unwrap();
        let id = message.id.unwrap();
        assert!(buyer.hears_nothing().await, "nothing is sent again while the connection is there (4.4.0-1)");
        buyer.send(ack(5, id)).await;
        assert!(matches!(buyer.reply().await, Some(Reply::Ack(6, of, 0, _)) if of == id));
        assert!(buyer.hears_nothing().await);
        buyer.send(ack(7, id)).await;
        assert!(buyer.lives().await && buyer.hears_nothing().await);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_is_answered() {
    for &version in VERSIONS {
        let (scene, mut buyer, mut device) = pair(version, 0).await;
        for client in [&mut buyer, &mut device] {
            for _ in 0..5 {
                client.send(PINGREQ).await;
                assert_eq!(client.reply().await, Some(Reply::Pingresp));
            }
        }
        scene.ends_well().await;
    }
}
