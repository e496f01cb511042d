//! The one thread that writes.
//!
//! It takes the batches that wait, decides on each over what is stored and what the group already does,
//! writes the whole group as one atomic sled batch, makes it durable once, and only then answers.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use i3_core::store::{
    Batch, Change, CommitError, Group, Key, Op, Receipt, Revisions, Schema, StoreError, StoreErrorKind,
    Version,
};
use tokio::sync::{mpsc, oneshot};

use crate::description::Description;
use crate::error::{corrupt, failed, io_failed};
use crate::layout::{self, Record};
use crate::reader;

/// Batches written together at most.
const GROUP_BATCHES: usize = 256;
/// Bytes of bodies in a group, after which no other batch is taken.
const GROUP_BYTES: usize = 1024 * 1024;
/// How often the thread gives way to callers who are about to join a group, without any joining.
const PATIENCE: u32 = 4;

pub(crate) type Answer<T, E> = oneshot::Sender<Result<T, E>>;

/// What the thread is asked for.
#[derive(Debug)]
pub(crate) enum Request {
    Commit(Waiting),
    Prepare(Schema, Answer<(), StoreError>),
}

/// A batch whose caller waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) batch: Batch,
    pub(crate) answer: Answer<Receipt, CommitError>,
}

/// Makes what was flushed survive loss of power.
pub(crate) type Sync = Box<dyn FnMut() -> io::Result<()> + Send>;

pub(crate) struct Committer {
    tree: sled::Tree,
    sync: Sync,
    /// The highest version that was given.
    clock: u64,
    /// Commits that were begun and not answered yet.
    in_flight: Arc<AtomicUsize>,
    revisions: Arc<Revisions>,
    /// How many were answered together last: their callers may come back at once.
    last_group: usize,
    /// Why nothing is written any more.
    failure: Option<String>,
}

impl Committer {
    pub(crate) fn new(
        tree: sled::Tree,
        sync: Sync,
        in_flight: Arc<AtomicUsize>,
        revisions: Arc<Revisions>,
    ) -> Result<Self, StoreError> {
        let clock = match tree.get(layout::CLOCK).map_err(|error| failed("read its clock", error))? {
            Some(bytes) => layout::read_number(&bytes).ok_or_else(|| corrupt("the clock"))?,
            None => 0,
        };
        Ok(Self { tree, sync, clock, in_flight, revisions, last_group: 0, failure: None })
    }

    /// Works until every sender of the queue is gone and the queue is empty.
    pub(crate) fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut next = queue.blocking_recv();
        while let Some(request) = next {
            let leftover = match request {
                Request::Prepare(schema, answer) => {
                    // A caller who is gone needs no answer, here and below.
                    let _ = answer.send(self.prepare(&schema));
                    None
                }
                Request::Commit(first) => {
                    let mut group = vec![first];
                    let leftover = self.gather(&mut group, &mut queue);
                    self.last_group = group.len();
                    self.write(group);
                    leftover
                }
            };
            next = leftover.or_else(|| queue.blocking_recv());
        }
    }

    /// Takes what waits, and gives callers who are on their way a chance to join. A request that is no
    /// commit closes the group and is handed back.
    fn gather(&self, group: &mut Vec<Waiting>, queue: &mut mpsc::Receiver<Request>) -> Option<Request> {
        let mut bytes: usize = group.iter().map(|waiting| body_bytes(&waiting.batch)).sum();
        let mut idle = 0;
        while group.len() < GROUP_BATCHES && bytes < GROUP_BYTES {
            match queue.try_recv() {
                Ok(Request::Commit(waiting)) => {
                    bytes += body_bytes(&waiting.batch);
                    group.push(waiting);
                    idle = 0;
                }
                Ok(other) => return Some(other),
                Err(_) => {
                    let expected = self.in_flight.load(Ordering::Relaxed).max(self.last_group);
                    if group.len() >= expected || idle == PATIENCE {
                        return None;
                    }
                    idle += 1;
                    std::thread::yield_now();
                }
            }
        }
        None
    }

    fn write(&mut self, waiting: Vec<Waiting>) {
        if let Some(failure) = &self.failure {
            for Waiting { answer, .. } in waiting {
                let _ = answer.send(Err(refused_after(failure).into()));
            }
            return;
        }
        let mut group = Group::new();
        let mut before: BTreeMap<Key, sled::IVec> = BTreeMap::new();
        let mut clock = self.clock;
        let mut decided = Vec::with_capacity(waiting.len());
        for Waiting { batch, answer } in waiting {
            let stored = |key: &Key| {
                let (state, bytes) = reader::state(&self.tree, key)?;
                if let Some(bytes) = bytes {
                    before.insert(key.clone(), bytes);
                }
                Ok(state)
            };
            let decision = match Version::from_number(clock.saturating_add(1)) {
                Some(version) => group.apply(&batch, version, stored),
                None => {
                    Err(StoreError::new(StoreErrorKind::Unsupported, "the store has no versions left").into())
                }
            };
            clock += u64::from(decision.is_ok());
            decided.push((batch, answer, decision));
        }
        // Refusals wait for the group as well: they may rest on what it is about to write.
        let written = if group.is_empty() { Ok(()) } else { self.write_group(group, &before, clock) };
        self.revisions.changed(decided.iter().map(|(batch, ..)| batch));
        for (_, answer, decision) in decided {
            let _ = answer.send(match (&written, decision) {
                (Ok(()), decision) => decision,
                (Err(NotWritten::Untouched(message, kind)), _) => Err(StoreError::new(*kind, message).into()),
                (Err(NotWritten::Unknown(failure)), Ok(_)) => Err(unknown(failure).into()),
                (Err(NotWritten::Unknown(failure)), Err(_)) => Err(refused_after(failure).into()),
            });
        }
    }

    fn write_group(
        &mut self,
        group: Group,
        before: &BTreeMap<Key, sled::IVec>,
        clock: u64,
    ) -> Result<(), NotWritten> {
        let batch = encode(group, before, clock)
            .map_err(|error| NotWritten::Untouched(error.to_string(), error.kind()))?;
        match self.make_durable(batch) {
            Ok(()) => {
                self.clock = clock;
                Ok(())
            }
            Err(error) => {
                let failure = chain(&error);
                self.failure = Some(failure.clone());
                Err(NotWritten::Unknown(failure))
            }
        }
    }

    fn make_durable(&mut self, batch: sled::Batch) -> Result<(), StoreError> {
        self.tree.apply_batch(batch).map_err(|error| failed("write", error))?;
        self.tree.flush().map_err(|error| failed("flush", error))?;
        (self.sync)().map_err(|error| io_failed("sync the store's file", error))
    }

    fn prepare(&mut self, schema: &Schema) -> Result<(), StoreError> {
        if let Some(failure) = &self.failure {
            return Err(refused_after(failure));
        }
        let present = Description::stored(&self.tree)?;
        let next = present.clone().unwrap_or_default().with(schema)?;
        if present.as_ref() == Some(&next) {
            return Ok(());
        }
        let text = serde_json::to_vec(&next).map_err(|error| {
            StoreError::new(StoreErrorKind::Unsupported, "the schema cannot be written").with_source(error)
        })?;
        let mut batch = sled::Batch::default();
        batch.insert(layout::SCHEMA, text);
        self.make_durable(batch).map_err(|error| {
            self.failure = Some(chain(&error));
            error.outcome_unknown()
        })
    }
}

/// Why a group's batches are not known to be applied.
enum NotWritten {
    /// They are certainly not: nothing was handed to sled.
    Untouched(String, StoreErrorKind),
    /// They may be.
    Unknown(String),
}

fn refused_after(failure: &str) -> StoreError {
    let message = format!("the store stopped writing after a failure and must be opened again: {failure}");
    StoreError::new(StoreErrorKind::Unavailable, message)
}

fn unknown(failure: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, failure).outcome_unknown()
}

/// An error with its causes; one failure answers many callers, and errors cannot be cloned.
fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn body_bytes(batch: &Batch) -> usize {
    let body = |op: &Op| match op {
        Op::Create(draft) | Op::Replace { with: draft, .. } => draft.body().as_str().len(),
        Op::Append { body, .. } => body.as_str().len(),
        _ => 0,
    };
    batch.ops().iter().map(body).sum()
}

/// The group as one batch of sled. `before` has the records that were there.
fn encode(group: Group, before: &BTreeMap<Key, sled::IVec>, clock: u64) -> Result<sled::Batch, StoreError> {
    let mut batch = sled::Batch::default();
    for (key, change) in group.into_changes() {
        let place = layout::cell(&key);
        if matches!(change, Change::Put { .. } | Change::Remove)
            && let Some(bytes) = before.get(&key)
        {
            let old = Record::read(key.collection(), bytes).ok_or_else(|| corrupt(&key))?;
            for entry in layout::index_entries(key.collection(), &old.values, key.id()) {
                batch.remove(entry);
            }
        }
        match change {
            Change::Put { draft, version } => {
                // An entry that was just removed and stays is inserted again: the later word holds.
                for entry in layout::index_entries(key.collection(), draft.values(), key.id()) {
                    batch.insert(entry, &[]);
                }
                batch.insert(place, Record::write(version, &draft));
            }
            Change::Remove => batch.remove(place),
            Change::Set(units) => batch.insert(place, &layout::write_units(units)),
            Change::Append { first, entries } => {
                let mut end = None;
                for (position, (body, link)) in (first..).zip(&entries) {
                    batch.insert(layout::entry(&key, position), layout::write_entry(link, body));
                    end = Some(layout::write_end(position, link));
                }
                if let Some(end) = end {
                    batch.insert(place, end);
                }
            }
        }
    }
    batch.insert(layout::CLOCK, &clock.to_be_bytes());
    Ok(batch)
}

#[cfg(test)]
mod tests;
