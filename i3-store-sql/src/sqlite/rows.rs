//! From SQLite's rows to the contract's values. What cannot have been written is corruption.

use i3_core::store::{Body, Cell, Cursor, Digest, Index, Key, Kind, Row, Scan, State, Units, Value, Version};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::error::Failure;

/// A row of [`Table::read`](super::catalog::Table).
#[derive(Debug)]
pub(super) struct Found {
    pub(super) place: usize,
    pub(super) id: String,
    number: i64,
    text: Option<String>,
}

impl Found {
    pub(super) fn of(row: &SqliteRow) -> Result<Self, Failure> {
        Ok(Self { place: place(row)?, id: row.try_get(1)?, number: row.try_get(2)?, text: row.try_get(3)? })
    }

    /// The present value.
    pub(super) fn cell(self, kind: Kind) -> Result<Cell, Failure> {
        Ok(match kind {
            Kind::Records => Cell::Record { version: version(self.number)?, body: body(self.text)? },
            Kind::Counters => Cell::Counter(units(self.number)?),
            Kind::Streams => {
                Cell::Stream { position: position(self.number)?, link: link(self.text.as_deref())? }
            }
        })
    }
}

/// The place of the table that a row is of.
pub(super) fn place(row: &SqliteRow) -> Result<usize, Failure> {
    let place: i64 = row.try_get(0)?;
    usize::try_from(place).map_err(|_| Failure::corrupt("a row of no table"))
}

/// What preconditions are checked against.
pub(super) fn state(kind: Kind, number: i64, text: Option<&str>) -> Result<State, Failure> {
    Ok(match kind {
        Kind::Records => State::Record(version(number)?),
        Kind::Counters => State::Counter(units(number)?),
        Kind::Streams => State::Stream { position: position(number)?, link: link(text)? },
    })
}

/// A row of a scan's query, whose columns [`plan`](crate::scan::plan) tells, and the cursor after it.
pub(super) fn scanned(scan: &Scan, index: Option<&Index>, row: &SqliteRow) -> Result<(Row, Cursor), Failure> {
    let collection = scan.collection();
    if let i3_core::store::By::Entries { .. } = scan.by_what() {
        let position = position(row.try_get(0)?)?;
        let entry = Row::Entry {
            position,
            body: body(row.try_get(1)?)?,
            link: link(row.try_get::<Option<&str>, _>(2)?)?,
        };
        return Ok((entry, Cursor::after_position(position)));
    }
    let id: String = row.try_get(0)?;
    let key = Key::new(collection, id.as_str()).map_err(|_| Failure::corrupt("an id that is no key"))?;
    let found = match collection.kind {
        Kind::Records => {
            Row::Record { key, version: version(row.try_get(1)?)?, body: body(row.try_get(2)?)? }
        }
        Kind::Counters => Row::Counter { key, units: units(row.try_get(1)?)? },
        Kind::Streams => Row::Stream {
            key,
            position: position(row.try_get(1)?)?,
            link: link(row.try_get::<Option<&str>, _>(2)?)?,
        },
    };
    let Some(index) = index else { return Ok((found, Cursor::after_id(id))) };
    let mut values = Vec::with_capacity(index.columns.len());
    for (place, name) in index.columns.iter().enumerate() {
        let column = collection.columns.iter().find(|column| column.name == *name);
        values.push(match column.map(|column| column.kind) {
            Some(i3_core::store::ColumnKind::Text) => Value::Text(row.try_get(3 + place)?),
            _ => Value::Int(row.try_get(3 + place)?),
        });
    }
    Ok((found, Cursor::after_indexed(values, id)))
}

fn version(number: i64) -> Result<Version, Failure> {
    let version = u64::try_from(number).ok().and_then(Version::from_number);
    version.ok_or_else(|| Failure::corrupt("a version that is no positive number"))
}

fn units(number: i64) -> Result<Units, Failure> {
    Units::new(number).map_err(|_| Failure::corrupt("a counter out of range"))
}

fn position(number: i64) -> Result<u64, Failure> {
    u64::try_from(number).map_err(|_| Failure::corrupt("a negative position in a stream"))
}

fn link(text: Option<&str>) -> Result<Digest, Failure> {
    let link = text.and_then(|text| text.parse().ok());
    link.ok_or_else(|| Failure::corrupt("a link that is no digest"))
}

fn body(text: Option<String>) -> Result<Body, Failure> {
    let body = text.and_then(|text| Body::new(text).ok());
    body.ok_or_else(|| Failure::corrupt("a body that is too long or missing"))
}
