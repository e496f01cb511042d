//! PostgreSQL keeps the contract of storage: conformance, likeness to the model, the death of the process.
#![cfg(all(feature = "postgres", feature = "testkit", unix))]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use i3_core::store::{
    BatchBuilder, Body, Collection, CommitError, Draft, DynStore, Key, Kind, Scan, Schema, Store, StoreExt,
    Units,
};
use i3_core::testkit::{Checked, Harness, Stop, conformance, crash, model};
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
        let server = postgres_or_skip(test)?;
        Ok(server.map(|server| Self { server, test, opened: AtomicU32::new(0), last: Mutex::default() }))
    }

    fn name(&self) -> String {
        format!("{}_{}", self.test, self.opened.load(Ordering::Relaxed))
    }
}

/// With all the time that a slow machine may need.
fn patient() -> PostgresOptions {
    let long = Duration::from_mins(2);
    PostgresOptions { connect_timeout: long, statement_timeout: 2 * long, ..PostgresOptions::default() }
}

async fn open(url: &str) -> Result<DynStore, Stop> {
    let options = PostgresOptions { readers: 2, ..patient() };
    Ok(Arc::new(PostgresStore::open(url, options).await?))
}

#[async_trait]
impl Harness for Schemas {
    async fn open(&self) -> Result<DynStore, Stop> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let url = self.server.schema(&self.name())?;
        self.last.lock().map_err(Stop::broken)?.clone_from(&url);
        open(&url).await
    }

    async fn reopen(&self) -> Result<Option<DynStore>, Stop> {
        let url = self.last.lock().map_err(Stop::broken)?.clone();
        open(&url).await.map(Some)
    }

    async fn second(&self) -> Result<Option<DynStore>, Stop> {
        self.reopen().await
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

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() -> Checked {
    let test = "a_killed_process_loses_nothing_that_it_acknowledged";
    // The child that is to be killed knows the address and needs no server of its own.
    let is_child = std::env::var_os("I3_TESTKIT_CRASH_PLACE").is_some();
    let server = if is_child { None } else { postgres_or_skip(test)? };
    let url = match server {
        Some(server) => server.schema("killed")?,
        None if is_child => String::new(),
        None => return Ok(()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    crash::survive(
        test,
        Path::new(&url),
        6,
        &|place| {
            let url = place.display().to_string();
            Box::pin(async move { open(&url).await })
        },
        &|run| runtime.block_on(run),
    )
}

static STOCK: Collection =
    Collection { name: "stock", kind: Kind::Counters, about: "what is left", columns: &[], indexes: &[] };
static NOTES: Collection =
    Collection { name: "notes", kind: Kind::Records, about: "who won", columns: &[], indexes: &[] };
static LOG: Collection =
    Collection { name: "log", kind: Kind::Streams, about: "what happened", columns: &[], indexes: &[] };

/// As many stores over one schema as processes would have.
async fn together(url: &str, count: usize) -> Result<Vec<Arc<PostgresStore>>, Stop> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..count {
        let url = url.to_owned();
        tasks.spawn(async move {
            let store = PostgresStore::open(&url, patient()).await?;
            store.prepare(&Schema::new(1, &[&STOCK, &NOTES, &LOG])?).await?;
            Ok::<_, Stop>(Arc::new(store))
        });
    }
    tasks.join_all().await.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_may_open_and_prepare_an_empty_schema_at_once() -> Checked {
    let Some(server) = postgres_or_skip("several processes prepare")? else { return Ok(()) };
    let url = server.schema("prepare_together")?;
    for store in together(&url, 6).await? {
        let key = Key::new(&STOCK, "opened")?;
        store.commit(&BatchBuilder::new().adjust(key, Units::new(1)?, Units::ZERO).build()?).await?;
    }
    let stores = together(&url, 1).await?;
    assert_eq!(stores[0].counter(&Key::new(&STOCK, "opened")?).await?.get(), 6);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_over_one_database_lose_no_count_no_create_and_no_entry() -> Checked {
    const CALLERS: usize = 8;
    const ROUNDS: usize = 25;
    let Some(server) = postgres_or_skip("two processes")? else { return Ok(()) };
    let stores = together(&server.schema("two_processes")?, 2).await?;
    let stock = Key::new(&STOCK, "tickets")?;
    let supply = i64::try_from(CALLERS * ROUNDS / 2)?;
    let delivery = BatchBuilder::new().adjust(stock.clone(), Units::new(supply)?, Units::ZERO).build()?;
    stores[0].commit(&delivery).await?;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let (store, stock) = (Arc::clone(&stores[caller % 2]), stock.clone());
        callers.spawn(async move {
            let (mut sold, mut won) = (0, 0);
            for round in 0..ROUNDS {
                let take = BatchBuilder::new()
                    .adjust(stock.clone(), Units::new(-1)?, Units::ZERO)
                    .append(Key::new(&LOG, "sales")?, Body::new(format!("{caller}/{round}"))?);
                match store.commit(&take.build()?).await {
                    Ok(_) => sold += 1,
                    Err(CommitError::Floor { .. }) => {}
                    Err(other) => return Err(other.into()),
                }
                // Both processes want the same prizes.
                let prize = Draft::new(&NOTES, &format!("prize-{round}"), Vec::new(), format!("{caller}"))?;
                match store.commit(&BatchBuilder::new().create(prize).build()?).await {
                    Ok(_) => won += 1,
                    Err(CommitError::Stale { .. }) => {}
                    Err(other) => return Err(other.into()),
                }
            }
            Ok::<_, Stop>((sold, won))
        });
    }
    let (mut sold, mut won) = (0, 0);
    for caller in callers.join_all().await {
        let caller = caller?;
        (sold, won) = (sold + caller.0, won + caller.1);
    }
    assert_eq!((sold, won), (CALLERS * ROUNDS / 2, ROUNDS));
    assert_eq!(stores[1].counter(&stock).await?.get(), 0);
    let entries = stores[1].scan(&Scan::entries(Key::new(&LOG, "sales")?)?.limit(1000)).await?.rows;
    assert_eq!(entries.len(), sold);
    Ok(())
}
