//! Places that are no good for a store, and files that are damaged: what is told, and what still works.

use std::path::Path;
use std::time::Duration;

use i3_core::store::{Applied, CommitError, Scan, Store, StoreError, StoreErrorKind, StoreExt};

use super::connection::Database;
use super::tests::{BALANCES, EVENTS, ORDERS, key, opened, plain, purchase, schema};
use super::{SqliteOptions, SqliteStore, Synchronous};

async fn refused(path: &Path) -> StoreError {
    SqliteStore::open(path, SqliteOptions::default()).await.unwrap_err()
}

#[tokio::test]
async fn a_folder_in_place_of_the_file_is_named_and_nothing_is_put_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("folder");
    std::fs::create_dir(&path).unwrap();
    let error = refused(&path).await;
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    assert_eq!(error.to_string(), format!("{} is a folder: name a file in it", path.display()));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_file_of_other_content_is_corrupt_and_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let notes = "these are notes, long enough for a header. ".repeat(300);
    std::fs::write(&path, &notes).unwrap();
    let error = refused(&path).await;
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(error.to_string().contains("check the path"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), notes);
}

#[tokio::test]
async fn the_database_of_another_program_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    plain(&path).execute_batch("CREATE TABLE bookmarks(url TEXT)").unwrap();
    assert_eq!(refused(&path).await.kind(), StoreErrorKind::Misconfigured);
    let tables: i64 =
        plain(&path).query_one("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[tokio::test]
async fn a_missing_folder_is_misconfigured() {
    let dir = tempfile::tempdir().unwrap();
    let error = refused(&dir.path().join("nowhere").join("db")).await;
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    assert!(error.to_string().contains("check the path and permissions"), "{error}");
}

#[tokio::test]
async fn a_name_that_stands_for_memory_is_refused() {
    // The name means a database in memory to SQLite: nothing that two connections could share.
    let dir = tempfile::tempdir().unwrap();
    let error = Database::new(Path::new(":memory:"), Synchronous::Full).writer().unwrap_err().told();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    drop(dir);
}

/// Runs as nobody what the test of this name says, if the present user may do everything.
#[cfg(unix)]
fn as_nobody(test: &str, folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;

    let readable = std::fs::Permissions::from_mode(0o755);
    // Where the build puts programs, nobody may not look.
    let program = folder.join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(&program, readable).unwrap();
    let run = std::process::Command::new(&program)
        .args(["--exact", test, "--nocapture"])
        .env("I3_TEST_FOLDER", folder)
        .current_dir(folder)
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&run.stderr));
    run.status.success()
}

#[cfg(unix)]
#[test]
fn without_permission_it_is_said_what_to_check() {
    use std::os::unix::fs::PermissionsExt as _;

    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let check = |folder: &Path| {
        for (name, advice) in
            [("closed/db", "check the path and permissions"), ("db", "check the path and its permissions")]
        {
            let error = runtime.block_on(refused(&folder.join(name)));
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{name}: {error}");
            assert!(error.to_string().contains(advice), "{name}: {error}");
        }
    };
    if let Some(folder) = std::env::var_os("I3_TEST_FOLDER") {
        return check(Path::new(&folder));
    }
    let dir = tempfile::tempdir().unwrap();
    let (closed, file) = (dir.path().join("closed"), dir.path().join("db"));
    std::fs::create_dir(&closed).unwrap();
    runtime.block_on(async { opened(&file).await.close().await.unwrap() });
    set(&dir.path().join("db-lock"), 0o666);
    set(&file, 0o444);
    set(&closed, 0o555);
    set(dir.path(), 0o755);
    let all_powerful = std::fs::OpenOptions::new().write(true).open(&file).is_ok();
    if all_powerful {
        let name = "sqlite::troubles::without_permission_it_is_said_what_to_check";
        assert!(as_nobody(name, dir.path()));
    } else {
        check(dir.path());
    }
    set(&closed, 0o755);
}

#[tokio::test]
async fn a_full_database_refuses_commits_with_nothing_written_and_answers_reads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let small = Database { pages: Some(24), ..Database::new(&path, Synchronous::Full) };
    let store = SqliteStore::open_database(small, &SqliteOptions::default()).await.unwrap();
    store.prepare(&schema(1)).await.unwrap();
    let mut accepted = 0;
    let error = loop {
        match store.commit(&purchase(accepted)).await {
            Ok(_) => accepted += 1,
            Err(CommitError::Store(error)) => break error,
            Err(other) => panic!("{other}"),
        }
        assert!(accepted < 10_000, "the limit does not hold");
    };
    assert_eq!((error.kind(), error.applied()), (StoreErrorKind::Unavailable, Applied::No));
    assert!(error.to_string().contains("free some space"), "{error}");
    assert!(accepted > 0);
    assert_eq!(store.counter(&key(&BALANCES, "s1")).await.unwrap().get(), 5 * accepted);
    store.close().await.unwrap();

    // With space again, it goes on where it stopped.
    let store = opened(&path).await;
    store.commit(&purchase(accepted)).await.unwrap();
    assert_eq!(store.counter(&key(&BALANCES, "s1")).await.unwrap().get(), 5 * (accepted + 1));
}

#[tokio::test]
async fn a_damaged_page_is_told_as_corruption_by_what_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = opened(&path).await;
    for number in 0..500 {
        store.commit(&purchase(number)).await.unwrap();
    }
    store.close().await.unwrap();
    let page: u32 = plain(&path)
        .query_one("SELECT rootpage FROM sqlite_schema WHERE name = 'orders'", [], |row| row.get(0))
        .unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let end = 4096 * usize::try_from(page).unwrap();
    bytes[end - 4096..end].fill(0xee);
    std::fs::write(&path, bytes).unwrap();

    let store = opened(&path).await;
    for error in [
        store.scan(&Scan::ids(&ORDERS).limit(1000)).await.unwrap_err(),
        store.read(&[key(&ORDERS, "o7")]).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(error.to_string().contains("restore it from a backup"), "{error}");
    }
    let Err(CommitError::Store(error)) = store.commit(&purchase(500)).await else { panic!("not refused") };
    assert_eq!((error.kind(), error.applied()), (StoreErrorKind::Corrupt, Applied::No));
    // What is elsewhere is as it was.
    assert_eq!(store.counter(&key(&BALANCES, "s1")).await.unwrap().get(), 2500);
}

#[tokio::test]
async fn a_row_that_nobody_wrote_like_this_refuses_only_the_batch_that_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = opened(&path).await;
    store.commit(&purchase(1)).await.unwrap();
    store.close().await.unwrap();
    plain(&path).execute_batch("UPDATE events SET link = 'no digest'").unwrap();
    let store = opened(&path).await;
    assert_eq!(store.read(&[key(&EVENTS, "sales")]).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    let pay = || {
        let five = i3_core::store::Units::new(5).unwrap();
        let batch = i3_core::store::BatchBuilder::new();
        batch.adjust(key(&BALANCES, "s1"), five, i3_core::store::Units::ZERO).build().unwrap()
    };
    let (news, money) = (purchase(2), pay());
    let (refused, paid) = tokio::join!(store.commit(&news), store.commit(&money));
    let Err(CommitError::Store(error)) = refused else { panic!("not refused") };
    assert_eq!((error.kind(), error.applied()), (StoreErrorKind::Corrupt, Applied::No));
    paid.unwrap();
    assert_eq!(store.counter(&key(&BALANCES, "s1")).await.unwrap().get(), 10);
}

#[test]
fn reads_short_and_long_need_no_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let counted = wait(async {
        let store = opened(&path).await;
        for number in 0..100 {
            store.commit(&purchase(number)).await.unwrap();
        }
        let short = store.scan(&Scan::ids(&ORDERS).limit(10)).await.unwrap();
        let long = store.scan(&Scan::ids(&ORDERS).limit(90)).await.unwrap();
        let keys: Vec<_> = (0..100).map(|number| key(&ORDERS, &format!("o{number}"))).collect();
        let read = store.read(&keys).await.unwrap();
        store.close().await.unwrap();
        (short.rows.len(), long.rows.len(), long.next.is_some(), read.iter().flatten().count())
    });
    assert_eq!(counted, (10, 90, true, 100));
    assert!(!dir.path().join("db-wal").exists());
}

/// Runs a future in this thread, with nothing but the standard library.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(done) => return done,
            std::task::Poll::Pending => std::thread::park_timeout(Duration::from_mins(1)),
        }
    }
}
