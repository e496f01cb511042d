//! What the file says about itself, and how it comes to hold the declared tables.

use std::collections::HashMap;

use i3_core::store::{Collection, ColumnKind, Kind, Schema, StoreErrorKind};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::Failure;
use crate::description::Description;
use crate::scan::{joined, quoted};

/// The layout of the tables that this software writes.
const FORMAT: i64 = 1;

/// Names with a leading underscore cannot be names of collections.
const OWN_TABLES: &str = "
    CREATE TABLE \"_i3_store\" (
        \"one\" INTEGER PRIMARY KEY CHECK (\"one\" = 1),
        \"format\" INTEGER NOT NULL,   -- the layout of the tables
        \"revision\" INTEGER NOT NULL, -- the schema's
        \"clock\" INTEGER NOT NULL     -- batches committed so far: the last version that was given
    ) STRICT;
    CREATE TABLE \"_i3_collections\" (
        \"name\" TEXT NOT NULL PRIMARY KEY,
        \"about\" TEXT NOT NULL,
        \"description\" TEXT NOT NULL  -- JSON: kind, columns, indexes
    ) STRICT, WITHOUT ROWID;
    INSERT INTO \"_i3_store\" VALUES (1, 1, 0, 0);
";

/// Makes a new file a store, or checks that it is one that this software can use.
pub(super) fn adopt(connection: &mut Connection) -> Result<(), Failure> {
    let transaction = begin(connection)?;
    let (tables, own): (i64, i64) = transaction.query_row(
        "SELECT count(*), coalesce(sum(\"name\" = '_i3_store'), 0) FROM sqlite_schema WHERE \"type\" = 'table'",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if tables == 0 {
        transaction.execute_batch(OWN_TABLES)?;
    } else if own == 0 {
        let message = "the file is the SQLite database of another program: choose another path";
        return Err(Failure::new(StoreErrorKind::Misconfigured, message));
    } else {
        let format: i64 =
            transaction.query_row("SELECT \"format\" FROM \"_i3_store\"", [], |row| row.get(0))?;
        if format != FORMAT {
            let message = format!(
                "the store has format {format}, this program knows format {FORMAT}: use a newer version"
            );
            return Err(Failure::new(StoreErrorKind::Incompatible, message));
        }
    }
    Ok(transaction.commit()?)
}

/// A transaction that no other process can come between, rolled back unless it is committed.
fn begin(connection: &mut Connection) -> Result<Transaction<'_>, Failure> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

/// Creates what the schema names and is missing, in one transaction. A stored collection stays as it is.
pub(super) fn prepare(connection: &mut Connection, schema: &Schema) -> Result<(), Failure> {
    let transaction = begin(connection)?;
    let stored: i64 =
        transaction.query_row("SELECT \"revision\" FROM \"_i3_store\"", [], |row| row.get(0))?;
    let wanted = i64::from(schema.revision());
    if stored > wanted {
        let message = format!(
            "the data are of revision {stored}, this program knows revision {wanted}: use a newer version"
        );
        return Err(Failure::new(StoreErrorKind::Incompatible, message));
    }
    let descriptions = descriptions(&transaction)?;
    for collection in schema.collections() {
        if collection.name.starts_with("sqlite_") {
            let message = format!("SQLite keeps names like `{}` for itself", collection.name);
            return Err(Failure::new(StoreErrorKind::Unsupported, message));
        }
        let description = Description::of(collection);
        if descriptions.get(collection.name).is_some_and(|stored| *stored != description) {
            let message =
                format!("the collection `{}` is stored with other columns or indexes", collection.name);
            return Err(Failure::new(StoreErrorKind::Incompatible, message));
        }
        for statement in definition(collection) {
            transaction.execute(&statement, [])?;
        }
        let description = serde_json::to_string(&description)
            .map_err(|_| Failure::corrupt("a description cannot be written"))?;
        transaction.execute(
            "INSERT INTO \"_i3_collections\" VALUES (?, ?, ?) ON CONFLICT(\"name\") \
             DO UPDATE SET \"about\" = excluded.\"about\", \"description\" = excluded.\"description\"",
            (collection.name, collection.about, description),
        )?;
    }
    transaction.execute("UPDATE \"_i3_store\" SET \"revision\" = ?", [wanted])?;
    Ok(transaction.commit()?)
}

/// What is stored of collections, by their names.
/// The names of all collections that were ever prepared.
pub(super) fn names(connection: &Connection) -> Result<Vec<String>, Failure> {
    let mut statement = connection.prepare("SELECT \"name\" FROM \"_i3_collections\" ORDER BY \"name\"")?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

fn descriptions(connection: &Connection) -> Result<HashMap<String, Description>, Failure> {
    let mut descriptions = HashMap::new();
    let mut statement = connection.prepare("SELECT \"name\", \"description\" FROM \"_i3_collections\"")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, description): (String, String) = (row.get(0)?, row.get(1)?);
        let description: Description = serde_json::from_str(&description).map_err(|_| {
            Failure::corrupt(format!("the description of the collection `{name}` is not readable"))
        })?;
        descriptions.insert(name, description);
    }
    Ok(descriptions)
}

/// The statements that create a collection's table and its indexes.
fn definition(collection: &Collection) -> Vec<String> {
    let table = quoted(collection.name);
    let kind_of = |kind| match kind {
        ColumnKind::Text => "TEXT",
        ColumnKind::Int => "INTEGER",
    };
    // Text is compared by bytes: SQLite's default collation, BINARY. Without row ids a table is one tree
    // instead of two; on purchases both ways were equally fast.
    let (columns, options) = match collection.kind {
        Kind::Records => {
            let lifted = joined(collection.columns, "", |column| {
                format!(", {} {}", quoted(column.name), kind_of(column.kind))
            });
            let columns = format!(
                "\"id\" TEXT NOT NULL PRIMARY KEY, \"version\" INTEGER NOT NULL{lifted}, \"body\" TEXT NOT NULL"
            );
            (columns, "STRICT, WITHOUT ROWID")
        }
        Kind::Counters => {
            ("\"id\" TEXT NOT NULL PRIMARY KEY, \"n\" INTEGER NOT NULL".to_owned(), "STRICT, WITHOUT ROWID")
        }
        Kind::Streams => (
            "\"id\" TEXT NOT NULL, \"position\" INTEGER NOT NULL, \"body\" TEXT NOT NULL, \
             \"link\" TEXT NOT NULL, PRIMARY KEY (\"id\", \"position\")"
                .to_owned(),
            "STRICT, WITHOUT ROWID",
        ),
    };
    let mut statements = vec![format!("CREATE TABLE IF NOT EXISTS {table} ({columns}) {options}")];
    for index in collection.indexes {
        // Not partial, though records that lack a value are never looked for: the planner does not see that
        // a comparison of several columns with a cursor implies that they have values.
        // Indexes share one namespace; no name of a collection or index has a dot.
        let name = quoted(&format!("{}.{}", collection.name, index.name));
        let columns = joined(index.columns, "", |column| format!("{}, ", quoted(column)));
        statements.push(format!("CREATE INDEX IF NOT EXISTS {name} ON {table} ({columns}\"id\")"));
    }
    statements
}

#[cfg(test)]
mod tests {
    use i3_core::store::{Column, Index};

    use super::*;

    #[test]
    fn tables_are_laid_out_as_released_versions_did() {
        static OFFERS: Collection = Collection {
            name: "offers",
            kind: Kind::Records,
            about: "",
            columns: &[Column::text("seller"), Column::int("price")],
            indexes: &[Index { name: "by_price", columns: &["seller", "price"] }],
        };
        static STOCK: Collection =
            Collection { name: "stock", kind: Kind::Counters, about: "", columns: &[], indexes: &[] };
        static NEWS: Collection =
            Collection { name: "news", kind: Kind::Streams, about: "", columns: &[], indexes: &[] };
        let expected = [
            "CREATE TABLE IF NOT EXISTS \"offers\" (\"id\" TEXT NOT NULL PRIMARY KEY, \
             \"version\" INTEGER NOT NULL, \"seller\" TEXT, \"price\" INTEGER, \"body\" TEXT NOT NULL) \
             STRICT, WITHOUT ROWID",
            "CREATE INDEX IF NOT EXISTS \"offers.by_price\" ON \"offers\" (\"seller\", \"price\", \"id\")",
            "CREATE TABLE IF NOT EXISTS \"stock\" (\"id\" TEXT NOT NULL PRIMARY KEY, \"n\" INTEGER NOT NULL) \
             STRICT, WITHOUT ROWID",
            "CREATE TABLE IF NOT EXISTS \"news\" (\"id\" TEXT NOT NULL, \"position\" INTEGER NOT NULL, \
             \"body\" TEXT NOT NULL, \"link\" TEXT NOT NULL, PRIMARY KEY (\"id\", \"position\")) \
             STRICT, WITHOUT ROWID",
        ];
        assert_eq!([&OFFERS, &STOCK, &NEWS].into_iter().flat_map(definition).collect::<Vec<_>>(), expected);
    }
}
