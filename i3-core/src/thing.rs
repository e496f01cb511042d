//! Thing Descriptions that were registered with the marketplace's directory (W3C WoT Discovery).
//!
//! The marketplace keeps each document as the text that it was given, and what the directory knows beside it. What
//! the text means is not its business: `i3-semantic` reads, validates and searches descriptions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::UserId;
use crate::store::{Collection, Column, Digest, Entity, Index, Kind, Value};
use crate::time::Timestamp;

/// The `id` of a Thing Description: an absolute identifier (`urn:uuid:…`, `https://…`), unique in the directory.
///
/// 3 to [`ThingId::MAX`] bytes, with a scheme, without white space and control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThingId(String);

/// A text that is no [`ThingId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an id of a thing: an absolute identifier of at most {} bytes without white space is expected, \
     `urn:uuid:…` for instance",
    ThingId::MAX
)]
pub struct InvalidThingId;

impl ThingId {
    /// The longest id, in bytes.
    pub const MAX: usize = 1_000;

    /// A version 4 UUID as URN (RFC 9562, sections 4 and 5.4) of these random bits.
    pub fn random(bits: u128) -> Self {
        let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let digits = format!("{bits:032x}");
        let mut text = String::from("urn:uuid:");
        for (place, digit) in digits.chars().enumerate() {
            if matches!(place, 8 | 12 | 16 | 20) {
                text.push('-');
            }
            text.push(digit);
        }
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What its record is called: ids may be longer and of other characters than keys.
    pub fn record(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl FromStr for ThingId {
    type Err = InvalidThingId;

    fn from_str(text: &str) -> Result<Self, InvalidThingId> {
        let (scheme, rest) = text.split_once(':').ok_or(InvalidThingId)?;
        let scheme_fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let strange = |c: char| c.is_control() || c.is_whitespace() || crate::name::is_deceptive(c);
        if scheme_fits && !rest.is_empty() && text.len() <= Self::MAX && !text.contains(strange) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidThingId)
        }
    }
}

impl fmt::Display for ThingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ThingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for ThingId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ThingId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Who finds a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everybody.
    #[default]
    Public,
    /// Its owner, and who runs the marketplace.
    Private,
}

impl Visibility {
    /// As texts and columns have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}

/// Until when a registration holds (WoT Discovery, section 7.2.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Lifetime {
    /// So many microseconds from each registration or change. Counts before `expires`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    /// Until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

impl Lifetime {
    /// The longest `ttl`, in microseconds: a hundred years.
    pub const MAX_TTL: u64 = 100 * 366 * 24 * 60 * 60 * 1_000_000;

    /// With the end that it has if it begins now.
    pub fn beginning(self, now: Timestamp) -> Self {
        match self.ttl {
            Some(ttl) => Self { expires: Some(now.plus(std::time::Duration::from_micros(ttl))), ..self },
            None => self,
        }
    }
}

/// A registered Thing Description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Thing {
    /// Its id: what the document says, or what the directory gave to one without.
    pub id: ThingId,
    /// Who registered it.
    pub owner: UserId,
    /// Who finds it.
    pub visibility: Visibility,
    /// Whether the document has no id of its own (an Anonymous TD).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
    /// The document, JSON, without what the directory adds.
    pub document: String,
    /// Raised by every change, from 1.
    pub revision: u32,
    /// When it was registered.
    pub created: Timestamp,
    /// When it last changed.
    pub modified: Timestamp,
    /// Until when it stays.
    #[serde(flatten)]
    pub lifetime: Lifetime,
}

impl Thing {
    /// The longest document, in bytes of the JSON string that holds it.
    pub const MAX_BYTES: usize = 52 * 1024;

    /// Whether its time is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.lifetime.expires.is_some_and(|end| end <= now)
    }
}

static THINGS: Collection = Collection {
    name: "things",
    kind: Kind::Records,
    about: "Thing Descriptions that were registered with the directory",
    columns: &[Column::text("owner"), Column::int("modified"), Column::int("expires")],
    indexes: &[
        Index { name: "by_owner", columns: &["owner", "modified"] },
        Index { name: "by_end", columns: &["expires"] },
    ],
};

impl Entity for Thing {
    type Id = Digest;

    fn collection() -> &'static Collection {
        &THINGS
    }

    fn id(&self) -> Digest {
        self.id.record()
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![
            Some(self.owner.to_string().into()),
            Some(self.modified.micros().into()),
            self.lifetime.expires.map(|end| end.micros().into()),
        ]
    }
}

/// What became of a registration, for those who follow the outbox: everything that is needed to know what each
/// person sees of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct ThingChange {
    /// Which one.
    pub thing: ThingId,
    /// Whose.
    pub owner: UserId,
    /// Who found it before; `None` if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Visibility>,
    /// What it is now; `None` if it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Box<Thing>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_absolute_and_have_no_white_space() {
        for good in [
            "urn:x",
            "urn:uuid:48951ff3-4019-4e67-b217-dbbf011873dc",
            "https://a/b?c#d",
            "ex:물",
            "a+b-c.1:\"",
        ] {
            assert!(good.parse::<ThingId>().is_ok(), "{good}");
        }
        let long = format!("urn:{}", "a".repeat(ThingId::MAX));
        for bad in [
            "",
            ":",
            "urn:",
            "a b:c",
            "1urn:a",
            "urn:a b",
            "urn:a\nb",
            "urn:\u{202e}",
            "thing",
            long.as_str(),
        ] {
            assert!(bad.parse::<ThingId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_random_id_is_a_version_4_uuid() {
        for bits in [0, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
            let text = ThingId::random(bits).to_string();
            let uuid = text.strip_prefix("urn:uuid:").unwrap();
            let parts: Vec<&str> = uuid.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{text}");
            assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{text}");
            assert!(text.parse::<ThingId>().is_ok());
        }
    }

    #[test]
    fn a_ttl_counts_from_now_and_before_an_end_that_was_said() {
        let now = Timestamp::from_micros(1_000_000).unwrap();
        let said = Lifetime { ttl: Some(5), expires: Some(now) };
        assert_eq!(said.beginning(now).expires.unwrap().micros(), 1_000_005);
        let only = Lifetime { ttl: None, expires: Some(now) };
        assert_eq!(only.beginning(now), only);
    }
}
