//! One group of batches in one transaction: decide each over what is stored, write, sync.

use i3_core::store::{Batch, Change, CommitError, Group, Key, Receipt, State, Value, Version};
use rusqlite::{Connection, Statement, ToSql};

use super::cache::ReadCache;
use super::catalog::Catalog;
use super::error::Failure;
use super::rows::state;

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
pub(super) fn commit_group(
    connection: &Connection,
    catalog: &Catalog,
    cache: &ReadCache,
    batches: &[&Batch],
) -> Result<Answers, GroupError> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.raw_execute()?;
    let mut clock = clock(connection)?;
    let mut group = Group::new();
    let mut answers = Vec::with_capacity(batches.len());
    for batch in batches {
        let version = Version::from_number(clock + 1);
        let version = version.ok_or_else(|| Failure::corrupt("no versions are left"))?;
        let mut failed = None;
        let answer = group.apply(batch, version, |key| match cache.state(key) {
            Some(state) => Ok(state),
            None => stored(connection, catalog, key).map_err(|failure| failed.insert(failure).told()),
        });
        match failed {
            // Some failures end the transaction: what is written from then on would not be whole.
            Some(failure) if connection.is_autocommit() => return Err(failure.into()),
            _ => {}
        }
        clock += u64::from(answer.is_ok());
        answers.push(answer);
    }
    if group.is_empty() {
        connection.prepare_cached("ROLLBACK")?.raw_execute()?;
        return Ok(answers);
    }
    let changes: Vec<_> = group.into_changes().collect();
    for (key, change) in &changes {
        write(connection, catalog, key, change)?;
    }
    let mut statement = connection.prepare_cached("UPDATE \"_i3_store\" SET \"clock\" = ?")?;
    statement.execute([number(clock)?])?;
    let changing = cache.changing(&changes);
    match connection.prepare_cached("COMMIT").and_then(|mut commit| commit.raw_execute()) {
        Ok(_) => {
            changing.committed();
            Ok(answers)
        }
        Err(error) => Err(GroupError::Commit(error.into(), answers)),
    }
}

/// The last version that was given.
fn clock(connection: &Connection) -> Result<u64, Failure> {
    let mut statement = connection.prepare_cached("SELECT \"clock\" FROM \"_i3_store\"")?;
    let mut rows = statement.raw_query();
    let row = rows.next()?.ok_or_else(|| Failure::corrupt("the commit clock is missing"))?;
    u64::try_from(row.get::<_, i64>(0)?).map_err(|_| Failure::corrupt("the commit clock is negative"))
}

fn stored(connection: &Connection, catalog: &Catalog, key: &Key) -> Result<State, Failure> {
    let mut statement = connection.prepare_cached(&catalog.table(key.collection())?.state)?;
    let mut rows = statement.query([key.id()])?;
    rows.next()?.map_or(Ok(State::Absent), |row| state(key.collection().kind, row))
}

/// Writes what a group does to one key.
fn write(connection: &Connection, catalog: &Catalog, key: &Key, change: &Change) -> Result<(), Failure> {
    let table = catalog.table(key.collection())?;
    if let Change::Remove = change {
        connection.prepare_cached(&table.remove)?.execute([key.id()])?;
        return Ok(());
    }
    let mut put = connection.prepare_cached(&table.put)?;
    match change {
        Change::Put { draft, version } => {
            bind(&mut put, 1, key.id())?;
            bind(&mut put, 2, number(version.number())?)?;
            bind(&mut put, 3, draft.body().as_str())?;
            for (place, value) in (4..).zip(draft.values()) {
                match value {
                    Some(Value::Text(text)) => bind(&mut put, place, text)?,
                    Some(Value::Int(number)) => bind(&mut put, place, number)?,
                    None => bind(&mut put, place, rusqlite::types::Null)?,
                }
            }
            put.raw_execute()?;
        }
        Change::Set(units) => {
            put.execute((key.id(), units.get()))?;
        }
        Change::Append { first, entries } => {
            for (position, (body, link)) in (*first..).zip(entries) {
                put.execute((key.id(), number(position)?, body.as_str(), link.to_string()))?;
            }
        }
        Change::Remove => {}
    }
    Ok(())
}

fn bind(statement: &mut Statement<'_>, place: usize, value: impl ToSql) -> Result<(), Failure> {
    Ok(statement.raw_bind_parameter(place, value)?)
}

/// A number as SQLite keeps it.
fn number(number: u64) -> Result<i64, Failure> {
    i64::try_from(number).map_err(|_| Failure::corrupt("no numbers are left"))
}
