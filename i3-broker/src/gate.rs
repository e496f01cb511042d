//! Starting, watching and stopping a gate.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use i3_core::gate::{AccessListener, Recall};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::config::{GateConfig, GateError};
use crate::history::{Histories, Memory};
use crate::limits::{Addresses, Budget, Pace};
use crate::listener;
use crate::log::TopicLog;
use crate::meter::Grants;
use crate::metrics::{GateMetrics, Meters};
use crate::parked::Parked;
use crate::revoke;
use crate::shared::{Connections, Ports, Retained, Shared};
use crate::signal::{Signals, interrupt_all};
use crate::stats::{Counters, GateStats, add};
use crate::stream::ProductStreams;

/// A running MQTT gate. Dropping it stops accepting connections and leaves those that exist alone; call
/// [`Gate::shutdown`] to end them in order and to close their leases.
#[derive(Debug)]
pub struct Gate {
    shared: Arc<Shared>,
    first: SocketAddr,
    addresses: Vec<SocketAddr>,
    accepting: Vec<AbortHandle>,
    /// Sees to the sessions without a connection.
    keeping: AbortHandle,
}

impl Gate {
    /// Starts listening, at all addresses or at none. Must be called within a tokio runtime, which runs the gate
    /// from then on.
    pub async fn start(config: GateConfig, ports: Ports, log: Arc<dyn TopicLog>) -> Result<Self, GateError> {
        let config = config.in_range();
        let mut listening = Vec::with_capacity(config.listeners.len());
        for listener in &config.listeners {
            listening.push(listener::bind(listener.clone()).await?);
        }
        let addresses: Vec<_> = listening.iter().map(|listening| listening.address).collect();
        let first = *addresses.first().ok_or(GateError::NoListener)?;
        let streams =
            ProductStreams::new(Arc::clone(&ports.streams), config.holder.clone(), Handle::current());
        let streams = Arc::new(streams);
        streams.keep(config.report_every, config.stream_idle);
        let shared = Arc::new(Shared {
            input: Budget::new(config.memory / 2),
            output: Budget::new(config.memory / 2),
            addresses: Addresses::new(config.max_connections_per_address),
            logins: Pace::new(config.login_burst, config.login_interval),
            config,
            histories: Arc::new(Histories::new(Arc::clone(&ports.clock))),
            ports,
            log,
            runtime: Handle::current(),
            grants: Grants::default(),
            connections: Connections::default(),
            parked: Parked::default(),
            streams,
            retained: Retained::default(),
            counters: Counters::default(),
            meters: Meters::default(),
            changes: AtomicU64::new(0),
            closing: watch::Sender::new(false),
            nonce: RandomState::new().hash_one(first),
        });
        let keeping = tokio::spawn(Parked::keep(Arc::clone(&shared))).abort_handle();
        let accept =
            |listening: listener::Listening| tokio::spawn(listening.run(Arc::clone(&shared))).abort_handle();
        let accepting = listening.into_iter().map(accept).collect();
        Ok(Self { shared, first, addresses, accepting, keeping })
    }

    /// Where the first of its listeners listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.first
    }

    /// Where it listens, in the order of [`GateConfig::listeners`].
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    fn stop(&self) {
        for accepting in &self.accepting {
            accepting.abort();
        }
        self.keeping.abort();
    }

    /// What must be told of changes of access. Stays valid for as long as it is held.
    pub fn listener(&self) -> Arc<dyn AccessListener> {
        Arc::new(revoke::Listener(Arc::clone(&self.shared)))
    }

    /// What remembers of single messages. Stays valid for as long as it is held.
    pub fn recall(&self) -> Arc<dyn Recall> {
        Arc::new(Memory(Arc::clone(&self.shared)))
    }

    /// What it has done so far.
    pub fn stats(&self) -> GateStats {
        self.shared.stats()
    }

    /// The same and more for Prometheus. Stays valid for as long as it is held.
    pub fn metrics(&self) -> GateMetrics {
        GateMetrics::new(&self.shared)
    }

    /// Stops accepting, lets clients read what is in hand for a limited time, closes all connections, reports
    /// all usage and closes all leases, reports all streams and gives unused sequence numbers back. Wills do not fire, and sessions without a connection end.
    pub async fn shutdown(self) {
        self.stop();
        let shared = &self.shared;
        shared.closing.send_replace(true);
        for connection in shared.connections.all() {
            connection.signal(Signals::SHUTDOWN);
        }
        let limit = shared.config.shutdown_limit;
        let ended = wait_for(limit + Duration::from_secs(1), || {
            shared.connections.tasks.load(Ordering::Acquire) == 0
        });
        if !ended.await {
            let late = shared.connections.all().into_iter().map(|late| (late, Signals::CLOSE)).collect();
            add(&shared.counters.forced, interrupt_all(late, shared.config.revoke_limit).await);
        }
        shared.parked.clear();
        shared.streams.close(shared.config.quota_wait).await;
        if !wait_for(shared.config.quota_wait + limit, || shared.grants.count() == 0).await {
            tracing::error!(left = shared.grants.count(), "leases stay open at shutdown");
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Looks every few milliseconds whether something has come true; false if not within `limit`.
async fn wait_for(limit: Duration, mut come: impl FnMut() -> bool) -> bool {
    let wait = async {
        while !come() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(limit, wait).await.is_ok()
}
