//! The sled backend keeps the storage contract.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use i3_core::store::{Durability, DynStore, Store, StoreErrorKind};
use i3_core::testkit::{Checked, Harness, Stop, conformance, crash, model, sample};
use i3_store_sled::{SledOptions, SledStore};
use tempfile::TempDir;

/// Stores in folders that live as long as this does.
struct Sled {
    options: SledOptions,
    folders: Mutex<Vec<TempDir>>,
}

impl Sled {
    fn new(options: SledOptions) -> Self {
        Self { options: options.with_cache_bytes(8 * 1024 * 1024), folders: Mutex::default() }
    }

    fn last(&self) -> PathBuf {
        self.folders.lock().unwrap().last().unwrap().path().to_owned()
    }
}

#[async_trait]
impl Harness for Sled {
    async fn open(&self) -> Result<DynStore, Stop> {
        self.folders.lock().unwrap().push(tempfile::tempdir()?);
        Ok(Arc::new(self.options.open(self.last())?))
    }

    async fn reopen(&self) -> Result<Option<DynStore>, Stop> {
        Ok(Some(Arc::new(self.options.open(self.last())?)))
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

i3_core::conformance_tests!(on_sled, Sled::new(SledOptions::new()));

#[tokio::test]
async fn all_conformance_cases_run_on_sled_without_sync() -> Checked {
    let report = conformance::run_all(&Sled::new(SledOptions::new().without_sync())).await;
    // All but those that need two handles.
    assert_eq!(report.passed.len() + 4, conformance::CASES.len(), "{:?}", report.not_applicable);
    report.announce("sled without sync")
}

#[test]
fn sled_answers_as_the_model_does() -> Checked {
    let runtime = runtime();
    model::check(&Sled::new(SledOptions::new().without_sync()), 64, |run| runtime.block_on(run))
}

#[test]
fn what_was_acknowledged_survives_kill_9_and_every_batch_is_whole() -> Checked {
    let folder = tempfile::tempdir()?;
    let runtime = runtime();
    crash::survive(
        "what_was_acknowledged_survives_kill_9_and_every_batch_is_whole",
        folder.path(),
        6,
        &|place| {
            let place = place.to_owned();
            Box::pin(async move { Ok(Arc::new(SledStore::open(place)?) as DynStore) })
        },
        &|run| runtime.block_on(run),
    )
}

#[tokio::test]
async fn a_second_open_is_refused_as_busy() -> Checked {
    let folder = tempfile::tempdir()?;
    let first = SledStore::open(folder.path())?;
    let refused = SledStore::open(folder.path()).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Busy);
    assert_eq!(refused.to_string(), "the store is open already, in another process or in this one");
    // The first is not disturbed, and lets go when it is dropped.
    first.prepare(&sample::schema()?).await?;
    drop(first);
    SledStore::open(folder.path())?;
    Ok(())
}

#[tokio::test]
async fn a_newer_revision_is_refused() -> Checked {
    let folder = tempfile::tempdir()?;
    SledStore::open(folder.path())?.prepare(&sample::later_schema()?).await?;
    let older = SledStore::open(folder.path())?;
    let refused = older.prepare(&sample::schema()?).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Incompatible);
    assert_eq!(
        refused.to_string(),
        "the data are of revision 2, this program knows revision 1: use a newer version"
    );
    Ok(())
}

#[test]
fn garbage_in_the_file_is_reported_and_never_taken_for_a_new_store() -> Checked {
    let runtime = runtime();
    for (what, garbage) in
        [("text", b"no database ".repeat(100_000)), ("zeros", vec![0; 1_200_000]), ("nothing", Vec::new())]
    {
        let folder = tempfile::tempdir()?;
        let schema = sample::schema()?;
        runtime.block_on(async { SledStore::open(folder.path())?.prepare(&schema).await })?;
        std::fs::write(folder.path().join("db"), garbage)?;
        let refused = SledStore::open(folder.path()).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Corrupt, "{what}: {refused:?}");
    }
    Ok(())
}

#[test]
fn a_folder_that_is_no_folder_is_a_misconfiguration() -> Checked {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    std::fs::write(&file, "a file")?;
    let refused = SledStore::open(&file).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Misconfigured, "{refused:?}");
    Ok(())
}

#[test]
fn data_of_another_program_are_left_alone() -> Checked {
    let folder = tempfile::tempdir()?;
    let other = sled::open(folder.path())?;
    other.insert("key", "value")?;
    drop(other);
    let refused = SledStore::open(folder.path()).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Misconfigured, "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn durability_is_named_as_it_was_chosen() -> Checked {
    let (first, second) = (tempfile::tempdir()?, tempfile::tempdir()?);
    assert_eq!(SledStore::open(first.path())?.durability(), Durability::PowerLoss);
    let unsynced = SledOptions::new().without_sync().open(second.path())?;
    assert_eq!(unsynced.durability(), Durability::ProcessCrash);
    Ok(())
}

#[test]
fn a_commit_whose_future_was_dropped_is_whole_or_absent_and_dropping_the_store_finishes_it() -> Checked {
    use std::task::{Context, Waker};

    use i3_core::store::{BatchBuilder, Key, StoreExt, Units};

    let runtime = runtime();
    let folder = tempfile::tempdir()?;
    let counter = |id: &str| Key::new(&sample::COUNTERS, id);
    runtime.block_on(async {
        let store = SledStore::open(folder.path())?;
        store.prepare(&sample::schema()?).await?;
        for _ in 0..50 {
            let one = Units::new(1)?;
            let batch = BatchBuilder::new()
                .adjust(counter("left")?, one, Units::MIN)
                .adjust(counter("right")?, one.negated(), Units::MIN)
                .build()?;
            let mut commit = store.commit(&batch);
            // Polled once, so that it is on its way, and forgotten.
            let _ = commit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        drop(store);
        let store = SledStore::open(folder.path())?;
        store.prepare(&sample::schema()?).await?;
        let (left, right) =
            (store.counter(&counter("left")?).await?, store.counter(&counter("right")?).await?);
        assert_eq!(left, right.negated());
        assert_eq!(left, Units::new(50)?, "all were queued before the store was dropped");
        Ok(())
    })
}
