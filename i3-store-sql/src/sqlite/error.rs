//! SQLite's result codes as failures of the store.

use std::sync::Arc;

use i3_core::store::{StoreError, StoreErrorKind};

/// A failure that may have to be told to several callers.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    kind: StoreErrorKind,
    message: String,
    source: Option<Arc<sqlx::Error>>,
}

impl Failure {
    /// A failure that SQLite knows nothing of.
    pub(super) fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Something stored that this software does not write.
    pub(super) fn corrupt(what: impl Into<String>) -> Self {
        Self::new(StoreErrorKind::Corrupt, what)
    }

    /// The same failure with its cause.
    pub(super) fn caused_by(mut self, error: std::io::Error) -> Self {
        self.source = Some(Arc::new(sqlx::Error::Io(error)));
        self
    }

    /// A failure for one caller.
    pub(super) fn told(&self) -> StoreError {
        let error = StoreError::new(self.kind, self.message.clone());
        match &self.source {
            Some(source) => error.with_source(Arc::clone(source)),
            None => error,
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        failure.told()
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let (kind, message) = classify(&error);
        Self { kind, message: message.to_owned(), source: Some(Arc::new(error)) }
    }
}

/// The kind and what to do. Result codes: <https://sqlite.org/rescode.html>; the low byte is the primary one.
fn classify(error: &sqlx::Error) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind::{Busy, Corrupt, Misconfigured, Unavailable};
    let code = match error {
        sqlx::Error::Database(error) => error.code().and_then(|code| code.parse::<i32>().ok()),
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
            return (Corrupt, "a column holds what this software does not write");
        }
        sqlx::Error::Configuration(_) => return (Misconfigured, "the database cannot be opened like this"),
        _ => None,
    };
    match code.map(|code| code & 0xff) {
        // BUSY, LOCKED
        Some(5 | 6) => (
            Busy,
            "another process writes to the database for longer than this store waits: \
             end its transaction, or stop it",
        ),
        // CORRUPT, NOTADB
        Some(11) => (Corrupt, "the database file is damaged: restore it from a backup"),
        Some(26) => (Corrupt, "the file is not a SQLite database"),
        // CONSTRAINT, MISMATCH
        Some(19 | 20) => (Corrupt, "the stored rows contradict what was read from them"),
        // PERM, READONLY, CANTOPEN, AUTH
        Some(3 | 8 | 14 | 23) => {
            (Misconfigured, "the database cannot be opened for writing: check the path and its permissions")
        }
        // FULL
        Some(13) => (Unavailable, "the disk is full, or the database has reached its size limit"),
        // IOERR
        Some(10) => (Unavailable, "the disk answers with an I/O error"),
        _ => (Unavailable, "the database does not answer"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions, Connection, Executor, SqliteConnection};

    use super::*;

    async fn open(path: &Path) -> SqliteConnection {
        SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
    }

    fn kind_of(error: sqlx::Error, code: i32) -> StoreErrorKind {
        let text = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        let found = text.and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff);
        assert_eq!(found, Some(code), "{error}");
        Failure::from(error).told().kind()
    }

    #[tokio::test]
    async fn a_database_locked_by_another_writer_is_busy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let mut first = open(&path).await;
        first.execute("CREATE TABLE t(a)").await.unwrap();
        let options = SqliteConnectOptions::new().filename(&path).busy_timeout(std::time::Duration::ZERO);
        let mut second = options.connect().await.unwrap();
        first.execute("BEGIN IMMEDIATE").await.unwrap();
        let error = second.execute("BEGIN IMMEDIATE").await.unwrap_err();
        assert_eq!(kind_of(error, 5), StoreErrorKind::Busy);
    }

    #[tokio::test]
    async fn a_file_of_other_content_is_corrupt() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        std::fs::write(&path, [7_u8; 8192]).unwrap();
        let error = match SqliteConnectOptions::new().filename(&path).connect().await {
            Ok(mut connection) => connection.execute("SELECT * FROM sqlite_schema").await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(kind_of(error, 26), StoreErrorKind::Corrupt);
    }

    #[tokio::test]
    async fn a_damaged_page_is_corrupt() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let mut connection = open(&path).await;
        connection.execute("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(20000))").await.unwrap();
        connection.close().await.unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096..8192].fill(0xee);
        std::fs::write(&path, bytes).unwrap();
        let error = open(&path).await.execute("SELECT length(a) FROM t").await.unwrap_err();
        assert_eq!(kind_of(error, 11), StoreErrorKind::Corrupt);
    }

    #[tokio::test]
    async fn a_write_to_a_read_only_database_is_misconfigured() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        open(&path).await.execute("CREATE TABLE t(a)").await.unwrap();
        let mut reader = SqliteConnectOptions::new().filename(&path).read_only(true).connect().await.unwrap();
        let error = reader.execute("INSERT INTO t VALUES (1)").await.unwrap_err();
        assert_eq!(kind_of(error, 8), StoreErrorKind::Misconfigured);
    }

    #[tokio::test]
    async fn a_missing_folder_is_misconfigured() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nowhere").join("db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let error = options.connect().await.unwrap_err();
        assert_eq!(kind_of(error, 14), StoreErrorKind::Misconfigured);
    }

    #[tokio::test]
    async fn a_full_database_is_unavailable() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = open(&dir.path().join("db")).await;
        connection.execute("CREATE TABLE t(a); PRAGMA max_page_count = 3").await.unwrap();
        let error = connection.execute("INSERT INTO t VALUES (zeroblob(100000))").await.unwrap_err();
        assert_eq!(kind_of(error, 13), StoreErrorKind::Unavailable);
    }

    #[tokio::test]
    async fn a_broken_constraint_or_type_is_corrupt() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = open(&dir.path().join("db")).await;
        connection.execute("CREATE TABLE t(a INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)").await.unwrap();
        let error = connection.execute("INSERT INTO t VALUES (1)").await.unwrap_err();
        assert_eq!(kind_of(error, 19), StoreErrorKind::Corrupt);
        let error = connection.execute("INSERT INTO t VALUES ('x')").await.unwrap_err();
        assert_eq!(kind_of(error, 20), StoreErrorKind::Corrupt);
        let row = sqlx::query("SELECT 'x'").fetch_one(&mut connection).await.unwrap();
        let error = sqlx::Row::try_get::<i64, _>(&row, 0).unwrap_err();
        assert_eq!(Failure::from(error).told().kind(), StoreErrorKind::Corrupt);
    }

    #[test]
    fn a_lost_connection_is_unavailable() {
        assert_eq!(Failure::from(sqlx::Error::WorkerCrashed).told().kind(), StoreErrorKind::Unavailable);
    }
}
