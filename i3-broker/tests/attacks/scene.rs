//! A gate over the tests' marketplace, and the cast that connects to it.

use std::sync::Arc;
use std::time::Duration;

use i3_broker::log::{RumqttdLog, RumqttdLogConfig, TopicLog};
use i3_broker::{Gate, GateConfig, Ports};
use i3_core::time::{Clock, SystemClock};

use crate::client::{Client, Fate};
use crate::market::{HONEST, Market, TOPIC};
use crate::packets::*;

pub(crate) struct Scene {
    pub(crate) gate: Gate,
    pub(crate) market: Arc<Market>,
    pub(crate) log: Arc<dyn TopicLog>,
}

impl Scene {
    /// Over the log that is the default, with orders of this many messages.
    pub(crate) async fn new(quota: u64) -> Self {
        Self::with(quota, |_| {}).await
    }

    pub(crate) async fn with(quota: u64, set: impl FnOnce(&mut GateConfig)) -> Self {
        Self::at(quota, Arc::new(SystemClock), set).await
    }

    /// With a clock of the test's own.
    pub(crate) async fn at(quota: u64, clock: Arc<dyn Clock>, set: impl FnOnce(&mut GateConfig)) -> Self {
        let log = RumqttdLog::start(RumqttdLogConfig::default()).await.unwrap();
        Self::over(quota, Arc::new(log), clock, set).await
    }

    /// Over a log of the test's own.
    pub(crate) async fn over(
        quota: u64,
        log: Arc<dyn TopicLog>,
        clock: Arc<dyn Clock>,
        set: impl FnOnce(&mut GateConfig),
    ) -> Self {
        let market = Market::new(quota);
        let ports = Ports {
            authenticator: market.clone(),
            directory: market.clone(),
            metering: market.clone(),
            streams: market.clone(),
            clock,
        };
        let mut config = GateConfig::new("127.0.0.1:0".parse().unwrap());
        config.report_every = Duration::from_millis(50);
        // Most attacks come from one device and one order.
        config.login_interval = Duration::ZERO;
        set(&mut config);
        let gate = Gate::start(config, ports, Arc::clone(&log)).await.unwrap();
        *market.listener.lock().unwrap() = Some(gate.listener());
        Self { gate, market, log }
    }

    pub(crate) async fn open(&self, version: Version) -> Client {
        Client::open(self.gate.local_addr(), version).await
    }

    /// A client that is let in.
    pub(crate) async fn enter(&self, hello: &Hello) -> Client {
        let mut client = self.open(hello.version).await;
        let (_, code, _) = client.hello(hello).await.expect("a CONNACK");
        assert_eq!(code, 0, "{hello:?} is let in");
        client
    }

    pub(crate) async fn client(&self, version: Version, id: &str, user: &str) -> Client {
        self.enter(&Hello::new(version, id, user)).await
    }

    /// The device that publishes [`TOPIC`].
    pub(crate) async fn device(&self, version: Version) -> Client {
        self.client(version, "device", "device").await
    }

    /// A client of `order` that receives [`TOPIC`].
    pub(crate) async fn buyer(&self, version: Version, id: &str, qos: u8) -> Client {
        let mut client = self.client(version, id, "order").await;
        assert_eq!(client.subscribe(&[(TOPIC, qos)]).await, [qos]);
        client
    }

    /// The code that a CONNECT is answered with; `None` if the connection was closed without an answer.
    pub(crate) async fn code(&self, hello: &Hello) -> Option<u8> {
        let mut client = self.open(hello.version).await;
        Some(client.hello(hello).await?.1)
    }

    /// What every test ends with: a fresh honest pair of either version is served, and what was delivered is what
    /// was metered.
    pub(crate) async fn ends_well(&self) {
        for &version in VERSIONS {
            let mut buyer = self.client(version, "honest", "honest-order").await;
            assert_eq!(buyer.subscribe(&[(HONEST, 1)]).await, [1]);
            let mut device = self.client(version, "honest", "honest-device").await;
            assert_eq!(device.publish(HONEST, b"proof", 1).await, Fate::Acknowledged(0));
            let message = buyer.message().await.expect("the gate serves");
            assert_eq!((message.topic.as_str(), message.payload.as_slice()), (HONEST, b"proof".as_slice()));
            buyer.acknowledge(&message).await;
        }
        eventually("delivered is metered", || self.gate.stats().delivered == self.market.billed()).await;
    }

    pub(crate) fn sessions(&self) -> u64 {
        self.gate.stats().sessions
    }
}

/// Waits until something is so, for a generous time.
pub(crate) async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..4_000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not in time: {what}");
}

/// The number in a message of [`numbered`].
pub(crate) fn number(payload: &[u8]) -> u64 {
    u64::from_be_bytes(payload[..8].try_into().unwrap())
}

/// A payload of this length that begins with a number.
pub(crate) fn numbered(number: u64, length: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(length.max(8), 0);
    payload
}

/// Each version with each quality of service.
pub(crate) fn ways() -> Vec<(Version, u8)> {
    VERSIONS.iter().flat_map(|version| QUALITIES.iter().map(|qos| (*version, *qos))).collect()
}

/// Publishes numbers from 0 on to [`TOPIC`], in the background. Done when all are acknowledged.
pub(crate) fn flood(
    mut device: Client,
    qos: u8,
    messages: u64,
    length: usize,
) -> tokio::task::JoinHandle<Client> {
    tokio::spawn(async move {
        let mut open = 0;
        for number in 0..messages {
            device.publish_next(TOPIC, &numbered(number, length), qos, &mut open).await;
        }
        device.settle(&mut open, 0).await;
        assert!(device.lives().await, "all was taken");
        device
    })
}

/// Publishes numbers from 0 on to this topic until the server is gone.
pub(crate) async fn flood_to(mut device: Client, topic: String, qos: u8) {
    let mut next = 0_u64;
    while device.try_send(Publish::new(&topic, next.to_be_bytes()).qos(qos, 1).bytes(device.version)).await {
        next += 1;
        if qos > 0 && !device.finished(qos).await {
            return;
        }
    }
}
