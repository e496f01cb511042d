//! WebSocket frames and upgrades, good and bad.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU32, Ordering};

use i3_core::gate::Principal;
use i3_core::id::{TypedId, UserId};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};
use tungstenite::{Message, WebSocket};

use super::super::client::{Hello, packet, publish};
use super::super::market::grant;
use super::*;

fn open(listening: &Listening) -> WebSocket<peer::Socket> {
    peer::upgrade(peer::tcp(listening.address(By::WebSocket)), "mqttv3.1, mqtt").unwrap()
}

fn hello(socket: &mut WebSocket<peer::Socket>) {
    socket.send(Message::binary(Hello::new("w", "device").packet())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::binary(&[0x20, 2, 0, 0][..]));
}

/// The code with which the server closes.
fn close_code(socket: &mut WebSocket<peer::Socket>) -> Option<CloseCode> {
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => return frame.map(|CloseFrame { code, .. }| code),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

/// A masked frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let header =
        FrameHeader { opcode: OpCode::from(first & 15), mask: Some([1, 2, 3, 4]), ..FrameHeader::default() };
    let mut out = Vec::new();
    header.format(u64::try_from(payload.len()).unwrap(), &mut out).unwrap();
    out[0] = first;
    out.extend(payload.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_offer_mqtt_is_not_upgraded() {
    let listening = Listening::new(1, |_| {}).await;
    for protocols in ["mqttv3.1", "chat"] {
        assert!(peer::upgrade(peer::tcp(listening.address(By::WebSocket)), protocols).is_none());
    }
    for bytes in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &Hello::new("x", "device").packet()] {
        let mut other = peer::tcp(listening.address(By::WebSocket));
        other.write_all(bytes).unwrap();
        let mut answer = String::new();
        let _ = other.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    eventually("each is counted", || listening.scene.gate.stats().logins_refused == 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_may_lie_across_frames_in_any_way() {
    let listening = Listening::new(100, |_| {}).await;
    let mut socket = open(&listening);
    // One byte to a frame; then two packets in one frame; then a message of many frames with a ping between.
    for byte in Hello::new("w", "device").packet() {
        socket.send(Message::binary(vec![byte])).unwrap();
    }
    assert_eq!(socket.read().unwrap(), Message::binary(&[0x20, 2, 0, 0][..]));
    let two = [publish(TOPIC, b"1", 1, false, 1), publish(TOPIC, b"2", 1, false, 2)].concat();
    socket.send(Message::binary(two)).unwrap();
    assert_eq!(socket.read().unwrap(), Message::binary(&[0x40, 2, 0, 1, 0x40, 2, 0, 2][..]));
    let large = publish(TOPIC, &vec![7; 100_000], 1, false, 3);
    let mut pieces = large.chunks(30_000).peekable();
    let mut opcode = Data::Binary;
    while let Some(piece) = pieces.next() {
        let last = pieces.peek().is_none();
        socket.send(Message::Frame(Frame::message(piece.to_vec(), OpCode::Data(opcode), last))).unwrap();
        socket.send(Message::Ping(b"between".to_vec().into())).unwrap();
        opcode = Data::Continue;
    }
    let mut pongs = 0;
    let answer = loop {
        match socket.read().unwrap() {
            Message::Pong(payload) => {
                assert_eq!(&payload[..], b"between");
                pongs += 1;
            }
            other => break other,
        }
    };
    assert_eq!(answer, Message::binary(&[0x40, 2, 0, 3][..]));
    assert!(pongs > 0, "pings are answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_far_longer_than_a_packet_is_taken_but_a_packet_that_is_too_long_is_not() {
    let listening = Listening::new(100_000, |_| {}).await;
    let mut socket = open(&listening);
    hello(&mut socket);
    let mut many = Vec::new();
    for _ in 0..100 {
        many.extend(publish(TOPIC, &vec![1; 40_000], 0, false, 0));
    }
    many.extend(publish(TOPIC, b"last", 1, false, 5));
    let mut sending = socket.get_ref().again();
    let sent = std::thread::spawn(move || sending.write_all(&frame(0x82, &many)));
    assert_eq!(socket.read().unwrap(), Message::binary(&[0x40, 2, 0, 5][..]));
    sent.join().unwrap().unwrap();
    assert_eq!(listening.scene.gate.stats().publishes_accepted, 101);
    // The server closes while it is written to.
    let _ = socket.get_mut().write_all(&frame(0x82, &publish(TOPIC, &vec![1; 300_000], 0, false, 0)));
    close_code(&mut socket);
    eventually("it is closed", || listening.scene.gate.stats().sessions == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_break_the_rules_close_the_connection_with_a_code() {
    let listening = Listening::new(1, |_| {}).await;
    let ping = packet(0xc0, &[]);
    let unmasked = [&[0x82, 2][..], &ping].concat();
    for (bytes, code) in [
        (frame(0x81, &ping), CloseCode::Unsupported),
        (frame(0x80, &ping), CloseCode::Protocol),
        (frame(0xc2, &ping), CloseCode::Protocol),
        (frame(0x83, &ping), CloseCode::Protocol),
        (frame(0x09, b"x"), CloseCode::Protocol),
        (frame(0x89, &[0; 126]), CloseCode::Protocol),
        (vec![0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], CloseCode::Protocol),
        (unmasked, CloseCode::Protocol),
    ] {
        let mut socket = open(&listening);
        hello(&mut socket);
        socket.get_mut().write_all(&bytes).unwrap();
        assert_eq!(close_code(&mut socket), Some(code), "{bytes:02x?}");
    }
    eventually("all are closed", || listening.scene.gate.stats().sessions == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_is_answered_and_means_that_the_client_is_lost() {
    let listening = Listening::new(100, |_| {}).await;
    let mut buyer = listening.open(By::Tcp).login("b", "order");
    buyer.subscribe(0);
    let mut socket = open(&listening);
    let hello = Hello { will: Some((TOPIC, "lost", false)), ..Hello::new("w", "device") };
    socket.send(Message::binary(hello.packet())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::binary(&[0x20, 2, 0, 0][..]));
    socket.close(None).unwrap();
    assert_eq!(close_code(&mut socket), Some(CloseCode::Normal));
    assert_eq!(buyer.message().unwrap(), b"lost", "no DISCONNECT came before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pings_holds_up_nobody_and_takes_no_memory() {
    let listening = Listening::new(1_000, |_| {}).await;
    let mut socket = open(&listening);
    socket.send(Message::binary(Hello::new("w", "order").packet())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::binary(&[0x20, 2, 0, 0][..]));
    let mut flooding = socket.get_ref().again();
    let rounds = Arc::new(AtomicU32::new(0));
    // It never reads the answers; the gate drops all but one and goes on reading.
    let flood = std::thread::spawn({
        let rounds = Arc::clone(&rounds);
        move || {
            let pings = frame(0x89, &[0; 125]).repeat(500);
            while flooding.write_all(&pings).is_ok() && rounds.fetch_add(1, Ordering::SeqCst) < 100_000 {}
        }
    });
    eventually("pings come", || rounds.load(Ordering::SeqCst) > 0).await;
    let mut device = listening.device(By::WebSocket);
    for _ in 0..200 {
        assert!(device.publish_acked(b"x"));
    }
    // A kick reaches the flooding client's task.
    let buyer = Principal::Order { order: grant().order(), buyer: UserId::from_bits(5) };
    listening.scene.market.change_login(buyer, None).await;
    assert_eq!(listening.scene.gate.stats().forced, 0);
    eventually("it is gone", || listening.scene.gate.stats().sessions == 1).await;
    socket.get_ref().shut_down();
    flood.join().unwrap();
}
