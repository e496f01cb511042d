//! SQLite keeps the contract of storage: conformance, likeness to the model, and the death of the process.
#![cfg(feature = "sqlite")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use i3_core::store::DynStore;
use i3_core::testkit::{Checked, Harness, Stop, conformance, crash, model};
use i3_store_sql::{SqliteOptions, SqliteStore, Synchronous};
use tempfile::TempDir;

/// Stores in one folder that is removed at the end.
struct Sqlite {
    folder: TempDir,
    opened: AtomicU32,
    options: SqliteOptions,
}

impl Sqlite {
    #[expect(clippy::unwrap_used, reason = "a test without a temporary folder cannot go on")]
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, opened: AtomicU32::new(0), options: SqliteOptions::default() }
    }

    /// Without waiting for the disk, for many short histories.
    fn fast() -> Self {
        Self {
            options: SqliteOptions {
                synchronous: Synchronous::Normal,
                readers: 1,
                ..SqliteOptions::default()
            },
            ..Self::new()
        }
    }

    /// With so many bytes for what is remembered.
    fn remembering(cache_bytes: usize) -> Self {
        let fast = Self::fast();
        Self { options: SqliteOptions { cache_bytes, ..fast.options.clone() }, ..fast }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(format!("{}.db", self.opened.load(Ordering::Relaxed)))
    }

    async fn store(&self) -> Result<DynStore, Stop> {
        open(&self.path(), self.options.clone()).await
    }
}

async fn open(path: &Path, options: SqliteOptions) -> Result<DynStore, Stop> {
    Ok(std::sync::Arc::new(SqliteStore::open(path, options).await?))
}

#[async_trait]
impl Harness for Sqlite {
    async fn open(&self) -> Result<DynStore, Stop> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.store().await
    }

    async fn reopen(&self) -> Result<Option<DynStore>, Stop> {
        self.store().await.map(Some)
    }
}

i3_core::conformance_tests!(conforms, Sqlite::new());

#[tokio::test]
async fn all_conformance_cases_run_on_sqlite() -> Checked {
    let report = conformance::run_all(&Sqlite::fast()).await;
    assert_eq!(report.passed.len() + report.not_applicable.len(), conformance::CASES.len());
    report.announce("sqlite")
}

#[test]
fn sqlite_answers_like_the_model() -> Checked {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    model::check(&Sqlite::fast(), 96, |run| runtime.block_on(run))
}

#[tokio::test]
async fn all_conformance_cases_hold_with_a_small_memory_and_with_none() {
    for bytes in [0, 2_000] {
        let report = conformance::run_all(&Sqlite::remembering(bytes)).await;
        assert_eq!(report.passed.len() + report.not_applicable.len(), conformance::CASES.len(), "{bytes}");
    }
}

#[test]
fn sqlite_answers_like_the_model_while_it_forgets_and_when_it_remembers_nothing() -> Checked {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for bytes in [0, 2_000] {
        model::check(&Sqlite::remembering(bytes), 32, |run| runtime.block_on(run))?;
    }
    Ok(())
}

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() -> Checked {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    crash::survive(
        "a_killed_process_loses_nothing_that_it_acknowledged",
        &folder.path().join("killed.db"),
        6,
        &|path| {
            let path = path.to_owned();
            Box::pin(async move { open(&path, SqliteOptions::default()).await })
        },
        &|run| runtime.block_on(run),
    )
}
