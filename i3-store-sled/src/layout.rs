//! How everything lies in the one tree: keys that sort as the contract wants, and what stands under them.
//!
//! | key | value |
//! | --- | --- |
//! | `r` collection 0 id | version, column values, body |
//! | `i` collection 0 index 0 values id | nothing |
//! | `c` collection 0 id | units |
//! | `s` collection 0 id | position and link of the last entry |
//! | `e` collection 0 id 0 position | link, body |
//! | 0 `format`, 0 `schema`, 0 `clock` | of the store itself |
//!
//! Texts in keys end with a zero byte, which the contract keeps out of every text: so a text sorts before
//! its continuations, and nothing need be escaped. Numbers in keys are ten digits of seven bits, most
//! significant first; signed ones have their sign bit flipped, so that they sort as numbers.
//!
//! Why not eight plain bytes: sled 0.34.7 iterates backward from a page to the one before it by a guess at
//! the greatest key that can be there (`possible_predecessor` in its `iter.rs`: four bytes 255). A key with
//! more than four bytes 255 in a row, as small negative numbers would have, lies beyond the guess, and the
//! iterator panics. No key of this layout has even one such byte.

use i3_core::store::{Body, Collection, ColumnKind, Digest, Draft, Index, Key, Kind, Units, Value, Version};

pub(crate) const FORMAT: &[u8] = b"\0format";
pub(crate) const SCHEMA: &[u8] = b"\0schema";
pub(crate) const CLOCK: &[u8] = b"\0clock";
/// The format that this module describes.
pub(crate) const FORMAT_NUMBER: &[u8] = b"1";

const SIGN: u64 = 1 << 63;
/// Digits of seven bits in a number of 64.
const DIGITS: u32 = 10;

fn space(tag: u8, collection: &Collection) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend_from_slice(collection.name.as_bytes());
    bytes.push(0);
    bytes
}

/// What the keys of a collection's records, counters or stream ends start with.
pub(crate) fn cells(collection: &Collection) -> Vec<u8> {
    let tag = match collection.kind {
        Kind::Records => b'r',
        Kind::Counters => b'c',
        Kind::Streams => b's',
    };
    space(tag, collection)
}

/// Where a record, counter or stream's end is.
pub(crate) fn cell(key: &Key) -> Vec<u8> {
    let mut bytes = cells(key.collection());
    bytes.extend_from_slice(key.id().as_bytes());
    bytes
}

/// What the keys of a stream's entries start with.
pub(crate) fn entries(stream: &Key) -> Vec<u8> {
    let mut bytes = space(b'e', stream.collection());
    bytes.extend_from_slice(stream.id().as_bytes());
    bytes.push(0);
    bytes
}

/// Where an entry is.
pub(crate) fn entry(stream: &Key, position: u64) -> Vec<u8> {
    let mut bytes = entries(stream);
    push_number(&mut bytes, position);
    bytes
}

/// What the keys of an index start with.
pub(crate) fn index(collection: &Collection, index: &Index) -> Vec<u8> {
    let mut bytes = space(b'i', collection);
    bytes.extend_from_slice(index.name.as_bytes());
    bytes.push(0);
    bytes
}

/// Adds a number in digits of seven bits.
fn push_number(bytes: &mut Vec<u8>, number: u64) {
    for digit in (0..DIGITS).rev() {
        let [lowest, ..] = (number >> (7 * digit)).to_le_bytes();
        bytes.push(lowest & 0x7f);
    }
}

/// Adds a value so that it sorts as the contract wants.
pub(crate) fn push_value(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Int(number) => push_number(bytes, number.cast_unsigned() ^ SIGN),
        Value::Text(text) => {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        }
    }
}

/// Where a record with these column values stands in an index; nowhere if it lacks one of them.
pub(crate) fn index_entry(
    collection: &Collection,
    of: &Index,
    values: &[Option<Value>],
    id: &str,
) -> Option<Vec<u8>> {
    let mut bytes = index(collection, of);
    for column in of.columns {
        push_value(&mut bytes, values.get(collection.column(column)?)?.as_ref()?);
    }
    bytes.extend_from_slice(id.as_bytes());
    Some(bytes)
}

/// Where a record stands in all indexes of its collection.
pub(crate) fn index_entries<'a>(
    collection: &'static Collection,
    values: &'a [Option<Value>],
    id: &'a str,
) -> impl Iterator<Item = Vec<u8>> + 'a {
    collection.indexes.iter().filter_map(move |index| index_entry(collection, index, values, id))
}

/// The least key that is greater than every key with this start. `None` if there is no such key.
pub(crate) fn after_all_of(mut start: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = start.pop() {
        if let Some(next) = last.checked_add(1) {
            start.push(next);
            return Some(start);
        }
    }
    None
}

/// Takes values off the front of bytes. `None` means that the bytes are not what was written.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A number in digits of seven bits.
    fn digits(&mut self) -> Option<u64> {
        let mut number: u64 = 0;
        for _ in 0..DIGITS {
            let [digit] = self.array()?;
            if digit > 0x7f || number > u64::MAX >> 7 {
                return None;
            }
            number = (number << 7) | u64::from(digit);
        }
        Some(number)
    }

    fn value(&mut self, kind: ColumnKind) -> Option<Value> {
        match kind {
            ColumnKind::Int => Some(Value::Int((self.digits()? ^ SIGN).cast_signed())),
            ColumnKind::Text => {
                let end = self.0.iter().position(|byte| *byte == 0)?;
                let (text, rest) = self.0.split_at_checked(end)?;
                self.0 = rest;
                let [0] = self.array()? else { return None };
                Some(Value::Text(std::str::from_utf8(text).ok()?.to_owned()))
            }
        }
    }

    fn rest(self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }
}

/// A record as it is stored.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) version: Version,
    pub(crate) values: Vec<Option<Value>>,
    pub(crate) body: Body,
}

impl Record {
    pub(crate) fn write(version: Version, draft: &Draft) -> Vec<u8> {
        let mut bytes = version.number().to_be_bytes().to_vec();
        for value in draft.values() {
            match value {
                None => bytes.push(0),
                Some(value) => {
                    bytes.push(1);
                    push_value(&mut bytes, value);
                }
            }
        }
        bytes.extend_from_slice(draft.body().as_str().as_bytes());
        bytes
    }

    pub(crate) fn read(collection: &Collection, bytes: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let version = Version::from_number(bytes.number()?)?;
        let mut values = Vec::with_capacity(collection.columns.len());
        for column in collection.columns {
            values.push(match bytes.array()? {
                [0] => None,
                [1] => Some(bytes.value(column.kind)?),
                _ => return None,
            });
        }
        Some(Self { version, values, body: Body::new(bytes.rest()?).ok()? })
    }
}

/// The version at the front of a record, without the rest.
pub(crate) fn version(bytes: &[u8]) -> Option<Version> {
    Version::from_number(Bytes(bytes).number()?)
}

pub(crate) fn write_units(units: Units) -> [u8; 8] {
    (units.get().cast_unsigned() ^ SIGN).to_be_bytes()
}

pub(crate) fn read_units(bytes: &[u8]) -> Option<Units> {
    Units::new((read_number(bytes)? ^ SIGN).cast_signed()).ok()
}

/// A number and nothing else.
pub(crate) fn read_number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

/// The position at the end of an entry's key.
pub(crate) fn read_position(bytes: &[u8]) -> Option<u64> {
    let mut bytes = Bytes(bytes);
    let position = bytes.digits()?;
    bytes.0.is_empty().then_some(position)
}

/// A stream's end.
pub(crate) fn write_end(position: u64, link: &Digest) -> Vec<u8> {
    [&position.to_be_bytes()[..], link.as_bytes()].concat()
}

pub(crate) fn read_end(bytes: &[u8]) -> Option<(u64, Digest)> {
    let mut bytes = Bytes(bytes);
    let (position, link) = (bytes.number()?, bytes.array()?);
    bytes.0.is_empty().then_some((position, Digest::from_bytes(link)))
}

pub(crate) fn write_entry(link: &Digest, body: &Body) -> Vec<u8> {
    [&link.as_bytes()[..], body.as_str().as_bytes()].concat()
}

pub(crate) fn read_entry(bytes: &[u8]) -> Option<(Digest, Body)> {
    let mut bytes = Bytes(bytes);
    let link = Digest::from_bytes(bytes.array()?);
    Some((link, Body::new(bytes.rest()?).ok()?))
}

/// The values and the id of an index entry, whose key starts with `start`.
pub(crate) fn read_index_entry(
    collection: &Collection,
    index: &Index,
    start: &[u8],
    key: &[u8],
) -> Option<(Vec<Value>, String)> {
    let mut bytes = Bytes(key.strip_prefix(start)?);
    let mut values = Vec::with_capacity(index.columns.len());
    for column in index.columns {
        let column = collection.columns.get(collection.column(column)?)?;
        values.push(bytes.value(column.kind)?);
    }
    Some((values, bytes.rest()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use i3_core::testkit::sample::ITEMS;

    use super::*;

    fn encoded(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_value(&mut bytes, value);
        bytes
    }

    #[test]
    fn encoded_values_sort_as_values_and_come_back() {
        let ints = [i64::MIN, -256, -1, 0, 1, 255, 1 << 53, i64::MAX].map(Value::Int);
        let texts = ["", "\u{1}", " ", "a", "a\u{1}", "aa", "b", "é", "😀", "\u{10ffff}"].map(Value::from);
        for (values, kind) in [(&ints[..], ColumnKind::Int), (&texts[..], ColumnKind::Text)] {
            for pair in values.windows(2) {
                assert!(encoded(&pair[0]) < encoded(&pair[1]), "{pair:?}");
            }
            for value in values {
                assert_eq!(Bytes(&encoded(value)).value(kind).as_ref(), Some(value));
                assert!(!encoded(value).contains(&255), "{value:?} has a byte that sled stumbles over");
            }
        }
    }

    #[test]
    fn sled_iterates_backward_from_zero_to_negative_numbers() {
        let db = sled::Config::new().temporary(true).open().unwrap();
        // As many below zero as from zero on, so that one of sled's pages begins at zero, and enough for
        // the page before it to begin within the negative numbers.
        for n in 0..200 {
            for number in [-1, 0] {
                let mut key = encoded(&Value::Int(number));
                key.extend_from_slice(format!("{n:03}").as_bytes());
                db.insert(key, &[]).unwrap();
            }
        }
        assert_eq!(db.iter().rev().map(Result::unwrap).count(), 400);
    }

    #[test]
    fn the_end_of_a_start_is_greater_than_all_that_start_so() {
        assert_eq!(after_all_of(vec![1, 2]), Some(vec![1, 3]));
        assert_eq!(after_all_of(vec![1, 255, 255]), Some(vec![2]));
        assert_eq!(after_all_of(vec![255]), None);
    }

    #[test]
    fn bytes_that_were_not_written_as_a_record_are_no_record() {
        let draft =
            Draft::new(&ITEMS, "a", vec![Some("o".into()), Some(5.into()), None, None], "{}").unwrap();
        let bytes = Record::write(Version::from_number(7).unwrap(), &draft);
        let record = Record::read(&ITEMS, &bytes).unwrap();
        assert_eq!((record.version.number(), &record.values[..]), (7, draft.values()));
        assert_eq!(record.body.as_str(), "{}");
        for length in 0..bytes.len() - 2 {
            assert!(Record::read(&ITEMS, &bytes[..length]).is_none(), "{length} bytes");
        }
        let mut other = bytes.clone();
        other[8] = 2;
        assert!(Record::read(&ITEMS, &other).is_none(), "a mark that is none");
    }
}
