//! The reference model: ordered maps behind a lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;

use super::{
    Batch, Body, By, Cell, Change, Collection, CommitError, Cursor, Digest, Direction, Draft, Durability,
    Group, Key, Kind, Page, Receipt, Revision, Revisions, Row, Scan, Schema, State, Store, StoreError,
    StoreErrorKind, Units, Value, Version, limits,
};

/// A store in memory: the model that backends are tested against, and a real backend for tests and trials.
///
/// Clones share their data. Nothing survives the last clone.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    data: Arc<RwLock<Data>>,
    revisions: Arc<Revisions>,
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
    records: Table<Stored>,
    counters: Table<Units>,
    streams: Table<Vec<(Body, Digest)>>,
    /// By collection and index name.
    indexes: BTreeMap<(&'static str, &'static str), BTreeSet<IndexEntry>>,
}

/// What stands under each collection's ids.
type Table<T> = BTreeMap<&'static str, BTreeMap<String, T>>;

/// The index's values and the record's id.
type IndexEntry = (Vec<Value>, String);

fn cell<'a, T>(table: &'a Table<T>, key: &Key) -> Option<&'a T> {
    table.get(key.collection().name)?.get(key.id())
}

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
                cell(&self.records, key).map_or(State::Absent, |record| State::Record(record.version))
            }
            Kind::Counters => cell(&self.counters, key).map_or(State::Absent, |units| State::Counter(*units)),
            Kind::Streams => {
                match cell(&self.streams, key).and_then(|entries| Some((entries.len(), entries.last()?))) {
                    Some((count, (_, link))) => State::Stream { position: position_of(count), link: *link },
                    None => State::Absent,
                }
            }
        }
    }

    fn unindex(&mut self, key: &Key) {
        let collection = key.collection();
        let Some(old) = self.records.get_mut(collection.name).and_then(|table| table.remove(key.id())) else {
            return;
        };
        for index in collection.indexes {
            if let Some(values) = index_values(collection, index.columns, &old.draft)
                && let Some(entries) = self.indexes.get_mut(&(collection.name, index.name))
            {
                entries.remove(&(values, key.id().to_owned()));
            }
        }
    }

    fn write(&mut self, key: &Key, change: Change) {
        match change {
            Change::Put { draft, version } => {
                self.unindex(key);
                let collection = key.collection();
                for index in collection.indexes {
                    if let Some(values) = index_values(collection, index.columns, &draft) {
                        let entries = self.indexes.entry((collection.name, index.name)).or_default();
                        entries.insert((values, key.id().to_owned()));
                    }
                }
                let table = self.records.entry(collection.name).or_default();
                table.insert(key.id().to_owned(), Stored { version, draft });
            }
            Change::Remove => self.unindex(key),
            Change::Set(units) => {
                let table = self.counters.entry(key.collection().name).or_default();
                table.insert(key.id().to_owned(), units);
            }
            Change::Append { entries, .. } => {
                let table = self.streams.entry(key.collection().name).or_default();
                table.entry(key.id().to_owned()).or_default().extend(entries);
            }
        }
    }

    fn row(&self, key: &Key) -> Option<Row> {
        match key.collection().kind {
            Kind::Records => cell(&self.records, key).map(|record| Row::Record {
                key: key.clone(),
                version: record.version,
                body: record.draft.body().clone(),
            }),
            Kind::Counters => {
                cell(&self.counters, key).map(|units| Row::Counter { key: key.clone(), units: *units })
            }
            Kind::Streams => match self.state(key) {
                State::Stream { position, link } => Some(Row::Stream { key: key.clone(), position, link }),
                _ => None,
            },
        }
    }

    fn page(&self, scan: &Scan) -> Page {
        let collection = scan.collection();
        let by_id = |id: &str| Some((Cursor::after_id(id), self.row(&Key::new(collection, id).ok()?)?));
        match scan.by_what() {
            By::Id { prefix } => {
                let Some((low, high)) = id_bounds(prefix, scan) else { return empty() };
                match collection.kind {
                    Kind::Records => page(scan, ids(&self.records, collection, low, high), by_id),
                    Kind::Counters => page(scan, ids(&self.counters, collection, low, high), by_id),
                    Kind::Streams => page(scan, ids(&self.streams, collection, low, high), by_id),
                }
            }
            By::Index { index, equal, from, until } => {
                let entries = self.indexes.get(&(collection.name, index.name));
                let bounds = index_bounds(index.columns.len(), equal, from.as_ref(), until.as_ref(), scan);
                let (Some(entries), Some((low, high))) = (entries, bounds) else { return empty() };
                page(scan, entries.range(low..high), |(values, id): &IndexEntry| {
                    let key = Key::new(collection, id.as_str()).ok()?;
                    Some((Cursor::after_indexed(values.clone(), id.clone()), self.row(&key)?))
                })
            }
            By::Entries { stream } => {
                let entries = cell(&self.streams, stream).map(Vec::as_slice).unwrap_or_default();
                let at = scan.cursor().map(|cursor| usize::try_from(cursor.position()).unwrap_or(usize::MAX));
                let (first, end) = match (scan.direction(), at) {
                    (_, None) => (0, entries.len()),
                    (Direction::Forward, Some(at)) => (at, entries.len()),
                    (Direction::Backward, Some(at)) => (0, at.saturating_sub(1).min(entries.len())),
                };
                let entries = entries.get(first..end).unwrap_or_default();
                page(scan, entries.iter().enumerate(), |(place, (body, link))| {
                    let position = position_of(first + place + 1);
                    let row = Row::Entry { position, body: body.clone(), link: *link };
                    Some((Cursor::after_position(position), row))
                })
            }
        }
    }
}

fn empty() -> Page {
    Page { rows: Vec::new(), next: None }
}

/// The ids of a collection from `low` to before `high`.
fn ids<'a, T>(
    table: &'a Table<T>,
    collection: &Collection,
    low: String,
    high: String,
) -> impl DoubleEndedIterator<Item = &'a str> {
    let table = table.get(collection.name).into_iter();
    table.flat_map(move |ids| ids.range(low.clone()..high.clone())).map(|(id, _)| id.as_str())
}

/// The page at the front of the items, or at their end if the scan goes backward.
fn page<T>(
    scan: &Scan,
    items: impl DoubleEndedIterator<Item = T>,
    row: impl Fn(T) -> Option<(Cursor, Row)>,
) -> Page {
    let wanted = scan.rows() + 1;
    let mut found: Vec<(Cursor, Row)> = match scan.direction() {
        Direction::Forward => items.filter_map(row).take(wanted).collect(),
        Direction::Backward => items.rev().filter_map(row).take(wanted).collect(),
    };
    let more = found.len() == wanted;
    found.truncate(scan.rows());
    let next = found.last().filter(|_| more).map(|(cursor, _)| cursor.clone());
    Page { rows: found.into_iter().map(|(_, row)| row).collect(), next }
}

/// Sorts before every id that continues an id.
const CONTINUED: &str = "\0";
/// Sorts after every continuation by visible ASCII.
const PAST_IDS: &str = "\u{7f}";

/// Narrows bounds to what the cursor leaves; nothing may be left.
fn beyond<T: Ord>(scan: &Scan, (low, high): (T, T), cursor: impl Fn(&Cursor, &str) -> T) -> Option<(T, T)> {
    let bounds = match (scan.cursor(), scan.direction()) {
        (None, _) => (low, high),
        (Some(after), Direction::Forward) => (low.max(cursor(after, CONTINUED)), high),
        (Some(before), Direction::Backward) => (low, high.min(cursor(before, ""))),
    };
    (bounds.0 < bounds.1).then_some(bounds)
}

fn id_bounds(prefix: &str, scan: &Scan) -> Option<(String, String)> {
    let all = (prefix.to_owned(), format!("{prefix}{PAST_IDS}"));
    beyond(scan, all, |cursor, end| format!("{}{end}", cursor.id()))
}

fn index_bounds(
    columns: usize,
    equal: &[Value],
    from: Option<&Value>,
    until: Option<&Value>,
    scan: &Scan,
) -> Option<(IndexEntry, IndexEntry)> {
    let with = |value: Option<&Value>| equal.iter().chain(value).cloned().collect::<Vec<_>>();
    let low = (with(from), String::new());
    let high = match until {
        Some(until) => (with(Some(until)), String::new()),
        None if equal.len() == columns => (with(None), PAST_IDS.to_owned()),
        None => (with(Some(&past_values())), String::new()),
    };
    beyond(scan, (low, high), |cursor, end| (cursor.values().to_vec(), format!("{}{end}", cursor.id())))
}

/// Sorts after every value of a column: a text of the last character that is longer than texts may be.
fn past_values() -> Value {
    Value::Text(char::MAX.to_string().repeat(limits::INDEX_TEXT_BYTES))
}

fn position_of(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
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
        Ok(data.page(scan))
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
            data.write(&key, change);
        }
        self.revisions.changed([batch]);
        Ok(receipt)
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }

    fn revision(&self, collections: &[&Collection]) -> Option<Revision> {
        Some(self.revisions.of(collections))
    }

    async fn unnamed(&self) -> Result<Vec<String>, StoreError> {
        let data = self.data.read().unwrap_or_else(PoisonError::into_inner);
        let named = |name| data.declared.iter().any(|known| known.name == name);
        let unnamed = data.stored.iter().filter(|stored| !named(stored.name));
        let mut names: Vec<String> = unnamed.map(|stored| stored.name.to_owned()).collect();
        names.sort_unstable();
        Ok(names)
    }
}
