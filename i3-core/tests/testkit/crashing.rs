//! The check after a crash notices what was lost and what is half there.

use std::sync::Arc;
use std::task::{Context, Waker};

use i3_core::store::{Batch, DynStore, Entity as _, MemoryStore, Op, StoreExt as _};
use i3_core::testkit::Checked;
use i3_core::testkit::crash::{History, child};
use i3_core::testkit::faults::{Call, Fault, FaultyStore, Plan};
use i3_core::testkit::sample::Item;

/// A store over which a child worked until its twentieth commit, which was never answered.
fn worked() -> DynStore {
    let store: DynStore = Arc::new(MemoryStore::new());
    let faulty = Arc::new(FaultyStore::new(store.clone()));
    faulty.arm(Plan::at(20, Fault::SilentAfter).of(Call::Commit).then(Fault::SilentBefore));
    let mut work = Box::pin(child(faulty.clone()));
    while !faulty.is_silent() {
        assert!(work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    store
}

#[tokio::test]
async fn what_a_child_left_is_whole() -> Checked {
    let store = worked();
    let mut history = History::default();
    history.acknowledged.extend([6, 12]);
    history.check(&*store).await?;
    // And once more, from where it stopped.
    history.check(&*store).await
}

#[tokio::test]
async fn a_batch_that_was_acknowledged_and_is_not_there_is_noticed() {
    let mut history = History::default();
    history.acknowledged.insert(1_000_000);
    let found = history.check(&*worked()).await.unwrap_err().to_string();
    assert!(found.contains("1 of 1 acknowledged batches are lost"), "{found}");
}

#[tokio::test]
async fn a_batch_of_which_a_part_is_gone_is_noticed() -> Checked {
    let store = worked();
    let id = "batch-000000000006-1".to_owned();
    let found = store.get::<Item>(&id).await?.unwrap();
    let remove = Op::Remove { key: Item::key(&id)?, expect: found.version };
    store.commit(&Batch::of(vec![remove])?).await?;
    let found = History::default().check(&*store).await.unwrap_err().to_string();
    assert!(found.contains("the store is not what its log says"), "{found}");
    Ok(())
}
