//! Commands about hubs and their members.

use serde::{Deserialize, Serialize};

use super::{Command, Context, Decided, Refusal};
use crate::access::{Action, HubRole, Resource};
use crate::gate::AccessChange;
use crate::hub::{Hub, HubState, Membership, MembershipId};
use crate::id::{HubId, UserId};
use crate::name::{Label, Slug};
use crate::outbox::Event;
use crate::reservation::Reservation;
use crate::store::Halt;
use crate::user::User;

/// Registers a hub; the actor becomes its first owner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegisterHub {
    /// The unique name that topics and device logins start with.
    pub slug: Slug,
    /// What others see.
    pub title: Label,
}

impl Command for RegisterHub {
    type Done = Hub;
    const NAME: &'static str = "register_hub";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Hub> {
        context.authorize(Action::RegisterHub, &Resource::MARKETPLACE)?;
        let Some(user) = context.user() else {
            return Err(Halt::Refused(Refusal::invalid(
                "actor",
                "a hub is registered by a user, its first owner",
            )));
        };
        let name = Reservation::hub(&self.slug);
        if context.tx.get::<Reservation>(&name)?.is_some() {
            return Err(Halt::Refused(Refusal::Taken { what: "hub name" }));
        }
        let id: HubId = context.tx.fresh_id()?;
        let now = context.tx.now();
        let hub = Hub {
            id,
            slug: self.slug.clone(),
            title: self.title.clone(),
            state: HubState::Active,
            members: 1,
            owners: 1,
            registered: now,
        };
        context.tx.create(&Reservation { name, holder: id.to_string() })?;
        context.tx.create(&hub)?;
        context.tx.create(&Membership { hub: id, user, role: HubRole::Owner, since: now })?;
        context.emit(Event::HubRegistered { hub: id });
        Ok(hub)
    }
}

/// Changes what people read about a hub; what is `None` stays. Its name never changes: topics and logins begin with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DescribeHub {
    /// The hub.
    pub hub: HubId,
    /// The new title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Label>,
}

impl Command for DescribeHub {
    type Done = Hub;
    const NAME: &'static str = "describe_hub";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Hub> {
        let mut hub = context.hub_for(self.hub, Action::EditHub)?;
        if let Some(title) = &self.title {
            hub.title.clone_from(title);
        }
        context.tx.replace(&hub)?;
        context.emit(Event::HubChanged { hub: hub.id });
        Ok(hub)
    }
}

/// Makes a user a member of a hub, or changes a member's role.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetMember {
    /// The hub.
    pub hub: HubId,
    /// Who.
    pub user: UserId,
    /// As what.
    pub role: HubRole,
}

impl Command for SetMember {
    type Done = Membership;
    const NAME: &'static str = "set_member";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Membership> {
        let hub = context.hub_for(self.hub, Action::ManageMembers)?;
        context.tx.need::<User>(&self.user, Refusal::NotFound { what: "user" })?;
        let id = MembershipId { hub: self.hub, user: self.user };
        let before: Option<Membership> = context.tx.get(&id)?;
        let since = before.as_ref().map_or(context.tx.now(), |membership| membership.since);
        let membership = Membership { hub: self.hub, user: self.user, role: self.role, since };
        let was_owner = before.as_ref().is_some_and(|membership| membership.role == HubRole::Owner);
        count(context, hub, (before.is_some(), was_owner), (true, self.role == HubRole::Owner))?;
        match before {
            Some(_) => context.tx.replace(&membership)?,
            None => context.tx.create(&membership)?,
        }
        context.emit(Event::MembersChanged { hub: self.hub, user: self.user });
        Ok(membership)
    }
}

/// Ends a membership.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveMember {
    /// The hub.
    pub hub: HubId,
    /// Who.
    pub user: UserId,
}

impl Command for RemoveMember {
    type Done = ();
    const NAME: &'static str = "remove_member";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<()> {
        let hub = context.hub_for(self.hub, Action::ManageMembers)?;
        let id = MembershipId { hub: self.hub, user: self.user };
        let before: Membership = context.tx.need(&id, Refusal::NotFound { what: "member" })?;
        count(context, hub, (true, before.role == HubRole::Owner), (false, false))?;
        context.tx.remove::<Membership>(&id)?;
        context.emit(Event::MembersChanged { hub: self.hub, user: self.user });
        Ok(())
    }
}

/// Keeps the numbers of members and owners in the hub's record, so that two removals at once conflict
/// there, and so does who begins to be a member with who relies on being none. `was` and `is` say whether
/// the user is a member, and an owner.
fn count(context: &mut Context<'_, '_>, mut hub: Hub, was: (bool, bool), is: (bool, bool)) -> Decided<()> {
    if was == is {
        return Ok(());
    }
    let counted = |number: u32, was, is| match (was, is) {
        (false, true) => number.saturating_add(1),
        (true, false) => number.saturating_sub(1),
        _ => number,
    };
    hub.members = counted(hub.members, was.0, is.0);
    hub.owners = counted(hub.owners, was.1, is.1);
    if hub.owners == 0 {
        return Err(Halt::Refused(Refusal::LastOwner));
    }
    context.tx.replace(&hub)
}

/// Suspends a hub (its devices are cut off, its products are not delivered) or reinstates it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetHubState {
    /// The hub.
    pub hub: HubId,
    /// The state that it shall be in.
    pub state: HubState,
}

impl Command for SetHubState {
    type Done = Hub;
    const NAME: &'static str = "set_hub_state";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Hub> {
        context.authorize(Action::ManageUsers, &Resource::MARKETPLACE)?;
        let mut hub: Hub = context.tx.need(&self.hub, Refusal::NotFound { what: "hub" })?;
        if hub.state == self.state {
            let state = if self.state == HubState::Active { "active" } else { "suspended" };
            return Err(Halt::Refused(Refusal::WrongState { what: "hub", state }));
        }
        hub.state = self.state;
        context.tx.replace(&hub)?;
        context.emit(Event::HubChanged { hub: hub.id });
        context.access_changed(AccessChange::Hub(hub.id));
        Ok(hub)
    }
}
