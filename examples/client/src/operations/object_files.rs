//! Files that come with virtual objects.

use bytes::Bytes;
use hyper::header::{ETAG, HeaderMap};
use i3_core::id::VirtualObjectId;
use i3_core::market::WhichVersion;
use i3_core::store::Digest;
use i3_core::virtual_object::{FileName, MediaType};

use super::VirtualObject;
use crate::request::with_query;
use crate::{Change, Client, Query};

fn place(object: VirtualObjectId, name: &FileName) -> String {
    format!("/virtual_objects/{object}/files/{}", name.percent_encoded())
}

/// The bytes, if they have the hash that the entity tag says.
fn checked(headers: &HeaderMap, body: &[u8]) -> Result<Bytes, String> {
    let tag = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default();
    if tag.trim_matches('"') == Digest::of(body).to_string() {
        Ok(Bytes::copy_from_slice(body))
    } else {
        Err("the bytes are not those of the file: they have another hash".to_owned())
    }
}

impl Client {
    /// Attaches a file to a virtual object, in place of one of the same name. The bytes have to be what the media type
    /// says.
    pub fn attach_virtual_object_file(
        &self,
        object: VirtualObjectId,
        name: &FileName,
        media_type: MediaType,
        bytes: impl Into<Bytes>,
    ) -> Change<VirtualObject> {
        self.put_bytes(place(object, name), media_type.as_str(), bytes.into())
    }

    /// The bytes of a file of a virtual object, or of an earlier version of one; they have the hash that the server says.
    pub fn download_virtual_object_file(
        &self,
        object: VirtualObjectId,
        name: &FileName,
        version: Option<WhichVersion>,
    ) -> Query<Bytes> {
        let version = version.map(|which| match which {
            WhichVersion::Number(number) => ("version", number.to_string()),
            WhichVersion::Hash(hash) => ("version", hash.to_string()),
        });
        self.get::<()>(with_query(&place(object, name), version)).read_by(checked)
    }

    /// Leaves a file out of a virtual object from now on; earlier versions keep it.
    pub fn detach_virtual_object_file(
        &self,
        object: VirtualObjectId,
        name: &FileName,
    ) -> Change<VirtualObject> {
        self.delete(place(object, name))
    }

    /// Lets go of the bytes of a file that only earlier versions of a virtual object have.
    pub fn purge_virtual_object_file(
        &self,
        object: VirtualObjectId,
        sha256: Digest,
    ) -> Change<VirtualObject> {
        self.delete(format!("/virtual_objects/{object}/kept-files/{sha256}"))
    }
}
