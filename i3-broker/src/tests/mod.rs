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
mod mqtt5;
mod parking;
mod publishing;
mod revocation;
mod streams;
#[cfg(feature = "upstream")]
mod upstream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use i3_core::time::SystemClock;

use self::client::Client;
use self::market::Market;
use crate::log::{MemoryLog, RumqttdLog, RumqttdLogConfig, TopicLog};
use crate::{Gate, GateConfig, Ports};

/// A gate over a market of one device, one product and one order.
struct Scene {
    gate: Gate,
    market: Arc<Market>,
}

const TOPIC: &str = "i3/hub/product";

impl Scene {
    async fn with(quota: u64, log: Arc<dyn TopicLog>, set: impl FnOnce(&mut GateConfig)) -> Self {
        let market = Arc::new(Market::new(quota));
        let ports = ports(&market);
        let mut config = GateConfig::new("127.0.0.1:0".parse().unwrap());
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

/// Waits until something is so, for at most a minute: long enough for a machine that does much else.
async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_mins(1), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
