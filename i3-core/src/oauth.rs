//! OAuth2 clients: programs that act for users.
//!
//! A client is registered by a user, its owner. What it may do for somebody is bounded by its scopes, and,
//! unless it is a machine that acts for its owner, by what the somebody consents to. This module has the
//! records; the protocol is in `i3-auth`.

mod redirect;
mod scope;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::{ClientId, UserId};
use crate::name::Label;
use crate::store::{Collection, Column, Entity, Index, Kind, Value};
use crate::time::Timestamp;

pub use redirect::{InvalidRedirectUri, RedirectUri};
pub use scope::{InvalidScope, Scope, ScopeMeaning};

/// What kind of program a client is (RFC 6749, section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientKind {
    /// A program that cannot keep a secret: an app on a user's machine or in a browser. Acts for those who
    /// consent.
    Public,
    /// A program on a server, with a secret. Acts for those who consent.
    Confidential,
    /// A program or gateway with a secret that acts for its owner alone, without anybody at a browser.
    Machine,
}

impl ClientKind {
    /// Whether it has a secret.
    pub const fn has_secret(self) -> bool {
        !matches!(self, Self::Public)
    }

    /// Whether users are sent back to it from a browser, and so whether it has redirect URIs.
    pub const fn is_redirected_to(self) -> bool {
        !matches!(self, Self::Machine)
    }
}

/// What a client is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientState {
    /// May ask for tokens.
    Active,
    /// Switched off by its owner, or by who manages clients.
    Disabled,
    /// Switched off by who manages users: its owner cannot switch it on.
    Suspended,
}

impl ClientState {
    /// As texts and columns have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Suspended => "suspended",
        }
    }
}

/// A program that acts for users. Holds no secret: `i3-auth` derives it from the id and the generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Client {
    /// The id: the protocol's `client_id`.
    pub id: ClientId,
    /// Who registered it.
    pub owner: UserId,
    /// What users see when they are asked to consent.
    pub label: Label,
    /// What kind of program it is. Never changes.
    pub kind: ClientKind,
    /// What it may ask for.
    pub scopes: BTreeSet<Scope>,
    /// Where users may be sent back to; none for machines.
    pub redirect_uris: BTreeSet<RedirectUri>,
    /// What it is in.
    pub state: ClientState,
    /// Raised whenever the secret is replaced; of no meaning for public clients.
    pub secret_generation: u32,
    /// When it was registered.
    pub registered: Timestamp,
}

impl Client {
    /// Scopes that a client may have.
    pub const MAX_SCOPES: usize = 64;
    /// Redirect URIs that a client may have.
    pub const MAX_REDIRECT_URIS: usize = 16;

    /// Whether it may ask for tokens now.
    pub fn is_active(&self) -> bool {
        self.state == ClientState::Active
    }

    /// Whether users may be sent back to this address; see [`RedirectUri::admits`].
    pub fn admits(&self, requested: &RedirectUri) -> bool {
        self.redirect_uris.iter().any(|registered| registered.admits(requested))
    }
}

static CLIENTS: Collection = Collection {
    name: "oauth_clients",
    kind: Kind::Records,
    about: "programs that act for users",
    columns: &[Column::text("owner"), Column::text("kind"), Column::text("state"), Column::int("registered")],
    indexes: &[Index { name: "by_owner", columns: &["owner"] }],
};

impl Entity for Client {
    type Id = ClientId;

    fn collection() -> &'static Collection {
        &CLIENTS
    }

    fn id(&self) -> ClientId {
        self.id
    }

    fn values(&self) -> Vec<Option<Value>> {
        let kind = match self.kind {
            ClientKind::Public => "public",
            ClientKind::Confidential => "confidential",
            ClientKind::Machine => "machine",
        };
        vec![
            Some(self.owner.to_string().into()),
            Some(kind.into()),
            Some(self.state.as_str().into()),
            Some(self.registered.micros().into()),
        ]
    }
}
