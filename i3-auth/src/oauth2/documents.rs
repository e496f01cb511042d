//! What the endpoints answer and publish.

use std::collections::BTreeSet;

use i3_core::id::ClientId;
use i3_core::oauth::Scope;
use serde::{Serialize, Serializer};

use super::access_token::scope_text;
use super::settings::Settings;
use crate::Secret;

/// A successful answer of the token endpoint (RFC 6749, section 5.1). To be sent with `Cache-Control: no-store`.
#[derive(Debug, Clone, Serialize)]
pub struct TokenResponse {
    /// The access token.
    #[serde(serialize_with = "exposed")]
    pub access_token: Secret,
    /// `Bearer` (RFC 6750).
    pub token_type: &'static str,
    /// For how many seconds the access token is good.
    pub expires_in: u64,
    /// The refresh token. The one that was presented is good no longer.
    #[serde(serialize_with = "exposed_if", skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Secret>,
    /// What the access token is for.
    #[serde(serialize_with = "scopes")]
    pub scope: BTreeSet<Scope>,
}

fn exposed<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

#[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
fn exposed_if<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => exposed(secret, serializer),
        None => serializer.serialize_none(),
    }
}

fn scopes<S: Serializer>(scopes: &BTreeSet<Scope>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&scope_text(scopes))
}

/// What a token is (RFC 7662, section 2.2). Of one that is not good, and of another's, it says that alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Introspection {
    /// The token is good.
    Active(Box<ActiveToken>),
    /// It is not, or not for who asks to know.
    Inactive {
        /// `false`.
        active: bool,
    },
}

impl Introspection {
    pub(super) const INACTIVE: Self = Self::Inactive { active: false };

    /// Whether the token is good.
    pub const fn is_active(&self) -> bool {
        matches!(self, Self::Active(_))
    }
}

/// What a good token says (RFC 7662, section 2.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActiveToken {
    /// `true`.
    pub active: bool,
    /// What it is for.
    #[serde(serialize_with = "scopes")]
    pub scope: BTreeSet<Scope>,
    /// Whose it is.
    pub client_id: ClientId,
    /// `Bearer`; absent for a refresh token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<&'static str>,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// When it was issued; absent for a refresh token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// For whom the client acts, or the machine itself.
    pub sub: String,
    /// Whom it is for.
    pub aud: String,
    /// Who issued it.
    pub iss: String,
    /// Its own name; absent for a refresh token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

/// Where a server has its endpoints: whole addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// Where browsers are sent.
    pub authorization: String,
    /// Where clients get tokens.
    pub token: String,
    /// Where clients give them back.
    pub revocation: String,
    /// Where resource servers ask.
    pub introspection: String,
    /// Where the public keys are.
    pub jwks: String,
}

/// What a server tells about itself (RFC 8414, section 2), at `/.well-known/oauth-authorization-server`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of RFC 8414, section 2")]
pub struct Metadata {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub jwks_uri: String,
    pub scopes_supported: Vec<Scope>,
    pub response_types_supported: [&'static str; 1],
    pub response_modes_supported: [&'static str; 1],
    pub grant_types_supported: [&'static str; 3],
    pub token_endpoint_auth_methods_supported: [&'static str; 3],
    pub revocation_endpoint: String,
    pub revocation_endpoint_auth_methods_supported: [&'static str; 3],
    pub introspection_endpoint: String,
    pub introspection_endpoint_auth_methods_supported: [&'static str; 2],
    pub code_challenge_methods_supported: [&'static str; 1],
    /// RFC 9207, section 3.
    pub authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Of a server with these endpoints.
    pub fn new(settings: &Settings, endpoints: Endpoints) -> Self {
        let methods = ["client_secret_basic", "client_secret_post", "none"];
        Self {
            issuer: settings.issuer().to_owned(),
            authorization_endpoint: endpoints.authorization,
            token_endpoint: endpoints.token,
            jwks_uri: endpoints.jwks,
            scopes_supported: settings.scopes().cloned().collect(),
            response_types_supported: ["code"],
            response_modes_supported: ["query"],
            grant_types_supported: ["authorization_code", "refresh_token", "client_credentials"],
            token_endpoint_auth_methods_supported: methods,
            revocation_endpoint: endpoints.revocation,
            revocation_endpoint_auth_methods_supported: methods,
            introspection_endpoint: endpoints.introspection,
            introspection_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"],
            code_challenge_methods_supported: ["S256"],
            authorization_response_iss_parameter_supported: true,
        }
    }
}
