//! Reads and scans, over one table in a transaction of its caller.

use i3_core::store::{By, Cell, Cursor, Direction, Key, Kind, Page, Row, Scan, State, StoreError};
use redb::ReadableTable;

use super::layout::{self, Record};
use super::{corrupt, failed};

/// The table, in a transaction that reads or in the one that writes.
pub(super) trait Table: ReadableTable<&'static [u8], &'static [u8]> {}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Table for T {}

pub(super) fn get(table: &impl Table, place: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let found = table.get(place).map_err(|error| failed("read", error))?;
    Ok(found.map(|guard| guard.value().to_vec()))
}

pub(super) fn row(table: &impl Table, key: &Key) -> Result<Option<Row>, StoreError> {
    get(table, &layout::cell(key))?.map(|bytes| decode(key, &bytes)).transpose()
}

fn decode(key: &Key, bytes: &[u8]) -> Result<Row, StoreError> {
    let row = match key.collection().kind {
        Kind::Records => Record::read(bytes).map(|Record { version, body, .. }| Row::Record {
            key: key.clone(),
            version,
            body,
        }),
        Kind::Counters => layout::read_units(bytes).map(|units| Row::Counter { key: key.clone(), units }),
        Kind::Streams => {
            layout::read_end(bytes).map(|(position, link)| Row::Stream { key: key.clone(), position, link })
        }
    };
    row.ok_or_else(|| corrupt(key))
}

/// What a key holds, for callers.
pub(super) fn cell(table: &impl Table, key: &Key) -> Result<Option<Cell>, StoreError> {
    Ok(row(table, key)?.map(|row| match row {
        Row::Record { version, body, .. } => Cell::Record { version, body },
        Row::Counter { units, .. } => Cell::Counter(units),
        Row::Stream { position, link, .. } | Row::Entry { position, link, .. } => {
            Cell::Stream { position, link }
        }
    }))
}

/// What a key holds, for the rules of a commit.
pub(super) fn state(table: &impl Table, key: &Key) -> Result<State, StoreError> {
    Ok(match cell(table, key)? {
        None => State::Absent,
        Some(Cell::Record { version, .. }) => State::Record(version),
        Some(Cell::Counter(units)) => State::Counter(units),
        Some(Cell::Stream { position, link }) => State::Stream { position, link },
    })
}

/// One page.
pub(super) fn scan(table: &impl Table, scan: &Scan) -> Result<Page, StoreError> {
    let collection = scan.collection();
    // The first key of the scan, the first key beyond it, and where its cursor stands.
    let cursor = scan.cursor();
    let (mut low, mut high, after) = match scan.by_what() {
        By::Id { prefix } => {
            let start = layout::cells(collection);
            let low = [&start, prefix.as_bytes()].concat();
            let after = cursor.map(|cursor| [&start, cursor.id().as_bytes()].concat());
            (low.clone(), layout::end_of(low), after)
        }
        By::Entries { stream } => {
            let low = layout::entries(stream);
            let after = cursor.map(|cursor| layout::entry(stream, cursor.position()));
            (low.clone(), layout::end_of(low), after)
        }
        By::Index { index, equal, from, until } => {
            let start = layout::index(collection, index, equal);
            let (mut low, mut high) = (start.clone(), layout::end_of(start.clone()));
            if let Some(from) = from {
                layout::push(&mut low, from);
            }
            if let Some(until) = until {
                high = start;
                layout::push(&mut high, until);
            }
            let after = cursor.map(|cursor| {
                [&layout::index(collection, index, cursor.values()), cursor.id().as_bytes()].concat()
            });
            (low, high, after)
        }
    };
    match (scan.direction(), after) {
        (_, None) => {}
        (Direction::Forward, Some(mut after)) => {
            // No key continues another one with a zero byte: this is the next that can be.
            after.push(0);
            low = low.max(after);
        }
        (Direction::Backward, Some(after)) => high = high.min(after),
    }
    let mut page = Page { rows: Vec::new(), next: None };
    if low >= high {
        return Ok(page);
    }
    let mut pairs = table.range(&low[..]..&high[..]).map_err(|error| failed("scan", error))?;
    let mut last = None;
    while let Some(pair) = match scan.direction() {
        Direction::Forward => pairs.next(),
        Direction::Backward => pairs.next_back(),
    } {
        let (place, bytes) = pair.map_err(|error| failed("scan", error))?;
        if page.rows.len() == scan.rows() {
            page.next = last;
            break;
        }
        let (cursor, row) = found(table, scan, place.value(), bytes.value())?;
        page.rows.push(row);
        last = Some(cursor);
    }
    Ok(page)
}

/// The row that a key and its value stand for, and the cursor after it.
fn found(table: &impl Table, scan: &Scan, place: &[u8], bytes: &[u8]) -> Result<(Cursor, Row), StoreError> {
    let collection = scan.collection();
    let key = |id: &[u8]| std::str::from_utf8(id).ok().and_then(|id| Key::new(collection, id).ok());
    match scan.by_what() {
        By::Id { .. } => {
            let id = place.strip_prefix(&layout::cells(collection)[..]);
            let key = id.and_then(key).ok_or_else(|| corrupt(collection.name))?;
            Ok((Cursor::after_id(key.id()), decode(&key, bytes)?))
        }
        By::Entries { stream } => {
            let position = place.strip_prefix(&layout::entries(stream)[..]).and_then(layout::read_number);
            let entry = position.zip(layout::read_entry(bytes));
            let (position, (link, body)) = entry.ok_or_else(|| corrupt(stream))?;
            Ok((Cursor::after_position(position), Row::Entry { position, body, link }))
        }
        By::Index { index, .. } => {
            let key = key(bytes).ok_or_else(|| corrupt(index.name))?;
            // The transaction is a snapshot, so the record is there, with the values of the entry.
            let stored = get(table, &layout::cell(&key))?;
            let record = stored.and_then(|bytes| Record::read(&bytes)).ok_or_else(|| corrupt(&key))?;
            let values = layout::indexed(collection, index, &record.values).ok_or_else(|| corrupt(&key))?;
            let cursor = Cursor::after_indexed(values, key.id());
            Ok((cursor, Row::Record { key, version: record.version, body: record.body }))
        }
    }
}
