//! The steps of a trace about accounts: invitations, profiles, passwords and logins.

use std::collections::BTreeSet;

use super::known::{absent, note, pick};
use super::step::{Act, Step};
use super::world::{World, fit};
use crate::access::Actor;
use crate::id::{InvitationId, ResetId, UserId};
use crate::market::{
    AskPasswordReset, ChangePassword, DescribeUser, EndLogins, Invite, ProfilePart, RegisterUser, RejectUser,
    ResetPassword, WithdrawInvitation,
};
use crate::secret::SecretHash;
use crate::store::{StoreError, StoreExt as _};
use crate::user::{Profile, UserSecret};

impl World {
    fn invitation(&self, choice: u8) -> InvitationId {
        pick(&self.known.invitations, choice, absent())
    }

    /// The password that the user has, if it shall be the right one.
    async fn present(&self, user: UserId, right: bool) -> Result<Option<SecretHash>, StoreError> {
        if !right {
            return Ok(None);
        }
        let secret = self.market()?.store().get::<UserSecret>(&user).await?;
        Ok(secret.map(|secret| secret.entity.hash))
    }

    pub(super) async fn accounts(&mut self, step: &Step) -> Result<String, StoreError> {
        let words = match &step.act {
            Act::Invite { roles, uses } => {
                let command = Invite {
                    label: fit("The members of the club".parse())?,
                    roles: roles.iter().cloned().collect(),
                    uses: u32::from(*uses),
                    lifetime_seconds: 120,
                };
                let (done, words) = self.run(self.sent(step, Actor::System)?, &command).await?;
                note(&mut self.known.invitations, done.map(|invitation| invitation.id));
                words
            }
            Act::WithdrawInvitation { invitation } => {
                let command = WithdrawInvitation { invitation: self.invitation(*invitation) };
                self.run(self.sent(step, Actor::System)?, &command).await?.1
            }
            Act::RegisterInvited { name, invitation } => {
                let register = RegisterUser {
                    name: fit(format!("guest-{name}").parse())?,
                    display: fit(format!("Guest {name}").parse())?,
                    email: None,
                    roles: [].into(),
                    profile: profile(*name)?,
                    invitation: Some(self.invitation(*invitation)),
                    password: Some(SecretHash::new("hash")),
                };
                let (done, words) = self.run(self.sent(step, Actor::Anonymous)?, &register).await?;
                note(&mut self.known.users, done.map(|user| user.id));
                words
            }
            Act::RejectUser { user } => {
                let command = RejectUser { user: self.user(*user) };
                self.run(self.sent(step, Actor::System)?, &command).await?.1
            }
            Act::DescribeUser { user, domain } => {
                let user = self.user(*user);
                let display = Some(fit(format!("Whoever {domain}").parse())?);
                // Every second one leaves something as it was.
                let keeps = if domain % 2 == 0 { BTreeSet::new() } else { [ProfilePart::TimeZone].into() };
                let command = DescribeUser { user, display, profile: profile(*domain)?, keeps };
                self.run(self.sent(step, Actor::User(user))?, &command).await?.1
            }
            Act::ChangePassword { user, right } => {
                let user = self.user(*user);
                let present = self.present(user, *right).await?;
                let password = Some(SecretHash::new("changed"));
                let command = ChangePassword { user, present, password, login: None };
                self.run(self.sent(step, Actor::User(user))?, &command).await?.1
            }
            Act::AskPasswordReset { user } => {
                let user = self.user(*user);
                let (done, words) =
                    self.run(self.sent(step, Actor::Anonymous)?, &AskPasswordReset { user }).await?;
                note(&mut self.known.resets, done.map(|reset| (user, reset.id)));
                words
            }
            Act::ResetPassword { user, right } => {
                let user = self.user(*user);
                let mut known = self.known.resets.iter().rev().filter(|(whose, _)| *right && *whose == user);
                let reset: ResetId = known.next().map_or_else(absent, |(_, reset)| *reset);
                let command = ResetPassword { user, reset, password: Some(SecretHash::new("set anew")) };
                self.run(self.sent(step, Actor::Anonymous)?, &command).await?.1
            }
            Act::EndLogins { user } => {
                let user = self.user(*user);
                self.run(self.sent(step, Actor::User(user))?, &EndLogins { user }).await?.1
            }
            _ => "no command about accounts".to_owned(),
        };
        Ok(words)
    }
}

/// What somebody says.
fn profile(number: u8) -> Result<Profile, StoreError> {
    let domain =
        (!number.is_multiple_of(3)).then(|| fit(format!("smart-home-{number}").parse())).transpose()?;
    let time_zone = (!number.is_multiple_of(2)).then(|| fit("Asia/Seoul".parse())).transpose()?;
    Ok(Profile { domain, time_zone, unobserved: number % 5 == 4, few_mails: false })
}
