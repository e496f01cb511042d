//! Permission strings and sets of them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Action, Own};

/// How far a permission reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// To what is one's own; see [`Action::own`].
    Own,
    /// To everything.
    Any,
}

/// A permission: an action and how far it reaches. As text `thing:verb`, or `thing:verb:own` for one's own things
/// only. `thing:verb` includes `thing:verb:own`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    action: Action,
    reach: Reach,
}

/// A text that is no [`Permission`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPermission {
    /// No action has it.
    #[error("there is no permission {0:?}")]
    Unknown(Box<str>),
    /// The action is about nothing that belongs to anybody.
    #[error("`{permission}` has no `:own`: it is about nothing that belongs to anybody", permission = .0.permission())]
    NoOwn(Action),
}

impl Permission {
    /// The permission for an action with this reach.
    pub const fn new(action: Action, reach: Reach) -> Result<Self, InvalidPermission> {
        match (action.own(), reach) {
            (Own::Nothing, Reach::Own) => Err(InvalidPermission::NoOwn(action)),
            _ => Ok(Self { action, reach }),
        }
    }

    /// The permission for an action with this reach, or for everything if the action is about nothing of anybody's.
    pub(super) const fn least(action: Action, reach: Reach) -> Self {
        match action.own() {
            Own::Nothing => Self { action, reach: Reach::Any },
            _ => Self { action, reach },
        }
    }

    /// Every permission that there is, in the order of [`Action::ALL`].
    pub fn all() -> impl Iterator<Item = Self> {
        let reaches = [Reach::Any, Reach::Own];
        Action::ALL
            .iter()
            .flat_map(move |action| reaches.into_iter().filter_map(|reach| Self::new(*action, reach).ok()))
    }

    /// The action.
    pub const fn action(self) -> Action {
        self.action
    }

    /// How far it reaches.
    pub const fn reach(self) -> Reach {
        self.reach
    }
}

impl FromStr for Permission {
    type Err = InvalidPermission;

    fn from_str(text: &str) -> Result<Self, InvalidPermission> {
        let (name, reach) = match text.strip_suffix(":own") {
            Some(name) => (name, Reach::Own),
            None => (text, Reach::Any),
        };
        match Action::of(name) {
            Some(action) => Self::new(action, reach),
            // What was sent may be of any length, and is told again.
            None => Err(InvalidPermission::Unknown(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action.permission())?;
        if self.reach == Reach::Own { f.write_str(":own") } else { Ok(()) }
    }
}

impl fmt::Debug for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What somebody may do: a reach for each action, or none. Small, and copied freely.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct PermissionSet {
    any: u128,
    /// Has every bit of `any`: what reaches everything reaches one's own.
    own: u128,
}

impl PermissionSet {
    /// Nothing.
    pub const EMPTY: Self = Self { any: 0, own: 0 };

    /// Everything that there is.
    pub fn everything() -> Self {
        Permission::all().collect()
    }

    /// All that only looks.
    pub fn views() -> Self {
        Permission::all().filter(|permission| permission.action.is_view()).collect()
    }

    /// With one more.
    #[must_use]
    pub const fn with(self, permission: Permission) -> Self {
        let bit = permission.action.bit();
        match permission.reach {
            Reach::Any => Self { any: self.any | bit, own: self.own | bit },
            Reach::Own => Self { any: self.any, own: self.own | bit },
        }
    }

    /// What either gives.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self { any: self.any | other.any, own: self.own | other.own }
    }

    /// What both give.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self { any: self.any & other.any, own: self.own & other.own }
    }

    /// Whether it gives no more than the other.
    pub const fn is_within(self, other: Self) -> bool {
        self.any & !other.any == 0 && self.own & !other.own == 0
    }

    /// Whether it gives nothing.
    pub const fn is_empty(self) -> bool {
        self.own == 0
    }

    /// How far it reaches for an action, if it gives it at all.
    pub const fn reach(self, action: Action) -> Option<Reach> {
        let bit = action.bit();
        if self.any & bit != 0 {
            Some(Reach::Any)
        } else if self.own & bit != 0 {
            Some(Reach::Own)
        } else {
            None
        }
    }

    /// Its permissions, the furthest one for each action.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        let each = move |action: &Action| Some(Permission { action: *action, reach: self.reach(*action)? });
        Action::ALL.iter().filter_map(each)
    }
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl Serialize for PermissionSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for PermissionSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(BTreeSet::<Permission>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::subsequence;

    use super::*;

    fn sets() -> impl Strategy<Value = PermissionSet> {
        let all: Vec<_> = Permission::all().collect();
        let count = all.len();
        subsequence(all, 0..=count).prop_map(|some| some.into_iter().collect())
    }

    #[test]
    fn every_permission_reads_back_as_it_is_written() {
        let mut texts = BTreeSet::new();
        for permission in Permission::all() {
            let text = permission.to_string();
            assert_eq!(text.parse::<Permission>(), Ok(permission));
            assert_eq!(serde_json::to_string(&permission).unwrap(), format!("\"{text}\""));
            assert!(texts.insert(text));
        }
        assert!(texts.contains("order:view:own") && texts.contains("role:manage"));
    }

    #[test]
    fn what_no_action_has_is_no_permission() {
        for bad in
            ["", ":", "order", "order:", "order:view:", "order:view:any", "order:view:own:own", "Order:view"]
        {
            assert_eq!(bad.parse::<Permission>(), Err(InvalidPermission::Unknown(bad.into())), "{bad}");
        }
        assert_eq!("audit:view:own".parse::<Permission>(), Err(InvalidPermission::NoOwn(Action::Audit)));
        let long = "x".repeat(65_536).parse::<Permission>().unwrap_err().to_string();
        assert!(long.len() < 200, "{long}");
    }

    #[test]
    fn every_action_says_what_it_is_and_has_a_thing_and_a_verb() {
        for action in Action::ALL {
            assert!(action.about().ends_with('.') && !action.about().starts_with(' '), "{action}");
            assert_eq!(action.permission().split(':').count(), 2, "{action}");
            assert_eq!(Action::of(action.permission()), Some(*action));
            for (role, reach) in action.built_in() {
                assert!(Permission::new(*action, *reach).is_ok(), "{action} of {role:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn sets_join_and_meet_as_sets_of_permissions_do(one in sets(), other in sets()) {
            let (joined, met) = (one.union(other), one.intersection(other));
            prop_assert!(one.is_within(joined) && other.is_within(joined));
            prop_assert!(met.is_within(one) && met.is_within(other));
            for action in Action::ALL {
                prop_assert_eq!(joined.reach(*action), one.reach(*action).max(other.reach(*action)));
                prop_assert_eq!(met.reach(*action), one.reach(*action).min(other.reach(*action)));
            }
            let again: PermissionSet = serde_json::from_str(&serde_json::to_string(&one).unwrap()).unwrap();
            prop_assert_eq!(again, one);
        }
    }
}
