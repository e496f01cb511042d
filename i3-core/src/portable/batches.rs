//! Gathers operations on their way into a target.

use super::filling::overtaken;
use crate::store::{Batch, Body, Digest, Draft, Key, Op, Outcome, Store, StoreError, StoreErrorKind, limits};

/// Commits as many operations at once as a batch takes.
pub(super) struct Batches<'a> {
    store: &'a dyn Store,
    ops: Vec<Op>,
    /// For each operation, the link that an appended entry must get.
    links: Vec<Option<(u64, Digest)>>,
    bytes: usize,
}

impl<'a> Batches<'a> {
    pub(super) fn into(store: &'a dyn Store) -> Self {
        Self { store, ops: Vec::new(), links: Vec::new(), bytes: 0 }
    }

    pub(super) async fn create(&mut self, draft: Draft) -> Result<(), StoreError> {
        let bytes = draft.body().as_str().len();
        self.push(Op::Create(draft), None, bytes).await
    }

    /// An operation without a body.
    pub(super) async fn op(&mut self, op: Op) -> Result<(), StoreError> {
        let bytes = match &op {
            Op::Create(draft) | Op::Replace { with: draft, .. } => draft.body().as_str().len(),
            _ => 0,
        };
        self.push(op, None, bytes).await
    }

    /// An entry that must get this position and link.
    pub(super) async fn append(
        &mut self,
        stream: &Key,
        position: u64,
        link: Digest,
        body: Body,
    ) -> Result<(), StoreError> {
        let bytes = body.as_str().len();
        self.push(Op::Append { stream: stream.clone(), body }, Some((position, link)), bytes).await
    }

    async fn push(&mut self, op: Op, link: Option<(u64, Digest)>, bytes: usize) -> Result<(), StoreError> {
        if self.ops.len() == limits::BATCH_OPS || self.bytes.saturating_add(bytes) > limits::BATCH_BYTES {
            self.flush().await?;
        }
        self.ops.push(op);
        self.links.push(link);
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }

    /// Commits what has been gathered.
    pub(super) async fn flush(&mut self) -> Result<(), StoreError> {
        if self.ops.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let batch = Batch::of(std::mem::take(&mut self.ops)).map_err(|error| {
            StoreError::new(StoreErrorKind::Corrupt, "what is to be stored makes no batch").with_source(error)
        })?;
        let links = std::mem::take(&mut self.links);
        let receipt = self.store.commit(&batch).await.map_err(overtaken)?;
        for ((op, wanted), outcome) in batch.ops().iter().zip(links).zip(receipt.outcomes) {
            let Some((position, link)) = wanted else { continue };
            if outcome != (Outcome::Appended { position, link }) {
                let message = format!("{}: entry {position} does not follow from those before it", op.key());
                return Err(StoreError::new(StoreErrorKind::Corrupt, message));
            }
        }
        Ok(())
    }
}
