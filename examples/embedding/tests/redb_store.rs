//! The worked backend, proven as `docs/backends.md` says.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use i3_core::store::{DynStore, MemoryStore, Store as _, StoreErrorKind};
use i3_core::testkit::trace::{self, Backend};
use i3_core::testkit::{Checked, Harness, Stop, announce, conformance, crash, model, sample};
use i3_embedding::RedbStore;
use tempfile::TempDir;

/// Stores in folders that live as long as this does.
#[derive(Default)]
struct Redb {
    folders: Mutex<Vec<TempDir>>,
}

impl Redb {
    fn last(&self) -> PathBuf {
        self.folders.lock().unwrap().last().unwrap().path().join("store.redb")
    }
}

#[async_trait]
impl Harness for Redb {
    async fn open(&self) -> Result<DynStore, Stop> {
        self.folders.lock().unwrap().push(tempfile::tempdir()?);
        Ok(Arc::new(RedbStore::open(self.last())?))
    }

    async fn reopen(&self) -> Result<Option<DynStore>, Stop> {
        Ok(Some(Arc::new(RedbStore::open(self.last())?)))
    }
}

i3_core::conformance_tests!(on_redb, Redb::default());

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn redb_answers_as_the_model_does() -> Checked {
    let runtime = runtime();
    model::check(&Redb::default(), 24, |run| runtime.block_on(run))
}

struct Memory;

#[async_trait]
impl Harness for Memory {
    async fn open(&self) -> Result<DynStore, Stop> {
        Ok(Arc::new(MemoryStore::new()))
    }
}

#[test]
fn one_trace_of_commands_gives_the_same_on_memory_and_redb() -> Checked {
    let runtime = runtime();
    let redb = Redb::default();
    let backends = [Backend { name: "memory", harness: &Memory }, Backend { name: "redb", harness: &redb }];
    let tally = trace::check(&backends, 4, |run| runtime.block_on(run))?;
    announce(&format!("memory and redb alike: {tally}"));
    Ok(())
}

#[test]
fn what_redb_acknowledged_survives_kill_9_and_every_batch_is_whole() -> Checked {
    let folder = tempfile::tempdir()?;
    let runtime = runtime();
    crash::survive(
        "what_redb_acknowledged_survives_kill_9_and_every_batch_is_whole",
        &folder.path().join("store.redb"),
        4,
        &|place: &Path| {
            let place = place.to_owned();
            Box::pin(async move { Ok(Arc::new(RedbStore::open(place)?) as DynStore) })
        },
        &|run| runtime.block_on(run),
    )
}

#[tokio::test]
async fn a_file_that_is_open_or_none_of_redbs_or_a_folder_is_refused_by_kind() -> Checked {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("store.redb");
    let first = RedbStore::open(&file)?;
    assert_eq!(RedbStore::open(&file).unwrap_err().kind(), StoreErrorKind::Busy);
    first.prepare(&sample::schema()?).await?;
    drop(first);
    RedbStore::open(&file)?;

    let garbage = folder.path().join("garbage");
    std::fs::write(&garbage, "no database ".repeat(1_000))?;
    let refused = RedbStore::open(&garbage).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Corrupt, "{refused}");
    let refused = RedbStore::open(folder.path()).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Misconfigured, "{refused}");
    Ok(())
}

#[tokio::test]
async fn all_conformance_cases_that_apply_pass_on_redb() -> Checked {
    let report = conformance::run_all(&Redb::default()).await;
    assert_eq!(report.passed.len() + report.not_applicable.len(), conformance::CASES.len());
    report.announce("redb")
}
