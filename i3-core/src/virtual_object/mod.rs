//! Virtual objects: what digital counterparts of things say of themselves (paper 2, sections 2 and 5.3).
//!
//! An object is a record, [`VirtualObject`], and its [`Content`]: title, model, protocols, data attributes, methods,
//! addresses and so on. Each content has a number in its object and a [hash](ContentHash); all that an object ever said
//! is kept under its hash. What everybody sees is the public version; the newest one may be ahead of it, as a draft or
//! awaiting review. Commands on objects are in [`market`](crate::market).
//!
//! | collection | what |
//! |---|---|
//! | `virtual_objects` | the objects, with indexes of those that are public |
//! | `object_versions` | number, hash, time and author of every content |
//! | `object_contents` | contents, by object and hash |
//! | `object_listings` | public objects by tag, platform and protocol |
//! | `product_objects` | which object a product belongs to |
//! | `files` | the bytes of attached files, once for each content |
//! | `file_holds` | which objects keep which of them |
//! | `file_chunks` | the bytes, in chunks |
//! | `file_uploads` | chunks that belong to no file: not yet, or not any more |

/// Text in and out for types that are one: shown, stored and sent as it, and read only if it is right.
macro_rules! text_forms {
    ($($name:ident),*) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(self.as_str(), f)
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow::<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

mod bytes;
mod class;
mod content;
mod file;
mod interface;
mod listing;
mod object;
mod place;
mod protocol;
mod thing;

pub use bytes::{FileChunk, FileChunkId, FileHold, FileHoldId, FileUpload, StoredFile, UploadState};
pub use class::{ClassIri, InvalidClassIri};
pub use content::{Content, ContentHash, InvalidContent, InvalidContentHash, ObjectKind};
pub use file::{
    File, FileLimits, FileName, Inspection, InvalidFileName, InvalidMediaType, MediaType, WrongFileType,
};
pub use interface::{DataField, DataType, InvalidUnit, Method, Output, Unit};
pub use listing::{Heading, Listing, ListingId};
pub use object::{
    ObjectContent, ObjectContentId, ObjectState, ObjectVersion, ObjectVersionId, ProductObject,
    PublicVersion, VirtualObject,
};
pub use place::{InvalidDegrees, Latitude, Location, Longitude, Point};
pub use protocol::{InvalidProtocol, InvalidResourceUri, OtherProtocol, Protocol, ResourceUri};
pub use thing::{InvalidTermsPatch, TermsPatch, ThingTerms};

#[cfg(test)]
mod tests;
