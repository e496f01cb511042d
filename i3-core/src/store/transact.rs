//! Read, decide, commit; on a conflict, again.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{
    Batch, Body, Cell, Collection, CommitError, Cursor, Draft, Key, Op, Page, Receipt, Row, Scan, Store,
    StoreError, StoreErrorKind, Units, Value, Version, limits,
};
use crate::id::{IdSource, TypedId};
use crate::time::Timestamp;

/// Something that is stored as a record.
pub trait Entity: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// What names it. Its text is the record's id.
    type Id: fmt::Display + Send + Sync;

    /// Where it is stored.
    fn collection() -> &'static Collection;
    /// Its name.
    fn id(&self) -> Self::Id;
    /// The values of the collection's columns, in their order.
    fn values(&self) -> Vec<Option<Value>>;

    /// Its key.
    fn key(id: &Self::Id) -> Result<Key, StoreError> {
        Key::new(Self::collection(), id.to_string()).map_err(|error| {
            StoreError::new(StoreErrorKind::Unsupported, "a record's id is no key").with_source(error)
        })
    }

    /// The record of it.
    fn draft(&self) -> Result<Draft, StoreError> {
        Draft::new(Self::collection(), &self.id().to_string(), self.values(), self.text()?).map_err(unfit)
    }

    /// The text of its record.
    fn text(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(unfit)
    }

    /// What a record's body says.
    fn from_body(key: &Key, body: &Body) -> Result<Self, StoreError> {
        body.read(|| read_body(key, body))
    }
}

fn unfit(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, "a record does not fit its collection").with_source(error)
}

/// What a body says, if it can be read.
pub(crate) fn read_body<T: DeserializeOwned>(key: &Key, body: &Body) -> Result<T, StoreError> {
    serde_json::from_str(body.as_str()).map_err(|error| {
        StoreError::new(StoreErrorKind::Corrupt, format!("{key} holds what this program cannot read"))
            .with_source(error)
    })
}

/// An entity with the version it was read at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The entity.
    pub entity: T,
    /// Its version.
    pub version: Version,
}

/// Why a decision stops before its end.
#[derive(Debug)]
pub enum Halt<R> {
    /// A record that it needs is not loaded yet. Made by [`Tx`]; pass it on with `?`.
    Fetch,
    /// The answer is no.
    Refused(R),
    /// The decision cannot be made or stored.
    Failed(StoreError),
}

impl<R> From<StoreError> for Halt<R> {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// A rule: from what is stored to what shall be stored, without I/O.
///
/// `decide` is called again from the start whenever something that it asked for had to be fetched, and
/// after every conflict; so it must depend on nothing but `self` and the [`Tx`].
pub trait Decision: Sync {
    /// The answer of a decision that was carried out.
    type Done: Send;
    /// The answer of one that was not.
    type Refusal: Send;

    /// Decides.
    fn decide(&self, tx: &mut Tx<'_, Self::Refusal>) -> Result<Self::Done, Halt<Self::Refusal>>;

    /// Is shown what was committed before the answer is given: the numbers of entries, for instance.
    fn committed(&self, _done: &mut Self::Done, _batch: &Batch, _receipt: &Receipt) {}
}

#[derive(Debug)]
enum Write {
    Create(Draft),
    Replace(Version, Draft),
    Remove(Version),
}

/// What a decision sees and what it writes.
///
/// Every record that was found is guarded: if it changes before the commit, the decision is made
/// again. Absence is not guarded: rely on it only by creating the record in question.
pub struct Tx<'a, R> {
    now: Timestamp,
    source: &'a dyn IdSource,
    ids: Vec<u128>,
    ids_used: usize,
    cells: BTreeMap<Key, Option<Cell>>,
    wanted: Vec<Key>,
    writes: BTreeMap<Key, Write>,
    adjusts: Vec<(Key, Units, Units, Option<R>)>,
    appends: Vec<(Key, Body)>,
    /// What counters answered, in the order of the questions.
    counted: Vec<Units>,
    /// What counters shall answer instead of what they hold.
    recorded: Option<Vec<Units>>,
}

impl<R> fmt::Debug for Tx<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx")
            .field("now", &self.now)
            .field("read", &self.cells.keys())
            .field("writes", &self.writes.keys())
            .finish_non_exhaustive()
    }
}

impl<'a, R> Tx<'a, R> {
    fn new(now: Timestamp, source: &'a dyn IdSource) -> Self {
        Self {
            now,
            source,
            ids: Vec::new(),
            ids_used: 0,
            cells: BTreeMap::new(),
            wanted: Vec::new(),
            writes: BTreeMap::new(),
            adjusts: Vec::new(),
            appends: Vec::new(),
            counted: Vec::new(),
            recorded: None,
        }
    }

    /// Forgets what an unfinished run wrote; keeps what was loaded and the ids that were given.
    fn rewind(&mut self) {
        self.ids_used = 0;
        self.wanted.clear();
        self.writes.clear();
        self.adjusts.clear();
        self.appends.clear();
        self.counted.clear();
    }

    /// The time of the decision; the same in all its runs.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A fresh id; the n-th one is the same in all runs of the decision.
    pub fn fresh_id<I: TypedId>(&mut self) -> Result<I, Halt<R>> {
        if self.ids_used == self.ids.len() {
            let fresh = self.source.fresh(self.now).map_err(|error| {
                StoreError::new(StoreErrorKind::Unavailable, "no fresh id can be made").with_source(error)
            })?;
            self.ids.push(fresh);
        }
        let bits = self.ids.get(self.ids_used).copied().unwrap_or_default();
        self.ids_used += 1;
        Ok(I::from_bits(bits))
    }

    /// The ids that were given so far, in order.
    pub(crate) fn ids(&self) -> &[u128] {
        self.ids.get(..self.ids_used).unwrap_or_default()
    }

    /// What counters answered so far, in order: the one thing that a decision may rest on without a guard.
    pub(crate) fn counted(&self) -> &[Units] {
        &self.counted
    }

    /// Lets counters answer what they answered when the decision was first made.
    pub(crate) fn recall_counters(&mut self, recorded: &[Units]) {
        self.recorded = Some(recorded.to_vec());
    }

    /// Asks for several keys at once, to save round trips: halts if any is not loaded yet.
    pub fn want(&mut self, keys: impl IntoIterator<Item = Key>) -> Result<(), Halt<R>> {
        let missing: Vec<Key> = keys.into_iter().filter(|key| !self.cells.contains_key(key)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.wanted.extend(missing);
        Err(Halt::Fetch)
    }

    fn cell(&mut self, key: &Key) -> Result<Option<&Cell>, Halt<R>> {
        self.want([key.clone()])?;
        Ok(self.cells.get(key).and_then(Option::as_ref))
    }

    /// The entity as it is, this decision's own writes included.
    pub fn get<E: Entity>(&mut self, id: &E::Id) -> Result<Option<E>, Halt<R>> {
        let key = E::key(id)?;
        match self.writes.get(&key) {
            Some(Write::Create(draft) | Write::Replace(_, draft)) => {
                return Ok(Some(E::from_body(&key, draft.body())?));
            }
            Some(Write::Remove(_)) => return Ok(None),
            None => {}
        }
        match self.cell(&key)? {
            Some(Cell::Record { body, .. }) => Ok(Some(E::from_body(&key, body)?)),
            _ => Ok(None),
        }
    }

    /// The entity as it is, or this refusal if there is none.
    pub fn need<E: Entity>(&mut self, id: &E::Id, missing: R) -> Result<E, Halt<R>> {
        self.get(id)?.ok_or(Halt::Refused(missing))
    }

    /// What a counter holds. Not guarded: it may be another number by the time of the commit.
    pub fn counter(&mut self, counter: &Key) -> Result<Units, Halt<R>> {
        let held = match &self.recorded {
            Some(recorded) => recorded.get(self.counted.len()).copied(),
            None => None,
        };
        let units = match held {
            Some(units) => units,
            None => match self.cell(counter)? {
                Some(Cell::Counter(units)) => *units,
                _ => Units::ZERO,
            },
        };
        self.counted.push(units);
        Ok(units)
    }

    /// Stores a new entity. If its key turns out to be taken, the decision is made again.
    pub fn create<E: Entity>(&mut self, entity: &E) -> Result<(), Halt<R>> {
        let draft = entity.draft()?;
        self.writes.insert(draft.key().clone(), Write::Create(draft));
        Ok(())
    }

    /// Stores an entity in place of the one that this decision read.
    pub fn replace<E: Entity>(&mut self, entity: &E) -> Result<(), Halt<R>> {
        let draft = entity.draft()?;
        let key = draft.key().clone();
        let write = match self.writes.remove(&key) {
            Some(Write::Create(_)) => Write::Create(draft),
            Some(Write::Replace(version, _) | Write::Remove(version)) => Write::Replace(version, draft),
            None => Write::Replace(self.version(&key)?, draft),
        };
        self.writes.insert(key, write);
        Ok(())
    }

    /// Removes the entity that this decision read.
    pub fn remove<E: Entity>(&mut self, id: &E::Id) -> Result<(), Halt<R>> {
        let key = E::key(id)?;
        match self.writes.remove(&key) {
            Some(Write::Create(_)) => {}
            Some(Write::Replace(version, _) | Write::Remove(version)) => {
                self.writes.insert(key, Write::Remove(version));
            }
            None => {
                let version = self.version(&key)?;
                self.writes.insert(key, Write::Remove(version));
            }
        }
        Ok(())
    }

    fn version(&mut self, key: &Key) -> Result<Version, Halt<R>> {
        if let Some(Cell::Record { version, .. }) = self.cell(key)? {
            return Ok(*version);
        }
        let message = format!("{key} is to be replaced or removed, but there is no such record");
        Err(StoreError::new(StoreErrorKind::Unsupported, message).into())
    }

    /// Adds to a counter. If the change is negative and would take it below `floor`, the decision's answer
    /// is `short`. Several changes of one counter in one decision add up; the highest floor holds.
    pub fn adjust(&mut self, counter: Key, by: Units, floor: Units, short: R) -> Result<(), Halt<R>> {
        self.add(counter, by, floor, Some(short))
    }

    /// Adds to a counter that has no floor.
    pub fn count(&mut self, counter: Key, by: Units) -> Result<(), Halt<R>> {
        self.add(counter, by, Units::MIN, None)
    }

    fn add(&mut self, counter: Key, by: Units, floor: Units, short: Option<R>) -> Result<(), Halt<R>> {
        if let Some((_, sum, highest, refusal)) = self.adjusts.iter_mut().find(|(key, ..)| *key == counter) {
            *sum = sum.plus(by).map_err(|error| {
                StoreError::new(StoreErrorKind::Unsupported, "a counter's change is out of range")
                    .with_source(error)
            })?;
            *highest = floor.max(*highest);
            *refusal = short.or(refusal.take());
        } else {
            self.adjusts.push((counter, by, floor, short));
        }
        Ok(())
    }

    /// Adds an entry to a stream.
    pub fn append(&mut self, stream: Key, entry: &impl Serialize) -> Result<(), Halt<R>> {
        let unfit = |error: Box<dyn std::error::Error + Send + Sync>| {
            StoreError::new(StoreErrorKind::Unsupported, "an entry does not fit a stream").with_source(error)
        };
        let text = serde_json::to_string(entry).map_err(|error| unfit(error.into()))?;
        self.appends.push((stream, Body::new(text).map_err(|error| unfit(error.into()))?));
        Ok(())
    }

    /// The batch of this decision: guards, then writes, then counters, then streams.
    fn batch(&mut self) -> Result<(Option<Batch>, Vec<Option<R>>), StoreError> {
        let mut ops = Vec::new();
        for (key, cell) in &self.cells {
            if let Some(Cell::Record { version, .. }) = cell
                && !self.writes.contains_key(key)
            {
                ops.push(Op::Require { key: key.clone(), expect: *version });
            }
        }
        let guards = ops.len();
        for (key, write) in std::mem::take(&mut self.writes) {
            ops.push(match write {
                Write::Create(draft) => Op::Create(draft),
                Write::Replace(expect, with) => Op::Replace { expect, with },
                Write::Remove(expect) => Op::Remove { key, expect },
            });
        }
        let mut shortages: Vec<Option<R>> = Vec::new();
        shortages.resize_with(ops.len(), || None);
        for (counter, by, floor, short) in std::mem::take(&mut self.adjusts) {
            ops.push(Op::Adjust { counter, by, floor });
            shortages.push(short);
        }
        for (stream, body) in std::mem::take(&mut self.appends) {
            ops.push(Op::Append { stream, body });
        }
        // A decision that writes nothing needs no commit.
        if ops.len() == guards {
            return Ok((None, Vec::new()));
        }
        let batch = Batch::of(ops).map_err(|error| {
            StoreError::new(StoreErrorKind::Unsupported, "a decision's batch is not acceptable")
                .with_source(error)
        })?;
        Ok((Some(batch), shortages))
    }
}

/// Why a decision was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refused<R> {
    /// The domain says no.
    #[error("{0}")]
    Refusal(R),
    /// Other commits kept coming first: try again.
    #[error("too many others change the same data at the moment")]
    Conflict,
    /// The store failed; [`StoreError::applied`] says whether the effect may be there all the same.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How often a decision is made again after a conflict.
const ATTEMPTS: usize = 64;

/// What callers need of a store; implemented for every store, never by backends.
pub trait StoreExt: Store {
    /// The entity with this id.
    fn get<E: Entity>(
        &self,
        id: &E::Id,
    ) -> impl Future<Output = Result<Option<Versioned<E>>, StoreError>> + Send {
        let key = E::key(id);
        async move {
            let key = key?;
            match self.read(std::slice::from_ref(&key)).await?.pop().flatten() {
                Some(Cell::Record { version, body }) => {
                    Ok(Some(Versioned { entity: E::from_body(&key, &body)?, version }))
                }
                _ => Ok(None),
            }
        }
    }

    /// What a counter holds; zero if it was never adjusted.
    fn counter(&self, counter: &Key) -> impl Future<Output = Result<Units, StoreError>> + Send {
        async move {
            match self.read(std::slice::from_ref(counter)).await?.pop().flatten() {
                Some(Cell::Counter(units)) => Ok(units),
                _ => Ok(Units::ZERO),
            }
        }
    }

    /// One page of entities.
    fn list<E: Entity>(
        &self,
        scan: &Scan,
    ) -> impl Future<Output = Result<(Vec<E>, Option<Cursor>), StoreError>> + Send {
        async move {
            let Page { rows, next } = self.scan(scan).await?;
            let mut entities = Vec::with_capacity(rows.len());
            for row in rows {
                if let Row::Record { key, body, .. } = row {
                    entities.push(E::from_body(&key, &body)?);
                }
            }
            Ok((entities, next))
        }
    }

    /// All entities of a scan, page by page. For reports: memory grows with their number.
    fn all<E: Entity>(&self, scan: Scan) -> impl Future<Output = Result<Vec<E>, StoreError>> + Send {
        async move {
            let mut scan = scan.limit(limits::PAGE_ROWS);
            let mut entities = Vec::new();
            loop {
                let (page, next) = self.list(&scan).await?;
                entities.extend(page);
                let Some(next) = next else { return Ok(entities) };
                scan = scan.after(next).map_err(|error| {
                    StoreError::new(StoreErrorKind::Corrupt, "the store gave a cursor of another scan")
                        .with_source(error)
                })?;
            }
        }
    }

    /// Reads what the decision asks for, decides, commits. After a conflict it starts again, a bounded
    /// number of times.
    ///
    /// The decision is serializable with regard to every record that it found, and to every key that it
    /// wrote. A refusal, a failure of the decision itself, and an answer that needs no commit are given only if
    /// all records that were asked for, absent ones included, were the same when they were read once more. Dropping the future leaves the
    /// decision carried out wholly or not at all.
    fn transact<D: Decision>(
        &self,
        now: Timestamp,
        ids: &dyn IdSource,
        decision: &D,
    ) -> impl Future<Output = Result<D::Done, Refused<D::Refusal>>> + Send {
        async move {
            let mut tx = Tx::new(now, ids);
            for _ in 0..ATTEMPTS {
                let decided = loop {
                    tx.rewind();
                    match decision.decide(&mut tx) {
                        Ok(done) => break Ok(done),
                        Err(Halt::Refused(refusal)) => break Err(Refused::Refusal(refusal)),
                        Err(Halt::Failed(error)) => break Err(Refused::Store(error)),
                        Err(Halt::Fetch) => {
                            let wanted = std::mem::take(&mut tx.wanted);
                            tx.cells.extend(cells_of(self, wanted).await?);
                        }
                    }
                };
                let mut done = match decided {
                    Ok(done) => done,
                    Err(refused) => {
                        if confirmed(self, &mut tx).await? {
                            return Err(refused);
                        }
                        continue;
                    }
                };
                let (batch, mut shortages) = match tx.batch() {
                    Ok((Some(batch), shortages)) => (batch, shortages),
                    without => {
                        if confirmed(self, &mut tx).await? {
                            return without.map(|_| done).map_err(Refused::Store);
                        }
                        continue;
                    }
                };
                match self.commit(&batch).await {
                    Ok(receipt) => {
                        decision.committed(&mut done, &batch, &receipt);
                        return Ok(done);
                    }
                    Err(CommitError::Stale { .. }) => tx.cells.clear(),
                    Err(CommitError::Floor { op, key, now }) => {
                        let short = shortages.get_mut(op).and_then(Option::take);
                        return Err(match short {
                            Some(refusal) => Refused::Refusal(refusal),
                            None => out_of_range(&key, now).into(),
                        });
                    }
                    Err(CommitError::Range { key, now, .. }) => return Err(out_of_range(&key, now).into()),
                    Err(CommitError::Store(error)) => return Err(error.into()),
                }
            }
            Err(Refused::Conflict)
        }
    }
}

impl<S: Store + ?Sized> StoreExt for S {}

async fn cells_of<S: Store + ?Sized>(
    store: &S,
    wanted: Vec<Key>,
) -> Result<Vec<(Key, Option<Cell>)>, StoreError> {
    let mut found = Vec::with_capacity(wanted.len());
    for keys in wanted.chunks(limits::READ_KEYS) {
        let cells = store.read(keys).await?;
        // A decision whose keys never come would ask for ever.
        if cells.len() != keys.len() {
            let message = "the store answered another number of keys than it was asked";
            return Err(StoreError::new(StoreErrorKind::Corrupt, message));
        }
        found.extend(keys.iter().cloned().zip(cells));
    }
    Ok(found)
}

/// Whether what was read is one picture: all records are still as they were read, so that there was a moment
/// when all were so. Otherwise what they are now is kept, for the next run.
///
/// No commit checks what a decision without writes rests on: one that was read in two halves, with another's
/// commit between them, may see what never was.
async fn confirmed<S: Store + ?Sized, R>(store: &S, tx: &mut Tx<'_, R>) -> Result<bool, StoreError> {
    if tx.cells.len() < 2 {
        return Ok(true);
    }
    let now = cells_of(store, tx.cells.keys().cloned().collect()).await?;
    let is_same = |(key, now): &(Key, Option<Cell>)| match (tx.cells.get(key), now) {
        (Some(Some(Cell::Record { version, .. })), Some(Cell::Record { version: now, .. })) => version == now,
        (Some(Some(Cell::Counter(_))), _) | (_, Some(Cell::Counter(_))) | (Some(None), None) => true,
        _ => false,
    };
    let same = now.iter().all(is_same);
    if !same {
        tx.cells.extend(now);
    }
    Ok(same)
}

fn out_of_range(key: &Key, now: Units) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, format!("{key} stands at {now} and cannot take the change"))
}
