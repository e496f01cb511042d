//! The whole gate, over real sockets.

mod abuse;
mod client;
mod delivery;
mod denials;
mod exactly_once;
mod failure;
mod five;
mod listeners;
mod market;
mod metrics;
mod missed;
mod mqtt5;
mod parking;
mod publishing;
mod revocation;
mod streams;
#[cfg(feature = "upstream")]
mod upstream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use i3_core::time::{Clock, SystemClock};
use i3_core::usage::Missed;

use self::client::{Client, Hello};
use self::market::Market;
use crate::log::{MemoryLog, RumqttdLog, RumqttdLogConfig, TopicLog};
use crate::{Gate, GateConfig, Ports};

/// A gate over a market of one device, one product and one order.
struct Scene {
    gate: Gate,
    market: Arc<Market>,
}

const TOPIC: &str = "i3/hub/product";

/// How long something may take before a test fails: long enough for a machine that does much else.
const PATIENCE: Duration = Duration::from_mins(1);

/// A limit of the gate that no test runs into: what happens within [`PATIENCE`] has not waited for it.
const NEVER: Duration = Duration::from_mins(10);

impl Scene {
    async fn with(quota: u64, log: Arc<dyn TopicLog>, set: impl FnOnce(&mut GateConfig)) -> Self {
        Self::at(quota, Arc::new(SystemClock), log, set).await
    }

    /// With a clock of the test's own.
    async fn at(
        quota: u64,
        clock: Arc<dyn Clock>,
        log: Arc<dyn TopicLog>,
        set: impl FnOnce(&mut GateConfig),
    ) -> Self {
        let market = Arc::new(Market::new(quota));
        let ports = Ports { clock, ..ports(&market) };
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
        set(&mut config);
        let gate = Gate::start(config, ports, log).await.unwrap();
        *market.listener.lock().unwrap() = Some(gate.listener());
        Self { gate, market }
    }

    /// Over the log that is the default.
    async fn new(quota: u64) -> Self {
        Self::with(quota, Arc::new(RumqttdLog::start(RumqttdLogConfig::default()).await.unwrap()), |_| {})
            .await
    }

    /// Over the log in memory.
    async fn in_memory(quota: u64, set: impl FnOnce(&mut GateConfig)) -> Self {
        Self::with(quota, Arc::new(MemoryLog::default()), set).await
    }

    async fn client(&self, id: &str, user: &str) -> Client {
        let mut client = Client::open(self.gate.local_addr()).await;
        assert_eq!(client.login(id, user, "secret").await, Some(0), "{user} is let in");
        client
    }

    /// A client that is let in as soon as there is a place for it.
    async fn client_at_last(&self, id: &str, user: &str) -> Client {
        let hello = Hello::new(id, user).packet();
        let begun = Instant::now();
        loop {
            let mut client = Client::open(self.gate.local_addr()).await;
            if client.try_send(&hello).await && client.packet().await == Some((0x20, vec![0, 0])) {
                return client;
            }
            assert!(begun.elapsed() < PATIENCE, "there is no place for {user}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until a client that does not read is sent no more, though the gate goes on with what this device sends.
    async fn until_blocked(&self, device: &mut Client) {
        let (mut delivered, mut same) = (0, 0);
        let begun = Instant::now();
        while same < 5 {
            assert!(begun.elapsed() < PATIENCE, "the client takes all");
            assert!(device.publish_acked(TOPIC, b"more", false).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = self.gate.stats().delivered;
            same = if now > 0 && now == delivered { same + 1 } else { 0 };
            delivered = now;
        }
    }

    async fn device(&self) -> Client {
        self.client("device", "device").await
    }

    async fn buyer(&self, id: &str, qos: u8) -> Client {
        let mut client = self.client(id, "order").await;
        assert_eq!(client.subscribe(&[(TOPIC, qos)]).await, [qos]);
        client
    }
}

fn ports(market: &Arc<Market>) -> Ports {
    Ports {
        authenticator: Arc::clone(market) as _,
        directory: Arc::clone(market) as _,
        metering: Arc::clone(market) as _,
        streams: Arc::clone(market) as _,
        clock: Arc::new(SystemClock),
    }
}

/// The outcome of what must not wait for anybody.
async fn in_time<T>(what: &str, outcome: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, outcome).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Waits until something is so.
async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
