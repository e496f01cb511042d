//! From rows to the contract's values. What cannot have been written is corruption.

use std::collections::HashMap;

use i3_core::store::{
    Body, By, Cell, Cursor, Digest, Key, Kind, Page, Row, Scan, State, Units, Value, Version,
};

use super::{Catalog, Failure};

/// What is found under a key.
#[derive(Debug)]
pub(crate) struct Found {
    /// The place of its collection in the catalog.
    pub(crate) place: usize,
    /// Its id.
    pub(crate) id: String,
    /// A record's version, a counter's number, a stream's last position.
    pub(crate) number: i64,
    /// A record's body (not needed for its state), a stream's last link.
    pub(crate) text: Option<String>,
}

impl Found {
    /// What preconditions are checked against.
    pub(super) fn state(&self, kind: Kind) -> Result<State, Failure> {
        Ok(match kind {
            Kind::Records => State::Record(version(self.number)?),
            Kind::Counters => State::Counter(units(self.number)?),
            Kind::Streams => {
                State::Stream { position: position(self.number)?, link: link(self.text.as_deref())? }
            }
        })
    }

    fn cell(self, kind: Kind) -> Result<Cell, Failure> {
        Ok(match kind {
            Kind::Records => Cell::Record { version: version(self.number)?, body: body(self.text)? },
            Kind::Counters => Cell::Counter(units(self.number)?),
            Kind::Streams => {
                Cell::Stream { position: position(self.number)?, link: link(self.text.as_deref())? }
            }
        })
    }
}

/// The cells of these keys, in their order.
pub(crate) fn cells(
    catalog: &Catalog,
    keys: &[Key],
    found: impl IntoIterator<Item = Found>,
) -> Result<Vec<Option<Cell>>, Failure> {
    if let [key] = keys {
        let found = found.into_iter().next();
        return Ok(vec![found.map(|found| found.cell(key.collection().kind)).transpose()?]);
    }
    let mut cells: Vec<HashMap<String, Cell>> = vec![HashMap::new(); catalog.collections().len()];
    for mut row in found {
        if let (Some(collection), Some(cells)) =
            (catalog.collections().get(row.place), cells.get_mut(row.place))
        {
            let id = std::mem::take(&mut row.id);
            cells.insert(id, row.cell(collection.kind)?);
        }
    }
    let cell = |key: &Key| {
        let place = catalog.place(key.collection())?;
        Ok(cells.get(place).and_then(|cells| cells.get(key.id())).cloned())
    };
    keys.iter().map(cell).collect()
}

/// A row of a scan's query, see [`Query`](crate::scan::Query) for its columns.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// The id; none in a scan of entries.
    pub(crate) id: Option<String>,
    /// A version, a count or a position.
    pub(crate) number: i64,
    /// A body; none for counters and the ends of streams.
    pub(crate) body: Option<String>,
    /// A link; only of streams.
    pub(crate) link: Option<String>,
    /// The values of the index's columns; only in a scan by index.
    pub(crate) values: Vec<Value>,
}

/// The page of the rows that were found, which may be one more than the page takes.
pub(crate) fn page(scan: &Scan, found: Vec<Scanned>) -> Result<Page, Failure> {
    let more = found.len() > scan.rows();
    let mut rows = Vec::with_capacity(found.len().min(scan.rows()));
    let mut next = None;
    for row in found.into_iter().take(scan.rows()) {
        let (row, cursor) = scanned(scan, row)?;
        rows.push(row);
        next = Some(cursor);
    }
    Ok(Page { rows, next: next.filter(|_| more) })
}

fn scanned(scan: &Scan, row: Scanned) -> Result<(Row, Cursor), Failure> {
    if let By::Entries { .. } = scan.by_what() {
        let position = position(row.number)?;
        let entry = Row::Entry { position, body: body(row.body)?, link: link(row.link.as_deref())? };
        return Ok((entry, Cursor::after_position(position)));
    }
    let id = row.id.unwrap_or_default();
    let key =
        Key::new(scan.collection(), id.as_str()).map_err(|_| Failure::corrupt("an id that is no key"))?;
    let found = match scan.collection().kind {
        Kind::Records => Row::Record { key, version: version(row.number)?, body: body(row.body)? },
        Kind::Counters => Row::Counter { key, units: units(row.number)? },
        Kind::Streams => {
            Row::Stream { key, position: position(row.number)?, link: link(row.link.as_deref())? }
        }
    };
    let cursor = match scan.by_what() {
        By::Index { .. } => Cursor::after_indexed(row.values, id),
        _ => Cursor::after_id(id),
    };
    Ok((found, cursor))
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
