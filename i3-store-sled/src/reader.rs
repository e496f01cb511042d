//! Reads and scans, straight from the tree.

use std::str;

use i3_core::store::{
    By, Cell, Collection, Cursor, Direction, Key, Kind, Page, Row, Scan, State, StoreError,
};

use crate::error::{corrupt, failed};
use crate::layout::{self, Record};

/// What a key holds, for the rules of a commit.
pub(crate) fn state(tree: &sled::Tree, key: &Key) -> Result<(State, Option<sled::IVec>), StoreError> {
    let Some(bytes) = get(tree, key)? else { return Ok((State::Absent, None)) };
    let state = match key.collection().kind {
        Kind::Records => layout::version(&bytes).map(State::Record),
        Kind::Counters => layout::read_units(&bytes).map(State::Counter),
        Kind::Streams => layout::read_end(&bytes).map(|(position, link)| State::Stream { position, link }),
    };
    Ok((state.ok_or_else(|| corrupt(key))?, Some(bytes)))
}

fn get(tree: &sled::Tree, key: &Key) -> Result<Option<sled::IVec>, StoreError> {
    tree.get(layout::cell(key)).map_err(|error| failed("read", error))
}

pub(crate) fn read(tree: &sled::Tree, key: &Key) -> Result<Option<Cell>, StoreError> {
    let Some(bytes) = get(tree, key)? else { return Ok(None) };
    let cell = match row(key.clone(), &bytes)? {
        Row::Record { version, body, .. } => Cell::Record { version, body },
        Row::Counter { units, .. } => Cell::Counter(units),
        Row::Stream { position, link, .. } | Row::Entry { position, link, .. } => {
            Cell::Stream { position, link }
        }
    };
    Ok(Some(cell))
}

fn row(key: Key, bytes: &[u8]) -> Result<Row, StoreError> {
    let row = match key.collection().kind {
        Kind::Records => Record::read(key.collection(), bytes)
            .map(|Record { version, body, .. }| Row::Record { key: key.clone(), version, body }),
        Kind::Counters => layout::read_units(bytes).map(|units| Row::Counter { key: key.clone(), units }),
        Kind::Streams => {
            layout::read_end(bytes).map(|(position, link)| Row::Stream { key: key.clone(), position, link })
        }
    };
    row.ok_or_else(|| corrupt(key))
}

/// The keys of a scan: from the first to before the second.
struct Span {
    low: Vec<u8>,
    high: Vec<u8>,
}

impl Span {
    /// The keys that start so.
    fn of(start: &[u8]) -> Self {
        // Every start begins with a letter, so there is a key after all of them.
        Self { low: start.to_vec(), high: layout::after_all_of(start.to_vec()).unwrap_or_default() }
    }

    /// Leaves what lies beyond this key in the direction of the scan.
    fn go_on(&mut self, mut after: Vec<u8>, direction: Direction) {
        match direction {
            Direction::Forward => {
                // No key continues another with a zero byte, so this is the next one that can be.
                after.push(0);
                self.low = after.max(std::mem::take(&mut self.low));
            }
            Direction::Backward => self.high = after.min(std::mem::take(&mut self.high)),
        }
    }

    /// The pairs in the direction of the scan.
    fn pairs(
        self,
        tree: &sled::Tree,
        direction: Direction,
    ) -> impl Iterator<Item = Result<(sled::IVec, sled::IVec), StoreError>> {
        // sled is not asked for a span that ends before it begins.
        let mut pairs = (self.low < self.high).then(|| tree.range(self.low..self.high));
        std::iter::from_fn(move || {
            let pairs = pairs.as_mut()?;
            match direction {
                Direction::Forward => pairs.next(),
                Direction::Backward => pairs.next_back(),
            }
        })
        .map(|pair| pair.map_err(|error| failed("scan", error)))
    }
}

/// One page.
pub(crate) fn scan(tree: &sled::Tree, scan: &Scan) -> Result<Page, StoreError> {
    let collection = scan.collection();
    let direction = scan.direction();
    match scan.by_what() {
        By::Id { prefix } => {
            let start = layout::cells(collection);
            let mut span = Span::of(&[&start, prefix.as_bytes()].concat());
            if let Some(cursor) = scan.cursor() {
                span.go_on([&start, cursor.id().as_bytes()].concat(), direction);
            }
            page(scan, span.pairs(tree, direction), |place, bytes| {
                let key = key_of(collection, place.strip_prefix(&*start))?;
                Ok(Some((Cursor::after_id(key.id()), row(key, bytes)?)))
            })
        }
        By::Entries { stream } => {
            let start = layout::entries(stream);
            let mut span = Span::of(&start);
            if let Some(cursor) = scan.cursor() {
                span.go_on(layout::entry(stream, cursor.position()), direction);
            }
            page(scan, span.pairs(tree, direction), |place, bytes| {
                let found = place.strip_prefix(&*start).and_then(layout::read_position);
                let (position, (link, body)) = found
                    .zip(layout::read_entry(bytes))
                    .ok_or_else(|| corrupt(format_args!("an entry of {stream}")))?;
                Ok(Some((Cursor::after_position(position), Row::Entry { position, body, link })))
            })
        }
        By::Index { index, equal, from, until } => {
            let start = layout::index(collection, index);
            let mut equal_start = start.clone();
            for value in equal {
                layout::push_value(&mut equal_start, value);
            }
            let mut span = Span::of(&equal_start);
            if let Some(from) = from {
                span.low.clone_from(&equal_start);
                layout::push_value(&mut span.low, from);
            }
            if let Some(until) = until {
                span.high = equal_start;
                layout::push_value(&mut span.high, until);
            }
            if let Some(cursor) = scan.cursor() {
                let mut after = start.clone();
                for value in cursor.values() {
                    layout::push_value(&mut after, value);
                }
                after.extend_from_slice(cursor.id().as_bytes());
                span.go_on(after, direction);
            }
            page(scan, span.pairs(tree, direction), |place, _| {
                let (values, id) =
                    layout::read_index_entry(collection, index, &start, place).ok_or_else(|| {
                        corrupt(format_args!("index `{}` of `{}`", index.name, collection.name))
                    })?;
                let key = key_of(collection, Some(id.as_bytes()))?;
                // The record may have moved or gone since the index was read: it is not a row of this scan then.
                let Some(bytes) = get(tree, &key)? else { return Ok(None) };
                let record = Record::read(collection, &bytes).ok_or_else(|| corrupt(&key))?;
                if layout::index_entry(collection, index, &record.values, key.id()).as_deref() != Some(place)
                {
                    return Ok(None);
                }
                let row = Row::Record { key, version: record.version, body: record.body };
                Ok(Some((Cursor::after_indexed(values, id), row)))
            })
        }
    }
}

fn key_of(collection: &'static Collection, id: Option<&[u8]>) -> Result<Key, StoreError> {
    let id = id.and_then(|id| str::from_utf8(id).ok());
    id.and_then(|id| Key::new(collection, id).ok())
        .ok_or_else(|| corrupt(format_args!("a key of `{}`", collection.name)))
}

/// Takes as many rows as the scan wants, and looks whether one more follows.
fn page(
    scan: &Scan,
    pairs: impl Iterator<Item = Result<(sled::IVec, sled::IVec), StoreError>>,
    mut row: impl FnMut(&[u8], &[u8]) -> Result<Option<(Cursor, Row)>, StoreError>,
) -> Result<Page, StoreError> {
    let mut page = Page { rows: Vec::new(), next: None };
    let mut last = None;
    for pair in pairs {
        let (place, bytes) = pair?;
        let Some((cursor, row)) = row(&place, &bytes)? else { continue };
        if page.rows.len() == scan.rows() {
            page.next = last;
            return Ok(page);
        }
        page.rows.push(row);
        last = Some(cursor);
    }
    Ok(page)
}
