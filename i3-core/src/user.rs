//! People and organizations with an account.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::access::Role;
use crate::id::UserId;
use crate::name::{Email, Label, Slug};
use crate::secret::SecretHash;
use crate::store::{Collection, Column, Entity, Kind, Value};
use crate::time::Timestamp;

/// What a user's account is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    /// Registered, waiting for an administrator's approval.
    Pending,
    /// May act.
    Active,
    /// May not act, nor receive what was bought.
    Suspended,
}

/// A person or organization with an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The login name, unique.
    pub name: Slug,
    /// What others see.
    pub display: Label,
    /// Where to reach the user, not verified.
    pub email: Option<Email>,
    /// What the user is in the marketplace.
    pub roles: BTreeSet<Role>,
    /// What the account is in.
    pub state: UserState,
    /// When the account was opened.
    pub registered: Timestamp,
}

static USERS: Collection = Collection {
    name: "users",
    kind: Kind::Records,
    about: "people and organizations with an account",
    columns: &[Column::text("name"), Column::text("state"), Column::int("registered")],
    indexes: &[],
};

impl Entity for User {
    type Id = UserId;

    fn collection() -> &'static Collection {
        &USERS
    }

    fn id(&self) -> UserId {
        self.id
    }

    fn values(&self) -> Vec<Option<Value>> {
        let state = match self.state {
            UserState::Pending => "pending",
            UserState::Active => "active",
            UserState::Suspended => "suspended",
        };
        vec![Some(self.name.as_str().into()), Some(state.into()), Some(self.registered.micros().into())]
    }
}

/// A user's password, apart from the user so that no view of a user can show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSecret {
    /// Whose.
    pub user: UserId,
    /// The hash.
    pub hash: SecretHash,
    /// When it was set.
    pub set: Timestamp,
}

static USER_SECRETS: Collection = Collection {
    name: "user_secrets",
    kind: Kind::Records,
    about: "password hashes of users",
    columns: &[],
    indexes: &[],
};

impl Entity for UserSecret {
    type Id = UserId;

    fn collection() -> &'static Collection {
        &USER_SECRETS
    }

    fn id(&self) -> UserId {
        self.user
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}
