//! Taking connections. Nothing here waits for a client: whoever is slow is slow in a task of its own.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::{Listener, Transport};
use crate::config::GateError;
use crate::connection;
use crate::metrics::{Present, TurnedAway};
use crate::shared::{Shared, TaskCount};
use crate::signal::ConnHandle;
use crate::transport::Stream;

/// How long to wait when the system has no more file descriptors or memory. Some may be free soon; until then
/// the waiting clients stay in the system's queue.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// An address that is listened at.
#[derive(Debug)]
pub(crate) struct Listening {
    socket: TcpListener,
    pub(crate) address: SocketAddr,
    transport: Transport,
}

/// Begins to listen; nothing is accepted before [`Listening::run`].
pub(crate) async fn bind(listener: Listener) -> Result<Listening, GateError> {
    let Listener { address, transport } = listener;
    let failed = |source: io::Error| match source.kind() {
        ErrorKind::AddrInUse => GateError::AddressInUse(address),
        _ => GateError::Listen { address, source },
    };
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    Ok(Listening { socket, address, transport })
}

impl Listening {
    /// Accepts connections for ever.
    pub(crate) async fn run(self, shared: Arc<Shared>) {
        let mut exhausted = false;
        loop {
            match self.socket.accept().await {
                Ok((socket, peer)) => {
                    exhausted = false;
                    self.take(&shared, socket, peer);
                }
                // That client has gone already.
                Err(error) if is_about_a_client(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut exhausted, true) {
                        tracing::warn!(%error, address = %self.address, "no connection can be accepted now");
                    }
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }

    fn take(&self, shared: &Arc<Shared>, socket: TcpStream, peer: SocketAddr) {
        let refuse = |why: &str| {
            tracing::debug!(%peer, why, "a connection is refused");
            shared.counters.logins_refused.fetch_add(1, Ordering::Relaxed);
            shared.meters.turned_away.one(TurnedAway::Limit);
        };
        let tasks = &shared.connections.tasks;
        if tasks.fetch_add(1, Ordering::AcqRel) >= shared.config.max_connections {
            tasks.fetch_sub(1, Ordering::AcqRel);
            return refuse("there are too many");
        }
        let count = TaskCount(Arc::clone(shared));
        let Some(place) = shared.addresses.enter(peer.ip()) else {
            return refuse("there are too many from there");
        };
        // Without this, small windows wait for delayed acknowledgements. Failing that, it is only slower.
        let _ = socket.set_nodelay(true);
        let handle = ConnHandle::new(shared.connections.fresh_id());
        let (shared, transport) = (Arc::clone(shared), self.transport.clone());
        let serving = Arc::clone(&handle);
        let task = tokio::spawn(async move {
            // Boxed: the connection is not to hold room for it all its life.
            if let Some(stream) = Box::pin(shake_hands(&shared, socket, &transport)).await {
                let _present = Present::connection(&shared, &transport);
                connection::run(shared, stream, peer.ip(), serving, count).await;
            }
            drop(place);
        });
        // Set once, here.
        let _ = handle.task.set(task.abort_handle());
    }
}

/// Whatever comes before the first MQTT packet; `None` if that fails, takes too long, or the gate closes.
async fn shake_hands(shared: &Arc<Shared>, socket: TcpStream, transport: &Transport) -> Option<Stream> {
    let mut closing = shared.closing.subscribe();
    let shaken = tokio::select! {
        biased;
        _ = closing.wait_for(|closing| *closing) => Err(TurnedAway::Closing),
        shaken = tokio::time::timeout(shared.config.handshake_limit, Stream::accept(socket, transport)) => {
            match shaken {
                Ok(Ok(stream)) => Ok(stream),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a handshake failed");
                    Err(TurnedAway::Protocol)
                }
                Err(_) => {
                    tracing::debug!("a handshake took too long");
                    Err(TurnedAway::Timeout)
                }
            }
        }
    };
    shaken
        .inspect_err(|why| {
            shared.counters.logins_refused.fetch_add(1, Ordering::Relaxed);
            shared.meters.turned_away.one(*why);
        })
        .ok()
}

fn is_about_a_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
            | ErrorKind::NetworkDown
            | ErrorKind::NetworkUnreachable
            | ErrorKind::HostUnreachable
    )
}
