//! How everything lies in one ordered table of bytes.
//!
//! | key | value |
//! | --- | --- |
//! | `r` collection 0 id | version, column values, body |
//! | `i` collection 0 index 0 values id | the id |
//! | `c` collection 0 id | units |
//! | `s` collection 0 id | position and link of the last entry |
//! | `e` collection 0 id 0 position | link, body |
//! | `schema`, `clock` | of the store itself |
//!
//! Texts end with a zero byte, which the contract keeps out of every text, and integers are eight bytes with
//! the sign flipped: so the order of the bytes is the order that the contract wants.

use i3_core::store::{Body, Collection, Digest, Draft, Index, Key, Kind, Units, Value, Version};

pub(super) const SCHEMA: &[u8] = b"schema";
pub(super) const CLOCK: &[u8] = b"clock";

fn space(tag: u8, collection: &Collection) -> Vec<u8> {
    [&[tag], collection.name.as_bytes(), &[0]].concat()
}

/// What the keys of a collection's records, counters or stream ends start with.
pub(super) fn cells(collection: &Collection) -> Vec<u8> {
    let tag = match collection.kind {
        Kind::Records => b'r',
        Kind::Counters => b'c',
        Kind::Streams => b's',
    };
    space(tag, collection)
}

/// Where a record, counter or stream's end is.
pub(super) fn cell(key: &Key) -> Vec<u8> {
    [&cells(key.collection()), key.id().as_bytes()].concat()
}

/// What the keys of a stream's entries start with.
pub(super) fn entries(stream: &Key) -> Vec<u8> {
    [&space(b'e', stream.collection()), stream.id().as_bytes(), &[0]].concat()
}

pub(super) fn entry(stream: &Key, position: u64) -> Vec<u8> {
    [&entries(stream)[..], &position.to_be_bytes()].concat()
}

/// What the keys of an index start with whose leading columns have these values.
pub(super) fn index<'v>(
    collection: &Collection,
    index: &Index,
    values: impl IntoIterator<Item = &'v Value>,
) -> Vec<u8> {
    let mut bytes = [&space(b'i', collection), index.name.as_bytes(), &[0]].concat();
    for value in values {
        push(&mut bytes, value);
    }
    bytes
}

pub(super) fn push(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Int(number) => bytes.extend((number.cast_unsigned() ^ (1 << 63)).to_be_bytes()),
        Value::Text(text) => bytes.extend([text.as_bytes(), &[0]].concat()),
    }
}

/// The values of an index's columns, if the record has them all.
pub(super) fn indexed(
    collection: &Collection,
    index: &Index,
    values: &[Option<Value>],
) -> Option<Vec<Value>> {
    index.columns.iter().map(|column| values.get(collection.column(column)?)?.clone()).collect()
}

/// Where a record stands in its collection's indexes.
pub(super) fn index_entries(key: &Key, values: &[Option<Value>]) -> Vec<Vec<u8>> {
    let collection = key.collection();
    let place = |of: &Index| {
        let values = indexed(collection, of, values)?;
        Some([&index(collection, of, &values), key.id().as_bytes()].concat())
    };
    collection.indexes.iter().filter_map(place).collect()
}

/// The first key after all that start so.
pub(super) fn end_of(mut start: Vec<u8>) -> Vec<u8> {
    while start.pop_if(|last| *last == u8::MAX).is_some() {}
    if let Some(last) = start.last_mut() {
        *last += 1;
    }
    start
}

/// A record as it is stored.
pub(super) struct Record {
    pub(super) version: Version,
    pub(super) values: Vec<Option<Value>>,
    pub(super) body: Body,
}

impl Record {
    pub(super) fn write(version: Version, draft: &Draft) -> Result<Vec<u8>, serde_json::Error> {
        let values = serde_json::to_vec(draft.values())?;
        let length = u32::try_from(values.len()).unwrap_or(u32::MAX).to_be_bytes();
        let version = version.number().to_be_bytes();
        Ok([&version[..], &length, &values, draft.body().as_str().as_bytes()].concat())
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (values, body) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        Some(Self {
            version: Version::from_number(u64::from_be_bytes(*version))?,
            values: serde_json::from_slice(values).ok()?,
            body: read_body(body)?,
        })
    }
}

fn read_body(bytes: &[u8]) -> Option<Body> {
    Body::new(std::str::from_utf8(bytes).ok()?).ok()
}

pub(super) fn read_number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

pub(super) fn read_units(bytes: &[u8]) -> Option<Units> {
    Units::new(i64::from_be_bytes(bytes.try_into().ok()?)).ok()
}

pub(super) fn write_end(position: u64, link: &Digest) -> Vec<u8> {
    [&position.to_be_bytes()[..], link.as_bytes()].concat()
}

pub(super) fn read_end(bytes: &[u8]) -> Option<(u64, Digest)> {
    let (position, link) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*position), Digest::from_bytes(link.try_into().ok()?)))
}

pub(super) fn write_entry(link: &Digest, body: &Body) -> Vec<u8> {
    [&link.as_bytes()[..], body.as_str().as_bytes()].concat()
}

pub(super) fn read_entry(bytes: &[u8]) -> Option<(Digest, Body)> {
    let (link, body) = bytes.split_first_chunk()?;
    Some((Digest::from_bytes(*link), read_body(body)?))
}
