//! Accounts of people and organizations.

use std::collections::BTreeSet;

use i3_core::hub::Membership;
use i3_core::id::UserId;
use i3_core::market::TimeOrder;
use i3_core::money::{Amount, Currency};
use i3_core::name::{Email, Label, Slug};
use i3_core::order::Order;
use i3_core::role::RoleName;
use i3_core::time::ZoneName;
use i3_core::user::{User, UserState};
use serde::{Deserialize, Serialize};

use crate::{Change, Client, OrderQuery, Page, Pages, Query, Secret};

/// An account to be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserRegistration {
    /// The login name.
    pub name: Slug,
    /// What others see; the name by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<Label>,
    /// Where to reach the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// What the user wants to be.
    pub roles: BTreeSet<RoleName>,
    /// At least 8 characters.
    pub password: Secret,
    /// The `IoT` domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Slug>,
    /// Where the user's clock is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<ZoneName>,
    /// The text that was given with the invitation, where one is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invitation: Option<Secret>,
    /// The [solution](crate::Challenge::solve) of what the marketplace asks of strangers, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
}

impl UserRegistration {
    /// With this name, in these roles, and nothing else said.
    pub fn new(name: Slug, roles: impl IntoIterator<Item = RoleName>, password: Secret) -> Self {
        let roles = roles.into_iter().collect();
        Self {
            name,
            display: None,
            email: None,
            roles,
            password,
            domain: None,
            time_zone: None,
            invitation: None,
            challenge: None,
        }
    }
}

/// All that a user says of oneself from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserDescription {
    /// What others see.
    pub display: Label,
    /// The `IoT` domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Slug>,
    /// Where the user's clock is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<ZoneName>,
    /// Whether what is looked at and bought is not to be remembered.
    pub unobserved: bool,
    /// Whether no e-mail is wanted but what concerns the account itself.
    pub few_mails: bool,
}

/// Money that came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Payment {
    /// How much, in minor units.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// What the books shall say of it.
    pub reference: String,
}

/// What was credited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credited {
    /// Whose account.
    pub user: UserId,
    /// How much, in minor units.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
}

/// What becomes of something that may also be absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(untagged)]
pub enum Edit<T> {
    /// It stays as it is.
    #[default]
    #[serde(skip)]
    Keep,
    /// It goes away.
    Remove,
    /// This takes its place.
    Set(T),
}

impl<T> Edit<T> {
    pub(super) fn keeps(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

/// What a user says of oneself from now on; what is `None` or kept stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct UserPatch {
    /// What others see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<Label>,
    /// The `IoT` domain.
    #[serde(skip_serializing_if = "Edit::keeps")]
    pub domain: Edit<Slug>,
    /// Where the user's clock is.
    #[serde(skip_serializing_if = "Edit::keeps")]
    pub time_zone: Edit<ZoneName>,
    /// Whether what is looked at and bought is not to be remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unobserved: Option<bool>,
    /// Whether no e-mail is wanted but what concerns the account itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub few_mails: Option<bool>,
}

/// Which accounts, and in which order. The default: all, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct UserQuery {
    /// Those in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<UserState>,
    /// Those with this role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleName>,
    /// In this order of registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<TimeOrder>,
}

#[derive(Serialize)]
struct RolesChange<'a> {
    roles: &'a BTreeSet<RoleName>,
}

impl Client {
    /// Accounts.
    pub fn list_users(&self, query: &UserQuery) -> Pages<User> {
        self.list("/users").parameters(query)
    }

    /// Opens an account.
    pub fn register_user(&self, user: &UserRegistration) -> Change<User> {
        self.post("/users", user)
    }

    /// One's own account.
    pub fn show_me(&self) -> Query<User> {
        self.get("/users/me")
    }

    /// An account.
    pub fn show_user(&self, user: UserId) -> Query<User> {
        self.get(format!("/users/{user}"))
    }

    /// What a user says of oneself.
    pub fn describe_user(&self, user: UserId, description: &UserDescription) -> Change<User> {
        self.put(format!("/users/{user}"), description)
    }

    /// Changes some of what a user says of oneself.
    pub fn edit_user(&self, user: UserId, patch: &UserPatch) -> Change<User> {
        self.patch(format!("/users/{user}"), patch)
    }

    /// Approves a user.
    pub fn approve_user(&self, user: UserId) -> Change<User> {
        self.act(format!("/users/{user}/approve"))
    }

    /// Rejects a registration.
    pub fn reject_user(&self, user: UserId) -> Change<User> {
        self.act(format!("/users/{user}/reject"))
    }

    /// Suspends a user: logins, tokens and connections end.
    pub fn suspend_user(&self, user: UserId) -> Change<User> {
        self.act(format!("/users/{user}/suspend"))
    }

    /// Ends a user's suspension.
    pub fn reinstate_user(&self, user: UserId) -> Change<User> {
        self.act(format!("/users/{user}/reinstate"))
    }

    /// Gives a user these roles and no others.
    pub fn set_roles(&self, user: UserId, roles: &BTreeSet<RoleName>) -> Change<User> {
        self.put(format!("/users/{user}/roles"), &RolesChange { roles })
    }

    /// The hubs that a user is a member of: all on one page.
    pub fn list_memberships(&self, user: UserId) -> Query<Page<Membership>> {
        self.get(format!("/users/{user}/hubs"))
    }

    /// A user's orders.
    pub fn list_user_orders(&self, user: UserId, query: &OrderQuery) -> Pages<Order> {
        self.list(format!("/users/{user}/orders")).parameters(query)
    }

    /// Credits a user's account.
    pub fn top_up(&self, user: UserId, payment: &Payment) -> Change<Credited> {
        self.post(format!("/users/{user}/top-ups"), payment)
    }
}
