//! Clients that are slow to begin. (Attack 24; C6.)

use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

use super::super::client::Hello;
use super::*;

const LIMIT: Duration = Duration::from_millis(700);

/// The first bytes that a TLS client sends.
fn client_hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let mut connection =
        rustls::ClientConnection::new(Arc::clone(config), "localhost".try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

/// Waits until the server closes.
fn is_closed(mut stream: impl Read) -> bool {
    let mut chunk = [0; 1_024];
    loop {
        match stream.read(&mut chunk) {
            Ok(1..) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return false;
            }
            _ => return true,
        }
    }
}

/// Clients that never finish what comes before the login: by what they have sent, 350 in all.
fn unfinished(listening: &Listening) -> Vec<(&'static str, peer::Socket)> {
    let hello = client_hello(&listening.trusting);
    let upgrade = b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let connect = Hello::new("slow", "device").packet();
    let mut slow = Vec::new();
    for _ in 0..50 {
        for (what, by, bytes) in [
            ("half a TLS hello", By::Tls, &hello[..]),
            ("half a TLS hello for WebSocket", By::SecureWebSocket, &hello[..]),
            ("half an upgrade", By::WebSocket, &upgrade[..]),
            ("half a CONNECT", By::Tcp, &connect[..]),
            ("nothing", By::Tls, &[][..]),
            ("nothing", By::WebSocket, &[][..]),
            ("nothing", By::Tcp, &[][..]),
        ] {
            let mut stream = peer::tcp(listening.address(by));
            // It may have been closed already.
            let _ = stream.write_all(&bytes[..bytes.len() / 2]);
            slow.push((what, stream));
        }
    }
    slow
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_slow_before_login_holds_up_nobody() {
    let listening = Listening::new(1_000, |_| {}).await;
    let slow = unfinished(&listening);
    for by in ALL {
        assert!(listening.device(by).publish_acked(b"x"));
    }
    assert_eq!((listening.scene.gate.stats().logins, listening.scene.gate.stats().logins_refused), (4, 0));
    drop(slow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_slow_before_login_is_closed_in_time() {
    let listening = Listening::new(1, |config| {
        config.handshake_limit = LIMIT;
        config.connect_limit = LIMIT;
    })
    .await;
    for (what, stream) in unfinished(&listening) {
        assert!(is_closed(stream), "{what}");
    }
    eventually("all have gone", || listening.scene.gate.stats().logins_refused == 350).await;
    assert_eq!(listening.scene.gate.stats().logins, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_good_handshake_the_limit_of_connect_begins() {
    let listening = Listening::new(1, |config| config.connect_limit = LIMIT).await;
    let connect = Hello::new("slow", "device").packet();
    for by in [By::Tls, By::WebSocket, By::SecureWebSocket] {
        let mut peer = listening.open(by);
        // It may have been closed already.
        let _ = peer.io().write_all(&connect[..connect.len() / 2]);
        assert!(peer.is_closed(), "by {by:?}");
    }
    assert_eq!(listening.scene.gate.stats().logins, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_byte_at_a_time_does_not_push_the_deadline_back() {
    let listening = Listening::new(1, |config| {
        config.handshake_limit = LIMIT;
        config.connect_limit = LIMIT;
    })
    .await;
    let hello = client_hello(&listening.trusting);
    let upgrade = format!("GET /mqtt HTTP/1.1\r\nX: {}", "x".repeat(1_000)).into_bytes();
    let connect = Hello::new(&"x".repeat(1_000), "device").packet();
    let begun = Instant::now();
    let dribble = |mut stream: peer::Socket, bytes: Vec<u8>| {
        std::thread::spawn(move || {
            let mut sent = 0_usize;
            for byte in bytes {
                if stream.write_all(&[byte]).is_err() {
                    break;
                }
                sent += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            (sent, begun.elapsed())
        })
    };
    let dribbling = [
        dribble(peer::tcp(listening.address(By::Tls)), hello.repeat(4)),
        dribble(peer::tcp(listening.address(By::WebSocket)), upgrade),
        dribble(peer::tcp(listening.address(By::Tcp)), connect),
    ];
    for dribbling in dribbling {
        let (sent, took) = dribbling.join().unwrap();
        assert!(sent < 500, "{sent} bytes were taken in {took:?}");
        assert!(took >= LIMIT / 2);
    }
    assert_eq!(listening.scene.gate.stats().logins, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_packet_is_given_up_whatever_carries_it() {
    let listening = Listening::new(1, |config| config.packet_limit = LIMIT).await;
    for by in ALL {
        let mut device = listening.device(by);
        let begun = Instant::now();
        device.send(&[0x30, 100, 0]);
        assert!(device.is_closed());
        assert!(begun.elapsed() >= LIMIT / 2, "by {by:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_closes_does_not_wait_for_handshakes() {
    let listening = Listening::new(1, |config| config.handshake_limit = NEVER).await;
    let waiting = [By::Tls, By::WebSocket, By::SecureWebSocket].map(|by| peer::tcp(listening.address(by)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    in_time("the end, though handshakes wait", listening.scene.gate.shutdown()).await;
    assert!(waiting.into_iter().all(is_closed));
}
