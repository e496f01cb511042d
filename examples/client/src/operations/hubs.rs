//! Hubs, their members and their sales.

use i3_core::access::HubRole;
use i3_core::hub::{Hub, HubState, Membership};
use i3_core::id::{HubId, UserId};
use i3_core::name::{Label, Slug};
use i3_core::order::Order;
use serde::Serialize;

use crate::{Change, Client, Pages, Query};

/// A hub to be registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HubRegistration {
    /// Its name, the second part of its topics.
    pub slug: Slug,
    /// What people read.
    pub title: Label,
}

#[derive(Serialize)]
struct StateChange {
    state: HubState,
}

#[derive(Serialize)]
struct MemberChange {
    role: HubRole,
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

    /// Suspends or reinstates a hub.
    pub fn set_hub_state(&self, hub: HubId, state: HubState) -> Change<Hub> {
        self.put(format!("/hubs/{hub}/state"), &StateChange { state })
    }

    /// The members of a hub.
    pub fn list_members(&self, hub: HubId) -> Pages<Membership> {
        self.list(format!("/hubs/{hub}/members"))
    }

    /// Makes a user a member of a hub, or another kind of member.
    pub fn set_member(&self, hub: HubId, user: UserId, role: HubRole) -> Change<Membership> {
        self.put(format!("/hubs/{hub}/members/{user}"), &MemberChange { role })
    }

    /// Removes a member from a hub.
    pub fn remove_member(&self, hub: HubId, user: UserId) -> Change<()> {
        self.delete(format!("/hubs/{hub}/members/{user}"))
    }

    /// The orders of a hub's products, newest first.
    pub fn list_sales(&self, hub: HubId) -> Pages<Order> {
        self.list(format!("/hubs/{hub}/orders"))
    }
}
