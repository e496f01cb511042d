//! A SQLite file as this version writes it, kept as SQL in `tests/golden`: what a later version must be able
//! to open. If another text is meant, files in the field need a migration, and `make golden` writes it anew.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use i3_core::portable::{Contents, Part, digest, verify};
use i3_core::store::{
    BatchBuilder, Body, Entity as _, Key, MemoryStore, Outcome, Store, StoreExt as _, Units,
};
use i3_core::testkit::sample::{COUNTERS, ITEMS, Item, STREAMS};
use i3_store_sql::{SqliteOptions, SqliteStore};
use rusqlite::Connection;

const BIG: i64 = i64::MAX;

/// Rows that are awkward to keep: without values, with the least and greatest ones, written twice, removed.
async fn fill(store: &dyn Store) {
    store.prepare(contents().schema()).await.unwrap();
    let items = [
        Item::new("a"),
        Item::new("b").owner("").at(0).tag("t").order(-1),
        Item::new("c").owner("\u{fc}\u{1f600}'\"\\%_").at(i64::MIN).tag("T").order(BIG).note("a\nb\tc"),
        Item::new("d").owner("o").at(BIG).note("\u{2028}"),
        Item::new("e").owner("o").at(5),
    ];
    let mut batch = BatchBuilder::new();
    for item in &items {
        batch = batch.create(item.draft().unwrap());
    }
    let counter = |id: &str| Key::new(&COUNTERS, id).unwrap();
    let stream = |id: &str| Key::new(&STREAMS, id).unwrap();
    let units = |number| Units::new(number).unwrap();
    let body = |text: &str| Body::new(text).unwrap();
    let batch = batch
        .adjust(counter("up"), Units::MAX, Units::ZERO)
        .adjust(counter("down"), Units::MIN, Units::MIN)
        .adjust(counter("zero"), Units::ZERO, Units::ZERO)
        .append(stream("s"), body("{\"n\":1}"))
        .append(stream("s"), body("\"\u{fc}\""))
        .append(stream("other"), body("[]"));
    store.commit(&batch.build().unwrap()).await.unwrap();
    let version = store.get::<Item>(&"e".to_owned()).await.unwrap().unwrap().version;
    let other = Item::new("e").owner("p").at(6).tag("again").order(7).note("written twice");
    let batch = BatchBuilder::new()
        .replace(version, other.draft().unwrap())
        .adjust(counter("up"), units(-7), Units::ZERO)
        .append(stream("s"), body("3"));
    store.commit(&batch.build().unwrap()).await.unwrap();
    let version = store.get::<Item>(&"d".to_owned()).await.unwrap().unwrap().version;
    let batch = BatchBuilder::new().remove(Key::new(&ITEMS, "d").unwrap(), version);
    store.commit(&batch.build().unwrap()).await.unwrap();
}

fn contents() -> Contents {
    let parts = vec![Part::records::<Item>(), Part::plain(&COUNTERS), Part::plain(&STREAMS)];
    Contents::new(1, parts).unwrap()
}

/// What the store holds is what the model holds after the same, and it takes more.
async fn check(store: &dyn Store) {
    let model = MemoryStore::new();
    fill(&model).await;
    store.prepare(contents().schema()).await.unwrap();
    let wanted = digest(&model, &contents(), &()).await.unwrap();
    assert_eq!(digest(store, &contents(), &()).await.unwrap(), wanted);
    assert_eq!(verify(store, &contents(), &()).await.unwrap().faults, vec![]);
    let found = store.get::<Item>(&"e".to_owned()).await.unwrap().unwrap();
    let batch = BatchBuilder::new()
        .replace(found.version, Item::new("e").owner("q").draft().unwrap())
        .create(Item::new("d").draft().unwrap())
        .append(Key::new(&STREAMS, "s").unwrap(), Body::new("4").unwrap());
    let receipt = store.commit(&batch.build().unwrap()).await.unwrap();
    assert!(matches!(receipt.outcomes.last(), Some(Outcome::Appended { position: 4, .. })));
    assert_eq!(verify(store, &contents(), &()).await.unwrap().faults, vec![]);
}

fn wanted() -> bool {
    std::env::var_os("I3_GOLDEN").is_some_and(|wish| wish == "write")
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sqlite.sql")
}

/// Everything in a file as SQL.
fn dump(file: &Path) -> String {
    let connection = Connection::open(file).unwrap();
    let list = |sql: &str| -> Vec<(String, String)> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let mut text = String::new();
    let own = "WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'";
    for (_, sql) in list(&format!("SELECT name, sql FROM sqlite_schema {own} ORDER BY type DESC, name")) {
        writeln!(text, "{sql};").unwrap();
    }
    for (table, _) in
        list(&format!("SELECT name, type FROM sqlite_schema {own} AND type = 'table' ORDER BY name"))
    {
        let columns = list(&format!("SELECT name, type FROM pragma_table_info('{table}')"));
        let quoted: Vec<String> = columns.iter().map(|(name, _)| format!("quote(\"{name}\")")).collect();
        let values = quoted.join(" || ', ' || ");
        for (row, _) in list(&format!("SELECT {values}, '' FROM \"{table}\" ORDER BY 1")) {
            writeln!(text, "INSERT INTO \"{table}\" VALUES ({row});").unwrap();
        }
    }
    text
}

#[tokio::test]
async fn a_file_of_today_is_the_golden_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    let store = SqliteStore::open(&file, SqliteOptions::default()).await.unwrap();
    fill(&store).await;
    drop(store);
    // The writer closes the file on its own thread.
    let dumped = || dump(&file);
    let mut today = dumped();
    for _ in 0..50 {
        if today.contains("written twice") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        today = dumped();
    }
    if wanted() {
        std::fs::write(golden(), &today).unwrap();
    }
    assert_eq!(today, std::fs::read_to_string(golden()).unwrap());
}

#[tokio::test]
async fn the_golden_file_is_read_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch(&std::fs::read_to_string(golden()).unwrap()).unwrap();
    drop(connection);
    let store = SqliteStore::open(&file, SqliteOptions::default()).await.unwrap();
    check(&store).await;
}
