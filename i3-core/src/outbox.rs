//! The outbox: what happened, for everything that follows the marketplace.
//!
//! Events are appended in the batch of their command, so none is lost and none is told that did not
//! happen. Positions are dense and in the order of commit: a reader keeps the last one it has dealt
//! with and asks for what comes after.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::gate::AccessChange;
use crate::id::{
    ClientId, DeviceId, GrantId, HubId, InvitationId, LeaseId, OfferId, OrderId, ProductId, ResetId, UserId,
    VirtualObjectId,
};
use crate::role::RoleName;
use crate::store::{Collection, Key, Kind, StoreError, StoreErrorKind};
use crate::thing::ThingChange;
use crate::time::Timestamp;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "event")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are the ids of what the variant names")]
pub enum Event {
    /// Somebody opened an account.
    UserRegistered { user: UserId },
    /// An account may act: approved or reinstated.
    UserActivated { user: UserId },
    /// An account may no longer act.
    UserSuspended { user: UserId },
    /// A registration was not approved.
    UserRejected { user: UserId },
    /// A user says something else of himself or herself.
    UserDescribed { user: UserId },
    /// A user has another password.
    PasswordChanged { user: UserId },
    /// Somebody asked for leave to set another password for this user.
    PasswordResetAsked { user: UserId, reset: ResetId },
    /// All logins of a user were ended.
    LoginsEnded { user: UserId },
    /// An invitation was given or withdrawn.
    InvitationChanged { invitation: InvitationId },
    /// A user was given other roles.
    RolesChanged { user: UserId },
    /// A role was created, edited or removed.
    RoleChanged { role: RoleName },
    /// A hub was registered.
    HubRegistered { hub: HubId },
    /// Who administers a hub changed.
    MembersChanged { hub: HubId, user: UserId },
    /// A hub's devices and products stopped or go on, or it was described anew.
    HubChanged { hub: HubId },
    /// A device was registered or described anew, its credentials or its state changed.
    DeviceChanged { device: DeviceId, hub: HubId },
    /// A product was created, listed, paused, retired or described anew.
    ProductChanged { product: ProductId, hub: HubId },
    /// An offer was published or withdrawn.
    OfferChanged { offer: OfferId, product: ProductId },
    /// A buyer's account was credited.
    ToppedUp { user: UserId },
    /// An order was placed.
    Purchased { order: OrderId, buyer: UserId, product: ProductId },
    /// An order ended before its time.
    OrderCancelled { order: OrderId },
    /// An order's broker password was replaced.
    PasswordReplaced { order: OrderId },
    /// A grant opens its product no longer.
    GrantEnded { grant: GrantId, epoch: u32 },
    /// A gate reported usage.
    UsageMetered { grant: GrantId, lease: LeaseId, delivered: u64 },
    /// A dead gate's lease was reclaimed.
    LeaseReclaimed { grant: GrantId, lease: LeaseId, in_doubt: u64 },
    /// An OAuth2 client was registered, described anew, given another secret, switched on or off, or removed.
    ClientChanged { client: ClientId, owner: UserId },
    /// A buyer rated a product.
    Rated { grant: GrantId, product: ProductId },
    /// A virtual object was created, or anything of it changed: content, state, links.
    VirtualObjectChanged { object: VirtualObjectId, owner: UserId },
    /// A Thing Description was registered, changed or removed.
    ThingChanged(ThingChange),
    /// What administrators added to the ontology is another version.
    OntologyChanged { number: u32 },
}

/// An event with its time and what it changes for gates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct OutboxEntry {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: Event,
    /// What gates must look at again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<AccessChange>,
}

/// Follows what this process commits, as it is committed: an index beside the store.
#[async_trait]
pub trait EventListener: Send + Sync {
    /// A command was committed. It returns to its caller once this has. `last` is the position of the last of its
    /// events. Commands that run at the same time may be told of in another order than they were committed in.
    async fn happened(&self, last: u64, events: &[Event]);
}

/// The outbox's stream.
pub(crate) static OUTBOX: Collection = Collection {
    name: "outbox",
    kind: Kind::Streams,
    about: "what happened, in the order of commit",
    columns: &[],
    indexes: &[],
};

/// The one stream of the outbox.
pub fn stream() -> Result<Key, StoreError> {
    Key::new(&OUTBOX, "events").map_err(|error| {
        StoreError::new(StoreErrorKind::Unsupported, "the outbox has no key").with_source(error)
    })
}
