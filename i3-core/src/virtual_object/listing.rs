//! Under which words an object is listed: what it may have several of.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Content, ObjectState, Protocol};
use crate::id::VirtualObjectId;
use crate::name::Term;
use crate::store::{Collection, Column, Digest, Entity, Index, Kind, Value};
use crate::time::Timestamp;

/// Something of which an object has several, and that lists are filtered by. In text `tag:lamp`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Heading {
    /// A tag.
    Tag(Term),
    /// A platform.
    Platform(Term),
    /// A protocol.
    Protocol(Protocol),
}

impl fmt::Display for Heading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, "tag:{tag}"),
            Self::Platform(platform) => write!(f, "platform:{platform}"),
            Self::Protocol(protocol) => write!(f, "protocol:{protocol}"),
        }
    }
}

impl Content {
    /// What it is listed under.
    pub fn headings(&self) -> BTreeSet<Heading> {
        let tags = self.tags.iter().cloned().map(Heading::Tag);
        let platforms = self.platforms.iter().cloned().map(Heading::Platform);
        let protocols = self.protocols.iter().cloned().map(Heading::Protocol);
        tags.chain(platforms).chain(protocols).collect()
    }
}

/// One line of a list: this public object stands under that heading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The object.
    pub object: VirtualObjectId,
    /// The heading's text.
    pub heading: String,
    /// Published or deprecated.
    pub listed: ObjectState,
    /// Since when the object has been public.
    pub since: Timestamp,
}

/// Names a [`Listing`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingId {
    /// The object.
    pub object: VirtualObjectId,
    /// The heading's text.
    pub heading: String,
}

impl fmt::Display for ListingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key is ASCII and a heading any text: its digest stands for it.
        write!(f, "{}:{}", self.object, Digest::of(self.heading.as_bytes()))
    }
}

static LISTINGS: Collection = Collection {
    name: "object_listings",
    kind: Kind::Records,
    about: "the tags, platforms and protocols under which virtual objects are listed",
    columns: &[Column::text("heading"), Column::text("listed"), Column::int("since")],
    indexes: &[Index { name: "by_heading", columns: &["heading", "listed", "since"] }],
};

impl Entity for Listing {
    type Id = ListingId;

    fn collection() -> &'static Collection {
        &LISTINGS
    }

    fn id(&self) -> ListingId {
        ListingId { object: self.object, heading: self.heading.clone() }
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![
            Some(self.heading.as_str().into()),
            Some(self.listed.as_str().into()),
            Some(self.since.micros().into()),
        ]
    }
}
