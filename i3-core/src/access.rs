//! Who may do what: the vocabulary of authorization.
//!
//! Every command asks a [`Policy`] before it changes anything, so no transport can forget to. The
//! policy sees plain data and answers with the rule that decided; `i3-auth` has the role-based default.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::UserId;

/// What a user is in the marketplace. A user may have several roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Buys data.
    Consumer,
    /// Registers hubs and devices, and sells data.
    Provider,
    /// Runs the marketplace.
    Administrator,
}

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
    /// The roles of the user; empty for others.
    pub roles: BTreeSet<Role>,
    /// Whether the user is active. Always true for [`Actor::System`].
    pub active: bool,
}

impl Subject {
    /// The marketplace itself.
    pub fn system() -> Self {
        Self { actor: Actor::System, roles: BTreeSet::new(), active: true }
    }

    /// Somebody without an account.
    pub fn anonymous() -> Self {
        Self { actor: Actor::Anonymous, roles: BTreeSet::new(), active: false }
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

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $permission:literal,)*) => {
        /// What can be done, each with its permission string.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// All actions.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The permission that allows it, `thing:verb`.
            pub const fn permission(self) -> &'static str {
                match self {
                    $(Self::$name => $permission,)*
                }
            }
        }
    };
}

actions! {
    /// Open an account.
    RegisterUser = "user:register",
    /// Approve, suspend and reinstate users, and give them roles.
    ManageUsers = "user:manage",
    /// See a user's profile.
    ViewUser = "user:view",
    /// Change what a user says of himself or herself, and end the user's logins.
    EditUser = "user:edit",
    /// Ask for leave to set another password, and set it with that leave.
    RecoverPassword = "password:recover",
    /// Create a hub.
    RegisterHub = "hub:create",
    /// See a hub's devices, drafts and earnings.
    ViewHub = "hub:view",
    /// Add and remove members of a hub.
    ManageMembers = "hub:members",
    /// Register devices of a hub and change their credentials.
    ManageDevices = "device:manage",
    /// Create, list, pause and retire products of a hub, and their offers.
    ManageProducts = "product:manage",
    /// Take one's product's access away from a buyer.
    RevokeGrant = "grant:revoke",
    /// Credit a buyer's account.
    TopUp = "account:top-up",
    /// See an account.
    ViewAccount = "account:view",
    /// Buy an offer.
    Purchase = "order:create",
    /// See an order and its usage.
    ViewOrder = "order:view",
    /// Cancel an order or change its broker password.
    ManageOrder = "order:manage",
    /// Rate a product that one bought.
    Rate = "rating:create",
    /// Read the audit log, the outbox and the reconciliation report.
    Audit = "audit:view",
    /// Register an OAuth2 client.
    RegisterClient = "client:create",
    /// See an OAuth2 client, change it, replace its secret, switch it off and remove it.
    ManageClient = "client:manage",
    /// Create a virtual object.
    CreateVirtualObject = "virtual_object:create",
    /// See what is not public of a virtual object: drafts, what awaits review, what was removed.
    ViewVirtualObject = "virtual_object:view",
    /// Change a virtual object, submit it, deprecate it, and take it back.
    EditVirtualObject = "virtual_object:edit",
    /// Remove a virtual object.
    DeleteVirtualObject = "virtual_object:delete",
    /// Publish virtual objects that await review, or without one.
    PublishVirtualObject = "virtual_object:publish",
    /// Register a Thing Description.
    CreateThing = "thing:create",
    /// See a private Thing Description.
    ViewThing = "thing:view",
    /// Change a Thing Description.
    EditThing = "thing:edit",
    /// Remove a Thing Description.
    DeleteThing = "thing:delete",
    /// Take leases and report usage: the gate.
    Meter = "usage:meter",
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.permission())
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
