//! Attack 30: the gate in front of another broker. The broker here is the test's own: it keeps every byte that the
//! gate sends, and takes nothing that is not exactly one packet after the other.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use i3_broker::log::{UpstreamConfig, UpstreamKey, UpstreamLog, UpstreamLogin};
use i3_core::time::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::client::Fate;
use crate::market::TOPIC;
use crate::packets::*;
use crate::scene::{Scene, eventually, number, numbered};

/// What came at the upstream broker.
#[derive(Debug, Default)]
struct Seen {
    /// The client ids, user names and passwords of all CONNECTs.
    logins: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    /// The filters of all SUBSCRIBEs.
    filters: Vec<String>,
    /// The topic, the properties and the payload of each message.
    messages: Vec<(String, Vec<u8>, Vec<u8>)>,
    /// All bytes.
    bytes: Vec<u8>,
    subscribers: Vec<(String, UnboundedSender<Vec<u8>>)>,
}

/// A field with its length of two bytes; moves on behind it.
fn field<'a>(body: &mut &'a [u8]) -> &'a [u8] {
    let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let (taken, rest) = body[2..].split_at(length);
    *body = rest;
    taken
}

/// A length of MQTT; moves on behind it.
fn varying(body: &mut &[u8]) -> usize {
    let mut length = 0;
    for place in 0..4 {
        let byte = usize::from(body[0]);
        *body = &body[1..];
        length |= (byte & 127) << (7 * place);
        if byte < 128 {
            return length;
        }
    }
    panic!("the gate sent a bad length")
}

fn properties<'a>(body: &mut &'a [u8]) -> &'a [u8] {
    let length = varying(body);
    let (taken, rest) = body.split_at(length);
    *body = rest;
    taken
}

/// A broker that speaks just enough MQTT 5.
async fn broker() -> (SocketAddr, Arc<Mutex<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Seen::default())));
    let all = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (mut read, mut write) = stream.into_split();
            let (send, mut to_send) = unbounded_channel::<Vec<u8>>();
            tokio::spawn(async move {
                while let Some(bytes) = to_send.recv().await {
                    if write.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
            });
            let seen = Arc::clone(&all);
            tokio::spawn(async move {
                let mut input = Vec::new();
                let mut chunk = vec![0; 65_536];
                while let Ok(count @ 1..) = read.read(&mut chunk).await {
                    input.extend(&chunk[..count]);
                    seen.lock().unwrap().bytes.extend(&chunk[..count]);
                    while let Some((first, start, end)) = whole(&input) {
                        let body = input[start..end].to_vec();
                        input.drain(..end);
                        handle(first, &body, &send, &seen);
                    }
                }
            });
        }
    });
    (address, seen)
}

fn whole(input: &[u8]) -> Option<(u8, usize, usize)> {
    let mut length = 0;
    for place in 0..4 {
        let byte = usize::from(*input.get(1 + place)?);
        length |= (byte & 127) << (7 * place);
        if byte < 128 {
            let start = 2 + place;
            return (input.len() >= start + length).then_some((input[0], start, start + length));
        }
    }
    panic!("the gate sent a bad length")
}

fn handle(first: u8, mut body: &[u8], send: &UnboundedSender<Vec<u8>>, seen: &Mutex<Seen>) {
    let mut seen = seen.lock().unwrap();
    match first >> 4 {
        1 => {
            assert_eq!(body[..7], [0, 4, b'M', b'Q', b'T', b'T', 5]);
            let flags = body[7];
            assert_eq!(flags & 0x04, 0, "no will goes upstream");
            body = &body[10..];
            properties(&mut body);
            let id = field(&mut body).to_vec();
            let (user, password) = (field(&mut body).to_vec(), field(&mut body).to_vec());
            assert!(body.is_empty());
            seen.logins.push((id, user, password));
            let _ = send.send(packet(0x20, &[0, 0, 0]));
        }
        3 => {
            let qos = first >> 1 & 3;
            let mut rest = body;
            let topic = String::from_utf8(field(&mut rest).to_vec()).unwrap();
            let id = (qos > 0).then(|| {
                let (id, behind) = rest.split_at(2);
                rest = behind;
                id
            });
            let props = properties(&mut rest);
            seen.messages.push((topic.clone(), props.to_vec(), rest.to_vec()));
            let mut out = Vec::new();
            text(&mut out, &topic);
            length(&mut out, props.len());
            out.extend([props, rest].concat());
            for (filter, subscriber) in &seen.subscribers {
                if *filter == topic {
                    let _ = subscriber.send(packet(0x30, &out));
                }
            }
            if let Some(id) = id {
                let _ = send.send(packet(0x40, id));
            }
        }
        8 => {
            let id = [body[0], body[1]];
            body = &body[2..];
            properties(&mut body);
            let mut codes = vec![id[0], id[1], 0];
            while !body.is_empty() {
                let filter = String::from_utf8(field(&mut body).to_vec()).unwrap();
                codes.push(body[0] & 3);
                body = &body[1..];
                seen.filters.push(filter.clone());
                seen.subscribers.push((filter, send.clone()));
            }
            let _ = send.send(packet(0x90, &codes));
        }
        10 => {
            let _ = send.send(packet(0xb0, &[body[0], body[1], 0, 0]));
        }
        12 => {
            let _ = send.send(packet(0xd0, &[]));
        }
        4 | 14 => {}
        other => panic!("the gate sent packet type {other}"),
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_30_only_packets_of_the_gates_own_making_reach_the_broker_behind_it() {
    for &version in VERSIONS {
        let (address, seen) = broker().await;
        let url = format!("mqtt://{address}").parse().unwrap();
        let mut config = UpstreamConfig::new(url, UpstreamKey::from_bytes([7; 32]));
        config.login = Some(UpstreamLogin::new("the-gate", "its password"));
        let log = Arc::new(UpstreamLog::start(config, Arc::new(SystemClock)).unwrap());
        eventually("the broker is reached", || log.is_up()).await;
        let scene = Scene::over(1_000, log, Arc::new(SystemClock), |_| {}).await;
        let mut buyer = scene.buyer(version, "buyer-#/+$SYS", 1).await;
        // Payloads and wills that are packets themselves, in case two readers disagree about lengths.
        let smuggled = [
            Publish::new("smuggled/topic", b"x").bytes(V5),
            subscribe(V5, 9, &[("#", 2)], &Props::new()),
            Hello::new(V5, "smuggled-id", "smuggled-user").password("another").bytes(),
        ]
        .concat();
        let hello = Hello::new(version, "device-#/+$SYS", "device").will(Will::new(TOPIC, &smuggled));
        let mut device = scene.enter(&hello).await;
        assert_eq!(device.publish(TOPIC, &smuggled, 1).await, Fate::Acknowledged(0));
        assert_eq!(buyer.payload().await, smuggled, "the payload is what it was");
        // What the gate refuses does not get there: other topics, wildcards, broken packets, credentials of others.
        for bytes in [
            Publish::new("i3/hub/other", b"refused payload").qos(1, 1).bytes(version),
            Publish::new("#", b"refused payload").bytes(version),
            [vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x01], smuggled.clone()].concat(),
            // A length that says less than there is: the rest is read as packets, and refused as such.
            [packet(0x30, b"\0\x0ei3/hub/produkt"), b"refused payload".to_vec()].concat(),
        ] {
            let mut forger = scene.client(version, "forger", "device").await;
            forger.try_send(&bytes).await;
            forger.try_send(GOODBYE).await;
            forger.told_at_end().await;
        }
        assert_eq!(
            scene.code(&Hello::new(version, "x", "intruder").password("stolen")).await.map(|code| code > 0),
            Some(true)
        );
        device.abort();
        assert_eq!(buyer.payload().await, smuggled, "the will");
        let mut device = scene.device(version).await;
        for expected in 0..50 {
            assert_eq!(device.publish(TOPIC, numbered(expected, 8), 1).await, Fate::Acknowledged(0));
            assert_eq!(number(&buyer.payload().await), expected);
        }
        {
            let seen = seen.lock().unwrap();
            for (id, user, password) in &seen.logins {
                assert!(id.starts_with(b"i3.gate."), "{:?}", String::from_utf8_lossy(id));
                assert_eq!(
                    (user.as_slice(), password.as_slice()),
                    (b"the-gate".as_slice(), b"its password".as_slice())
                );
            }
            assert!(seen.filters.iter().all(|filter| filter == TOPIC), "{:?}", seen.filters);
            assert!(seen.messages.iter().all(|(topic, ..)| topic == TOPIC));
            let smuggled_ones = seen.messages.iter().filter(|(.., payload)| *payload == smuggled).count();
            assert!(smuggled_ones >= 2, "as payloads");
            for secret in [
                b"secret".as_slice(),
                b"stolen",
                b"intruder",
                b"buyer-#/+$SYS",
                b"device-#/+$SYS",
                b"refused payload",
            ] {
                assert!(!contains(&seen.bytes, secret), "{:?}", String::from_utf8_lossy(secret));
            }
        }
        scene.ends_well().await;
    }
}
