//! Attack 24 before MQTT begins: half a TLS hello (C6), half a WebSocket upgrade.

use std::time::Duration;

use i3_broker::{Certificates, GateConfig, Listener, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::Fate;
use crate::market::TOPIC;
use crate::packets::*;
use crate::scene::{Scene, in_time};

/// A gate that listens in all ways.
async fn scene(set: impl FnOnce(&mut GateConfig)) -> Scene {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (chain, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let tls = Tls::new(Certificates::from_pem(chain.as_bytes(), key.as_bytes()).unwrap());
    let anywhere = "127.0.0.1:0".parse().unwrap();
    Scene::with(1_000, |config| {
        config.listeners.push(Listener::tls(anywhere, tls.clone()));
        config.listeners.push(Listener::websocket(anywhere));
        config.listeners.push(Listener::secure_websocket(anywhere, tls));
        set(config);
    })
    .await
}

/// Connections that begin a handshake and do not finish it.
async fn halves(scene: &Scene) -> Vec<TcpStream> {
    // The beginning of a ClientHello of 512 bytes, and a record that says more than a record may.
    let hello: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 1, 2, 3, 4];
    let request = b"GET /mqtt HTTP/1.1\r\nHost: gate\r\nUpgrade: websocket\r\nConnection: Upg";
    // A head that never ends.
    let endless = [b"GET / HTTP/1.1\r\n".as_slice(), &b"x: y\r\n".repeat(3_000)].concat();
    let connect = Hello::new(V5, "x", "device").bytes();
    let cases: [(usize, &[u8]); 10] = [
        (1, b""),
        (1, &hello[..1]),
        (1, hello),
        (1, &connect),
        (2, b""),
        (2, request),
        (2, &endless),
        (3, b""),
        (3, hello),
        (3, request),
    ];
    let mut slow = Vec::new();
    for _ in 0..20 {
        for (listener, bytes) in cases {
            let mut stream = TcpStream::connect(scene.gate.local_addrs()[listener]).await.unwrap();
            // The gate may have closed before all of it was sent.
            let _ = stream.write_all(bytes).await;
            slow.push(stream);
        }
    }
    slow
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_24_half_a_handshake_holds_up_nobody() {
    let scene = scene(|_| {}).await;
    let slow = halves(&scene).await;
    let mut buyer = scene.buyer(V311, "a", 1).await;
    let mut device = scene.device(V5).await;
    assert_eq!(device.publish(TOPIC, b"x", 1).await, Fate::Acknowledged(0));
    assert_eq!(buyer.payload().await, b"x");
    assert_eq!(scene.gate.stats().logins, 2, "only the good ones are in");
    drop(slow);
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_24_half_a_handshake_is_given_up() {
    let scene = scene(|config| config.handshake_limit = Duration::from_millis(500)).await;
    for mut stream in halves(&scene).await {
        let mut rest = Vec::new();
        // Either an end or a reset.
        let _ = in_time("the gate gives up", stream.read_to_end(&mut rest)).await;
        assert!(!contains_connack(&rest));
    }
    assert_eq!(scene.gate.stats().logins, 0);
    scene.ends_well().await;
}

fn contains_connack(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x20)
}
