//! Which publisher uses which connection.
//!
//! A publisher has a connection of its own, whose client id names it, as long as there are not too many of those;
//! others share a few. While messages of a publisher are under way it stays with its connection, so that they keep
//! their order.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use i3_core::gate::Principal;
use i3_core::name::Topic;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::Core;
use super::lane::{Lane, State};
use crate::log::{Backlog, LogDown};
use crate::message::Message;

#[derive(Debug)]
pub(super) struct Lanes {
    core: Arc<Core>,
    runtime: Handle,
    shared: Vec<Arc<Lane>>,
    assigned: RwLock<HashMap<String, Assigned>>,
    /// How many of those have a lane of their own.
    own: AtomicUsize,
    tasks: Mutex<Vec<AbortHandle>>,
    hasher: RandomState,
    begun: Instant,
}

/// A publisher's lane.
#[derive(Debug)]
struct Assigned {
    lane: Arc<Lane>,
    own: bool,
    /// When it last published, in milliseconds since the log was made.
    used: AtomicU64,
    /// The lane's mark after its last message.
    mark: AtomicU64,
}

/// The part of the client id that names a publisher.
fn name(source: Principal) -> String {
    match source {
        Principal::Device { device, .. } => device.to_string(),
        Principal::Order { order, .. } => order.to_string(),
    }
}

impl Lanes {
    pub(super) fn new(core: &Arc<Core>, runtime: Handle) -> Self {
        let mut lanes = Self {
            core: Arc::clone(core),
            runtime,
            shared: Vec::new(),
            assigned: RwLock::default(),
            own: AtomicUsize::new(0),
            tasks: Mutex::default(),
            hasher: RandomState::new(),
            begun: Instant::now(),
        };
        lanes.shared = (0..core.config.shared_lanes).map(|n| lanes.open(&format!("shared-{n}"))).collect();
        lanes
    }

    fn open(&self, name: &str) -> Arc<Lane> {
        let lane = Lane::new(self.core.client_id(name), self.core.fresh_origin());
        let task = self.runtime.spawn(Arc::clone(&lane).run(Arc::clone(&self.core))).abort_handle();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
        lane
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn publish(
        &self,
        source: Principal,
        topic: &Topic,
        messages: &[Message],
    ) -> Result<Backlog, LogDown> {
        let name = name(source);
        let assigned = self.assigned.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(assigned) = assigned.get(&name) {
            return self.offer(assigned, topic, messages);
        }
        drop(assigned);
        let mut assigned = self.assigned.write().unwrap_or_else(PoisonError::into_inner);
        let entry = assigned.entry(name).or_insert_with_key(|name| self.assign(name));
        self.offer(entry, topic, messages)
    }

    fn offer(&self, to: &Assigned, topic: &Topic, messages: &[Message]) -> Result<Backlog, LogDown> {
        let up = match to.lane.state() {
            State::Up => true,
            // Nobody waits for a connection to be made, unless there is little hope for it.
            State::Untried => self.shared.iter().any(|lane| lane.state() == State::Up),
            State::Down | State::Closing => false,
        };
        to.used.store(self.now(), Ordering::Relaxed);
        if !up {
            return Err(LogDown);
        }
        let (backlog, mark) = to.lane.offer(&self.core, topic, messages)?;
        to.mark.fetch_max(mark, Ordering::AcqRel);
        Ok(backlog)
    }

    fn assign(&self, name: &str) -> Assigned {
        let own = self.own.load(Ordering::Acquire) < self.core.config.own_lanes;
        let lane = if own {
            self.own.fetch_add(1, Ordering::AcqRel);
            self.open(name)
        } else {
            let hash = usize::try_from(self.hasher.hash_one(name) >> 33).unwrap_or_default();
            match self.shared.get(hash % self.shared.len().max(1)) {
                Some(lane) => Arc::clone(lane),
                // There always is a shared lane.
                None => self.open("shared"),
            }
        };
        Assigned { lane, own, used: AtomicU64::new(0), mark: AtomicU64::new(0) }
    }

    /// Forgets publishers that have been silent for long, and closes their connections.
    pub(super) fn sweep(&self) {
        let idle = u64::try_from(self.core.config.idle.as_millis()).unwrap_or(u64::MAX);
        let now = self.now();
        let mut assigned = self.assigned.write().unwrap_or_else(PoisonError::into_inner);
        assigned.retain(|_, assigned| {
            let silent = now.saturating_sub(assigned.used.load(Ordering::Relaxed)) > idle;
            let keep = !silent || !assigned.lane.is_done(assigned.mark.load(Ordering::Acquire));
            if !keep && assigned.own {
                assigned.lane.close();
                self.own.fetch_sub(1, Ordering::AcqRel);
            }
            keep
        });
    }

    /// Sweeps from time to time, for ever.
    pub(super) async fn sweep_often(self: Arc<Self>) {
        let every = (self.core.config.idle / 4).clamp(Duration::from_millis(50), Duration::from_secs(10));
        loop {
            tokio::time::sleep(every).await;
            self.sweep();
        }
    }

    /// Whether the shared connections are up.
    pub(super) fn are_up(&self) -> bool {
        self.shared.iter().all(|lane| lane.state() == State::Up)
    }

    /// Messages that wait for the broker's acknowledgement.
    pub(super) fn waiting(&self) -> usize {
        let assigned = self.assigned.read().unwrap_or_else(PoisonError::into_inner);
        let own = assigned.values().filter(|assigned| assigned.own).map(|assigned| assigned.lane.waiting());
        own.chain(self.shared.iter().map(|lane| lane.waiting())).sum()
    }

    /// The publishers with a connection of their own.
    pub(super) fn own(&self) -> usize {
        self.own.load(Ordering::Acquire)
    }

    pub(super) fn stop(&self) {
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }
}
