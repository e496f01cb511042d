//! The MySQL and MariaDB backend.

mod connect;
mod ends;
mod engine;
mod error;
mod schema;
#[cfg(all(test, feature = "testkit", unix))]
mod server_tests;
mod sql;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use i3_core::store::{
    Batch, By, Cell, ColumnKind, CommitError, Cursor, Direction, Durability, Key, Kind, Page, Receipt, Scan,
    Schema, Store, StoreError, StoreErrorKind, Value,
};
use sqlx::mysql::{MySqlArguments, MySqlPoolOptions, MySqlRow};
use sqlx::{Arguments as _, AssertSqlSafe, Executor as _, MySqlPool, Row as _};

use self::connect::{LATE, Target};
use self::engine::{MysqlEngine, found};
pub(crate) use self::error::meaning;
use self::sql::{Ask, Script, ask};
use crate::scan::{Bind, Dialect, plan_for};
use crate::server::{Failure, Meaning, Retry, Scanned, ServerStats, Writer, cells, page};

/// How a [`MysqlStore`] works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MysqlOptions {
    /// Connections for reading, at most; the writer has one more. At least one. They are opened when they are
    /// needed.
    pub readers: u32,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long the server lets a statement wait for the lock of another transaction, in whole seconds, at
    /// least one; the group is then tried again, seven times.
    pub lock_timeout: Duration,
    /// How long to wait for the answer to one text before its connection is given up.
    pub statement_timeout: Duration,
}

impl Default for MysqlOptions {
    /// Eight readers, ten seconds for a connection, two for a lock, thirty for an answer.
    fn default() -> Self {
        Self {
            readers: 8,
            connect_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(30),
        }
    }
}

/// A store in a MySQL (8.0 or later) or MariaDB (10.6 or later) database. Tested with MariaDB 10.11 only.
///
/// One connection writes and commits batches that wait at the same time together; reads run on a pool of
/// others and see every commit that has returned. Several processes may use one database: their groups take
/// turns, by the lock of the one row of `_i3_store`, and no decision of one is lost to another. Tables carry
/// comments; texts in index columns are `VARBINARY`, which the MySQL client shows as text with
/// `--skip-binary-as-hex`.
///
/// What a commit survives is as the server is set, see [`durability`](Store::durability):
/// `innodb_flush_log_at_trx_commit` must be 1, and `sync_binlog` too where there is a binary log, for a commit
/// to survive a power loss. It is read when the store is opened.
///
/// Must be opened and used within one tokio runtime with I/O and time; commits end even if that ends.
/// Dropping the store ends its connections in the background; [`close`](Self::close) waits for it.
pub struct MysqlStore {
    writer: Writer,
    readers: MySqlPool,
    target: Target,
}

impl fmt::Debug for MysqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pool knows the password.
        f.debug_struct("MysqlStore").field("writer", &self.writer).finish_non_exhaustive()
    }
}

impl MysqlStore {
    /// Opens the store in this database, or makes it there; the database must exist.
    ///
    /// The address is `mysql://USER:PASSWORD@HOST:PORT/DATABASE`, with special characters percent-encoded,
    /// and parameters after `?`: `ssl-mode` (`PREFERRED` if not said: encrypted when the server offers it,
    /// unverified; `VERIFY_IDENTITY` with `ssl-ca=FILE` where the network is not trusted), `ssl-cert`,
    /// `ssl-key`, `socket=PATH`. An account of MySQL 8 that uses `caching_sha2_password` needs TLS or a
    /// socket.
    ///
    /// # Errors
    /// `Misconfigured` if the address, the user, the password, a permission or the database is wrong,
    /// `Unavailable` if the server does not answer, `Incompatible` if a newer version of this software wrote
    /// the data. No message holds the password.
    pub async fn open(url: &str, options: MysqlOptions) -> Result<Self, StoreError> {
        let target = Target::of(url, &options)?;
        let session = target.session();
        let readers = MySqlPoolOptions::new()
            .max_connections(options.readers.max(1))
            .acquire_timeout(options.connect_timeout)
            // A connection is tested when it is given back; one that broke since is noticed by its use.
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let session = session.clone();
                Box::pin(async move { connection.execute(AssertSqlSafe(session)).await.map(drop) })
            })
            .connect_lazy_with(target.reading());
        let writing = target.clone();
        let writer = Writer::start("i3-mysql", move || MysqlEngine::open(writing)).await?;
        Ok(Self { writer, readers, target })
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
    async fn rows(&self, query: &Reading) -> Result<Vec<MySqlRow>, Failure> {
        let mut retry = Retry::new();
        loop {
            let failure = match self.try_rows(query).await {
                Ok(rows) => return Ok(rows),
                Err(failure) => failure,
            };
            if !(failure.again() && retry.another().await) {
                return Err(failure);
            }
        }
    }

    async fn try_rows(&self, query: &Reading) -> Result<Vec<MySqlRow>, Failure> {
        let mut connection = match self.readers.acquire().await {
            Ok(connection) => connection,
            // Time ran out while connecting, not while others kept all connections.
            Err(sqlx::Error::PoolTimedOut)
                if self.readers.size() < self.readers.options().get_max_connections() =>
            {
                let advice = "the database did not let us in within the time limit: check that it runs";
                return Err(Failure::of(Meaning::lasting(StoreErrorKind::Unavailable, advice)));
            }
            Err(error) => return Err(error.into()),
        };
        let result = match query {
            Reading::Text(text) => self.target.run(&mut connection, text.clone()).await,
            Reading::Bound(text, values) => {
                let rows =
                    sqlx::query_with(AssertSqlSafe(text.clone()), values.clone()).fetch_all(&mut *connection);
                match tokio::time::timeout(self.target.patience, rows).await {
                    Ok(rows) => rows.map_err(Failure::from),
                    Err(_) => Err(Failure::of(LATE)),
                }
            }
        };
        if result.as_ref().is_err_and(Failure::lost) {
            // Else the pool would find out by itself, but only after others were given it.
            drop(connection.detach());
        }
        result
    }
}

/// A query that changes nothing.
enum Reading {
    /// With its values in it.
    Text(String),
    /// With its values beside it.
    Bound(String, MySqlArguments),
}

#[async_trait]
impl Store for MysqlStore {
    async fn prepare(&self, schema: &Schema) -> Result<(), StoreError> {
        self.writer.prepare(schema).await
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        let catalog = self.writer.catalog();
        let mut script = Script::new(TEXT);
        ask(&mut script, Ask::Cell, &catalog.by_collection(keys)?);
        let mut rows = Vec::new();
        for text in script.into_texts() {
            rows.extend(self.rows(&Reading::Text(text)).await?);
        }
        let found = rows.iter().map(found).collect::<Result<Vec<_>, _>>()?;
        Ok(cells(&catalog, keys, found)?)
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        self.writer.catalog().place(scan.collection())?;
        let bounded = within_ascii(scan)?;
        let Some(query) = plan_for(Dialect::Mysql, bounded.as_ref().unwrap_or(scan)) else {
            return Ok(Page { rows: Vec::new(), next: None });
        };
        let mut values = MySqlArguments::default();
        for bind in query.binds {
            let added = match bind {
                Bind::Text(text) => values.add(text),
                Bind::Int(number) => values.add(number),
            };
            added.map_err(|_| Failure::corrupt("a value cannot be given to the database"))?;
        }
        let rows = self.rows(&Reading::Bound(query.sql, values)).await?;
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
        let rows = self.rows(&Reading::Text(NAMES.to_owned())).await?;
        let names: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
        Ok(names.map_err(Failure::from)?.into_iter().filter(|name| !catalog.has(name)).collect())
    }
}

/// The names of all collections that were ever prepared.
const NAMES: &str = "SELECT `name` FROM `_i3_collections` ORDER BY `name`";

/// The same scan with another cursor, if the cursor's id is none that a row can have: MySQL does not compare
/// an id, which is ASCII, with any other text.
fn within_ascii(scan: &Scan) -> Result<Option<Scan>, Failure> {
    let Some(cursor) = scan.cursor() else { return Ok(None) };
    let Some((place, strange)) = cursor.id().char_indices().find(|(_, c)| !c.is_ascii_graphic()) else {
        return Ok(None);
    };
    let mut id = cursor.id().get(..place).unwrap_or_default().to_owned();
    if strange > '~' {
        // Above all ids that begin like this.
        id.push('\x7f');
    } else if scan.direction() == Direction::Backward {
        // Just above the id that is the beginning.
        id.push('!');
    }
    let cursor = match scan.by_what() {
        By::Index { .. } => Cursor::after_indexed(cursor.values().to_vec(), id),
        By::Id { .. } => Cursor::after_id(id),
        By::Entries { .. } => return Ok(None),
    };
    let moved = scan.clone().after(cursor);
    moved.map(Some).map_err(|_| Failure::corrupt("a cursor cannot be moved"))
}

/// The longest text of a read: a thousand keys take less.
const TEXT: usize = 512 * 1024;

/// A row of a scan; [`Query`](crate::scan::Query) tells its columns.
fn scanned(scan: &Scan, row: &MySqlRow) -> Result<Scanned, Failure> {
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
                Some(ColumnKind::Text) => {
                    let bytes: Vec<u8> = row.try_get(3 + place)?;
                    let text = String::from_utf8(bytes);
                    Value::Text(text.map_err(|_| Failure::corrupt("a column's text is no UTF-8"))?)
                }
                _ => Value::Int(row.try_get(3 + place)?),
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use i3_core::store::{Collection, MemoryStore};

    use super::*;

    static LOTS: Collection =
        Collection { name: "lots", kind: Kind::Counters, about: "", columns: &[], indexes: &[] };

    #[tokio::test]
    async fn a_cursor_that_is_no_id_is_moved_past_no_row() {
        let store = MemoryStore::new();
        store.prepare(&Schema::new(1, &[&LOTS]).unwrap()).await.unwrap();
        for id in ["!", "a", "a!", "ab", "a~", "a~~", "b"] {
            let key = Key::new(&LOTS, id).unwrap();
            let op = i3_core::store::Op::Adjust {
                counter: key,
                by: i3_core::store::Units::ZERO,
                floor: i3_core::store::Units::ZERO,
            };
            store.commit(&Batch::of(vec![op]).unwrap()).await.unwrap();
        }
        for id in ["", " ", "é", "a ", "a\u{1}b", "aé", "a\u{7f}", "a~ ", "a~é~", "ab", "😀"] {
            for backward in [false, true] {
                let scan = if backward { Scan::ids(&LOTS).backward() } else { Scan::ids(&LOTS) };
                let scan = scan.after(Cursor::after_id(id)).unwrap();
                let moved = within_ascii(&scan).unwrap().unwrap_or_else(|| scan.clone());
                assert!(moved.cursor().unwrap().id().is_ascii());
                assert_eq!(store.scan(&moved).await.unwrap(), store.scan(&scan).await.unwrap(), "{id:?}");
            }
        }
    }
}
