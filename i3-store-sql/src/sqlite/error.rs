//! SQLite's result codes as failures of the store.

use std::error::Error as StdError;
use std::sync::Arc;

use i3_core::store::{StoreError, StoreErrorKind};

/// A failure that may have to be told to several callers.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    kind: StoreErrorKind,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
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
        self.source = Some(Arc::new(error));
        self
    }

    /// What kind of failure it is.
    pub(super) fn kind(&self) -> StoreErrorKind {
        self.kind
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

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let (kind, message) = classify(&error);
        Self { kind, message: message.to_owned(), source: Some(Arc::new(error)) }
    }
}

/// The kind and what to do. Result codes: <https://sqlite.org/rescode.html>; the low byte is the primary one.
fn classify(error: &rusqlite::Error) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind::{Busy, Corrupt, Misconfigured, Unavailable};
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnIndex, InvalidColumnType,
        QueryReturnedNoRows, Utf8Error,
    };
    match error {
        FromSqlConversionFailure(..)
        | IntegralValueOutOfRange(..)
        | InvalidColumnIndex(_)
        | InvalidColumnType(..)
        | QueryReturnedNoRows
        | Utf8Error(..) => return (Corrupt, "a column holds what this software does not write"),
        rusqlite::Error::InvalidPath(_) | rusqlite::Error::NulError(_) => {
            return (Misconfigured, "the path is not one that SQLite can open: choose another one");
        }
        _ => {}
    }
    match error.sqlite_error().map(|error| error.extended_code & 0xff) {
        // BUSY, LOCKED
        Some(5 | 6) => (
            Busy,
            "another process writes to the database for longer than this store waits: \
             end its transaction, or stop it",
        ),
        // CORRUPT, NOTADB
        Some(11) => (Corrupt, "the database file is damaged: restore it from a backup"),
        Some(26) => {
            (Corrupt, "the file is not a SQLite database: check the path, or restore it from a backup")
        }
        // CONSTRAINT, MISMATCH
        Some(19 | 20) => (Corrupt, "the stored rows contradict what was read from them"),
        // PERM, READONLY, CANTOPEN, AUTH
        Some(3 | 8 | 14 | 23) => {
            (Misconfigured, "the database cannot be opened for writing: check the path and its permissions")
        }
        // FULL
        Some(13) => {
            (Unavailable, "the disk is full, or the database has reached its size limit: free some space")
        }
        // IOERR
        Some(10) => (Unavailable, "the disk answers with an I/O error: check the disk and the file system"),
        _ => (Unavailable, "the database does not answer as it should"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rusqlite::{Connection, OpenFlags};

    use super::*;

    fn open(path: &Path) -> Connection {
        Connection::open(path).unwrap()
    }

    /// The kind of failure that this error with this result code is told as.
    fn kind_of(error: rusqlite::Error, code: i32) -> StoreErrorKind {
        let found = error.sqlite_extended_error_code().map(|code| code & 0xff);
        assert_eq!(found, Some(code), "{error}");
        Failure::from(error).told().kind()
    }

    #[test]
    fn a_database_locked_by_another_writer_is_busy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let (first, second) = (open(&path), open(&path));
        second.busy_timeout(std::time::Duration::ZERO).unwrap();
        first.execute_batch("CREATE TABLE t(a); BEGIN IMMEDIATE").unwrap();
        let error = second.execute_batch("BEGIN IMMEDIATE").unwrap_err();
        assert_eq!(kind_of(error, 5), StoreErrorKind::Busy);
    }

    #[test]
    fn a_file_of_other_content_is_corrupt() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        std::fs::write(&path, [7_u8; 8192]).unwrap();
        let error = open(&path).execute_batch("SELECT * FROM sqlite_schema").unwrap_err();
        assert_eq!(kind_of(error, 26), StoreErrorKind::Corrupt);
    }

    #[test]
    fn a_damaged_page_is_corrupt() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        open(&path).execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(20000))").unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096..8192].fill(0xee);
        std::fs::write(&path, bytes).unwrap();
        let error = open(&path).query_one("SELECT length(a) FROM t", [], |_| Ok(())).unwrap_err();
        assert_eq!(kind_of(error, 11), StoreErrorKind::Corrupt);
    }

    #[test]
    fn a_write_to_a_read_only_database_is_misconfigured() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        open(&path).execute_batch("CREATE TABLE t(a)").unwrap();
        let reader = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let error = reader.execute_batch("INSERT INTO t VALUES (1)").unwrap_err();
        assert_eq!(kind_of(error, 8), StoreErrorKind::Misconfigured);
    }

    #[test]
    fn a_missing_folder_is_misconfigured() {
        let dir = tempfile::tempdir().unwrap();
        let error = Connection::open(dir.path().join("nowhere").join("db")).unwrap_err();
        assert_eq!(kind_of(error, 14), StoreErrorKind::Misconfigured);
    }

    #[test]
    fn a_path_that_is_none_is_misconfigured() {
        let error = Connection::open("a\0b").unwrap_err();
        assert_eq!(Failure::from(error).told().kind(), StoreErrorKind::Misconfigured);
    }

    #[test]
    fn a_full_database_is_unavailable() {
        let dir = tempfile::tempdir().unwrap();
        let connection = open(&dir.path().join("db"));
        connection.execute_batch("CREATE TABLE t(a); PRAGMA max_page_count = 3").unwrap();
        let error = connection.execute_batch("INSERT INTO t VALUES (zeroblob(100000))").unwrap_err();
        assert_eq!(kind_of(error, 13), StoreErrorKind::Unavailable);
    }

    #[test]
    fn a_broken_constraint_or_type_is_corrupt() {
        let dir = tempfile::tempdir().unwrap();
        let connection = open(&dir.path().join("db"));
        connection.execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)").unwrap();
        let error = connection.execute_batch("INSERT INTO t VALUES (1)").unwrap_err();
        assert_eq!(kind_of(error, 19), StoreErrorKind::Corrupt);
        let error = connection.execute_batch("INSERT INTO t VALUES ('x')").unwrap_err();
        assert_eq!(kind_of(error, 20), StoreErrorKind::Corrupt);
        let error = connection.query_one("SELECT 'x'", [], |row| row.get::<_, i64>(0)).unwrap_err();
        assert_eq!(Failure::from(error).told().kind(), StoreErrorKind::Corrupt);
    }

    #[test]
    fn a_code_that_says_nothing_better_is_unavailable() {
        let dir = tempfile::tempdir().unwrap();
        let error = open(&dir.path().join("db")).execute_batch("no such statement").unwrap_err();
        assert_eq!(Failure::from(error).told().kind(), StoreErrorKind::Unavailable);
    }
}
