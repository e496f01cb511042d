//! MariaDB keeps the contract of storage: conformance, likeness to the model, deaths on either side, foreign
//! transactions. MySQL can be tested with `I3_TEST_MYSQL_URL`.
#![cfg(all(feature = "mysql", feature = "testkit", unix))]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use i3_core::store::DynStore;
use i3_core::testkit::{Checked, Harness, Stop, conformance, model};
use i3_store_sql::testkit::{Mariadb, mariadb_or_skip};
use i3_store_sql::{MysqlOptions, MysqlStore};

/// Stores of one test, each in a database of its own.
struct Databases {
    server: &'static Mariadb,
    test: &'static str,
    opened: AtomicU32,
    last: Mutex<String>,
}

impl Databases {
    /// None if there is no MariaDB on this machine.
    fn of(test: &'static str) -> Result<Option<Self>, Stop> {
        let server = mariadb_or_skip(test)?;
        Ok(server.map(|server| Self { server, test, opened: AtomicU32::new(0), last: Mutex::default() }))
    }
}

async fn open(url: &str) -> Result<DynStore, Stop> {
    let options = MysqlOptions { readers: 2, ..MysqlOptions::default() };
    Ok(Arc::new(MysqlStore::open(url, options).await?))
}

#[async_trait]
impl Harness for Databases {
    async fn open(&self) -> Result<DynStore, Stop> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let url = self.server.database(&format!("{}_{}", self.test, number % 4))?;
        self.last.lock().map_err(Stop::broken)?.clone_from(&url);
        open(&url).await
    }

    async fn reopen(&self) -> Result<Option<DynStore>, Stop> {
        let url = self.last.lock().map_err(Stop::broken)?.clone();
        open(&url).await.map(Some)
    }
}

#[tokio::test]
async fn all_conformance_cases_run_on_mariadb() -> Checked {
    let Some(harness) = Databases::of("conformance")? else { return Ok(()) };
    let report = conformance::run_all(&harness).await;
    report.announce("mariadb")?;
    assert_eq!(report.passed.len(), conformance::CASES.len());
    Ok(())
}

#[test]
fn mariadb_answers_like_the_model() -> Checked {
    let Some(harness) = Databases::of("model")? else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    model::check(&harness, 64, |run| runtime.block_on(run))
}
