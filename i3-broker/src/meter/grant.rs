//! What all sessions of one grant share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use i3_core::gate::{AccessChange, GrantView, LeaseRefusal};
use i3_core::id::GrantId;
use i3_core::usage::{Miss, Missed};
use tokio::sync::{Notify, watch};

use super::lease::Lease;
use super::missed::Misses;
use crate::shared::Shared;
use crate::signal::{ConnHandle, Signals, interrupt_all};

/// Why a grant delivers no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It is not open, or it changed in a way that asks for a new login.
    Closed,
    /// No more quota is given.
    Refused(LeaseRefusal),
    /// The store gave no answer for too long.
    StoreDown,
}

/// What a grant's sessions may do now.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// Wait: quota is being asked for.
    Waiting,
    /// Deliver under this lease.
    Open { lease: Arc<Lease>, view: Arc<GrantView>, until: Option<Instant> },
    /// End.
    Ended(Stop),
}

/// One grant that has sessions.
#[derive(Debug)]
pub(crate) struct GrantHandle {
    pub(crate) grant: GrantId,
    phase: watch::Sender<Phase>,
    /// Raised with every new phase: sessions look at the phase only when it differs.
    stamp: AtomicU64,
    /// Raised by every change from outside: what was read before it is stale.
    changes: AtomicU64,
    /// Whether the last change concerned more than the grant: a user or a hub was suspended or reinstated.
    suspended: AtomicBool,
    sessions: Mutex<HashMap<u64, Arc<ConnHandle>>>,
    /// Wakes the keeper.
    pub(super) keeper: Notify,
    pub(super) totals: Arc<Totals>,
}

/// What came of a grant's messages since the gate was started.
#[derive(Debug, Default)]
pub(super) struct Totals {
    delivered: AtomicU64,
    pub(super) missed: Misses,
}

impl GrantHandle {
    fn new(grant: GrantId, totals: Arc<Totals>) -> Arc<Self> {
        Arc::new(Self {
            grant,
            phase: watch::Sender::new(Phase::Waiting),
            stamp: AtomicU64::new(1),
            changes: AtomicU64::new(0),
            suspended: AtomicBool::new(false),
            sessions: Mutex::default(),
            keeper: Notify::new(),
            totals,
        })
    }

    pub(crate) fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::Acquire)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// The first phase that is not [`Phase::Waiting`].
    pub(crate) async fn settled_phase(&self) -> Phase {
        let mut phases = self.phase.subscribe();
        match phases.wait_for(|phase| !matches!(phase, Phase::Waiting)).await {
            Ok(phase) => phase.clone(),
            Err(_) => Phase::Ended(Stop::Closed),
        }
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.send_replace(phase);
        self.stamp.fetch_add(1, Ordering::AcqRel);
        self.wake_sessions();
    }

    /// Sets a phase if this still holds; [`Self::pause`] comes wholly before or wholly after.
    pub(super) fn publish_if(&self, phase: Phase, still: impl FnOnce() -> bool) -> bool {
        let published = self.phase.send_if_modified(|present| {
            let go = still();
            if go {
                *present = phase;
            }
            go
        });
        if published {
            self.stamp.fetch_add(1, Ordering::AcqRel);
            self.wake_sessions();
        }
        published
    }

    pub(super) fn wake_sessions(&self) {
        for session in self.sessions().values() {
            session.wake.notify_one();
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<u64, Arc<ConnHandle>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_deserted(&self) -> bool {
        self.sessions().is_empty()
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether an end is the work of an administrator, as far as is known.
    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Acquire)
    }

    pub(crate) fn ask_for_quota(&self) {
        self.keeper.notify_one();
    }

    /// Counts what was handed to a socket. First here, so that nobody sees more reported than delivered.
    pub(crate) fn settle(&self, lease: &Lease, count: u64) {
        self.totals.delivered.fetch_add(count, Ordering::Relaxed);
        lease.settle(count);
    }

    /// Counts what a session did not get.
    pub(crate) fn missed(&self, why: Miss, count: u64) {
        self.totals.missed.add(why, count);
    }

    /// Whether a change may concern the grant. Which hub it rests on is not known here, so a hub's change
    /// concerns all; asking again does no harm.
    pub(crate) fn concerns(&self, change: AccessChange) -> bool {
        match (&*self.phase.borrow(), change) {
            (_, AccessChange::Device(_) | AccessChange::Login { .. } | AccessChange::Client(_))
            | (Phase::Ended(_), _) => false,
            (_, AccessChange::Grant(grant)) => grant == self.grant,
            (Phase::Open { view, .. }, AccessChange::Product(product)) => view.product == product,
            (Phase::Open { view, .. }, AccessChange::User(user)) => view.buyer == user,
            _ => true,
        }
    }

    /// Stops deliveries: nothing is reserved after this. The sessions must be told to pause, and then
    /// [`Self::reread`] be called.
    pub(crate) fn begin_change(&self, change: AccessChange) -> Vec<(Arc<ConnHandle>, Signals)> {
        let suspended = matches!(change, AccessChange::User(_) | AccessChange::Hub(_));
        self.suspended.store(suspended, Ordering::Release);
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.stop_reserving();
        self.to_pause()
    }

    /// Lets the keeper read the grant again and decide how it goes on.
    pub(crate) fn reread(&self) {
        self.keeper.notify_one();
    }

    fn stop_reserving(&self) {
        self.phase.send_if_modified(|phase| {
            let Phase::Open { lease, .. } = phase else { return false };
            lease.close();
            *phase = Phase::Waiting;
            true
        });
        self.stamp.fetch_add(1, Ordering::AcqRel);
    }

    fn to_pause(&self) -> Vec<(Arc<ConnHandle>, Signals)> {
        self.sessions().values().map(|session| (Arc::clone(session), Signals::PAUSE)).collect()
    }

    /// Closes the lease and takes back all frames that were not handed to a socket; how many connections had
    /// to be forced.
    pub(super) async fn pause(&self, limit: Duration) -> u64 {
        self.stop_reserving();
        interrupt_all(self.to_pause(), limit).await
    }
}

/// The grants that have sessions, and what was delivered and missed under all that ever had.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    live: Mutex<HashMap<GrantId, Arc<GrantHandle>>>,
    totals: Mutex<HashMap<GrantId, Arc<Totals>>>,
}

impl Grants {
    fn live(&self) -> MutexGuard<'_, HashMap<GrantId, Arc<GrantHandle>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn totals(&self) -> MutexGuard<'_, HashMap<GrantId, Arc<Totals>>> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a session to a grant; its first session starts the keeper.
    pub(crate) fn join(shared: &Arc<Shared>, grant: GrantId, session: &Arc<ConnHandle>) -> Arc<GrantHandle> {
        let grants = &shared.grants;
        let mut live = grants.live();
        let handle = live.entry(grant).or_insert_with(|| {
            let totals = Arc::clone(grants.totals().entry(grant).or_default());
            let handle = GrantHandle::new(grant, totals);
            super::keeper::start(Arc::clone(shared), Arc::clone(&handle));
            handle
        });
        handle.sessions().insert(session.id, Arc::clone(session));
        Arc::clone(handle)
    }

    /// Takes a session out of its grant. It has settled or given back all that it reserved.
    pub(crate) fn leave(handle: &GrantHandle, session: &ConnHandle) {
        handle.sessions().remove(&session.id);
        handle.keeper.notify_one();
    }

    /// Ends a grant's part here: later sessions start afresh.
    pub(super) fn end(&self, handle: &Arc<GrantHandle>, stop: Stop) {
        let mut live = self.live();
        if live.get(&handle.grant).is_some_and(|other| Arc::ptr_eq(other, handle)) {
            live.remove(&handle.grant);
        }
        handle.set_phase(Phase::Ended(stop));
    }

    /// The same, unless a session has joined meanwhile.
    pub(super) fn end_if_deserted(&self, handle: &Arc<GrantHandle>) -> bool {
        let mut live = self.live();
        let deserted = handle.is_deserted();
        if deserted && live.get(&handle.grant).is_some_and(|other| Arc::ptr_eq(other, handle)) {
            live.remove(&handle.grant);
        }
        deserted
    }

    /// All grants that have sessions.
    pub(crate) fn all(&self) -> Vec<Arc<GrantHandle>> {
        self.live().values().cloned().collect()
    }

    /// Messages delivered per grant since the gate was started.
    pub(crate) fn delivered(&self) -> Vec<(GrantId, u64)> {
        self.totals()
            .iter()
            .map(|(grant, totals)| (*grant, totals.delivered.load(Ordering::Acquire)))
            .collect()
    }

    /// Messages that sessions did not get since the gate was started.
    pub(crate) fn missed(&self) -> Missed {
        self.totals().values().fold(Missed::default(), |sum, totals| sum.plus(totals.missed.all()))
    }

    /// The keepers at work.
    pub(crate) fn count(&self) -> usize {
        self.live().len()
    }
}
