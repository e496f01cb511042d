//! PostgreSQL keeps the contract of storage: conformance, likeness to the model, the death of the process.
#![cfg(all(feature = "postgres", feature = "testkit", unix))]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use i3_core::store::DynStore;
use i3_core::testkit::{Checked, Harness, Stop, conformance, model};
use i3_store_sql::testkit::{Postgres, postgres_or_skip};
use i3_store_sql::{PostgresOptions, PostgresStore};

/// Stores of one test, each in a schema of its own.
struct Schemas {
    server: &'static Postgres,
    test: &'static str,
    opened: AtomicU32,
    last: Mutex<String>,
}

impl Schemas {
    /// None if there is no PostgreSQL on this machine.
    fn of(test: &'static str) -> Result<Option<Self>, Stop> {
        let server = postgres_or_skip(test).map_err(Stop::broken)?;
        Ok(server.map(|server| Self { server, test, opened: AtomicU32::new(0), last: Mutex::default() }))
    }

    async fn store(&self, url: &str) -> Result<DynStore, Stop> {
        let options = PostgresOptions { readers: 2, ..PostgresOptions::default() };
        Ok(Arc::new(PostgresStore::open(url, options).await?))
    }

    fn name(&self) -> String {
        format!("{}_{}", self.test, self.opened.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl Harness for Schemas {
    async fn open(&self) -> Result<DynStore, Stop> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let url = self.server.schema(&self.name()).map_err(Stop::broken)?;
        self.last.lock().map_err(Stop::broken)?.clone_from(&url);
        self.store(&url).await
    }

    async fn reopen(&self) -> Result<Option<DynStore>, Stop> {
        let url = self.last.lock().map_err(Stop::broken)?.clone();
        self.store(&url).await.map(Some)
    }
}

#[tokio::test]
async fn all_conformance_cases_run_on_postgres() -> Checked {
    let Some(harness) = Schemas::of("conformance")? else { return Ok(()) };
    let report = conformance::run_all(&harness).await;
    assert_eq!(report.passed.len() + report.not_applicable.len(), conformance::CASES.len());
    report.announce("postgres")
}

#[test]
fn postgres_answers_like_the_model() -> Checked {
    let Some(harness) = Schemas::of("model")? else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    model::check(&harness, 64, |run| runtime.block_on(run))
}
