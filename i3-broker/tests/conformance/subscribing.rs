//! 3.8 to 3.11: SUBSCRIBE and UNSUBSCRIBE and their answers.

use super::*;
use crate::client::Reply;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscribe_has_one_answer_with_a_code_for_each_filter_in_order() {
    for &version in VERSIONS {
        let scene = Scene::new(100).await;
        let mut buyer = scene.client(version, "x", "order").await;
        let no = if version == V5 { 0x87 } else { 0x80 };
        let wild = if version == V5 { 0xa2 } else { 0x80 };
        let filters = [("a", 0), (TOPIC, 2), ("b/#", 1), (TOPIC, 0), ("c", 2), (TOPIC, 1)];
        assert_eq!(buyer.subscribe(&filters).await, [no, 2, wild, 0, no, 1]);
        assert!(buyer.hears_nothing().await, "one SUBACK");
        // The last one of a filter is what holds, as if they had come one by one (3.8.4-5).
        let mut device = scene.device(version).await;
        assert_eq!(device.publish(TOPIC, b"x", 2).await, Fate::Acknowledged(0));
        let message = buyer.message().await.unwrap();
        assert_eq!(message.qos, 1);
        buyer.acknowledge(&message).await;
        assert!(buyer.hears_nothing().await);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscribe_of_nothing_or_with_bad_options_ends_the_connection() {
    for &version in VERSIONS {
        let scene = Scene::new(100).await;
        let none = none(version);
        let mut cases = vec![
            packet(0x82, &[&[0, 1], none].concat()),
            packet(0xa2, &[&[0, 1], none].concat()),
            packet(0x82, &[&[0, 1], none, b"\0\0", &[0]].concat()),
            packet(0xa2, &[&[0, 1], none, b"\0\0"].concat()),
            packet(0x82, &[&[0, 1], none, topic().as_slice()].concat()),
        ];
        // Every reserved bit, and QoS 3.
        let reserved: &[u8] =
            if version == V5 { &[3, 0x40, 0x80, 0x30] } else { &[3, 4, 8, 0x10, 0x20, 0x40, 0x80] };
        cases.extend(
            reserved
                .iter()
                .map(|options| packet(0x82, &[&[0, 1], none, topic().as_slice(), &[*options]].concat())),
        );
        for bytes in cases {
            let mut buyer = scene.client(version, "x", "order").await;
            buyer.send(&bytes).await;
            let Fate::Closed(told) = buyer.end().await else { unreachable!() };
            let expected =
                if version == V5 { matches!(told, Some(0x81 | 0x82 | 0x8f)) } else { told.is_none() };
            assert!(expected, "{bytes:02x?} {told:02x?}");
        }
        assert_eq!(scene.market.calls(), 0, "no lease was taken");
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wildcards_in_wrong_places_are_no_filters() {
    for &version in VERSIONS {
        let scene = Scene::new(100).await;
        for filter in ["a/#/b", "a#", "#/a", "a+", "a/+b", "a/b+/c"] {
            let mut buyer = scene.client(version, "x", "order").await;
            buyer.send(subscribe(version, 3, &[(filter, 0)], &Props::new())).await;
            // The packet may be malformed, or the filter alone refused.
            match buyer.reply().await {
                Some(Reply::Suback(3, codes, _)) => assert!(codes[0] >= 0x80, "{filter}"),
                None => assert_eq!(version, V311),
                Some(Reply::Disconnect(reason, _)) => assert!([0x81, 0x82, 0x8f].contains(&reason)),
                Some(other) => panic!("{filter}: {other:?}"),
            }
        }
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_local_is_taken_and_on_a_share_it_is_a_protocol_error() {
    let scene = Scene::new(100).await;
    let mut buyer = scene.client(V5, "x", "order").await;
    // Nobody both publishes and receives here, so there is nothing to hold back.
    assert_eq!(buyer.subscribe(&[(TOPIC, 1 | 4)]).await, [1]);
    let mut device = scene.device(V5).await;
    let message = through(&mut device, &mut buyer, Publish::new(TOPIC, b"x")).await;
    assert_eq!(message.payload, b"x");
    let shared = format!("$share/g/{TOPIC}");
    buyer.send(subscribe(V5, 3, &[(&shared, 4)], &Props::new())).await;
    assert_eq!(buyer.end().await, Fate::Closed(Some(0x82)));
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_and_wildcards_are_refused_by_name() {
    let scene = Scene::new(100).await;
    let mut buyer = scene.client(V5, "x", "order").await;
    let shared = format!("$share/g/{TOPIC}");
    assert_eq!(buyer.subscribe(&[(&shared, 1), ("#", 1), ("+/hub/product", 1)]).await, [0x9e, 0xa2, 0xa2]);
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_have_the_identifier_of_their_subscription() {
    let (scene, mut buyer, mut device) = pair(V5, 1).await;
    for identifier in [1, 127, 128, 268_435_455] {
        let props = Props::new().number(prop::SUBSCRIPTION_ID, identifier);
        assert_eq!(buyer.subscribe_with(&[(TOPIC, 1)], &props).await, [1]);
        let message = through(&mut device, &mut buyer, Publish::new(TOPIC, b"x")).await;
        let expected = u32::try_from(identifier).unwrap();
        assert_eq!(message.properties.numbers(prop::SUBSCRIPTION_ID), [expected]);
    }
    // A subscription without one takes its place.
    assert_eq!(buyer.subscribe(&[(TOPIC, 1)]).await, [1]);
    let message = through(&mut device, &mut buyer, Publish::new(TOPIC, b"x")).await;
    assert!(message.properties.numbers(prop::SUBSCRIPTION_ID).is_empty());
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsubscribe_is_answered_whether_or_not_anything_ended() {
    for &version in VERSIONS {
        let (scene, mut buyer, mut device) = pair(version, 1).await;
        let codes = |codes: &[u8]| if version == V5 { codes.to_vec() } else { Vec::new() };
        assert_eq!(buyer.unsubscribe(&["a", "b/#"]).await, codes(&[0x11, 0x11]));
        assert_eq!(through(&mut device, &mut buyer, Publish::new(TOPIC, b"x")).await.payload, b"x");
        // Byte by byte: near misses end nothing.
        assert_eq!(buyer.unsubscribe(&["i3/hub/product/", "i3/+/product", "#"]).await, codes(&[0x11; 3]));
        assert_eq!(through(&mut device, &mut buyer, Publish::new(TOPIC, b"x")).await.payload, b"x");
        assert_eq!(buyer.unsubscribe(&["a", TOPIC, TOPIC]).await, codes(&[0x11, 0, 0x11]));
        assert_eq!(device.publish(TOPIC, b"y", 1).await, Fate::Acknowledged(0));
        assert!(buyer.hears_nothing().await, "one UNSUBACK, and no more messages");
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_before_an_unsubscribe_is_completed() {
    for &version in VERSIONS {
        let (scene, mut buyer, mut device) = pair(version, 2).await;
        for qos in [1, 2] {
            assert_eq!(device.publish(TOPIC, b"x", qos).await, Fate::Acknowledged(0));
        }
        let open = [buyer.message().await.unwrap(), buyer.message().await.unwrap()];
        buyer.unsubscribe(&[TOPIC]).await;
        // PUBREC is still answered with PUBREL.
        for message in &open {
            buyer.acknowledge(message).await;
        }
        assert!(buyer.lives().await && buyer.hears_nothing().await);
        scene.ends_well().await;
    }
}
