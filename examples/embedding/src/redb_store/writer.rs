//! The one thread that writes: it makes the batches that wait durable with one commit.

use std::sync::Arc;

use i3_core::store::{Batch, Change, CommitError, Group, Key, Receipt, StoreError, StoreErrorKind, Version};
use redb::{Database, Durability, Table, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use super::layout::{self, Record};
use super::{TABLE, corrupt, failed, reader};

/// Batches written together at most.
const GROUP: usize = 256;
/// How often the thread gives way to callers who may be about to join a group, without any joining.
const PATIENCE: u32 = 4;

/// A batch whose caller waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) batch: Batch,
    pub(super) answer: oneshot::Sender<Result<Receipt, CommitError>>,
}

/// Works until all senders are gone and the queue is empty.
pub(super) fn run(db: &Arc<Database>, mut queue: mpsc::Receiver<Waiting>) {
    let mut last_group = 0;
    while let Some(first) = queue.blocking_recv() {
        let mut waiting = vec![first];
        let mut idle = 0;
        while waiting.len() < GROUP {
            match queue.try_recv() {
                Ok(next) => {
                    waiting.push(next);
                    idle = 0;
                }
                // Those who were answered together last are likely to come back together.
                Err(_) if waiting.len() >= last_group || idle == PATIENCE => break,
                Err(_) => {
                    idle += 1;
                    std::thread::yield_now();
                }
            }
        }
        last_group = waiting.len();
        let (batches, answers): (Vec<_>, Vec<_>) =
            waiting.into_iter().map(|waiting| (waiting.batch, waiting.answer)).unzip();
        let decisions = write(db, &batches).unwrap_or_else(|error| {
            // Nothing of the group was written, and each caller needs an error of its own.
            let error = || StoreError::new(error.kind(), error.to_string()).into();
            batches.iter().map(|_| Err(error())).collect()
        });
        for (answer, decision) in answers.into_iter().zip(decisions) {
            // A caller who is gone needs no answer.
            let _ = answer.send(decision);
        }
    }
}

/// Decides on each batch and commits all that hold. An error means that nothing was written.
fn write(db: &Database, batches: &[Batch]) -> Result<Vec<Result<Receipt, CommitError>>, StoreError> {
    let transaction = begin(db)?;
    let mut decisions = Vec::with_capacity(batches.len());
    {
        let mut table = transaction.open_table(TABLE).map_err(|error| failed("open its table", error))?;
        let clock = reader::get(&table, layout::CLOCK)?;
        let mut clock = match &clock {
            Some(bytes) => layout::read_number(bytes).ok_or_else(|| corrupt("the clock"))?,
            None => 0,
        };
        let mut group = Group::new();
        for batch in batches {
            let version = Version::from_number(clock + 1)
                .ok_or_else(|| StoreError::new(StoreErrorKind::Unsupported, "no versions are left"))?;
            // The table does not change before the group is done: the group knows what it will change.
            let decision = group.apply(batch, version, |key| reader::state(&table, key));
            clock += u64::from(decision.is_ok());
            decisions.push(decision);
        }
        if group.is_empty() {
            return Ok(decisions);
        }
        for (key, change) in group.into_changes() {
            store(&mut table, &key, change)?;
        }
        insert(&mut table, layout::CLOCK, &clock.to_be_bytes())?;
    }
    if let Err(error) = transaction.commit() {
        // Perhaps it is in the file, perhaps not. Refusals may rest on it, so they are failures too.
        let failure = failed("commit", error);
        for decision in &mut decisions {
            let error = StoreError::new(failure.kind(), failure.to_string());
            *decision = Err(match decision {
                Ok(_) => error.outcome_unknown().into(),
                Err(_) => error.into(),
            });
        }
    }
    Ok(decisions)
}

/// A transaction whose commit returns once the file is synced.
pub(super) fn begin(db: &Database) -> Result<WriteTransaction, StoreError> {
    let mut transaction = db.begin_write().map_err(|error| failed("begin a write", error))?;
    transaction.set_durability(Durability::Immediate).map_err(|error| failed("be durable", error))?;
    Ok(transaction)
}

type Bytes<'t> = Table<'t, &'static [u8], &'static [u8]>;

pub(super) fn insert(table: &mut Bytes<'_>, place: &[u8], bytes: &[u8]) -> Result<(), StoreError> {
    table.insert(place, bytes).map(drop).map_err(|error| failed("write", error))
}

fn remove(table: &mut Bytes<'_>, place: &[u8]) -> Result<(), StoreError> {
    table.remove(place).map(drop).map_err(|error| failed("write", error))
}

fn store(table: &mut Bytes<'_>, key: &Key, change: Change) -> Result<(), StoreError> {
    let place = layout::cell(key);
    if let Change::Put { .. } | Change::Remove = change
        && let Some(bytes) = reader::get(table, &place)?
    {
        let old = Record::read(&bytes).ok_or_else(|| corrupt(key))?;
        for entry in layout::index_entries(key, &old.values) {
            remove(table, &entry)?;
        }
    }
    match change {
        Change::Put { draft, version } => {
            for entry in layout::index_entries(key, draft.values()) {
                insert(table, &entry, key.id().as_bytes())?;
            }
            let record = Record::write(version, &draft).map_err(|error| failed("encode a record", error))?;
            insert(table, &place, &record)
        }
        Change::Remove => remove(table, &place),
        Change::Set(units) => insert(table, &place, &units.get().to_be_bytes()),
        Change::Append { first, entries } => {
            for (position, (body, link)) in (first..).zip(&entries) {
                insert(table, &layout::entry(key, position), &layout::write_entry(link, body))?;
                insert(table, &place, &layout::write_end(position, link))?;
            }
            Ok(())
        }
    }
}
