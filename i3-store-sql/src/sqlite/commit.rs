//! One group of batches in one transaction: read the states of all keys, decide, write, sync.
//!
//! Three trips to the connection's thread, however many batches and tables: what is to be read goes as one
//! text of several statements, and so does what is to be written. SQLite compiles a text once and
//! keeps it; the texts of a group depend only on which tables it touches.

use std::collections::HashMap;

use i3_core::store::{Batch, Change, CommitError, Group, Key, Op, Receipt, State, Version};
use sqlx::{Row as _, SqliteConnection};

use super::catalog::Catalog;
use super::error::Failure;
use super::readers::fetch;
use super::rows::{place, state};
use crate::scan::Bind;

/// What became of a group's batches, in their order.
pub(super) type Answers = Vec<Result<Receipt, CommitError>>;

/// Why a group was not committed.
#[derive(Debug)]
pub(super) enum GroupError {
    /// Nothing was written.
    Before(Failure),
    /// The commit itself failed: the batches that were accepted here may be durable or not.
    Commit(Failure, Answers),
}

impl<F: Into<Failure>> From<F> for GroupError {
    fn from(failure: F) -> Self {
        Self::Before(failure.into())
    }
}

/// Applies the batches in their order and commits those that are accepted. All keys must be of the catalog.
///
/// After an error the connection may hold an open transaction.
pub(super) async fn commit_group(
    connection: &mut SqliteConnection,
    catalog: &Catalog,
    batches: &[&Batch],
) -> Result<Answers, GroupError> {
    let (clock, stored) = read_states(connection, catalog, batches).await?;
    let mut group = Group::new();
    let mut versions = clock;
    let mut answers = Vec::with_capacity(batches.len());
    for batch in batches {
        let next = versions + 1;
        let version = Version::from_number(next).ok_or_else(|| Failure::corrupt("no versions are left"))?;
        let answer = group.apply(batch, version, |key| Ok(stored.of(catalog, key)?));
        if answer.is_ok() {
            versions = next;
        }
        answers.push(answer);
    }
    if group.is_empty() {
        fetch(connection, "ROLLBACK".to_owned(), Vec::new()).await?;
        return Ok(answers);
    }
    let (sql, binds) = writes(catalog, group, versions)?;
    fetch(connection, sql, binds).await?;
    match fetch(connection, "COMMIT".to_owned(), Vec::new()).await {
        Ok(_) => Ok(answers),
        Err(error) => Err(GroupError::Commit(error.into(), answers)),
    }
}

/// The states of a group's keys, by the places of their tables.
struct Stored(Vec<HashMap<String, State>>);

impl Stored {
    fn of(&self, catalog: &Catalog, key: &Key) -> Result<State, Failure> {
        let place = catalog.place(key.collection())?;
        Ok(self.0.get(place).and_then(|states| states.get(key.id())).copied().unwrap_or(State::Absent))
    }
}

/// Begins the transaction and reads the clock and the states of all keys.
async fn read_states(
    connection: &mut SqliteConnection,
    catalog: &Catalog,
    batches: &[&Batch],
) -> Result<(u64, Stored), Failure> {
    let keys = batches.iter().flat_map(|batch| batch.ops()).map(Op::key);
    let wanted = catalog.by_table(keys)?;
    let mut sql = "BEGIN IMMEDIATE; SELECT \"clock\" FROM \"_i3_store\"".to_owned();
    let mut binds = Vec::new();
    for (table, ids) in catalog.tables().iter().zip(&wanted).filter(|(_, ids)| !ids.is_empty()) {
        sql.push_str("; ");
        sql.push_str(&table.heads);
        binds.push(Bind::Text(json(ids)?));
    }
    let rows = fetch(connection, sql, binds).await?;
    let (first, rows) = rows.split_first().ok_or_else(|| Failure::corrupt("the commit clock is missing"))?;
    let clock: i64 = first.try_get(0)?;
    let clock = u64::try_from(clock).map_err(|_| Failure::corrupt("the commit clock is negative"))?;
    let mut states: Vec<HashMap<String, State>> =
        wanted.iter().map(|ids| HashMap::with_capacity(ids.len())).collect();
    for row in rows {
        let place = place(row)?;
        let heads: Vec<(String, i64, Option<String>)> = serde_json::from_str(row.try_get(1)?)
            .map_err(|_| Failure::corrupt("a row holds what this software does not write"))?;
        if let (Some(table), Some(states)) = (catalog.tables().get(place), states.get_mut(place)) {
            for (id, number, link) in heads {
                states.insert(id, state(table.collection.kind, number, link.as_deref())?);
            }
        }
    }
    Ok((clock, Stored(states)))
}

/// The rows of one table that a group writes, as two JSON lists.
#[derive(Default)]
struct Rows {
    put: Vec<u8>,
    remove: Vec<u8>,
}

/// The statements of a group's changes, and of the clock.
fn writes(catalog: &Catalog, group: Group, clock: u64) -> Result<(String, Vec<Bind>), Failure> {
    let mut rows: Vec<Rows> = Vec::new();
    rows.resize_with(catalog.tables().len(), Rows::default);
    for (key, change) in group.into_changes() {
        if let Some(rows) = rows.get_mut(catalog.place(key.collection())?) {
            rows.add(&key, &change).map_err(|_| Failure::corrupt("a row cannot be written as JSON"))?;
        }
    }
    let mut sql = String::new();
    let mut binds = Vec::new();
    for (table, rows) in catalog.tables().iter().zip(rows) {
        for (statement, list) in [(&table.remove, rows.remove), (&table.put, rows.put)] {
            if !list.is_empty() {
                sql.push_str(statement);
                sql.push_str("; ");
                binds.push(Bind::Text(closed(list)?));
            }
        }
    }
    sql.push_str("UPDATE \"_i3_store\" SET \"clock\" = ?");
    binds.push(Bind::Int(i64::try_from(clock).map_err(|_| Failure::corrupt("no versions are left"))?));
    Ok((sql, binds))
}

impl Rows {
    fn add(&mut self, key: &Key, change: &Change) -> Result<(), serde_json::Error> {
        match change {
            Change::Put { draft, version } => {
                let list = &mut self.put;
                open(list, key)?;
                field(list, &version.number())?;
                field(list, draft.body().as_str())?;
                for value in draft.values() {
                    field(list, value)?;
                }
                list.push(b']');
            }
            Change::Remove => {
                self.remove.push(if self.remove.is_empty() { b'[' } else { b',' });
                serde_json::to_writer(&mut self.remove, key.id())?;
            }
            Change::Set(units) => {
                open(&mut self.put, key)?;
                field(&mut self.put, units)?;
                self.put.push(b']');
            }
            Change::Append { first, entries } => {
                for (position, (body, link)) in (*first..).zip(entries) {
                    let list = &mut self.put;
                    open(list, key)?;
                    field(list, &position)?;
                    field(list, body.as_str())?;
                    field(list, link)?;
                    list.push(b']');
                }
            }
        }
        Ok(())
    }
}

/// Starts a row with its id.
fn open(list: &mut Vec<u8>, key: &Key) -> Result<(), serde_json::Error> {
    list.extend_from_slice(if list.is_empty() { b"[[" } else { b",[" });
    serde_json::to_writer(list, key.id())
}

/// Adds a field to a row.
fn field(list: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) -> Result<(), serde_json::Error> {
    list.push(b',');
    serde_json::to_writer(list, value)
}

/// Ends a list.
fn closed(mut list: Vec<u8>) -> Result<String, Failure> {
    list.push(b']');
    String::from_utf8(list).map_err(|_| Failure::corrupt("a row cannot be written as JSON"))
}

/// A list of ids.
pub(super) fn json(ids: &[&str]) -> Result<String, Failure> {
    serde_json::to_string(ids).map_err(|_| Failure::corrupt("ids cannot be written as JSON"))
}
