//! Commands about users.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::invitations::accept;
use super::logins::end_logins;
use super::{Command, Context, Decided, Refusal, Registration};
use crate::access::{Action, Resource};
use crate::gate::AccessChange;
use crate::id::{InvitationId, UserId};
use crate::name::{Email, Label, Slug};
use crate::outbox::Event;
use crate::reservation::Reservation;
use crate::role::{BuiltIn, RoleBook, RoleName};
use crate::secret::SecretHash;
use crate::store::{Entity, Halt, Key, StoreError};
use crate::user::{Address, Profile, User, UserSecret, UserState};

/// Opens an account. Everybody may be a consumer or a provider; other roles are given by who manages users and
/// roles, also by an invitation.
///
/// Whether the account may act at once is the [`Registration`] policy's question; who was invited always may.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegisterUser {
    /// The login name, unique.
    pub name: Slug,
    /// What others see.
    pub display: Label,
    /// Where to reach the user.
    pub email: Option<Email>,
    /// What the user wants to be: at least one role, unless an invitation gives one.
    pub roles: BTreeSet<RoleName>,
    /// What the user says of himself or herself.
    #[serde(default, skip_serializing_if = "Profile::is_empty")]
    pub profile: Profile,
    /// With which invitation: the caller has checked the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<InvitationId>,
    /// The password's hash. Not part of what an idempotency key stands for.
    #[serde(skip)]
    pub password: Option<SecretHash>,
}

impl Command for RegisterUser {
    type Done = User;
    const NAME: &'static str = "register_user";

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        Ok(vec![Reservation::key(&Reservation::user(&self.name))?, RoleBook::book_key()?])
    }

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<User> {
        context.authorize(Action::RegisterUser, &Resource::MARKETPLACE)?;
        let managed = context.authorize(Action::ManageUsers, &Resource::MARKETPLACE);
        if !self.roles.iter().all(is_open) {
            managed.as_ref().map_err(|_| forbidden_role())?;
            context.authorize(Action::ManageRoles, &Resource::MARKETPLACE)?;
        }
        let invitation = match self.invitation {
            Some(invitation) => Some(accept(context, invitation)?),
            None => None,
        };
        let book = context.roles()?;
        let given = invitation.iter().flat_map(|invitation| invitation.roles.iter());
        let given = given.filter(|role| book.permissions(role).is_some());
        let roles: BTreeSet<RoleName> = self.roles.iter().chain(given).cloned().collect();
        known_roles(context, &roles)?;
        let name = Reservation::user(&self.name);
        if context.tx.get::<Reservation>(&name)?.is_some() {
            return Err(Halt::Refused(Refusal::Taken { what: "user name" }));
        }
        let id: UserId = context.tx.fresh_id()?;
        // Settings are asked only where they matter: the audit log keeps what was asked.
        let vouched = managed.is_ok() || invitation.is_some();
        let approved = vouched
            || match context.settings().registration {
                Registration::Open => true,
                Registration::Approval => false,
                Registration::Invitation => return Err(Halt::Refused(Refusal::InvitationNeeded)),
            };
        let now = context.tx.now();
        let user = User {
            id,
            name: self.name.clone(),
            display: self.display.clone(),
            email: self.email.clone(),
            roles,
            state: if approved { UserState::Active } else { UserState::Pending },
            registered: now,
            profile: self.profile.clone(),
        };
        context.tx.create(&Reservation { name, holder: id.to_string() })?;
        context.tx.create(&user)?;
        if let Some(hash) = &self.password {
            context.tx.create(&UserSecret { user: id, hash: hash.clone(), set: now })?;
        }
        if let Some(email) = &self.email {
            context.tx.create(&Address { user: id, email: Address::folded(email) })?;
        }
        context.emit(Event::UserRegistered { user: id });
        Ok(user)
    }
}

fn forbidden_role() -> Halt<Refusal> {
    Halt::Refused(Refusal::Forbidden {
        action: Action::ManageUsers,
        rule: "anybody may register as a consumer or a provider, and as nothing else".to_owned(),
    })
}

/// Whether anybody may register with the role.
pub(super) fn is_open(role: &RoleName) -> bool {
    matches!(BuiltIn::of(role), Some(BuiltIn::Consumer | BuiltIn::Provider))
}

/// Refuses roles that nobody can be given.
pub(super) fn known_roles(context: &mut Context<'_, '_>, roles: &BTreeSet<RoleName>) -> Decided<()> {
    let refuse = |reason: String| Err(Halt::Refused(Refusal::invalid("roles", reason)));
    if roles.is_empty() {
        return refuse("at least one is expected".to_owned());
    }
    let book = context.roles()?;
    for role in roles {
        if *role == RoleName::USER {
            return refuse(format!("everybody has the role `{role}`: it is not given"));
        }
        if book.permissions(role).is_none() {
            return refuse(format!("there is no role `{role}`"));
        }
    }
    Ok(())
}

/// Refuses to take an active administrator away from the marketplace, unless another active administrator does
/// it. So one is always left: the commit guards the record of the one who asks, and of two who take each other
/// away at the same moment one comes too late.
fn keep_an_administrator(context: &mut Context<'_, '_>, before: &User) -> Decided<()> {
    let is_one =
        |user: &User| user.state == UserState::Active && user.roles.contains(&RoleName::ADMINISTRATOR);
    if !is_one(before) {
        return Ok(());
    }
    if let Some(asking) = context.user().filter(|asking| *asking != before.id)
        && context.tx.get::<User>(&asking)?.as_ref().is_some_and(is_one)
    {
        return Ok(());
    }
    Err(Halt::Refused(Refusal::LastAdministrator))
}

fn managed_user(context: &mut Context<'_, '_>, user: UserId) -> Decided<User> {
    context.authorize(Action::ManageUsers, &Resource::of_user(user))?;
    context.tx.need(&user, Refusal::NotFound { what: "user" })
}

/// Approves a pending user, or one who was rejected by mistake, or reinstates a suspended one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ActivateUser {
    /// Who.
    pub user: UserId,
}

impl Command for ActivateUser {
    type Done = User;
    const NAME: &'static str = "activate_user";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<User> {
        let mut user = managed_user(context, self.user)?;
        if user.state == UserState::Active {
            return Err(Halt::Refused(Refusal::WrongState { what: "user", state: "active" }));
        }
        user.state = UserState::Active;
        context.tx.replace(&user)?;
        context.emit(Event::UserActivated { user: user.id });
        context.access_changed(AccessChange::User(user.id));
        Ok(user)
    }
}

/// Rejects a registration that waits for approval.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RejectUser {
    /// Who.
    pub user: UserId,
}

impl Command for RejectUser {
    type Done = User;
    const NAME: &'static str = "reject_user";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<User> {
        let mut user = managed_user(context, self.user)?;
        if user.state != UserState::Pending {
            return Err(Halt::Refused(Refusal::WrongState { what: "user", state: user.state.as_str() }));
        }
        user.state = UserState::Rejected;
        context.tx.replace(&user)?;
        context.emit(Event::UserRejected { user: user.id });
        Ok(user)
    }
}

/// Users describe themselves anew: what others see, and the [`Profile`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DescribeUser {
    /// Who.
    pub user: UserId,
    /// What others see from now on; as it is if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<Label>,
    /// What the user says.
    #[serde(default, skip_serializing_if = "Profile::is_empty")]
    pub profile: Profile,
    /// What of the profile stays as it is, whatever `profile` says of it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub keeps: BTreeSet<ProfilePart>,
}

/// A part of a [`Profile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfilePart {
    /// The `IoT` domain.
    Domain,
    /// Where the user's day begins.
    TimeZone,
    /// Whether the user does not want to be observed.
    Unobserved,
    /// Whether the user wants few e-mails.
    FewMails,
}

/// The profile that comes of this one where nothing is kept, and of the one before where something is.
fn described(new: &Profile, keeps: &BTreeSet<ProfilePart>, before: &Profile) -> Profile {
    let mut profile = new.clone();
    for part in keeps {
        match part {
            ProfilePart::Domain => profile.domain.clone_from(&before.domain),
            ProfilePart::TimeZone => profile.time_zone.clone_from(&before.time_zone),
            ProfilePart::Unobserved => profile.unobserved = before.unobserved,
            ProfilePart::FewMails => profile.few_mails = before.few_mails,
        }
    }
    profile
}

impl Command for DescribeUser {
    type Done = User;
    const NAME: &'static str = "describe_user";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<User> {
        context.authorize(Action::EditUser, &Resource::of_user(self.user))?;
        let mut user: User = context.tx.need(&self.user, Refusal::NotFound { what: "user" })?;
        if let Some(display) = &self.display {
            user.display.clone_from(display);
        }
        user.profile = described(&self.profile, &self.keeps, &user.profile);
        context.tx.replace(&user)?;
        context.emit(Event::UserDescribed { user: user.id });
        Ok(user)
    }
}

/// Suspends a user: no command, no delivery, until reinstated. All logins end for good. An administrator
/// is suspended by another one only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SuspendUser {
    /// Who.
    pub user: UserId,
}

impl Command for SuspendUser {
    type Done = User;
    const NAME: &'static str = "suspend_user";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<User> {
        let mut user = managed_user(context, self.user)?;
        if user.state == UserState::Suspended {
            return Err(Halt::Refused(Refusal::WrongState { what: "user", state: "suspended" }));
        }
        if context.user() == Some(self.user) {
            return Err(Halt::Refused(Refusal::invalid("user", "nobody can suspend themselves")));
        }
        keep_an_administrator(context, &user)?;
        user.state = UserState::Suspended;
        context.tx.replace(&user)?;
        context.emit(Event::UserSuspended { user: user.id });
        end_logins(context, user.id)?;
        Ok(user)
    }
}

/// Gives a user these roles, and no others. Who manages users makes consumers and providers; to give or take any
/// other role is for who manages roles too. An administrator loses the role by another one only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetRoles {
    /// Who.
    pub user: UserId,
    /// At least one.
    pub roles: BTreeSet<RoleName>,
}

impl Command for SetRoles {
    type Done = User;
    const NAME: &'static str = "set_roles";

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        Ok(vec![User::key(&self.user)?, RoleBook::book_key()?])
    }

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<User> {
        let mut user = managed_user(context, self.user)?;
        if !self.roles.symmetric_difference(&user.roles).all(is_open) {
            context.authorize(Action::ManageRoles, &Resource::of_user(self.user))?;
        }
        known_roles(context, &self.roles)?;
        if !self.roles.contains(&RoleName::ADMINISTRATOR) {
            keep_an_administrator(context, &user)?;
        }
        user.roles.clone_from(&self.roles);
        context.tx.replace(&user)?;
        context.emit(Event::RolesChanged { user: user.id });
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_of_before_and_the_rest_is_new() {
        let before = Profile {
            domain: "farm".parse().ok(),
            time_zone: "Asia/Seoul".parse().ok(),
            unobserved: true,
            few_mails: true,
        };
        let new = Profile { domain: "smart-home".parse().ok(), ..Profile::default() };
        assert_eq!(described(&new, &BTreeSet::new(), &before), new);
        let keeps =
            [ProfilePart::Domain, ProfilePart::TimeZone, ProfilePart::Unobserved, ProfilePart::FewMails];
        assert_eq!(described(&new, &keeps.into(), &before), before);
        let changed = described(&new, &[ProfilePart::TimeZone, ProfilePart::Unobserved].into(), &before);
        let wanted = Profile { domain: new.domain.clone(), few_mails: false, ..before };
        assert_eq!(changed, wanted);
    }

    #[test]
    fn a_description_of_yesterday_says_all_anew() {
        let text = r#"{"user":"usr_01mcc5rm020000000000000008","display":"Somebody"}"#;
        let Ok(read) = serde_json::from_str::<DescribeUser>(text) else { panic!("it is read") };
        assert!(read.keeps.is_empty() && read.profile.is_empty());
        assert_eq!(read.display.as_ref().map(Label::as_str), Some("Somebody"));
        assert_eq!(serde_json::to_string(&read).ok().as_deref(), Some(text));
    }
}
