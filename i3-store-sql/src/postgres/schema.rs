//! How a database comes to hold the declared tables.

use std::collections::HashMap;
use std::fmt::Write as _;

use i3_core::store::{Collection, ColumnKind, Digest, Kind, Schema, StoreErrorKind};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use super::connect::Target;
use crate::scan::{joined, quoted};
use crate::server::{Failure, changed, check_revision};

/// The steps from an empty schema to the present layout of the store's own tables. A step that was released
/// is never changed; `format` counts those that were taken. Names with a leading underscore cannot be
/// names of collections.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE \"_i3_store\" (
        \"one\" integer CONSTRAINT \"_i3_store.(one)\" PRIMARY KEY CHECK (\"one\" = 1),
        \"format\" bigint NOT NULL,
        \"revision\" bigint NOT NULL,
        \"clock\" bigint NOT NULL
    ) WITH (fillfactor = 10);
    COMMENT ON TABLE \"_i3_store\" IS 'one row about the whole store';
    COMMENT ON COLUMN \"_i3_store\".\"format\" IS 'migrations that were applied to the store''s own tables';
    COMMENT ON COLUMN \"_i3_store\".\"revision\" IS 'of the program''s schema';
    COMMENT ON COLUMN \"_i3_store\".\"clock\" IS 'batches committed so far: the last version that was given';
    CREATE TABLE \"_i3_collections\" (
        \"name\" text COLLATE \"C\" CONSTRAINT \"_i3_collections.(name)\" PRIMARY KEY,
        \"about\" text NOT NULL,
        \"description\" text NOT NULL
    );
    COMMENT ON TABLE \"_i3_collections\" IS 'the collections, each with a table of its name';
    COMMENT ON COLUMN \"_i3_collections\".\"description\" IS 'JSON: kind, columns, indexes';
    INSERT INTO \"_i3_store\" VALUES (1, 0, 0, 0);
"];

/// Keeps other processes out of migrations and `prepare` until the transaction ends.
const LOCK: &str = "SELECT pg_advisory_xact_lock(26931, hashtext(current_schema()))";

/// Makes an empty schema a store, or brings one to the present layout, or refuses it.
pub(super) async fn adopt(connection: &mut PgConnection, target: &Target) -> Result<(), Failure> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if let Some(schema) = &target.schema {
        let exists = sqlx::query("SELECT to_regnamespace($1) IS NOT NULL").bind(schema);
        if !exists.fetch_one(&mut *connection).await?.try_get::<bool, _>(0)? {
            // Two processes may do so at the same time, and then one fails in spite of IF NOT EXISTS.
            let mut transaction = connection.begin().await?;
            transaction.execute("SELECT pg_advisory_xact_lock(26931, 0)").await?;
            let create = format!("CREATE SCHEMA IF NOT EXISTS {}", quoted(schema));
            transaction.execute(AssertSqlSafe(create)).await?;
            transaction.commit().await?;
        }
    }
    if format(connection).await? == known {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    let place = sqlx::query("SELECT current_schema()::text").fetch_one(&mut *transaction).await?;
    if place.try_get::<Option<String>, _>(0)?.is_none() {
        let message = "there is no schema to put tables into: name one in the address (?schema=NAME)";
        return Err(Failure::new(StoreErrorKind::Misconfigured, message));
    }
    transaction.execute(LOCK).await?;
    let stored = format(&mut transaction).await?;
    if stored > known {
        let message =
            format!("the store has format {stored}, this program knows format {known}: use a newer version");
        return Err(Failure::new(StoreErrorKind::Incompatible, message));
    }
    for step in MIGRATIONS.iter().skip(usize::try_from(stored).unwrap_or(0)) {
        transaction.execute(*step).await?;
    }
    sqlx::query("UPDATE \"_i3_store\" SET \"format\" = $1").bind(known).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// How many migrations were applied.
async fn format(connection: &mut PgConnection) -> Result<i64, Failure> {
    // Not `to_regclass`, which remembers what was not there before the lock was waited for.
    let found = sqlx::query(
        "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace \
         WHERE c.relname = '_i3_store' AND c.relkind = 'r' AND s.nspname = ANY (current_schemas(false)))",
    );
    let found = found.fetch_one(&mut *connection).await?;
    if !found.try_get::<bool, _>(0)? {
        return Ok(0);
    }
    let row = sqlx::query("SELECT \"format\" FROM \"_i3_store\"").fetch_optional(&mut *connection).await?;
    Ok(row.ok_or_else(|| Failure::corrupt("the row about the store is missing"))?.try_get(0)?)
}

/// Creates what the schema names and is missing, in one transaction. A stored collection stays as it is.
pub(super) async fn prepare(connection: &mut PgConnection, schema: &Schema) -> Result<(), Failure> {
    let mut transaction = connection.begin().await?;
    transaction.execute(LOCK).await?;
    let row = sqlx::query("SELECT \"revision\" FROM \"_i3_store\"").fetch_one(&mut *transaction).await?;
    let revision: i64 = row.try_get(0)?;
    check_revision(revision, schema)?;
    let mut stored = HashMap::new();
    let rows = sqlx::query("SELECT \"name\", \"description\", \"about\" FROM \"_i3_collections\"")
        .fetch_all(&mut *transaction)
        .await?;
    for row in rows {
        stored.insert(row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?));
    }
    for (collection, description) in changed(schema, &stored)? {
        let mut statements = String::new();
        if !stored.contains_key(collection.name) {
            statements = definition(collection)?;
        }
        statements.push_str(&commented("TABLE", &quoted(collection.name), collection.about));
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *transaction).await.map_err(taken)?;
        sqlx::query(
            "INSERT INTO \"_i3_collections\"(\"name\", \"about\", \"description\") VALUES ($1, $2, $3) \
             ON CONFLICT (\"name\") \
             DO UPDATE SET \"about\" = excluded.\"about\", \"description\" = excluded.\"description\"",
        )
        .bind(collection.name)
        .bind(collection.about)
        .bind(description)
        .execute(&mut *transaction)
        .await?;
    }
    let wanted = i64::from(schema.revision());
    if revision != wanted {
        let update = sqlx::query("UPDATE \"_i3_store\" SET \"revision\" = $1");
        update.bind(wanted).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// `duplicate_table`: not a table of ours, for then it would have been described.
fn taken(error: sqlx::Error) -> Failure {
    if error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() == Some("42P07") {
        let message = "another program has tables of the same names in this schema: \
                       name another one in the address (?schema=NAME)";
        return Failure::new(StoreErrorKind::Misconfigured, message).caused_by(error);
    }
    error.into()
}

/// What PostgreSQL keeps for itself: <https://www.postgresql.org/docs/current/ddl-system-columns.html>.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// The first column of every table.
const ID: &str = "\"id\" text COLLATE \"C\" NOT NULL";

/// The statements that create a collection's table and its indexes.
fn definition(collection: &Collection) -> Result<String, Failure> {
    if let Some(column) = collection.columns.iter().find(|column| SYSTEM_COLUMNS.contains(&column.name)) {
        let message = format!("PostgreSQL keeps the column name `{}` for itself", column.name);
        return Err(Failure::new(StoreErrorKind::Unsupported, message));
    }
    let table = quoted(collection.name);
    let kind_of = |kind| match kind {
        ColumnKind::Text => "text COLLATE \"C\"",
        ColumnKind::Int => "bigint",
    };
    let key = |columns: &str| {
        format!("CONSTRAINT {} PRIMARY KEY ({columns})", quoted(&relation_name(collection.name, "(id)")))
    };
    let (columns, words): (String, &[(&str, &str)]) = match collection.kind {
        Kind::Records => {
            let lifted = joined(collection.columns, "", |column| {
                format!(", {} {}", quoted(column.name), kind_of(column.kind))
            });
            let columns = format!(
                "{ID}, \"version\" bigint NOT NULL{lifted}, \"body\" text NOT NULL, {}",
                key("\"id\"")
            );
            (
                columns,
                &[
                    ("version", "another one after every change"),
                    ("body", "the record, as JSON; other columns are copies out of it, for the indexes"),
                ],
            )
        }
        Kind::Counters => (
            format!("{ID}, \"n\" bigint NOT NULL, {}", key("\"id\"")),
            &[("n", "what the counter stands at")],
        ),
        Kind::Streams => {
            let columns = format!(
                "{ID}, \"position\" bigint NOT NULL, \"body\" text NOT NULL, \
                 \"link\" text COLLATE \"C\" NOT NULL, {}",
                key("\"id\", \"position\"")
            );
            (
                columns,
                &[
                    ("id", "the stream"),
                    ("position", "1, 2, 3 and so on in each stream"),
                    ("body", "the entry, as JSON"),
                    ("link", "SHA-256 over the link before, the position and the body, in hexadecimal"),
                ],
            )
        }
    };
    let mut statements = format!("CREATE TABLE {table} ({columns}); ");
    for index in collection.indexes {
        let name = quoted(&relation_name(collection.name, index.name));
        let columns = joined(index.columns, "", |column| format!("{}, ", quoted(column)));
        // Writing to a string does not fail.
        let _ = write!(statements, "CREATE INDEX {name} ON {table} ({columns}\"id\"); ");
    }
    for (column, about) in words {
        statements.push_str(&commented("COLUMN", &format!("{table}.{}", quoted(column)), about));
    }
    Ok(statements)
}

/// The name of an index. Tables and indexes share one namespace, where names have at most 63 bytes; no name
/// of a collection or index has a dot or a bracket.
fn relation_name(collection: &str, index: &str) -> String {
    let name = format!("{collection}.{index}");
    if name.len() <= 63 {
        return name;
    }
    let digest = Digest::of(name.as_bytes()).to_string();
    name.chars().take(46).chain(['.']).chain(digest.chars().take(16)).collect()
}

fn commented(what: &str, name: &str, about: &str) -> String {
    format!("COMMENT ON {what} {name} IS '{}'; ", about.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_indexes_fit_and_differ() {
        let long = "a".repeat(40);
        let names = [
            relation_name("orders", "by_owner"),
            relation_name(&long, &"b".repeat(40)),
            relation_name(&long, &format!("{}c", "b".repeat(39))),
        ];
        assert_eq!(names[0], "orders.by_owner");
        assert!(names.iter().all(|name| name.len() <= 63));
        assert_ne!(names[1], names[2]);
    }
}
