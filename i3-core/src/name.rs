//! Names that are safe to build topics and keys from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A short name of lower-case letters, digits and inner hyphens: `[a-z0-9]([a-z0-9-]*[a-z0-9])?`,
/// at most 48 characters. No slug can hold an MQTT wildcard, separator or `$` (MQTT 3.1.1, 4.7).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(String);

/// A text that is no [`Slug`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a slug: 1 to {} characters of a-z, 0-9 and inner hyphens are expected", Slug::MAX)]
pub struct InvalidSlug;

impl Slug {
    /// The longest slug, in characters.
    pub const MAX: usize = 48;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = InvalidSlug;

    fn from_str(text: &str) -> Result<Self, InvalidSlug> {
        let letters = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let edges = !text.starts_with('-') && !text.ends_with('-');
        if letters && edges && (1..=Self::MAX).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSlug)
        }
    }
}

/// The exact MQTT topic of one product: `i3/{hub}/{product}`.
///
/// Generated from two slugs, so no name, however chosen, can widen a topic filter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(String);

/// A text that is no product topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a product topic: `i3/{{hub}}/{{product}}` of two slugs is expected")]
pub struct InvalidTopic;

impl Topic {
    /// The topic of this product of this hub.
    pub fn new(hub: &Slug, product: &Slug) -> Self {
        Self(format!("i3/{}/{}", hub.as_str(), product.as_str()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Topic {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        let rest = text.strip_prefix("i3/").ok_or(InvalidTopic)?;
        let (hub, product) = rest.split_once('/').ok_or(InvalidTopic)?;
        let hub: Slug = hub.parse().map_err(|_| InvalidTopic)?;
        let product: Slug = product.parse().map_err(|_| InvalidTopic)?;
        Ok(Self::new(&hub, &product))
    }
}

/// A one-line text for people: a title or a name. Not empty, at most 200 characters, no control
/// characters and none of the invisible characters that reorder text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

/// A text that is no [`Label`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a label: 1 to {} visible characters on one line are expected", Label::MAX)]
pub struct InvalidLabel;

impl Label {
    /// The longest label, in characters.
    pub const MAX: usize = 200;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Characters that have no look of their own or change the direction of others.
pub(crate) fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl FromStr for Label {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        let text = text.trim();
        let clean = !text.chars().any(|c| c.is_control() || is_deceptive(c));
        if clean && (1..=Self::MAX).contains(&text.chars().count()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidLabel)
        }
    }
}

/// The name that a device logs in with: `{hub}.{device}` of two slugs. Apart from the device's id, so
/// that hardware can be replaced without touching what is in the field.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthId(String);

/// A text that is no [`AuthId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a device login: `{{hub}}.{{device}}` of two slugs is expected")]
pub struct InvalidAuthId;

impl AuthId {
    /// The login of this device of this hub.
    pub fn new(hub: &Slug, device: &Slug) -> Self {
        Self(format!("{}.{}", hub.as_str(), device.as_str()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AuthId {
    type Err = InvalidAuthId;

    fn from_str(text: &str) -> Result<Self, InvalidAuthId> {
        let (hub, device) = text.split_once('.').ok_or(InvalidAuthId)?;
        let hub: Slug = hub.parse().map_err(|_| InvalidAuthId)?;
        let device: Slug = device.parse().map_err(|_| InvalidAuthId)?;
        Ok(Self::new(&hub, &device))
    }
}

/// An e-mail address as far as a marketplace needs to know: something, one `@`, something with a
/// dot; 254 bytes at most (RFC 5321, 4.5.3.1.3). Whether mail arrives there only mail can tell.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

/// A text that is no [`Email`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an e-mail address")]
pub struct InvalidEmail;

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let (local, domain) = text.split_once('@').ok_or(InvalidEmail)?;
        let plain = text.chars().all(|c| !c.is_whitespace() && !c.is_control() && !is_deceptive(c));
        let shaped = !local.is_empty()
            && !domain.contains('@')
            && domain.split('.').count() > 1
            && domain.split('.').all(|part| !part.is_empty());
        if plain && shaped && text.len() <= 254 { Ok(Self(text.to_owned())) } else { Err(InvalidEmail) }
    }
}

/// A word or short phrase that things are found by or called: 1 to 60 characters on one line, of the kind that a
/// [`Label`] has; white space within is single spaces.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(String);

/// A text that is no [`Term`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a term: 1 to {} visible characters on one line are expected", Term::MAX)]
pub struct InvalidTerm;

impl Term {
    /// The longest term, in characters.
    pub const MAX: usize = 60;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Term {
    type Err = InvalidTerm;

    fn from_str(text: &str) -> Result<Self, InvalidTerm> {
        // Four bytes a character at most, and as many spaces as anybody would write.
        if text.len() > 8 * Self::MAX || text.chars().any(|c| c.is_control() || is_deceptive(c)) {
            return Err(InvalidTerm);
        }
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if (1..=Self::MAX).contains(&text.chars().count()) { Ok(Self(text)) } else { Err(InvalidTerm) }
    }
}

/// A text for people, of several lines: a description or a comment. At most 4,000 characters; line
/// breaks are its only control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Prose(String);

/// A text that is no [`Prose`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a description: at most {} visible characters are expected", Prose::MAX)]
pub struct InvalidProse;

impl Prose {
    /// The longest text, in characters.
    pub const MAX: usize = 4_000;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Prose {
    type Err = InvalidProse;

    fn from_str(text: &str) -> Result<Self, InvalidProse> {
        let clean = !text.chars().any(|c| (c.is_control() && c != '\n') || is_deceptive(c));
        if clean && text.chars().count() <= Self::MAX {
            Ok(Self(text.trim().to_owned()))
        } else {
            Err(InvalidProse)
        }
    }
}

macro_rules! text_forms {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

text_forms!(Slug, Topic, Label, AuthId, Email, Prose, Term);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slugs_are_lower_case_letters_digits_and_inner_hyphens() {
        for good in ["a", "air-quality-2", "0"] {
            assert_eq!(good.parse::<Slug>().unwrap().as_str(), good);
        }
        let long = "a".repeat(49);
        for bad in ["", "-a", "a-", "A", "a b", "a/b", "+", "#", "$sys", "ä", "a\0", long.as_str()] {
            assert!(bad.parse::<Slug>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn labels_are_one_visible_line() {
        assert_eq!(" Größe 大 ".parse::<Label>().unwrap().as_str(), "Größe 大");
        for bad in ["", "  ", "a\nb", "a\u{202e}b", "a\u{200b}b", "\0"] {
            assert!(bad.parse::<Label>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn terms_are_short_and_their_spaces_single() {
        assert_eq!(" smart \u{3000} home 大".parse::<Term>().unwrap().as_str(), "smart home 大");
        let long = "a".repeat(61);
        for bad in ["", " ", "a\tb", "a\u{202e}b", "a\u{200b}b", "\0", long.as_str()] {
            assert!(bad.parse::<Term>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_email_has_a_name_and_a_domain() {
        assert!("a.b@example.org".parse::<Email>().is_ok());
        for bad in ["", "a", "a@", "@b.c", "a@b", "a@b..c", "a@b@c.d", "a b@c.d", "a@b.c\n"] {
            assert!(bad.parse::<Email>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_widens_a_topic(text in "\\PC{0,20}") {
            if let Ok(topic) = format!("i3/{text}").parse::<Topic>() {
                prop_assert!(!topic.as_str().contains(['+', '#', '$', '\0']));
                prop_assert_eq!(topic.as_str().split('/').count(), 3);
            }
        }
    }
}
