//! The bytes of files on their way into the store and out of it.

use std::fmt;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::Refusal;
use super::queries::WhichVersion;
use crate::access::{Action, Actor, Resource};
use crate::id::{TypedId, UploadId, VirtualObjectId};
use crate::market::{MarketError, Marketplace};
use crate::store::{
    Batch, Cell, CommitError, Digest, Entity, Op, Outcome, Row, Scan, StoreError, StoreErrorKind, StoreExt,
    Version, Versioned,
};
use crate::virtual_object::{
    Content, File, FileChunk, FileChunkId, FileHold, FileHoldId, FileName, FileUpload, Inspection, MediaType,
    StoredFile, UploadState, VirtualObject,
};

/// How many chunks are committed together: with one sync, and held in memory meanwhile.
const CHUNKS: usize = 8;
/// How often chunks are committed again after a conflict.
const ATTEMPTS: usize = 8;
/// How long an upload may take, and wait to be attached.
const LONGEST: Duration = Duration::from_hours(1);

/// Bytes that are all there, and are what they are said to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeFile {
    /// Where they are, for [`AttachFile`](super::AttachFile).
    pub upload: UploadId,
    /// How many.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: Digest,
}

/// Takes the bytes of a file for an object as they come, and stores them in chunks.
///
/// Holds less than a megabyte in memory, a JSON document excepted, which it keeps until it has seen the end. What is not
/// finished, or finished and not attached, is never served; [`discard_upload`](Marketplace::discard_upload) removes it,
/// or, an hour later, [`sweep_files`](Marketplace::sweep_files).
pub struct FileWriter {
    market: Marketplace,
    upload: FileUpload,
    /// Of the upload's record, once it is there.
    version: Option<Version>,
    inspection: Inspection,
    most: u64,
    taken: u64,
    rest: Vec<u8>,
    number: u32,
}

impl fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileWriter({}, {} bytes)", self.upload.id, self.taken)
    }
}

fn unfit(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, "a part of a file cannot be stored").with_source(error)
}

impl FileWriter {
    /// What [`Marketplace::discard_upload`] takes.
    pub fn upload(&self) -> UploadId {
        self.upload.id
    }

    /// The next bytes. After an error nothing more is to be written.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), MarketError> {
        self.taken = self.taken.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if self.taken > self.most {
            return Err(Refusal::FileTooLarge { most: self.most }.into());
        }
        self.inspection.take(bytes).map_err(Refusal::from)?;
        loop {
            let room = (CHUNKS * FileChunk::BYTES).saturating_sub(self.rest.len());
            let Some((now, later)) = bytes.split_at_checked(room) else {
                self.rest.extend_from_slice(bytes);
                return Ok(());
            };
            self.rest.extend_from_slice(now);
            self.store(UploadState::Coming).await?;
            bytes = later;
        }
    }

    /// All bytes were written.
    pub async fn finish(mut self) -> Result<WholeFile, MarketError> {
        let inspection = std::mem::replace(&mut self.inspection, Inspection::of(MediaType::OctetStream));
        let (bytes, sha256) = inspection.end().map_err(Refusal::from)?;
        self.store(UploadState::Whole { bytes, sha256 }).await?;
        Ok(WholeFile { upload: self.upload.id, bytes, sha256 })
    }

    /// Commits the chunks that are held, and with them how far the upload is.
    async fn store(&mut self, state: UploadState) -> Result<(), MarketError> {
        let is_new = self.upload.state != state;
        self.upload.state = state;
        let mut ops = vec![match self.version {
            None => Op::Create(self.upload.draft()?),
            Some(expect) if is_new => Op::Replace { expect, with: self.upload.draft()? },
            // Nobody has given the upload up meanwhile: no chunk comes after it was swept.
            Some(expect) => Op::Require { key: FileUpload::key(&self.upload.id)?, expect },
        }];
        for bytes in self.rest.chunks(FileChunk::BYTES) {
            let chunk = FileChunk { upload: self.upload.id, number: self.number, bytes: bytes.to_vec() };
            ops.push(Op::Create(chunk.draft()?));
            self.number = self.number.saturating_add(1);
        }
        let mut tries = 0;
        let outcomes = loop {
            match self.market.commit_bytes(ops.clone()).await {
                // Somebody else's commit came first, and it was not about this upload.
                Err(MarketError::Conflict) if tries < ATTEMPTS && self.is_as_known().await? => tries += 1,
                other => break other?,
            }
        };
        if let Some(Outcome::Written(version)) = outcomes.first() {
            self.version = Some(*version);
        }
        self.rest.clear();
        Ok(())
    }

    /// Whether the upload's record is as this writer left it.
    async fn is_as_known(&self) -> Result<bool, MarketError> {
        let found = self.market.store.get::<FileUpload>(&self.upload.id).await?;
        Ok(found.map(|found| found.version) == self.version)
    }
}

/// Gives the bytes of a file, chunk by chunk.
pub struct FileReader {
    market: Marketplace,
    file: File,
    stored: StoredFile,
    number: u32,
    given: u64,
    hash: Sha256,
    /// The first bytes, read already.
    first: Option<Vec<u8>>,
}

impl fmt::Debug for FileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileReader({}, {} of {} bytes)", self.stored.sha256, self.given, self.stored.bytes)
    }
}

impl FileReader {
    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The next bytes; `None` at the end. The last ones come only if all together have the file's hash: who has as many
    /// bytes as the file is long has the file. A file that is purged meanwhile ends with an error.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        match self.first.take() {
            None => self.read().await,
            first => Ok(first),
        }
    }

    async fn read(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        if self.given >= self.stored.bytes {
            return Ok(None);
        }
        let corrupt = |what: &str| {
            let message = format!("the bytes of the file {} are {what}", self.stored.sha256);
            StoreError::new(StoreErrorKind::Corrupt, message)
        };
        let id = FileChunkId { upload: self.stored.upload, number: self.number };
        let chunk = self.market.store.get::<FileChunk>(&id).await?;
        let chunk = chunk.ok_or_else(|| corrupt("not whole"))?.entity;
        self.hash.update(&chunk.bytes);
        let given = self.given.saturating_add(u64::try_from(chunk.bytes.len()).unwrap_or(u64::MAX));
        let is_all = given >= self.stored.bytes;
        let is_right = || <[u8; 32]>::from(self.hash.clone().finalize()) == *self.stored.sha256.as_bytes();
        if chunk.bytes.is_empty() || is_all && !(given == self.stored.bytes && is_right()) {
            return Err(corrupt("others"));
        }
        self.given = given;
        self.number = self.number.saturating_add(1);
        Ok(Some(chunk.bytes))
    }
}

impl Marketplace {
    /// Begins to take the bytes of a file for an object that the actor may edit. `announced`: how many there will be,
    /// if that is known.
    pub async fn write_file(
        &self,
        actor: Actor,
        object: VirtualObjectId,
        media_type: MediaType,
        announced: Option<u64>,
    ) -> Result<FileWriter, MarketError> {
        self.check_editable(actor, object).await?;
        let most = self.settings.files.file_bytes;
        if announced.is_some_and(|bytes| bytes > most) {
            return Err(Refusal::FileTooLarge { most }.into());
        }
        let begun = self.clock.now();
        let id = self.ids.fresh(begun).map_err(|error| {
            StoreError::new(StoreErrorKind::Unavailable, "no fresh id can be made").with_source(error)
        })?;
        let upload =
            FileUpload { id: UploadId::from_bits(id), object, media_type, begun, state: UploadState::Coming };
        Ok(FileWriter {
            market: self.clone(),
            upload,
            version: None,
            inspection: Inspection::of(media_type),
            most,
            taken: 0,
            rest: Vec::new(),
            number: 0,
        })
    }

    /// As the command says that will attach it, before bytes are taken from just anybody.
    async fn check_editable(&self, actor: Actor, id: VirtualObjectId) -> Result<(), MarketError> {
        let object: VirtualObject = self.entity(&id, "virtual object").await?;
        let hub_role = match object.hub {
            Some(hub) => self.hub_role(actor, hub).await?,
            None => None,
        };
        let resource = Resource { owner: Some(object.owner), hub_role };
        let Err(error) = self.authorize(actor, Action::EditVirtualObject, &resource).await else {
            return Ok(());
        };
        if !matches!(error, MarketError::Refused(_)) {
            return Err(error);
        }
        // Who sees it is told what is missing, others that there is none.
        self.object(actor, id).await?;
        Err(error)
    }

    /// A file of what the actor sees of an object: of the content that [`object`](Self::object) shows, or of the one
    /// that [`object_version`](Self::object_version) shows.
    pub async fn read_file(
        &self,
        actor: Actor,
        object: VirtualObjectId,
        version: Option<WhichVersion>,
        name: &FileName,
    ) -> Result<FileReader, MarketError> {
        let content: Content = match version {
            None => self.object(actor, object).await?.content,
            Some(which) => self.object_version(actor, object, which).await?.content,
        };
        let file = content.files.into_iter().find(|file| file.name == *name);
        let file = file.ok_or(Refusal::NotFound { what: "file" })?;
        // Others' bytes are no business of this object's, also if they are the same.
        let hold = FileHold::key(&FileHoldId { sha256: file.sha256, object })?;
        let key = StoredFile::key(&file.sha256)?;
        let cells = self.store.read(&[hold, key.clone()]).await?;
        let [Some(Cell::Record { .. }), Some(Cell::Record { body, .. })] = cells.as_slice() else {
            return Err(Refusal::FileGone.into());
        };
        let stored = StoredFile::from_body(&key, body)?;
        let (market, hash) = (self.clone(), Sha256::new());
        let mut reader = FileReader { market, file, stored, number: 0, given: 0, hash, first: None };
        match reader.read().await {
            Ok(first) => {
                reader.first = first;
                Ok(reader)
            }
            // It was purged since.
            Err(_) if self.store.get::<StoredFile>(&reader.stored.sha256).await?.is_none() => {
                Err(Refusal::FileGone.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what was written of an upload that is not attached. One that is attached, or gone, is left alone.
    pub async fn discard_upload(&self, upload: UploadId) -> Result<(), MarketError> {
        for _ in 0..ATTEMPTS {
            let Some(found) = self.store.get::<FileUpload>(&upload).await? else { return Ok(()) };
            match self.clear(found).await {
                Err(MarketError::Conflict) => {}
                other => return other,
            }
        }
        Err(MarketError::Conflict)
    }

    /// Removes chunks that belong to no file: what others let go of, and uploads that were begun more than an hour ago.
    /// Returns how many uploads were removed. To be called when a program starts and now and then.
    pub async fn sweep_files(&self) -> Result<u64, MarketError> {
        let latest = self.clock.now().minus(LONGEST);
        let mut removed = 0;
        let mut scan = Scan::ids(FileUpload::collection());
        loop {
            let page = self.store.scan(&scan).await?;
            for row in page.rows {
                let Row::Record { key, version, body } = row else { continue };
                let entity = FileUpload::from_body(&key, &body)?;
                if entity.state == UploadState::Waste || entity.begun < latest {
                    match self.clear(Versioned { entity, version }).await {
                        Ok(()) => removed += 1,
                        // Somebody else is at it, or has just attached it.
                        Err(MarketError::Conflict) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            let Some(next) = page.next else { return Ok(removed) };
            scan = scan.after(next).map_err(unfit)?;
        }
    }

    /// Removes the chunks of an upload, and then its record; a conflict if somebody else is at it.
    async fn clear(&self, found: Versioned<FileUpload>) -> Result<(), MarketError> {
        let Versioned { entity: upload, mut version } = found;
        let id = upload.id;
        if upload.state != UploadState::Waste {
            // Whoever still writes to it finds another version than it knows.
            let waste = FileUpload { state: UploadState::Waste, ..upload };
            let marked =
                self.commit_bytes(vec![Op::Replace { expect: version, with: waste.draft()? }]).await?;
            if let Some(Outcome::Written(now)) = marked.first() {
                version = *now;
            }
        }
        loop {
            let page = self
                .store
                .scan(&Scan::prefix(FileChunk::collection(), format!("{id}:")).limit(CHUNKS))
                .await?;
            let removals = page.rows.into_iter().filter_map(|row| match row {
                Row::Record { key, version, .. } => Some(Op::Remove { key, expect: version }),
                _ => None,
            });
            let mut ops: Vec<Op> = removals.collect();
            let is_last = page.next.is_none();
            if is_last {
                ops.push(Op::Remove { key: FileUpload::key(&id)?, expect: version });
            }
            self.commit_bytes(ops).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    async fn commit_bytes(&self, ops: Vec<Op>) -> Result<Vec<Outcome>, MarketError> {
        let batch = Batch::of(ops).map_err(unfit)?;
        match self.store.commit(&batch).await {
            Ok(receipt) => Ok(receipt.outcomes),
            Err(CommitError::Stale { .. }) => Err(MarketError::Conflict),
            Err(CommitError::Store(error)) => Err(error.into()),
            Err(error) => Err(unfit(error.to_string()).into()),
        }
    }
}
