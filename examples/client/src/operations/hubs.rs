//! Hubs, their members and their sales.

use i3_core::access::HubRole;
use i3_core::hub::{Hub, HubState, Membership};
use i3_core::id::{HubId, UserId};
use i3_core::name::{Label, Slug};
use i3_core::order::Order;
use serde::Serialize;

use crate::{Change, Client, OrderQuery, Pages, Query};

/// A hub to be registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HubRegistration {
    /// Its name, the second part of its topics.
    pub slug: Slug,
    /// What people read.
    pub title: Label,
}

/// What people shall read about a hub; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct HubPatch {
    /// The new title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Label>,
}

#[derive(Serialize)]
struct StateChange {
    state: HubState,
}

#[derive(Serialize)]
struct MemberChange {
    role: HubRole,
}

/// Which members of a hub. The default: all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct MemberQuery {
    /// Those with this role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<HubRole>,
}

impl Client {
    /// Registers a hub, whose owner one becomes.
    pub fn register_hub(&self, hub: &HubRegistration) -> Change<Hub> {
        self.post("/hubs", hub)
    }

    /// A hub's public face.
    pub fn show_hub(&self, hub: HubId) -> Query<Hub> {
        self.get(format!("/hubs/{hub}"))
    }

    /// Changes what people read about a hub.
    pub fn edit_hub(&self, hub: HubId, patch: &HubPatch) -> Change<Hub> {
        self.patch(format!("/hubs/{hub}"), patch)
    }

    /// Suspends or reinstates a hub.
    pub fn set_hub_state(&self, hub: HubId, state: HubState) -> Change<Hub> {
        self.put(format!("/hubs/{hub}/state"), &StateChange { state })
    }

    /// The members of a hub.
    pub fn list_members(&self, hub: HubId, query: &MemberQuery) -> Pages<Membership> {
        self.list(format!("/hubs/{hub}/members")).parameters(query)
    }

    /// Makes a user a member of a hub, or another kind of member.
    pub fn set_member(&self, hub: HubId, user: UserId, role: HubRole) -> Change<Membership> {
        self.put(format!("/hubs/{hub}/members/{user}"), &MemberChange { role })
    }

    /// Removes a member from a hub.
    pub fn remove_member(&self, hub: HubId, user: UserId) -> Change<()> {
        self.delete(format!("/hubs/{hub}/members/{user}"))
    }

    /// The orders of a hub's products.
    pub fn list_sales(&self, hub: HubId, query: &OrderQuery) -> Pages<Order> {
        self.list(format!("/hubs/{hub}/orders")).parameters(query)
    }
}
