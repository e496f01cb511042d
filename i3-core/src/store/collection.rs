//! Declared collections: what a backend creates before anything is stored.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::limits;

/// What the keys of a collection hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Records: a version and a body.
    Records,
    /// Counters: one integer each.
    Counters,
    /// Streams: numbered entries, linked by digests.
    Streams,
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnKind {
    /// UTF-8 text, compared by bytes, at most [`limits::INDEX_TEXT_BYTES`] bytes, without NUL.
    Text,
    /// A signed 64-bit integer; points in time are microseconds.
    Int,
}

/// A typed value that is lifted out of a record's body, so that indexes (and an operator's own SQL) can
/// use it. A record may lack a value: then it does not appear in indexes over that column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Column {
    /// Lower-case letters and underscores. `id`, `version` and `body` are taken.
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnKind,
}

impl Column {
    /// A text column.
    pub const fn text(name: &'static str) -> Self {
        Self { name, kind: ColumnKind::Text }
    }

    /// An integer column.
    pub const fn int(name: &'static str) -> Self {
        Self { name, kind: ColumnKind::Int }
    }
}

/// An ordered list of columns to search by. Records with equal values are ordered by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Index {
    /// Its name, unique in the collection.
    pub name: &'static str,
    /// The columns, most significant first: one to four.
    pub columns: &'static [&'static str],
}

/// A set of records, counters or streams.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Collection {
    /// Lower-case letters and underscores; the table's name on SQL.
    pub name: &'static str,
    /// What its keys hold.
    pub kind: Kind,
    /// What it is for, in a few words, for operators.
    pub about: &'static str,
    /// Columns; only records have any.
    pub columns: &'static [Column],
    /// Indexes; only records have any.
    pub indexes: &'static [Index],
}

impl Collection {
    /// The index of this name.
    pub fn index(&self, name: &str) -> Option<&'static Index> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// Whether what is stored under one of these can be read under the other: all but what they are `about`.
    pub fn same_shape(&self, other: &Self) -> bool {
        (self.name, self.kind, self.columns, self.indexes)
            == (other.name, other.kind, other.columns, other.indexes)
    }

    /// The place of this column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// An integer.
    Int(i64),
    /// A text.
    Text(String),
}

impl Value {
    /// Its type.
    pub const fn kind(&self) -> ColumnKind {
        match self {
            Self::Int(_) => ColumnKind::Int,
            Self::Text(_) => ColumnKind::Text,
        }
    }

    /// Whether it may stand in an index.
    pub(super) fn is_storable(&self) -> bool {
        match self {
            Self::Int(_) => true,
            Self::Text(text) => text.len() <= limits::INDEX_TEXT_BYTES && !text.contains('\0'),
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// All collections of a program, with the revision of what it stores in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    revision: u32,
    collections: Vec<&'static Collection>,
}

/// A schema that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema is not usable: {0}")]
pub struct SchemaError(String);

impl Schema {
    /// A schema of these collections. Data of a higher `revision` are refused by [`prepare`](super::Store::prepare).
    pub fn new(revision: u32, collections: &[&'static Collection]) -> Result<Self, SchemaError> {
        let refuse = |what: &str, name: &str| Err(SchemaError(format!("{what} `{name}`")));
        for (place, collection) in collections.iter().enumerate() {
            if !is_plain_name(collection.name) {
                return refuse("bad collection name", collection.name);
            }
            if collections.iter().take(place).any(|other| other.name == collection.name) {
                return refuse("two collections are called", collection.name);
            }
            if collection.kind != Kind::Records
                && !(collection.columns.is_empty() && collection.indexes.is_empty())
            {
                return refuse("only records have columns:", collection.name);
            }
            for (place, column) in collection.columns.iter().enumerate() {
                let taken = matches!(column.name, "id" | "version" | "body")
                    || collection.columns.iter().take(place).any(|other| other.name == column.name);
                if taken || !is_plain_name(column.name) {
                    return refuse("bad column name", column.name);
                }
            }
            for (place, index) in collection.indexes.iter().enumerate() {
                let taken = collection.indexes.iter().take(place).any(|other| other.name == index.name);
                let known = index.columns.iter().all(|column| collection.column(column).is_some());
                if taken || !known || !is_plain_name(index.name) || !(1..=4).contains(&index.columns.len()) {
                    return refuse("bad index", index.name);
                }
            }
        }
        Ok(Self { revision, collections: collections.to_vec() })
    }

    /// The revision of what is stored.
    pub const fn revision(&self) -> u32 {
        self.revision
    }

    /// The collections.
    pub fn collections(&self) -> &[&'static Collection] {
        &self.collections
    }

    /// The collection of this name.
    pub fn collection(&self, name: &str) -> Option<&'static Collection> {
        self.collections.iter().find(|collection| collection.name == name).copied()
    }
}

/// Lower-case letters, digits after the first and underscores: safe as a name in every SQL dialect.
fn is_plain_name(name: &str) -> bool {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    plain && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= 40
}
