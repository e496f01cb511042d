//! The prepared collections with their SQL.

use std::collections::HashMap;

use i3_core::store::{Collection, Kind, Schema, StoreErrorKind};

use super::error::Failure;
use crate::scan::{joined, quoted};

/// The collections of the last prepared schema.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    tables: HashMap<&'static str, Table>,
}

impl Catalog {
    /// The catalog of a schema.
    pub(super) fn of(schema: &Schema) -> Self {
        let tables = schema.collections().iter().map(|&collection| (collection.name, Table::of(collection)));
        Self { tables: tables.collect() }
    }

    /// The table of a collection.
    /// Whether the last schema has a collection of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.tables.contains_key(name)
    }

    pub(super) fn table(&self, collection: &'static Collection) -> Result<&Table, Failure> {
        let table = self
            .tables
            .get(collection.name)
            .filter(|table| std::ptr::eq(table.collection, collection) || table.collection == collection);
        table.ok_or_else(|| {
            let message = format!("the collection `{}` was not prepared", collection.name);
            Failure::new(StoreErrorKind::Unsupported, message)
        })
    }
}

/// One collection's SQL. The texts never change, so that a connection compiles each once.
///
/// One row a statement: on groups of 1 to 64 purchases that was faster than lists of rows as JSON
/// (`docs/decisions/0007`).
#[derive(Debug)]
pub(super) struct Table {
    collection: &'static Collection,
    /// From an id to what preconditions are checked against: a version, a count, or a position and a link.
    pub(super) state: String,
    /// From an id to the present value: version and body, count, or position and link.
    pub(super) read: String,
    /// Stores a row: `id, version, body, columns…`; `id, n`; or `id, position, body, link`.
    pub(super) put: String,
    /// Removes a record by its id.
    pub(super) remove: String,
}

impl Table {
    fn of(collection: &'static Collection) -> Self {
        let table = quoted(collection.name);
        let find = |columns: &str| format!("SELECT {columns} FROM {table} WHERE \"id\" = ?");
        let (state, read, put) = match collection.kind {
            Kind::Records => {
                let mut columns = vec!["version", "body"];
                columns.extend(collection.columns.iter().map(|column| column.name));
                (find("\"version\""), find("\"version\", \"body\""), upsert(&table, &columns))
            }
            Kind::Counters => (find("\"n\""), find("\"n\""), upsert(&table, &["n"])),
            Kind::Streams => {
                let end = find("\"position\", \"link\"") + " ORDER BY \"position\" DESC LIMIT 1";
                // No upsert: an entry is never overwritten.
                (end.clone(), end, insert(&table, &["position", "body", "link"]))
            }
        };
        let remove = format!("DELETE FROM {table} WHERE \"id\" = ?");
        Self { collection, state, read, put, remove }
    }
}

fn insert(table: &str, columns: &[&str]) -> String {
    let names = joined(columns, "", |column| format!(", {}", quoted(column)));
    let values = joined(columns, "", |_| ", ?".to_owned());
    format!("INSERT INTO {table}(\"id\"{names}) VALUES (?{values})")
}

fn upsert(table: &str, columns: &[&str]) -> String {
    let sets = joined(columns, ", ", |name| format!("{0} = excluded.{0}", quoted(name)));
    format!("{} ON CONFLICT(\"id\") DO UPDATE SET {sets}", insert(table, columns))
}
