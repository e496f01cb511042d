//! Read-only connections, used in the caller's own thread where that is short.
//!
//! A row takes about half a microsecond if its page is in memory, and up to [`SHORT`] of them less than it takes
//! to wake another thread, so a read begins where it is called. One that finds more rows takes up to some
//! milliseconds (more if the disk must be asked), which a runtime's thread must not be away for: it is
//! begun again in a thread of its own. Not one of tokio's, so that the futures run on any runtime;
//! to start one takes some ten microseconds.
//!
//! Every read begins after its connection was taken, and SQLite shows it every commit that has returned by then.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use i3_core::store::StoreErrorKind;
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use super::connection::Database;
use super::error::Failure;

/// Rows that a read takes at most in the caller's thread.
const SHORT: usize = 64;
/// Idle connections that are kept: more than runtimes have threads, mostly.
const IDLE: usize = 64;

/// Connections for reading.
pub(super) struct Readers {
    database: Database,
    /// The last one used is used next, its cache being warm. The lock is held to take or give back
    /// only, never while reading.
    idle: Mutex<Vec<Connection>>,
    /// Long reads that may run now.
    long: Arc<Semaphore>,
    threads: u32,
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl Readers {
    /// Readers of this database, with at most this many long reads at a time (at least one). The first
    /// connection is opened now, to know that it works; others when needed.
    pub(super) fn open(database: Database, threads: u32) -> Result<Self, Failure> {
        let first = database.reader()?;
        let threads = threads.max(1);
        let permits = usize::try_from(threads).unwrap_or(1);
        Ok(Self { database, idle: Mutex::new(vec![first]), long: Arc::new(Semaphore::new(permits)), threads })
    }

    /// What `read` finds. It is told how many rows it may take, and says `None` if that is too few. A long read
    /// whose future is dropped still ends in its thread.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl Fn(&Connection, usize) -> Result<Option<T>, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        match self.run(Duration::ZERO, |connection| read(connection, SHORT)) {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            // Another process opens or closes the database: that is waited for in another thread.
            Err(failure) if failure.kind() == StoreErrorKind::Busy => {}
            Err(failure) => return Err(failure),
        }
        let closed = |_| Failure::new(StoreErrorKind::Unavailable, "the store is closed");
        let permit = Arc::clone(&self.long).acquire_owned().await.map_err(closed)?;
        let (reply, answer) = oneshot::channel();
        let readers = Arc::clone(self);
        let body = move || {
            // Whoever asked may have gone.
            let _ = reply.send(readers.run(readers.database.busy, |connection| read(connection, usize::MAX)));
            drop(permit);
        };
        std::thread::Builder::new().name("i3-sqlite-read".to_owned()).spawn(body).map_err(|error| {
            Failure::new(StoreErrorKind::Unavailable, "no thread can be started for a long read")
                .caused_by(error)
        })?;
        let unanswered = || Failure::new(StoreErrorKind::Unavailable, "a long read ended without an answer");
        answer.await.map_err(|_| unanswered())??.ok_or_else(unanswered)
    }

    /// Reads now, and waits for locks as long as this. A read that fails takes its connection with it.
    fn run<T>(&self, busy: Duration, read: impl Fn(&Connection) -> Result<T, Failure>) -> Result<T, Failure> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.database.reader()?,
        };
        connection.busy_timeout(busy)?;
        let found = read(&connection)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(connection);
        }
        Ok(found)
    }

    /// Waits for long reads, then closes.
    pub(super) async fn close(&self) {
        let _ = self.long.acquire_many(self.threads).await;
        self.close_idle();
    }

    /// Closes the connections that nobody uses.
    pub(super) fn close_idle(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        drop(idle);
    }
}
