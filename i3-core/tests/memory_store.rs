//! The reference model keeps the contract that it is the model of.

use std::sync::Arc;

use async_trait::async_trait;
use i3_core::store::{DynStore, MemoryStore};
use i3_core::testkit::{Checked, Harness, Stop, conformance, model};

struct Memory;

#[async_trait]
impl Harness for Memory {
    async fn open(&self) -> Result<DynStore, Stop> {
        Ok(Arc::new(MemoryStore::new()))
    }
}

i3_core::conformance_tests!(memory, Memory);

#[tokio::test]
async fn all_conformance_cases_run_on_memory() -> Checked {
    let report = conformance::run_all(&Memory).await;
    assert_eq!(report.passed.len() + report.not_applicable.len(), conformance::CASES.len());
    report.announce("memory")
}

#[test]
fn two_memory_stores_answer_alike() -> Checked {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    model::check(&Memory, 256, |run| runtime.block_on(run))
}
