//! Attack 22: wills.

use crate::client::Fate;
use crate::market::{FOREIGN, RETIRED, SIBLING, TOPIC};
use crate::packets::*;
use crate::scene::{Scene, eventually};

fn with_will(version: Version, will: Will) -> Hello {
    Hello::new(version, "mortal", "device").will(will)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_22_a_will_on_a_topic_that_may_not_be_published_is_refused_at_connect() {
    for &version in VERSIONS {
        let scene = Scene::new(100).await;
        let mut buyer = scene.buyer(version, "a", 1).await;
        for (user, topic) in [
            ("device", FOREIGN),
            ("device", SIBLING),
            ("device", RETIRED),
            ("device", "i3/hub/never-was"),
            ("device", "$SYS/x"),
            ("device", "äpfel"),
            ("device", "\u{10ffff}"),
            ("sibling", TOPIC),
            ("order", TOPIC),
        ] {
            for qos in QUALITIES {
                let will = Will::new(topic, b"forged").qos(*qos).retained();
                let hello = Hello::new(version, "forger", user).will(will);
                let refused = Some(if version == V5 { 0x87 } else { 5 });
                assert_eq!(scene.code(&hello).await, refused, "{version:?} {user} {topic}");
            }
        }
        for topic in [b"".as_slice(), b"#", b"i3/+/product", b"i3/hub/product\0", b"\xed\xa0\x80"] {
            let mut client = scene.open(version).await;
            let answer = client.hello(&with_will(version, Will::new(topic, b"forged"))).await;
            let code = answer.map(|(_, code, _)| code);
            assert_ne!(code, Some(0), "{topic:02x?}");
            assert!(matches!(client.end().await, Fate::Closed(_)));
        }
        assert!(buyer.hears_nothing().await);
        let mut late = scene.buyer(version, "late", 1).await;
        assert!(late.hears_nothing().await);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_22_a_will_is_checked_again_when_it_fires() {
    enum Change {
        Disabled,
        Retired,
        KeyRemoved,
    }
    for &version in VERSIONS {
        for change in [Change::Disabled, Change::Retired, Change::KeyRemoved] {
            let scene = Scene::new(100).await;
            let will = Will::new(TOPIC, b"forged").retained();
            let mut device = scene.enter(&with_will(version, will)).await;
            let mut buyer = scene.buyer(version, "a", 1).await;
            match change {
                Change::Disabled => {
                    scene.market.set_device("device", false).await;
                    device.told_at_end().await;
                }
                Change::Retired => {
                    scene.market.set_listed(TOPIC, false).await;
                    device.abort();
                    eventually("it is gone", || scene.sessions() == 0).await;
                    scene.market.set_listed(TOPIC, true).await;
                    buyer = scene.buyer(version, "a", 1).await;
                }
                // The device itself may still publish; who came with the removed key may not.
                Change::KeyRemoved => {
                    scene.market.remove_credential("device").await;
                    device.told_at_end().await;
                }
            }
            assert!(buyer.hears_nothing().await, "the right is gone, and the will with it");
            let mut late = scene.buyer(version, "late", 1).await;
            assert!(late.hears_nothing().await, "nor was it retained");
            assert_eq!(scene.market.billed_to("order"), 0);
            scene.ends_well().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_22_a_will_that_is_allowed_fires_once_and_is_retained_if_it_says_so() {
    for &version in VERSIONS {
        for &qos in QUALITIES {
            let scene = Scene::new(100).await;
            let mut buyer = scene.buyer(version, "a", 1).await;
            let mortal =
                scene.enter(&with_will(version, Will::new(TOPIC, b"gone").qos(qos).retained())).await;
            mortal.abort();
            let message = buyer.message().await.unwrap();
            assert_eq!(
                (message.payload.as_slice(), message.qos, message.retain),
                (b"gone".as_slice(), qos.min(1), false)
            );
            buyer.acknowledge(&message).await;
            assert!(buyer.hears_nothing().await, "once");
            let mut late = scene.buyer(version, "late", 1).await;
            let retained = late.message().await.unwrap();
            assert!(retained.retain && retained.payload == b"gone");
            // A client that says good-bye takes its will with it.
            let mut polite = scene.enter(&with_will(version, Will::new(TOPIC, b"forged"))).await;
            polite.send(GOODBYE).await;
            assert_eq!(polite.end().await, Fate::Closed(None));
            assert!(buyer.hears_nothing().await);
            scene.ends_well().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_22_a_takeover_fires_the_will_of_the_connection_it_ends_and_no_other() {
    for &version in VERSIONS {
        let scene = Scene::new(100).await;
        let mut buyer = scene.buyer(version, "a", 1).await;
        let mut first = scene.enter(&with_will(version, Will::new(TOPIC, b"first"))).await;
        let mut second = scene.enter(&with_will(version, Will::new(TOPIC, b"second"))).await;
        assert_eq!(first.end().await, Fate::Closed((version == V5).then_some(0x8e)));
        assert_eq!(buyer.payload().await, b"first");
        assert!(second.lives().await && buyer.hears_nothing().await);
        // Another principal with the same name fires nobody's.
        let third = scene.client(version, "mortal", "sibling").await;
        assert!(second.lives().await && buyer.hears_nothing().await);
        drop(third);
        second.send(GOODBYE).await;
        assert_eq!(second.end().await, Fate::Closed(None));
        assert!(buyer.hears_nothing().await);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_22_a_gate_that_shuts_down_fires_no_wills() {
    for &version in VERSIONS {
        let scene = Scene::new(100).await;
        let mut buyer = scene.buyer(version, "a", 1).await;
        let mut mortal = scene.enter(&with_will(version, Will::new(TOPIC, b"forged"))).await;
        let market = scene.market.clone();
        scene.gate.shutdown().await;
        assert!(buyer.messages().await.is_empty());
        assert_eq!(mortal.told_at_end().await, (version == V5).then_some(0x8b));
        assert_eq!((market.billed(), market.open_leases()), (0, 0));
    }
}
