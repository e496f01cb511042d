//! One group of batches in one transaction: read the states of all keys, decide, write, sync.
//!
//! Three round trips, however many batches and tables, unless the texts become too long: the first begins the
//! transaction, locks the store's row and reads; the second writes; the third commits.

use async_trait::async_trait;
use i3_core::store::{Batch, Change, Durability, Key, Op, Schema};
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{Connection as _, Row as _};

use super::connect::{Facts, Target};
use super::ends::Ends;
use super::schema;
use super::sql::{Ask, Script, ask, write};
use crate::server::{Answers, Catalog, Decided, Engine, Failure, Found, GroupError, Stored, decide};

/// The committing connection.
pub(super) struct MysqlEngine {
    target: Target,
    /// None after a failure, until the next group.
    connection: Option<MySqlConnection>,
    facts: Facts,
    ends: Ends,
}

/// What was written and waits for the commit.
struct Written {
    answers: Answers,
    changes: Vec<(Key, Change)>,
    clock: u64,
}

impl MysqlEngine {
    /// Connects, and makes the database a store if it is none.
    pub(super) async fn open(target: Target) -> Result<Self, Failure> {
        let mut connection = target.connect().await?;
        let facts = Facts::of(&target, &mut connection).await?;
        schema::adopt(&target, &mut connection).await?;
        Ok(Self { target, connection: Some(connection), facts, ends: Ends::default() })
    }

    /// The connection, taken away: whoever fails does not give it back.
    async fn connection(&mut self) -> Result<MySqlConnection, Failure> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        // It may be another server now, that took over.
        self.ends.forget();
        self.target.connect().await
    }

    async fn run(&self, connection: &mut MySqlConnection, text: &str) -> Result<Vec<MySqlRow>, Failure> {
        self.target.run(connection, text.to_owned()).await
    }

    /// Everything up to the commit itself.
    async fn write(
        &mut self,
        connection: &mut MySqlConnection,
        catalog: &Catalog,
        batches: &[&Batch],
    ) -> Result<Written, Failure> {
        let keys = batches.iter().flat_map(|batch| batch.ops()).map(Op::key);
        let mut wanted = catalog.by_collection(keys)?;
        let known = self.ends.take_known(&mut wanted);
        let mut script = Script::new(self.facts.text_limit);
        script.add("START TRANSACTION");
        script.add("SELECT `clock` FROM `_i3_store` FOR UPDATE");
        ask(&mut script, Ask::State, &wanted);
        let mut clock = None;
        let mut stored = Stored::nothing(catalog);
        for text in script.into_texts() {
            let rows = self.target.run(connection, text).await?;
            let mut rows = rows.iter();
            if clock.is_none() {
                let row = rows.next().ok_or_else(|| Failure::corrupt("the commit clock is missing"))?;
                clock = Some(row.try_get::<i64, _>(0)?);
            }
            for row in rows {
                stored.found(catalog, found(row)?)?;
            }
        }
        let clock = clock.and_then(|clock| u64::try_from(clock).ok());
        let clock = clock.ok_or_else(|| Failure::corrupt("the commit clock is missing or negative"))?;
        if self.ends.hold_at(clock) {
            for (place, _, ids) in &known {
                for id in ids {
                    if let Some(found) = self.ends.found(*place, id) {
                        stored.found(catalog, found)?;
                    }
                }
            }
        } else {
            // Another process has committed since.
            self.ends.forget();
            let mut script = Script::new(self.facts.text_limit);
            ask(&mut script, Ask::State, &known);
            for text in script.into_texts() {
                for row in &self.target.run(connection, text).await? {
                    stored.found(catalog, found(row)?)?;
                }
            }
        }
        let Decided { answers, group, clock } = decide(catalog, clock, &stored, batches)?;
        let changes: Vec<(Key, Change)> = group.into_changes().collect();
        if !changes.is_empty() {
            let mut script = Script::new(self.facts.text_limit);
            write(&mut script, &changes, |key| stored.has(catalog, key).unwrap_or(true));
            script.add(&format!("UPDATE `_i3_store` SET `clock` = {clock}"));
            for text in script.into_texts() {
                self.target.run(connection, text).await?;
            }
        }
        Ok(Written { answers, changes, clock })
    }
}

/// A row of [`ask`].
pub(super) fn found(row: &MySqlRow) -> Result<Found, Failure> {
    let place: i64 = row.try_get(0)?;
    let place = usize::try_from(place).map_err(|_| Failure::corrupt("a row of no table"))?;
    Ok(Found { place, id: row.try_get(1)?, number: row.try_get(2)?, text: row.try_get(3)? })
}

#[async_trait]
impl Engine for MysqlEngine {
    async fn prepare(&mut self, schema: &Schema) -> Result<(), Failure> {
        // Places of collections may change.
        self.ends.forget();
        let mut connection = self.connection().await?;
        schema::prepare(&self.target, &mut connection, schema).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn commit_group(&mut self, catalog: &Catalog, batches: &[&Batch]) -> Result<Answers, GroupError> {
        let mut connection = self.connection().await?;
        let Written { answers, changes, clock } = match self.write(&mut connection, catalog, batches).await {
            Ok(written) => written,
            Err(failure) => {
                // A lock that was waited for too long ends the statement only, not the transaction.
                if !failure.lost() && self.run(&mut connection, "ROLLBACK").await.is_ok() {
                    self.connection = Some(connection);
                }
                return Err(GroupError::Before(failure));
            }
        };
        if changes.is_empty() {
            // Nothing was written: the answers hold even if this is the connection's end.
            if self.run(&mut connection, "ROLLBACK").await.is_ok() {
                self.connection = Some(connection);
            }
            return Ok(answers);
        }
        match self.run(&mut connection, "COMMIT").await {
            Ok(_) => {
                self.connection = Some(connection);
                self.ends.committed(catalog, &changes, clock);
                Ok(answers)
            }
            Err(failure) => Err(GroupError::Unknown(failure, answers)),
        }
    }

    fn durability(&self) -> Durability {
        self.facts.durability
    }

    async fn close(self) -> Result<(), Failure> {
        match self.connection {
            Some(connection) => Ok(connection.close().await?),
            None => Ok(()),
        }
    }
}
