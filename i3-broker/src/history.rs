//! What is remembered of single messages: which ones a session received and missed, by their numbers.
//!
//! Messages that follow each other and fare alike are one entry, so a session that receives everything has one. Each
//! session keeps the last [`MOST_RUNS`] entries; of sessions that have ended, the last ones are kept. Nothing outlives
//! the process.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use i3_core::gate::{Fate, Recall, Recollection, SessionFate};
use i3_core::id::{GrantId, ProductId};
use i3_core::time::{Clock, Timestamp};
use i3_core::usage::Miss;

use crate::shared::Shared;

/// The most entries of a session.
const MOST_RUNS: usize = 64;

/// The most sessions that have ended, in all and of one grant.
const MOST_ENDED: usize = 4_096;
const MOST_ENDED_OF_GRANT: usize = 16;

/// How messages fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fared {
    Delivered,
    /// Sent again after a reconnect.
    Again,
    Missed(Miss),
    /// Nobody was there to receive them.
    Absent,
}

/// Messages with numbers that follow each other, which fared alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) fared: Fared,
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// How many: not all numbers need be in use.
    pub(crate) messages: u64,
}

impl Run {
    /// All numbers from `first` to `last`.
    pub(crate) fn whole(fared: Fared, first: u64, last: u64) -> Self {
        Self { fared, first, last, messages: last.saturating_sub(first).saturating_add(1) }
    }

    fn has(&self, number: u64) -> bool {
        (self.first..=self.last).contains(&number)
    }

    /// Takes the next ones in, if they follow and fared alike.
    fn extend(&mut self, next: &Self) -> bool {
        let follows = self.fared == next.fared && self.last.checked_add(1) == Some(next.first);
        if follows {
            self.last = next.last;
            self.messages = self.messages.saturating_add(next.messages);
        }
        follows
    }
}

/// What one session remembers.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    /// The newest last.
    runs: VecDeque<Run>,
    /// The lowest number that had its turn among those that were published meanwhile: no retained message's.
    begin: Option<u64>,
    /// The highest number.
    last: Option<u64>,
    /// No entry is missing above this.
    forgotten: u64,
}

impl History {
    fn runs(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes down how messages fared.
    pub(crate) fn note(&self, news: impl IntoIterator<Item = Run>) {
        let mut runs = self.runs();
        for run in news {
            runs.note(run);
        }
    }

    /// Takes down that a subscription begins with this number, or goes on with it out of order. What lies between an
    /// earlier subscription and this one found nobody.
    fn begin(&self, number: u64, is_new: bool) {
        let mut runs = self.runs();
        let (begun, last) = (runs.begin, runs.last.map_or(0, |last| last.saturating_add(1)));
        runs.begin = Some(begun.map_or(number, |begin| begin.min(number)));
        if is_new && begun.is_some() && last < number {
            runs.note(Run::whole(Fared::Absent, last, number.saturating_sub(1)));
        }
    }

    fn is_empty(&self) -> bool {
        self.runs().last.is_none()
    }

    fn fate(&self, number: u64) -> Fate {
        self.runs().fate(number)
    }
}

impl Remembered {
    fn note(&mut self, run: Run) {
        self.last = self.last.max(Some(run.last));
        if self.runs.back_mut().is_some_and(|last| last.extend(&run)) {
            return;
        }
        // Numbers of several gates come in turns, each gate's in order.
        if self.runs.iter_mut().rev().any(|other| other.extend(&run)) {
            return;
        }
        if self.runs.len() >= MOST_RUNS
            && let Some(oldest) = self.runs.pop_front()
        {
            self.forgotten = self.forgotten.max(oldest.last);
        }
        self.runs.push_back(run);
    }

    fn fate(&self, number: u64) -> Fate {
        let count = |fared| {
            let of = self.runs.iter().filter(|run| run.fared == fared && run.has(number));
            u64::try_from(of.count()).unwrap_or(u64::MAX)
        };
        let times = count(Fared::Delivered);
        if times > 0 {
            return Fate::Delivered { times, again: count(Fared::Again) };
        }
        // Without its delivery, that it was sent again says that the delivery is forgotten.
        if let Some(run) = self.runs.iter().rev().find(|run| run.has(number)) {
            return match run.fared {
                Fared::Missed(why) => {
                    Fate::Missed { why, messages: run.messages, first: run.first, last: run.last }
                }
                Fared::Absent => Fate::Absent,
                Fared::Delivered | Fared::Again => Fate::Forgotten,
            };
        }
        match (self.begin, self.last) {
            (_, last) if last.is_none_or(|last| number > last) => Fate::Ahead,
            (begin, _) if begin.is_none_or(|begin| number < begin) => Fate::Before,
            _ if number <= self.forgotten => Fate::Forgotten,
            _ => Fate::Skipped,
        }
    }
}

/// Where a subscription is among the messages of its topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// The number in the feed that comes next.
    place: u64,
    /// The number among the product's messages that comes next, if none is left out; 0 before the first message.
    number: u64,
    /// Messages missed while the client was away, of which it is not known yet which ones they were.
    offline: u64,
}

impl Turn {
    /// Before the first message, which has this number in the feed.
    pub(crate) fn at(place: u64) -> Self {
        Self { place, number: 0, offline: 0 }
    }

    /// So many were missed while the client was away.
    pub(crate) fn was_away(&mut self, missed: u64) {
        self.offline = self.offline.saturating_add(missed);
    }

    /// A message has its turn.
    pub(crate) fn pass(&mut self, place: u64, number: u64, history: &History) {
        if place != self.place || number != self.number {
            self.jump(place, number, history);
        }
        (self.place, self.number) = (place.saturating_add(1), number.saturating_add(1));
    }

    /// A message comes again that had its turn already.
    pub(crate) fn back_to(&mut self, place: u64, number: u64) {
        (self.place, self.number) = (place, number);
    }

    /// Takes down what lies between the last message and this one.
    #[cold]
    fn jump(&mut self, place: u64, number: u64, history: &History) {
        let missed = place.saturating_sub(self.place);
        let why = if self.offline > 0 { Miss::Offline } else { Miss::Slow };
        self.offline = 0;
        let is_new = self.number == 0;
        // Which ones were missed before the first message can only be told by their count.
        let first = if is_new { number.saturating_sub(missed) } else { self.number };
        history.begin(first.min(number), is_new);
        if missed > 0 && first < number {
            let last = number.saturating_sub(1);
            history.note([Run { fared: Fared::Missed(why), first, last, messages: missed }]);
        }
    }
}

/// The histories of a gate's sessions.
#[derive(Debug)]
pub(crate) struct Histories {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    grants: HashMap<GrantId, OfGrant>,
    /// The sessions that have ended, in that order.
    ended: BTreeMap<u64, (GrantId, String)>,
    next: u64,
    /// No session that ended after this was forgotten.
    since: Timestamp,
}

#[derive(Debug, Default)]
struct OfGrant {
    /// By the names of their clients.
    sessions: HashMap<String, Session>,
    /// As [`Inner::since`], where it is later for this grant.
    since: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Session {
    history: Arc<History>,
    /// How many write it: none once it has ended.
    writers: usize,
    /// Its place among those that have ended, and when that was.
    ended: Option<(u64, Timestamp)>,
}

impl Inner {
    /// Forgets a session that has ended; when that was.
    fn forget(&mut self, place: u64) -> Option<Timestamp> {
        let (grant, client) = self.ended.remove(&place)?;
        let of_grant = self.grants.get_mut(&grant)?;
        let session = of_grant.sessions.remove(&client)?;
        if of_grant.sessions.is_empty() {
            // What was forgotten of the grant ended no later than this one.
            self.grants.remove(&grant);
        }
        session.ended.map(|(_, at)| at)
    }
}

impl Histories {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let inner = Inner { grants: HashMap::new(), ended: BTreeMap::new(), next: 0, since: clock.now() };
        Self { clock, inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the history of a client's session, or goes on with that of an earlier one of the same name.
    pub(crate) fn begin(self: &Arc<Self>, grant: GrantId, client: &str) -> Writing {
        let mut inner = self.inner();
        let of_grant = inner.grants.entry(grant).or_default();
        let session = of_grant.sessions.entry(client.to_owned()).or_default();
        session.writers += 1;
        let history = Arc::clone(&session.history);
        if let Some((place, _)) = session.ended.take() {
            inner.ended.remove(&place);
        }
        drop(inner);
        Writing { histories: Arc::clone(self), grant, client: client.to_owned(), history }
    }

    fn end(&self, grant: GrantId, client: &str) {
        let now = self.clock.now();
        let mut guard = self.inner();
        let inner = &mut *guard;
        let Some(of_grant) = inner.grants.get_mut(&grant) else { return };
        let Some(session) = of_grant.sessions.get_mut(client) else { return };
        session.writers = session.writers.saturating_sub(1);
        if session.writers > 0 {
            return;
        }
        if session.history.is_empty() {
            of_grant.sessions.remove(client);
            if of_grant.sessions.is_empty() {
                inner.grants.remove(&grant);
            }
            return;
        }
        let place = inner.next;
        inner.next += 1;
        session.ended = Some((place, now));
        inner.ended.insert(place, (grant, client.to_owned()));
        let of = of_grant.sessions.values().filter_map(|session| session.ended);
        if of.clone().count() > MOST_ENDED_OF_GRANT
            && let Some((oldest, _)) = of.min()
        {
            let at = inner.forget(oldest);
            if let Some(of_grant) = inner.grants.get_mut(&grant) {
                of_grant.since = of_grant.since.max(at);
            }
        }
        if inner.ended.len() > MOST_ENDED
            && let Some(oldest) = inner.ended.keys().next().copied()
            && let Some(at) = inner.forget(oldest)
        {
            inner.since = inner.since.max(at);
        }
    }

    /// All but whether the number is still to be used, which streams know.
    fn recall(&self, holder: &str, grant: GrantId, number: u64) -> Recollection {
        let inner = self.inner();
        let of_grant = inner.grants.get(&grant);
        let since =
            of_grant.and_then(|of_grant| of_grant.since).map_or(inner.since, |at| at.max(inner.since));
        let sessions = of_grant.into_iter().flat_map(|of_grant| &of_grant.sessions);
        let mut sessions: Vec<_> = sessions
            .map(|(client, session)| SessionFate {
                client: client.clone(),
                present: session.writers > 0,
                fate: session.history.fate(number),
            })
            .collect();
        sessions.sort_unstable_by(|a, b| a.client.cmp(&b.client));
        Recollection { holder: holder.to_owned(), since, unused: false, sessions }
    }
}

/// A session's part in its history; the session goes on for as long as it is held.
#[derive(Debug)]
pub(crate) struct Writing {
    histories: Arc<Histories>,
    grant: GrantId,
    client: String,
    pub(crate) history: Arc<History>,
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.histories.end(self.grant, &self.client);
    }
}

/// What the gate tells of it.
#[derive(Debug)]
pub(crate) struct Memory(pub(crate) Arc<Shared>);

#[async_trait]
impl Recall for Memory {
    async fn recall(&self, grant: GrantId, product: ProductId, number: u64) -> Recollection {
        // First: a message that comes meanwhile is remembered.
        let unused = self.0.streams.holds(product, number);
        Recollection { unused, ..self.0.histories.recall(&self.0.config.holder, grant, number) }
    }
}

#[cfg(test)]
mod tests;
