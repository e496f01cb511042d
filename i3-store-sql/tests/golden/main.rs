//! Databases as this version writes them, kept as SQL beside: what a later version must be able to open. If
//! another text is meant, databases in the field need a migration, and `make golden` writes it anew.
#![cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "testkit"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod servers;
mod sqlite;

use std::path::{Path, PathBuf};

use i3_core::portable::{Contents, Part, digest, verify};
use i3_core::store::{
    BatchBuilder, Body, Entity as _, Key, MemoryStore, Outcome, Store, StoreExt as _, Units,
};
use i3_core::testkit::sample::{COUNTERS, ITEMS, Item, STREAMS};

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

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}
