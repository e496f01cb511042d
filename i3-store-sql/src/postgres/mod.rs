//! The PostgreSQL backend.

mod connect;
mod engine;
mod error;
mod schema;
mod sql;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use i3_core::store::{
    Batch, By, Cell, ColumnKind, CommitError, Durability, Key, Kind, Page, Receipt, Scan, Schema, Store,
    StoreError, Value,
};
use sqlx::postgres::{PgArguments, PgPoolOptions, PgRow};
use sqlx::{Arguments, AssertSqlSafe, PgPool, Row};

use self::connect::Target;
use self::engine::{PostgresEngine, found};
pub(crate) use self::error::meaning;
use crate::scan::{Bind, Dialect, plan_for};
use crate::server::{Failure, Meaning, Retry, Scanned, ServerStats, Writer, cells, page};

/// How a [`PostgresStore`] works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresOptions {
    /// Connections for reading, at most; the writer has one more. At least one. They are opened when they are
    /// needed.
    pub readers: u32,
    /// Whether a commit waits for the server's disk (`synchronous_commit`); `None` leaves it to the
    /// server. Without waiting, a crash of the server takes back the commits of its last
    /// 0.6 seconds or so (three times `wal_writer_delay`), whole and in order; a killed process of ours
    /// loses nothing.
    pub synchronous_commit: Option<bool>,
    /// By what name the server lists the connections (`pg_stat_activity`), unless the address says it.
    pub application_name: String,
    /// The schema of the tables, unless the address names one (`?schema=NAME`). It is created if it is
    /// missing. Without any, the first schema of the user's search path is used, which is `public` as a rule.
    /// Two stores of one database need two schemas.
    pub schema: Option<String>,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long the server works on one statement before it gives up; zero for no limit.
    pub statement_timeout: Duration,
}

impl Default for PostgresOptions {
    /// Eight readers, ten seconds for a connection, thirty for a statement; durability as the server has it.
    fn default() -> Self {
        Self {
            readers: 8,
            synchronous_commit: None,
            application_name: "i3".to_owned(),
            schema: None,
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(30),
        }
    }
}

/// A store in a PostgreSQL database, version 12 or later.
///
/// One connection writes and commits batches that wait at the same time together; reads run on a pool of
/// others and see every commit that has returned. Several processes may use one database: their groups take
/// turns, and no decision of one is lost to another. Tables carry comments for `psql`. A commit and a change
/// that somebody makes by hand meet without loss if the latter's transaction adds 1 to the `clock` in
/// `_i3_store` before anything else.
///
/// The connections belong to a session: a pooler in between (`PgBouncer`) must keep one server connection for
/// each of them (`pool_mode = session`).
///
/// Must be opened and used within one tokio runtime with I/O and time; commits end even if that ends.
/// Dropping the store ends its connections in the background; [`close`](Self::close) waits for it.
pub struct PostgresStore {
    writer: Writer,
    readers: PgPool,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pool knows the password.
        f.debug_struct("PostgresStore").field("writer", &self.writer).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens the store in this database, or makes it there; the database must exist.
    ///
    /// The address is `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with special characters
    /// percent-encoded, and parameters after `?`: `schema=NAME` (see [`PostgresOptions::schema`]),
    /// `sslmode` (`prefer` if not said: encrypted when the server offers it, unverified; `verify-full` with
    /// `sslrootcert=FILE` where the network is not trusted), `sslcert` and `sslkey`, `application_name`,
    /// `options`. What is missing is taken from libpq's environment variables (`PGHOST`, `PGPASSWORD`...).
    ///
    /// # Errors
    /// `Misconfigured` if the address, the user, the password, a permission or the database is wrong,
    /// `Unavailable` if the server does not answer, `Incompatible` if a newer version of this software wrote
    /// the data. No message holds the password.
    pub async fn open(url: &str, options: PostgresOptions) -> Result<Self, StoreError> {
        let target = Target::of(url, &options)?;
        let readers = PgPoolOptions::new()
            .max_connections(options.readers.max(1))
            .acquire_timeout(options.connect_timeout)
            // A connection is tested when it is given back; one that broke since is noticed by its use.
            .test_before_acquire(false)
            .connect_lazy_with(target.reading());
        let writer = Writer::start("i3-postgres", move || PostgresEngine::open(target)).await?;
        Ok(Self { writer, readers })
    }

    /// Finishes what was begun and ends the connections.
    pub async fn close(self) -> Result<(), StoreError> {
        self.readers.close().await;
        self.writer.close().await
    }

    /// What the writer has done so far.
    pub fn stats(&self) -> ServerStats {
        self.writer.stats()
    }

    /// Rows of a query that changes nothing, on a new connection if the first is gone.
    async fn rows(&self, text: String, values: PgArguments) -> Result<Vec<PgRow>, Failure> {
        let mut retry = Retry::new();
        loop {
            let failure = match self.try_rows(&text, values.clone()).await {
                Ok(rows) => return Ok(rows),
                Err(failure) => failure,
            };
            if !(failure.again() && retry.another().await) {
                return Err(failure);
            }
        }
    }

    async fn try_rows(&self, text: &str, values: PgArguments) -> Result<Vec<PgRow>, Failure> {
        let mut connection = match self.readers.acquire().await {
            Ok(connection) => connection,
            // Time ran out while connecting, not while others kept all connections.
            Err(sqlx::Error::PoolTimedOut)
                if self.readers.size() < self.readers.options().get_max_connections() =>
            {
                let advice = "the database did not let us in within the time limit: check that it runs";
                let kind = i3_core::store::StoreErrorKind::Unavailable;
                return Err(Failure::of(Meaning::lasting(kind, advice)));
            }
            Err(error) => return Err(error.into()),
        };
        let query = sqlx::query_with(AssertSqlSafe(text.to_owned()), values);
        let result = query.fetch_all(&mut *connection).await.map_err(Failure::from);
        if result.as_ref().is_err_and(Failure::lost) {
            // Else the pool would find out by itself, but only after others were given it.
            let _ = connection.close().await;
        }
        result
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn prepare(&self, schema: &Schema) -> Result<(), StoreError> {
        self.writer.prepare(schema).await
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let catalog = self.writer.catalog();
        let statement = sql::cells(&catalog, keys)?;
        let rows = self.rows(statement.text, statement.values).await?;
        let found = rows.iter().map(found).collect::<Result<Vec<_>, _>>()?;
        Ok(cells(&catalog, keys, found)?)
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        self.writer.catalog().place(scan.collection())?;
        let Some(query) = plan_for(Dialect::Postgres, scan) else {
            return Ok(Page { rows: Vec::new(), next: None });
        };
        let rows = self.rows(query.sql, bound(query.binds)?).await?;
        let rows = rows.iter().map(|row| scanned(scan, row)).collect::<Result<Vec<_>, _>>()?;
        Ok(page(scan, rows)?)
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        self.writer.commit(batch).await
    }

    fn durability(&self) -> Durability {
        self.writer.durability()
    }

    async fn unnamed(&self) -> Result<Vec<String>, StoreError> {
        let catalog = self.writer.catalog();
        let rows = self.rows(NAMES.to_owned(), PgArguments::default()).await?;
        let names: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
        Ok(names.map_err(Failure::from)?.into_iter().filter(|name| !catalog.has(name)).collect())
    }
}

/// The names of all collections that were ever prepared.
const NAMES: &str = "SELECT \"name\" FROM \"_i3_collections\" ORDER BY \"name\"";

/// The values of a scan's query.
fn bound(binds: Vec<Bind>) -> Result<PgArguments, Failure> {
    let mut values = PgArguments::default();
    for bind in binds {
        let added = match bind {
            Bind::Text(text) => values.add(text),
            Bind::Int(number) => values.add(number),
        };
        added.map_err(|_| Failure::corrupt("a value cannot be given to the database"))?;
    }
    Ok(values)
}

/// A row of a scan; [`Query`](crate::scan::Query) tells its columns.
fn scanned(scan: &Scan, row: &PgRow) -> Result<Scanned, Failure> {
    if let By::Entries { .. } = scan.by_what() {
        let (number, body, link) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        return Ok(Scanned { number, body, link, ..Scanned::default() });
    }
    let mut found = Scanned { id: row.try_get(0)?, number: row.try_get(1)?, ..Scanned::default() };
    match scan.collection().kind {
        Kind::Records => found.body = row.try_get(2)?,
        Kind::Counters => {}
        Kind::Streams => found.link = row.try_get(2)?,
    }
    if let By::Index { index, .. } = scan.by_what() {
        for (place, name) in index.columns.iter().enumerate() {
            let column = scan.collection().columns.iter().find(|column| column.name == *name);
            found.values.push(match column.map(|column| column.kind) {
                Some(ColumnKind::Text) => Value::Text(row.try_get(3 + place)?),
                _ => Value::Int(row.try_get(3 + place)?),
            });
        }
    }
    Ok(found)
}
