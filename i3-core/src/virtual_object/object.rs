//! The records of virtual objects.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Content, ContentHash, ObjectKind};
use crate::id::{HubId, ProductId, UserId, VirtualObjectId};
use crate::name::{Label, Prose, Slug, Term};
use crate::store::{Collection, Column, Digest, Entity, Index, Kind, Value, limits};
use crate::time::Timestamp;

/// What an object is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ObjectState {
    /// Its newest content is being written. An earlier one may be public.
    Draft,
    /// Its newest content awaits review. An earlier one may be public.
    Submitted,
    /// Its newest content is public.
    Published,
    /// Its newest content is public, and should be used no more.
    Deprecated,
    /// Gone, but for its history. Final.
    Removed,
}

impl ObjectState {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Draft, Self::Submitted, Self::Published, Self::Deprecated, Self::Removed];

    /// As texts and columns have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Submitted => "submitted",
            Self::Published => "published",
            Self::Deprecated => "deprecated",
            Self::Removed => "removed",
        }
    }
}

/// What everybody sees of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicVersion {
    /// The number of the content.
    pub version: u32,
    /// The content.
    pub content: ContentHash,
    /// Since when something of the object has been public without a break.
    pub since: Timestamp,
    /// Since when this content has been public.
    pub changed: Timestamp,
    /// The content's kind; here and below for lists.
    pub kind: ObjectKind,
    /// The content's title.
    pub title: Label,
    /// The content's category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Term>,
    /// The content's domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Slug>,
}

/// A virtual object: what is known of it beside its [content](Content).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Raised by every change, of whatever kind, from 1.
    pub revision: u32,
    /// The number of the newest content: raised by every change of the content, from 1.
    pub version: u32,
    /// The newest content.
    pub content: ContentHash,
    /// What everybody sees, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<PublicVersion>,
    /// How many levels of services it stands on: 0 for sensors and actuators. See [`VirtualObject::MAX_LEVEL`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub level: u8,
    /// Whether it was ever public, so that others may have it as a part.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
    /// What the last review said to the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<Prose>,
    /// The files that were attached to it and whose bytes are kept for it, with their lengths in bytes: at most
    /// [`VirtualObject::MAX_FILES`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept_files: BTreeMap<Digest, u64>,
    /// When it was created.
    pub created: Timestamp,
    /// When anything of it last changed.
    pub updated: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference to the field")]
fn is_zero(level: &u8) -> bool {
    *level == 0
}

impl VirtualObject {
    /// The highest level. A service stands one level above the highest of its parts, so that none is, through others,
    /// a part of itself; once it was public its level rises no more, so that this stays true for those that have it as
    /// a part.
    pub const MAX_LEVEL: u8 = 4;
    /// How many different files are kept for one object in all its versions.
    pub const MAX_FILES: usize = 64;

    /// The object as it is to those who may see nothing but what is public of it; `None` if nothing is.
    pub fn public_face(&self) -> Option<Self> {
        let public = self.public.as_ref().filter(|_| self.state != ObjectState::Removed)?;
        let state = match self.state {
            ObjectState::Deprecated => ObjectState::Deprecated,
            _ => ObjectState::Published,
        };
        Some(Self {
            state,
            version: public.version,
            content: public.content,
            remark: None,
            kept_files: BTreeMap::new(),
            ..self.clone()
        })
    }

    /// In which list of public objects it stands.
    fn listed(&self) -> Option<ObjectState> {
        self.public_face().map(|face| face.state)
    }
}

static OBJECTS: Collection = Collection {
    name: "virtual_objects",
    kind: Kind::Records,
    about: "digital counterparts of things, and what is public of each",
    columns: &[
        Column::text("owner"),
        Column::text("hub"),
        Column::text("state"),
        Column::int("created"),
        Column::text("listed"),
        Column::int("since"),
        Column::int("changed"),
        Column::text("title"),
        Column::text("kind"),
        Column::text("category"),
        Column::text("domain"),
    ],
    indexes: &[
        Index { name: "by_owner", columns: &["owner", "created"] },
        Index { name: "by_hub", columns: &["hub", "created"] },
        Index { name: "by_state", columns: &["state", "created"] },
        Index { name: "listed_since", columns: &["listed", "since"] },
        Index { name: "listed_changed", columns: &["listed", "changed"] },
        Index { name: "listed_title", columns: &["listed", "title"] },
        Index { name: "listed_owner", columns: &["listed", "owner", "since"] },
        Index { name: "listed_kind", columns: &["listed", "kind", "since"] },
        Index { name: "listed_category", columns: &["listed", "category", "since"] },
        Index { name: "listed_domain", columns: &["listed", "domain", "since"] },
    ],
};

impl Entity for VirtualObject {
    type Id = VirtualObjectId;

    fn collection() -> &'static Collection {
        &OBJECTS
    }

    fn id(&self) -> VirtualObjectId {
        self.id
    }

    fn values(&self) -> Vec<Option<Value>> {
        let listed = self.listed();
        let public = self.public.as_ref().filter(|_| listed.is_some());
        vec![
            Some(self.owner.to_string().into()),
            self.hub.map(|hub| hub.to_string().into()),
            Some(self.state.as_str().into()),
            Some(self.created.micros().into()),
            listed.map(|state| state.as_str().into()),
            public.map(|public| public.since.micros().into()),
            public.map(|public| public.changed.micros().into()),
            public.map(|public| title_key(&public.title).into()),
            public.map(|public| public.kind.as_str().into()),
            public.and_then(|public| public.category.as_ref()).map(|term| term.as_str().into()),
            public.and_then(|public| public.domain.as_ref()).map(|slug| slug.as_str().into()),
        ]
    }
}

/// What titles are ordered by: in lower case, as much as an index takes.
fn title_key(title: &Label) -> String {
    let mut key = String::new();
    for letter in title.as_str().chars().flat_map(char::to_lowercase) {
        if key.len() + letter.len_utf8() > limits::INDEX_TEXT_BYTES {
            break;
        }
        key.push(letter);
    }
    key
}

/// One content of an object. Never changes, but for when it became public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct ObjectVersion {
    /// The object.
    pub object: VirtualObjectId,
    /// Its number: dense, from 1.
    pub version: u32,
    /// The content.
    pub content: ContentHash,
    /// When it was written.
    pub at: Timestamp,
    /// By which user; `None` if by the marketplace itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
    /// When it first became public, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Timestamp>,
}

/// The object whose endpoint a product is: one product has one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductObject {
    /// The product.
    pub product: ProductId,
    /// The object.
    pub object: VirtualObjectId,
}

static PRODUCT_OBJECTS: Collection = Collection {
    name: "product_objects",
    kind: Kind::Records,
    about: "which virtual object each product delivers the data of",
    columns: &[Column::text("object")],
    indexes: &[],
};

impl Entity for ProductObject {
    type Id = ProductId;

    fn collection() -> &'static Collection {
        &PRODUCT_OBJECTS
    }

    fn id(&self) -> ProductId {
        self.product
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![Some(self.object.to_string().into())]
    }
}

/// Names an [`ObjectVersion`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectVersionId {
    /// The object.
    pub object: VirtualObjectId,
    /// The number of the content.
    pub version: u32,
}

impl fmt::Display for ObjectVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ten digits: the order of texts is the order of numbers.
        write!(f, "{}:{:010}", self.object, self.version)
    }
}

static VERSIONS: Collection = Collection {
    name: "object_versions",
    kind: Kind::Records,
    about: "which content each virtual object had when",
    columns: &[],
    indexes: &[],
};

impl Entity for ObjectVersion {
    type Id = ObjectVersionId;

    fn collection() -> &'static Collection {
        &VERSIONS
    }

    fn id(&self) -> ObjectVersionId {
        ObjectVersionId { object: self.object, version: self.version }
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

/// A content of an object under its hash. Contents of two objects are two records, even if they are equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectContent {
    /// The object.
    pub object: VirtualObjectId,
    /// The content's hash.
    pub hash: ContentHash,
    /// Whether it was ever public.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub published: bool,
    /// What it says.
    pub content: Content,
}

/// Names an [`ObjectContent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectContentId {
    /// The object.
    pub object: VirtualObjectId,
    /// The content's hash.
    pub hash: ContentHash,
}

impl fmt::Display for ObjectContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.object, self.hash)
    }
}

static CONTENTS: Collection = Collection {
    name: "object_contents",
    kind: Kind::Records,
    about: "what virtual objects say or said, by the hash of it",
    columns: &[],
    indexes: &[],
};

impl Entity for ObjectContent {
    type Id = ObjectContentId;

    fn collection() -> &'static Collection {
        &CONTENTS
    }

    fn id(&self) -> ObjectContentId {
        ObjectContentId { object: self.object, hash: self.hash }
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}
