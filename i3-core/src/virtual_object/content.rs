//! What is said of an object: its content, which has a hash.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value as Json};

use super::{ClassIri, DataField, File, Location, Method, Protocol, ResourceUri, ThingTerms};
use crate::id::VirtualObjectId;
use crate::merge_patch;
use crate::name::{Label, Prose, Slug, Term};
use crate::store::Digest;

/// What kind of thing an object stands for (paper, section 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// Something that measures.
    Sensor,
    /// Something that acts.
    Actuator,
    /// Several objects together.
    Service,
}

impl ObjectKind {
    /// As texts and columns have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sensor => "sensor",
            Self::Actuator => "actuator",
            Self::Service => "service",
        }
    }
}

/// What is said of a virtual object: all that has a version.
///
/// What is a set has no order, so that equal contents have equal texts and hashes. Each part is bounded by its
/// type and by the constants below, and the whole by [`Content::MAX_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// What kind of thing it stands for.
    pub kind: ObjectKind,
    /// Narrower classes of the ontology that it belongs to, by IRI: `https://brickschema.org/schema/Brick#Fan`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub classes: BTreeSet<ClassIri>,
    /// What people read first.
    pub title: Label,
    /// What people read then.
    #[serde(default, skip_serializing_if = "Prose::is_empty")]
    pub body: Prose,
    /// The model of the hardware or of the description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Label>,
    /// What it is listed under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Term>,
    /// What people search by.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<Term>,
    /// The field of use, as users say it of themselves: `smart-home`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Slug>,
    /// What it runs on: `Raspberry Pi`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub platforms: BTreeSet<Term>,
    /// What it speaks.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub protocols: BTreeSet<Protocol>,
    /// What it knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<DataField>,
    /// What it can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Method>,
    /// Where it is reached, the best address first; each in one of its protocols.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceUri>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// The objects that a service is made of.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub parts: BTreeSet<VirtualObjectId>,
    /// Programs and guides that come with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// What the Thing Description that it was made of says beyond all this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thing: Option<ThingTerms>,
}

/// A content that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidContent {
    /// There are too many of them.
    #[error("at most {most} are allowed")]
    TooMany {
        /// Which part of the content.
        field: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// Two have one name.
    #[error("`{name}` is there twice")]
    Twice {
        /// Which part of the content.
        field: &'static str,
        /// The name.
        name: String,
    },
    /// An address is in none of the protocols.
    #[error("`{uri}`: none of the object's protocols has the scheme `{scheme}`", scheme = uri.scheme())]
    Scheme {
        /// The address.
        uri: ResourceUri,
    },
    /// A location says neither a place nor a point.
    #[error("a place or a point is expected")]
    Nowhere,
    /// A sensor or actuator has parts.
    #[error("only services have parts")]
    Parts,
    /// A service that is to be public has no parts.
    #[error("a service has at least one part")]
    NoParts,
    /// A change of it leaves something that is no content.
    #[error("{0}")]
    Unreadable(String),
    /// It is too long as a whole.
    #[error("all together it is longer than {} bytes", Content::MAX_BYTES)]
    TooLong,
}

impl InvalidContent {
    /// Which part of the content.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::TooMany { field, .. } | Self::Twice { field, .. } => field,
            Self::Scheme { .. } => "resources",
            Self::Nowhere => "location",
            Self::Parts | Self::NoParts => "parts",
            Self::TooLong | Self::Unreadable(_) => "content",
        }
    }
}

impl Content {
    /// How many classes an object may name.
    pub const MAX_CLASSES: usize = 16;
    /// How many tags an object may have.
    pub const MAX_TAGS: usize = 32;
    /// How many platforms.
    pub const MAX_PLATFORMS: usize = 16;
    /// How many protocols.
    pub const MAX_PROTOCOLS: usize = 16;
    /// How many data attributes.
    pub const MAX_ATTRIBUTES: usize = 64;
    /// How many methods.
    pub const MAX_METHODS: usize = 64;
    /// How many addresses.
    pub const MAX_RESOURCES: usize = 32;
    /// How many parts a service may have.
    pub const MAX_PARTS: usize = 32;
    /// How many files.
    pub const MAX_FILES: usize = 16;
    /// The longest [text](Self::canonical) of all of it, in bytes: what fits into an entry of the audit log.
    pub const MAX_BYTES: usize = 40 * 1024;

    /// A content that says no more than this.
    pub fn new(kind: ObjectKind, title: Label) -> Self {
        Self {
            kind,
            classes: BTreeSet::new(),
            title,
            body: Prose::default(),
            model: None,
            category: None,
            tags: BTreeSet::new(),
            domain: None,
            platforms: BTreeSet::new(),
            protocols: BTreeSet::new(),
            attributes: Vec::new(),
            methods: Vec::new(),
            resources: Vec::new(),
            location: None,
            parts: BTreeSet::new(),
            files: Vec::new(),
            thing: None,
        }
    }

    /// Whether it makes sense in itself.
    pub fn check(&self) -> Result<(), InvalidContent> {
        for (field, count, most) in [
            ("classes", self.classes.len(), Self::MAX_CLASSES),
            ("tags", self.tags.len(), Self::MAX_TAGS),
            ("platforms", self.platforms.len(), Self::MAX_PLATFORMS),
            ("protocols", self.protocols.len(), Self::MAX_PROTOCOLS),
            ("attributes", self.attributes.len(), Self::MAX_ATTRIBUTES),
            ("methods", self.methods.len(), Self::MAX_METHODS),
            ("resources", self.resources.len(), Self::MAX_RESOURCES),
            ("parts", self.parts.len(), Self::MAX_PARTS),
            ("files", self.files.len(), Self::MAX_FILES),
        ] {
            if count > most {
                return Err(InvalidContent::TooMany { field, most });
            }
        }
        distinct("attributes", self.attributes.iter().map(|one| one.name.as_str()))?;
        distinct("methods", self.methods.iter().map(|one| one.name.as_str()))?;
        distinct("resources", self.resources.iter().map(ResourceUri::as_str))?;
        distinct("files", self.files.iter().map(|one| one.name.as_str()))?;
        for method in &self.methods {
            if method.inputs.len() > Method::MAX_INPUTS {
                return Err(InvalidContent::TooMany { field: "inputs", most: Method::MAX_INPUTS });
            }
            distinct("inputs", method.inputs.iter().map(|one| one.name.as_str()))?;
        }
        for uri in &self.resources {
            if !self.protocols.iter().any(|protocol| protocol.has_scheme(uri.scheme())) {
                return Err(InvalidContent::Scheme { uri: uri.clone() });
            }
        }
        if self.location.as_ref().is_some_and(|there| there.place.is_none() && there.point.is_none()) {
            return Err(InvalidContent::Nowhere);
        }
        if self.kind != ObjectKind::Service && !self.parts.is_empty() {
            return Err(InvalidContent::Parts);
        }
        if self.canonical().len() > Self::MAX_BYTES {
            return Err(InvalidContent::TooLong);
        }
        Ok(())
    }

    /// Whether others can make use of it. A draft need not be complete.
    pub fn check_complete(&self) -> Result<(), InvalidContent> {
        if self.kind == ObjectKind::Service && self.parts.is_empty() {
            return Err(InvalidContent::NoParts);
        }
        Ok(())
    }

    /// This content with a merge patch (RFC 7396) of its JSON.
    pub fn amended(&self, patch: &Map<String, Json>) -> Result<Self, InvalidContent> {
        let unreadable = |error: serde_json::Error| InvalidContent::Unreadable(error.to_string());
        let mut json = serde_json::to_value(self).map_err(unreadable)?;
        merge_patch::apply(&mut json, patch);
        serde_json::from_value(json).map_err(unreadable)
    }

    /// The one text that stands for it: its JSON in the canonical form of RFC 8785, that is without white space and
    /// with the names of every object in order.
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        // Nothing of a content can fail to be JSON: it has no maps, and its numbers are finite.
        if let Ok(json) = serde_json::to_value(self) {
            canonical(&json, &mut text);
        }
        text
    }

    /// SHA-256 of the canonical text.
    pub fn hash(&self) -> ContentHash {
        ContentHash(Digest::of(self.canonical().as_bytes()))
    }
}

fn distinct<'a>(field: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), InvalidContent> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(InvalidContent::Twice { field, name: name.to_owned() });
        }
    }
    Ok(())
}

/// Writes JSON in the form of RFC 8785, section 3.2. `serde_json` writes texts and whole numbers as that asks. The order
/// of names is not left to it, because a feature of the crate that any dependency may switch on changes it.
fn canonical(json: &Json, text: &mut String) {
    match json {
        Json::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                canonical(item, text);
            }
            text.push(']');
        }
        Json::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            // By bytes, which for the ASCII names of a content is the standard's order by UTF-16 units.
            names.sort_unstable();
            text.push('{');
            for (place, name) in names.into_iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                text.push_str(&Json::from(name.as_str()).to_string());
                text.push(':');
                canonical(members.get(name).unwrap_or(&Json::Null), text);
            }
            text.push('}');
        }
        Json::Number(number) if number.is_f64() => {
            // As ECMAScript writes numbers (RFC 8785, 3.2.2.3), for those that a content can have: degrees.
            let number = number.as_f64().unwrap_or_default();
            let tiny = number != 0.0 && number.abs() < 1e-6;
            let number = if tiny { format!("{number:e}") } else { number.to_string() };
            text.push_str(&number);
        }
        plain => text.push_str(&plain.to_string()),
    }
}

/// The SHA-256 of a content's canonical text; in text `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub Digest);

/// A text that is no [`ContentHash`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a content hash: `sha256:` and 64 lower-case hexadecimal digits are expected")]
pub struct InvalidContentHash;

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentHash {
    type Err = InvalidContentHash;

    fn from_str(text: &str) -> Result<Self, InvalidContentHash> {
        let digits = text.strip_prefix("sha256:").ok_or(InvalidContentHash)?;
        digits.parse().map(Self).map_err(|_| InvalidContentHash)
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
