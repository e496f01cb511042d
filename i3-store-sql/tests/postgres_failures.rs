//! What a PostgreSQL store says and does when the server, the network or the operator gets in the way.
#![cfg(all(feature = "postgres", feature = "testkit", unix))]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what the tests share may fail as loudly as they may"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use i3_core::store::{
    Applied, Batch, BatchBuilder, Body, Collection, Column, CommitError, Draft, Durability, Key, Kind, Row,
    Scan, Schema, Store, StoreError, StoreErrorKind, StoreExt, Units,
};
use i3_core::testkit::{Checked, Stop};
use i3_store_sql::testkit::{Durable, Postgres, own_postgres_or_skip, postgres_or_skip};
use i3_store_sql::{PostgresOptions, PostgresStore};

static ORDERS: Collection = Collection {
    name: "orders",
    kind: Kind::Records,
    about: "the buyers' orders",
    columns: &[],
    indexes: &[],
};
static BALANCES: Collection =
    Collection { name: "balances", kind: Kind::Counters, about: "what is owed", columns: &[], indexes: &[] };
static EVENTS: Collection =
    Collection { name: "events", kind: Kind::Streams, about: "what happened", columns: &[], indexes: &[] };

/// How long something may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_mins(5);

async fn open(url: &str) -> Result<PostgresStore, StoreError> {
    let options = PostgresOptions {
        connect_timeout: PATIENCE,
        statement_timeout: PATIENCE,
        ..PostgresOptions::default()
    };
    let store = PostgresStore::open(url, options).await?;
    let schema = Schema::new(1, &[&ORDERS, &BALANCES, &EVENTS]).unwrap();
    store.prepare(&schema).await?;
    Ok(store)
}

/// The part of a test's schema that statements of the test run in.
fn inside(schema: &str, sql: &str) -> String {
    format!("SET search_path = i3_test_{schema}; {sql}")
}

/// A fresh schema of the shared server with a store in it. None without a server. The server that
/// `I3_TEST_POSTGRES_URL` names puts schemas elsewhere, so these tests use one of their own.
async fn fresh(name: &str) -> Result<Option<(&'static Postgres, String, PostgresStore)>, Stop> {
    let Some(server) = ours(name)? else { return Ok(None) };
    // Connections are called after their test, so that one test does not cut another's.
    let url = server.schema(name)?.replace("options=", &format!("application_name={name}&options="));
    let store = open(&url).await?;
    Ok(Some((server, url, store)))
}

/// The one server of this file's tests.
fn ours(test: &str) -> Result<Option<&'static Postgres>, Stop> {
    static SERVER: std::sync::Mutex<Option<&'static Postgres>> = std::sync::Mutex::new(None);
    let mut server = SERVER.lock().map_err(Stop::broken)?;
    if server.is_none() {
        let started = own_postgres_or_skip(test, Durable::No)?;
        *server = started.map(|server| &*Box::leak(Box::new(server)));
    }
    Ok(*server)
}

fn key(collection: &'static Collection, id: &str) -> Key {
    Key::new(collection, id).unwrap()
}

/// Moves money from one account to another, once.
fn payment(number: usize) -> Batch {
    let (from, to) = (format!("a{}", number % 7), format!("a{}", number % 5));
    let order = Draft::new(&ORDERS, &format!("o{number:06}"), Vec::new(), format!("{number}")).unwrap();
    let amount = Units::new(i64::try_from(number % 11).unwrap() + 1).unwrap();
    let mut batch = BatchBuilder::new().create(order);
    if from != to {
        batch = batch.adjust(key(&BALANCES, &from), amount.negated(), Units::MIN).adjust(
            key(&BALANCES, &to),
            amount,
            Units::MIN,
        );
    }
    batch.append(key(&EVENTS, "payments"), Body::new(format!("{number}")).unwrap()).build().unwrap()
}

fn refusal(result: Result<impl std::fmt::Debug, CommitError>) -> StoreError {
    match result {
        Err(CommitError::Store(error)) => error,
        other => panic!("not a failure of the store: {other:?}"),
    }
}

/// What was paid, and whether nothing came from nowhere.
async fn payments(store: &PostgresStore) -> Result<BTreeSet<usize>, Stop> {
    let mut orders = BTreeSet::new();
    let mut scan = Scan::ids(&ORDERS).limit(1000);
    loop {
        let page = store.scan(&scan).await?;
        for row in page.rows {
            if let Row::Record { key, .. } = row {
                orders.insert(key.id().trim_start_matches('o').parse()?);
            }
        }
        let Some(next) = page.next else { break };
        scan = scan.after(next)?;
    }
    let mut entries = BTreeSet::new();
    let mut scan = Scan::entries(key(&EVENTS, "payments"))?.limit(1000);
    loop {
        let page = store.scan(&scan).await?;
        for row in page.rows {
            if let Row::Entry { body, .. } = row {
                assert!(entries.insert(body.as_str().parse()?), "a payment happened twice");
            }
        }
        let Some(next) = page.next else { break };
        scan = scan.after(next)?;
    }
    assert_eq!(orders, entries);
    let mut sum = 0;
    for row in store.scan(&Scan::ids(&BALANCES)).await?.rows {
        if let Row::Counter { units, .. } = row {
            sum += units.get();
        }
    }
    assert_eq!(sum, 0, "money is conserved");
    Ok(orders)
}

/// Waits until this is so.
async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is().await {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Callers that make payments until they are told to stop, each again until it is known to be made.
struct Load {
    callers: tokio::task::JoinSet<Result<(), Stop>>,
    end: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    unknown: Arc<AtomicUsize>,
}

impl Load {
    fn start(stores: &[Arc<PostgresStore>]) -> Self {
        let (end, made, unknown, next) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicUsize::new(0)),
        );
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..12 {
            let store = Arc::clone(&stores[caller % stores.len()]);
            let (end, made, unknown, next) = (end.clone(), made.clone(), unknown.clone(), next.clone());
            callers.spawn(async move {
                while !end.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let mut in_doubt = false;
                    loop {
                        match store.commit(&payment(number)).await {
                            Ok(_) => break,
                            // The receipt that tells: it was made when the answer was lost.
                            Err(CommitError::Stale { .. }) if in_doubt => break,
                            Err(CommitError::Store(error))
                                if matches!(
                                    error.kind(),
                                    StoreErrorKind::Unavailable | StoreErrorKind::Busy
                                ) =>
                            {
                                if error.applied() == Applied::Unknown {
                                    in_doubt = true;
                                    unknown.fetch_add(1, Ordering::Relaxed);
                                }
                                tokio::time::sleep(Duration::from_millis(20)).await;
                            }
                            Err(other) => return Err(other.into()),
                        }
                    }
                    made.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Self { callers, end, made, unknown }
    }

    /// Waits for so many more payments.
    async fn wait_for(&self, more: usize) {
        let goal = self.made.load(Ordering::Relaxed) + more;
        until("more payments", async || self.made.load(Ordering::Relaxed) >= goal).await;
    }

    /// Lets all callers end their last payment; how many were made.
    async fn end(self) -> Result<usize, Stop> {
        self.end.store(true, Ordering::Relaxed);
        for caller in self.callers.join_all().await {
            caller?;
        }
        Ok(self.made.load(Ordering::Relaxed))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_started_again_under_load_loses_no_payment() -> Checked {
    let Some(server) = own_postgres_or_skip("a killed server", Durable::Yes)? else { return Ok(()) };
    let url = server.schema("killed")?;
    let store = Arc::new(open(&url).await?);
    assert_eq!(store.durability(), Durability::PowerLoss);
    let load = Load::start(&[Arc::clone(&store)]);
    for _ in 0..4 {
        load.wait_for(30).await;
        server.kill()?;
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.restart()?;
    }
    load.wait_for(30).await;
    let unknown = load.unknown.load(Ordering::Relaxed);
    let made = load.end().await?;
    assert_eq!(payments(&store).await?, (0..made).collect());
    eprintln!("4 kills of the server: {made} payments, {unknown} answers in doubt, none lost or made twice");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_under_load_lose_no_payment_of_two_processes() -> Checked {
    let Some((server, url, store)) = fresh("cut").await? else { return Ok(()) };
    let stores = [Arc::new(store), Arc::new(open(&url).await?)];
    let load = Load::start(&stores);
    let repeats = || stores.iter().map(|store| store.stats().repeats).sum::<u64>();
    let mut cuts = 0;
    // Until a connection was cut while it was needed.
    while cuts < 12 || repeats() == 0 {
        load.wait_for(20).await;
        cuts += 1;
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = 'cut' AND query LIKE '%_i3_store%'",
        )?;
    }
    load.wait_for(20).await;
    let made = load.end().await?;
    assert_eq!(payments(&stores[0]).await?, (0..made).collect());
    Ok(())
}

#[tokio::test]
async fn reads_go_on_when_their_connections_were_cut() -> Checked {
    let Some((server, _, store)) = fresh("cut_reads").await? else { return Ok(()) };
    store.commit(&payment(1)).await?;
    for _ in 0..3 {
        assert!(store.read(&[key(&ORDERS, "o000001")]).await?[0].is_some());
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cut_reads'",
        )?;
    }
    assert_eq!(payments(&store).await?, BTreeSet::from([1]));
    Ok(())
}

/// Lets every new order fail with the code that stands in a table.
const TRAP: &str = "CREATE TABLE trap(code text); \
    CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE c text; BEGIN \
      SELECT code INTO c FROM trap; IF c IS NOT NULL THEN RAISE EXCEPTION 'trap' USING ERRCODE = c; END IF; \
      RETURN NEW; END $$; \
    CREATE TRIGGER trap BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION trap();";

#[tokio::test]
async fn every_code_of_the_server_has_its_kind_and_leaves_nothing_behind() -> Checked {
    use StoreErrorKind::{Busy, Corrupt, Misconfigured, Unavailable};
    let Some((server, _, store)) = fresh("codes").await? else { return Ok(()) };
    server.execute(&inside("codes", TRAP))?;
    let codes = [
        ("40001", Busy, Applied::No, "try again"),
        ("40P01", Busy, Applied::No, "try again"),
        ("55P03", Busy, Applied::No, "lock"),
        ("57014", Busy, Applied::No, "time limit"),
        ("57P03", Unavailable, Applied::No, "starting"),
        ("53100", Unavailable, Applied::No, "make room"),
        ("53200", Unavailable, Applied::No, "memory"),
        ("53300", Unavailable, Applied::No, "max_connections"),
        ("53400", Unavailable, Applied::No, "resources"),
        ("58030", Unavailable, Applied::No, "disk"),
        ("XX000", Unavailable, Applied::No, "log"),
        ("XX001", Corrupt, Applied::No, "backup"),
        ("XX002", Corrupt, Applied::No, "backup"),
        ("23505", Corrupt, Applied::No, "contradict"),
        ("23514", Corrupt, Applied::No, "contradict"),
        ("22P02", Corrupt, Applied::No, "value"),
        ("42501", Misconfigured, Applied::No, "GRANT"),
        ("25006", Misconfigured, Applied::No, "primary"),
        ("42P01", Misconfigured, Applied::No, "missing"),
        ("26000", Misconfigured, Applied::No, "pooler"),
        ("57P01", Unavailable, Applied::Unknown, "ended the connection"),
        ("57P02", Unavailable, Applied::Unknown, "ended the connection"),
        ("08006", Unavailable, Applied::Unknown, "connection"),
    ];
    for (code, kind, applied, word) in codes {
        server.execute(&inside("codes", &format!("DELETE FROM trap; INSERT INTO trap VALUES ('{code}')")))?;
        let error = refusal(store.commit(&payment(1)).await);
        assert_eq!((error.kind(), error.applied()), (kind, applied), "{code}: {error}");
        assert!(error.to_string().contains(word), "{code}: {error}");
    }
    server.execute(&inside("codes", "DELETE FROM trap"))?;
    store.commit(&payment(1)).await?;
    assert_eq!(payments(&store).await?, BTreeSet::from([1]));
    Ok(())
}

#[tokio::test]
async fn a_serialization_failure_that_passes_is_not_noticed() -> Checked {
    let Some((server, _, store)) = fresh("passing").await? else { return Ok(()) };
    let trap = "CREATE SEQUENCE tries; CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
        IF nextval('tries') <= 3 THEN RAISE EXCEPTION 'trap' USING ERRCODE = '40001'; END IF; RETURN NEW; END $$; \
        CREATE TRIGGER trap BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION trap();";
    server.execute(&inside("passing", trap))?;
    store.commit(&payment(1)).await?;
    assert_eq!(store.stats().repeats, 3);
    assert_eq!(payments(&store).await?, BTreeSet::from([1]));
    Ok(())
}

#[tokio::test]
async fn a_failure_at_the_very_commit_is_certain_and_a_connection_lost_there_is_in_doubt() -> Checked {
    let Some((server, _, store)) = fresh("late").await? else { return Ok(()) };
    let late = |body: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$; \
             DROP TRIGGER IF EXISTS late ON orders; \
             CREATE CONSTRAINT TRIGGER late AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION late();"
        )
    };
    server.execute(&inside("late", &late("RAISE EXCEPTION 'no' USING ERRCODE = '23514';")))?;
    let error = refusal(store.commit(&payment(1)).await);
    assert_eq!((error.kind(), error.applied()), (StoreErrorKind::Corrupt, Applied::No));
    server.execute(&inside("late", &late("PERFORM pg_terminate_backend(pg_backend_pid());")))?;
    let error = refusal(store.commit(&payment(1)).await);
    assert_eq!((error.kind(), error.applied()), (StoreErrorKind::Unavailable, Applied::Unknown));
    server.execute(&inside("late", "DROP TRIGGER late ON orders"))?;
    store.commit(&payment(1)).await?;
    assert_eq!(payments(&store).await?, BTreeSet::from([1]));
    Ok(())
}

/// What opening this address is refused with.
async fn refused(url: &str) -> StoreError {
    let error = open(url).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("geheim"), "{error:?}");
    error
}

#[tokio::test]
async fn a_wrong_password_a_missing_database_and_a_missing_permission_are_told_apart() -> Checked {
    let Some(server) = own_postgres_or_skip("wrong passwords", Durable::No)? else { return Ok(()) };
    server.execute("CREATE ROLE clerk LOGIN PASSWORD 'right'")?;
    let url = server.schema("permissions")?;
    let mine = url.replace("postgres://postgres@", "postgres://clerk:right@");
    // Nothing is granted: the schema is not even seen.
    let error = refused(&mine).await;
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    server.execute("GRANT USAGE ON SCHEMA i3_test_permissions TO clerk")?;
    let error = refused(&mine).await;
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    assert!(error.to_string().contains("GRANT"), "{error}");
    server.execute("GRANT CREATE ON SCHEMA i3_test_permissions TO clerk")?;
    let store = open(&mine).await?;
    store.scan(&Scan::ids(&ORDERS)).await?;
    server.execute("ALTER ROLE clerk CONNECTION LIMIT 1")?;
    let error = refused(&mine).await;
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("max_connections"), "{error}");

    let error = refused(&server.url("never_made")).await;
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    assert!(error.to_string().contains("createdb"), "{error}");

    let folder = server.folder().unwrap();
    let access = find(folder, "pg_hba.conf").unwrap();
    std::fs::write(&access, "local all clerk scram-sha-256\nlocal all all trust\n").unwrap();
    server.execute("ALTER ROLE clerk CONNECTION LIMIT -1; SELECT pg_reload_conf()")?;
    let wrong = url.replace("postgres://postgres@", "postgres://clerk:geheim@");
    // The server takes a moment to read its file again.
    while open(&wrong).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let error = refused(&wrong).await;
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    assert!(error.to_string().contains("password"), "{error}");
    Ok(())
}

fn find(folder: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.file_name().is_some_and(|file| file == name) {
            return Some(path);
        }
        if path.is_dir()
            && let Some(found) = find(&path, name)
        {
            return Some(found);
        }
    }
    None
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let error = refused("postgres://u:geheim@127.0.0.1:1/d").await;
    assert_eq!((error.kind(), error.applied()), (StoreErrorKind::Unavailable, Applied::No));
}

#[tokio::test]
async fn encryption_that_the_server_does_not_offer_is_misconfigured() -> Checked {
    let Some((_, url, _)) = fresh("tls").await? else { return Ok(()) };
    let error = refused(&format!("{url}&sslmode=require")).await;
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    assert!(error.to_string().contains("TLS"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_read_only_database_and_a_lost_table_are_misconfigured() -> Checked {
    let Some((server, url, store)) = fresh("read_only").await? else { return Ok(()) };
    store.commit(&payment(1)).await?;
    let read_only = open(&format!("{url}%20-cdefault_transaction_read_only%3Don")).await?;
    let error = refusal(read_only.commit(&payment(2)).await);
    assert_eq!((error.kind(), error.applied()), (StoreErrorKind::Misconfigured, Applied::No));
    assert!(error.to_string().contains("primary"), "{error}");
    server.execute(&inside("read_only", "DROP TABLE orders"))?;
    let error = refusal(store.commit(&payment(2)).await);
    assert_eq!((error.kind(), error.applied()), (StoreErrorKind::Misconfigured, Applied::No));
    assert!(error.to_string().contains("missing"), "{error}");
    Ok(())
}

#[tokio::test]
async fn data_of_a_newer_version_and_tables_of_another_program_are_refused() -> Checked {
    let Some((server, url, store)) = fresh("newer").await? else { return Ok(()) };
    store.commit(&payment(1)).await?;
    server.execute(&inside("newer", "UPDATE _i3_store SET format = 99"))?;
    let error = refused(&url).await;
    assert_eq!(error.kind(), StoreErrorKind::Incompatible);
    assert!(error.to_string().contains("newer version"), "{error}");
    let Some(server) = ours("another program")? else { return Ok(()) };
    let url = server.schema("another")?;
    server.execute(&inside("another", "CREATE TABLE orders(a int)"))?;
    let error = refused(&url).await;
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    assert!(error.to_string().contains("another program"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_column_name_of_postgres_itself_is_unsupported() -> Checked {
    static ODD: Collection = Collection {
        name: "odd",
        kind: Kind::Records,
        about: "",
        columns: &[Column::int("xmin")],
        indexes: &[],
    };
    let Some((_, _, store)) = fresh("odd").await? else { return Ok(()) };
    let error = store.prepare(&Schema::new(1, &[&ODD])?).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    Ok(())
}

#[tokio::test]
async fn durability_is_what_the_server_is_set_to() -> Checked {
    let Some(server) = postgres_or_skip("durability")? else { return Ok(()) };
    let url = server.schema("durability")?;
    let options = PostgresOptions { synchronous_commit: Some(false), ..PostgresOptions::default() };
    let store = PostgresStore::open(&url, options).await?;
    assert_eq!(store.durability(), Durability::ProcessCrash);
    Ok(())
}

#[tokio::test]
async fn the_schema_of_the_address_is_made_and_its_tables_say_what_they_are_for() -> Checked {
    let Some(server) = ours("comments")? else { return Ok(()) };
    let url = server.database("comments")?;
    let and = if url.contains('?') { '&' } else { '?' };
    let store = open(&format!("{url}{and}schema=shop")).await?;
    store.commit(&payment(1)).await?;
    let mut plain = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await?;
    let words: Vec<(String, String)> = sqlx::query_as(
        "SELECT c.relname::text, obj_description(c.oid) FROM pg_class c \
         WHERE c.relnamespace = 'shop'::regnamespace AND c.relkind = 'r' ORDER BY 1",
    )
    .fetch_all(&mut plain)
    .await?;
    let words: Vec<(&str, &str)> = words.iter().map(|(name, about)| (&**name, &**about)).collect();
    assert_eq!(
        words,
        [
            ("_i3_collections", "the collections, each with a table of its name"),
            ("_i3_store", "one row about the whole store"),
            ("balances", "what is owed"),
            ("events", "what happened"),
            ("orders", "the buyers' orders"),
        ]
    );
    Ok(())
}

#[tokio::test]
async fn a_change_by_hand_that_moves_the_clock_first_is_not_lost_to_a_commit() -> Checked {
    let Some((_, url, store)) = fresh("by_hand").await? else { return Ok(()) };
    let store = Arc::new(store);
    let five = || {
        let five = Units::new(5).unwrap();
        BatchBuilder::new().adjust(key(&BALANCES, "a"), five, Units::ZERO).build().unwrap()
    };
    store.commit(&five()).await?;
    let mut hand = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await?;
    let change =
        "BEGIN; UPDATE _i3_store SET clock = clock + 1; UPDATE balances SET n = n + 100 WHERE id = 'a'";
    sqlx::raw_sql(change).execute(&mut hand).await?;
    let commit = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.commit(&five()).await.map(drop) }
    });
    let mut looking = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await?;
    let waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'by_hand' \
                 AND wait_event_type = 'Lock'";
    until("the commit has read what is there and waits for the clock", async || {
        sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut looking).await.unwrap() > 0
    })
    .await;
    assert!(!commit.is_finished(), "the commit did not wait");
    sqlx::raw_sql("COMMIT").execute(&mut hand).await?;
    commit.await??;
    assert_eq!(store.counter(&key(&BALANCES, "a")).await?.get(), 110);
    Ok(())
}
