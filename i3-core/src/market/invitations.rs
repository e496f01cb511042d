//! Commands about invitations, and one of them; all of them are a [list](super::lists).

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::people::{is_open, known_roles};
use super::{Command, Context, Decided, MarketError, Marketplace, Refusal};
use crate::access::{Action, Actor, Resource};
use crate::id::InvitationId;
use crate::invitation::Invitation;
use crate::name::Label;
use crate::outbox::Event;
use crate::role::RoleName;
use crate::store::Halt;

/// Gives leave to open accounts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Invite {
    /// What it is for.
    pub label: Label,
    /// The roles that it gives, beside those that the guest asks for. Other than consumer and provider, they are
    /// given by who manages roles too. One that is removed meanwhile is not given.
    pub roles: BTreeSet<RoleName>,
    /// How many accounts it is good for: 1 to [`Invitation::MAX_USES`].
    pub uses: u32,
    /// How long it is good, in seconds: at least one, at most [`Invitation::MAX_LIFETIME`].
    pub lifetime_seconds: u64,
}

impl Command for Invite {
    type Done = Invitation;
    const NAME: &'static str = "invite";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Invitation> {
        context.authorize(Action::ManageUsers, &Resource::MARKETPLACE)?;
        if !(1..=Invitation::MAX_USES).contains(&self.uses) {
            let reason = format_args!("1 to {} are expected", Invitation::MAX_USES);
            return Err(Halt::Refused(Refusal::invalid("uses", reason)));
        }
        let lifetime = Duration::from_secs(self.lifetime_seconds);
        if lifetime.is_zero() || lifetime > Invitation::MAX_LIFETIME {
            let reason = format_args!("1 to {} are expected", Invitation::MAX_LIFETIME.as_secs());
            return Err(Halt::Refused(Refusal::invalid("lifetime_seconds", reason)));
        }
        if !self.roles.iter().all(is_open) {
            context.authorize(Action::ManageRoles, &Resource::MARKETPLACE)?;
        }
        if !self.roles.is_empty() {
            known_roles(context, &self.roles)?;
        }
        let now = context.tx.now();
        let invitation = Invitation {
            id: context.tx.fresh_id()?,
            by: context.actor(),
            label: self.label.clone(),
            roles: self.roles.clone(),
            left: self.uses,
            used: 0,
            created: now,
            expires: now.plus(lifetime),
        };
        context.tx.create(&invitation)?;
        context.emit(Event::InvitationChanged { invitation: invitation.id });
        Ok(invitation)
    }
}

/// Takes an invitation back: no further account is opened with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WithdrawInvitation {
    /// Which.
    pub invitation: InvitationId,
}

impl Command for WithdrawInvitation {
    type Done = Invitation;
    const NAME: &'static str = "withdraw_invitation";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Invitation> {
        context.authorize(Action::ManageUsers, &Resource::MARKETPLACE)?;
        let missing = Refusal::NotFound { what: "invitation" };
        let mut invitation: Invitation = context.tx.need(&self.invitation, missing)?;
        if invitation.left == 0 {
            let state = "used up or withdrawn";
            return Err(Halt::Refused(Refusal::WrongState { what: "invitation", state }));
        }
        invitation.left = 0;
        context.tx.replace(&invitation)?;
        context.emit(Event::InvitationChanged { invitation: invitation.id });
        Ok(invitation)
    }
}

/// Uses an invitation up by one. One that is unknown, used up, withdrawn or over is told from none of the others.
pub(super) fn accept(context: &mut Context<'_, '_>, id: InvitationId) -> Decided<Invitation> {
    let mut invitation: Invitation = context.tx.need(&id, Refusal::InvitationNotGood)?;
    if !invitation.is_good(context.tx.now()) {
        return Err(Halt::Refused(Refusal::InvitationNotGood));
    }
    invitation.left = invitation.left.saturating_sub(1);
    invitation.used = invitation.used.saturating_add(1);
    context.tx.replace(&invitation)?;
    Ok(invitation)
}

impl Marketplace {
    /// An invitation, for who manages users.
    pub async fn invitation(&self, actor: Actor, id: InvitationId) -> Result<Invitation, MarketError> {
        self.authorize(actor, Action::ManageUsers, &Resource::MARKETPLACE).await?;
        self.entity(&id, "invitation").await
    }
}
