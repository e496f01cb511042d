//! Attaching files to objects, and letting go of them.
//!
//! A command is about the description of a file, which is part of what an object says; the bytes are there before, as
//! an upload (see [`FileWriter`](super::FileWriter)). The audit log has descriptions and hashes, never bytes: a replay
//! brings the former back, and files without bytes.

use serde::{Deserialize, Serialize};

use super::change::{Change, managed};
use super::commands::revise;
use super::{ObjectView, Refusal};
use crate::access::Action;
use crate::id::{UploadId, VirtualObjectId};
use crate::market::{Command, Context, Decided};
use crate::store::{Digest, Entity, Halt, Tx};
use crate::virtual_object::{
    File, FileHold, FileHoldId, FileName, FileUpload, ObjectContent, ObjectContentId, StoredFile,
    UploadState, VirtualObject,
};

/// Attaches a file to an object, in place of one of the same name if there is one. What becomes of the object's content
/// is as with [`EditObject`](super::EditObject).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttachFile {
    /// To which.
    pub object: VirtualObjectId,
    /// The file. Hash and length are those of the upload, and the media type the one it was looked at as.
    pub file: File,
    /// The revision that the actor saw; whichever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<u32>,
    /// Where the bytes are. Not part of what is asked: who asks again sends the bytes again.
    #[serde(skip)]
    pub upload: Option<UploadId>,
}

impl Command for AttachFile {
    type Done = ObjectView;
    const NAME: &'static str = "attach_file";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<ObjectView> {
        let mut change = managed(context, self.object, &[Action::EditVirtualObject], self.expect)?;
        let mut content = change.content(context)?;
        content.files.retain(|file| file.name != self.file.name);
        content.files.push(self.file.clone());
        content.files.sort_by(|one, other| one.name.cmp(&other.name));
        content.check().map_err(|error| Halt::Refused(error.into()))?;
        let limits = context.settings().files;
        if self.file.bytes > limits.file_bytes {
            return Err(Halt::Refused(Refusal::FileTooLarge { most: limits.file_bytes }));
        }
        let kept = &mut change.object.kept_files;
        kept.insert(self.file.sha256, self.file.bytes);
        let together = kept.values().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
        if kept.len() > VirtualObject::MAX_FILES || together > limits.object_bytes {
            let (files, most) = (VirtualObject::MAX_FILES, limits.object_bytes);
            return Err(Halt::Refused(Refusal::TooManyFiles { files, most }));
        }
        if !context.is_replayed() {
            hold(context, self)?;
        }
        revise(change, context, content)
    }

    fn keep(done: &ObjectView) -> serde_json::Result<serde_json::Value> {
        done.keep()
    }

    fn answer_again(kept: serde_json::Value, tx: &mut Tx<'_, Refusal>) -> Decided<ObjectView> {
        ObjectView::again(kept, tx)
    }
}

/// The upload's bytes become a stored file that the object keeps; or waste, if they are stored already.
fn hold(context: &mut Context<'_, '_>, command: &AttachFile) -> Decided<()> {
    let AttachFile { object, file, upload, .. } = command;
    let missing = || Halt::Refused(Refusal::NotFound { what: "upload" });
    let upload = upload.ok_or_else(missing)?;
    let id = FileHoldId { sha256: file.sha256, object: *object };
    let keys = [FileUpload::key(&upload)?, StoredFile::key(&file.sha256)?, FileHold::key(&id)?];
    context.tx.want(keys)?;
    let sent: FileUpload = context.tx.get(&upload)?.ok_or_else(missing)?;
    let whole = UploadState::Whole { bytes: file.bytes, sha256: file.sha256 };
    if sent.state != whole || sent.object != *object || sent.media_type != file.media_type {
        return Err(missing());
    }
    let is_held = context.tx.get::<FileHold>(&id)?.is_some();
    if let Some(mut stored) = context.tx.get::<StoredFile>(&file.sha256)? {
        context.tx.replace(&FileUpload { state: UploadState::Waste, ..sent })?;
        if is_held {
            return Ok(());
        }
        stored.holders = stored.holders.saturating_add(1);
        context.tx.replace(&stored)?;
    } else {
        context.tx.remove::<FileUpload>(&upload)?;
        let File { sha256, bytes, .. } = *file;
        context.tx.create(&StoredFile { sha256, bytes, upload, holders: 1 })?;
    }
    if is_held {
        return Ok(());
    }
    context.tx.create(&FileHold { sha256: file.sha256, object: *object })
}

/// Leaves a file out of what an object says from now on. Earlier versions keep it; see [`PurgeFile`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DetachFile {
    /// Of which.
    pub object: VirtualObjectId,
    /// The file.
    pub name: FileName,
    /// The revision that the actor saw; whichever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<u32>,
}

impl Command for DetachFile {
    type Done = ObjectView;
    const NAME: &'static str = "detach_file";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<ObjectView> {
        let change = managed(context, self.object, &[Action::EditVirtualObject], self.expect)?;
        let mut content = change.content(context)?;
        let before = content.files.len();
        content.files.retain(|file| file.name != self.name);
        if content.files.len() == before {
            return Err(Halt::Refused(Refusal::NotFound { what: "file" }));
        }
        revise(change, context, content)
    }

    fn keep(done: &ObjectView) -> serde_json::Result<serde_json::Value> {
        done.keep()
    }

    fn answer_again(kept: serde_json::Value, tx: &mut Tx<'_, Refusal>) -> Decided<ObjectView> {
        ObjectView::again(kept, tx)
    }
}

/// Lets go of the bytes of a file that only earlier versions of an object have. These go on to name it. Others who keep
/// a file with the same bytes keep it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PurgeFile {
    /// Of which.
    pub object: VirtualObjectId,
    /// The SHA-256 of the bytes.
    pub sha256: Digest,
    /// The revision that the actor saw; whichever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<u32>,
}

impl Command for PurgeFile {
    type Done = ObjectView;
    const NAME: &'static str = "purge_file";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<ObjectView> {
        let mut change = managed(context, self.object, &[Action::EditVirtualObject], self.expect)?;
        let content = change.content(context)?;
        let mut named = content.files.iter().any(|file| file.sha256 == self.sha256);
        if let Some(public) = &change.object.public {
            let id = ObjectContentId { object: self.object, hash: public.content };
            let public = context.tx.get::<ObjectContent>(&id)?;
            named |=
                public.is_some_and(|seen| seen.content.files.iter().any(|file| file.sha256 == self.sha256));
        }
        if named {
            return Err(Halt::Refused(Refusal::WrongState { what: "file", state: "attached" }));
        }
        if change.object.kept_files.remove(&self.sha256).is_none() {
            return Err(Halt::Refused(Refusal::NotFound { what: "file" }));
        }
        release(context, self.object, self.sha256)?;
        change.finish(context, content)
    }

    fn keep(done: &ObjectView) -> serde_json::Result<serde_json::Value> {
        done.keep()
    }

    fn answer_again(kept: serde_json::Value, tx: &mut Tx<'_, Refusal>) -> Decided<ObjectView> {
        ObjectView::again(kept, tx)
    }
}

/// Lets go of all files of an object.
pub(super) fn release_all(change: &mut Change, context: &mut Context<'_, '_>) -> Decided<()> {
    for sha256 in std::mem::take(&mut change.object.kept_files).into_keys() {
        release(context, change.object.id, sha256)?;
    }
    Ok(())
}

/// The object keeps these bytes no more; if it was the last one they are waste.
fn release(context: &mut Context<'_, '_>, object: VirtualObjectId, sha256: Digest) -> Decided<()> {
    if context.is_replayed() {
        return Ok(());
    }
    let id = FileHoldId { sha256, object };
    context.tx.want([FileHold::key(&id)?, StoredFile::key(&sha256)?])?;
    // An object that came from a log has none.
    if context.tx.get::<FileHold>(&id)?.is_none() {
        return Ok(());
    }
    context.tx.remove::<FileHold>(&id)?;
    let Some(mut stored) = context.tx.get::<StoredFile>(&sha256)? else { return Ok(()) };
    stored.holders = stored.holders.saturating_sub(1);
    if stored.holders > 0 {
        return context.tx.replace(&stored);
    }
    context.tx.remove::<StoredFile>(&sha256)?;
    let begun = context.tx.now();
    let media_type = crate::virtual_object::MediaType::OctetStream;
    context.tx.create(&FileUpload { id: stored.upload, object, media_type, begun, state: UploadState::Waste })
}
