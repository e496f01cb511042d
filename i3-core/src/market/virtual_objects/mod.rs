//! Commands on virtual objects, and what people see of them.
//!
//! An object moves so; what is not in the table is refused with the state that it is in:
//!
//! | from \ to | draft | submitted | published | deprecated | removed |
//! |---|---|---|---|---|---|
//! | draft | edit or publish: what is public is taken back, if anything is | edit | publish | | delete |
//! | submitted | edit or publish: sent back | | publish | | delete |
//! | published | edit or publish: taken back | | | edit | delete |
//! | deprecated | edit or publish: taken back | | edit | | delete |
//! | removed | | | | | |
//!
//! The words are the permissions (`virtual_object:edit` and so on). With [`Publishing::Direct`] `edit` is enough where
//! the table says publish, and to submit is to publish. With [`Publishing::Review`] a change of a published object
//! leaves the public version as it is until the next review; the object is a draft meanwhile.

mod bytes;
mod change;
mod commands;
mod files;
mod moves;
mod ordered;
mod queries;

pub use bytes::{FileReader, FileWriter, WholeFile};
pub use commands::{AmendObject, CreateObject, EditObject, LinkProduct};
pub use files::{AttachFile, DetachFile, PurgeFile};
pub use moves::MoveObject;
pub use ordered::OrderedObject;
pub use queries::{ObjectFilter, ObjectOrder, SeenObject, VersionView, WhichVersion};

use serde::{Deserialize, Serialize};

#[expect(unused_imports, reason = "named in the documentation of this module")]
use super::Publishing;
use super::command::unreadable;
use super::{Decided, Refusal};
use crate::store::{Halt, StoreError, StoreErrorKind, Tx};
use crate::virtual_object::{Content, ObjectContent, ObjectContentId, VirtualObject};

const MISSING: Refusal = Refusal::NotFound { what: "virtual object" };

/// An object with a content of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectView {
    /// The object.
    pub object: VirtualObject,
    /// The content whose hash the object names.
    pub content: Content,
}

impl ObjectView {
    /// What an answer keeps: contents are there by their hashes.
    fn keep(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(&self.object)
    }

    /// The answer again.
    fn again(kept: serde_json::Value, tx: &mut Tx<'_, Refusal>) -> Decided<Self> {
        let object: VirtualObject = serde_json::from_value(kept).map_err(unreadable)?;
        let content = content_of(tx, &object)?.content;
        Ok(Self { object, content })
    }
}

/// The newest content of an object.
fn content_of(tx: &mut Tx<'_, Refusal>, object: &VirtualObject) -> Decided<ObjectContent> {
    let id = ObjectContentId { object: object.id, hash: object.content };
    match tx.get(&id)? {
        Some(content) => Ok(content),
        None => Err(Halt::Failed(lost(&id))),
    }
}

/// A content is missing that an object names.
fn lost(id: &ObjectContentId) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, format!("the content {id} is missing"))
}
