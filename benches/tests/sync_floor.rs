//! A floor under syncs reaches the stores inside the process, and changes nothing where there is none.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs::File;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use i3_benches::shop::Shop;
use i3_benches::stores::FLOOR_VARIABLE;
use i3_core::store::DynStore;
use i3_store_sled::SledStore;
use i3_store_sql::{SqliteOptions, SqliteStore};

const FLOOR: Duration = Duration::from_millis(40);
const PURCHASES: u32 = 5;

/// The environment is read once by each process: the test is run in another one.
fn run_with_floor(test: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(FLOOR_VARIABLE, FLOOR.as_micros().to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// How long some purchases take, one after another.
async fn purchases(store: DynStore) -> Duration {
    let shop = Shop::open(store, 1).await.unwrap();
    let begun = Instant::now();
    for request in 0..PURCHASES {
        shop.buy(0, &request.to_string()).await.unwrap();
    }
    begun.elapsed()
}

#[test]
fn every_commit_of_sqlite_and_sled_waits_for_the_floor() {
    run_with_floor("under_the_floor");
}

#[tokio::test]
#[ignore = "run by another test, with the floor in its environment"]
async fn under_the_floor() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(folder.path().join("sqlite"), SqliteOptions::default()).await.unwrap();
    let sqlite = purchases(Arc::new(sqlite)).await;
    assert!(sqlite >= FLOOR * PURCHASES, "SQLite took {sqlite:?}");
    let sled = purchases(Arc::new(SledStore::open(folder.path().join("sled")).unwrap())).await;
    assert!(sled >= FLOOR * PURCHASES, "sled took {sled:?}");
    // The quickest of many tries is one that nothing else on the machine held up.
    let mut memory = Duration::MAX;
    for _ in 0..50 {
        memory = purchases(Arc::new(i3_core::store::MemoryStore::new())).await.min(memory);
        if memory < FLOOR * PURCHASES {
            break;
        }
    }
    assert!(memory < FLOOR * PURCHASES, "memory, which syncs nothing, took {memory:?}");
    let begun = Instant::now();
    File::create(folder.path().join("file")).unwrap().sync_all().unwrap();
    assert!(begun.elapsed() >= FLOOR);
}

#[test]
fn a_sync_that_fails_still_says_why() {
    // A terminal, pipe or device that cannot be synced: EINVAL, whatever the C library would have said.
    let (reader, writer) = std::io::pipe().unwrap();
    let pipe = File::from(std::os::fd::OwnedFd::from(writer));
    let error = pipe.sync_data().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(22), "{error}");
    drop(reader);
    let folder = tempfile::tempdir().unwrap();
    File::create(folder.path().join("file")).unwrap().sync_data().unwrap();
}
