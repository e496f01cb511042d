//! What all tasks of one gate share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use i3_core::gate::{Authenticator, Directory, Metering, Principal, PublishRight, Streams};
use i3_core::id::{DeviceId, OrderId};
use i3_core::name::Topic;
use i3_core::time::{Clock, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::config::GateConfig;
use crate::history::Histories;
use crate::limits::{Addresses, Budget, Pace};
use crate::log::{Backlog, LogDown, TopicLog};
use crate::message::{Batch, Message, MessageParts};
use crate::meter::Grants;
use crate::metrics::Meters;
use crate::parked::Parked;
use crate::signal::ConnHandle;
use crate::stats::{Counters, GateStats};
use crate::stream::{NoNumbers, ProductStreams};

/// What a gate asks of the marketplace.
#[derive(Debug, Clone)]
pub struct Ports {
    /// Checks logins.
    pub authenticator: Arc<dyn Authenticator>,
    /// Tells rights.
    pub directory: Arc<dyn Directory>,
    /// Hands out quota.
    pub metering: Arc<dyn Metering>,
    /// Numbers messages, and is told what they were like.
    pub streams: Arc<dyn Streams>,
    /// Tells the time, for the ends of credentials and grants.
    pub clock: Arc<dyn Clock>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: GateConfig,
    pub(crate) ports: Ports,
    pub(crate) log: Arc<dyn TopicLog>,
    pub(crate) runtime: Handle,
    pub(crate) grants: Grants,
    pub(crate) connections: Connections,
    pub(crate) parked: Parked,
    pub(crate) streams: Arc<ProductStreams>,
    pub(crate) retained: Retained,
    pub(crate) histories: Arc<Histories>,
    pub(crate) counters: Counters,
    pub(crate) meters: Meters,
    /// Memory for what comes in and for what goes out.
    pub(crate) input: Arc<Budget>,
    pub(crate) output: Arc<Budget>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) logins: Pace<Owner>,
    /// Raised with every change of access: what was read before it may be stale.
    pub(crate) changes: AtomicU64,
    pub(crate) closing: watch::Sender<bool>,
    /// Sets the names that this gate makes for clients apart from those that another made.
    pub(crate) nonce: u64,
}

impl Shared {
    /// The time, in milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        millis(self.ports.clock.now())
    }

    /// Numbers authorized messages of one product, gives them to the log, measures them, and retains the last of those
    /// that are to be retained. `scratch` is for use again. After an error nothing was taken and no number is used up.
    pub(crate) fn take_in<'a>(
        &self,
        source: Principal,
        right: &PublishRight,
        parts: impl Iterator<Item = MessageParts<'a>> + Clone,
        scratch: &mut Vec<Message>,
    ) -> Result<Backlog, Deferred> {
        let at = self.ports.clock.now();
        let published = millis(at);
        scratch.clear();
        let mut batch = Batch::with_capacity(parts.clone().map(|parts| parts.len()).sum());
        let stream = self.streams.of(right);
        let mut turn = stream.turn(right.terms.as_ref(), at);
        let mut numbers = turn.numbers(parts.clone().count())?.peekable();
        let mut retained = None;
        for parts in parts {
            let Some(sequence) = numbers.peek().copied() else { break };
            // Only what is longer than any packet is no message.
            if let Ok(message) = batch.add(&MessageParts { sequence, published, ..parts }) {
                numbers.next();
                if message.retain() {
                    retained = Some(scratch.len());
                }
                scratch.push(message);
            }
        }
        let publish = || self.log.publish(source, &right.topic, scratch);
        let backlog = match retained.and_then(|at| scratch.get(at)) {
            Some(message) => self.retained.put_with(&right.topic, message, publish)?,
            None => publish()?,
        };
        turn.took(&scratch.iter().map(Message::payload));
        scratch.clear();
        Ok(backlog)
    }
}

fn millis(time: Timestamp) -> u64 {
    u64::try_from(time.micros()).unwrap_or_default() / 1_000
}

/// Messages were not taken: they may be offered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Deferred {
    #[error(transparent)]
    Log(#[from] LogDown),
    #[error(transparent)]
    Numbers(#[from] NoNumbers),
}

impl Shared {
    /// What the gate has done so far.
    pub(crate) fn stats(&self) -> GateStats {
        let by_grant = self.grants.delivered();
        let (parked, parked_ended) = self.parked.counts();
        GateStats {
            delivered: by_grant.iter().map(|(_, delivered)| delivered).sum(),
            missed: self.grants.missed(),
            parked,
            parked_ended,
            memory: u64::try_from(self.input.used() + self.output.used()).unwrap_or(u64::MAX),
            streams: u64::try_from(self.streams.count()).unwrap_or(u64::MAX),
            given_up: u64::try_from(self.input.evicted()).unwrap_or(u64::MAX),
            log_lost: self.log.lost(),
            log_restarts: self.log.restarts(),
            by_grant,
            ..self.counters.snapshot()
        }
    }
}

/// Whose connection it is, for finding it again. Two principals never share a session, whatever client id
/// they choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Device(DeviceId),
    Order(OrderId),
}

impl From<Principal> for Owner {
    fn from(principal: Principal) -> Self {
        match principal {
            Principal::Device { device, .. } => Self::Device(device),
            Principal::Order { order, .. } => Self::Order(order),
        }
    }
}

type Sessions = HashMap<Owner, HashMap<String, Arc<ConnHandle>>>;

/// The connections of a gate.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    /// Those that are logged in, by owner and client id.
    sessions: Mutex<Sessions>,
    /// All tasks, those that linger included.
    pub(crate) tasks: AtomicUsize,
    next: AtomicU64,
}

impl Connections {
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fresh_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Enters a client's session; gives the one that it replaces. `None` if its owner has too many others.
    pub(crate) fn admit(
        shared: &Arc<Shared>,
        owner: Owner,
        client_id: String,
        handle: &Arc<ConnHandle>,
    ) -> Option<(Entered, Option<Arc<ConnHandle>>)> {
        let mut sessions = shared.connections.sessions();
        let has_room = sessions.get(&owner).is_none_or(|others| {
            others.len() < shared.config.max_connections_per_principal || others.contains_key(&client_id)
        });
        has_room.then(|| Self::insert(shared, &mut sessions, owner, client_id, handle))
    }

    /// Enters a session of the gate's own making, whatever else its owner has.
    pub(crate) fn enter(
        shared: &Arc<Shared>,
        owner: Owner,
        client_id: String,
        handle: &Arc<ConnHandle>,
    ) -> Entered {
        Self::insert(shared, &mut shared.connections.sessions(), owner, client_id, handle).0
    }

    fn insert(
        shared: &Arc<Shared>,
        sessions: &mut Sessions,
        owner: Owner,
        client_id: String,
        handle: &Arc<ConnHandle>,
    ) -> (Entered, Option<Arc<ConnHandle>>) {
        // A login that is checked again enters more than once.
        handle.begin();
        let old = sessions.entry(owner).or_default().insert(client_id.clone(), Arc::clone(handle));
        shared.counters.sessions.fetch_add(1, Ordering::Relaxed);
        (Entered { shared: Arc::clone(shared), owner, client_id, handle: Arc::clone(handle) }, old)
    }

    pub(crate) fn of(&self, owner: Owner) -> Vec<Arc<ConnHandle>> {
        self.sessions().get(&owner).map(|sessions| sessions.values().cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn of_devices(&self) -> Vec<Arc<ConnHandle>> {
        let sessions = self.sessions();
        let devices = sessions.iter().filter(|(owner, _)| matches!(owner, Owner::Device(_)));
        devices.flat_map(|(_, sessions)| sessions.values().cloned()).collect()
    }

    pub(crate) fn all(&self) -> Vec<Arc<ConnHandle>> {
        self.sessions().values().flat_map(|sessions| sessions.values().cloned()).collect()
    }
}

/// A session's entry. Dropped when nothing is written or accepted for it any more.
#[derive(Debug)]
pub(crate) struct Entered {
    shared: Arc<Shared>,
    owner: Owner,
    client_id: String,
    handle: Arc<ConnHandle>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut sessions = self.shared.connections.sessions();
        if let Some(of_owner) = sessions.get_mut(&self.owner) {
            if of_owner.get(&self.client_id).is_some_and(|other| Arc::ptr_eq(other, &self.handle)) {
                of_owner.remove(&self.client_id);
            }
            if of_owner.is_empty() {
                sessions.remove(&self.owner);
            }
        }
        drop(sessions);
        self.shared.counters.sessions.fetch_sub(1, Ordering::Relaxed);
        self.handle.end();
    }
}

/// Counts a task for as long as it lives.
#[derive(Debug)]
pub(crate) struct TaskCount(pub(crate) Arc<Shared>);

impl Drop for TaskCount {
    fn drop(&mut self) {
        self.0.connections.tasks.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The retained message of each product (3.3.1.3). Only authorized publishes come here, so there are no
/// more than products. In memory only.
#[derive(Debug, Default)]
pub(crate) struct Retained(Mutex<HashMap<Topic, Message>>);

impl Retained {
    /// Takes a message that is published to be retained, if it is published; an empty one removes what was. Nobody
    /// reads what is retained meanwhile: who subscribes then would get the message neither way. What could not be
    /// published must not be retained: its number is given to another message.
    fn put_with<T, E>(
        &self,
        topic: &Topic,
        message: &Message,
        publish: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let published = publish()?;
        if message.payload().is_empty() {
            all.remove(topic);
        } else {
            all.insert(topic.clone(), message.owned());
        }
        Ok(published)
    }

    /// The message, if it is still of use at this time, in milliseconds since 1970.
    pub(crate) fn of(&self, topic: &Topic, now: u64) -> Option<Message> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let message = all.get(topic)?;
        if message.expiry_at(now).is_err() {
            all.remove(topic);
            return None;
        }
        Some(message.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Qos;

    #[test]
    fn what_the_log_refused_is_not_retained() {
        let (retained, topic) = (Retained::default(), "i3/h/p".parse::<Topic>().unwrap());
        let (first, second) = (Message::plain(b"1", Qos::AtMostOnce), Message::plain(b"2", Qos::AtMostOnce));
        retained.put_with(&topic, &first, || Ok::<_, LogDown>(())).unwrap();
        assert_eq!(retained.put_with(&topic, &second, || Err::<(), _>(LogDown)), Err(LogDown));
        assert_eq!(retained.of(&topic, 0).unwrap().payload(), b"1");
        retained.put_with(&topic, &Message::plain(b"", Qos::AtMostOnce), || Ok::<_, LogDown>(())).unwrap();
        assert!(retained.of(&topic, 0).is_none());
    }
}
