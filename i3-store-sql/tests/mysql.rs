//! MariaDB keeps the contract of storage: conformance, likeness to the model, deaths on either side, foreign
//! transactions. MySQL can be tested with `I3_TEST_MYSQL_URL`.
#![cfg(all(feature = "mysql", feature = "testkit", unix))]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use i3_core::store::{
    Batch, BatchBuilder, Body, Cell, Collection, Column, CommitError, Draft, Durability, DynStore, Index,
    Key, Kind, Row as Found, Scan, Schema, Store, StoreErrorKind, StoreExt, Units,
};
use i3_core::testkit::{Checked, Harness, Stop, conformance, crash, model};
use i3_store_sql::testkit::{Durable, Mariadb, mariadb_or_skip, own_mariadb_or_skip};
use i3_store_sql::{MysqlOptions, MysqlStore};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _};

/// How long something may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_mins(5);

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

/// With all the time that a slow machine may need.
fn patient() -> MysqlOptions {
    let long = Duration::from_mins(2);
    MysqlOptions {
        connect_timeout: long,
        lock_timeout: long,
        statement_timeout: 2 * long,
        ..MysqlOptions::default()
    }
}

async fn open(url: &str) -> Result<DynStore, Stop> {
    let options = MysqlOptions { readers: 2, ..patient() };
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

    async fn second(&self) -> Result<Option<DynStore>, Stop> {
        self.reopen().await
    }
}

#[tokio::test]
async fn all_conformance_cases_run_on_mariadb() -> Checked {
    let Some(harness) = Databases::of("conformance")? else { return Ok(()) };
    let report = conformance::run_all(&harness).await;
    report.announce("mariadb")?;
    // All but those that ask what a store cannot tell to whose database others write as well.
    let of_revisions =
        ["a_revision_is_another_once_a_change_is_committed", "everybody_who_committed_sees_another_revision"];
    assert_eq!(report.not_applicable.iter().map(|(name, _)| *name).collect::<Vec<_>>(), of_revisions);
    assert_eq!(report.passed.len() + of_revisions.len(), conformance::CASES.len());
    Ok(())
}

#[test]
fn mariadb_answers_like_the_model() -> Checked {
    let Some(harness) = Databases::of("model")? else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    model::check(&harness, 64, |run| runtime.block_on(run))
}

static ORDERS: Collection = Collection {
    name: "orders",
    kind: Kind::Records,
    about: "one for each transfer",
    columns: &[Column::int("caller")],
    indexes: &[Index { name: "by_caller", columns: &["caller"] }],
};
static MONEY: Collection =
    Collection { name: "money", kind: Kind::Counters, about: "accounts", columns: &[], indexes: &[] };
static LOG: Collection =
    Collection { name: "log", kind: Kind::Streams, about: "all transfers", columns: &[], indexes: &[] };

fn books() -> Result<Schema, Stop> {
    Ok(Schema::new(1, &[&ORDERS, &MONEY, &LOG])?)
}

/// One unit from one account to another, with an order that keeps it from being made twice.
fn transfer(number: u64, caller: u64) -> Result<Batch, Stop> {
    let order = Draft::new(&ORDERS, &format!("o{number}"), vec![Some(i64::try_from(caller)?.into())], "{}")?;
    let account = |name: &str| Key::new(&MONEY, name);
    Ok(BatchBuilder::new()
        .create(order)
        .adjust(account(&format!("from{}", caller % 3))?, Units::new(-1)?, Units::MIN)
        .adjust(account("to")?, Units::new(1)?, Units::ZERO)
        .append(Key::new(&LOG, "transfers")?, Body::new(format!("{number}"))?)
        .build()?)
}

/// Callers that make transfers until they are told to end, each given again until it is known to be made.
struct Load {
    callers: tokio::task::JoinSet<Checked>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    end: AtomicBool,
    begun: AtomicU64,
    made: AtomicU64,
    /// Answers of the store that it cannot say, or could not.
    failed: AtomicU64,
}

impl Load {
    fn start(stores: &[Arc<MysqlStore>]) -> Self {
        let counts = Arc::new(Counts::default());
        let mut callers = tokio::task::JoinSet::new();
        for (caller, store) in (0..8).zip(stores.iter().cycle()) {
            callers.spawn(transfer_on_and_on(Arc::clone(store), caller, Arc::clone(&counts)));
        }
        Self { callers, counts }
    }

    /// Waits until this is so; fails if a caller did.
    async fn until(&mut self, what: &str, is: impl Fn(&Counts) -> bool) -> Checked {
        let begun = Instant::now();
        while !is(&self.counts) {
            if let Some(ended) = self.callers.try_join_next() {
                ended.map_err(Stop::broken)??;
            }
            if begun.elapsed() > PATIENCE {
                return Err(Stop::broken(format!("never: {what}: {:?}", self.counts)));
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        Ok(())
    }

    /// Waits for so many more transfers.
    async fn make(&mut self, more: u64) -> Checked {
        let goal = self.counts.made.load(Ordering::SeqCst) + more;
        self.until("more transfers", |counts| counts.made.load(Ordering::SeqCst) >= goal).await
    }

    /// Waits until the store failed once more.
    async fn fail(&mut self) -> Checked {
        let before = self.counts.failed.load(Ordering::SeqCst);
        self.until("a failure", |counts| counts.failed.load(Ordering::SeqCst) > before).await
    }

    /// Lets all end their last transfer; how many were made.
    async fn end(mut self) -> Result<u64, Stop> {
        self.counts.end.store(true, Ordering::SeqCst);
        while let Some(ended) = self.callers.join_next().await {
            ended.map_err(Stop::broken)??;
        }
        Ok(self.counts.made.load(Ordering::SeqCst))
    }
}

async fn transfer_on_and_on(store: Arc<MysqlStore>, caller: u64, counts: Arc<Counts>) -> Checked {
    while !counts.end.load(Ordering::SeqCst) {
        let batch = transfer(counts.begun.fetch_add(1, Ordering::SeqCst), caller)?;
        let begun = Instant::now();
        loop {
            match store.commit(&batch).await {
                // The order is there: an earlier try was made after all.
                Ok(_) | Err(CommitError::Stale { op: 0, .. }) => break,
                Err(CommitError::Store(error)) => {
                    let passing = matches!(error.kind(), StoreErrorKind::Unavailable | StoreErrorKind::Busy);
                    if !passing || begun.elapsed() > PATIENCE {
                        return Err(Stop::from(error));
                    }
                    counts.failed.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(other) => return Err(Stop::from(other)),
            }
        }
        counts.made.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

/// Every transfer is there once, and the money adds up.
async fn check_books(store: &MysqlStore, transfers: u64) -> Checked {
    let mut sum = store.counter(&Key::new(&MONEY, "to")?).await?.get();
    assert_eq!(sum, i64::try_from(transfers)?);
    for from in 0..3 {
        sum += store.counter(&Key::new(&MONEY, format!("from{from}"))?).await?.get();
    }
    assert_eq!(sum, 0);
    let mut numbers = BTreeSet::new();
    let mut scan = Scan::entries(Key::new(&LOG, "transfers")?)?.limit(1000);
    let mut expected = 1;
    loop {
        let page = store.scan(&scan).await?;
        for row in page.rows {
            let Found::Entry { position, body, .. } = row else { return Err(Stop::broken("no entry")) };
            assert_eq!(position, expected);
            expected += 1;
            assert!(numbers.insert(body.as_str().parse::<u64>()?), "transfer {} twice", body.as_str());
        }
        let Some(next) = page.next else { break };
        scan = scan.after(next)?;
    }
    assert_eq!(numbers, (0..transfers).collect());
    Ok(())
}

async fn books_at(url: &str) -> Result<Arc<MysqlStore>, Stop> {
    books_of(url, patient()).await
}

async fn books_of(url: &str, options: MysqlOptions) -> Result<Arc<MysqlStore>, Stop> {
    let store = Arc::new(MysqlStore::open(url, options).await?);
    store.prepare(&books()?).await?;
    Ok(store)
}

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() -> Checked {
    const TEST: &str = "a_killed_process_loses_nothing_that_it_acknowledged";
    // The child is told where its store is; it needs no server of its own.
    let child = std::env::var_os("I3_TESTKIT_CRASH_PLACE").is_some();
    let server = if child { None } else { mariadb_or_skip(TEST)? };
    let url = match server {
        Some(server) => server.database("killed_process")?,
        None if child => String::new(),
        None => return Ok(()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    crash::survive(
        TEST,
        Path::new(&url),
        5,
        &|place| {
            let url = place.display().to_string();
            Box::pin(async move { open(&url).await })
        },
        &|run| runtime.block_on(run),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_under_load_loses_nothing_and_what_is_given_again_converges() -> Checked {
    let Some(server) = own_mariadb_or_skip("killed server", Durable::Yes)? else { return Ok(()) };
    let store = books_at(&server.database("killed_server")?).await?;
    assert_eq!(store.durability(), Durability::PowerLoss);
    let mut load = Load::start(&[Arc::clone(&store)]);
    for round in 0..3 {
        load.make(40 + round * 17).await?;
        server.kill()?;
        load.fail().await?;
        server.restart()?;
    }
    load.make(40).await?;
    let made = load.end().await?;
    check_books(&store, made).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_killed_under_load_are_replaced_and_nothing_is_lost() -> Checked {
    let Some(server) = own_mariadb_or_skip("killed connections", Durable::No)? else { return Ok(()) };
    let url = server.database("killed_connections")?;
    let store = books_at(&url).await?;
    let mut foreign = connected(&url).await?;
    let mut load = Load::start(&[Arc::clone(&store)]);
    let others = "SELECT CAST(ID AS SIGNED) FROM information_schema.PROCESSLIST \
                  WHERE DB = DATABASE() AND ID <> CONNECTION_ID()";
    let (mut cuts, mut killed) = (0, 0);
    // However slow the machine is, some transfers are made between two cuts.
    while cuts < 40 || killed == 0 || store.stats().repeats == 0 {
        load.make(5).await?;
        for row in sqlx::query(others).fetch_all(&mut foreign).await? {
            let id: i64 = row.try_get(0)?;
            // It may have ended by itself.
            let kill = foreign.execute(AssertSqlSafe(format!("KILL CONNECTION {id}"))).await;
            killed += u64::from(kill.is_ok());
        }
        assert_eq!(store.read(&[Key::new(&MONEY, "never")?]).await?, [None]);
        cuts += 1;
    }
    load.make(5).await?;
    let made = load.end().await?;
    check_books(&store, made).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_over_one_database_lose_nothing() -> Checked {
    let Some(server) = mariadb_or_skip("two stores")? else { return Ok(()) };
    let url = server.database("two_stores")?;
    let stores = [books_at(&url).await?, books_at(&url).await?];
    let mut load = Load::start(&stores);
    load.make(800).await?;
    let made = load.end().await?;
    check_books(&stores[0], made).await?;

    // Both read the same version and replace it: one of them must be told.
    for turn in 0..30_i64 {
        let id = format!("o{turn}");
        let Some(Cell::Record { version, .. }) =
            stores[0].read(&[Key::new(&ORDERS, id.as_str())?]).await?.remove(0)
        else {
            return Err(Stop::broken("no order"));
        };
        let replace = || -> Result<Batch, Stop> {
            let draft = Draft::new(&ORDERS, &id, vec![Some(turn.into())], "{}")?;
            Ok(BatchBuilder::new().replace(version, draft).build()?)
        };
        let (one, two) = (replace()?, replace()?);
        let (one, two) = tokio::join!(stores[0].commit(&one), stores[1].commit(&two));
        assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1, "{one:?} {two:?}");
        let lost = one.err().or(two.err());
        assert!(matches!(lost, Some(CommitError::Stale { op: 0, .. })), "{lost:?}");
    }
    Ok(())
}

/// Waits for something, as long as a slow machine may need for it.
async fn until(what: &str, mut is: impl AsyncFnMut() -> Result<bool, Stop>) -> Checked {
    let begun = Instant::now();
    while !is().await? {
        if begun.elapsed() > PATIENCE {
            return Err(Stop::broken(format!("never: {what}")));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn connected(url: &str) -> Result<MySqlConnection, Stop> {
    let options: MySqlConnectOptions = url.parse()?;
    Ok(options.connect().await?)
}

#[tokio::test]
async fn a_lock_that_another_session_holds_is_waited_for_and_tried_again() -> Checked {
    let Some(server) = mariadb_or_skip("foreign lock")? else { return Ok(()) };
    let url = server.database("foreign_lock")?;
    // The commit is tried seven times more, so the lock has to be given back within so many times this.
    let store = books_of(&url, MysqlOptions { lock_timeout: Duration::from_secs(3), ..patient() }).await?;
    let mut foreign = connected(&url).await?;
    foreign.execute("START TRANSACTION").await?;
    foreign.execute("SELECT clock FROM _i3_store FOR UPDATE").await?;
    let waiting = tokio::spawn({
        let (store, batch) = (Arc::clone(&store), transfer(0, 0)?);
        async move { store.commit(&batch).await }
    });
    until("one try has waited in vain", async || Ok(store.stats().repeats > 0)).await?;
    foreign.execute("ROLLBACK").await?;
    waiting.await.map_err(Stop::broken)??;
    check_books(&store, 1).await
}

#[tokio::test]
async fn a_deadlock_with_another_session_is_tried_again() -> Checked {
    let Some(server) = mariadb_or_skip("deadlock")? else { return Ok(()) };
    let url = server.database("deadlock")?;
    let store = books_at(&url).await?;
    store.commit(&transfer(0, 0)?).await?;
    let mut foreign = connected(&url).await?;
    // The session that changed more is the one that goes on: not ours.
    foreign.execute("START TRANSACTION").await?;
    foreign.execute("INSERT INTO money SELECT CONCAT('x', seq), 0 FROM seq_1_to_500").await?;
    foreign.execute("UPDATE money SET n = n WHERE id = 'to'").await?;
    let waiting = tokio::spawn({
        let (store, batch) = (Arc::clone(&store), transfer(1, 0)?);
        async move { store.commit(&batch).await }
    });
    let mut other = connected(&url).await?;
    let locked = "SELECT COUNT(*) FROM information_schema.INNODB_TRX trx \
                  JOIN information_schema.PROCESSLIST session ON session.ID = trx.trx_mysql_thread_id \
                  WHERE trx.trx_state = 'LOCK WAIT' AND session.DB = DATABASE()";
    until("it waits for the foreign session", async || {
        // The server makes this table anew only after nobody has read it for a tenth of a second.
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(sqlx::query_scalar::<_, i64>(locked).fetch_one(&mut other).await? > 0)
    })
    .await?;
    foreign.execute("SELECT clock FROM _i3_store FOR UPDATE").await?;
    foreign.execute("ROLLBACK").await?;
    waiting.await.map_err(Stop::broken)??;
    assert!(store.stats().repeats > 0);
    check_books(&store, 2).await
}
