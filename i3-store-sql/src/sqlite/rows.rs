//! From SQLite's rows to the contract's values. What cannot have been written is corruption.

use i3_core::store::{
    Body, By, Cell, ColumnKind, Cursor, Digest, Index, Key, Kind, Row, Scan, State, Units, Value, Version,
};
use rusqlite::Row as Columns;

use super::error::Failure;

/// The present value, from a row of [`Table::read`](super::catalog::Table).
pub(super) fn cell(kind: Kind, row: &Columns<'_>) -> Result<Cell, Failure> {
    Ok(match kind {
        Kind::Records => Cell::Record { version: version(row, 0)?, body: body(row, 1)? },
        Kind::Counters => Cell::Counter(units(row, 0)?),
        Kind::Streams => Cell::Stream { position: position(row, 0)?, link: link(row, 1)? },
    })
}

/// What preconditions are checked against, from a row of [`Table::state`](super::catalog::Table).
pub(super) fn state(kind: Kind, row: &Columns<'_>) -> Result<State, Failure> {
    Ok(match kind {
        Kind::Records => State::Record(version(row, 0)?),
        Kind::Counters => State::Counter(units(row, 0)?),
        Kind::Streams => State::Stream { position: position(row, 0)?, link: link(row, 1)? },
    })
}

/// A row of a scan's query, whose columns [`plan`](crate::scan::plan) tells, and the cursor after it.
pub(super) fn scanned(
    scan: &Scan,
    index: Option<&Index>,
    row: &Columns<'_>,
) -> Result<(Row, Cursor), Failure> {
    let collection = scan.collection();
    if let By::Entries { .. } = scan.by_what() {
        let position = position(row, 0)?;
        let entry = Row::Entry { position, body: body(row, 1)?, link: link(row, 2)? };
        return Ok((entry, Cursor::after_position(position)));
    }
    let id = text(row, 0)?;
    let key = Key::new(collection, id).map_err(|_| Failure::corrupt("an id that is no key"))?;
    let found = match collection.kind {
        Kind::Records => Row::Record { key, version: version(row, 1)?, body: body(row, 2)? },
        Kind::Counters => Row::Counter { key, units: units(row, 1)? },
        Kind::Streams => Row::Stream { key, position: position(row, 1)?, link: link(row, 2)? },
    };
    let Some(index) = index else { return Ok((found, Cursor::after_id(id))) };
    let mut values = Vec::with_capacity(index.columns.len());
    for (place, name) in (3..).zip(index.columns) {
        let column = collection.columns.iter().find(|column| column.name == *name);
        values.push(match column.map(|column| column.kind) {
            Some(ColumnKind::Text) => Value::Text(text(row, place)?.to_owned()),
            _ => Value::Int(row.get(place)?),
        });
    }
    Ok((found, Cursor::after_indexed(values, id)))
}

fn text<'r>(row: &'r Columns<'_>, place: usize) -> Result<&'r str, Failure> {
    row.get_ref(place)?.as_str().map_err(|_| Failure::corrupt("a text that is none"))
}

fn version(row: &Columns<'_>, place: usize) -> Result<Version, Failure> {
    let version = u64::try_from(row.get::<_, i64>(place)?).ok().and_then(Version::from_number);
    version.ok_or_else(|| Failure::corrupt("a version that is no positive number"))
}

fn units(row: &Columns<'_>, place: usize) -> Result<Units, Failure> {
    Units::new(row.get(place)?).map_err(|_| Failure::corrupt("a counter out of range"))
}

fn position(row: &Columns<'_>, place: usize) -> Result<u64, Failure> {
    u64::try_from(row.get::<_, i64>(place)?).map_err(|_| Failure::corrupt("a negative position in a stream"))
}

fn link(row: &Columns<'_>, place: usize) -> Result<Digest, Failure> {
    text(row, place)?.parse().map_err(|_| Failure::corrupt("a link that is no digest"))
}

fn body(row: &Columns<'_>, place: usize) -> Result<Body, Failure> {
    Body::new(text(row, place)?).map_err(|_| Failure::corrupt("a body that is too long"))
}
