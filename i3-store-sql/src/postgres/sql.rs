//! The statements of reading and writing, composed for the collections that are concerned.
//!
//! Lists go as arrays, so that a text depends only on which collections are concerned, and the server
//! plans it once.

use std::fmt::Write as _;

use i3_core::store::{Change, Collection, ColumnKind, Group, Key, Kind, Value};
use sqlx::Arguments;
use sqlx::postgres::PgArguments;

use crate::scan::{joined, quoted};
use crate::server::{Catalog, Failure};

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

/// What a group writes to one collection, column by column.
#[derive(Default)]
struct Columns<'c> {
    ids: Vec<&'c str>,
    /// Versions, counts or positions.
    numbers: Vec<i64>,
    bodies: Vec<&'c str>,
    links: Vec<String>,
    lifted: Vec<&'c [Option<Value>]>,
    removed: Vec<&'c str>,
}

impl<'c> Columns<'c> {
    fn add(&mut self, key: &'c Key, change: &'c Change) -> Result<(), Failure> {
        match change {
            Change::Put { draft, version } => {
                self.ids.push(key.id());
                self.numbers.push(number(version.number())?);
                self.bodies.push(draft.body().as_str());
                self.lifted.push(draft.values());
            }
            Change::Remove => self.removed.push(key.id()),
            Change::Set(units) => {
                self.ids.push(key.id());
                self.numbers.push(units.get());
            }
            Change::Append { first, entries } => {
                for (position, (body, link)) in (*first..).zip(entries) {
                    self.ids.push(key.id());
                    self.numbers.push(number(position)?);
                    self.bodies.push(body.as_str());
                    self.links.push(link.to_string());
                }
            }
        }
        Ok(())
    }
}

/// One statement that writes a group and moves the clock, all or nothing, if the clock still stands at
/// `seen`. It answers with one row, or with none if the clock has moved.
pub(super) fn write(catalog: &Catalog, group: Group, seen: u64, clock: u64) -> Result<Statement, Failure> {
    let changes: Vec<(Key, Change)> = group.into_changes().collect();
    let mut columns: Vec<Columns<'_>> = Vec::new();
    columns.resize_with(catalog.collections().len(), Columns::default);
    for (key, change) in &changes {
        if let Some(columns) = columns.get_mut(catalog.place(key.collection())?) {
            columns.add(key, change)?;
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
    for (place, (collection, columns)) in catalog.collections().iter().zip(columns).enumerate() {
        let table = quoted(collection.name);
        if !columns.removed.is_empty() {
            let ids = statement.bind(columns.removed)?;
            statement.push(format_args!(
                ", r{place} AS (DELETE FROM {table} WHERE \"id\" = ANY(${ids}) AND EXISTS (SELECT FROM guard))"
            ));
        }
        if columns.ids.is_empty() {
            continue;
        }
        let mut names = vec!["id"];
        let mut arrays = vec![format!("${}::text[]", statement.bind(columns.ids)?)];
        let numbers = statement.bind(columns.numbers)?;
        arrays.push(format!("${numbers}::bigint[]"));
        names.push(match collection.kind {
            Kind::Records => "version",
            Kind::Counters => "n",
            Kind::Streams => "position",
        });
        if collection.kind != Kind::Counters {
            names.push("body");
            arrays.push(format!("${}::text[]", statement.bind(columns.bodies)?));
        }
        if collection.kind == Kind::Streams {
            names.push("link");
            arrays.push(format!("${}::text[]", statement.bind(columns.links)?));
        }
        for (at, column) in collection.columns.iter().enumerate() {
            let values = columns.lifted.iter().map(|values| values.get(at).and_then(Option::as_ref));
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
        let into = joined(&names, ", ", |name| quoted(name));
        let from = arrays.join(", ");
        statement.push(format_args!(
            ", w{place} AS (INSERT INTO {table}({into}) SELECT * FROM unnest({from}) \
             WHERE EXISTS (SELECT FROM guard)"
        ));
        // No entry is ever overwritten.
        if collection.kind != Kind::Streams {
            let sets = joined(names.iter().skip(1), ", ", |name| format!("{0} = excluded.{0}", quoted(name)));
            statement.push(format_args!(" ON CONFLICT (\"id\") DO UPDATE SET {sets}"));
        }
        statement.text.push(')');
    }
    statement.text.push_str(" SELECT 1 FROM guard");
    Ok(statement)
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
