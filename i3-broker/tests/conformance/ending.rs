//! 3.14, 3.15, 4.12, 4.13: DISCONNECT, AUTH and errors.

use super::*;
use crate::client::Reply;
use crate::scene::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_ends_the_connection_and_what_follows_it_is_not_read() {
    for &version in VERSIONS {
        let (scene, mut buyer, mut device) = pair(version, 1).await;
        let after = Publish::new(TOPIC, b"forged").qos(1, 7).bytes(version);
        device.send([GOODBYE.to_vec(), after].concat()).await;
        assert_eq!(device.end().await, Fate::Closed(None));
        assert!(buyer.hears_nothing().await);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnect_says_whether_the_will_is_wanted() {
    let (scene, mut buyer, _) = pair(V5, 1).await;
    for (bytes, fires) in [
        (GOODBYE.to_vec(), false),
        (packet(0xe0, &[0]), false),
        (packet(0xe0, &[0, 0]), false),
        (packet(0xe0, &[4]), true),
        (packet(0xe0, &[0x80, 0]), true),
        (packet(0xe0, &[0x81]), true),
    ] {
        let hello = Hello::new(V5, "mortal", "device").will(Will::new(TOPIC, b"gone"));
        let mut mortal = scene.enter(&hello).await;
        mortal.send(&bytes).await;
        assert_eq!(mortal.end().await, Fate::Closed(None), "no answer to a DISCONNECT");
        if fires {
            assert_eq!(buyer.payload().await, b"gone", "{bytes:02x?}");
        }
        assert!(buyer.hears_nothing().await, "{bytes:02x?}");
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnect_that_is_malformed_is_told_so_and_the_will_fires() {
    let (scene, mut buyer, _) = pair(V5, 1).await;
    for bytes in [
        packet(0xe1, &[]),
        // Reasons that are none, or only a server's.
        packet(0xe0, &[0x03]),
        packet(0xe0, &[0x8e]),
        packet(0xe0, &[0, 2, prop::PAYLOAD_FORMAT, 0]),
        packet(0xe0, &[0, 9, 0]),
    ] {
        let hello = Hello::new(V5, "mortal", "device").will(Will::new(TOPIC, b"gone"));
        let mut mortal = scene.enter(&hello).await;
        mortal.send(&bytes).await;
        assert!(matches!(mortal.end().await, Fate::Closed(Some(0x81 | 0x82))), "{bytes:02x?}");
        assert_eq!(buyer.payload().await, b"gone");
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gate_says_why_it_ends_a_connection_and_then_no_more() {
    // The client has checked that nothing comes after a DISCONNECT; here: that it has no session expiry (3.14.2-2).
    let (scene, _buyer, _) = pair(V5, 1).await;
    let mut first = scene.client(V5, "same", "device").await;
    let mut second = scene.client(V5, "same", "device").await;
    match first.reply().await {
        Some(Reply::Disconnect(0x8e, properties)) => {
            assert_eq!(properties.number(prop::SESSION_EXPIRY), None);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(first.end().await, Fate::Closed(Some(0x8e)));
    second.send(Hello::new(V5, "same", "device").bytes()).await;
    assert_eq!(second.end().await, Fate::Closed(Some(0x82)));
    // A packet that is larger than the gate takes.
    let mut large = scene.device(V5).await;
    large.send([0x30, 0xff, 0xff, 0xff, 0x7f]).await;
    assert_eq!(large.end().await, Fate::Closed(Some(0x95)));
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_shuts_down_says_so() {
    for &version in VERSIONS {
        let (scene, mut buyer, mut device) = pair(version, 1).await;
        scene.gate.shutdown().await;
        assert_eq!(buyer.end().await, told(version, 0x8b));
        assert_eq!(device.end().await, told(version, 0x8b));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auth_without_a_method_is_a_protocol_error() {
    let (scene, _buyer, _) = pair(V5, 1).await;
    for bytes in [packet(0xf0, &[]), packet(0xf0, &[0x18, 0]), packet(0xf0, &[0x19, 0])] {
        let mut client = scene.device(V5).await;
        client.send(&bytes).await;
        assert_eq!(client.end().await, Fate::Closed(Some(0x82)), "{bytes:02x?}");
    }
    let mut client = scene.device(V5).await;
    client.send(packet(0xf3, &[0x18, 0])).await;
    assert_eq!(client.end().await, Fate::Closed(Some(0x81)));
    // Before CONNECT it is as good as anything else.
    let mut hasty = scene.open(V5).await;
    hasty.send(packet(0xf0, &[0x18, 0])).await;
    assert_eq!(hasty.end().await, Fate::Closed(None));
    eventually("they are gone", || scene.sessions() <= 2).await;
    scene.ends_well().await;
}
