//! Signing in, and one's own API tokens.

use i3_core::id::{TokenId, UserId};
use i3_core::name::Label;
use i3_core::time::Timestamp;
use i3_core::user::User;
use serde::{Deserialize, Serialize};

use crate::{Change, Client, Page, Query, Secret};

/// Who signs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignIn {
    /// The login name.
    pub name: String,
    /// The password.
    pub password: Secret,
    /// What the token shall be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// How long the token shall be good: 30 days if nothing is said, 366 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_seconds: Option<u64>,
}

impl SignIn {
    /// With nothing said of the token.
    pub fn new(name: impl Into<String>, password: Secret) -> Self {
        Self { name: name.into(), password, label: None, lifetime_seconds: None }
    }
}

/// What is shown of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApiToken {
    /// Its id.
    pub id: TokenId,
    /// Whose it is.
    pub user: UserId,
    /// What the user calls it.
    pub label: Label,
    /// When it was issued.
    pub created: Timestamp,
    /// From when on it is not accepted any more.
    pub expires: Timestamp,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
    /// `program` or `session`.
    #[serde(default = "program")]
    pub kind: String,
}

fn program() -> String {
    "program".to_owned()
}

/// A token that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SignedIn {
    /// The token's text: here and never again.
    pub token: Secret,
    /// What is shown of it.
    #[serde(flatten)]
    pub record: ApiToken,
    /// Who signed in.
    pub account: User,
}

impl Client {
    /// Gives an API token for a name and a password. An idempotency key means nothing to it.
    pub fn sign_in(&self, who: &SignIn) -> Change<SignedIn> {
        self.post("/tokens", who).not_twice()
    }

    /// One's own API tokens that are good: all on one page.
    pub fn list_tokens(&self) -> Query<Page<ApiToken>> {
        self.get("/tokens")
    }

    /// Ends one of one's own API tokens. An idempotency key means nothing to it: the second time there is no such token.
    pub fn revoke_token(&self, token: TokenId) -> Change<()> {
        self.delete(format!("/tokens/{token}")).not_twice()
    }

    /// Ends the login that the request is made with. An idempotency key means nothing to it: the second time nobody asks.
    pub fn sign_out(&self) -> Change<()> {
        self.delete("/tokens/current").not_twice()
    }

    /// Ends all of one's logins, and what programs were allowed. The second time nobody asks.
    pub fn end_logins(&self) -> Change<()> {
        self.delete("/tokens").not_twice()
    }
}
