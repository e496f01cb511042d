//! Attacks 13 to 18 and 21: getting more than was paid for, or paying less.

use crate::client::{Client, Fate, Reply};
use crate::market::TOPIC;
use crate::packets::*;
use crate::scene::{Scene, eventually, number, numbered, ways};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_13_a_retained_message_costs_like_any_other_however_often_it_is_asked_for() {
    for (version, qos) in ways() {
        const QUOTA: u64 = 7;
        let scene = Scene::new(QUOTA).await;
        let mut device = scene.device(version).await;
        let last = Publish::new(TOPIC, b"last").qos(1, 5).retained();
        assert_eq!(device.publish_as(last, 1, 5).await, Fate::Acknowledged(0));
        let mut buyer = scene.client(version, "a", "order").await;
        for read in 1..=QUOTA {
            if read % 2 == 0 {
                buyer.unsubscribe(&[TOPIC]).await;
            }
            assert_eq!(buyer.subscribe(&[(TOPIC, qos)]).await, [qos]);
            let message = buyer.message().await.unwrap();
            assert!(message.retain && message.payload == b"last", "{message:?}");
            buyer.acknowledge(&message).await;
            eventually("it is charged", || scene.market.billed_to("order") == read).await;
        }
        assert_eq!(buyer.end().await, Fate::Closed((version == V5).then_some(0x97)));
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_13_a_retained_message_is_not_read_before_purchase_or_after_the_end() {
    for &version in VERSIONS {
        let scene = Scene::new(100).await;
        let mut device = scene.device(version).await;
        let last = Publish::new(TOPIC, b"last").qos(1, 5).retained();
        assert_eq!(device.publish_as(last, 1, 5).await, Fate::Acknowledged(0));
        let refused = [if version == V5 { 0x87 } else { 0x80 }];
        let mut other = scene.client(version, "other", "foreign-order").await;
        assert_eq!(other.subscribe(&[(TOPIC, 1)]).await, refused, "not bought");
        assert!(other.hears_nothing().await);
        scene.market.set_open("order", false).await;
        let mut refunded = scene.client(version, "a", "order").await;
        assert_eq!(refunded.subscribe(&[(TOPIC, 1)]).await, refused, "refunded");
        assert!(refunded.hears_nothing().await);
        scene.market.set_listed(TOPIC, false).await;
        scene.market.set_open("order", true).await;
        let mut retired = scene.client(version, "b", "order").await;
        assert_eq!(retired.subscribe(&[(TOPIC, 1)]).await, refused, "the product is gone");
        assert!(retired.hears_nothing().await);
        assert_eq!(scene.gate.stats().delivered, 0);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_14_what_is_not_acknowledged_is_charged_when_it_is_written_and_never_refunded() {
    for (version, qos) in ways().into_iter().filter(|(_, qos)| *qos > 0) {
        let scene = Scene::with(1_000, |config| config.max_inflight = 10).await;
        let mut device = scene.device(version).await;
        for round in 1..=3_u64 {
            // Reads a window full, acknowledges nothing, and is gone.
            let mut buyer = scene.buyer(version, "a", qos).await;
            for number in 0..10 {
                assert_eq!(device.publish(TOPIC, numbered(number, 8), qos).await, Fate::Acknowledged(0));
            }
            for expected in 0..10 {
                assert_eq!(number(&buyer.message().await.unwrap().payload), expected);
            }
            assert!(buyer.hears_nothing().await);
            buyer.abort();
            eventually("it is charged", || scene.market.billed_to("order") == round * 10).await;
        }
        eventually("the lease is closed", || scene.market.open_leases() == 0).await;
        assert_eq!(scene.market.billed_to("order"), 30);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_15_another_quality_of_service_is_one_delivery_at_one_price() {
    for &version in VERSIONS {
        let scene = Scene::new(1_000).await;
        let mut device = scene.device(version).await;
        let mut expected = 0;
        for published in QUALITIES {
            for asked in QUALITIES {
                let mut buyer = scene.client(version, "a", "order").await;
                // Asked for at several qualities, in one packet and in several: the last is what holds.
                for other in QUALITIES {
                    buyer.subscribe(&[(TOPIC, *other), (TOPIC, *asked)]).await;
                }
                assert_eq!(buyer.subscribe(&[(TOPIC, *asked)]).await, [*asked]);
                if *published == 0 {
                    device.tell(TOPIC, b"x").await;
                } else {
                    assert_eq!(device.publish(TOPIC, b"x", *published).await, Fate::Acknowledged(0));
                }
                let message = buyer.message().await.unwrap();
                assert_eq!(message.qos, *published.min(asked), "the lower of both");
                buyer.acknowledge(&message).await;
                assert!(buyer.lives().await && buyer.hears_nothing().await, "one delivery");
                expected += 1;
                eventually("one charge", || scene.market.billed_to("order") == expected).await;
            }
        }
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_16_one_session_gets_and_pays_a_message_once_however_often_it_subscribes() {
    for (version, qos) in ways() {
        let scene = Scene::new(100).await;
        let mut buyer = scene.client(version, "a", "order").await;
        assert_eq!(buyer.subscribe(&[(TOPIC, qos); 5]).await, [qos; 5]);
        for identifier in 1..=3 {
            let props = Props::new().number(prop::SUBSCRIPTION_ID, identifier * 1_000);
            let props = if version == V5 { props } else { Props::new() };
            assert_eq!(buyer.subscribe_with(&[(TOPIC, qos), ("#", qos)], &props).await[0], qos);
        }
        let mut device = scene.device(version).await;
        assert_eq!(device.publish(TOPIC, b"x", 1).await, Fate::Acknowledged(0));
        let message = buyer.message().await.unwrap();
        if version == V5 {
            assert_eq!(message.properties.numbers(prop::SUBSCRIPTION_ID), [3_000], "that of the last");
        }
        buyer.acknowledge(&message).await;
        assert!(buyer.lives().await && buyer.hears_nothing().await);
        eventually("one charge", || scene.market.billed() == 1).await;
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_17_an_order_shared_by_many_clients_pays_for_each_of_them() {
    const CLIENTS: u64 = 100;
    const MESSAGES: u64 = 5;
    for (version, qos) in ways() {
        // Enough for all of the first four messages, and for a part of the fifth.
        let scene = Scene::new(CLIENTS * (MESSAGES - 1) + 30).await;
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            clients.push(scene.buyer(version, &format!("clone-{number}"), qos).await);
        }
        let mut device = scene.device(version).await;
        for message in 0..MESSAGES {
            assert_eq!(device.publish(TOPIC, numbered(message, 8), 1).await, Fate::Acknowledged(0));
        }
        let reading: Vec<_> = clients
            .into_iter()
            .map(|mut client| tokio::spawn(async move { (client.messages().await.len(), client.told) }))
            .collect();
        let mut received = 0;
        for reader in reading {
            let (count, told) = reader.await.unwrap();
            assert_eq!(told, (version == V5).then_some(0x97));
            received += u64::try_from(count).unwrap();
        }
        assert_eq!(received, CLIENTS * (MESSAGES - 1) + 30);
        eventually("each is charged", || scene.market.billed_to("order") == received).await;
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_17_an_order_has_so_many_clients_and_one_that_leaves_makes_room() {
    for &version in VERSIONS {
        let scene = Scene::with(1_000, |config| config.max_connections_per_principal = 1_000).await;
        let mut clients = Vec::new();
        for number in 0..1_000 {
            clients.push(scene.buyer(version, &format!("clone-{number}"), 0).await);
        }
        let mut one_more = Client::open(scene.gate.local_addr(), version).await;
        one_more.send(Hello::new(version, "clone-1000", "order").bytes()).await;
        let refusal = if version == V5 { 0x97 } else { 3 };
        assert!(matches!(one_more.reply().await, Some(Reply::Connack { code, .. }) if code == refusal));
        // One that is there may come again; one that leaves makes room; another principal is not concerned.
        let _again = scene.buyer(version, "clone-7", 0).await;
        let mut device = scene.device(version).await;
        assert!(device.lives().await);
        drop(clients.swap_remove(900));
        eventually("there is room", || scene.sessions() == 1_000).await;
        let mut last = scene.buyer(version, "clone-1001", 0).await;
        assert!(last.lives().await);
        drop((clients, device, last));
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_18_of_two_that_want_the_last_message_exactly_one_gets_it() {
    for (version, qos) in ways() {
        for _ in 0..15 {
            let scene = Scene::new(1).await;
            let (mut one, mut two) =
                (scene.buyer(version, "one", qos).await, scene.buyer(version, "two", qos).await);
            let mut device = scene.device(version).await;
            let burst: Vec<u8> =
                (0..50).flat_map(|number| Publish::new(TOPIC, numbered(number, 8)).bytes(version)).collect();
            device.send(burst).await;
            let (one, two) = tokio::join!(one.messages(), two.messages());
            assert_eq!(one.len() + two.len(), 1, "exactly one");
            eventually("one is charged", || scene.market.billed() == 1).await;
            scene.ends_well().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_21_a_seller_does_not_receive_and_a_buyer_does_not_publish() {
    for &version in VERSIONS {
        let scene = Scene::new(100).await;
        let mut buyer = scene.buyer(version, "a", 1).await;
        let refused = [if version == V5 { 0x87 } else { 0x80 }];
        // The device that publishes it, one of the same hub, one of another.
        for user in ["device", "sibling", "stranger"] {
            let mut device = scene.client(version, "spy", user).await;
            assert_eq!(device.subscribe(&[(TOPIC, 1)]).await, refused, "{user}");
        }
        let mut forger = scene.client(version, "forger", "order").await;
        let fate = forger.publish_as(Publish::new(TOPIC, b"forged").qos(1, 3).retained(), 1, 3).await;
        let expected = if version == V5 { Fate::Acknowledged(0x87) } else { Fate::Closed(None) };
        assert_eq!(fate, expected);
        // Nobody is more than what was registered.
        for user in ["admin", "administrator", "root", "system", "hub", "i3"] {
            assert_ne!(scene.code(&Hello::new(version, "x", user)).await, Some(0), "{user}");
        }
        let mut device = scene.device(version).await;
        assert_eq!(device.publish(TOPIC, b"true", 1).await, Fate::Acknowledged(0));
        assert_eq!(buyer.payload().await, b"true");
        assert!(buyer.hears_nothing().await);
        scene.ends_well().await;
    }
}
