//! The mark of a store that is being filled.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Contents, PortError, refuse_unless_empty};
use crate::store::{
    BatchBuilder, Collection, CommitError, Entity, Key, Kind, Op, Store, StoreError, StoreErrorKind,
    StoreExt, Value,
};

/// How a store is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FillingKind {
    /// From another store.
    Copy,
    /// From an export.
    Import,
    /// From an audit log.
    Replay,
}

impl fmt::Display for FillingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Copy => "a copy",
            Self::Import => "an import",
            Self::Replay => "a replay",
        })
    }
}

/// The mark: there while a store is being filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filling {
    /// How it is filled.
    pub how: FillingKind,
}

/// Where the mark is.
pub(crate) static FILLINGS: Collection = Collection {
    name: "fillings",
    kind: Kind::Records,
    about: "there while the store is being filled by a copy, import or replay that is not finished",
    columns: &[],
    indexes: &[],
};

impl Entity for Filling {
    type Id = &'static str;

    fn collection() -> &'static Collection {
        &FILLINGS
    }

    fn id(&self) -> &'static str {
        "store"
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

/// Refuses a store that is being filled, or was and is not finished.
pub async fn refuse_unfinished(store: &dyn Store) -> Result<(), StoreError> {
    match store.get::<Filling>(&"store").await? {
        None => Ok(()),
        Some(found) => {
            let message = format!(
                "the store was being filled by {} that is not finished: run it again to finish, or delete the store",
                found.entity.how
            );
            Err(StoreError::new(StoreErrorKind::Unfinished, message))
        }
    }
}

/// Begins to fill a store, or goes on if that was begun in the same way. The store is empty before.
pub(crate) async fn begin(
    store: &dyn Store,
    contents: &Contents,
    how: FillingKind,
) -> Result<bool, PortError> {
    store.prepare(contents.schema()).await?;
    if let Some(found) = store.get::<Filling>(&"store").await? {
        return match found.entity.how {
            same if same == how && how != FillingKind::Import => Ok(true),
            how => Err(PortError::Unfinished { how }),
        };
    }
    refuse_unless_empty(store, contents).await?;
    commit(store, Op::Create(Filling { how }.draft()?)).await?;
    Ok(false)
}

/// The store holds all that it shall.
pub(crate) async fn finish(store: &dyn Store) -> Result<(), PortError> {
    if let Some(found) = store.get::<Filling>(&"store").await? {
        let key: Key = Filling::key(&"store")?;
        commit(store, Op::Remove { key, expect: found.version }).await?;
    }
    Ok(())
}

async fn commit(store: &dyn Store, op: Op) -> Result<(), PortError> {
    let batch = BatchBuilder::new().op(op).build().map_err(|error| {
        StoreError::new(StoreErrorKind::Unsupported, "the mark cannot be set").with_source(error)
    })?;
    store.commit(&batch).await.map_err(overtaken)?;
    Ok(())
}

/// Somebody else writes to a target.
pub(super) fn overtaken(error: CommitError) -> StoreError {
    match error {
        CommitError::Store(error) => error,
        other => {
            StoreError::new(StoreErrorKind::Busy, "somebody else writes to the target").with_source(other)
        }
    }
}
