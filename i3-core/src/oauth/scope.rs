//! Names of what a client may do for somebody.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::access::Permission;
use crate::role::RoleName;

/// One scope: a name for a part of what somebody may do, such as `product:manage`. Case matters. What the
/// marketplace takes it for is its [meaning](Self::meaning).
///
/// 1 to 64 visible ASCII characters without `"` and `\` (RFC 6749, section 3.3).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(String);

/// A text that is no [`Scope`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a scope: 1 to {} visible ASCII characters without quotes and backslashes are expected",
    Scope::MAX
)]
pub struct InvalidScope;

/// What a scope lets a program do for somebody: never more than that somebody may do at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScopeMeaning {
    /// [`Scope::READ`]: see everything that the person may see.
    Read,
    /// [`Scope::WRITE`]: change everything that the person may change.
    Write,
    /// The permission that it is called like, `virtual_object:create` or `virtual_object:delete:own`.
    Permission(Permission),
    /// `as:consumer`: what this role allows, as long as the person has the role.
    Role(RoleName),
    /// Nothing that the marketplace knows of. An authorization server may offer it for a purpose of its own.
    Other,
}

impl Scope {
    /// See everything that the person may see.
    pub const READ: &'static str = "api:read";
    /// Change everything that the person may change.
    pub const WRITE: &'static str = "api:write";
    /// What the scope of a role begins with; its name follows.
    pub const ROLE: &'static str = "as:";

    /// The longest scope, in characters.
    pub const MAX: usize = 64;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the marketplace takes it for.
    pub fn meaning(&self) -> ScopeMeaning {
        match self.0.as_str() {
            Self::READ => ScopeMeaning::Read,
            Self::WRITE => ScopeMeaning::Write,
            text => match text.strip_prefix(Self::ROLE) {
                Some(role) => role.parse().map_or(ScopeMeaning::Other, ScopeMeaning::Role),
                None => text.parse().map_or(ScopeMeaning::Other, ScopeMeaning::Permission),
            },
        }
    }
}

impl From<Permission> for Scope {
    fn from(permission: Permission) -> Self {
        Self(permission.to_string())
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        let plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        if plain && (1..=Self::MAX).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidScope)
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_a_word_of_visible_ascii() {
        for good in ["a", "product:read", "virtual_object:delete:own", "!", "~", "https://i3.example/x"] {
            assert_eq!(good.parse::<Scope>().unwrap().as_str(), good);
        }
        let long = "a".repeat(65);
        for bad in ["", " ", "a b", "a\"", "a\\b", "ä", "a\n", "a\0", long.as_str()] {
            assert!(bad.parse::<Scope>().is_err(), "{bad:?}");
        }
    }
    #[test]
    fn a_scope_means_a_permission_a_role_all_reading_or_all_changing() {
        let meaning = |text: &str| text.parse::<Scope>().unwrap().meaning();
        assert_eq!(meaning("api:read"), ScopeMeaning::Read);
        assert_eq!(meaning("api:write"), ScopeMeaning::Write);
        assert_eq!(meaning("as:consumer"), ScopeMeaning::Role(RoleName::CONSUMER));
        assert_eq!(meaning("as:night-shift"), ScopeMeaning::Role("night-shift".parse().unwrap()));
        for permission in Permission::all() {
            let scope = Scope::from(permission);
            assert_eq!(scope.as_str().parse(), Ok(scope.clone()));
            assert_eq!(scope.meaning(), ScopeMeaning::Permission(permission));
        }
        for other in ["as:", "as:No", "as", "AS:consumer", "api:admin", "order:*", "audit:view:own"] {
            assert_eq!(meaning(other), ScopeMeaning::Other, "{other}");
        }
        let longest = format!("as:{}", "a".repeat(crate::name::Slug::MAX));
        assert!(longest.parse::<Scope>().is_ok(), "every role has its scope");
    }
}
