//! The committing side: one connection, two round trips for a group.

use async_trait::async_trait;
use i3_core::store::{Batch, Durability, Op, Schema};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use super::connect::Target;
use super::schema;
use super::sql::{self, Statement};
use crate::server::{Answers, Catalog, Decided, Engine, Failure, Found, GroupError, Stored, decide};

/// Groups that take the clock's row for themselves at once, after another process came between.
const CAREFUL: u32 = 16;

/// The writer's connection.
pub(super) struct PostgresEngine {
    target: Target,
    /// None after a failure, until the next group.
    connection: Option<PgConnection>,
    durability: Durability,
    /// Groups to come that expect another process to commit at the same time.
    careful: u32,
}

impl PostgresEngine {
    pub(super) async fn open(target: Target) -> Result<Self, Failure> {
        let mut connection = target.connect().await?;
        schema::adopt(&mut connection, &target).await?;
        let durability = durability(&mut connection).await?;
        Ok(Self { target, connection: Some(connection), durability, careful: 0 })
    }

    async fn connection(&mut self) -> Result<&mut PgConnection, Failure> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.target.connect().await?,
        };
        Ok(self.connection.insert(connection))
    }

    /// After a failure the connection may have an open transaction or be gone: what comes next gets
    /// another one.
    async fn discard(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = connection.close_hard().await;
        }
    }
}

#[async_trait]
impl Engine for PostgresEngine {
    async fn prepare(&mut self, schema: &Schema) -> Result<(), Failure> {
        let done = schema::prepare(self.connection().await?, schema).await;
        if done.is_err() {
            self.discard().await;
        }
        done
    }

    async fn commit_group(&mut self, catalog: &Catalog, batches: &[&Batch]) -> Result<Answers, GroupError> {
        if self.careful == 0 {
            match attempt(self.connection().await?, catalog, batches).await {
                Ok(Attempt::Done(answers)) => return Ok(answers),
                Ok(Attempt::Overtaken) => self.careful = CAREFUL,
                Err(error) => {
                    self.discard().await;
                    return Err(error);
                }
            }
        } else {
            self.careful -= 1;
        }
        let done = alone(self.connection().await?, catalog, batches).await;
        if done.is_err() {
            self.discard().await;
        }
        done
    }

    fn durability(&self) -> Durability {
        self.durability
    }

    async fn close(mut self) -> Result<(), Failure> {
        if let Some(connection) = self.connection.take() {
            connection.close().await?;
        }
        Ok(())
    }
}

/// What became of a group.
enum Attempt {
    /// It was committed, or nothing was to be written.
    Done(Answers),
    /// Another process committed between reading and writing: nothing was written.
    Overtaken,
}

/// Reads, decides and writes, in one statement each. The write is a transaction of its own, unless one is
/// open.
async fn attempt(
    connection: &mut PgConnection,
    catalog: &Catalog,
    batches: &[&Batch],
) -> Result<Attempt, GroupError> {
    let keys = batches.iter().flat_map(|batch| batch.ops()).map(Op::key);
    let mut rows = run(connection, sql::states(catalog, keys)?).await?.into_iter();
    let clock = rows.next().ok_or_else(|| Failure::corrupt("the commit clock is missing"))?;
    let seen = u64::try_from(clock.try_get::<i64, _>(2).map_err(Failure::from)?)
        .map_err(|_| Failure::corrupt("the commit clock is negative"))?;
    let mut stored = Stored::nothing(catalog);
    for row in rows {
        stored.found(catalog, found(&row)?)?;
    }
    let Decided { answers, group, clock } = decide(catalog, seen, &stored, batches)?;
    if group.is_empty() {
        return Ok(Attempt::Done(answers));
    }
    match run(connection, sql::write(catalog, &stored, group, seen, clock)?).await {
        Ok(rows) if rows.is_empty() => Ok(Attempt::Overtaken),
        Ok(_) => Ok(Attempt::Done(answers)),
        Err(failure) if failure.lost() => Err(GroupError::Unknown(failure, answers)),
        Err(failure) => Err(GroupError::Before(failure)),
    }
}

/// The same while no other process can commit.
async fn alone(
    connection: &mut PgConnection,
    catalog: &Catalog,
    batches: &[&Batch],
) -> Result<Answers, GroupError> {
    // Each statement sees what was committed before it began: reading comes after the lock was got.
    sqlx::raw_sql("BEGIN; SELECT 1 FROM \"_i3_store\" FOR UPDATE").execute(&mut *connection).await?;
    let answers = match attempt(connection, catalog, batches).await {
        Ok(Attempt::Done(answers)) => answers,
        Ok(Attempt::Overtaken) => {
            return Err(Failure::corrupt("the commit clock moved while its row was locked").into());
        }
        // A transaction that was not committed is none.
        Err(GroupError::Unknown(failure, _) | GroupError::Before(failure)) => {
            return Err(GroupError::Before(failure));
        }
    };
    match connection.execute("COMMIT").await.map_err(Failure::from) {
        Ok(_) => Ok(answers),
        Err(failure) if failure.lost() => Err(GroupError::Unknown(failure, answers)),
        Err(failure) => Err(GroupError::Before(failure)),
    }
}

/// Runs a statement to its end: only then is it committed.
async fn run(connection: &mut PgConnection, statement: Statement) -> Result<Vec<PgRow>, Failure> {
    let query = sqlx::query_with(AssertSqlSafe(statement.text), statement.values);
    Ok(query.fetch_all(connection).await?)
}

/// A row of [`sql::cells`] or [`sql::states`].
pub(super) fn found(row: &PgRow) -> Result<Found, Failure> {
    let place: i32 = row.try_get(0)?;
    let place = usize::try_from(place).map_err(|_| Failure::corrupt("a row of no table"))?;
    Ok(Found { place, id: row.try_get(1)?, number: row.try_get(2)?, text: row.try_get(3)? })
}

/// What the server's settings, as they are for this user now, let a commit survive.
async fn durability(connection: &mut PgConnection) -> Result<Durability, Failure> {
    let row = sqlx::query(
        "SELECT current_setting('fsync'), current_setting('full_page_writes'), \
         current_setting('synchronous_commit')",
    )
    .fetch_one(connection)
    .await?;
    let on = |place: usize| Ok::<_, Failure>(row.try_get::<&str, _>(place)? != "off");
    Ok(if on(0)? && on(1)? && on(2)? { Durability::PowerLoss } else { Durability::ProcessCrash })
}
