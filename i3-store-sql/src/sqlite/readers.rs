//! Read-only connections.
//!
//! Not sqlx's pool: that one gives connections back in a task of the caller's runtime, which costs a task
//! a read and fails where the runtime has ended. A connection is a thread of its own in sqlx, so all that
//! is needed here is a stack of idle ones.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use i3_core::store::StoreErrorKind;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use tokio::sync::Semaphore;

use super::error::Failure;
use crate::scan::Bind;

/// A fixed number of connections.
pub(super) struct Readers {
    options: SqliteConnectOptions,
    /// At most as many as there are permits; the last one used is used next, its cache being warm.
    idle: Mutex<Vec<SqliteConnection>>,
    permits: Semaphore,
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("free", &self.permits.available_permits()).finish_non_exhaustive()
    }
}

impl Readers {
    /// `count` readers, at least one. The first is opened now, to know that it works; others when needed.
    pub(super) async fn open(options: SqliteConnectOptions, count: u32) -> Result<Self, Failure> {
        let first = options.connect().await?;
        let permits = usize::try_from(count.max(1)).unwrap_or(1);
        Ok(Self { options, idle: Mutex::new(vec![first]), permits: Semaphore::new(permits) })
    }

    /// All rows of a query, as soon as a connection is free.
    ///
    /// A query that fails or is dropped takes its connection with it; the next one opens another.
    pub(super) async fn rows(&self, sql: String, binds: Vec<Bind>) -> Result<Vec<SqliteRow>, Failure> {
        let closed = |_| Failure::new(StoreErrorKind::Unavailable, "the store is closed");
        let _permit = self.permits.acquire().await.map_err(closed)?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let rows = fetch(&mut connection, sql, binds).await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(rows)
    }

    /// Closes the connections and waits until they are.
    pub(super) async fn close(&self) -> Result<(), Failure> {
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for connection in idle {
            connection.close().await?;
        }
        Ok(())
    }
}

/// All rows of a query, or of several with a semicolon between: one trip to the connection's thread.
pub(super) async fn fetch(
    connection: &mut SqliteConnection,
    sql: String,
    binds: Vec<Bind>,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    // Safe: the text is made of declared names, which are checked and quoted; values are bound.
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for bind in binds {
        query = match bind {
            Bind::Text(text) => query.bind(text),
            Bind::Int(number) => query.bind(number),
        };
    }
    query.fetch_all(connection).await
}
