//! The reference model: ordered maps behind a lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;

use super::{
    Batch, Body, By, Cell, Change, Collection, CommitError, Cursor, Digest, Direction, Draft, Durability,
    Group, Key, Kind, Page, Receipt, Row, Scan, Schema, State, Store, StoreError, StoreErrorKind, Units,
    Value, Version,
};

/// A store in memory: the model that backends are tested against, and a real backend for tests and trials.
///
/// Clones share their data. Nothing survives the last clone.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    data: Arc<RwLock<Data>>,
}

#[derive(Debug, Default)]
struct Data {
    revision: u32,
    /// Those of the last schema.
    declared: Vec<&'static Collection>,
    /// All that were ever prepared, in their shapes.
    stored: Vec<&'static Collection>,
    /// Counts committed batches; every batch gives its records a version of its own.
    commits: u64,
    records: BTreeMap<Key, Stored>,
    counters: BTreeMap<Key, Units>,
    streams: BTreeMap<Key, Vec<(Body, Digest)>>,
    /// By collection and index name.
    indexes: BTreeMap<(&'static str, &'static str), IndexEntries>,
}

/// The index's values and the record's id.
type IndexEntries = BTreeSet<(Vec<Value>, String)>;

#[derive(Debug)]
struct Stored {
    version: Version,
    draft: Draft,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The values of an index's columns, if the record has them all.
fn index_values(collection: &Collection, columns: &[&str], draft: &Draft) -> Option<Vec<Value>> {
    columns.iter().map(|column| draft.values().get(collection.column(column)?)?.clone()).collect()
}

impl Data {
    fn known(&self, collection: &Collection) -> Result<(), StoreError> {
        if self.declared.iter().any(|known| known.same_shape(collection)) {
            Ok(())
        } else {
            let message = format!("the collection `{}` was not prepared", collection.name);
            Err(StoreError::new(StoreErrorKind::Unsupported, message))
        }
    }

    fn state(&self, key: &Key) -> State {
        match key.collection().kind {
            Kind::Records => {
                self.records.get(key).map_or(State::Absent, |record| State::Record(record.version))
            }
            Kind::Counters => self.counters.get(key).map_or(State::Absent, |units| State::Counter(*units)),
            Kind::Streams => {
                match self.streams.get(key).and_then(|entries| Some((entries.len(), entries.last()?))) {
                    Some((count, (_, link))) => State::Stream { position: position_of(count), link: *link },
                    None => State::Absent,
                }
            }
        }
    }

    fn unindex(&mut self, key: &Key) {
        let Some(old) = self.records.remove(key) else { return };
        let collection = key.collection();
        for index in collection.indexes {
            if let Some(values) = index_values(collection, index.columns, &old.draft)
                && let Some(entries) = self.indexes.get_mut(&(collection.name, index.name))
            {
                entries.remove(&(values, key.id().to_owned()));
            }
        }
    }

    fn write(&mut self, key: Key, change: Change) {
        match change {
            Change::Put { draft, version } => {
                self.unindex(&key);
                let collection = key.collection();
                for index in collection.indexes {
                    if let Some(values) = index_values(collection, index.columns, &draft) {
                        let entries = self.indexes.entry((collection.name, index.name)).or_default();
                        entries.insert((values, key.id().to_owned()));
                    }
                }
                self.records.insert(key, Stored { version, draft });
            }
            Change::Remove => self.unindex(&key),
            Change::Set(units) => {
                self.counters.insert(key, units);
            }
            Change::Append { entries, .. } => self.streams.entry(key).or_default().extend(entries),
        }
    }

    fn row(&self, key: &Key) -> Option<Row> {
        match key.collection().kind {
            Kind::Records => self.records.get(key).map(|record| Row::Record {
                key: key.clone(),
                version: record.version,
                body: record.draft.body().clone(),
            }),
            Kind::Counters => {
                self.counters.get(key).map(|units| Row::Counter { key: key.clone(), units: *units })
            }
            Kind::Streams => match self.state(key) {
                State::Stream { position, link } => Some(Row::Stream { key: key.clone(), position, link }),
                _ => None,
            },
        }
    }

    /// Every row of the scan in its forward order, each with the cursor that stands after it.
    fn rows(&self, scan: &Scan) -> Vec<(Cursor, Row)> {
        let collection = scan.collection();
        match scan.by_what() {
            By::Id { prefix } => {
                let keys: Vec<&Key> = match collection.kind {
                    Kind::Records => self.records.keys().collect(),
                    Kind::Counters => self.counters.keys().collect(),
                    Kind::Streams => self.streams.keys().collect(),
                };
                keys.into_iter()
                    .filter(|key| {
                        key.collection().name == collection.name && key.id().starts_with(prefix.as_str())
                    })
                    .filter_map(|key| Some((Cursor::after_id(key.id()), self.row(key)?)))
                    .collect()
            }
            By::Index { index, equal, from, until } => {
                let Some(entries) = self.indexes.get(&(collection.name, index.name)) else {
                    return Vec::new();
                };
                entries
                    .range((equal.clone(), String::new())..)
                    .take_while(|(values, _)| values.starts_with(equal))
                    .filter(|(values, _)| {
                        let next = values.get(equal.len());
                        let high_enough = from.as_ref().is_none_or(|from| next >= Some(from));
                        let low_enough = until.as_ref().is_none_or(|until| next < Some(until));
                        high_enough && low_enough
                    })
                    .filter_map(|(values, id)| {
                        let key = Key::new(collection, id.as_str()).ok()?;
                        Some((Cursor::after_indexed(values.clone(), id.clone()), self.row(&key)?))
                    })
                    .collect()
            }
            By::Entries { stream } => {
                let entries = self.streams.get(stream).map(Vec::as_slice).unwrap_or_default();
                let numbered = entries.iter().enumerate().map(|(place, (body, link))| {
                    let position = position_of(place + 1);
                    (
                        Cursor::after_position(position),
                        Row::Entry { position, body: body.clone(), link: *link },
                    )
                });
                numbered.collect()
            }
        }
    }
}

fn position_of(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Cursors of one scan, in its forward order.
fn order(cursor: &Cursor) -> (&[Value], &str, u64) {
    (cursor.values(), cursor.id(), cursor.position())
}

#[async_trait]
impl Store for MemoryStore {
    async fn prepare(&self, schema: &Schema) -> Result<(), StoreError> {
        let mut data = self.data.write().unwrap_or_else(PoisonError::into_inner);
        if data.revision > schema.revision() {
            let message = format!(
                "the data are of revision {}, this program knows revision {}: use a newer version",
                data.revision,
                schema.revision()
            );
            return Err(StoreError::new(StoreErrorKind::Incompatible, message));
        }
        for wanted in schema.collections() {
            if data.stored.iter().any(|known| known.name == wanted.name && !known.same_shape(wanted)) {
                let message =
                    format!("the collection `{}` is stored with other columns or indexes", wanted.name);
                return Err(StoreError::new(StoreErrorKind::Incompatible, message));
            }
        }
        for wanted in schema.collections() {
            if !data.stored.iter().any(|known| known.name == wanted.name) {
                data.stored.push(wanted);
            }
        }
        data.declared = schema.collections().to_vec();
        data.revision = schema.revision();
        Ok(())
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        let data = self.data.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter()
            .map(|key| {
                data.known(key.collection())?;
                Ok(data.row(key).map(|row| match row {
                    Row::Record { version, body, .. } => Cell::Record { version, body },
                    Row::Counter { units, .. } => Cell::Counter(units),
                    Row::Stream { position, link, .. } | Row::Entry { position, link, .. } => {
                        Cell::Stream { position, link }
                    }
                }))
            })
            .collect()
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        let data = self.data.read().unwrap_or_else(PoisonError::into_inner);
        data.known(scan.collection())?;
        let mut found = data.rows(scan);
        if let Some(after) = scan.cursor() {
            found.retain(|(cursor, _)| match scan.direction() {
                Direction::Forward => order(cursor) > order(after),
                Direction::Backward => order(cursor) < order(after),
            });
        }
        if scan.direction() == Direction::Backward {
            found.reverse();
        }
        let more = found.len() > scan.rows();
        found.truncate(scan.rows());
        let next = found.last().filter(|_| more).map(|(cursor, _)| cursor.clone());
        Ok(Page { rows: found.into_iter().map(|(_, row)| row).collect(), next })
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        let mut data = self.data.write().unwrap_or_else(PoisonError::into_inner);
        for op in batch.ops() {
            data.known(op.key().collection())?;
        }
        let number = data.commits + 1;
        let version = Version::from_number(number)
            .ok_or_else(|| StoreError::new(StoreErrorKind::Unsupported, "the store has no versions left"))?;
        let mut group = Group::new();
        let receipt = group.apply(batch, version, |key| Ok(data.state(key)))?;
        data.commits = number;
        for (key, change) in group.into_changes() {
            data.write(key, change);
        }
        Ok(receipt)
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }
}
