//! Starting, watching and stopping a gate.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use i3_core::gate::AccessListener;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::config::{GateConfig, GateError};
use crate::connection;
use crate::log::TopicLog;
use crate::meter::Grants;
use crate::parked::Parked;
use crate::revoke::Listener;
use crate::shared::{Connections, Ports, Retained, Shared, TaskCount};
use crate::signal::{ConnHandle, Signals, interrupt_all};
use crate::stats::{Counters, GateStats, add};
use crate::stream::ProductStreams;

/// A running MQTT gate. Dropping it stops accepting connections and leaves those that exist alone; call
/// [`Gate::shutdown`] to end them in order and to close their leases.
#[derive(Debug)]
pub struct Gate {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: AbortHandle,
    /// Sees to the sessions without a connection.
    keeping: AbortHandle,
}

impl Gate {
    /// Starts listening. Must be called within a tokio runtime, which runs the gate from then on.
    pub async fn start(config: GateConfig, ports: Ports, log: Arc<dyn TopicLog>) -> Result<Self, GateError> {
        let config = config.in_range();
        let address = config.listen;
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::AddrInUse => GateError::AddressInUse(address),
            _ => GateError::Listen { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let streams =
            ProductStreams::new(Arc::clone(&ports.streams), config.holder.clone(), Handle::current());
        let streams = Arc::new(streams);
        streams.keep(config.report_every, config.stream_idle);
        let shared = Arc::new(Shared {
            config,
            ports,
            log,
            runtime: Handle::current(),
            grants: Grants::default(),
            connections: Connections::default(),
            parked: Parked::default(),
            streams,
            retained: Retained::default(),
            counters: Counters::default(),
            changes: AtomicU64::new(0),
            closing: watch::Sender::new(false),
            nonce: RandomState::new().hash_one(address),
        });
        let keeping = tokio::spawn(Parked::keep(Arc::clone(&shared))).abort_handle();
        let accepting = tokio::spawn(accept(Arc::clone(&shared), listener)).abort_handle();
        Ok(Self { shared, address, accepting, keeping })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What must be told of changes of access. Stays valid for as long as it is held.
    pub fn listener(&self) -> Arc<dyn AccessListener> {
        Arc::new(Listener(Arc::clone(&self.shared)))
    }

    /// What it has done so far.
    pub fn stats(&self) -> GateStats {
        let by_grant = self.shared.grants.delivered();
        GateStats {
            delivered: by_grant.iter().map(|(_, delivered)| delivered).sum(),
            parked: u64::try_from(self.shared.parked.count()).unwrap_or(u64::MAX),
            streams: u64::try_from(self.shared.streams.count()).unwrap_or(u64::MAX),
            log_lost: self.shared.log.lost(),
            log_restarts: self.shared.log.restarts(),
            by_grant,
            ..self.shared.counters.snapshot()
        }
    }

    /// Stops accepting, lets clients read what is in hand for a limited time, closes all connections, reports
    /// all usage and closes all leases, reports all streams and gives unused sequence numbers back. Wills do not fire, and sessions without a connection end.
    pub async fn shutdown(self) {
        let shared = &self.shared;
        self.accepting.abort();
        self.keeping.abort();
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
        self.accepting.abort();
        self.keeping.abort();
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

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly: no file descriptor is free. One may be soon.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let tasks = &shared.connections.tasks;
        if tasks.fetch_add(1, Ordering::AcqRel) >= shared.config.max_connections {
            tasks.fetch_sub(1, Ordering::AcqRel);
            shared.counters.logins_refused.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let count = TaskCount(Arc::clone(&shared));
        // Without this, small windows wait for delayed acknowledgements. Failing that, it is only slower.
        let _ = stream.set_nodelay(true);
        let handle = ConnHandle::new(shared.connections.fresh_id());
        let task =
            tokio::spawn(connection::run(Arc::clone(&shared), stream, peer.ip(), Arc::clone(&handle), count));
        // Set once, here.
        let _ = handle.task.set(task.abort_handle());
    }
}
