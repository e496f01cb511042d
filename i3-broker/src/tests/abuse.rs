//! Clients that break the rules.

use super::client::{Client, Hello, packet, publish, text};
use super::*;

async fn gate() -> Scene {
    Scene::in_memory(100, |config| {
        config.max_packet = 10_000;
        config.max_connections = 20;
    })
    .await
}

const SOON: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_credentials_are_refused_alike() {
    let scene = gate().await;
    for (user, password) in [("device", "wrong"), ("nobody", "secret"), ("order", ""), ("", "secret")] {
        let mut client = Client::open(scene.gate.local_addr()).await;
        assert_eq!(client.login("x", user, password).await, Some(5), "{user}");
        assert!(client.is_closed().await);
    }
    eventually("each is counted", || scene.gate.stats().logins_refused == 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_versions_are_told_so_in_their_own_words() {
    let scene = gate().await;
    let connect = |name: &str, level: u8, rest: &[u8]| {
        let mut body = Vec::new();
        text(&mut body, name);
        body.extend([level, 2, 0, 60]);
        body.extend(rest);
        packet(0x10, &body)
    };
    for (bytes, answer) in [
        (connect("MQTT", 6, &[0, 0, 1, b'a']), Some((0x20, vec![0, 0x84, 0]))),
        (connect("MQIsdp", 3, &[0, 1, b'a']), Some((0x20, vec![0, 1]))),
        (connect("MQTT", 3, &[0, 1, b'a']), Some((0x20, vec![0, 1]))),
        (connect("HTTP", 4, &[0, 1, b'a']), None),
    ] {
        let mut client = Client::open(scene.gate.local_addr()).await;
        client.send(&bytes).await;
        assert_eq!(client.packet().await, answer);
        assert!(client.is_closed().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_packets_end_the_connection_and_nothing_else() {
    let scene = gate().await;
    let mut topic = Vec::new();
    text(&mut topic, TOPIC);
    let with_topic = |rest: &[u8]| [topic.as_slice(), rest].concat();
    let mut bad_topics = Vec::new();
    for bytes in
        [b"".as_slice(), b"i3/+/p", b"#", b"i3/hub/product\0", b"\xc0\xafi3", b"\xed\xa0\x80", b"\xff"]
    {
        let mut body = Vec::new();
        text(&mut body, bytes);
        bad_topics.push(packet(0x30, &body));
    }
    let mut cases = vec![
        vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x01],
        packet(0x30, &[0; 10_001]),
        packet(0x36, &with_topic(&[0, 1])),
        packet(0x38, &topic),
        packet(0x32, &with_topic(&[0, 0])),
        packet(0x32, &topic),
        packet(0x30, &[0, 200, b'i']),
        packet(0x40, &[0, 0]),
        packet(0x40, &[0, 1, 2]),
        packet(0x41, &[0, 1]),
        packet(0x51, &[0, 1]),
        packet(0x60, &[0, 1]),
        packet(0x72, &[0, 1]),
        packet(0x62, &[0, 0]),
        packet(0x70, &[0, 1, 0]),
        packet(0x80, &[0, 1, 0, 1, b'a', 0]),
        packet(0x82, &[0, 1]),
        packet(0x82, &[0, 0, 0, 1, b'a', 0]),
        packet(0x82, &[0, 1, 0, 1, b'a', 3]),
        packet(0x82, &[0, 1, 0, 0, 0]),
        packet(0x82, &[0, 1, 0, 9, b'a', 0]),
        packet(0xa2, &[0, 1]),
        packet(0xc0, &[1]),
        packet(0xe0, &[1]),
        packet(0x00, &[]),
        packet(0xf0, &[]),
        packet(0x20, &[0, 0]),
        packet(0x90, &[0, 1, 0]),
        packet(0xb0, &[0, 1]),
        packet(0xd0, &[]),
        Hello::new("again", "device").packet(),
    ];
    cases.extend(bad_topics);
    for bytes in cases {
        let mut device = scene.client("bad", "device").await;
        device.send(&bytes).await;
        assert!(device.is_closed().await, "{bytes:02x?}");
    }
    let mut device = scene.client("good", "device").await;
    assert!(device.publish_acked(TOPIC, b"x", false).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_packet_is_connect_and_comes_in_time() {
    let scene = Scene::in_memory(100, |config| config.connect_limit = SOON).await;
    let mut hasty = Client::open(scene.gate.local_addr()).await;
    hasty.send(&publish(TOPIC, b"x", 0, false, 0)).await;
    assert!(hasty.is_closed().await);
    let mut silent = Client::open(scene.gate.local_addr()).await;
    assert!(silent.is_closed().await);
    let mut dribbling = Client::open(scene.gate.local_addr()).await;
    // So long that it cannot come to its end in time.
    let hello = Hello::new(&"x".repeat(1_000), "device").packet();
    for byte in &hello {
        if dribbling.stream.try_write(&[*byte]).is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(dribbling.is_closed().await);
    assert_eq!(scene.gate.stats().logins, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packet_that_does_not_go_on_and_a_client_that_falls_silent_are_given_up() {
    let scene = Scene::in_memory(100, |config| config.packet_limit = SOON).await;
    let mut device = scene.device().await;
    device.send(&[0x30, 100, 0]).await;
    assert!(device.is_closed().await);
    let mut silent = Client::open(scene.gate.local_addr()).await;
    let hello = Hello { keep_alive: 1, ..Hello::new("s", "device") };
    let begun = Instant::now();
    silent.send(&[hello.packet(), packet(0xc0, &[])].concat()).await;
    assert_eq!(silent.packet().await, Some((0x20, vec![0, 0])));
    assert_eq!(silent.packet().await, Some((0xd0, vec![])));
    assert!(silent.is_closed().await);
    assert!(begun.elapsed() >= Duration::from_millis(1_450), "one and a half times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_above_the_limit_are_closed() {
    let scene = gate().await;
    let mut clients = Vec::new();
    for number in 0..20 {
        clients.push(scene.client(&number.to_string(), "device").await);
    }
    let mut one_more = Client::open(scene.gate.local_addr()).await;
    let _ = one_more.stream.try_write(&Hello::new("x", "device").packet());
    assert!(one_more.is_closed().await);
    drop(clients);
    scene.client_at_last("there is room again", "device").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_id_can_be_anything_that_is_text() {
    let scene = gate().await;
    for id in ["+", "$", "#/", "ä", &"x".repeat(5_000)] {
        for _ in 0..3 {
            scene.client(id, "device").await;
        }
    }
    assert!(scene.device().await.publish_acked(TOPIC, b"x", false).await);
}
