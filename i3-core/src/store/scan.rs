//! Scans: one page at a time, by id, by index, or along a stream.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Body, Collection, Digest, Index, Key, Kind, Units, Value, Version, limits};

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Smallest first.
    #[default]
    Forward,
    /// Largest first.
    Backward,
}

/// What a scan goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The ids of a collection that start with this text, in order: records, counters, or the last
    /// entries of streams.
    Id {
        /// What the ids start with; empty for all.
        prefix: String,
    },
    /// The records that have a value for every column of the index, ordered by those values, then by id.
    Index {
        /// The index.
        index: &'static Index,
        /// The values of its leading columns.
        equal: Vec<Value>,
        /// The least value of the next column.
        from: Option<Value>,
        /// The value of the next column that is already beyond.
        until: Option<Value>,
    },
    /// The entries of one stream, by position.
    Entries {
        /// The stream.
        stream: Key,
    },
}

/// A request for one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    collection: &'static Collection,
    by: By,
    direction: Direction,
    after: Option<Cursor>,
    limit: usize,
}

/// A scan that makes no sense for its collection, or a cursor of another scan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a possible scan: {0}")]
pub struct InvalidScan(&'static str);

impl Scan {
    /// A scan of a whole collection by id.
    pub fn ids(collection: &'static Collection) -> Self {
        Self::by(collection, By::Id { prefix: String::new() })
    }

    /// A scan of the ids that start with this text.
    pub fn prefix(collection: &'static Collection, prefix: impl Into<String>) -> Self {
        Self::by(collection, By::Id { prefix: prefix.into() })
    }

    /// A scan of the records whose leading columns of the named index have these values.
    pub fn index(
        collection: &'static Collection,
        index: &str,
        equal: Vec<Value>,
    ) -> Result<Self, InvalidScan> {
        let index = collection.index(index).ok_or(InvalidScan("no such index"))?;
        if equal.len() > index.columns.len() {
            return Err(InvalidScan("more values than columns"));
        }
        for (column, value) in index.columns.iter().zip(&equal) {
            check(collection, column, value)?;
        }
        Ok(Self::by(collection, By::Index { index, equal, from: None, until: None }))
    }

    /// A scan along a stream.
    pub fn entries(stream: Key) -> Result<Self, InvalidScan> {
        if stream.collection().kind != Kind::Streams {
            return Err(InvalidScan("not a stream"));
        }
        Ok(Self::by(stream.collection(), By::Entries { stream }))
    }

    fn by(collection: &'static Collection, by: By) -> Self {
        Self { collection, by, direction: Direction::Forward, after: None, limit: 100 }
    }

    /// Bounds the column after the equal ones: at least `from`, less than `until`.
    pub fn range(mut self, from: Option<Value>, until: Option<Value>) -> Result<Self, InvalidScan> {
        let By::Index { index, equal, from: low, until: high } = &mut self.by else {
            return Err(InvalidScan("only an index has a range"));
        };
        let column = index.columns.get(equal.len()).ok_or(InvalidScan("no column is left for the range"))?;
        for value in from.iter().chain(&until) {
            check(self.collection, column, value)?;
        }
        (*low, *high) = (from, until);
        Ok(self)
    }

    /// Largest first.
    pub fn backward(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// At most this many rows: 1 to [`limits::PAGE_ROWS`].
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit.clamp(1, limits::PAGE_ROWS);
        self
    }

    /// Goes on where an earlier page of the same scan ended.
    pub fn after(mut self, cursor: Cursor) -> Result<Self, InvalidScan> {
        let fits = match &self.by {
            By::Id { .. } => cursor.values.is_empty() && cursor.position.is_none(),
            By::Entries { .. } => cursor.values.is_empty() && cursor.position.is_some(),
            By::Index { index, .. } => {
                cursor.position.is_none()
                    && cursor.values.len() == index.columns.len()
                    && index
                        .columns
                        .iter()
                        .zip(&cursor.values)
                        .all(|(column, value)| check(self.collection, column, value).is_ok())
            }
        };
        if !fits {
            return Err(InvalidScan("the cursor is of another scan"));
        }
        self.after = Some(cursor);
        Ok(self)
    }

    /// The collection.
    pub fn collection(&self) -> &'static Collection {
        self.collection
    }

    /// What it goes through.
    pub fn by_what(&self) -> &By {
        &self.by
    }

    /// Which way.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Where it goes on.
    pub fn cursor(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }

    /// How many rows at most.
    pub fn rows(&self) -> usize {
        self.limit
    }
}

fn check(collection: &Collection, column: &str, value: &Value) -> Result<(), InvalidScan> {
    let kind = collection.columns.iter().find(|known| known.name == column).map(|column| column.kind);
    if kind == Some(value.kind()) && value.is_storable() {
        Ok(())
    } else {
        Err(InvalidScan("a value does not fit its column"))
    }
}

/// Where a page ended. Its text form is opaque and safe in a URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    #[serde(rename = "v", default, skip_serializing_if = "Vec::is_empty")]
    values: Vec<Value>,
    #[serde(rename = "i", default, skip_serializing_if = "String::is_empty")]
    id: String,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
}

/// A text that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this service")]
pub struct InvalidCursor;

impl Cursor {
    /// After the row with this id.
    pub fn after_id(id: impl Into<String>) -> Self {
        Self { values: Vec::new(), id: id.into(), position: None }
    }

    /// After the row with these values of the index's columns and this id.
    pub fn after_indexed(values: Vec<Value>, id: impl Into<String>) -> Self {
        Self { values, id: id.into(), position: None }
    }

    /// After the entry at this position.
    pub fn after_position(position: u64) -> Self {
        Self { values: Vec::new(), id: String::new(), position: Some(position) }
    }

    /// The values of the index's columns.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The position; zero where the scan is not along a stream.
    pub fn position(&self) -> u64 {
        self.position.unwrap_or(0)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        f.write_str(&data_encoding::BASE64URL_NOPAD.encode(&json))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let json = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| InvalidCursor)?;
        let cursor: Self = serde_json::from_slice(&json).map_err(|_| InvalidCursor)?;
        if cursor.values.iter().all(Value::is_storable) && !cursor.id.contains('\0') {
            Ok(cursor)
        } else {
            Err(InvalidCursor)
        }
    }
}

/// One row of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// A record.
    Record {
        /// Its key.
        key: Key,
        /// Its version.
        version: Version,
        /// Its content.
        body: Body,
    },
    /// A counter.
    Counter {
        /// Its key.
        key: Key,
        /// What it holds.
        units: Units,
    },
    /// A stream's end.
    Stream {
        /// Its key.
        key: Key,
        /// The last entry's number.
        position: u64,
        /// The last entry's link.
        link: Digest,
    },
    /// A stream's entry.
    Entry {
        /// Its number.
        position: u64,
        /// Its content.
        body: Body,
        /// Its link.
        link: Digest,
    },
}

/// Rows, and where to go on if there may be more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The rows, in the order of the scan.
    pub rows: Vec<Row>,
    /// After the last row, if at least one more follows; `None` otherwise.
    pub next: Option<Cursor>,
}
