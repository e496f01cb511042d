//! Hubs: an organization's registry of devices and products (I3-v1, section II-A).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::access::HubRole;
use crate::id::{HubId, UserId};
use crate::name::{Label, Slug};
use crate::store::{Collection, Column, Entity, Index, Kind, Value};
use crate::time::Timestamp;

/// What a hub is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HubState {
    /// Its devices publish and its products are delivered.
    Active,
    /// Neither.
    Suspended,
}

/// An organization's registry of devices and products.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Hub {
    /// The id.
    pub id: HubId,
    /// The unique name that its topics and device logins start with. Never changes.
    pub slug: Slug,
    /// What others see.
    pub title: Label,
    /// What it is in.
    pub state: HubState,
    /// How many members it has. Who relies on somebody being no member reads the hub too, so that a
    /// membership that begins meanwhile is noticed.
    pub members: u32,
    /// How many of them are owners: never none.
    pub owners: u32,
    /// When it was registered.
    pub registered: Timestamp,
}

static HUBS: Collection = Collection {
    name: "hubs",
    kind: Kind::Records,
    about: "organizations' registries of devices and products",
    columns: &[Column::text("slug"), Column::int("registered")],
    indexes: &[],
};

impl Entity for Hub {
    type Id = HubId;

    fn collection() -> &'static Collection {
        &HUBS
    }

    fn id(&self) -> HubId {
        self.id
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![Some(self.slug.as_str().into()), Some(self.registered.micros().into())]
    }
}

/// That a user administers a hub, and as what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Membership {
    /// The hub.
    pub hub: HubId,
    /// The member.
    pub user: UserId,
    /// As what.
    pub role: HubRole,
    /// Since when.
    pub since: Timestamp,
}

/// Names a [`Membership`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembershipId {
    /// The hub.
    pub hub: HubId,
    /// The member.
    pub user: UserId,
}

impl fmt::Display for MembershipId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.hub, self.user)
    }
}

static MEMBERSHIPS: Collection = Collection {
    name: "memberships",
    kind: Kind::Records,
    about: "who administers which hub",
    columns: &[Column::text("hub"), Column::text("user"), Column::text("role")],
    indexes: &[Index { name: "by_user", columns: &["user"] }],
};

impl Entity for Membership {
    type Id = MembershipId;

    fn collection() -> &'static Collection {
        &MEMBERSHIPS
    }

    fn id(&self) -> MembershipId {
        MembershipId { hub: self.hub, user: self.user }
    }

    fn values(&self) -> Vec<Option<Value>> {
        let role = match self.role {
            HubRole::Viewer => "viewer",
            HubRole::Manager => "manager",
            HubRole::Owner => "owner",
        };
        vec![Some(self.hub.to_string().into()), Some(self.user.to_string().into()), Some(role.into())]
    }
}
