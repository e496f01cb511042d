//! One trace of the marketplace's commands over every backend that there is: the backends differ in speed only.
//!
//! PostgreSQL and MariaDB take part where their binaries are installed, or where `I3_TEST_POSTGRES_URL` and
//! `I3_TEST_MYSQL_URL` name a server; with `CI` set, they must. `I3_TRACE_CASES` is the number of traces.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use i3_core::store::{DynStore, MemoryStore};
use i3_core::testkit::trace::{Backend, check, compare, tour};
use i3_core::testkit::{Checked, Harness, Run, Stop, announce};
use i3_embedding::RedbStore;
use i3_store_sled::SledOptions;
use i3_store_sql::testkit::{Mariadb, Postgres, mariadb_or_skip, postgres_or_skip};
use i3_store_sql::{MysqlOptions, MysqlStore, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore};
use tempfile::TempDir;

struct Memory;

#[async_trait]
impl Harness for Memory {
    async fn open(&self) -> Result<DynStore, Stop> {
        Ok(Arc::new(MemoryStore::new()))
    }
}

/// Stores in files, each in a folder of its own; only the last one is kept.
struct Files {
    open: fn(&Path) -> Run<'_, Result<DynStore, Stop>>,
    folder: Mutex<Option<TempDir>>,
}

impl Files {
    fn of(open: fn(&Path) -> Run<'_, Result<DynStore, Stop>>) -> Self {
        Self { open, folder: Mutex::default() }
    }
}

#[async_trait]
impl Harness for Files {
    async fn open(&self) -> Result<DynStore, Stop> {
        *self.folder.lock().unwrap() = Some(tempfile::tempdir()?);
        self.reopen().await?.ok_or_else(|| Stop::broken("there is no store"))
    }

    async fn reopen(&self) -> Result<Option<DynStore>, Stop> {
        let place = self.folder.lock().unwrap().as_ref().unwrap().path().join("store");
        (self.open)(&place).await.map(Some)
    }
}

fn redb(place: &Path) -> Run<'_, Result<DynStore, Stop>> {
    Box::pin(async move { Ok(Arc::new(RedbStore::open(place)?) as DynStore) })
}

fn sqlite(place: &Path) -> Run<'_, Result<DynStore, Stop>> {
    Box::pin(
        async move { Ok(Arc::new(SqliteStore::open(place, SqliteOptions::default()).await?) as DynStore) },
    )
}

fn sled(place: &Path) -> Run<'_, Result<DynStore, Stop>> {
    Box::pin(
        async move { Ok(Arc::new(SledOptions::new().with_cache_bytes(4 << 20).open(place)?) as DynStore) },
    )
}

enum Server {
    Postgres(&'static Postgres),
    Mariadb(&'static Mariadb),
}

/// Stores on a server, each over an emptied database.
struct Databases {
    test: &'static str,
    server: Server,
    opened: AtomicU32,
    last: Mutex<String>,
}

impl Databases {
    fn of(test: &'static str, server: Server) -> Self {
        Self { test, server, opened: AtomicU32::new(0), last: Mutex::default() }
    }
}

#[async_trait]
impl Harness for Databases {
    async fn open(&self) -> Result<DynStore, Stop> {
        // Two in turn, so that the last one is not dropped while its connections are being closed.
        let name = format!("{}_{}", self.test, self.opened.fetch_add(1, Ordering::Relaxed) % 2);
        *self.last.lock().unwrap() = match self.server {
            Server::Postgres(server) => server.schema(&name)?,
            Server::Mariadb(server) => server.database(&name)?,
        };
        self.reopen().await?.ok_or_else(|| Stop::broken("there is no store"))
    }

    async fn reopen(&self) -> Result<Option<DynStore>, Stop> {
        let url = self.last.lock().unwrap().clone();
        Ok(Some(match self.server {
            Server::Postgres(_) => {
                let options = PostgresOptions { readers: 2, ..PostgresOptions::default() };
                Arc::new(PostgresStore::open(&url, options).await?)
            }
            Server::Mariadb(_) => {
                let options = MysqlOptions { readers: 2, ..MysqlOptions::default() };
                Arc::new(MysqlStore::open(&url, options).await?)
            }
        }))
    }
}

/// Runs `check` with every backend of this machine.
fn with_all(test: &'static str, check: impl FnOnce(&[Backend<'_>]) -> Checked) -> Checked {
    let files = [("redb", Files::of(redb)), ("SQLite", Files::of(sqlite)), ("sled", Files::of(sled))];
    let mut servers = Vec::new();
    if let Some(server) = postgres_or_skip(test)? {
        servers.push(("PostgreSQL", Databases::of(test, Server::Postgres(server))));
    }
    if let Some(server) = mariadb_or_skip(test)? {
        servers.push(("MariaDB", Databases::of(test, Server::Mariadb(server))));
    }
    let mut backends = vec![Backend { name: "memory", harness: &Memory }];
    backends.extend(files.iter().map(|(name, harness)| Backend { name, harness }));
    backends.extend(servers.iter().map(|(name, harness)| Backend { name, harness }));
    check(&backends)
}

#[test]
fn random_traces_give_the_same_on_all_backends() -> Checked {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    with_all("random_traces", |backends| {
        let tally = check(backends, 4, |run| runtime.block_on(run))?;
        announce(&format!("{backends:?} alike: {tally}"));
        Ok(())
    })
}

#[test]
fn every_command_answers_the_same_on_all_backends() -> Checked {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    with_all("every_command", |backends| runtime.block_on(compare(backends, &tour())).map(drop))
}
