//! What a traced marketplace stands on: rules, ids and an ear for changes of access.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::access::{Action, Actor, Decision, HubRole, Policy, Resource, Subject};
use crate::gate::{AccessChange, AccessListener};
use crate::id::{IdSource, NoEntropy};
use crate::role::RoleName;
use crate::testkit::faults::FaultyStore;
use crate::time::Timestamp;

/// Short rules with every kind of answer; the real ones are `i3-auth`'s.
#[derive(Debug)]
pub(super) struct HouseRules;

impl Policy for HouseRules {
    fn decide(&self, subject: &Subject, action: Action, resource: &Resource) -> Decision {
        let own = matches!(subject.actor, Actor::User(user) if resource.owner == Some(user));
        let role = |role: RoleName| subject.roles.contains(&role);
        let in_hub = |least| resource.hub_role.is_some_and(|role| role >= least);
        let allowed = match (subject.actor, action) {
            (Actor::System, _) | (_, Action::RegisterUser | Action::RecoverPassword) => true,
            (Actor::Anonymous, _) => false,
            (_, Action::ViewUser) if own => true,
            _ if !subject.active => return Decision::deny("the account is not active"),
            (_, Action::EditUser | Action::ViewThing | Action::EditThing | Action::DeleteThing) => own,
            (_, Action::RegisterHub | Action::CreateVirtualObject) => role(RoleName::PROVIDER),
            (_, Action::ViewHub) => in_hub(HubRole::Viewer),
            (_, Action::ManageMembers) => in_hub(HubRole::Owner),
            (_, Action::EditHub | Action::ManageDevices | Action::ManageProducts | Action::RevokeGrant) => {
                in_hub(HubRole::Manager)
            }
            (_, Action::RegisterClient | Action::ViewRoles) => true,
            (_, Action::ViewVirtualObject) => own || in_hub(HubRole::Viewer) || role(RoleName::ADMINISTRATOR),
            (_, Action::EditVirtualObject | Action::DeleteVirtualObject) => {
                (own && role(RoleName::PROVIDER)) || in_hub(HubRole::Manager) || role(RoleName::ADMINISTRATOR)
            }
            (_, Action::ManageClient) => own || role(RoleName::ADMINISTRATOR),
            (_, Action::CreateThing) => own && role(RoleName::PROVIDER),
            (_, Action::Purchase | Action::Rate) => own && role(RoleName::CONSUMER),
            (_, Action::ViewUser | Action::ViewAccount | Action::ViewOrder | Action::ManageOrder) => {
                own || in_hub(HubRole::Viewer) || role(RoleName::ADMINISTRATOR)
            }
            (
                _,
                Action::ManageUsers
                | Action::ManageRoles
                | Action::ManageOntology
                | Action::TopUp
                | Action::Audit
                | Action::PublishVirtualObject,
            ) => role(RoleName::ADMINISTRATOR),
            _ => false,
        };
        if allowed { Decision::allow("the house allows it") } else { Decision::deny("the house denies it") }
    }
}

#[derive(Debug, Default)]
struct Place {
    step: u64,
    next: u64,
    /// Attempts that had been ended by faults when `next` was last right.
    ended: u64,
}

/// Ids that depend on nothing but the step and how many it took before. After a fault of the store the
/// step's ids are given again, so that another attempt is the same.
#[derive(Debug, Default)]
pub(super) struct StepIds {
    place: Mutex<Place>,
    faults: Option<Arc<FaultyStore>>,
}

impl StepIds {
    pub(super) fn over(faults: Option<Arc<FaultyStore>>) -> Self {
        Self { place: Mutex::default(), faults }
    }

    pub(super) fn begin(&self, step: u64) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        (place.step, place.next) = (step, 0);
    }
}

impl IdSource for StepIds {
    fn fresh(&self, now: Timestamp) -> Result<u128, NoEntropy> {
        let ended = self.faults.as_ref().map_or(0, |store| store.ended_attempts());
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.ended != ended {
            (place.ended, place.next) = (ended, 0);
        }
        place.next += 1;
        Ok(bits(now, place.step, place.next))
    }
}

/// The id of this number within the step.
pub(super) fn bits(now: Timestamp, step: u64, number: u64) -> u128 {
    let millis = u128::try_from(now.micros().max(0) / 1_000).unwrap_or(0);
    (millis << 80) | (u128::from(step) << 40) | u128::from(number)
}

/// Remembers the changes of access that were announced.
#[derive(Debug, Default)]
pub(super) struct Ear(Mutex<Vec<AccessChange>>);

impl Ear {
    pub(super) fn take(&self) -> Vec<AccessChange> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl AccessListener for Ear {
    async fn access_changed(&self, changes: &[AccessChange]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(changes);
    }
}
