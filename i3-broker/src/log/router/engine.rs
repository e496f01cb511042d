//! One life of the router, and the links to it.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker as TaskWaker};
use std::time::{Duration, Instant};

use rumqttd::local::{LinkBuilder, LinkRx, LinkTx};
use rumqttd::protocol::{Disconnect, DisconnectReasonCode, Packet};
use rumqttd::{Notification, Router, RouterConfig};
use tokio::sync::oneshot;

use super::RumqttdLogConfig;
use crate::log::LogDown;

/// How long an answer of the router may take. It answers in well under a millisecond or not at all.
const ANSWER: Duration = Duration::from_secs(2);

type Connect = Box<dyn Fn(&str) -> Option<(LinkTx, LinkRx)> + Send + Sync>;

/// One life of the router.
pub(super) struct Engine {
    pub(super) number: u64,
    connect: Connect,
    pub(super) channels: Vec<Channel>,
    pub(super) dead: AtomicBool,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("number", &self.number)
            .field("dead", &self.dead)
            .finish_non_exhaustive()
    }
}

/// A lane's part of one engine.
pub(super) struct Channel {
    pub(super) publisher: Mutex<Publisher>,
    /// How many messages came out, those that the router lost included.
    pub(super) taken: AtomicU64,
    /// How many bytes are on their way.
    pub(super) under_way: AtomicU64,
}

pub(super) struct Publisher {
    pub(super) link: LinkTx,
    /// How many messages went in.
    pub(super) sent: u64,
}

impl Channel {
    pub(super) fn publisher(&self) -> MutexGuard<'_, Publisher> {
        self.publisher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn came_out(&self, bytes: u64) {
        // Messages that the router lost were never taken off, so the sum may be less than was put on.
        let _ = self.under_way.fetch_update(Ordering::AcqRel, Ordering::Acquire, |under_way| {
            Some(under_way.saturating_sub(bytes))
        });
    }
}

pub(super) async fn start_engine(config: RumqttdLogConfig, number: u64) -> Result<Engine, LogDown> {
    on_thread(move || {
        let router = Router::new(
            0,
            RouterConfig {
                max_connections: config.lanes * 2 + 8,
                // What one read of a subscription may bring.
                max_outgoing_packet_count: 1_024,
                max_segment_size: config.segment_bytes,
                max_segment_count: config.segments,
                ..RouterConfig::default()
            },
        )
        .spawn();
        let connect: Connect = Box::new(move |id| {
            let (tx, rx, _) = LinkBuilder::new(id, router.clone()).build().ok()?;
            Some((tx, rx))
        });
        let channel = |lane| {
            let (link, _) = connect(&format!("p{lane}"))?;
            Some(Channel {
                publisher: Mutex::new(Publisher { link, sent: 0 }),
                taken: AtomicU64::new(0),
                under_way: AtomicU64::new(0),
            })
        };
        let channels = (0..config.lanes).map(channel).collect::<Option<Vec<_>>>()?;
        Some(Engine { number, connect, channels, dead: AtomicBool::new(false) })
    })
    .await
}

/// Runs something that blocks until the router answers on a thread of its own: should the router never
/// answer, neither a worker nor the end of the runtime waits for it.
pub(super) async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Option<T> + Send + 'static,
) -> Result<T, LogDown> {
    let (answer, answered) = oneshot::channel();
    std::thread::Builder::new()
        .name("i3-log-link".to_owned())
        .spawn(move || drop(answer.send(work())))
        .map_err(|_| LogDown)?;
    match tokio::time::timeout(ANSWER, answered).await {
        Ok(Ok(Some(made))) => Ok(made),
        _ => Err(LogDown),
    }
}

/// A subscribing link. However it ends, its last word is DISCONNECT.
pub(super) struct Link(Option<(LinkTx, LinkRx)>);

impl Link {
    /// One that receives all topics of a lane.
    pub(super) async fn subscribed(engine: &Arc<Engine>, lane: usize) -> Result<Self, LogDown> {
        let engine = Arc::clone(engine);
        let ends = on_thread(move || {
            let (mut tx, rx) = (engine.connect)(&format!("s{lane}"))?;
            tx.subscribe(format!("l{lane}/+")).ok()?;
            Some((tx, rx))
        });
        let mut link = Self(Some(ends.await?));
        let wait_for_ack = async {
            loop {
                match link.next().await? {
                    Some(Notification::DeviceAck(_)) => return Ok(()),
                    Some(Notification::Unschedule) => link.wake().await?,
                    // Nothing is published into a lane that is not linked.
                    _ => {}
                }
            }
        };
        tokio::time::timeout(ANSWER, wait_for_ack).await.map_err(|_| LogDown)??;
        Ok(link)
    }

    pub(super) async fn next(&mut self) -> Result<Option<Notification>, LogDown> {
        let (_, rx) = self.0.as_mut().ok_or(LogDown)?;
        rx.next().await.map_err(|_| LogDown)
    }

    /// What has already come.
    pub(super) fn at_hand(&mut self) -> Option<Notification> {
        let (_, rx) = self.0.as_mut()?;
        rx.recv_deadline(Instant::now()).ok().flatten()
    }

    /// Answers `Unschedule`, without which the router never sends on this link again.
    pub(super) async fn wake(&self) -> Result<(), LogDown> {
        let (_, rx) = self.0.as_ref().ok_or(LogDown)?;
        rx.wake().await.map_err(|_| LogDown)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some((mut tx, rx)) = self.0.take() {
            let reason_code = DisconnectReasonCode::NormalDisconnection;
            let send = pin!(tx.send(Packet::Disconnect(Disconnect { reason_code }, None)));
            // Never pending: it blocks while the router's channel is full, which it empties steadily. An
            // error means that the router is gone, and the link with it.
            let _ = send.poll(&mut Context::from_waker(TaskWaker::noop()));
            drop(rx);
        }
    }
}
