//! SQLite as it is used without care: one query for each record, and nothing remembered.

use async_trait::async_trait;
use i3_core::store::{
    Batch, Cell, CommitError, Durability, Key, Page, Receipt, Scan, Schema, Store, StoreError,
};
use i3_store_sql::SqliteStore;

/// A store that reads its keys one after another. To be opened with a cache of no bytes.
#[derive(Debug)]
pub(super) struct OneByOne(pub(super) SqliteStore);

#[async_trait]
impl Store for OneByOne {
    async fn prepare(&self, schema: &Schema) -> Result<(), StoreError> {
        self.0.prepare(schema).await
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        let mut cells = Vec::with_capacity(keys.len());
        for key in keys {
            cells.extend(self.0.read(std::slice::from_ref(key)).await?);
        }
        Ok(cells)
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        self.0.scan(scan).await
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        self.0.commit(batch).await
    }

    fn durability(&self) -> Durability {
        self.0.durability()
    }

    async fn unnamed(&self) -> Result<Vec<String>, StoreError> {
        self.0.unnamed().await
    }
}
