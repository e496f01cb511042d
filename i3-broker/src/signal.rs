//! How the rest of the gate speaks to the task of one connection.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use i3_core::gate::{Admission, Principal};
use i3_core::id::{CredentialId, HubId, ProductId};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

/// What a connection is told. Several may come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signals(u8);

impl Signals {
    /// Take back all frames that were not handed to the socket, and ask again before the next one.
    pub(crate) const PAUSE: Self = Self(1);
    /// Accept nothing more until the rights have been read again.
    pub(crate) const REFRESH: Self = Self(2);
    /// End at once.
    pub(crate) const CLOSE: Self = Self(4);
    /// Write what is in hand, then end.
    pub(crate) const SHUTDOWN: Self = Self(8);
    /// End at once: another connection has the session now.
    pub(crate) const TAKEOVER: Self = Self(16);

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The other end of a connection's task.
#[derive(Debug)]
pub(crate) struct ConnHandle {
    pub(crate) id: u64,
    /// Wakes the task, for whatever reason.
    pub(crate) wake: Arc<Notify>,
    signals: AtomicU8,
    acks: Mutex<Acks>,
    /// For a task that does not act.
    pub(crate) task: OnceLock<AbortHandle>,
    /// Who logged in; empty before that.
    pub(crate) admission: OnceLock<Admission>,
    /// What a device may publish; `None` while that is being read.
    pub(crate) products: Mutex<Option<Vec<ProductId>>>,
}

#[derive(Debug, Default)]
struct Acks {
    ended: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

impl ConnHandle {
    pub(crate) fn new(id: u64) -> Arc<Self> {
        Arc::new(Self {
            id,
            wake: Arc::default(),
            signals: AtomicU8::new(0),
            acks: Mutex::default(),
            task: OnceLock::new(),
            admission: OnceLock::new(),
            products: Mutex::new(None),
        })
    }

    /// Tells the task, without waiting.
    pub(crate) fn signal(&self, signal: Signals) {
        self.signals.fetch_or(signal.0, Ordering::AcqRel);
        self.wake.notify_one();
    }

    /// Tells the task; what comes back is done when the task has acted on it, or has ended.
    pub(crate) fn interrupt(&self, signal: Signals) -> oneshot::Receiver<()> {
        let (ack, acked) = oneshot::channel();
        let mut acks = self.acks.lock().unwrap_or_else(PoisonError::into_inner);
        if !acks.ended {
            acks.waiting.push(ack);
        }
        drop(acks);
        self.signal(signal);
        acked
    }

    /// The task's side: what it was told, and whom to tell when it has acted. Whoever is told after acting on
    /// these signals had made its change before this call.
    pub(crate) fn take(&self) -> (Signals, Vec<oneshot::Sender<()>>) {
        if self.signals.load(Ordering::Acquire) == 0 {
            return (Signals(0), Vec::new());
        }
        let signals = Signals(self.signals.swap(0, Ordering::AcqRel));
        let waiting = std::mem::take(&mut self.acks.lock().unwrap_or_else(PoisonError::into_inner).waiting);
        (signals, waiting)
    }

    /// Whether the task may publish this product, as far as is known.
    pub(crate) fn may_publish(&self, product: ProductId) -> bool {
        let products = self.products.lock().unwrap_or_else(PoisonError::into_inner);
        products.as_ref().is_none_or(|products| products.contains(&product))
    }

    /// Whether it is a device of this hub.
    pub(crate) fn is_of_hub(&self, hub: HubId) -> bool {
        let principal = self.admission.get().map(|admission| admission.principal);
        matches!(principal, Some(Principal::Device { hub: of, .. }) if of == hub)
    }

    /// Whether it was admitted by this credential.
    pub(crate) fn used(&self, credential: CredentialId) -> bool {
        self.admission.get().is_some_and(|admission| admission.credential == Some(credential))
    }

    /// From now on interrupts wait for the task. What it was told before stays told.
    pub(crate) fn begin(&self) {
        self.acks.lock().unwrap_or_else(PoisonError::into_inner).ended = false;
    }

    /// The task's last word: nothing is written or accepted any more.
    pub(crate) fn end(&self) {
        let mut acks = self.acks.lock().unwrap_or_else(PoisonError::into_inner);
        acks.ended = true;
        acks.waiting.clear();
    }
}

/// Interrupts connections and waits until all have acted. Those that have not within `limit` are ended by
/// force; how many that were.
pub(crate) async fn interrupt_all(targets: Vec<(Arc<ConnHandle>, Signals)>, limit: Duration) -> u64 {
    let mut waiting: Vec<_> =
        targets.into_iter().map(|(target, signals)| (target.interrupt(signals), target)).collect();
    let in_time = tokio::time::timeout(limit, async {
        while let Some((acked, _)) = waiting.last_mut() {
            // An error means that the connection has ended.
            let _ = acked.await;
            waiting.pop();
        }
    });
    if in_time.await.is_ok() {
        return 0;
    }
    let mut forced = 0;
    for (mut acked, target) in waiting {
        if acked.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty)
            && let Some(task) = target.task.get()
        {
            task.abort();
            forced += 1;
            // The runtime drops the task where it next waits, which ends the connection.
            let _ = tokio::time::timeout(limit, acked).await;
        }
    }
    forced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_interrupt_is_done_when_the_task_has_acted_or_ended() {
        let connection = ConnHandle::new(1);
        let mut acked = connection.interrupt(Signals::PAUSE);
        let (signals, acks) = connection.take();
        assert!(signals.has(Signals::PAUSE) && !signals.has(Signals::CLOSE));
        assert!(acked.try_recv().is_err(), "not before it has acted");
        for ack in acks {
            ack.send(()).unwrap();
        }
        assert!(acked.await.is_ok());

        let pending = connection.interrupt(Signals::CLOSE);
        connection.end();
        assert!(pending.await.is_err(), "the end answers too");
        assert_eq!(interrupt_all(vec![(connection, Signals::PAUSE)], Duration::from_secs(5)).await, 0);
    }

    #[tokio::test]
    async fn a_connection_that_is_entered_again_is_waited_for_again() {
        let connection = ConnHandle::new(1);
        connection.end();
        assert!(connection.interrupt(Signals::CLOSE).await.is_err());
        connection.begin();
        let mut acked = connection.interrupt(Signals::PAUSE);
        assert!(acked.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty));
        let (signals, _) = connection.take();
        assert!(signals.has(Signals::CLOSE) && signals.has(Signals::PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_act_is_ended() {
        let connection = ConnHandle::new(1);
        let task = tokio::spawn(std::future::pending::<()>());
        connection.task.set(task.abort_handle()).unwrap();
        assert_eq!(interrupt_all(vec![(connection, Signals::PAUSE)], Duration::from_secs(1)).await, 1);
        assert!(task.await.unwrap_err().is_cancelled());
    }
}
