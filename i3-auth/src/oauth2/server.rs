//! The authorization server: requests as text in, answers as data out.

use std::collections::BTreeSet;
use std::sync::Arc;

use i3_core::id::{ClientId, FamilyId, IdSource, UserId};
use i3_core::market::{MarketError, Marketplace};
use i3_core::oauth::{Client, ClientKind, Scope};
use i3_core::store::{Entity, Scan, StoreError, StoreErrorKind, StoreExt, Value};
use i3_core::time::Timestamp;
use i3_core::user::{User, UserState};

use super::access_token::{AccessToken, AccessTokenError, AccessTokens};
use super::authorize::{
    AuthorizationRequest, AuthorizeError, check_resource, scopes as read_scopes, unknown_client,
};
use super::documents::{ActiveToken, Introspection, TokenResponse};
use super::error::{ErrorCode, OAuthError, Refusal};
use super::family::{Family, FamilyState};
use super::grants::{ForMachine, Granted, IssueCode, Redeem, Refresh, Revoke, Spent, Sweep};
use super::keys::{Jwks, SigningKeys};
use super::parameters::{Parameters, decoded};
use super::revocations::{Revocations, undeclared};
use super::settings::Settings;
use super::texts::ClientSecrets;
use crate::{MasterKey, Secret};

/// What a client sends to the token, introspection and revocation endpoints: a POST with a body of
/// `application/x-www-form-urlencoded`. Other methods and types are for the caller to refuse.
#[derive(Clone, Copy)]
pub struct ClientCall<'a> {
    /// The value of the `Authorization` header, if there is one.
    pub authorization: Option<&'a str>,
    /// The body.
    pub body: &'a str,
}

impl std::fmt::Debug for ClientCall<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Both hold secrets.
        f.write_str("ClientCall(…)")
    }
}

/// An OAuth2 authorization server over a marketplace; see the [module](super).
#[derive(Debug)]
pub struct AuthorizationServer {
    market: Marketplace,
    ids: Arc<dyn IdSource>,
    settings: Settings,
    secrets: ClientSecrets,
    tokens: AccessTokens,
    revocations: Arc<Revocations>,
}

impl AuthorizationServer {
    /// A server for this marketplace's users and clients. The store's schema has to have
    /// [`FAMILIES`](super::FAMILIES). Its [`Revocations`] should listen to the marketplace.
    pub fn new(market: Marketplace, ids: Arc<dyn IdSource>, master: &MasterKey, settings: Settings) -> Self {
        let keys = SigningKeys::new(master, &settings);
        Self {
            tokens: AccessTokens::new(keys, &settings),
            revocations: Arc::new(Revocations::new(market.clock().clone())),
            secrets: ClientSecrets::new(master),
            market,
            ids,
            settings,
        }
    }

    /// How it is set up.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The secrets of its clients, to be shown when one is registered or gets another secret.
    pub fn secrets(&self) -> &ClientSecrets {
        &self.secrets
    }

    /// What it knows to be revoked.
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// The public keys of its access tokens (RFC 7517). May be cached for as long as `signing_key` by half.
    pub fn jwks(&self) -> Result<Jwks, OAuthError> {
        self.tokens.keys().jwks(self.market.now()).ok_or(OAuthError::Signing)
    }

    /// Reads a request to the authorization endpoint (RFC 6749, section 4.1.1), given as the query of its address,
    /// before anybody logs in. The request is to be put to the user, who has to be logged in, with
    /// [`consent`](AuthorizationRequest::consent); then comes [`allow`](Self::allow) or
    /// [`denied`](AuthorizationRequest::denied). Keep the query in the page's form, and read it again when the form
    /// comes back, which has to be protected from forgery (RFC 9700, section 4.7), and the page from being
    /// framed (section 4.16). No consent is remembered: each request asks.
    pub async fn authorize(&self, query: &str) -> Result<AuthorizationRequest, AuthorizeError> {
        let parameters = Parameters::read(query).map_err(AuthorizeError::Shown)?;
        let id = AuthorizationRequest::client_of(&parameters).map_err(AuthorizeError::Shown)?;
        let (client, owner) =
            self.client(id).await?.ok_or_else(|| AuthorizeError::Shown(unknown_client()))?;
        if !client.kind.is_redirected_to() {
            return Err(AuthorizeError::Shown(unknown_client()));
        }
        AuthorizationRequest::check(&parameters, client, owner, &self.settings)
    }

    /// The user said yes to these scopes, at least one of those that were asked for. Gives the address to send the
    /// browser to, with status 303 (RFC 9700, section 4.12): it has the code in it.
    pub async fn allow(
        &self,
        request: &AuthorizationRequest,
        user: UserId,
        scopes: &BTreeSet<Scope>,
    ) -> Result<Secret, OAuthError> {
        let issue = IssueCode { request, user, scopes, settings: &self.settings };
        let family = self.market.store().transact(self.market.now(), &*self.ids, &issue).await?;
        let code = self.secrets.code(family.id);
        Ok(Secret::new(request.allowed(&self.settings, code.expose())))
    }

    /// Answers a request to the token endpoint (RFC 6749, section 3.2).
    pub async fn token(&self, call: ClientCall<'_>) -> Result<TokenResponse, OAuthError> {
        let parameters = Parameters::read(call.body)?;
        let client = self.authenticate(call.authorization, &parameters).await?;
        check_resource(&parameters, &self.settings)?;
        let now = self.market.now();
        let store = self.market.store();
        let machine = client.kind == ClientKind::Machine;
        let wrong_kind = Refusal::new(ErrorCode::UnauthorizedClient, "not for clients of this kind");
        let spent = match parameters.need("grant_type", "grant_type is missing")? {
            "authorization_code" | "refresh_token" if machine => return Err(wrong_kind.into()),
            "client_credentials" if !machine => return Err(wrong_kind.into()),
            "authorization_code" => {
                let code = parameters.need("code", "code is missing")?;
                let family = self
                    .secrets
                    .read_code(code)
                    .ok_or(Refusal::grant("the code is not good, or was used, or has expired"))?;
                let redeem = Redeem {
                    client: &client,
                    family,
                    redirect_uri: parameters.get("redirect_uri")?,
                    verifier: parameters.get("code_verifier")?,
                    settings: &self.settings,
                };
                store.transact(now, &*self.ids, &redeem).await?
            }
            "refresh_token" => {
                let text = parameters.need("refresh_token", "refresh_token is missing")?;
                let (family, number) = self
                    .secrets
                    .read_refresh(text)
                    .ok_or(Refusal::grant("the refresh token is not good, or was used, or has expired"))?;
                let scopes = match parameters.get("scope")? {
                    Some(_) => Some(read_scopes(&parameters, &client.scopes, &self.settings)?),
                    None => None,
                };
                let scopes = scopes.as_ref();
                let refresh = Refresh { client: &client, family, number, scopes, settings: &self.settings };
                store.transact(now, &*self.ids, &refresh).await?
            }
            "client_credentials" => {
                let scopes = read_scopes(&parameters, &client.scopes, &self.settings)?;
                let give = ForMachine { client: &client, scopes: &scopes, settings: &self.settings };
                Spent::Granted(Box::new(store.transact(now, &*self.ids, &give).await?))
            }
            _ => {
                let told = Refusal::new(ErrorCode::UnsupportedGrantType, "there is no such grant type here");
                return Err(told.into());
            }
        };
        match spent {
            Spent::Granted(granted) => self.tokens_of(&granted),
            Spent::Revoked(family, told) => {
                self.revocations.add(family, now);
                Err(told.into())
            }
        }
    }

    fn tokens_of(&self, granted: &Granted) -> Result<TokenResponse, OAuthError> {
        let Granted { family, scopes, number, refreshable, machine, at } = granted;
        let token = AccessToken {
            family: family.id,
            client: family.client,
            user: family.user,
            machine: *machine,
            scopes: scopes.clone(),
            issued: *at,
            until: family.access_until(*at, self.settings.lifetimes().access),
            number: *number,
        };
        let access_token = self.tokens.sign(&token).ok_or(OAuthError::Signing)?;
        let seconds = token.until.seconds().saturating_sub(token.issued.seconds());
        Ok(TokenResponse {
            access_token,
            token_type: "Bearer",
            expires_in: u64::try_from(seconds).unwrap_or(0),
            refresh_token: refreshable.then(|| self.secrets.refresh(family.id, *number)),
            scope: scopes.clone(),
        })
    }

    /// Whether an access token is good, on the path of every request: asks no store and nobody else. What was
    /// revoked is known as far as [`Revocations`] says.
    pub fn check(&self, token: &str) -> Result<Arc<AccessToken>, AccessTokenError> {
        let token = self.tokens.verify(token, self.market.now())?;
        if self.revocations.include(&token) { Err(AccessTokenError::Revoked) } else { Ok(token) }
    }

    /// Answers a request to the introspection endpoint (RFC 7662): as the store knows it at this moment. A client
    /// learns of its own tokens; [others'](Settings::with_introspection_by) are for resource servers.
    pub async fn introspect(&self, call: ClientCall<'_>) -> Result<Introspection, OAuthError> {
        let parameters = Parameters::read(call.body)?;
        let asks = self.authenticate(call.authorization, &parameters).await?;
        if !asks.kind.has_secret() {
            // Whoever finds a token must not be told what it is good for (RFC 7662, section 4).
            let told = Refusal::new(ErrorCode::UnauthorizedClient, "not for clients without a secret");
            return Err(told.into());
        }
        let text = parameters.need("token", "token is missing")?;
        let now = self.market.now();
        let access = self.tokens.verify(text, now).ok();
        let refresh = if access.is_none() { self.secrets.read_refresh(text) } else { None };
        let Some(id) = access.as_ref().map(|token| token.family).or(refresh.map(|(family, _)| family)) else {
            return Ok(Introspection::INACTIVE);
        };
        let Some((family, client)) = self.live(id, now).await? else { return Ok(Introspection::INACTIVE) };
        let trusted = self.settings.introspection().is_some_and(|scope| asks.scopes.contains(scope));
        if !trusted && family.client != asks.id {
            return Ok(Introspection::INACTIVE);
        }
        let of_family = match (&family.state, refresh) {
            (FamilyState::Active { number, until }, Some((_, presented))) => {
                if *number != presented || now >= *until {
                    return Ok(Introspection::INACTIVE);
                }
                (family.scopes.clone(), until.seconds())
            }
            _ => (BTreeSet::new(), 0),
        };
        let (scopes, exp) = match &access {
            Some(token) => (token.scopes.clone(), token.until.seconds()),
            None => of_family,
        };
        let scope: BTreeSet<Scope> = scopes.intersection(&client.scopes).cloned().collect();
        let machine = client.kind == ClientKind::Machine;
        Ok(Introspection::Active(Box::new(ActiveToken {
            active: true,
            scope,
            client_id: client.id,
            token_type: access.as_ref().map(|_| "Bearer"),
            exp,
            iat: access.as_ref().map(|token| token.issued.seconds()),
            sub: if machine { client.id.to_string() } else { family.user.to_string() },
            aud: self.settings.audience().to_owned(),
            iss: self.settings.issuer().to_owned(),
            jti: access.as_ref().map(|token| format!("{}.{}", token.family, token.number)),
        })))
    }

    /// A family of which something may be good, with its client; nothing if the client, its owner or the user was
    /// switched off.
    async fn live(&self, id: FamilyId, now: Timestamp) -> Result<Option<(Family, Client)>, OAuthError> {
        let Some(family) = self.market.store().get::<Family>(&id).await? else { return Ok(None) };
        let family = family.entity;
        if !family.is_live(now) {
            return Ok(None);
        }
        let Some((client, owner)) = self.client(family.client).await? else { return Ok(None) };
        let user = self.market.store().get::<User>(&family.user).await?.map(|user| user.entity.state);
        let active = Some(UserState::Active);
        let live = client.is_active() && Some(owner.state) == active && user == active;
        Ok(live.then_some((family, client)))
    }

    /// Answers a request to the revocation endpoint (RFC 7009): whatever token of a family is given back, all of it
    /// ends (section 2.1). A token that is not known is no error (section 2.2).
    pub async fn revoke(&self, call: ClientCall<'_>) -> Result<(), OAuthError> {
        let parameters = Parameters::read(call.body)?;
        let client = self.authenticate(call.authorization, &parameters).await?;
        let text = parameters.need("token", "token is missing")?;
        let refresh = self.secrets.read_refresh(text).map(|(family, _)| family);
        let access = || self.tokens.verify(text, self.market.now()).ok().map(|token| token.family);
        match refresh.or_else(access) {
            Some(family) => self.end(Revoke { family, of_client: Some(client.id), of_user: None }).await,
            None => Ok(()),
        }
    }

    async fn end(&self, revoke: Revoke) -> Result<(), OAuthError> {
        let at = self.market.store().transact(self.market.now(), &*self.ids, &revoke).await?;
        if let Some(at) = at {
            self.revocations.add(revoke.family, at);
        }
        Ok(())
    }

    /// What a user allowed and what is not over, oldest first: for the user to see and take back.
    pub async fn allowed_by(&self, user: UserId) -> Result<Vec<Family>, OAuthError> {
        let now = self.market.now();
        let families = self.families("by_user", user.to_string().into()).await?;
        Ok(families.into_iter().filter(|family| family.is_live(now)).collect())
    }

    /// A user takes back what was allowed once. Another user's answers as one that is not there.
    pub async fn take_back(&self, user: UserId, family: FamilyId) -> Result<(), OAuthError> {
        match self.end(Revoke { family, of_client: None, of_user: Some(user) }).await {
            Err(OAuthError::Refused(_)) => Ok(()),
            other => other,
        }
    }

    /// Ends all that a client may do for this user, and all that the user's own machines may: when a user is suspended
    /// or changes the password. Returns how many families ended.
    pub async fn end_all_of_user(&self, user: UserId) -> Result<usize, OAuthError> {
        self.end_all("by_user", user.to_string().into(), Timestamp::MAX).await
    }

    /// As [`end_all_of_user`](Self::end_all_of_user), for what began until this time: for who learns late that it has
    /// to end, and must not end what was allowed since.
    pub async fn end_all_of_user_until(&self, user: UserId, until: Timestamp) -> Result<usize, OAuthError> {
        self.end_all("by_user", user.to_string().into(), until).await
    }

    /// Ends all that a client may do for anybody: when its secret or its tokens leaked. Returns how many families
    /// ended.
    pub async fn end_all_of_client(&self, client: ClientId) -> Result<usize, OAuthError> {
        self.end_all("by_client", client.to_string().into(), Timestamp::MAX).await
    }

    async fn end_all(&self, index: &str, equal: Value, until: Timestamp) -> Result<usize, OAuthError> {
        let families = self.families(index, equal).await?;
        let mut ended = 0;
        for family in families {
            // A code that is not redeemed yet is ended too.
            if family.created <= until && !matches!(family.state, FamilyState::Revoked { .. }) {
                self.end(Revoke { family: family.id, of_client: None, of_user: None }).await?;
                ended += 1;
            }
        }
        Ok(ended)
    }

    async fn families(&self, index: &str, equal: Value) -> Result<Vec<Family>, StoreError> {
        let scan = Scan::index(Family::collection(), index, vec![equal]).map_err(undeclared)?;
        self.market.store().all(scan).await
    }

    /// Removes up to so many families of which nothing can be good any more, and returns how many. Call it now and
    /// then.
    pub async fn sweep(&self, most: usize) -> Result<usize, OAuthError> {
        let now = self.market.now();
        let scan = Scan::index(Family::collection(), "by_end", Vec::new())
            .and_then(|scan| scan.range(None, Some(now.micros().saturating_add(1).into())))
            .map_err(undeclared)?;
        let (families, _) = self.market.store().list::<Family>(&scan.limit(most.clamp(1, 1_000))).await?;
        let mut removed = 0;
        for family in families {
            if self.market.store().transact(now, &*self.ids, &Sweep(family.id)).await? {
                removed += 1;
            }
        }
        Ok(removed)
    }

    async fn client(&self, id: ClientId) -> Result<Option<(Client, User)>, OAuthError> {
        self.market.client_login(id).await.map_err(|error| match error {
            MarketError::Store(error) => OAuthError::Store(error),
            MarketError::Conflict => OAuthError::Conflict,
            other => OAuthError::Store(
                StoreError::new(StoreErrorKind::Unavailable, "the client could not be looked up")
                    .with_source(other),
            ),
        })
    }

    /// Which client calls (RFC 6749, section 2.3.1): by Basic authentication, by `client_id` and `client_secret` in the
    /// body, or, if it has no secret, by `client_id`; by one of them only. What is wrong is not told.
    async fn authenticate(
        &self,
        authorization: Option<&str>,
        parameters: &Parameters<'_>,
    ) -> Result<Client, OAuthError> {
        let refused = Refusal::new(
            ErrorCode::InvalidClient,
            "the client is unknown, switched off, or did not prove who it is",
        );
        let (named, sent) = (parameters.get("client_id")?, parameters.get("client_secret")?);
        let (id, secret) = match authorization {
            Some(_) if sent.is_some() => {
                return Err(Refusal::request("the client proves who it is in two ways").into());
            }
            Some(header) => {
                let (id, secret) = basic(header).ok_or(refused)?;
                if named.is_some_and(|named| named != id) {
                    return Err(Refusal::request("client_id is another one than in the header").into());
                }
                (id, Some(secret))
            }
            None => {
                let id = named.ok_or(refused)?.to_owned();
                (id, sent.map(|secret| Secret::new(secret.to_owned())))
            }
        };
        let id: ClientId = id.parse().map_err(|_| refused)?;
        let found = self.client(id).await?;
        let generation = found.as_ref().map_or(0, |(client, _)| client.secret_generation);
        // Computed for an unknown client too.
        let right =
            secret.as_ref().is_some_and(|secret| self.secrets.verify(id, generation, secret.expose()));
        let Some((client, owner)) = found else { return Err(refused.into()) };
        // An empty secret is none: so do clients that always send a header.
        let unproved = secret.is_none_or(|secret| secret.expose().is_empty());
        let proved = if client.kind.has_secret() { right } else { unproved };
        if proved && client.is_active() && owner.state == UserState::Active {
            Ok(client)
        } else {
            Err(refused.into())
        }
    }
}

/// The id and the secret of a Basic header (RFC 7617, and RFC 6749, section 2.3.1).
fn basic(header: &str) -> Option<(String, Secret)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > 1_024 {
        return None;
    }
    let bytes = data_encoding::BASE64.decode(encoded.trim_start_matches(' ').as_bytes()).ok()?;
    let text = Secret::new(String::from_utf8(bytes).ok()?);
    let (id, secret) = text.expose().split_once(':')?;
    Some((decoded(id)?.into_owned(), Secret::new(decoded(secret)?.into_owned())))
}
