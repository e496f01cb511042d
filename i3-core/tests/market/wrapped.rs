//! Stores of the tests' own: one in memory that does something else now and then.

use std::fmt::Debug;
use std::ops::Deref;

use async_trait::async_trait;
use i3_core::store::{
    Batch, Cell, Collection, CommitError, Durability, Key, MemoryStore, Page, Receipt, Revision, Scan,
    Schema, Store, StoreError,
};

/// What a store does otherwise than the one in memory behind it.
#[async_trait]
pub(crate) trait Otherwise: Debug + Send + Sync + 'static {
    fn inner(&self) -> &MemoryStore;

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        self.inner().read(keys).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        self.inner().scan(scan).await
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        self.inner().commit(batch).await
    }

    fn revision(&self, collections: &[&Collection]) -> Option<Revision> {
        self.inner().revision(collections)
    }
}

/// The store that it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wrapped<T>(pub(crate) T);

impl<T> Deref for Wrapped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[async_trait]
impl<T: Otherwise> Store for Wrapped<T> {
    async fn prepare(&self, schema: &Schema) -> Result<(), StoreError> {
        self.0.inner().prepare(schema).await
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        self.0.read(keys).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        self.0.scan(scan).await
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        self.0.commit(batch).await
    }

    fn durability(&self) -> Durability {
        self.0.inner().durability()
    }

    fn revision(&self, collections: &[&Collection]) -> Option<Revision> {
        self.0.revision(collections)
    }

    async fn unnamed(&self) -> Result<Vec<String>, StoreError> {
        self.0.inner().unnamed().await
    }
}
