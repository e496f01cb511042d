//! Attacks 1 to 5 and 31: topics, filters, aliases and properties.

use crate::client::{Client, Fate};
use crate::market::{FOREIGN, RETIRED, SIBLING, TOPIC};
use crate::packets::*;
use crate::scene::{Scene, eventually};

/// The code of a filter that is refused because it is not granted.
fn refused(version: Version) -> u8 {
    if version == V5 { 0x87 } else { 0x80 }
}

/// Shows that all that a buyer of [`TOPIC`] receives is what its device says now.
async fn hears_only_the_device(scene: &Scene, buyer: &mut Client, version: Version) {
    let mut device = scene.client(version, "marker", "device").await;
    assert_eq!(device.publish(TOPIC, b"marker", 1).await, Fate::Acknowledged(0));
    assert_eq!(buyer.payload().await, b"marker");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_01_wildcards_shares_and_system_topics_are_refused_one_by_one() {
    const WILD: [&str; 6] = ["#", "+/x", "i3/+/product", "i3/hub/#", "i3/hub/product/#", "/#"];
    const SHARED: [&str; 3] = ["$share/g/i3/hub/product", "$share/g/#", "$share/g/i3/other/product"];
    let scene = Scene::new(100).await;
    for &version in VERSIONS {
        // What a filter is by its looks alone may be told.
        let code = |filter: &str| match (version, filter) {
            (V311, _) => 0x80,
            (V5, filter) if SHARED.contains(&filter) => 0x9e,
            (V5, filter) if filter.contains(['#', '+']) => 0xa2,
            (V5, _) => 0x87,
        };
        let mut buyer = scene.client(version, "a", "order").await;
        let mut asked: Vec<_> = WILD.into_iter().chain(SHARED).collect();
        asked.extend(["$SYS/#", "$SYS/broker/uptime", "$queue/i3/hub/product", FOREIGN, SIBLING, "i3/hub"]);
        for filter in &asked {
            assert_eq!(buyer.subscribe(&[(filter, 1)]).await, [code(filter)], "{version:?} {filter}");
        }
        // In one packet, the good one in the middle is not affected.
        asked.insert(7, TOPIC);
        let filters: Vec<_> = asked.iter().map(|filter| (*filter, 1)).collect();
        let expected: Vec<_> =
            asked.iter().map(|filter| if *filter == TOPIC { 1 } else { code(filter) }).collect();
        assert_eq!(buyer.subscribe(&filters).await, expected);
        let mut stranger = scene.client(version, "stranger", "stranger").await;
        assert_eq!(stranger.publish(FOREIGN, b"of another seller", 1).await, Fate::Acknowledged(0));
        let mut sibling = scene.client(version, "sibling", "sibling").await;
        assert_eq!(sibling.publish(SIBLING, b"of another product", 1).await, Fate::Acknowledged(0));
        hears_only_the_device(&scene, &mut buyer, version).await;
        assert!(buyer.hears_nothing().await);
        // A device receives nothing at all.
        let mut device = scene.device(version).await;
        assert_eq!(device.subscribe(&[("#", 0), (TOPIC, 0)]).await, [code("#"), code(TOPIC)]);
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_02_a_filter_that_nearly_equals_a_topic_is_refused() {
    let scene = Scene::new(100).await;
    for &version in VERSIONS {
        let mut buyer = scene.client(version, "a", "order").await;
        let long = format!("{TOPIC}{}", "/".repeat(60_000));
        for filter in [
            "/i3/hub/product",
            "i3/hub/product/",
            "i3//hub/product",
            "I3/hub/product",
            "i3/hub/Product",
            "i3/hub/product ",
            " i3/hub/product",
            "\u{feff}i3/hub/product",
            "i3/hub/product\u{feff}",
            "i3/hub/product\u{ffff}",
            "i3/hub/product\u{301}",
            "i3/hub/pro\u{200b}duct",
            "i3/hub/\u{440}roduct",
            "äi3/hub/product",
            "\u{10ffff}",
            "i3/hub/produc",
            &long,
        ] {
            assert_eq!(buyer.subscribe(&[(filter, 1)]).await, [refused(version)], "{version:?} {filter:?}");
        }
        // A topic that starts with more than one byte, published while filters exist (C1).
        assert_eq!(buyer.subscribe(&[(TOPIC, 1)]).await, [1]);
        let mut device = scene.device(version).await;
        device.try_send(Publish::new("äpfel", b"x").bytes(version)).await;
        device.told_at_end().await;
        hears_only_the_device(&scene, &mut buyer, version).await;
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_02_a_filter_that_is_no_text_ends_the_connection() {
    let scene = Scene::new(100).await;
    for &version in VERSIONS {
        for filter in [
            b"i3/hub/product\0".as_slice(),
            b"\0",
            b"i3/hub/product\xc0\x80",
            b"\xc0\xaf",
            b"i3\xe0\x80\xafhub/product",
            b"\xed\xa0\x80",
            b"\xed\xbf\xbf",
            b"\xf4\x90\x80\x80",
            b"\xff",
            b"i3/hub/product\xe2\x82",
        ] {
            let mut buyer = scene.client(version, "a", "order").await;
            buyer.send(subscribe(version, 1, &[(TOPIC.as_bytes(), 1), (filter, 1)], &Props::new())).await;
            let told = (version == V5).then_some(0x81);
            assert_eq!(buyer.end().await, Fate::Closed(told), "{version:?} {filter:02x?}");
        }
    }
    eventually("no lease is open", || scene.market.open_leases() == 0).await;
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_03_what_may_not_be_published_reaches_nobody_and_is_not_retained() {
    let scene = Scene::new(100).await;
    for &version in VERSIONS {
        let mut victims = Vec::new();
        for (user, topic) in [("order", TOPIC), ("foreign-order", FOREIGN), ("sibling-order", SIBLING)] {
            let mut client = scene.client(version, "victim", user).await;
            assert_eq!(client.subscribe(&[(topic, 2)]).await.len(), 1);
            victims.push(client);
        }
        let qualities = if version == V5 { 1..=2 } else { 1..=1 };
        for qos in qualities {
            for (user, topic) in [
                ("device", FOREIGN),
                ("device", SIBLING),
                ("device", RETIRED),
                ("device", "i3/hub/deleted"),
                ("device", "i3/hub/product/"),
                ("device", "$SYS/broker"),
                ("device", "$share/g/i3/hub/product"),
                ("device", "äpfel"),
                ("stranger", TOPIC),
                ("order", TOPIC),
            ] {
                let mut intruder = scene.client(version, "intruder", user).await;
                let forged = Publish::new(topic, b"forged").qos(qos, 77).retained();
                let fate = intruder.publish_as(forged, qos, 77).await;
                let expected = if version == V5 { Fate::Acknowledged(0x87) } else { Fate::Closed(None) };
                assert_eq!(fate, expected, "{version:?} {user} {topic} at {qos}");
                if version == V5 {
                    assert!(intruder.lives().await, "a refused publish ends nothing");
                }
            }
        }
        let mut late = scene.buyer(version, "late", 1).await;
        assert!(late.hears_nothing().await, "nothing was retained");
        hears_only_the_device(&scene, &mut late, version).await;
        assert_eq!(victims[0].payload().await, b"marker");
        for victim in &mut victims {
            assert!(victim.hears_nothing().await);
        }
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_03_a_topic_that_is_none_ends_the_connection() {
    let scene = Scene::new(100).await;
    for &version in VERSIONS {
        for topic in [
            b"".as_slice(),
            b"#",
            b"i3/+/product",
            b"i3/hub/#",
            b"i3/hub/product\0",
            b"\xc0\xaf",
            b"\xed\xa0\x80",
        ] {
            let mut device = scene.device(version).await;
            device.send(Publish::new(topic, b"forged").qos(1, 7).retained().bytes(version)).await;
            let Fate::Closed(told) = device.end().await else { unreachable!() };
            // Malformed, a protocol error, or a topic name that is not valid.
            let expected = told.is_none_or(|told| [0x81, 0x82, 0x90].contains(&told));
            assert!(told.is_some() == (version == V5) && expected, "{version:?} {topic:02x?} {told:02x?}");
        }
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_31_what_exists_cannot_be_told_from_what_does_not() {
    let scene = Scene::new(100).await;
    for &version in VERSIONS {
        // To a buyer, to a device of the same seller, and to one of another.
        for user in ["order", "sibling", "stranger"] {
            let mut answers = Vec::new();
            for topic in [TOPIC, FOREIGN, SIBLING, RETIRED, "i3/hub/never-was", "no/topic/at/all"] {
                let own =
                    [("order", TOPIC), ("sibling", SIBLING), ("stranger", FOREIGN)].contains(&(user, topic));
                if own {
                    continue;
                }
                let mut spy = scene.client(version, "spy", user).await;
                let filter = spy.subscribe(&[(topic, 1)]).await;
                let unsubscribed = spy.unsubscribe(&[topic]).await;
                let fate = spy.publish(topic, b"x", 1).await;
                let will = Hello::new(version, "spy-will", user).will(Will::new(topic, b"x"));
                answers.push((filter, unsubscribed, fate, scene.code(&will).await));
            }
            assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{version:?} {user} {answers:02x?}");
        }
        // Who has an account and who bought is not told either.
        let mut answers = Vec::new();
        for (user, password) in [
            ("order", "wrong"),
            ("order-nobody-made", "wrong"),
            ("order-nobody-made", "secret"),
            ("device", "wrong"),
            ("device", ""),
            ("", "secret"),
        ] {
            let mut client = scene.open(version).await;
            let answer = client.hello(&Hello::new(version, "x", user).password(password)).await;
            answers.push((answer, client.end().await));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{version:?} {answers:02x?}");
    }
    assert_eq!(scene.gate.stats().delivered, 0);
    scene.ends_well().await;
}
