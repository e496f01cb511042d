//! What an actor may do, for those who show it before it is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{MarketError, Marketplace};
use crate::access::{Action, Actor, HubRole, Policy, Purpose, Resource, Subject, decide};
use crate::hub::Membership;
use crate::id::{HubId, UserId};
use crate::store::{Scan, StoreExt};

/// An actor with its roles as they were at one moment. What it is told it may do is a hint: the command decides.
#[derive(Debug, Clone)]
pub struct Caller {
    subject: Subject,
    hubs: BTreeMap<HubId, HubRole>,
    policy: Arc<dyn Policy>,
}

impl Caller {
    /// Who it is.
    pub fn actor(&self) -> Actor {
        self.subject.actor
    }

    /// Whether it is this user.
    pub fn is(&self, user: UserId) -> bool {
        self.subject.actor == Actor::User(user)
    }

    /// Whether the policy allows it this, and the scopes of the program that it acts through.
    pub fn may(&self, action: Action, resource: &Resource) -> bool {
        let purpose = if action.is_view() { Purpose::Reading } else { Purpose::Changing };
        decide(&*self.policy, &self.subject, purpose, action, resource).is_ok()
    }

    /// Whether the policy allows it this in a hub.
    pub fn may_in_hub(&self, action: Action, hub: HubId) -> bool {
        self.may(action, &Resource::of_hub(self.hubs.get(&hub).copied()))
    }

    /// Whether the policy allows it this with something of a user's.
    pub fn may_with(&self, action: Action, owner: UserId) -> bool {
        self.may(action, &Resource::of_user(owner))
    }
}

impl Marketplace {
    /// An actor with all that is needed to say what it may do.
    pub async fn caller(&self, actor: Actor) -> Result<Caller, MarketError> {
        let subject = self.subject(actor).await?;
        let mut hubs = BTreeMap::new();
        if let Actor::User(user) = actor {
            for membership in self.store.all::<Membership>(memberships_of(user)?).await? {
                hubs.insert(membership.hub, membership.role);
            }
        }
        Ok(Caller { subject, hubs, policy: self.policy.clone() })
    }
}

/// Where a user's memberships are found.
pub(super) fn memberships_of(user: UserId) -> Result<Scan, crate::store::StoreError> {
    use crate::store::Entity as _;
    super::queries::declared(Scan::index(Membership::collection(), "by_user", vec![user.to_string().into()]))
}
