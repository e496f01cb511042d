//! The whole gate in front of a real Mosquitto.

mod mosquitto;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use i3_core::gate::Principal;
use i3_core::id::{DeviceId, HubId, TypedId};
use i3_core::name::Topic;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Publish, PublishProperties};
use rumqttc::v5::{AsyncClient, Event, EventLoop, Incoming, MqttOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use self::mosquitto::{GATE_PASSWORD, Mosquitto};
use super::client::publish;
use super::*;
use crate::log::{LogDown, Reader, UpstreamConfig, UpstreamKey, UpstreamLog};
use crate::message::Message;
use crate::wire::Qos;

async fn start(config: UpstreamConfig) -> Arc<UpstreamLog> {
    let log = Arc::new(UpstreamLog::start(config, Arc::new(SystemClock)).unwrap());
    eventually("the broker is reached", || log.is_up()).await;
    log
}

/// A client of the upstream broker that is no gate.
fn outsider(port: u16, id: &str) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_credentials("outsider", "outside").set_connection_timeout(PATIENCE.as_secs());
    AsyncClient::new(options, 100)
}

/// One that has subscribed to this topic.
async fn listening(port: u16, topic: &str) -> EventLoop {
    let (client, mut events) = outsider(port, "listener");
    client.subscribe(topic, QoS::AtLeastOnce).await.unwrap();
    while !matches!(events.poll().await.unwrap(), Event::Incoming(Incoming::SubAck(_))) {}
    events
}

async fn next_publish(events: &mut EventLoop) -> Publish {
    loop {
        if let Event::Incoming(Incoming::Publish(publish)) = events.poll().await.unwrap() {
            return publish;
        }
    }
}

/// Publishes past any gate; returns when the broker has it.
async fn slip_in(port: u16, messages: Vec<Publish>) {
    let (client, mut events) = outsider(port, "intruder");
    let count = messages.len();
    for message in messages {
        let topic = String::from_utf8(message.topic.to_vec()).unwrap();
        let properties = message.properties.unwrap_or_default();
        client
            .publish_with_properties(topic, QoS::AtLeastOnce, false, message.payload, properties)
            .await
            .unwrap();
    }
    let mut acknowledged = 0;
    while acknowledged < count {
        if let Event::Incoming(Incoming::PubAck(_)) = events.poll().await.unwrap() {
            acknowledged += 1;
        }
    }
}

fn device(number: u128) -> Principal {
    Principal::Device { device: DeviceId::from_bits(number), hub: HubId::from_bits(2) }
}

fn topic() -> Topic {
    TOPIC.parse().unwrap()
}

fn message(payload: &[u8]) -> Message {
    Message::plain(payload, Qos::AtLeastOnce)
}

/// Everything that has come to a reader.
fn read(reader: &mut Reader) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    reader.read(|_, message| {
        all.push(message.payload().to_vec());
        true
    });
    reader.release();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_pass_through_the_upstream_broker_and_are_metered_and_revoked() {
    let Some(mosquitto) = Mosquitto::start() else { return };
    let log = start(mosquitto.config()).await;
    let scene = Scene::with(1_000, Arc::clone(&log) as _, |_| {}).await;
    let mut elsewhere = listening(mosquitto.port, TOPIC).await;
    let (mut first, mut second) = (scene.buyer("a", 0).await, scene.buyer("b", 1).await);
    let mut device = scene.device().await;
    for number in 0..100_u64 {
        if number % 2 == 0 {
            device.publish(number.to_be_bytes()).await;
        } else {
            assert!(device.publish_acked(TOPIC, &number.to_be_bytes(), false).await);
        }
    }
    for number in 0..100_u64 {
        let seen = next_publish(&mut elsewhere).await;
        assert_eq!(seen.payload[..], number.to_be_bytes(), "other consumers see the payload as it is");
        let at_first = first.message().await.unwrap();
        assert_eq!((at_first.payload, at_first.qos), (number.to_be_bytes().to_vec(), 0));
        let at_second = second.message().await.unwrap();
        let qos = u8::from(number % 2 == 1);
        assert_eq!((at_second.payload, at_second.qos), (number.to_be_bytes().to_vec(), qos));
    }
    eventually("all is billed", || scene.gate.stats().delivered == 200).await;
    scene.market.set_open(false).await;
    device.publish("after the end").await;
    assert!(first.is_closed().await && second.is_closed().await);
    assert_eq!(scene.market.billed(), 200);
    assert_eq!(next_publish(&mut elsewhere).await.payload[..], *b"after the end");
    eventually("nobody reads", || log.feeds().is_empty()).await;
    assert_eq!(log.counts(), crate::log::UpstreamCounts::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_gate_published_is_not_delivered() {
    let Some(mosquitto) = Mosquitto::start() else { return };
    let log = start(mosquitto.config()).await;
    let scene = Scene::with(1_000, Arc::clone(&log) as _, |_| {}).await;
    let mut buyer = scene.buyer("a", 1).await;
    let mut elsewhere = listening(mosquitto.port, TOPIC).await;
    let mut device = scene.device().await;
    assert!(device.publish_acked(TOPIC, b"true", false).await);
    assert_eq!(buyer.message().await.unwrap().payload, b"true");
    let seen = next_publish(&mut elsewhere).await;

    let bare = Publish { properties: None, payload: "bare".into(), ..seen.clone() };
    let copy = seen.clone();
    let changed = Publish { payload: "changed".into(), ..seen.clone() };
    let mut twice = seen.clone();
    let properties = twice.properties.as_mut().unwrap();
    properties.user_properties.push(properties.user_properties[0].clone());
    let mut garbage = seen.clone();
    garbage.properties.as_mut().unwrap().user_properties[0].1 = "garbage".to_owned();
    slip_in(mosquitto.port, vec![bare, copy, changed, twice, garbage]).await;
    let told = || {
        let counts = log.counts();
        (counts.foreign, counts.repeated, counts.forged, counts.lost)
    };
    eventually("all five came", || told() == (1, 1, 3, 0)).await;

    assert!(device.publish_acked(TOPIC, b"the next", false).await);
    assert_eq!(buyer.message().await.unwrap().payload, b"the next", "nothing came between");
    assert_eq!(told(), (1, 1, 3, 0));
    eventually("both are counted", || scene.gate.stats().delivered == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_messages_are_delivered_where_that_is_wanted_and_forged_ones_never() {
    let Some(mosquitto) = Mosquitto::start() else { return };
    let mut config = mosquitto.config();
    config.accept_foreign = true;
    let log = start(config).await;
    let scene = Scene::with(1_000, Arc::clone(&log) as _, |_| {}).await;
    let mut buyer = scene.buyer("a", 1).await;
    let of = |payload: &str| Publish {
        topic: TOPIC.into(),
        payload: payload.to_owned().into(),
        ..Default::default()
    };
    let mut forged = of("forged");
    let properties = forged.properties.insert(PublishProperties::default());
    properties.user_properties.push(("i3-envelope".to_owned(), "AQX_".to_owned()));
    slip_in(mosquitto.port, vec![forged, of("foreign")]).await;
    let received = buyer.message().await.unwrap();
    assert_eq!((received.payload, received.qos), (b"foreign".to_vec(), 1));
    assert_eq!((log.counts().foreign, log.counts().forged), (1, 1));
    eventually("and are paid for", || scene.gate.stats().delivered == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_under_load_costs_counted_messages_and_nothing_else() {
    let Some(mut mosquitto) = Mosquitto::start() else { return };
    let log = start(mosquitto.config()).await;
    let scene = Scene::with(10_000_000, Arc::clone(&log) as _, |_| {}).await;
    let mut buyer = scene.buyer("a", 1).await;
    let mut device = scene.device().await;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let publishing = tokio::spawn(async move {
        let mut number = 0_u64;
        while !stopped.load(Ordering::Acquire) {
            for _ in 0..20 {
                device.send(&publish(TOPIC, &number.to_be_bytes(), 0, false, 0)).await;
                number += 1;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The last one is acknowledged: the log has them all.
        assert!(device.publish_acked(TOPIC, &number.to_be_bytes(), false).await, "the device is still there");
        (device, number + 1)
    });
    let (seen, at_buyer) = tokio::sync::watch::channel((0_u64, 0_u64));
    let reading = tokio::spawn(async move {
        while let Some(message) = buyer.message().await {
            let number = u64::from_be_bytes(message.payload.try_into().unwrap());
            seen.send_modify(|(count, last)| {
                assert!(*count == 0 || number > *last, "{number} after {last}: in order, none twice");
                (*count, *last) = (*count + 1, number);
            });
        }
    });
    for round in 1..=2 {
        let (before, _) = *at_buyer.borrow();
        eventually("messages flow", || at_buyer.borrow().0 > before + 500).await;
        mosquitto.kill();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(mosquitto.launch(), "round {round}");
    }
    let (before, _) = *at_buyer.borrow();
    eventually("messages flow again", || at_buyer.borrow().0 > before + 500).await;
    stop.store(true, Ordering::Release);
    let (_device, published) = publishing.await.unwrap();
    eventually("the last message came", || at_buyer.borrow().1 + 1 == published).await;
    let ((received, _), counts) = (*at_buyer.borrow(), log.counts());
    assert_eq!(received + counts.lost, published, "{counts:?}");
    assert_eq!((counts.forged, counts.foreign), (0, 0));
    eventually("all is counted", || scene.gate.stats().delivered == received).await;
    let stats = scene.gate.stats();
    assert_eq!((stats.missed.slow, stats.log_lost), (0, counts.lost));
    assert_eq!((stats.sessions, stats.logins), (2, 2), "both sessions lived on");
    assert!(stats.log_restarts >= 2 && !reading.is_finished());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_loses_and_doubles_nothing() {
    let Some(mosquitto) = Mosquitto::start() else { return };
    let between = Between::start(mosquitto.port).await;
    let log = start(mosquitto::config(between.address.port())).await;
    let mut reader = log.subscribe(&topic()).await.unwrap();
    let mut received: Vec<u64> = Vec::new();
    let mut take = |received: &mut Vec<u64>| {
        let numbers = read(&mut reader);
        received.extend(numbers.iter().map(|payload| u64::from_be_bytes(payload[..].try_into().unwrap())));
    };
    let begun = Instant::now();
    for number in 0..3_000_u64 {
        if number % 1_000 == 500 {
            between.cut();
        }
        while log.publish(device(1), &topic(), &[message(&number.to_be_bytes())]).is_err() {
            assert!(begun.elapsed() < Duration::from_mins(1));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if number % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    eventually("the last came", || {
        take(&mut received);
        received.last() == Some(&2_999)
    })
    .await;
    assert!(received.is_sorted_by(|a, b| a < b), "in order, none twice");
    let counts = log.counts();
    assert_eq!((received.len(), counts.lost), (3_000, 0), "{counts:?}");
    assert!(counts.reconnects >= 3);
    eventually("all is acknowledged", || log.waiting() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_forgets_is_counted_as_lost() {
    let Some(mosquitto) = Mosquitto::start() else { return };
    let between = Between::start(mosquitto.port).await;
    let mut config = mosquitto::config(between.address.port());
    // The broker keeps nothing for this gate while it is away.
    (config.gate, config.session_expiry) = ("there".to_owned(), Duration::ZERO);
    let (here, there) = (start(mosquitto.config()).await, start(config).await);
    let mut reader = there.subscribe(&topic()).await.unwrap();
    here.publish(device(1), &topic(), &[message(b"first")]).unwrap();
    eventually("the first came", || read(&mut reader) == [b"first"]).await;
    between.keep_closed(true);
    eventually("the connection is cut", || !there.is_up()).await;
    for number in 0..10_u8 {
        here.publish(device(1), &topic(), &[message(&[number])]).unwrap();
    }
    eventually("the broker has them", || here.waiting() == 0).await;
    between.keep_closed(false);
    eventually("the connection is back", || there.is_up()).await;
    here.publish(device(1), &topic(), &[message(b"last")]).unwrap();
    eventually("the last came", || read(&mut reader) == [b"last"]).await;
    assert_eq!((there.counts().lost, here.counts().lost), (10, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_clients_credential_or_name_leaves_the_gate() {
    let Some(mosquitto) = Mosquitto::start() else { return };
    let between = Between::start(mosquitto.port).await;
    let log = start(mosquitto::config(between.address.port())).await;
    let scene = Scene::with(1_000, log, |_| {}).await;
    let mut buyer = scene.client("the-buyers-client-id", "order").await;
    assert_eq!(buyer.subscribe(&[(TOPIC, 1)]).await, [1]);
    let mut device = scene.client("the-devices-client-id", "device").await;
    assert!(device.publish_acked(TOPIC, b"a reading", true).await);
    assert_eq!(buyer.message().await.unwrap().payload, b"a reading");
    let sent = between.sent();
    let has = |what: &[u8]| sent.windows(what.len()).any(|window| window == what);
    assert!(has(b"a reading") && has(GATE_PASSWORD.as_bytes()), "the recorder records");
    for secret in ["secret", "the-buyers-client-id", "the-devices-client-id", "order"] {
        assert!(!has(secret.as_bytes()), "{secret}");
    }
    assert!(has(format!("i3.gate.{}", DeviceId::from_bits(1)).as_bytes()), "its id in the marketplace does");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishers_have_connections_of_their_own_up_to_a_bound_and_while_they_publish() {
    let Some(mosquitto) = Mosquitto::start() else { return };
    let mut config = mosquitto.config();
    (config.own_lanes, config.idle) = (2, Duration::from_secs(8));
    let log = start(config).await;
    let mut reader = log.subscribe(&topic()).await.unwrap();
    for number in 1..=5 {
        log.publish(device(number), &topic(), &[message(&[u8::try_from(number).unwrap()])]).unwrap();
    }
    assert_eq!(log.own_lanes(), 2);
    let mut received = Vec::new();
    eventually("all came", || {
        received.extend(read(&mut reader));
        received.len() == 5
    })
    .await;
    let named = |number: u128| format!(" as i3.gate.{} ", DeviceId::from_bits(number));
    let connected = mosquitto.log();
    let own: Vec<_> = (1..=5).filter(|number| connected.contains(&named(*number))).collect();
    assert_eq!(own, [1, 2], "{connected}");
    eventually("idle connections are closed", || log.own_lanes() == 0).await;
    eventually("the broker sees that", || {
        mosquitto.log().contains(&format!("i3.gate.{} disconnected", DeviceId::from_bits(1)))
    })
    .await;
    log.publish(device(6), &topic(), &[message(b"again")]).unwrap();
    eventually("another may have it", || mosquitto.log().contains(&named(6))).await;
    eventually("it came", || read(&mut reader) == [b"again"]).await;
    assert_eq!(log.counts().lost, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gates_on_several_machines_share_the_broker_if_they_share_the_key() {
    let Some(mosquitto) = Mosquitto::start() else { return };
    let gate = |name: &str, key| {
        let mut config = mosquitto.config();
        (config.gate, config.key) = (name.to_owned(), UpstreamKey::from_bytes([key; 32]));
        config
    };
    let (one, two) = (start(gate("one", 7)).await, start(gate("two", 7)).await);
    let stranger = start(gate("three", 8)).await;
    let mut here = one.subscribe(&topic()).await.unwrap();
    let mut there = two.subscribe(&topic()).await.unwrap();
    let mut strange = stranger.subscribe(&topic()).await.unwrap();
    // The same device at both: its connections do not displace each other.
    for number in 0..20_u8 {
        let log = if number % 2 == 0 { &one } else { &two };
        log.publish(device(1), &topic(), &[message(&[number])]).unwrap();
    }
    for reader in [&mut here, &mut there] {
        let mut received = Vec::new();
        eventually("all came", || {
            received.extend(read(reader));
            received.len() == 20
        })
        .await;
        received.sort();
        assert_eq!(received, (0..20_u8).map(|number| vec![number]).collect::<Vec<_>>());
    }
    eventually("the stranger saw them", || stranger.counts().forged == 20).await;
    assert_eq!(read(&mut strange), Vec::<Vec<u8>>::new(), "and took none");
    assert_eq!((one.counts().reconnects, two.counts().reconnects), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_broker_publishers_pause_and_nobody_subscribes_until_it_is_there() {
    let Some(mut mosquitto) = Mosquitto::start() else { return };
    mosquitto.kill();
    let log = Arc::new(UpstreamLog::start(mosquitto.config(), Arc::new(SystemClock)).unwrap());
    assert_eq!(log.publish(device(1), &topic(), &[message(b"x")]), Err(LogDown));
    let scene = Scene::with(1_000, Arc::clone(&log) as _, |_| {}).await;
    let mut device = scene.device().await;
    device.send(&publish(TOPIC, b"early", 1, false, 5)).await;
    assert!(device.hears_nothing().await, "it is not acknowledged, and not cut off");
    assert!(mosquitto.launch());
    assert_eq!(device.packet().await, Some((0x40, vec![0, 5])));
    scene.buyer("a", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_silent_broker_is_bounded() {
    // A broker that accepts connections and messages and acknowledges none.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut chunk = vec![0; 65_536];
                let mut greeted = false;
                while let Ok(1..) = stream.read(&mut chunk).await {
                    if !std::mem::replace(&mut greeted, true) {
                        stream.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
                    }
                }
            });
        }
    });
    let mut config = mosquitto::config(port);
    config.backlog = 100;
    let log = Arc::new(UpstreamLog::start(config, Arc::new(SystemClock)).unwrap());
    let mut taken = 0;
    eventually("a lane is up", || {
        taken = usize::from(log.publish(device(1), &topic(), &[message(b"x")]).is_ok());
        taken == 1
    })
    .await;
    let mut high = 0;
    while let Ok(backlog) = log.publish(device(1), &topic(), &[message(b"x")]) {
        taken += 1;
        high += usize::from(backlog == crate::log::Backlog::High);
        assert!(taken <= 100);
    }
    assert_eq!((taken, high, log.waiting()), (100, 50, 100));
    silent.abort();
}

/// A recorder between the gate and the broker, which can cut all connections.
struct Between {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<u8>>>,
    cut: tokio::sync::watch::Sender<u64>,
    closed: Arc<AtomicBool>,
}

impl Between {
    async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let cut = tokio::sync::watch::Sender::new(0);
        let (record, cuts) = (Arc::clone(&sent), cut.clone());
        let closed = Arc::new(AtomicBool::new(false));
        let is_closed = Arc::clone(&closed);
        tokio::spawn(async move {
            loop {
                let (from, _) = listener.accept().await.unwrap();
                if is_closed.load(Ordering::Acquire) {
                    continue;
                }
                let Ok(to) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let (record, mut cuts) = (Arc::clone(&record), cuts.subscribe());
                tokio::spawn(async move {
                    let (mut from_read, mut from_write) = from.into_split();
                    let (mut to_read, mut to_write) = to.into_split();
                    let up = async {
                        let mut chunk = vec![0; 65_536];
                        while let Ok(count @ 1..) = from_read.read(&mut chunk).await {
                            record.lock().unwrap().extend(&chunk[..count]);
                            if to_write.write_all(&chunk[..count]).await.is_err() {
                                break;
                            }
                        }
                    };
                    tokio::select! {
                        () = up => {}
                        _ = tokio::io::copy(&mut to_read, &mut from_write) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { address, sent, cut, closed }
    }

    fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts all connections and lets no other through.
    fn keep_closed(&self, closed: bool) {
        self.closed.store(closed, Ordering::Release);
        self.cut();
    }

    fn sent(&self) -> Vec<u8> {
        self.sent.lock().unwrap().clone()
    }
}
