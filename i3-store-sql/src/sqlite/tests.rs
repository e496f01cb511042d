//! What is SQLite's own; the contract is tested by the testkit in `tests/`.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use i3_core::store::{
    BatchBuilder, Body, Collection, Column, Digest, Draft, Index, Kind, Outcome, StoreExt, Units, Value,
};
use rusqlite::params_from_iter;

use super::*;

pub(super) static ORDERS: Collection = Collection {
    name: "orders",
    kind: Kind::Records,
    about: "what was bought",
    columns: &[Column::text("seller"), Column::int("placed")],
    indexes: &[Index { name: "by_seller", columns: &["seller", "placed"] }],
};
pub(super) static BALANCES: Collection =
    Collection { name: "balances", kind: Kind::Counters, about: "money", columns: &[], indexes: &[] };
pub(super) static EVENTS: Collection =
    Collection { name: "events", kind: Kind::Streams, about: "news", columns: &[], indexes: &[] };

pub(super) fn schema(revision: u32) -> Schema {
    Schema::new(revision, &[&ORDERS, &BALANCES, &EVENTS]).unwrap()
}

pub(super) fn key(collection: &'static Collection, id: &str) -> Key {
    Key::new(collection, id).unwrap()
}

fn order(id: &str, seller: &str, placed: i64) -> Draft {
    Draft::new(&ORDERS, id, vec![Some(seller.into()), Some(placed.into())], "{\"n\":1}").unwrap()
}

/// An order, a payment and an event.
pub(super) fn purchase(number: i64) -> Batch {
    BatchBuilder::new()
        .create(order(&format!("o{number}"), "s1", number))
        .adjust(key(&BALANCES, "s1"), Units::new(5).unwrap(), Units::ZERO)
        .append(key(&EVENTS, "sales"), Body::new(format!("{{\"order\":{number}}}")).unwrap())
        .build()
        .unwrap()
}

pub(super) async fn opened(path: &Path) -> SqliteStore {
    let store = SqliteStore::open(path, SqliteOptions::default()).await.unwrap();
    store.prepare(&schema(1)).await.unwrap();
    store
}

pub(super) fn plain(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

fn kind(result: Result<SqliteStore, StoreError>) -> StoreErrorKind {
    result.unwrap_err().kind()
}

#[tokio::test]
async fn an_operator_reads_orders_counters_and_events_with_plain_sql() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = opened(&path).await;
    store.commit(&purchase(7)).await.unwrap();
    let sql = plain(&path);
    let found: (String, i64, String, i64, i64) = sql
        .query_one("SELECT id, version, seller, placed, body ->> 'n' FROM orders", [], |row| row.try_into())
        .unwrap();
    assert_eq!(found, ("o7".to_owned(), 1, "s1".to_owned(), 7, 1));
    let count = sql.query_one("SELECT n FROM balances WHERE id = 's1'", [], |row| row.get::<_, i64>(0));
    assert_eq!(count.unwrap(), 5);
    let (position, body, link): (i64, String, String) =
        sql.query_one("SELECT position, body, link FROM events", [], |row| row.try_into()).unwrap();
    assert_eq!(position, 1);
    assert_eq!(link, Digest::link(&Digest::START, 1, &body).to_string());
    let about = "SELECT about FROM _i3_collections WHERE name = 'orders'";
    assert_eq!(sql.query_one(about, [], |row| row.get::<_, String>(0)).unwrap(), "what was bought");
}

/// What SQLite says of how it runs a scan's query.
fn steps(sql: &Connection, query: &Query) -> Vec<String> {
    let mut statement = sql.prepare(&format!("EXPLAIN QUERY PLAN {}", query.sql)).unwrap();
    let steps = statement.query_map(params_from_iter(&query.binds), |row| row.get(3)).unwrap();
    steps.map(Result::unwrap).collect()
}

#[tokio::test]
async fn every_scan_is_answered_by_an_index_without_sorting() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = opened(&path).await;
    for number in 1..=5 {
        store.commit(&purchase(number)).await.unwrap();
    }
    let seller = || vec![Value::from("s1")];
    let by_seller = || Scan::index(&ORDERS, "by_seller", seller()).unwrap();
    let cursor = by_seller().limit(1);
    let cursor = store.scan(&cursor).await.unwrap().next.unwrap();
    let range = |scan: Scan| scan.range(Some(Value::Int(0)), Some(Value::Int(9))).unwrap();
    let index = "USING INDEX orders.by_seller";
    let cases = [
        (by_seller(), vec![index, "seller=?"]),
        (by_seller().backward(), vec![index, "seller=?"]),
        (by_seller().after(cursor.clone()).unwrap(), vec![index, "seller=? AND (placed,id)>(?,?)"]),
        (
            by_seller().backward().after(cursor.clone()).unwrap(),
            vec![index, "seller=? AND (placed,id)<(?,?)"],
        ),
        (range(by_seller()), vec![index, "seller=? AND placed>? AND placed<?"]),
        (
            range(by_seller()).after(cursor.clone()).unwrap(),
            vec![index, "seller=? AND (placed,id)>(?,?) AND placed<?"],
        ),
        (
            Scan::index(&ORDERS, "by_seller", vec![]).unwrap().after(cursor).unwrap(),
            vec![index, "(seller,placed,id)>(?,?,?)"],
        ),
        (Scan::prefix(&ORDERS, "o"), vec!["PRIMARY KEY", "id>? AND id<?"]),
        (Scan::entries(key(&EVENTS, "sales")).unwrap(), vec!["PRIMARY KEY", "id=?"]),
    ];
    let sql = plain(&path);
    for (scan, expected) in cases {
        let query = plan(&scan).unwrap();
        let steps = steps(&sql, &query);
        assert!(expected.iter().all(|part| steps.concat().contains(part)), "{}\n{steps:?}", query.sql);
        assert!(!steps.concat().contains("TEMP B-TREE"), "{}\n{steps:?}", query.sql);
    }
}

#[tokio::test]
async fn the_ends_of_streams_are_found_by_seeking() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let _store = opened(&path).await;
    let sql = plain(&path);
    for scan in [Scan::prefix(&EVENTS, "s"), Scan::ids(&EVENTS).backward()] {
        let query = plan(&scan).unwrap();
        let steps = steps(&sql, &query);
        // Of the ends that were found, all are wanted.
        let found = ["SCAN ends", "SCAN s"];
        let walks = steps.iter().filter(|step| step.starts_with("SCAN") && !found.contains(&step.as_str()));
        // A scan for the least or greatest id ends at the first row.
        assert!(walks.clone().all(|step| step.contains("PRIMARY KEY")), "{steps:?}");
    }
}

#[tokio::test]
async fn a_second_store_on_the_same_file_is_refused_until_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let first = opened(&path).await;
    assert_eq!(kind(SqliteStore::open(&path, SqliteOptions::default()).await), StoreErrorKind::Busy);
    drop(first);
    let second = opened(&path).await;
    second.close().await.unwrap();
    opened(&path).await;
}

#[tokio::test]
async fn closing_moves_the_log_into_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = opened(&path).await;
    store.commit(&purchase(1)).await.unwrap();
    store.close().await.unwrap();
    assert!(!dir.path().join("db-wal").exists());
    assert_eq!(opened(&path).await.counter(&key(&BALANCES, "s1")).await.unwrap().get(), 5);
}

#[tokio::test]
async fn a_store_of_a_newer_revision_or_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = opened(&path).await;
    store.prepare(&schema(3)).await.unwrap();
    assert_eq!(store.prepare(&schema(2)).await.unwrap_err().kind(), StoreErrorKind::Incompatible);
    store.close().await.unwrap();
    let store = SqliteStore::open(&path, SqliteOptions::default()).await.unwrap();
    assert_eq!(store.prepare(&schema(2)).await.unwrap_err().kind(), StoreErrorKind::Incompatible);
    store.prepare(&schema(3)).await.unwrap();
    drop(store);
    plain(&path).execute_batch("UPDATE _i3_store SET format = 2").unwrap();
    assert_eq!(kind(SqliteStore::open(&path, SqliteOptions::default()).await), StoreErrorKind::Incompatible);
}

#[tokio::test]
async fn a_write_by_another_program_makes_a_commit_busy_and_the_next_one_works() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let hurried = Database { busy: Duration::from_millis(50), ..Database::new(&path, Synchronous::Full) };
    let store = SqliteStore::open_database(hurried, &SqliteOptions::default()).await.unwrap();
    store.prepare(&schema(1)).await.unwrap();
    let other = plain(&path);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let Err(CommitError::Store(error)) = store.commit(&purchase(1)).await else { panic!("not refused") };
    assert_eq!((error.kind(), error.applied()), (StoreErrorKind::Busy, i3_core::store::Applied::No));
    other.execute_batch("ROLLBACK").unwrap();
    store.commit(&purchase(1)).await.unwrap();
}

#[tokio::test]
async fn a_commit_that_fails_midway_leaves_nothing_and_tells_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = opened(&path).await;
    store.commit(&purchase(1)).await.unwrap();
    // Balances are written before orders, and orders fail.
    let other = plain(&path);
    other
        .execute_batch("CREATE TRIGGER no BEFORE INSERT ON orders BEGIN SELECT raise(ABORT, 'no'); END")
        .unwrap();
    let Err(CommitError::Store(error)) = store.commit(&purchase(2)).await else { panic!("not refused") };
    assert_eq!((error.kind(), error.applied()), (StoreErrorKind::Corrupt, i3_core::store::Applied::No));
    assert_eq!(store.counter(&key(&BALANCES, "s1")).await.unwrap().get(), 5);
    other.execute_batch("DROP TRIGGER no").unwrap();
    store.commit(&purchase(2)).await.unwrap();
    assert_eq!(store.counter(&key(&BALANCES, "s1")).await.unwrap().get(), 10);
}

#[tokio::test]
async fn a_failure_of_the_commit_itself_leaves_the_outcome_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = opened(&path).await;
    // A foreign key that is checked at the commit only.
    let other = plain(&path);
    let trap = "CREATE TABLE parent(id INTEGER PRIMARY KEY);
        CREATE TABLE child(id INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER trap AFTER INSERT ON orders BEGIN INSERT INTO child VALUES (1); END";
    other.execute_batch(trap).unwrap();
    let Err(CommitError::Store(error)) = store.commit(&purchase(1)).await else { panic!("not refused") };
    assert_eq!(error.applied(), i3_core::store::Applied::Unknown);
    other.execute_batch("DROP TRIGGER trap").unwrap();
    store.commit(&purchase(1)).await.unwrap();
    assert_eq!(store.counter(&key(&BALANCES, "s1")).await.unwrap().get(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_that_wait_together_share_commits_and_a_refused_one_hurts_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    // However long that takes.
    let patient = Database { busy: Duration::from_mins(5), ..Database::new(&path, Synchronous::Full) };
    let store = SqliteStore::open_database(patient, &SqliteOptions::default()).await.unwrap();
    store.prepare(&schema(1)).await.unwrap();
    let store = Arc::new(store);
    // Nothing is written until all of them wait.
    let other = plain(&path);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Arc::new(AtomicI64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100 {
        let (store, begun) = (Arc::clone(&store), Arc::clone(&begun));
        // Every order is bought twice: one of the two is refused.
        tasks.spawn(async move {
            begun.fetch_add(1, Ordering::SeqCst);
            store.commit(&purchase(number / 2)).await.is_ok()
        });
    }
    while begun.load(Ordering::SeqCst) < 100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    other.execute_batch("COMMIT").unwrap();
    let accepted = tasks.join_all().await.into_iter().filter(|accepted| *accepted).count();
    assert_eq!(accepted, 50);
    assert_eq!(store.counter(&key(&BALANCES, "s1")).await.unwrap().get(), 250);
    let SqliteStats { groups, batches } = store.stats();
    assert_eq!(batches, 100);
    assert!(groups <= 50, "{groups} groups");
}

#[test]
fn a_commit_whose_caller_and_runtime_are_gone_is_whole_or_absent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let first = runtime();
    let store = Arc::new(first.block_on(opened(&path)));
    for number in 0..200 {
        let store = Arc::clone(&store);
        first.spawn(async move { store.commit(&purchase(number)).await });
    }
    std::thread::sleep(Duration::from_millis(3));
    first.shutdown_background();
    drop(store);
    // The last task that is torn down drops the store; until then it is in use.
    let second = runtime();
    let store = loop {
        match second.block_on(SqliteStore::open(&path, SqliteOptions::default())) {
            Ok(store) => break store,
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Busy),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    second.block_on(async {
        store.prepare(&schema(1)).await.unwrap();
        let orders = store.scan(&Scan::ids(&ORDERS).limit(1000)).await.unwrap().rows.len();
        let events = store.scan(&Scan::entries(key(&EVENTS, "sales")).unwrap().limit(1000)).await.unwrap();
        let sum = store.counter(&key(&BALANCES, "s1")).await.unwrap().get();
        assert_eq!((events.rows.len(), sum), (orders, 5 * i64::try_from(orders).unwrap()));
    });
}

#[tokio::test]
async fn reads_that_are_dropped_do_not_keep_later_ones_in_the_past() {
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteOptions { readers: 1, ..SqliteOptions::default() };
    let store = SqliteStore::open(dir.path().join("db"), options).await.unwrap();
    store.prepare(&schema(1)).await.unwrap();
    for number in 0..20 {
        let scan = Scan::ids(&ORDERS);
        let read = store.scan(&scan);
        // Polled once, so that the query is on its way, then dropped.
        let _ = tokio::time::timeout(Duration::ZERO, read).await;
        let receipt = store.commit(&purchase(number)).await.unwrap();
        assert!(matches!(receipt.outcomes[0], Outcome::Written(_)));
        assert_eq!(store.counter(&key(&BALANCES, "s1")).await.unwrap().get(), 5 * (number + 1));
    }
}

#[tokio::test]
async fn durability_is_named_by_the_options() {
    let dir = tempfile::tempdir().unwrap();
    let full = opened(&dir.path().join("full")).await;
    assert_eq!(full.durability(), Durability::PowerLoss);
    let options = SqliteOptions { synchronous: Synchronous::Normal, ..SqliteOptions::default() };
    let normal = SqliteStore::open(dir.path().join("normal"), options).await.unwrap();
    assert_eq!(normal.durability(), Durability::ProcessCrash);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_reader_ever_sees_less_than_before_or_than_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteOptions { synchronous: Synchronous::Normal, ..SqliteOptions::default() };
    let store = Arc::new(SqliteStore::open(dir.path().join("db"), options).await.unwrap());
    store.prepare(&schema(1)).await.unwrap();
    let acknowledged = Arc::new(AtomicI64::new(0));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (store, acknowledged) = (Arc::clone(&store), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                let mut last = 0;
                while last < 5 * 500 {
                    let least = acknowledged.load(Ordering::SeqCst).max(last);
                    last = store.counter(&key(&BALANCES, "s1")).await.unwrap().get();
                    assert!(last >= least, "{last} after {least}");
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for number in 1..=500 {
        store.commit(&purchase(number)).await.unwrap();
        acknowledged.store(5 * number, Ordering::SeqCst);
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn a_collection_that_is_not_named_any_more_is_not_answered_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(&dir.path().join("db")).await;
    store.commit(&purchase(1)).await.unwrap();
    let asked = [key(&BALANCES, "s1")];
    store.read(&asked).await.unwrap();
    store.prepare(&Schema::new(2, &[&ORDERS, &EVENTS]).unwrap()).await.unwrap();
    let refused = store.read(&asked).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unsupported);
}
