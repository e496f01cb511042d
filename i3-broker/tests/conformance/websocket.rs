//! Chapter 6: MQTT over WebSocket, the frames made by hand (RFC 6455).

use i3_broker::Listener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::scene::{Scene, in_time};

async fn scene() -> Scene {
    Scene::with(1_000, |config| config.listeners.push(Listener::websocket("127.0.0.1:0".parse().unwrap())))
        .await
}

/// Asks for an upgrade; gives the answer's head.
async fn upgrade(scene: &Scene, offers: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(scene.gate.local_addrs()[1]).await.unwrap();
    let request = format!(
        "GET /any/path HTTP/1.1\r\nHost: gate\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    (stream, String::from_utf8(head).unwrap().to_lowercase())
}

async fn open(scene: &Scene) -> TcpStream {
    let (stream, head) = upgrade(scene, "Sec-WebSocket-Protocol: chat, mqtt\r\n").await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("\r\nsec-websocket-protocol: mqtt\r\n"), "{head}");
    // That of the key above (RFC 6455, 1.3).
    assert!(head.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
    stream
}

/// A frame of a client, which is masked: 2 is binary, 1 text, 0 goes on with the frame before.
fn frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [7, 0, 255, 9];
    let mut out = vec![u8::from(last) << 7 | opcode];
    // The mask's bit, and lengths above 125 in two bytes of their own.
    if let Ok(length @ ..126) = u8::try_from(payload.len()) {
        out.push(0x80 | length);
    } else {
        out.push(0x80 | 0x7e);
        out.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    }
    out.extend(KEY);
    out.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// The bytes in the server's binary frames, until there are so many; fewer if it closed.
async fn bytes(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while out.len() < count {
        let Ok(first) = stream.read_u8().await else { return out };
        let length = match stream.read_u8().await.unwrap() {
            126 => usize::from(stream.read_u16().await.unwrap()),
            length @ ..126 => usize::from(length),
            length => panic!("a frame of {length}"),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        match first {
            0x82 => out.extend(payload),
            0x88 => return out,
            _ => panic!("a frame {first:#x}"),
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_and_frames_need_not_align() {
    for &version in VERSIONS {
        let scene = scene().await;
        let mut buyer = scene.buyer(version, "buyer", 1).await;
        let all = [
            Hello::new(version, "device", "device").bytes(),
            Publish::new(TOPIC, [7; 300]).qos(1, 1).bytes(version),
            Publish::new(TOPIC, b"two").qos(1, 2).bytes(version),
            PINGREQ.to_vec(),
        ]
        .concat();
        // All in one frame; a byte a frame; in fragments of one message.
        let whole = frame(true, 2, &all);
        let bytewise: Vec<u8> = all.iter().flat_map(|byte| frame(true, 2, &[*byte])).collect();
        let (first, rest) = all.split_at(11);
        let fragments = [frame(false, 2, first), frame(false, 0, &[]), frame(true, 0, rest)].concat();
        for sent in [whole, bytewise, fragments] {
            let mut device = open(&scene).await;
            device.write_all(&sent).await.unwrap();
            // CONNACK comes first, the other answers in any order.
            let mut got = Vec::new();
            let has = |got: &[u8], part: &[u8]| got.windows(part.len()).any(|window| window == part);
            while ![&[0x40, 2, 0, 1][..], &[0x40, 2, 0, 2], &[0xd0, 0]].iter().all(|part| has(&got, part)) {
                let more = in_time("an answer", bytes(&mut device, 1)).await;
                assert!(!more.is_empty(), "{got:02x?}");
                got.extend(more);
            }
            assert_eq!((got[0], got[3]), (0x20, 0));
            assert_eq!((buyer.payload().await, buyer.payload().await), (vec![7; 300], b"two".to_vec()));
        }
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_is_not_binary_ends_the_connection() {
    for &version in VERSIONS {
        let scene = scene().await;
        let hello = Hello::new(version, "device", "device").bytes();
        // As the first, and in the middle of a session.
        let mut first = open(&scene).await;
        first.write_all(&frame(true, 1, &hello)).await.unwrap();
        assert!(bytes(&mut first, 1).await.is_empty());
        let mut device = open(&scene).await;
        device.write_all(&frame(true, 2, &hello)).await.unwrap();
        assert!(!bytes(&mut device, 4).await.is_empty());
        device.write_all(&frame(true, 1, &PINGREQ)).await.unwrap();
        let left = bytes(&mut device, 1_000).await;
        assert!(!left.ends_with(&[0xd0, 0]), "it was not read");
        crate::scene::eventually("it is gone", || scene.sessions() == 0).await;
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_offer_mqtt_is_not_upgraded() {
    let scene = scene().await;
    for offers in ["", "Sec-WebSocket-Protocol: chat\r\n", "Sec-WebSocket-Protocol: mqttv3.1\r\n"] {
        let (_, head) = upgrade(&scene, offers).await;
        assert!(head.starts_with("http/1.1 400 "), "{head}");
    }
    scene.ends_well().await;
}
