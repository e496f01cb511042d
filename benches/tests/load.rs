//! The load generator tells the truth: about a broker that loses or repeats messages, and about
//! Mosquitto's refusals.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the helpers of tests, which clippy does not take for tests, fail by panicking"
)]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use i3_benches::mosquitto::{Mosquitto, MosquittoError};
use i3_benches::mqtt_load::{Client, LoadError, LoadResult, LoadSpec, Login, Qos, Version, run};

const TOPIC: &str = "i3/hub/product";

fn load(broker: SocketAddr, qos: Qos, subscribers: usize) -> LoadSpec {
    LoadSpec {
        broker,
        process: None,
        topic: TOPIC.to_owned(),
        version: Version::V311,
        qos,
        payload: 100,
        window: 500,
        publisher: None,
        subscribers: vec![None; subscribers],
        warm_up: Duration::from_millis(50),
        measure: Duration::from_millis(200),
    }
}

/// Reads one packet; none at the end of the stream. The lengths of the tests fit one byte, or two.
fn packet(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut packet = vec![0; 2];
    stream.read_exact(&mut packet).ok()?;
    let mut length = usize::from(packet[1] & 0x7f);
    if packet[1] & 0x80 != 0 {
        packet.push(0);
        stream.read_exact(&mut packet[2..]).ok()?;
        length += usize::from(packet[2]) << 7;
    }
    let head = packet.len();
    packet.resize(head + length, 0);
    stream.read_exact(&mut packet[head..]).ok()?;
    Some(packet)
}

/// A broker for one subscriber and one publisher that forwards what `forward` makes of message number n.
fn broker(forward: impl Fn(usize, Vec<u8>) -> Vec<u8> + Send + 'static) -> SocketAddr {
    broker_that_sees(move |number, message, _| forward(number, message))
}

/// The same where `forward` sees the publisher's connection too.
fn broker_that_sees(forward: impl Fn(usize, Vec<u8>, &TcpStream) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut subscriber, _) = listener.accept().unwrap();
        packet(&mut subscriber).unwrap();
        subscriber.write_all(&[0x20, 2, 0, 0]).unwrap();
        packet(&mut subscriber).unwrap();
        subscriber.write_all(&[0x90, 3, 0, 1, 0]).unwrap();
        let (mut publisher, _) = listener.accept().unwrap();
        packet(&mut publisher).unwrap();
        publisher.write_all(&[0x20, 2, 0, 0]).unwrap();
        let mut number = 0;
        while let Some(message) = packet(&mut publisher) {
            if subscriber.write_all(&forward(number, message, &publisher)).is_err() {
                return;
            }
            number += 1;
        }
    });
    address
}

/// A run that counts more deliveries than this: for longer, where the machine was too busy.
fn counting(deliveries: u64, spec: impl Fn() -> LoadSpec) -> LoadResult {
    let mut measure = spec().measure;
    for _ in 0..8 {
        let result = run(&LoadSpec { measure, ..spec() }).unwrap();
        if result.deliveries > deliveries {
            return result;
        }
        measure *= 2;
    }
    panic!("next to nothing was delivered in {measure:?}");
}

#[test]
fn a_broker_that_delivers_everything_passes() {
    let result = counting(0, || load(broker(|_, message| message), Qos::AtMostOnce, 1));
    assert!(result.published >= result.deliveries);
    assert!(result.per_second() > 0.0);
}

#[test]
fn a_lost_message_fails_the_run() {
    let address = broker(|number, message| if number == 10 { Vec::new() } else { message });
    let outcome = run(&load(address, Qos::AtMostOnce, 1));
    let Err(LoadError::Gap { client: Client::Subscriber(0), expected: 10, received: 11 }) = outcome else {
        panic!("{outcome:?}");
    };
}

#[test]
fn a_repeated_message_fails_the_run() {
    let address = broker(|number, message| if number == 7 { message.repeat(2) } else { message });
    let outcome = run(&load(address, Qos::AtMostOnce, 1));
    let Err(LoadError::Gap { client: Client::Subscriber(0), expected: 8, received: 7 }) = outcome else {
        panic!("{outcome:?}");
    };
}

#[test]
fn a_message_on_another_topic_fails_the_run() {
    let address = broker(|_, mut message| {
        message[4] = b'X';
        message
    });
    let outcome = run(&load(address, Qos::AtMostOnce, 1));
    assert!(matches!(outcome, Err(LoadError::Unexpected { .. })), "{outcome:?}");
}

#[test]
fn no_more_than_the_window_is_in_flight() {
    const WINDOW: usize = 500;
    let held = Mutex::new(Vec::new());
    let too_many = Arc::new(AtomicBool::new(false));
    let address = broker_that_sees({
        let too_many = Arc::clone(&too_many);
        move |number, message, publisher| {
            // Delivers nothing before it has seen the whole window, so that it would get stuck if not so many came.
            let mut held = held.lock().unwrap();
            held.extend(message);
            if number + 1 < WINDOW {
                return Vec::new();
            }
            if number + 1 == WINDOW {
                // Time for one more to come.
                thread::sleep(Duration::from_millis(100));
                publisher.set_nonblocking(true).unwrap();
                too_many.store(publisher.peek(&mut [0]).is_ok(), Ordering::SeqCst);
                publisher.set_nonblocking(false).unwrap();
            }
            std::mem::take(&mut *held)
        }
    });
    let window = u64::try_from(WINDOW).unwrap();
    let result = run(&LoadSpec { window, ..load(address, Qos::AtMostOnce, 1) }).unwrap();
    assert!(result.published >= window);
    assert!(!too_many.load(Ordering::SeqCst), "another came before any was delivered");
}

/// Mosquitto, or none where it is not installed; CI must have it.
fn mosquitto() -> Option<Mosquitto> {
    match Mosquitto::start(TOPIC) {
        Ok(mosquitto) => Some(mosquitto),
        Err(error @ MosquittoError::NotInstalled(_)) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn through(mosquitto: &Mosquitto, qos: Qos, subscribers: usize) -> LoadSpec {
    LoadSpec {
        process: Some(mosquitto.process()),
        publisher: Some(mosquitto.publisher().clone()),
        subscribers: vec![Some(mosquitto.subscriber().clone()); subscribers],
        ..load(mosquitto.address(), qos, subscribers)
    }
}

#[test]
fn mosquitto_delivers_every_message_at_both_levels_and_to_several() {
    let Some(mosquitto) = mosquitto() else { return };
    for (qos, subscribers) in
        [(Qos::AtMostOnce, 1), (Qos::AtLeastOnce, 1), (Qos::AtMostOnce, 5), (Qos::AtLeastOnce, 5)]
    {
        counting(100, || through(&mosquitto, qos, subscribers));
    }
}

#[test]
fn mosquitto_authorizes_logins_subscriptions_publishing() {
    let Some(mosquitto) = mosquitto() else { return };
    let good = through(&mosquitto, Qos::AtMostOnce, 1);

    let wrong = Login::new(mosquitto.publisher().username.clone(), "guess");
    let outcome = run(&LoadSpec { publisher: Some(wrong), ..good.clone() });
    assert!(
        matches!(outcome, Err(LoadError::LoginRefused { client: Client::Publisher, code: 5 })),
        "{outcome:?}"
    );

    let outcome = run(&LoadSpec { publisher: None, ..good.clone() });
    assert!(matches!(outcome, Err(LoadError::LoginRefused { client: Client::Publisher, .. })), "{outcome:?}");

    let outcome = run(&LoadSpec { topic: "i3/hub/other".to_owned(), ..good.clone() });
    assert!(matches!(outcome, Err(LoadError::SubscriptionRefused { code: 0x80, .. })), "{outcome:?}");

    let seller = vec![Some(mosquitto.publisher().clone())];
    let outcome = run(&LoadSpec { subscribers: seller, ..good.clone() });
    assert!(matches!(outcome, Err(LoadError::SubscriptionRefused { code: 0x80, .. })), "{outcome:?}");
}

#[test]
fn mosquitto_ends_with_its_handle() {
    let Some(mosquitto) = mosquitto() else { return };
    let address = mosquitto.address();
    assert!(TcpStream::connect(address).is_ok());
    drop(mosquitto);
    assert!(TcpStream::connect(address).is_err());
}
