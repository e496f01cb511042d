//! Attack 32: the store, and with it the authorizer, does not answer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::client::Fate;
use crate::market::TOPIC;
use crate::packets::*;
use crate::scene::{Scene, eventually, numbered, ways};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_32_without_the_store_nobody_gets_in_and_leases_run_out() {
    for (version, qos) in ways() {
        let scene = Scene::with(1_000_000, |config| config.quota_wait = Duration::from_millis(400)).await;
        let mut buyer = scene.buyer(version, "a", qos).await;
        let mut subscribed_later = scene.client(version, "b", "order").await;
        let mut device = scene.device(version).await;
        scene.market.down.store(true, Ordering::SeqCst);
        // Nobody is let in, not even with a good password; MQTT 5 says that the server is not available.
        for user in ["device", "order", "nobody"] {
            let unavailable = Some(if version == V5 { 0x88 } else { 3 });
            assert_eq!(scene.code(&Hello::new(version, "new", user)).await, unavailable, "{user}");
        }
        // No new grant is opened.
        let code = subscribed_later.subscribe(&[("i3/hub/other", qos), (TOPIC, qos)]).await;
        assert!(code.iter().all(|code| *code >= 0x80) || code[1] == qos, "{code:02x?}");
        // What is held is delivered, and then it ends.
        let held = scene.market.granted();
        let mut open = 0;
        for number in 0..held * 3 {
            device.publish_next(TOPIC, &numbered(number, 8), qos, &mut open).await;
        }
        let received = u64::try_from(buyer.messages().await.len()).unwrap();
        let with_it =
            u64::try_from(if code[1] == qos { subscribed_later.messages().await.len() } else { 0 }).unwrap();
        assert_eq!(received + with_it, held, "all of the lease and nothing more");
        scene.market.down.store(false, Ordering::SeqCst);
        eventually("it is billed when the store is back", || scene.market.billed_to("order") == held).await;
        let mut again = scene.buyer_at_last(version, "a", "order", (TOPIC, qos)).await;
        assert_eq!(device.publish(TOPIC, b"again", 1).await, Fate::Acknowledged(0));
        assert_eq!(again.payload().await, b"again");
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_32_a_change_that_the_store_cannot_explain_ends_access() {
    for &version in VERSIONS {
        let scene = Scene::with(1_000, |config| config.quota_wait = Duration::from_millis(400)).await;
        let mut buyer = scene.buyer(version, "a", 1).await;
        let mut device = scene.device(version).await;
        scene.market.down.store(true, Ordering::SeqCst);
        // Something changed, and what is true now cannot be read: nothing is delivered or accepted.
        scene.market.set_open("order", true).await;
        scene.market.set_device("device", true).await;
        device.told_at_end().await;
        assert!(buyer.messages().await.is_empty());
        scene.market.down.store(false, Ordering::SeqCst);
        assert_eq!(scene.gate.stats().delivered, 0);
        scene.ends_well().await;
    }
}
