//! What a decision read in two halves, with another's commit between them, is no ground to refuse or to fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use i3_core::id::{SequentialIds, TypedId, UserId};
use i3_core::market::schema;
use i3_core::store::{
    BatchBuilder, Cell, Decision, Entity as _, Halt, Key, MemoryStore, Refused, Store, StoreError,
    StoreErrorKind, StoreExt as _, Tx,
};
use i3_core::time::Timestamp;
use i3_core::user::LoginGeneration;

use crate::wrapped::{Otherwise, Wrapped};

fn of(user: u128, generation: u32) -> LoginGeneration {
    LoginGeneration { generation, ..LoginGeneration::first(UserId::from_bits(user)) }
}

/// Somebody changes both records just before the second read.
#[derive(Debug, Default)]
struct Between {
    inner: MemoryStore,
    reads: AtomicUsize,
}

impl Between {
    async fn change_both(&self) {
        let mut batch = BatchBuilder::new();
        for user in [1, 2] {
            let held = self.inner.get::<LoginGeneration>(&UserId::from_bits(user)).await.unwrap().unwrap();
            let next = of(user, held.entity.generation + 1);
            batch = batch.replace(held.version, next.draft().unwrap());
        }
        self.inner.commit(&batch.build().unwrap()).await.unwrap();
    }
}

#[async_trait]
impl Otherwise for Between {
    fn inner(&self) -> &MemoryStore {
        &self.inner
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        if self.reads.fetch_add(1, Ordering::SeqCst) == 1 {
            self.change_both().await;
        }
        self.inner.read(keys).await
    }
}

/// Reads one record and then the other. They are always equal: if not, it takes the data for corrupt, or refuses.
struct Compare {
    fails: bool,
}

impl Decision for Compare {
    type Done = u32;
    type Refusal = &'static str;

    fn decide(&self, tx: &mut Tx<'_, &'static str>) -> Result<u32, Halt<&'static str>> {
        let one: LoginGeneration = tx.need(&UserId::from_bits(1), "missing")?;
        let other: LoginGeneration = tx.need(&UserId::from_bits(2), "missing")?;
        if one.generation == other.generation {
            return Ok(one.generation);
        }
        if self.fails {
            return Err(StoreError::new(StoreErrorKind::Corrupt, "they differ").into());
        }
        Err(Halt::Refused("they differ"))
    }
}

async fn compared(fails: bool) -> Result<u32, Refused<&'static str>> {
    let store = Arc::new(Wrapped::<Between>::default());
    store.prepare(&schema(&[]).unwrap()).await.unwrap();
    let batch = BatchBuilder::new().create(of(1, 0).draft().unwrap()).create(of(2, 0).draft().unwrap());
    store.commit(&batch.build().unwrap()).await.unwrap();
    let found = store.transact(Timestamp::default(), &SequentialIds::default(), &Compare { fails }).await;
    assert!(store.reads.load(Ordering::SeqCst) >= 3, "it was looked at once more");
    found
}

#[tokio::test]
async fn a_decision_that_failed_on_half_read_data_is_made_again() {
    assert_eq!(compared(true).await.unwrap(), 1);
}

#[tokio::test]
async fn a_decision_that_refused_on_half_read_data_is_made_again() {
    assert_eq!(compared(false).await.unwrap(), 1);
}
