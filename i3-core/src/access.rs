//! Who may do what: the vocabulary of authorization.
//!
//! Every command asks a [`Policy`] before it changes anything, so no transport can forget to. The
//! policy sees plain data and answers with the rule that decided; `i3-auth` has the role-based default.
//!
//! A program that acts for somebody is [bound](Bound) by its scopes besides: [`decide`] asks for both.
//!
//! What can be done is an [`Action`], each with a [`Permission`] string. [Roles](crate::role) are sets of
//! permissions, edited at run time.

mod action;
mod bound;
mod noted;
mod permission;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use action::Action;
pub use bound::{Bound, Denial, Limits, Purpose, decide};
pub use noted::Noted;
pub use permission::{InvalidPermission, Permission, PermissionSet, Reach};

use crate::id::UserId;
use crate::role::{RoleBook, RoleName};

/// What a member of a hub is in that hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HubRole {
    /// Sees what is not public.
    Viewer,
    /// Manages devices, products and offers.
    Manager,
    /// Manages the members too. A hub has at least one.
    Owner,
}

/// Who sends a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Somebody without an account.
    Anonymous,
    /// A user.
    User(UserId),
    /// The marketplace itself: its operator at the console, its timers, its gate.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::User(user) => user.fmt(f),
            Self::System => f.write_str("system"),
        }
    }
}

/// An actor with all that a policy may know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Who it is.
    pub actor: Actor,
    /// The roles of the user as they are given; empty for others.
    pub roles: BTreeSet<RoleName>,
    /// What these roles allow now; nothing for others than users.
    pub permissions: PermissionSet,
    /// Whether the user is active. Always true for [`Actor::System`].
    pub active: bool,
    /// What a program that acts for the user may do at most; `None` where the user acts in person. Not for policies to
    /// look at: [`decide`] does, after them.
    pub limits: Option<Limits>,
}

impl Subject {
    /// The marketplace itself.
    pub fn system() -> Self {
        Self::without_roles(Actor::System, true)
    }

    /// Somebody without an account.
    pub fn anonymous() -> Self {
        Self::without_roles(Actor::Anonymous, false)
    }

    /// A user with these roles, as the book says what they allow.
    pub fn user(user: UserId, roles: BTreeSet<RoleName>, active: bool, book: &RoleBook) -> Self {
        let permissions = book.resolve(&roles);
        Self { actor: Actor::User(user), roles, permissions, active, limits: None }
    }

    /// The same, acting through a program that is bound like this.
    #[must_use]
    pub fn through(self, bound: &Bound, book: &RoleBook) -> Self {
        let limits = matches!(self.actor, Actor::User(_)).then(|| bound.limits(&self.roles, book));
        Self { limits, ..self }
    }

    const fn without_roles(actor: Actor, active: bool) -> Self {
        Self { actor, roles: BTreeSet::new(), permissions: PermissionSet::EMPTY, active, limits: None }
    }

    /// Whether the permissions reach this: everything, or it is the subject's own.
    pub fn may(&self, action: Action, resource: &Resource) -> bool {
        match self.permissions.reach(action) {
            Some(Reach::Any) => true,
            Some(Reach::Own) => self.owns(action, resource),
            None => false,
        }
    }

    /// Whether this is the subject's own with regard to the action.
    pub fn owns(&self, action: Action, resource: &Resource) -> bool {
        matches!(self.actor, Actor::User(user) if action.own().covers(user, resource))
    }
}

/// What an action is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resource {
    /// The user whom it belongs to, where it belongs to one (an order, an account, a profile).
    pub owner: Option<UserId>,
    /// The subject's role in the hub that it belongs to, where it belongs to one.
    pub hub_role: Option<HubRole>,
}

impl Resource {
    /// Something that belongs to nobody in particular: the marketplace.
    pub const MARKETPLACE: Self = Self { owner: None, hub_role: None };

    /// Something of a user's.
    pub const fn of_user(owner: UserId) -> Self {
        Self { owner: Some(owner), hub_role: None }
    }

    /// Something of a hub's, seen by a subject with this role in it.
    pub const fn of_hub(hub_role: Option<HubRole>) -> Self {
        Self { owner: None, hub_role }
    }
}

/// Which things count as one's own for an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Own {
    /// None: it is about the marketplace as a whole.
    Nothing,
    /// What belongs to the user.
    Owner,
    /// What belongs to a hub in which the user has this role or a higher one.
    Hub(HubRole),
    /// Either.
    OwnerOrHub(HubRole),
}

impl Own {
    /// Whether this resource is the user's own.
    pub fn covers(self, user: UserId, resource: &Resource) -> bool {
        let owner = resource.owner == Some(user);
        let member = |least| resource.hub_role.is_some_and(|role| role >= least);
        match self {
            Self::Nothing => false,
            Self::Owner => owner,
            Self::Hub(least) => member(least),
            Self::OwnerOrHub(least) => owner || member(least),
        }
    }
}

/// For people: what `thing:verb:own` is about.
impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hub = |role: &HubRole| match role {
            HubRole::Viewer => "a hub that one is a member of",
            HubRole::Manager => "a hub that one manages",
            HubRole::Owner => "a hub that one owns",
        };
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Owner => f.write_str("what belongs to oneself"),
            Self::Hub(least) => write!(f, "what belongs to {}", hub(least)),
            Self::OwnerOrHub(least) => write!(f, "what belongs to oneself, or to {}", hub(least)),
        }
    }
}

/// A policy's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether the action may be done.
    pub allowed: bool,
    /// The rule that decided, for people: `providers may create hubs`.
    pub rule: Cow<'static, str>,
}

impl Decision {
    /// Allowed, by this rule.
    pub fn allow(rule: impl Into<Cow<'static, str>>) -> Self {
        Self { allowed: true, rule: rule.into() }
    }

    /// Denied, by this rule.
    pub fn deny(rule: impl Into<Cow<'static, str>>) -> Self {
        Self { allowed: false, rule: rule.into() }
    }
}

/// Decides who may do what. Pure: the same question always has the same answer.
///
/// A policy is asked within every command, on data that the command's commit guards.
pub trait Policy: fmt::Debug + Send + Sync + 'static {
    /// May this subject do this to that? The answer names its rule.
    fn decide(&self, subject: &Subject, action: Action, resource: &Resource) -> Decision;
}
