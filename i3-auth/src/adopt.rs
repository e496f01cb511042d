//! Which master key the data of a store belong to.

use i3_core::store::{
    BatchBuilder, Collection, CommitError, Entity, Kind, Store, StoreError, StoreErrorKind, StoreExt, Value,
};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::mac::short_text;
use crate::{MasterKey, MasterKeyError};

/// Where a store's master key is recognized by.
pub static MASTER_KEYS: Collection = Collection {
    name: "master_keys",
    kind: Kind::Records,
    about: "what recognizes the master key that the data belong to",
    columns: &[],
    indexes: &[],
};

const ONLY: &str = "only";

/// Something that only the holder of the key can make.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Mark {
    mark: String,
}

impl Entity for Mark {
    type Id = &'static str;

    fn collection() -> &'static Collection {
        &MASTER_KEYS
    }

    fn id(&self) -> &'static str {
        ONLY
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

impl MasterKey {
    /// Makes sure that this is the key of the store's data: the first key that a store sees becomes its
    /// own, and any other is refused from then on, because with it every order password and API token would
    /// be another. The store's schema has to have [`MASTER_KEYS`]. The key cannot be computed from what is
    /// stored.
    pub async fn adopt(&self, store: &dyn Store) -> Result<(), MasterKeyError> {
        let own = Mark { mark: short_text(&self.mac("i3 master key mark", &[])) };
        let found = match store.get::<Mark>(&ONLY).await? {
            Some(found) => found,
            None => match store.commit(&first(&own)?).await {
                Ok(_) => return Ok(()),
                // Another process was first: with the same key, or not.
                Err(CommitError::Stale { .. }) => {
                    store.get::<Mark>(&ONLY).await?.ok_or(MasterKeyError::Another)?
                }
                Err(CommitError::Store(error)) => return Err(error.into()),
                Err(other) => {
                    let error = StoreError::new(StoreErrorKind::Unsupported, "the key cannot be marked");
                    return Err(error.with_source(other).into());
                }
            },
        };
        if bool::from(found.entity.mark.as_bytes().ct_eq(own.mark.as_bytes())) {
            Ok(())
        } else {
            Err(MasterKeyError::Another)
        }
    }
}

fn first(mark: &Mark) -> Result<i3_core::store::Batch, StoreError> {
    BatchBuilder::new().create(mark.draft()?).build().map_err(|error| {
        StoreError::new(StoreErrorKind::Unsupported, "the key cannot be marked").with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use i3_core::store::{MemoryStore, Schema};

    use super::*;

    async fn store() -> MemoryStore {
        let store = MemoryStore::new();
        store.prepare(&Schema::new(1, crate::COLLECTIONS).unwrap()).await.unwrap();
        store
    }

    #[tokio::test]
    async fn the_first_key_becomes_the_store_s_own_and_another_is_refused() {
        let store = store().await;
        for _ in 0..2 {
            MasterKey::from_bytes([1; 32]).adopt(&store).await.unwrap();
        }
        let error = MasterKey::from_bytes([2; 32]).adopt(&store).await.unwrap_err();
        assert!(matches!(error, MasterKeyError::Another), "{error}");
        MasterKey::from_bytes([1; 32]).adopt(&store).await.unwrap();
    }

    #[tokio::test]
    async fn of_several_processes_that_start_at_once_one_key_wins() {
        let store = store().await;
        let mut tasks = tokio::task::JoinSet::new();
        for byte in 0..8 {
            let store = store.clone();
            tasks.spawn(async move { MasterKey::from_bytes([byte; 32]).adopt(&store).await.is_ok() });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(|won| *won).count(), 1);
    }
}
