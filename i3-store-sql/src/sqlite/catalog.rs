//! The prepared collections with their SQL.

use std::collections::HashMap;

use i3_core::store::{Collection, Key, Kind, Schema, StoreErrorKind};

use super::error::Failure;
use crate::scan::{joined, quoted};

/// The collections of the last prepared schema.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    tables: Vec<Table>,
    places: HashMap<&'static str, usize>,
}

impl Catalog {
    /// The catalog of a schema.
    pub(super) fn of(schema: &Schema) -> Self {
        let mut collections = schema.collections().to_vec();
        collections.sort_by_key(|collection| collection.name);
        let places = collections.iter().enumerate().map(|(place, collection)| (collection.name, place));
        Self {
            places: places.collect(),
            tables: collections.iter().enumerate().map(|(place, table)| Table::of(table, place)).collect(),
        }
    }

    /// The tables, by name; a table's place is its number here.
    pub(super) fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The place of a collection.
    pub(super) fn place(&self, collection: &'static Collection) -> Result<usize, Failure> {
        let place = self.places.get(collection.name).copied();
        let known = place.and_then(|place| self.tables.get(place)).is_some_and(|table| {
            std::ptr::eq(table.collection, collection) || table.collection == collection
        });
        place.filter(|_| known).ok_or_else(|| {
            let message = format!("the collection `{}` was not prepared", collection.name);
            Failure::new(StoreErrorKind::Unsupported, message)
        })
    }

    /// The table of a collection.
    pub(super) fn table(&self, collection: &'static Collection) -> Result<&Table, Failure> {
        let place = self.place(collection)?;
        self.tables
            .get(place)
            .ok_or_else(|| Failure::new(StoreErrorKind::Unsupported, "the collection was not prepared"))
    }

    /// The ids of these keys by the places of their tables, each list in order and without repetition.
    pub(super) fn by_table<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k Key>,
    ) -> Result<Vec<Vec<&'k str>>, Failure> {
        let mut ids: Vec<Vec<&str>> = vec![Vec::new(); self.tables.len()];
        for key in keys {
            if let Some(list) = ids.get_mut(self.place(key.collection())?) {
                list.push(key.id());
            }
        }
        for list in &mut ids {
            list.sort_unstable();
            list.dedup();
        }
        Ok(ids)
    }
}

/// One collection's SQL. The texts never change, so that SQLite compiles each once per connection.
///
/// Lists are passed as one JSON text, so that a statement takes any number of rows.
#[derive(Debug)]
pub(super) struct Table {
    /// What is stored.
    pub(super) collection: &'static Collection,
    /// `[id, …]` to one row of the table's place and `[[id, number, link], …]`, the number being a version,
    /// count or position. One row, because sqlx wakes the receiver for every row.
    pub(super) heads: String,
    /// `[id, …]` to rows of the table's place, id, number and text: a record's body or a stream's link.
    pub(super) read: String,
    /// One id to one row as of `read`.
    pub(super) read_one: String,
    /// Rows to store: `[[id, version, body, columns…], …]`, `[[id, n], …]`,
    /// `[[id, position, body, link], …]`.
    pub(super) put: String,
    /// `[id, …]` of records to remove.
    pub(super) remove: String,
}

impl Table {
    fn of(collection: &'static Collection, place: usize) -> Self {
        let table = quoted(collection.name);
        let listed = |columns: &str| {
            format!(
                "SELECT {place}, t.\"id\", {columns} FROM json_each(?) k CROSS JOIN {table} t \
                 ON t.\"id\" = k.value"
            )
        };
        let heads_of = |columns: &str, last: &str| {
            format!(
                "SELECT {place}, json_group_array(json_array(t.\"id\", {columns})) \
                 FROM json_each(?) k CROSS JOIN {table} t ON t.\"id\" = k.value{last}"
            )
        };
        let single =
            |columns: &str| format!("SELECT {place}, t.\"id\", {columns} FROM {table} t WHERE t.\"id\" = ?");
        let (heads, read, read_one, put) = match collection.kind {
            Kind::Records => {
                let mut columns = vec!["version", "body"];
                columns.extend(collection.columns.iter().map(|column| column.name));
                (
                    heads_of("t.\"version\", NULL", ""),
                    listed("t.\"version\", t.\"body\""),
                    single("t.\"version\", t.\"body\""),
                    upsert(&table, &columns),
                )
            }
            Kind::Counters => {
                let columns = "t.\"n\", NULL";
                (heads_of(columns, ""), listed(columns), single(columns), upsert(&table, &["n"]))
            }
            Kind::Streams => {
                let columns = "t.\"position\", t.\"link\"";
                let last = format!(
                    " AND t.\"position\" = (SELECT max(\"position\") FROM {table} WHERE \"id\" = k.value)"
                );
                let one = format!("{} ORDER BY t.\"position\" DESC LIMIT 1", single(columns));
                // No upsert: an entry is never overwritten.
                let put = insert(&table, &["position", "body", "link"]);
                (heads_of(columns, &last), listed(columns) + &last, one, put)
            }
        };
        let remove = format!("DELETE FROM {table} WHERE \"id\" IN (SELECT value FROM json_each(?))");
        Self { collection, heads, read, read_one, put, remove }
    }
}

fn insert(table: &str, columns: &[&str]) -> String {
    let names = joined(columns, "", |column| format!(", {}", quoted(column)));
    let values = joined(1..=columns.len(), "", |place| format!(", value ->> {place}"));
    format!("INSERT INTO {table}(\"id\"{names}) SELECT value ->> 0{values} FROM jsonb_each(?)")
}

fn upsert(table: &str, columns: &[&str]) -> String {
    let sets = joined(columns, ", ", |name| format!("{0} = excluded.{0}", quoted(name)));
    // `WHERE true` tells the parser that ON is no join condition.
    format!("{} WHERE true ON CONFLICT(\"id\") DO UPDATE SET {sets}", insert(table, columns))
}
