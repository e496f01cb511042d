//! One's own `OAuth2` clients.

use std::collections::BTreeSet;

use i3_core::id::ClientId;
use i3_core::market::TimeOrder;
use i3_core::name::Label;
use i3_core::oauth::{Client as OAuthClient, ClientKind, ClientState, RedirectUri, Scope};
use serde::{Deserialize, Serialize};

use crate::{Change, Client, Pages, Query, Secret};

/// An `OAuth2` client to be registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientRegistration {
    /// What users see when they are asked to consent.
    pub label: Label,
    /// What kind of program it is.
    pub kind: ClientKind,
    /// What it may ask for.
    pub scopes: BTreeSet<Scope>,
    /// Where users may be sent back to.
    pub redirect_uris: BTreeSet<RedirectUri>,
}

/// All that is said of a client from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientDescription {
    /// What users see when they are asked to consent.
    pub label: Label,
    /// What it may ask for.
    pub scopes: BTreeSet<Scope>,
    /// Where users may be sent back to.
    pub redirect_uris: BTreeSet<RedirectUri>,
}

/// What a client shall be; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ClientPatch {
    /// What users see when they are asked to consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// What it may ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<BTreeSet<Scope>>,
    /// Where users may be sent back to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_uris: Option<BTreeSet<RedirectUri>>,
}

/// A client with its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClientWithSecret {
    /// The client.
    #[serde(flatten)]
    pub client: OAuthClient,
    /// Here and never again; public clients have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
}

#[derive(Serialize)]
struct StateChange {
    state: ClientState,
}

/// Which of one's `OAuth2` clients, and in which order. The default: all, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ClientQuery {
    /// Those in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ClientState>,
    /// Those of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<ClientKind>,
    /// In this order of registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<TimeOrder>,
}

impl Client {
    /// Registers an `OAuth2` client.
    pub fn register_client(&self, client: &ClientRegistration) -> Change<ClientWithSecret> {
        self.post("/clients", client)
    }

    /// One's own `OAuth2` clients.
    pub fn list_clients(&self, query: &ClientQuery) -> Pages<OAuthClient> {
        self.list("/clients").parameters(query)
    }

    /// An `OAuth2` client.
    pub fn show_client(&self, client: ClientId) -> Query<OAuthClient> {
        self.get(format!("/clients/{client}"))
    }

    /// Changes a client's label, scopes and redirect URIs.
    pub fn describe_client(&self, client: ClientId, description: &ClientDescription) -> Change<OAuthClient> {
        self.put(format!("/clients/{client}"), description)
    }

    /// Changes some of a client's label, scopes and redirect URIs.
    pub fn edit_client(&self, client: ClientId, patch: &ClientPatch) -> Change<OAuthClient> {
        self.patch(format!("/clients/{client}"), patch)
    }

    /// Gives a client another secret.
    pub fn replace_client_secret(&self, client: ClientId) -> Change<ClientWithSecret> {
        self.act(format!("/clients/{client}/secret"))
    }

    /// Switches a client off or on.
    pub fn set_client_state(&self, client: ClientId, state: ClientState) -> Change<OAuthClient> {
        self.put(format!("/clients/{client}/state"), &StateChange { state })
    }

    /// Removes a client.
    pub fn remove_client(&self, client: ClientId) -> Change<()> {
        self.delete(format!("/clients/{client}"))
    }
}
