//! Throwaway database servers for the tests and benches of whoever works on a backend.
//!
//! ```no_run
//! # #[cfg(feature = "postgres")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use i3_store_sql::testkit::{Durable, Postgres};
//!
//! let server = Postgres::start(Durable::No)?;
//! let url = server.database("orders")?; // empty, and for this test alone
//! # drop(url);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "postgres"))]
//! # fn main() {}
//! ```
//!
//! [`Postgres`] and [`Mariadb`] start from binaries of this machine, in a temporary folder (under `TMPDIR`),
//! and listen only on a socket in it. As root they run as the user of that name, because both refuse
//! root. Dropping the value stops the server and removes the folder; so does the end of the process, by
//! whatever signal, because a shell that holds the other end of a pipe watches over each server.
//! Databases are made with [`Postgres::database`] and [`Mariadb::database`].
//!
//! A server that runs already is used where the environment names it: `I3_TEST_POSTGRES_URL`,
//! `I3_TEST_MYSQL_URL` (see [`postgres_or_skip`], [`mariadb_or_skip`]). It cannot be killed.
//!
//! Not covered by semantic versioning. Only for Unix; killing a whole PostgreSQL needs `/proc` (Linux).

#[cfg(feature = "mysql")]
mod mariadb;
mod places;
#[cfg(feature = "postgres")]
mod postgres;
mod server;
#[cfg(test)]
mod servers_test;

use std::fmt;
use std::future::Future;
use std::io::Write as _;

#[cfg(feature = "mysql")]
pub use self::mariadb::{Mariadb, mariadb_or_skip, own_mariadb_or_skip};
#[cfg(feature = "postgres")]
pub use self::postgres::{Postgres, own_postgres_or_skip, postgres_or_skip};

/// Whether a server waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// At every commit, as a server of an operator should: what was committed survives a power loss.
    Yes,
    /// Never: faster, for tests of anything but durability. What was committed may be lost even when
    /// only the server is killed.
    No,
}

/// Why there is no server, or why it did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The binaries are not installed.
    #[error("{product} is not installed: none of {looked_for} is in PATH or where Debian puts it")]
    Missing {
        /// What is missing.
        product: &'static str,
        /// The names.
        looked_for: &'static str,
    },
    /// The server was not made by this process, so it cannot be killed or started again.
    #[error("the server runs by itself: it cannot be killed or started from here")]
    NotOurs,
    /// It ended or did not answer; with the last lines of its log.
    #[error("{product} does not run: {what}\n{log}")]
    Failed {
        /// Which server.
        product: &'static str,
        /// What happened.
        what: String,
        /// The end of its log.
        log: String,
    },
    /// It refused a statement.
    #[error("the server refused a statement of the tests")]
    Refused(#[source] sqlx::Error),
    /// A file, process or thread could not be made or reached.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        error: std::io::Error,
    },
}

impl ServerError {
    fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Io { what, error }
    }
}

/// Databases of the tests carry this in their names, so that a mistake cannot drop another one.
const PREFIX: &str = "i3_test_";

/// The full name of a test's database. Unlike on a server of our own, several processes meet on one that
/// runs by itself.
fn database_name(name: &str, ours: bool) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .take(40)
        .collect();
    if ours { format!("{PREFIX}{plain}") } else { format!("{PREFIX}{}_{plain}", std::process::id()) }
}

/// What a URL has before the path and after it.
fn around_path(url: &str) -> (String, String) {
    let (rest, query) = match url.find('?').and_then(|place| url.split_at_checked(place)) {
        Some((rest, query)) => (rest, query.to_owned()),
        None => (url, String::new()),
    };
    let before = match rest.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.split('/').next().unwrap_or_default()),
        None => rest.to_owned(),
    };
    (before, query)
}

/// Runs a future to its end on a thread of its own, so that it may be called from within a runtime too.
fn blocking<T: Send>(future: impl Future<Output = T> + Send) -> Result<T, ServerError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(future))
        });
        let answer = thread.map_err(ServerError::io("a thread cannot be started"))?.join();
        match answer {
            Ok(answer) => answer.map_err(ServerError::io("a runtime cannot be made")),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// `None`, with a line that nobody misses, if the server is not installed; with `CI` set, an error.
fn or_skip<T>(test: &str, found: Result<T, ServerError>) -> Result<Option<T>, ServerError> {
    match found {
        Ok(server) => Ok(Some(server)),
        Err(missing @ ServerError::Missing { .. }) if std::env::var_os("CI").is_none() => {
            say(format_args!("SKIPPED {test}: {missing}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// To standard error itself, which the test harness does not capture.
fn say(line: fmt::Arguments<'_>) {
    // A line that cannot be told is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> Result<u8, ServerError> {
        Err(ServerError::Missing { product: "PostgreSQL", looked_for: "initdb" })
    }

    #[test]
    fn a_missing_server_skips_a_test_and_fails_ci() {
        let answer = or_skip("a test", missing());
        if std::env::var_os("CI").is_some() {
            assert!(matches!(answer, Err(ServerError::Missing { .. })));
        } else {
            assert!(matches!(answer, Ok(None)));
        }
    }

    #[test]
    fn a_server_that_does_not_start_is_no_reason_to_skip() {
        assert!(or_skip::<u8>("a test", Err(ServerError::NotOurs)).is_err());
    }

    #[test]
    fn a_url_is_cut_around_its_path() {
        let cut = |before: &str, after: &str| (before.to_owned(), after.to_owned());
        assert_eq!(
            around_path("mysql://a:b@host:1/db?socket=/x/s"),
            cut("mysql://a:b@host:1", "?socket=/x/s")
        );
        assert_eq!(around_path("postgres://host"), cut("postgres://host", ""));
    }

    #[test]
    fn a_database_name_is_plain_and_marked() {
        assert_eq!(database_name("Orders; DROP", true), "i3_test_orders__drop");
        let shared = database_name("a", false);
        assert!(
            shared.starts_with("i3_test_") && shared.ends_with("_a") && shared.len() > "i3_test__a".len()
        );
    }
}
