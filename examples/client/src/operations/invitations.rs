//! Invitations to open an account.

use std::collections::BTreeSet;

use i3_core::id::InvitationId;
use i3_core::invitation::Invitation;
use i3_core::market::TimeOrder;
use i3_core::name::Label;
use i3_core::role::RoleName;
use serde::{Deserialize, Serialize};

use crate::{Change, Client, Pages, Query, Secret};

/// Who shall be invited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewInvitation {
    /// Who is meant.
    pub label: Label,
    /// What the guests will be, besides what they ask for.
    pub roles: BTreeSet<RoleName>,
    /// How often it can be used: once if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// How long it is good: a week if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_seconds: Option<u64>,
}

/// An invitation with its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Invited {
    /// What the guest has to present.
    pub token: Secret,
    /// The invitation.
    #[serde(flatten)]
    pub invitation: Invitation,
}

/// Which invitations, and in which order. The default: all, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct InvitationQuery {
    /// Those that an account can be opened with now, or those that it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good: Option<bool>,
    /// In this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<TimeOrder>,
}

impl Client {
    /// Gives leave to open accounts.
    pub fn invite(&self, invitation: &NewInvitation) -> Change<Invited> {
        self.post("/invitations", invitation)
    }

    /// All invitations.
    pub fn list_invitations(&self, query: &InvitationQuery) -> Pages<Invitation> {
        self.list("/invitations").parameters(query)
    }

    /// An invitation.
    pub fn show_invitation(&self, invitation: InvitationId) -> Query<Invitation> {
        self.get(format!("/invitations/{invitation}"))
    }

    /// Takes an invitation back.
    pub fn withdraw_invitation(&self, invitation: InvitationId) -> Change<Invitation> {
        self.delete(format!("/invitations/{invitation}"))
    }
}
