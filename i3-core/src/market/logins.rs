//! Commands about passwords, and about how long logins last.

use serde::{Deserialize, Serialize};

use super::queries::declared;
use super::{Command, Context, Decided, MarketError, Marketplace, Refusal};
use crate::access::{Action, Resource};
use crate::gate::AccessChange;
use crate::id::{ResetId, TokenId, UserId};
use crate::name::Email;
use crate::outbox::Event;
use crate::secret::SecretHash;
use crate::store::{Entity, Halt, Scan, StoreExt, limits};
use crate::user::{Address, LoginGeneration, PasswordReset, User, UserSecret, UserState};

const MISSING: Refusal = Refusal::NotFound { what: "user" };

/// Begins the next generation of a user's logins, and tells the gates.
pub(super) fn end_logins(context: &mut Context<'_, '_>, user: UserId) -> Decided<u32> {
    end_logins_but(context, user, None)
}

/// The same, but for this login.
fn end_logins_but(context: &mut Context<'_, '_>, user: UserId, kept: Option<TokenId>) -> Decided<u32> {
    let former = context.tx.get::<LoginGeneration>(&user)?;
    let generation = former.as_ref().map_or(0, |former| former.generation).saturating_add(1);
    let next = LoginGeneration { user, generation, kept };
    match former {
        Some(_) => context.tx.replace(&next)?,
        None => context.tx.create(&next)?,
    }
    context.access_changed(AccessChange::User(user));
    Ok(generation)
}

/// A replayed command has no secret, and stores none.
fn set_password(context: &mut Context<'_, '_>, user: UserId, hash: Option<&SecretHash>) -> Decided<()> {
    let Some(hash) = hash else {
        if context.is_replayed() {
            return Ok(());
        }
        return Err(Halt::Refused(Refusal::invalid("password", "one is expected")));
    };
    let secret = UserSecret { user, hash: hash.clone(), set: context.tx.now() };
    match context.tx.get::<UserSecret>(&user)? {
        Some(_) => context.tx.replace(&secret),
        None => context.tx.create(&secret),
    }
}

/// Users set another password for themselves. All their logins end but the one with which it was asked, and what they
/// let programs do.
///
/// The answer is the generation of logins that begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChangePassword {
    /// Who.
    pub user: UserId,
    /// The hash that the present password was found to fit; none if it did not fit.
    #[serde(skip)]
    pub present: Option<SecretHash>,
    /// The hash of the new password.
    #[serde(skip)]
    pub password: Option<SecretHash>,
    /// The login that goes on; none if all end. Not part of what is asked: it may be asked again from another.
    #[serde(skip)]
    pub login: Option<TokenId>,
}

impl Command for ChangePassword {
    type Done = u32;
    const NAME: &'static str = "change_password";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<u32> {
        context.authorize(Action::EditUser, &Resource::of_user(self.user))?;
        if context.user() != Some(self.user) {
            return Err(Halt::Refused(Refusal::invalid("user", "passwords are changed by their owners")));
        }
        if !context.is_replayed() {
            // Another change may have come between the check and this.
            let held = context.tx.get::<UserSecret>(&self.user)?.map(|secret| secret.hash);
            if self.present.is_none() || held != self.present {
                return Err(Halt::Refused(Refusal::WrongPassword));
            }
        }
        set_password(context, self.user, self.password.as_ref())?;
        context.emit(Event::PasswordChanged { user: self.user });
        end_logins_but(context, self.user, self.login)
    }
}

/// Somebody who forgot the password of an account asks for leave to set another: the account's owner is mailed. One
/// that was asked for before gives leave no longer. The answer is for the marketplace, not for who asks: that there is
/// such a user is nobody's business.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AskPasswordReset {
    /// Whose password.
    pub user: UserId,
}

impl Command for AskPasswordReset {
    type Done = PasswordReset;
    const NAME: &'static str = "ask_password_reset";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<PasswordReset> {
        context.authorize(Action::RecoverPassword, &Resource::of_user(self.user))?;
        let user: User = context.tx.need(&self.user, MISSING)?;
        if user.email.is_none() {
            return Err(Halt::Refused(Refusal::invalid("user", "no e-mail address is known")));
        }
        if matches!(user.state, UserState::Suspended | UserState::Rejected) {
            return Err(Halt::Refused(Refusal::WrongState { what: "user", state: user.state.as_str() }));
        }
        let now = context.tx.now();
        let former = context.tx.get::<PasswordReset>(&self.user)?;
        if former.as_ref().is_some_and(|former| now < former.asked.plus(PasswordReset::PAUSE)) {
            return Err(Halt::Refused(Refusal::TooSoon));
        }
        let reset = PasswordReset { user: self.user, id: context.tx.fresh_id()?, asked: now };
        match former {
            Some(_) => context.tx.replace(&reset)?,
            None => context.tx.create(&reset)?,
        }
        context.emit(Event::PasswordResetAsked { user: self.user, reset: reset.id });
        Ok(reset)
    }
}

/// Sets another password with the leave that was mailed, once. All logins of the user end, and what programs were
/// allowed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResetPassword {
    /// Whose.
    pub user: UserId,
    /// With which leave: the caller has checked the token.
    pub reset: ResetId,
    /// The hash of the new password.
    #[serde(skip)]
    pub password: Option<SecretHash>,
}

impl Command for ResetPassword {
    type Done = ();
    const NAME: &'static str = "reset_password";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<()> {
        context.authorize(Action::RecoverPassword, &Resource::of_user(self.user))?;
        let reset: PasswordReset = context.tx.need(&self.user, Refusal::ResetNotGood)?;
        if reset.id != self.reset || !reset.is_good(context.tx.now()) {
            return Err(Halt::Refused(Refusal::ResetNotGood));
        }
        context.tx.remove::<PasswordReset>(&self.user)?;
        set_password(context, self.user, self.password.as_ref())?;
        context.emit(Event::PasswordChanged { user: self.user });
        end_logins(context, self.user)?;
        Ok(())
    }
}

/// Ends all logins of a user: tokens, sessions, and what programs were allowed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndLogins {
    /// Whose.
    pub user: UserId,
}

impl Command for EndLogins {
    type Done = ();
    const NAME: &'static str = "end_logins";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<()> {
        context.authorize(Action::EditUser, &Resource::of_user(self.user))?;
        let _: User = context.tx.need(&self.user, MISSING)?;
        context.emit(Event::LoginsEnded { user: self.user });
        end_logins(context, self.user)?;
        Ok(())
    }
}

impl Marketplace {
    /// The users of this address, a page of them at most: for who mails them.
    pub async fn users_at(&self, email: &Email) -> Result<Vec<UserId>, MarketError> {
        let equal = vec![Address::folded(email).into()];
        let scan = declared(Scan::index(Address::collection(), "by_email", equal))?.limit(limits::PAGE_ROWS);
        let (addresses, _) = self.store.list::<Address>(&scan).await?;
        Ok(addresses.into_iter().map(|address| address.user).collect())
    }
}
