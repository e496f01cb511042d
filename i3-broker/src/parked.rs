//! Sessions without a connection (3.1.2.4; MQTT 5, 4.1): what is kept of them, for how long, and how many.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use i3_core::gate::{AccessChange, Admission, GrantView};
use i3_core::name::Topic;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::history::{Turn, Writing};
use crate::log::Reader;
use crate::message::Message;
use crate::session::{Options, Received, Sent, Window};
use crate::shared::{Owner, Shared};
use crate::will;
use crate::wire::Will;

/// What a session without a connection takes in any case, in bytes, about.
const OVERHEAD: usize = 1_024;

/// How many grants are asked for at a time when many are concerned by a change.
const ASKED_AT_ONCE: usize = 64;

/// Whose session, and the client's name for it.
pub(crate) type Key = (Owner, String);

/// A subscription, as far as it belongs to the session. The messages that wait for it are those from the place of
/// its reader on.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) reader: Reader,
    pub(crate) topic: Topic,
    pub(crate) options: Options,
    /// What the grant was when it was last known to be open.
    pub(crate) view: Arc<GrantView>,
    /// The retained message, while it is to be sent.
    pub(crate) retained: Option<Message>,
    pub(crate) turn: Turn,
    pub(crate) writing: Writing,
}

/// What a session is beyond its connection.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) received: Received,
    pub(crate) window: Window<Sent>,
    pub(crate) subscription: Option<Standing>,
}

/// A session without a connection.
#[derive(Debug)]
pub(crate) struct ParkedSession {
    /// The bytes that may come to wait for it.
    pub(crate) offline: usize,
    pub(crate) kept: Kept,
    /// The login that the session had last.
    pub(crate) admission: Admission,
    /// The will, and when it fires.
    pub(crate) will: Option<(Will, Instant)>,
    /// When the session ends.
    pub(crate) ends: Instant,
}

impl ParkedSession {
    /// When something is to be done.
    fn due(&self) -> Instant {
        self.will.as_ref().map_or(self.ends, |(_, fires)| self.ends.min(*fires))
    }

    fn weight(&self) -> usize {
        let will = self.will.as_ref().map_or(0, |(will, _)| {
            will.topic.len().saturating_add(will.payload.len()).saturating_add(will.properties.len())
        });
        let kept = self.kept.window.weight().saturating_add(self.kept.received.weight());
        OVERHEAD.saturating_add(self.offline).saturating_add(will).saturating_add(kept)
    }

    fn take_will(&mut self) -> Option<(Admission, Will)> {
        self.will.take().map(|(will, _)| (self.admission, will))
    }

    /// Whether a change may end its subscription. Which hub that rests on is not known here.
    fn concerns(&self, change: AccessChange) -> bool {
        let Some(Standing { view, .. }) = &self.kept.subscription else { return false };
        match change {
            AccessChange::Device(_) | AccessChange::Login { .. } => false,
            AccessChange::Grant(grant) => view.grant == grant,
            AccessChange::Product(product) => view.product == product,
            AccessChange::User(user) => view.buyer == user,
            _ => true,
        }
    }

    /// Whether it goes with a login that is no longer good.
    fn goes_with(&self, change: AccessChange) -> bool {
        let AccessChange::Login { principal, credential } = change else { return false };
        Owner::from(principal) == Owner::from(self.admission.principal)
            && credential.is_none_or(|credential| self.admission.credential == Some(credential))
    }
}

/// What is parked for a client.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    /// A session that is subscribed to nothing.
    Session,
    /// A session with a subscription under a grant, which is as it was when it was last known to be open.
    Subscription(Arc<GrantView>),
}

/// How many sessions may be parked.
#[derive(Debug, Clone, Copy)]
struct Limits {
    all: usize,
    each: usize,
    bytes: usize,
}

/// The sessions without a connection.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    inner: Mutex<Inner>,
    /// Rung when something is due earlier than before.
    earlier: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// By the order in which they were parked.
    sessions: BTreeMap<u64, (Key, ParkedSession)>,
    places: HashMap<Owner, HashMap<String, u64>>,
    due: BTreeSet<(Instant, u64)>,
    bytes: usize,
    next: u64,
    /// How many ended without being taken up again. Here, so that who reads both sees each session in one of them.
    ended: u64,
}

impl Inner {
    fn insert(&mut self, key: Key, session: ParkedSession) {
        let place = self.next;
        self.next += 1;
        self.bytes = self.bytes.saturating_add(session.weight());
        self.due.insert((session.due(), place));
        self.places.entry(key.0).or_default().insert(key.1.clone(), place);
        self.sessions.insert(place, (key, session));
    }

    fn place(&self, key: &Key) -> Option<u64> {
        self.places.get(&key.0)?.get(&key.1).copied()
    }

    fn remove(&mut self, place: u64) -> Option<ParkedSession> {
        let ((owner, client_id), session) = self.sessions.remove(&place)?;
        self.bytes = self.bytes.saturating_sub(session.weight());
        self.due.remove(&(session.due(), place));
        if let Some(of_owner) = self.places.get_mut(&owner) {
            of_owner.remove(&client_id);
            if of_owner.is_empty() {
                self.places.remove(&owner);
            }
        }
        Some(session)
    }

    fn end(&mut self, place: u64) -> Option<ParkedSession> {
        let session = self.remove(place)?;
        self.ended = self.ended.saturating_add(1);
        Some(session)
    }

    fn park(&mut self, key: Key, session: ParkedSession, limits: Limits) -> Vec<ParkedSession> {
        let mut ended = Vec::new();
        ended.extend(self.place(&key).and_then(|place| self.end(place)));
        let owner = key.0;
        self.insert(key, session);
        while self.places.get(&owner).is_some_and(|of_owner| of_owner.len() > limits.each) {
            let oldest = self.places.get(&owner).and_then(|of_owner| of_owner.values().min().copied());
            let Some(session) = oldest.and_then(|place| self.end(place)) else { break };
            ended.push(session);
        }
        while self.sessions.len() > limits.all || self.bytes > limits.bytes {
            let oldest = self.sessions.keys().next().copied();
            let Some(session) = oldest.and_then(|place| self.end(place)) else { break };
            ended.push(session);
        }
        ended
    }

    /// Takes out what is due: wills to fire, and sessions that end.
    fn take_due(&mut self, now: Instant) -> (Vec<(Admission, Will)>, Vec<ParkedSession>) {
        let (mut wills, mut ended) = (Vec::new(), Vec::new());
        while let Some((due, place)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            if self.sessions.get(&place).is_none_or(|(_, session)| session.ends <= now) {
                self.due.remove(&(due, place));
                ended.extend(self.end(place));
                continue;
            }
            self.due.remove(&(due, place));
            if let Some((_, session)) = self.sessions.get_mut(&place) {
                let before = session.weight();
                wills.extend(session.take_will());
                self.bytes = self.bytes.saturating_sub(before.saturating_sub(session.weight()));
                self.due.insert((session.due(), place));
            }
        }
        (wills, ended)
    }
}

impl Parked {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Parks a session. Others that have to make room end.
    pub(crate) fn park(shared: &Arc<Shared>, key: Key, session: ParkedSession) {
        let config = &shared.config;
        let limits = Limits {
            all: config.max_parked,
            each: config.max_parked_per_principal,
            bytes: config.max_parked_bytes,
        };
        let ended = shared.parked.inner().park(key, session, limits);
        shared.parked.earlier.notify_one();
        for session in ended {
            fire_will(shared, session);
        }
    }

    /// What there is for this client, before it is taken out.
    pub(crate) fn look(&self, key: &Key) -> Found {
        let inner = self.inner();
        match inner.place(key).and_then(|place| inner.sessions.get(&place)) {
            None => Found::Nothing,
            Some((_, session)) => match &session.kept.subscription {
                None => Found::Session,
                Some(standing) => Found::Subscription(Arc::clone(&standing.view)),
            },
        }
    }

    /// Takes a session out.
    pub(crate) fn take(&self, key: &Key) -> Option<ParkedSession> {
        let mut inner = self.inner();
        inner.place(key).and_then(|place| inner.remove(place))
    }

    /// How many wait, and how many have ended, at one moment.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let inner = self.inner();
        (u64::try_from(inner.sessions.len()).unwrap_or(u64::MAX), inner.ended)
    }

    /// Ends a session that was taken out and is not taken up.
    pub(crate) fn end(shared: &Arc<Shared>, session: ParkedSession) {
        {
            let mut inner = shared.parked.inner();
            inner.ended = inner.ended.saturating_add(1);
        }
        fire_will(shared, session);
    }

    /// Lets all go, wills included.
    pub(crate) fn clear(&self) {
        let all = {
            let mut inner = self.inner();
            let ended = inner.ended;
            std::mem::replace(&mut *inner, Inner { ended, ..Inner::default() })
        };
        // Readers say good-bye to the log, outside the lock.
        drop(all);
    }

    /// Puts changes of access into effect: sessions of logins that are no longer good go with their wills, and
    /// so do those whose grant is not open any more, with all that waits for them.
    pub(crate) async fn purge(shared: &Arc<Shared>, changes: &[AccessChange]) {
        Self::purge_logins(shared, changes);
        let mut doubtful: HashMap<_, Vec<u64>> = HashMap::new();
        for (place, (_, session)) in &shared.parked.inner().sessions {
            if changes.iter().any(|change| session.concerns(*change))
                && let Some(Standing { view, .. }) = &session.kept.subscription
            {
                doubtful.entry(view.grant).or_default().push(*place);
            }
        }
        let mut asked = JoinSet::new();
        let mut grants = doubtful.keys().copied().collect::<Vec<_>>().into_iter();
        loop {
            while asked.len() < ASKED_AT_ONCE
                && let Some(grant) = grants.next()
            {
                let (directory, limit) = (Arc::clone(&shared.ports.directory), shared.config.revoke_limit);
                asked.spawn_on(
                    async move {
                        let view = tokio::time::timeout(limit, directory.grant(grant)).await;
                        (grant, view.ok().and_then(Result::ok).flatten())
                    },
                    &shared.runtime,
                );
            }
            let Some(answer) = asked.join_next().await else { break };
            // A panic leaves its grant among the doubtful ones.
            let Ok((grant, Some(view))) = answer else { continue };
            if view.open && view.until.is_none_or(|until| until > shared.ports.clock.now()) {
                let view = Arc::new(view);
                let mut inner = shared.parked.inner();
                for place in doubtful.remove(&grant).unwrap_or_default() {
                    if let Some((_, ParkedSession { kept: Kept { subscription: Some(standing), .. }, .. })) =
                        inner.sessions.get_mut(&place)
                    {
                        standing.view = Arc::clone(&view);
                    }
                }
            }
        }
        Self::discard(shared, doubtful.into_values().flatten());
    }

    /// Ends the sessions of logins that are no longer good, and their wills.
    pub(crate) fn purge_logins(shared: &Arc<Shared>, changes: &[AccessChange]) {
        let gone: Vec<_> = {
            let inner = shared.parked.inner();
            let gone = |session: &ParkedSession| changes.iter().any(|change| session.goes_with(*change));
            let sessions = inner.sessions.iter().filter(|(_, (_, session))| gone(session));
            sessions.map(|(place, _)| *place).collect()
        };
        Self::discard(shared, gone.into_iter());
    }

    /// Ends sessions; their wills do not fire.
    fn discard(shared: &Arc<Shared>, places: impl Iterator<Item = u64>) {
        let gone: Vec<_> = {
            let mut inner = shared.parked.inner();
            places.filter_map(|place| inner.end(place)).collect()
        };
        // Readers say good-bye to the log, outside the lock.
        drop(gone);
    }

    /// Does what is due at its time, until the gate stops.
    pub(crate) async fn keep(shared: Arc<Shared>) {
        let parked = &shared.parked;
        loop {
            let now = Instant::now();
            let (gone, next) = {
                let mut inner = parked.inner();
                let (mut wills, mut gone) = inner.take_due(now);
                wills.extend(gone.iter_mut().filter_map(ParkedSession::take_will));
                // Before the lock goes: a change of access finds a will either here or on its way.
                for (admission, will) in wills {
                    will::fire_alone(&shared, admission, will);
                }
                (gone, inner.due.first().map(|(due, _)| *due))
            };
            for session in gone {
                fire_will(&shared, session);
            }
            let next = next.unwrap_or(now + Duration::from_hours(1));
            tokio::select! {
                () = parked.earlier.notified() => {}
                () = tokio::time::sleep_until(next.into()) => {}
            }
        }
    }
}

/// A session that is not taken up again: its will fires now at the latest (MQTT 5, 3.1.2-8).
fn fire_will(shared: &Arc<Shared>, mut session: ParkedSession) {
    if let Some((admission, will)) = session.take_will() {
        will::fire_alone(shared, admission, will);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Qos;
    use i3_core::gate::Principal;
    use i3_core::id::{DeviceId, HubId, TypedId};
    use proptest::prelude::*;

    const ROOMY: Limits = Limits { all: 100, each: 100, bytes: usize::MAX };

    fn key(device: u128, name: &str) -> Key {
        (Owner::Device(DeviceId::from_bits(device)), name.to_owned())
    }

    fn session(ends: Instant, will: Option<Instant>) -> ParkedSession {
        let principal = Principal::Device { device: DeviceId::from_bits(1), hub: HubId::from_bits(2) };
        let will = will.map(|fires| {
            let (payload, properties) = (b"gone".as_slice().into(), bytes::Bytes::new());
            let topic = "i3/h/p".to_owned();
            let will = Will {
                topic,
                payload,
                qos: Qos::AtMostOnce,
                retain: false,
                delay: 0,
                expiry: None,
                properties,
            };
            (will, fires)
        });
        ParkedSession {
            offline: 0,
            kept: Kept { received: Received::default(), window: Window::new(1, 1), subscription: None },
            admission: Admission { principal, credential: None, until: None },
            will,
            ends,
        }
    }

    #[test]
    fn a_will_fires_once_and_the_session_goes_on_until_its_end() {
        let (mut inner, now) = (Inner::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        inner.park(key(1, "a"), session(at(10), Some(at(5))), ROOMY);
        let due = |inner: &mut Inner, seconds| {
            let (wills, ended) = inner.take_due(at(seconds));
            (wills.len(), ended.len())
        };
        assert_eq!(due(&mut inner, 4), (0, 0));
        assert_eq!(due(&mut inner, 5), (1, 0));
        assert_eq!(due(&mut inner, 9), (0, 0));
        assert_eq!(due(&mut inner, 10), (0, 1));
        assert_eq!((inner.bytes, inner.due.len(), inner.places.len()), (0, 0, 0));
        inner.park(key(1, "a"), session(at(20), Some(at(30))), ROOMY);
        let (wills, ended) = inner.take_due(at(20));
        assert!(wills.is_empty() && ended[0].will.is_some(), "a session that ends takes its will along");
    }

    #[test]
    fn the_oldest_make_room_and_a_principal_only_its_own() {
        let (mut inner, now) = (Inner::default(), Instant::now());
        let ends = now + Duration::from_secs(9);
        let limits = Limits { all: 3, each: 2, bytes: usize::MAX };
        for (device, name, ended) in
            [(1, "a", 0), (1, "b", 0), (2, "a", 0), (1, "c", 1), (1, "c", 1), (3, "a", 1)]
        {
            assert_eq!(
                inner.park(key(device, name), session(ends, None), limits).len(),
                ended,
                "{device} {name}"
            );
        }
        let left: Vec<_> = inner.sessions.values().map(|((_, name), _)| name.as_str()).collect();
        assert_eq!(left, ["a", "c", "a"]);
        let tight = Limits { bytes: 2 * OVERHEAD, ..limits };
        assert_eq!(inner.park(key(4, "a"), session(ends, None), tight).len(), 2);
    }

    proptest! {
        #[test]
        fn the_books_balance(steps in proptest::collection::vec((0_u8..4, 0_u128..3, 0_u8..3, 0_u64..20), 1..100)) {
            let (mut inner, now) = (Inner::default(), Instant::now());
            for (what, device, name, seconds) in steps {
                let (key, at) = (key(device, &name.to_string()), now + Duration::from_secs(seconds));
                match what {
                    0 | 1 => {
                        let will = (what == 1).then_some(now + Duration::from_secs(10));
                        inner.park(key, session(at, will), Limits { all: 5, each: 2, bytes: 5 * OVERHEAD });
                    }
                    2 => {
                        let place = inner.place(&key);
                        prop_assert_eq!(place.and_then(|place| inner.remove(place)).is_some(), place.is_some());
                    }
                    _ => drop(inner.take_due(at)),
                }
                let sessions = inner.sessions.values().map(|(_, session)| session);
                prop_assert_eq!(inner.bytes, sessions.clone().map(ParkedSession::weight).sum::<usize>());
                prop_assert!(inner.bytes <= 5 * OVERHEAD && inner.sessions.len() <= 5);
                let due: BTreeSet<_> =
                    inner.sessions.iter().map(|(place, (_, session))| (session.due(), *place)).collect();
                prop_assert_eq!(&inner.due, &due);
                let places: usize = inner.places.values().map(HashMap::len).sum();
                prop_assert_eq!(places, inner.sessions.len());
            }
        }
    }
}
