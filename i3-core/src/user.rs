//! People and organizations with an account.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{ResetId, TokenId, UserId};
use crate::name::{Email, Label, Slug};
use crate::role::RoleName;
use crate::secret::SecretHash;
use crate::store::{Collection, Column, Entity, Index, Kind, Value};
use crate::time::{Timestamp, ZoneName};

/// What a user's account is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UserState {
    /// Registered, waiting for an administrator's approval.
    Pending,
    /// May act.
    Active,
    /// May not act, nor receive what was bought.
    Suspended,
    /// An administrator did not approve the registration. The name stays taken.
    Rejected,
}

impl UserState {
    /// The name in columns and refusals.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Rejected => "rejected",
        }
    }
}

/// What users say of themselves (second paper, section 4.1), and how they wish to be treated.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Profile {
    /// The `IoT` domain that the user works in: `smart-home`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Slug>,
    /// Where the user's day begins; UTC if nothing is said. Times in messages to the user are of this zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<ZoneName>,
    /// Whether the user does not want to be observed: what is looked at and bought is not remembered for
    /// recommendations, and what was remembered is erased.
    #[serde(skip_serializing_if = "is_false")]
    pub unobserved: bool,
    /// Whether the user wants no e-mail but what concerns the account itself.
    #[serde(skip_serializing_if = "is_false")]
    pub few_mails: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference to the field")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Profile {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A person or organization with an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The login name, unique.
    pub name: Slug,
    /// What others see.
    pub display: Label,
    /// Where to reach the user, not verified.
    pub email: Option<Email>,
    /// What the user is in the marketplace. A name that is no role gives nothing.
    pub roles: BTreeSet<RoleName>,
    /// What the account is in.
    pub state: UserState,
    /// When the account was opened.
    pub registered: Timestamp,
    /// What the user says.
    #[serde(flatten)]
    pub profile: Profile,
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
        vec![
            Some(self.name.as_str().into()),
            Some(self.state.as_str().into()),
            Some(self.registered.micros().into()),
        ]
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

/// Under which address a user is found. Several users may have one address; who registered before these records
/// came into being is found by name only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Who.
    pub user: UserId,
    /// The address in small letters.
    pub email: String,
}

impl Address {
    /// An address as it is looked for.
    pub fn folded(email: &Email) -> String {
        email.as_ref().to_lowercase()
    }
}

static ADDRESSES: Collection = Collection {
    name: "user_addresses",
    kind: Kind::Records,
    about: "under which e-mail address users are found",
    columns: &[Column::text("email")],
    indexes: &[Index { name: "by_email", columns: &["email"] }],
};

impl Entity for Address {
    type Id = UserId;

    fn collection() -> &'static Collection {
        &ADDRESSES
    }

    fn id(&self) -> UserId {
        self.user
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![Some(self.email.as_str().into())]
    }
}

/// Which logins of a user are good: those of this generation, and the one that it kept. A suspension, another password
/// and the user's own wish begin the next one; so all other tokens and sessions end at once, in every process over the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginGeneration {
    /// Whose.
    pub user: UserId,
    /// The number of the generation; zero where there is no record.
    pub generation: u32,
    /// The login with which its user began it, and which goes on until the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<TokenId>,
}

impl LoginGeneration {
    /// The generation of a user who has no record.
    pub const fn first(user: UserId) -> Self {
        Self { user, generation: 0, kept: None }
    }

    /// Whether a login that began in the generation of this number is still good.
    pub fn has(&self, login: TokenId, generation: u32) -> bool {
        generation == self.generation || self.kept == Some(login)
    }
}

static LOGIN_GENERATIONS: Collection = Collection {
    name: "login_generations",
    kind: Kind::Records,
    about: "which logins of a user are good",
    columns: &[],
    indexes: &[],
};

impl Entity for LoginGeneration {
    type Id = UserId;

    fn collection() -> &'static Collection {
        &LOGIN_GENERATIONS
    }

    fn id(&self) -> UserId {
        self.user
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

/// A user forgot the password and asked for leave to set another. The token that gives this leave is made from the
/// id when it is mailed; it is not stored. Each user has one at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordReset {
    /// Who.
    pub user: UserId,
    /// Which.
    pub id: ResetId,
    /// When it was asked for.
    pub asked: Timestamp,
}

impl PasswordReset {
    /// How long one is good.
    pub const LIFETIME: Duration = Duration::from_mins(30);
    /// How soon after one the next may be asked for.
    pub const PAUSE: Duration = Duration::from_mins(1);

    /// Whether it gives leave at this time.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.asked <= now && now < self.asked.plus(Self::LIFETIME)
    }
}

static PASSWORD_RESETS: Collection = Collection {
    name: "password_resets",
    kind: Kind::Records,
    about: "who asked for leave to set another password",
    columns: &[],
    indexes: &[],
};

impl Entity for PasswordReset {
    type Id = UserId;

    fn collection() -> &'static Collection {
        &PASSWORD_RESETS
    }

    fn id(&self) -> UserId {
        self.user
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Body;

    /// As version 0.1 stored it before there were profiles.
    const FORMER: &str = "{\"id\":\"usr_01kap3n6g0000000000000000a\",\"name\":\"alice\",\"display\":\"Alice\",\
                          \"email\":null,\"roles\":[\"consumer\"],\"state\":\"active\",\
                          \"registered\":\"2026-11-21T21:27:02.5Z\"}";

    #[test]
    fn a_user_without_a_profile_reads_and_is_stored_as_before() {
        let id = "usr_01kap3n6g0000000000000000a".parse().unwrap();
        let body = Body::new(FORMER).unwrap();
        let user = User::from_body(&User::key(&id).unwrap(), &body).unwrap();
        assert!(user.profile.is_empty());
        assert_eq!(user.draft().unwrap().body(), &body);
    }

    #[test]
    fn a_profile_reads_back() {
        let profile = Profile {
            domain: Some("smart-home".parse().unwrap()),
            time_zone: Some("asia/seoul".parse().unwrap()),
            unobserved: true,
            few_mails: true,
        };
        let text = serde_json::to_string(&profile).unwrap();
        assert!(text.contains("\"Asia/Seoul\""), "{text}");
        assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), profile);
    }

    #[test]
    fn a_reset_is_good_for_half_an_hour() {
        let asked = Timestamp::from_micros(1_800_000_000_000_000).unwrap();
        let reset = PasswordReset {
            user: crate::id::TypedId::from_bits(1),
            id: crate::id::TypedId::from_bits(2),
            asked,
        };
        assert!(reset.is_good(asked) && reset.is_good(asked.plus(Duration::from_secs(1_799))));
        assert!(!reset.is_good(asked.plus(Duration::from_mins(30))));
        assert!(
            !reset.is_good(asked.minus(Duration::from_secs(1))),
            "a clock that was set back opens nothing"
        );
    }
}
