//! A gate over the tests' marketplace, and the cast that connects to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use i3_broker::log::{RumqttdLog, RumqttdLogConfig, TopicLog};
use i3_broker::{Gate, GateConfig, Ports};
use i3_core::time::{Clock, SystemClock};

use crate::client::{Client, Fate, PATIENCE, Reply};
use crate::market::{HONEST, Market, TOPIC};
use crate::packets::*;

/// A limit of the gate that no test runs into: what happens within [`PATIENCE`] has not waited for it.
const NEVER: Duration = Duration::from_mins(10);

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
        for limit in [
            &mut config.handshake_limit,
            &mut config.connect_limit,
            &mut config.packet_limit,
            &mut config.write_limit,
            &mut config.quota_wait,
            &mut config.log_wait,
            &mut config.revoke_limit,
        ] {
            *limit = NEVER;
        }
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

    /// The same where the gate gives clients little time: one that was too slow tries again.
    pub(crate) async fn client_at_last(&self, version: Version, id: &str, user: &str) -> Client {
        let hello = Hello::new(version, id, user);
        let begun = Instant::now();
        loop {
            let mut client = self.open(version).await;
            if client.try_send(hello.bytes()).await
                && let Some(Reply::Connack { code, .. }) = client.reply().await
            {
                assert_eq!(code, 0, "{hello:?} is let in");
                return client;
            }
            assert!(begun.elapsed() < PATIENCE, "{hello:?} is let in at last");
        }
    }

    /// The same that subscribes too.
    pub(crate) async fn buyer_at_last(
        &self,
        version: Version,
        id: &str,
        user: &str,
        (topic, qos): (&str, u8),
    ) -> Client {
        let begun = Instant::now();
        loop {
            let mut client = self.client_at_last(version, id, user).await;
            if client.try_subscribe(topic, qos).await == Some(qos) {
                return client;
            }
            assert!(begun.elapsed() < PATIENCE, "{user} is granted {topic} at last");
        }
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

    /// Waits until a client that does not read is sent no more, though the gate goes on with other messages.
    pub(crate) async fn until_blocked(&self, version: Version) {
        let mut device = self.client(version, "meanwhile", "device").await;
        let (mut delivered, mut same) = (0, 0);
        let begun = Instant::now();
        while same < 5 {
            assert!(begun.elapsed() < PATIENCE, "the client takes all");
            assert_eq!(device.publish(TOPIC, numbered(u64::MAX, 8), 1).await, Fate::Acknowledged(0));
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = self.gate.stats().delivered;
            same = if now > 0 && now == delivered { same + 1 } else { 0 };
            delivered = now;
        }
    }

    /// What every test ends with: a fresh honest pair of either version is served, and what was delivered is what
    /// was metered.
    pub(crate) async fn ends_well(&self) {
        for &version in VERSIONS {
            let mut buyer = self.buyer_at_last(version, "honest", "honest-order", (HONEST, 1)).await;
            let mut device = self.client_at_last(version, "honest", "honest-device").await;
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

/// As many as the list of attacks says, with `I3_ATTACKS=full` (`make soak`); fewer in every day's tests.
pub(crate) fn full_or<N>(full: N, few: N) -> N {
    if std::env::var("I3_ATTACKS").is_ok_and(|wanted| wanted == "full") { full } else { few }
}

/// Waits until something is so, for a generous time.
pub(crate) async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The outcome of what must not wait for any client.
pub(crate) async fn in_time<T>(what: &str, outcome: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, outcome).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Does what must be done before a number of seconds is over: with more of them, where the machine was too slow.
/// An attempt says whether it was in time; only then may it assert anything that depends on it.
pub(crate) async fn in_so_many_seconds(mut attempt: impl AsyncFnMut(u32) -> bool) {
    for seconds in [1, 4, 16, 64] {
        if attempt(seconds).await {
            return;
        }
    }
    panic!("this machine is never in time");
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
