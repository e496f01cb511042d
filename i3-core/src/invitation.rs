//! Invitations: leave to open an account, given beforehand.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::access::Actor;
use crate::id::InvitationId;
use crate::name::Label;
use crate::role::RoleName;
use crate::store::{Collection, Column, Entity, Kind, Value};
use crate::time::Timestamp;

/// Leave to open an account. Whoever has the token that is made of the id may use it; the token is shown to who
/// invites, and not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Invitation {
    /// The id.
    pub id: InvitationId,
    /// Who invites.
    pub by: Actor,
    /// What it is for, in the words of who invites.
    pub label: Label,
    /// The roles that it gives, beside those that the guest asks for.
    pub roles: BTreeSet<RoleName>,
    /// How many accounts may still be opened with it.
    pub left: u32,
    /// How many were.
    pub used: u32,
    /// When it was given.
    pub created: Timestamp,
    /// From when on it is not good.
    pub expires: Timestamp,
}

impl Invitation {
    /// Accounts that one invitation is good for at most.
    pub const MAX_USES: u32 = 10_000;
    /// How long one is good at most.
    pub const MAX_LIFETIME: Duration = Duration::from_hours(366 * 24);

    /// Whether an account may be opened with it at this time.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.left > 0 && now < self.expires
    }
}

static INVITATIONS: Collection = Collection {
    name: "invitations",
    kind: Kind::Records,
    about: "leave to open an account",
    columns: &[Column::int("expires")],
    indexes: &[],
};

impl Entity for Invitation {
    type Id = InvitationId;

    fn collection() -> &'static Collection {
        &INVITATIONS
    }

    fn id(&self) -> InvitationId {
        self.id
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![Some(self.expires.micros().into())]
    }
}
