//! The reference model keeps the contract that it is the model of.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use i3_core::store::{DynStore, MemoryStore};
use i3_core::testkit::{Checked, Harness, Stop, conformance, model};

/// Remembers the last store, whose clones are other handles over it.
#[derive(Default)]
struct Memory(Mutex<MemoryStore>);

#[async_trait]
impl Harness for Memory {
    async fn open(&self) -> Result<DynStore, Stop> {
        let store = MemoryStore::new();
        *self.0.lock().unwrap() = store.clone();
        Ok(Arc::new(store))
    }

    async fn second(&self) -> Result<Option<DynStore>, Stop> {
        Ok(Some(Arc::new(self.0.lock().unwrap().clone())))
    }
}

i3_core::conformance_tests!(memory, Memory::default());

#[tokio::test]
async fn all_conformance_cases_run_on_memory() -> Checked {
    let report = conformance::run_all(&Memory::default()).await;
    assert_eq!(report.passed.len() + report.not_applicable.len(), conformance::CASES.len());
    report.announce("memory")
}

#[test]
fn two_memory_stores_answer_alike() -> Checked {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    model::check(&Memory::default(), 256, |run| runtime.block_on(run))
}
