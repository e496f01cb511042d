//! Virtual objects: sharing, finding by list, changing, reviewing.

use i3_core::id::{HubId, ProductId, UserId, VirtualObjectId};
use i3_core::market::WhichVersion;
use i3_core::name::{Prose, Slug, Term};
use i3_core::time::Timestamp;
use i3_core::virtual_object::{Content, ContentHash, ObjectKind, ObjectState, ObjectVersion, Protocol};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Change, Client, Pages, Query};

/// A virtual object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VirtualObject {
    /// The id.
    pub id: VirtualObjectId,
    /// Who shares it.
    pub owner: UserId,
    /// The hub whose managers may change it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubId>,
    /// The product that delivers its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductId>,
    /// What it is in.
    pub state: ObjectState,
    /// Raised by every change of whatever kind.
    pub revision: u32,
    /// The number of this content.
    pub version: u32,
    /// The hash of this content.
    pub hash: ContentHash,
    /// The number of what everybody sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_version: Option<u32>,
    /// What the last review said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<Prose>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub content: Content,
}

/// A new virtual object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewVirtualObject {
    /// What it says.
    #[serde(flatten)]
    pub content: Content,
    /// The hub whose managers may change it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubId>,
    /// Whether it is submitted at once.
    pub submit: bool,
}

/// Which virtual objects, and in which order. The default: all that are published, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ObjectQuery {
    /// Of this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserId>,
    /// Of this hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubId>,
    /// In this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ObjectState>,
    /// Of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<ObjectKind>,
    /// In this category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Term>,
    /// In this domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Slug>,
    /// With this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<Term>,
    /// On this platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Term>,
    /// Speaking this protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// In this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<ObjectSort>,
}

/// In which order virtual objects are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectSort {
    /// What was made last comes first.
    Newest,
    /// What was made first comes first.
    Oldest,
    /// What was changed last comes first; without filters.
    Changed,
    /// By title; without filters.
    Title,
}

/// What a virtual object said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VirtualObjectVersion {
    /// The object.
    pub object: VirtualObjectId,
    /// The hash of the content.
    pub hash: ContentHash,
    /// Number, time and author, if it was asked for by its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<ObjectVersion>,
    /// The content.
    pub content: Content,
}

#[derive(Serialize)]
struct StateChange<'a> {
    state: ObjectState,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<&'a Prose>,
}

#[derive(Serialize)]
struct ProductLink {
    product: Option<ProductId>,
}

impl Client {
    /// Virtual objects, by what they are. A page may have fewer items than the limit, and still a `next`.
    pub fn list_virtual_objects(&self, query: &ObjectQuery) -> Pages<VirtualObject> {
        self.list("/virtual_objects").parameters(query)
    }

    /// Creates a virtual object.
    pub fn create_virtual_object(&self, object: &NewVirtualObject) -> Change<VirtualObject> {
        self.post("/virtual_objects", object)
    }

    /// A virtual object; a draft is seen by its owner.
    pub fn show_virtual_object(&self, object: VirtualObjectId) -> Query<VirtualObject> {
        self.get(format!("/virtual_objects/{object}"))
    }

    /// Says anew all that a virtual object says.
    pub fn replace_virtual_object(
        &self,
        object: VirtualObjectId,
        content: &Content,
    ) -> Change<VirtualObject> {
        self.put(format!("/virtual_objects/{object}"), content)
    }

    /// Changes some of what a virtual object says: a merge patch (RFC 7396).
    pub fn amend_virtual_object(
        &self,
        object: VirtualObjectId,
        patch: &Map<String, Value>,
    ) -> Change<VirtualObject> {
        self.patch(format!("/virtual_objects/{object}"), patch)
    }

    /// Removes a virtual object; its history stays with its owner.
    pub fn remove_virtual_object(&self, object: VirtualObjectId) -> Change<()> {
        self.delete(format!("/virtual_objects/{object}"))
    }

    /// Submits, publishes, deprecates or takes back a virtual object; `submitted` becomes `published` if no review is
    /// needed. The remark is what a review says to the owner when it sends the object back to `draft`.
    pub fn set_virtual_object_state(
        &self,
        object: VirtualObjectId,
        state: ObjectState,
        remark: Option<&Prose>,
    ) -> Change<VirtualObject> {
        self.put(format!("/virtual_objects/{object}/state"), &StateChange { state, remark })
    }

    /// Links a virtual object to the product that delivers its data, or to none.
    pub fn link_virtual_object(
        &self,
        object: VirtualObjectId,
        product: Option<ProductId>,
    ) -> Change<VirtualObject> {
        self.put(format!("/virtual_objects/{object}/product"), &ProductLink { product })
    }

    /// What a virtual object said before, newest first.
    pub fn list_virtual_object_versions(&self, object: VirtualObjectId) -> Pages<ObjectVersion> {
        self.list(format!("/virtual_objects/{object}/history"))
    }

    /// What it said.
    pub fn show_virtual_object_version(
        &self,
        object: VirtualObjectId,
        which: WhichVersion,
    ) -> Query<VirtualObjectVersion> {
        let which = match which {
            WhichVersion::Number(number) => number.to_string(),
            WhichVersion::Hash(hash) => hash.to_string(),
        };
        self.get(format!("/virtual_objects/{object}/versions/{which}"))
    }
}
