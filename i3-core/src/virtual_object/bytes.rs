//! The bytes of attached files, as they are stored.
//!
//! Bytes come in an upload: its record says so before, or together with, its first chunk. When all are there the
//! upload becomes a stored file, in the batch that attaches it, or, if these bytes are stored already, waste. When the
//! last object lets go of a file, its chunks become waste too. So chunks are either of a stored file or of an upload
//! that is found by its record, whatever was interrupted when.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::MediaType;
use crate::id::{UploadId, VirtualObjectId};
use crate::store::{Collection, Digest, Entity, Kind, Value};
use crate::time::Timestamp;

/// Some of the bytes of an upload.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChunk {
    /// Of which upload.
    pub upload: UploadId,
    /// Which of its chunks: dense, from 0.
    pub number: u32,
    /// The bytes: [`FileChunk::BYTES`], in the last chunk perhaps fewer. In JSON as base64.
    #[serde(serialize_with = "in_base64", deserialize_with = "from_base64")]
    pub bytes: Vec<u8>,
}

/// Without the bytes.
impl fmt::Debug for FileChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileChunk({}, {} bytes)", self.id(), self.bytes.len())
    }
}

impl FileChunk {
    /// The bytes of a chunk. In base64, with its name, it fits into a [body](crate::store::limits::BODY_BYTES).
    pub const BYTES: usize = 44 * 1024;
}

fn in_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&data_encoding::BASE64.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    data_encoding::BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)
}

/// Names a [`FileChunk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileChunkId {
    /// Of which upload.
    pub upload: UploadId,
    /// Which of its chunks.
    pub number: u32,
}

impl fmt::Display for FileChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:010}", self.upload, self.number)
    }
}

static CHUNKS: Collection = Collection {
    name: "file_chunks",
    kind: Kind::Records,
    about: "bytes of files, in chunks",
    columns: &[],
    indexes: &[],
};

impl Entity for FileChunk {
    type Id = FileChunkId;

    fn collection() -> &'static Collection {
        &CHUNKS
    }

    fn id(&self) -> FileChunkId {
        FileChunkId { upload: self.upload, number: self.number }
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

/// How far an upload is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum UploadState {
    /// Bytes are coming.
    Coming,
    /// All bytes are there, and are what they are said to be.
    Whole {
        /// How many.
        bytes: u64,
        /// Their SHA-256.
        sha256: Digest,
    },
    /// The chunks are to be removed, and the record after them.
    Waste,
}

/// Chunks that belong to no stored file: not yet, or not any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileUpload {
    /// The id.
    pub id: UploadId,
    /// For which object.
    pub object: VirtualObjectId,
    /// What they are said to be.
    pub media_type: MediaType,
    /// When it began.
    pub begun: Timestamp,
    /// How far it is.
    #[serde(flatten)]
    pub state: UploadState,
}

static UPLOADS: Collection = Collection {
    name: "file_uploads",
    kind: Kind::Records,
    about: "chunks that belong to no file: not yet, or not any more",
    columns: &[],
    indexes: &[],
};

impl Entity for FileUpload {
    type Id = UploadId;

    fn collection() -> &'static Collection {
        &UPLOADS
    }

    fn id(&self) -> UploadId {
        self.id
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

/// The bytes that have this hash. Kept once, however many objects have a file with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// The SHA-256 of the bytes.
    pub sha256: Digest,
    /// How many bytes.
    pub bytes: u64,
    /// The upload whose chunks they are.
    pub upload: UploadId,
    /// How many objects keep it: there are as many [`FileHold`]s.
    pub holders: u64,
}

static FILES: Collection = Collection {
    name: "files",
    kind: Kind::Records,
    about: "the bytes of attached files, once for each content",
    columns: &[],
    indexes: &[],
};

impl Entity for StoredFile {
    type Id = Digest;

    fn collection() -> &'static Collection {
        &FILES
    }

    fn id(&self) -> Digest {
        self.sha256
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

/// An object keeps a stored file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHold {
    /// The file.
    pub sha256: Digest,
    /// The object.
    pub object: VirtualObjectId,
}

/// Names a [`FileHold`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileHoldId {
    /// The file.
    pub sha256: Digest,
    /// The object.
    pub object: VirtualObjectId,
}

impl fmt::Display for FileHoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sha256, self.object)
    }
}

static HOLDS: Collection = Collection {
    name: "file_holds",
    kind: Kind::Records,
    about: "which objects keep which files",
    columns: &[],
    indexes: &[],
};

impl Entity for FileHold {
    type Id = FileHoldId;

    fn collection() -> &'static Collection {
        &HOLDS
    }

    fn id(&self) -> FileHoldId {
        FileHoldId { sha256: self.sha256, object: self.object }
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}
