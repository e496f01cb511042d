//! The statements of reading and writing, composed for the collections that are concerned.
//!
//! Lists go as arrays, so that a text depends only on which collections are concerned, and the server
//! plans it once.

use std::fmt::Write as _;

use i3_core::store::{Change, Collection, ColumnKind, Group, Key, Kind, Value};
use sqlx::Arguments;
use sqlx::postgres::PgArguments;

use crate::scan::{joined, quoted};
use crate::server::{Catalog, Failure, Stored};

/// A statement with its values.
#[derive(Debug, Default)]
pub(super) struct Statement {
    pub(super) text: String,
    pub(super) values: PgArguments,
}

impl Statement {
    /// Adds a value; its number.
    fn bind<'t, T>(&mut self, value: T) -> Result<usize, Failure>
    where
        T: sqlx::Encode<'t, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        Arguments::add(&mut self.values, value)
            .map_err(|_| Failure::corrupt("a value cannot be given to the database"))?;
        Ok(self.values.len())
    }

    /// Adds to the text. Writing to a string does not fail.
    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = self.text.write_fmt(text);
    }
}

/// Rows of place, id, number and text (a body or a link) for these keys.
pub(super) fn cells(catalog: &Catalog, keys: &[Key]) -> Result<Statement, Failure> {
    let mut statement = Statement::default();
    if let [key] = keys {
        let place = catalog.place(key.collection())?;
        statement.bind(key.id())?;
        let (table, columns) = (quoted(key.collection().name), number_and_text(key.collection().kind, true));
        statement.push(format_args!("SELECT {place}, \"id\", {columns} FROM {table} WHERE \"id\" = $1"));
        if key.collection().kind == Kind::Streams {
            statement.text.push_str(" ORDER BY \"position\" DESC LIMIT 1");
        }
        return Ok(statement);
    }
    for (place, collection, ids) in catalog.by_collection(keys)? {
        if !statement.text.is_empty() {
            statement.text.push_str(" UNION ALL ");
        }
        found(&mut statement, place, collection, ids, true)?;
    }
    Ok(statement)
}

/// A row of -1, no id and the clock, then rows of place, id, number and, of streams, link for these keys.
pub(super) fn states<'k>(
    catalog: &Catalog,
    keys: impl IntoIterator<Item = &'k Key>,
) -> Result<Statement, Failure> {
    let mut statement = Statement::default();
    statement.text.push_str("SELECT -1, '', \"clock\", NULL FROM \"_i3_store\"");
    for (place, collection, ids) in catalog.by_collection(keys)? {
        statement.text.push_str(" UNION ALL ");
        found(&mut statement, place, collection, ids, false)?;
    }
    Ok(statement)
}

fn number_and_text(kind: Kind, bodies: bool) -> &'static str {
    match (kind, bodies) {
        (Kind::Records, true) => "\"version\", \"body\"",
        (Kind::Records, false) => "\"version\", NULL::text",
        (Kind::Counters, _) => "\"n\", NULL::text",
        (Kind::Streams, _) => "\"position\", \"link\"",
    }
}

fn found(
    statement: &mut Statement,
    place: usize,
    collection: &Collection,
    ids: Vec<&str>,
    bodies: bool,
) -> Result<(), Failure> {
    let (table, columns) = (quoted(collection.name), number_and_text(collection.kind, bodies));
    let ids = statement.bind(ids)?;
    match collection.kind {
        Kind::Records | Kind::Counters => statement
            .push(format_args!("SELECT {place}, \"id\", {columns} FROM {table} WHERE \"id\" = ANY(${ids})")),
        Kind::Streams => statement.push(format_args!(
            "SELECT {place}, k.\"id\", e.* FROM unnest(${ids}::text[]) AS k(\"id\") CROSS JOIN LATERAL \
             (SELECT {columns} FROM {table} WHERE \"id\" = k.\"id\" ORDER BY \"position\" DESC LIMIT 1) e"
        )),
    }
    Ok(())
}

/// Rows of one collection, column by column.
#[derive(Default)]
struct Columns<'c> {
    ids: Vec<&'c str>,
    /// Versions, counts or positions.
    numbers: Vec<i64>,
    bodies: Vec<&'c str>,
    links: Vec<String>,
    lifted: Vec<&'c [Option<Value>]>,
}

/// What a group writes to one collection.
#[derive(Default)]
struct Writes<'c> {
    /// Rows that were not there.
    inserted: Columns<'c>,
    /// Rows that were.
    updated: Columns<'c>,
    removed: Vec<&'c str>,
}

impl<'c> Writes<'c> {
    fn add(&mut self, key: &'c Key, change: &'c Change, present: bool) -> Result<(), Failure> {
        let rows = if present { &mut self.updated } else { &mut self.inserted };
        match change {
            Change::Put { draft, version } => {
                rows.ids.push(key.id());
                rows.numbers.push(number(version.number())?);
                rows.bodies.push(draft.body().as_str());
                rows.lifted.push(draft.values());
            }
            Change::Remove => self.removed.push(key.id()),
            Change::Set(units) => {
                rows.ids.push(key.id());
                rows.numbers.push(units.get());
            }
            Change::Append { first, entries } => {
                for (position, (body, link)) in (*first..).zip(entries) {
                    let rows = &mut self.inserted;
                    rows.ids.push(key.id());
                    rows.numbers.push(number(position)?);
                    rows.bodies.push(body.as_str());
                    rows.links.push(link.to_string());
                }
            }
        }
        Ok(())
    }
}

/// One statement that writes a group and moves the clock, all or nothing, if the clock still stands at
/// `seen`, when `stored` was read. It answers with one row, or with none if the clock has moved.
pub(super) fn write(
    catalog: &Catalog,
    stored: &Stored,
    group: Group,
    seen: u64,
    clock: u64,
) -> Result<Statement, Failure> {
    let changes: Vec<(Key, Change)> = group.into_changes().collect();
    let mut writes: Vec<Writes<'_>> = Vec::new();
    writes.resize_with(catalog.collections().len(), Writes::default);
    for (key, change) in &changes {
        if let Some(writes) = writes.get_mut(catalog.place(key.collection())?) {
            writes.add(key, change, stored.has(catalog, key)?)?;
        }
    }
    let mut statement = Statement::default();
    let (seen, clock) = (statement.bind(number(seen)?)?, statement.bind(number(clock)?)?);
    // All parts of a statement see the rows as they were before it, and a part that depends on the guard
    // finds it empty or not: <https://www.postgresql.org/docs/current/queries-with.html>, 7.8.4.
    statement.push(format_args!(
        "WITH guard AS (UPDATE \"_i3_store\" SET \"clock\" = ${clock} \
         WHERE \"one\" = 1 AND \"clock\" = ${seen} RETURNING 1)"
    ));
    for (place, (collection, writes)) in catalog.collections().iter().zip(writes).enumerate() {
        let table = quoted(collection.name);
        // Not ON CONFLICT for both: it looks a row up before it inserts it and locks it before it updates
        // it. Which rows are there is known as long as the clock stands.
        if let Some((names, rows)) = unnested(&mut statement, collection, writes.inserted)? {
            let into = joined(&names, ", ", |name| quoted(name));
            statement.push(format_args!(
                ", i{place} AS (INSERT INTO {table}({into}) SELECT * FROM {rows} \
                 WHERE EXISTS (SELECT FROM guard))"
            ));
        }
        if let Some((names, rows)) = unnested(&mut statement, collection, writes.updated)? {
            let columns = joined(&names, ", ", |name| quoted(name));
            let sets = joined(names.iter().skip(1), ", ", |name| format!("{0} = r.{0}", quoted(name)));
            statement.push(format_args!(
                ", u{place} AS (UPDATE {table} t SET {sets} FROM {rows} AS r({columns}) \
                 WHERE t.\"id\" = r.\"id\" AND EXISTS (SELECT FROM guard))"
            ));
        }
        if !writes.removed.is_empty() {
            let ids = statement.bind(writes.removed)?;
            statement.push(format_args!(
                ", r{place} AS (DELETE FROM {table} WHERE \"id\" = ANY(${ids}) AND EXISTS (SELECT FROM guard))"
            ));
        }
    }
    statement.text.push_str(" SELECT 1 FROM guard");
    Ok(statement)
}

/// The names of a collection's columns, `id` first, and a call that gives these rows; none if there are none.
fn unnested(
    statement: &mut Statement,
    collection: &Collection,
    rows: Columns<'_>,
) -> Result<Option<(Vec<&'static str>, String)>, Failure> {
    if rows.ids.is_empty() {
        return Ok(None);
    }
    let number = match collection.kind {
        Kind::Records => "version",
        Kind::Counters => "n",
        Kind::Streams => "position",
    };
    let mut names = vec!["id", number];
    let mut arrays = vec![
        format!("${}::text[]", statement.bind(rows.ids)?),
        format!("${}::bigint[]", statement.bind(rows.numbers)?),
    ];
    if collection.kind != Kind::Counters {
        names.push("body");
        arrays.push(format!("${}::text[]", statement.bind(rows.bodies)?));
    }
    if collection.kind == Kind::Streams {
        names.push("link");
        arrays.push(format!("${}::text[]", statement.bind(rows.links)?));
    }
    for (at, column) in collection.columns.iter().enumerate() {
        let values = rows.lifted.iter().map(|values| values.get(at).and_then(Option::as_ref));
        names.push(column.name);
        arrays.push(match column.kind {
            ColumnKind::Text => {
                let texts: Vec<Option<&str>> = values.map(text).collect();
                format!("${}::text[]", statement.bind(texts)?)
            }
            ColumnKind::Int => {
                let integers: Vec<Option<i64>> = values.map(integer).collect();
                format!("${}::bigint[]", statement.bind(integers)?)
            }
        });
    }
    Ok(Some((names, format!("unnest({})", arrays.join(", ")))))
}

fn text(value: Option<&Value>) -> Option<&str> {
    match value {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

fn integer(value: Option<&Value>) -> Option<i64> {
    match value {
        Some(Value::Int(integer)) => Some(*integer),
        _ => None,
    }
}

fn number(number: u64) -> Result<i64, Failure> {
    i64::try_from(number).map_err(|_| Failure::corrupt("no versions are left"))
}
