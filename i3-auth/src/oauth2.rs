//! `OAuth2`: programs that act for users, without the users' passwords.
//!
//! An [`AuthorizationServer`] takes requests as text and answers with data: no sockets, no web framework, no
//! threads. Clients are registered with the marketplace's commands
//! ([`RegisterClient`](i3_core::market::RegisterClient) and its neighbours).
//!
//! | a client that | is | gets tokens by |
//! |---|---|---|
//! | runs where it cannot keep a secret | public | a code, with PKCE |
//! | runs on a server | confidential | a code, with PKCE and its secret |
//! | acts for its owner alone | machine | its secret (client credentials) |
//!
//! What is kept to: RFC 6749 with the best current practice of RFC 9700 (so neither the implicit grant nor the
//! password grant), RFC 7636 (PKCE is required, by S256), RFC 8252 (apps), RFC 9207 (`iss` in answers), RFC 9068 (access
//! tokens are JWTs), RFC 7517 (public keys), RFC 7009 (revocation), RFC 7662 (introspection), RFC 8414 (metadata) and RFC
//! 8707 (one resource). The clause stands at each rule.
//!
//! # What is stored
//!
//! One record for each consent: its [`Family`]. Codes, refresh tokens and client secrets are derived under the
//! master key, signing keys too; none is stored. A family is changed by decisions over the storage contract, so what
//! may happen once happens once on every backend: of several who present one code at the same moment one gets
//! tokens, and as soon as another is seen all of them are revoked. Refreshing is not in the audit log.
//!
//! # How soon a revocation counts
//!
//! [`introspect`](AuthorizationServer::introspect) and every use of a refresh token ask the store: at once.
//! [`check`](AuthorizationServer::check), on the path of every request, asks no store: at once for what this process
//! revoked or was [told of](Revocations), else when an access token ends, after [`MAX_ACCESS_LIFETIME`] at most.
//!
//! # Example
//!
//! ```
//! # use std::sync::Arc;
//! # use i3_auth::oauth2::{AuthorizationServer, ClientCall, Settings};
//! # use i3_auth::{COLLECTIONS, MasterKey, RolePolicy};
//! # use i3_core::access::Actor;
//! # use i3_core::role::RoleName;
//! # use i3_core::id::RandomIds;
//! # use i3_core::market::{Marketplace, RegisterClient, RegisterUser};
//! # use i3_core::oauth::ClientKind;
//! # use i3_core::store::MemoryStore;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let market = Marketplace::open(Arc::new(MemoryStore::new()), Arc::new(RolePolicy), COLLECTIONS).await?;
//! let scopes = [("order:view".parse()?, "see your orders")];
//! let settings = Settings::new("https://i3.example", "https://i3.example/api", scopes)?;
//! let server = AuthorizationServer::new(market.clone(), Arc::new(RandomIds), &MasterKey::generate()?, settings);
//! market.listen(server.revocations().clone());
//! # let alice = RegisterUser {
//! #     name: "alice".parse()?, display: "Alice".parse()?, email: None, roles: [RoleName::CONSUMER].into(),
//! #     profile: i3_core::user::Profile::default(), invitation: None, password: None,
//! # };
//! # let alice = market.execute(Actor::Anonymous, None, &alice).await?.id;
//!
//! let gateway = RegisterClient {
//!     label: "My gateway".parse()?,
//!     kind: ClientKind::Machine,
//!     scopes: ["order:view".parse()?].into(),
//!     redirect_uris: [].into(),
//! };
//! let gateway = market.execute(Actor::User(alice), None, &gateway).await?;
//! let secret = server.secrets().of(&gateway).ok_or("a machine has a secret")?;
//!
//! let body = format!("grant_type=client_credentials&client_id={}&client_secret={}", gateway.id, secret.expose());
//! let answer = server.token(ClientCall { authorization: None, body: &body }).await?;
//! let token = server.check(answer.access_token.expose())?;
//! assert_eq!((token.user, token.client), (alice, gateway.id));
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not do
//!
//! No `OpenID` Connect, no dynamic registration (RFC 7591), no device grant (RFC 8628), no pushed or signed requests, no
//! tokens bound to a key of the client (`DPoP`, RFC 9449), and no RS256 (RFC 9068, section 4 wishes for it). Requests are
//! not limited in number: the server in front does that.

mod access_token;
mod authorize;
mod documents;
mod error;
mod family;
mod grants;
mod keys;
mod parameters;
mod pkce;
mod revocations;
mod server;
mod settings;
mod texts;

pub use access_token::{AccessToken, AccessTokenError, MAX_TOKEN_BYTES};
pub use authorize::{AuthorizationRequest, AuthorizeError, Consent, MAX_STATE};
pub use documents::{ActiveToken, Endpoints, Introspection, Metadata, TokenResponse};
pub use error::{ErrorCode, OAuthError, Refusal};
pub use family::{FAMILIES, Family, FamilyState, Revoked};
pub use keys::{Jwk, Jwks};
pub use parameters::MAX_BYTES;
pub use revocations::Revocations;
pub use server::{AuthorizationServer, ClientCall};
pub use settings::{
    InvalidSettings, Lifetimes, MAX_ACCESS_LIFETIME, MAX_CODE_LIFETIME, MAX_SKEW, OfferedScope, Settings,
    marketplace_scopes,
};
pub use texts::ClientSecrets;

#[cfg(test)]
mod tests;
