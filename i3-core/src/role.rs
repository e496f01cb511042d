//! Roles: named sets of permissions that users have (sections 3.5 and 5.1 of the application store's paper).
//!
//! Administrators add, edit and remove roles at run time ([`market`](crate::market) has the commands). Four
//! are [built in](BuiltIn): until somebody edits them they allow what this version of the program says, from then
//! on exactly what they were given.
//!
//! What a decision needs is in one record, the [`RoleBook`]: a command reads it together with the user, so a
//! change counts from the next command on, in every process. What people read of a role is in its [`Role`].

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::access::{Action, Permission, PermissionSet};
use crate::name::{Label, Prose, Slug};
use crate::store::{Collection, Entity, Key, Kind, StoreError, Value};
use crate::time::Timestamp;

/// A role's name: a text like a [`Slug`]. The built-in ones come first, in the order of [`BuiltIn::ALL`], then the
/// others by their text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RoleName(Cow<'static, str>);

/// A text that is no [`RoleName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a role's name: 1 to {} characters of a-z, 0-9 and inner hyphens are expected", Slug::MAX)]
pub struct InvalidRoleName;

impl RoleName {
    /// Everybody with an account, whatever else they are: [`BuiltIn::User`].
    pub const USER: Self = Self(Cow::Borrowed("user"));
    /// Who buys data.
    pub const CONSUMER: Self = Self(Cow::Borrowed("consumer"));
    /// Who registers hubs and devices, and sells data.
    pub const PROVIDER: Self = Self(Cow::Borrowed("provider"));
    /// Who runs the marketplace.
    pub const ADMINISTRATOR: Self = Self(Cow::Borrowed("administrator"));

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As stored text has them: logs from before roles could be created have the built-in ones in this order.
impl Ord for RoleName {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |name: &Self| BuiltIn::ALL.iter().position(|role| role.name() == *name);
        match (place(self), place(other)) {
            (Some(one), Some(other)) => one.cmp(&other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => self.0.cmp(&other.0),
        }
    }
}

impl PartialOrd for RoleName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for RoleName {
    type Err = InvalidRoleName;

    fn from_str(text: &str) -> Result<Self, InvalidRoleName> {
        let slug: Slug = text.parse().map_err(|_| InvalidRoleName)?;
        Ok(Self(Cow::Owned(slug.as_str().to_owned())))
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for RoleName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RoleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The roles that are there from the start. They can be edited, but not removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BuiltIn {
    /// Everybody with an account: nobody is given it, nobody loses it.
    User,
    /// Buys data.
    Consumer,
    /// Registers hubs and devices, and sells data.
    Provider,
    /// Runs the marketplace.
    Administrator,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::User, Self::Consumer, Self::Provider, Self::Administrator];

    /// The built-in role of this name.
    pub fn of(name: &RoleName) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == *name)
    }

    /// Its name.
    pub const fn name(self) -> RoleName {
        match self {
            Self::User => RoleName::USER,
            Self::Consumer => RoleName::CONSUMER,
            Self::Provider => RoleName::PROVIDER,
            Self::Administrator => RoleName::ADMINISTRATOR,
        }
    }

    /// What people read of it until it is edited.
    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::User => ("User", "Everybody with an account has it."),
            Self::Consumer => ("Consumer", "Buys data."),
            Self::Provider => ("Provider", "Registers hubs and devices, and sells data."),
            Self::Administrator => ("Administrator", "Runs the marketplace."),
        }
    }

    /// What it allows until it is edited; see [`Action::built_in`].
    pub fn permissions(self) -> PermissionSet {
        let of_action = |action: &Action| {
            let mine = action.built_in().iter().find(|(role, _)| *role == self);
            mine.and_then(|(_, reach)| Permission::new(*action, *reach).ok())
        };
        Action::ALL.iter().filter_map(of_action).collect()
    }

    /// What the role allows, whatever it is edited to: administrators can always manage users and roles, so that
    /// the marketplace cannot be left without anybody who can.
    pub const fn essential(self) -> &'static [Action] {
        match self {
            Self::Administrator => &[Action::ManageUsers, Action::ManageRoles],
            _ => &[],
        }
    }
}

/// What people read of a role, and what it allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Role {
    /// Its name; never changes, and is never given to another role.
    pub name: RoleName,
    /// What people call it.
    pub label: Label,
    /// What it is for.
    pub about: Prose,
    /// What it allows.
    #[serde(deserialize_with = "known")]
    pub permissions: PermissionSet,
    /// How often it was edited.
    pub version: u32,
    /// When it was last edited; absent for a built-in role as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Timestamp>,
    /// When it was removed. Its name stays taken: what is still called so in a user's record or in a client's
    /// scopes must not come to mean something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Timestamp>,
}

impl Role {
    /// Roles that there may be at once, the built-in ones among them.
    pub const MAX: usize = 64;

    /// A built-in role as it came.
    pub fn built_in(role: BuiltIn) -> Result<Self, StoreError> {
        let (label, about) = role.texts();
        let unfit = |error: Box<dyn std::error::Error + Send + Sync>| {
            StoreError::new(crate::store::StoreErrorKind::Unsupported, "a built-in role has unfit texts")
                .with_source(error)
        };
        Ok(Self {
            name: role.name(),
            label: label.parse().map_err(|error: crate::name::InvalidLabel| unfit(error.into()))?,
            about: about.parse().map_err(|error: crate::name::InvalidProse| unfit(error.into()))?,
            permissions: role.permissions(),
            version: 0,
            changed: None,
            removed: None,
        })
    }

    /// Whether it is one of those that are there from the start.
    pub fn is_built_in(&self) -> bool {
        BuiltIn::of(&self.name).is_some()
    }
}

/// Permissions that this version knows: one that a later version wrote says nothing here.
fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PermissionSet, D::Error> {
    let texts = BTreeSet::<String>::deserialize(deserializer)?;
    Ok(texts.iter().filter_map(|text| text.parse::<Permission>().ok()).collect())
}

static ROLES: Collection = Collection {
    name: "roles",
    kind: Kind::Records,
    about: "roles that were created or edited",
    columns: &[],
    indexes: &[],
};

impl Entity for Role {
    type Id = RoleName;

    fn collection() -> &'static Collection {
        &ROLES
    }

    fn id(&self) -> RoleName {
        self.name.clone()
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

/// What every role allows: one record that every command of a user reads and guards. As long as nobody has
/// edited a role there is no such record, and the default book holds.
///
/// Commands that found no record are not guarded against the first edit. That is as if they had come before
/// it, and they did begin before it was answered: whatever else they depend on is guarded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RoleBook {
    /// The roles that were created or edited. Permissions as text: one that this version does not know, since a
    /// later one wrote it, gives nothing here and is kept.
    roles: BTreeMap<RoleName, BTreeSet<Cow<'static, str>>>,
}

/// The book's id.
#[derive(Debug, Clone, Copy)]
pub struct TheBook;

impl fmt::Display for TheBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("book")
    }
}

impl RoleBook {
    /// What a role allows; `None` if there is no such role.
    pub fn permissions(&self, role: &RoleName) -> Option<PermissionSet> {
        match self.roles.get(role) {
            Some(texts) => Some(texts.iter().filter_map(|text| text.parse::<Permission>().ok()).collect()),
            None => BuiltIn::of(role).map(BuiltIn::permissions),
        }
    }

    /// What a user with these roles may do. A role that there is not gives nothing.
    pub fn resolve<'a>(&self, roles: impl IntoIterator<Item = &'a RoleName>) -> PermissionSet {
        let mut all = self.permissions(&RoleName::USER).unwrap_or_default();
        for role in roles {
            all = all.union(self.permissions(role).unwrap_or_default());
        }
        all
    }

    /// The names of all roles.
    pub fn names(&self) -> BTreeSet<RoleName> {
        BuiltIn::ALL.map(BuiltIn::name).into_iter().chain(self.roles.keys().cloned()).collect()
    }

    /// Lets a role allow this and nothing else.
    pub fn set(&mut self, role: RoleName, permissions: PermissionSet) {
        let texts = permissions.iter().map(|permission| Cow::Owned(permission.to_string()));
        self.roles.insert(role, texts.collect());
    }

    /// Takes a role out.
    pub fn remove(&mut self, role: &RoleName) {
        self.roles.remove(role);
    }

    pub(crate) fn book_key() -> Result<Key, StoreError> {
        Self::key(&TheBook)
    }
}

static ROLE_BOOK: Collection = Collection {
    name: "role_book",
    kind: Kind::Records,
    about: "what each role allows, in one record",
    columns: &[],
    indexes: &[],
};

impl Entity for RoleBook {
    type Id = TheBook;

    fn collection() -> &'static Collection {
        &ROLE_BOOK
    }

    fn id(&self) -> TheBook {
        TheBook
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}
