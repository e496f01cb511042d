//! What only the server's own view can show; the contract is tested in `tests/`.
#![cfg(all(feature = "testkit", unix))]

use i3_core::store::{BatchBuilder, Body, Collection, Column, Draft, Index, Kind, Units};
use sqlx::{Connection, Executor, PgConnection};

use super::*;
use crate::scan::Query;
use crate::testkit::postgres_or_skip;

static ORDERS: Collection = Collection {
    name: "orders",
    kind: Kind::Records,
    about: "what was bought",
    columns: &[Column::text("seller"), Column::int("placed")],
    indexes: &[Index { name: "by_seller", columns: &["seller", "placed"] }],
};
static BALANCES: Collection =
    Collection { name: "balances", kind: Kind::Counters, about: "money", columns: &[], indexes: &[] };
static EVENTS: Collection =
    Collection { name: "events", kind: Kind::Streams, about: "news", columns: &[], indexes: &[] };

/// With all the time that a slow machine may need.
fn patient() -> PostgresOptions {
    let long = Duration::from_mins(2);
    PostgresOptions { connect_timeout: long, statement_timeout: 2 * long, ..PostgresOptions::default() }
}

fn key(collection: &'static Collection, id: &str) -> Key {
    Key::new(collection, id).unwrap()
}

/// Forty orders, their events in eight streams, and two counters.
fn many(round: usize) -> Batch {
    let mut batch = BatchBuilder::new();
    for number in 0..40 {
        let id = format!("o{round:02}{number:02}");
        let values = vec![Some(format!("s{}", number % 4).into()), Some(i64::from(number).into())];
        batch = batch
            .create(Draft::new(&ORDERS, &id, values, "{}").unwrap())
            .append(key(&EVENTS, &format!("e{}", number % 8)), Body::new("{}").unwrap());
    }
    let one = Units::new(1).unwrap();
    let counter = |name: &str| key(&BALANCES, name);
    batch.adjust(counter("a"), one, Units::ZERO).adjust(counter("b"), one, Units::ZERO).build().unwrap()
}

/// How the server runs a query, and how many rows the busiest step gave.
async fn steps(connection: &mut PgConnection, text: &str, values: PgArguments) -> (String, u64) {
    let text = format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {text}");
    let rows = sqlx::query_with(AssertSqlSafe(text), values).fetch_all(connection).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let counts = lines.iter().filter_map(|line| {
        let (rows, loops) = line.split_once("(actual rows=")?.1.split_once(" loops=")?;
        Some(rows.parse::<u64>().ok()? * loops.trim_end_matches(')').parse::<u64>().ok()?)
    });
    let most = counts.max().unwrap();
    (lines.join("\n"), most)
}

#[tokio::test]
async fn every_scan_is_answered_by_an_index_without_sorting_and_reads_little_more_than_a_page() {
    let Some(server) = postgres_or_skip("index scans").unwrap() else { return };
    let url = server.schema("index_scans").unwrap();
    let target = Target::of(&url, &PostgresOptions::default()).ok().unwrap();
    let store = PostgresStore::open(&url, patient()).await.unwrap();
    store.prepare(&Schema::new(1, &[&ORDERS, &BALANCES, &EVENTS]).unwrap()).await.unwrap();
    for round in 0..25 {
        store.commit(&many(round)).await.unwrap();
    }
    let mut connection = target.connect().await.unwrap();
    connection.execute("ANALYZE orders, balances, events").await.unwrap();
    let by_seller = || Scan::index(&ORDERS, "by_seller", vec![Value::from("s1")]).unwrap();
    let sellers = || Scan::index(&ORDERS, "by_seller", Vec::new()).unwrap();
    let entries = || Scan::entries(key(&EVENTS, "e1")).unwrap();
    let range = |scan: Scan| scan.range(Some(Value::Int(5)), Some(Value::Int(30))).unwrap();
    let scans = [
        Scan::ids(&ORDERS),
        Scan::prefix(&ORDERS, "o1"),
        Scan::ids(&BALANCES),
        Scan::ids(&EVENTS),
        Scan::prefix(&EVENTS, "e"),
        by_seller(),
        sellers(),
        range(by_seller()),
        entries(),
    ];
    for scan in scans {
        for scan in [scan.clone(), scan.backward()] {
            let scan = scan.limit(2);
            let next = store.scan(&scan).await.unwrap().next;
            let pages = [Some(scan.clone()), next.map(|next| scan.clone().after(next).unwrap())];
            for scan in pages.into_iter().flatten() {
                let Query { sql, binds } = plan_for(Dialect::Postgres, &scan).unwrap();
                let (steps, most) = steps(&mut connection, &sql, bound(binds).unwrap()).await;
                // A page of streams is sorted once it is there.
                let sorted = if scan.collection().kind == Kind::Streams { "Seq Scan" } else { "Sort" };
                let bad = ["Seq Scan", "Bitmap", sorted].into_iter().find(|bad| steps.contains(bad));
                assert!(bad.is_none(), "{scan:?}\n{sql}\n{steps}");
                assert!(most <= 12, "{most} rows for a page of 2: {scan:?}\n{sql}\n{steps}");
            }
        }
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn reads_of_several_collections_find_their_rows_by_their_keys() {
    let Some(server) = postgres_or_skip("key reads").unwrap() else { return };
    let url = server.schema("key_reads").unwrap();
    let target = Target::of(&url, &PostgresOptions::default()).ok().unwrap();
    let store = PostgresStore::open(&url, patient()).await.unwrap();
    store.prepare(&Schema::new(1, &[&ORDERS, &BALANCES, &EVENTS]).unwrap()).await.unwrap();
    for round in 0..10 {
        store.commit(&many(round)).await.unwrap();
    }
    let mut connection = target.connect().await.unwrap();
    connection.execute("ANALYZE orders, balances, events").await.unwrap();
    let keys = [key(&ORDERS, "o0101"), key(&BALANCES, "a"), key(&EVENTS, "e1"), key(&ORDERS, "none")];
    let statement = sql::cells(&store.writer.catalog(), &keys).unwrap();
    let (steps, most) = steps(&mut connection, &statement.text, statement.values).await;
    assert!(!steps.contains("Seq Scan") && most <= 4, "{steps}");
    let cells = store.read(&keys).await.unwrap();
    assert_eq!(cells.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, true, false]);
    connection.close().await.unwrap();
}
