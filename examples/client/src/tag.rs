//! Entity tags (RFC 9110, section 8.8.3).

use std::fmt;
use std::str::FromStr;

use hyper::header::HeaderValue;
use serde::{Serialize, Serializer};

/// The tag of an answer: what [`Change::if_match`](crate::Change::if_match) and
/// [`Query::unless`](crate::Query::unless) compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityTag(String);

/// A text that is no [`EntityTag`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a strong entity tag is expected: visible ASCII, with or without quotation marks around it")]
pub struct InvalidEntityTag;

impl EntityTag {
    /// As headers have it.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.to_string()).ok()
    }
}

impl FromStr for EntityTag {
    type Err = InvalidEntityTag;

    fn from_str(text: &str) -> Result<Self, InvalidEntityTag> {
        let inner = text.trim();
        let inner = inner.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(inner);
        let good = !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        if good { Ok(Self(inner.to_owned())) } else { Err(InvalidEntityTag) }
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl Serialize for EntityTag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_with_and_without_its_marks() {
        let tag: EntityTag = "\"a.b\"".parse().unwrap();
        assert_eq!((tag.to_string().as_str(), "a.b".parse().as_ref()), ("\"a.b\"", Ok(&tag)));
        for wrong in ["", "\"\"", "W/\"a\"", "a b", "a\"b"] {
            assert_eq!(wrong.parse::<EntityTag>(), Err(InvalidEntityTag), "{wrong}");
        }
    }
}
