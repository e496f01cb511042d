//! The protocol, as clients and browsers speak it.

mod asking;
mod codes;
mod endpoints;
mod machines;
mod refreshing;
mod switched_off;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use i3_core::access::Actor;
use i3_core::id::{RandomIds, TypedId, UserId};
use i3_core::market::{Marketplace, RegisterClient, RegisterUser};
use i3_core::oauth::{Client, ClientKind, Scope};
use i3_core::role::RoleName;
use i3_core::store::{DynStore, MemoryStore, StoreExt};
use i3_core::time::{ManualClock, Timestamp};
use sha2::{Digest, Sha256};

use super::*;
use crate::{COLLECTIONS, MasterKey, RolePolicy, Secret};

pub(super) const ISSUER: &str = "https://i3.example";
pub(super) const AUDIENCE: &str = "https://i3.example/api/v1";
const CALLBACK: &str = "https://site.example/callback";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub(super) fn scopes(names: &[&str]) -> BTreeSet<Scope> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

pub(super) fn settings() -> Settings {
    let offered = [
        ("order:view", "see your orders"),
        ("order:create", "buy for you"),
        ("product:read", "see products"),
        ("token:introspect", "learn what tokens are good for"),
    ];
    Settings::new(ISSUER, AUDIENCE, offered.map(|(scope, about)| (scope.parse().unwrap(), about)))
        .unwrap()
        .with_introspection_by("token:introspect".parse().unwrap())
}

/// A marketplace with an authorization server, its users and their clients.
struct World {
    market: Marketplace,
    store: DynStore,
    clock: Arc<ManualClock>,
    server: Arc<AuthorizationServer>,
    /// Somebody who lets programs act for her.
    alice: UserId,
    /// A maker of programs.
    maker: UserId,
    app: Client,
    site: Client,
    gateway: Client,
}

async fn user(market: &Marketplace, name: &str) -> UserId {
    let register = RegisterUser {
        name: name.parse().unwrap(),
        display: name.parse().unwrap(),
        email: None,
        roles: BTreeSet::from([RoleName::CONSUMER]),
        profile: i3_core::user::Profile::default(),
        invitation: None,
        password: None,
    };
    market.execute(Actor::Anonymous, None, &register).await.unwrap().id
}

async fn client(market: &Marketplace, owner: UserId, kind: ClientKind, uris: &[&str]) -> Client {
    let register = RegisterClient {
        label: "A program".parse().unwrap(),
        kind,
        scopes: scopes(&["order:view", "order:create"]),
        redirect_uris: uris.iter().map(|uri| uri.parse().unwrap()).collect(),
    };
    market.execute(Actor::User(owner), None, &register).await.unwrap()
}

async fn world() -> World {
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_795_296_422_700_000).unwrap()));
    let store: DynStore = Arc::new(MemoryStore::new());
    let market = Marketplace::open(store.clone(), Arc::new(RolePolicy), COLLECTIONS)
        .await
        .unwrap()
        .with_clock(clock.clone());
    let server = Arc::new(serve(&market));
    market.listen(server.revocations().clone());
    let (alice, maker) = (user(&market, "alice").await, user(&market, "maker").await);
    let app = client(&market, maker, ClientKind::Public, &["http://127.0.0.1/callback"]).await;
    let site = client(&market, maker, ClientKind::Confidential, &[CALLBACK]).await;
    let gateway = client(&market, maker, ClientKind::Machine, &[]).await;
    World { market, store, clock, server, alice, maker, app, site, gateway }
}

/// Another process over the same store.
fn serve(market: &Marketplace) -> AuthorizationServer {
    AuthorizationServer::new(market.clone(), Arc::new(RandomIds), &MasterKey::from_bytes([7; 32]), settings())
}

/// Parameters in form encoding.
fn form<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// An address's query, read.
fn query(location: &str) -> BTreeMap<String, String> {
    let (_, query) = location.split_once('?').unwrap();
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// A good authorization request of this client.
fn request<'a>(client: &'a str, redirect_uri: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", redirect_uri),
        ("scope", "order:view order:create"),
        ("state", "af0ifjsldkj &?"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]
}

/// The same with one parameter otherwise, or without it.
fn with<'a>(
    mut all: Vec<(&'a str, &'a str)>,
    name: &'a str,
    value: Option<&'a str>,
) -> Vec<(&'a str, &'a str)> {
    all.retain(|(known, _)| *known != name);
    all.extend(value.map(|value| (name, value)));
    all
}

impl World {
    /// What proves who a client is, as parameters.
    fn proof(&self, client: &Client) -> Vec<(&'static str, String)> {
        let secret = self.server.secrets().of(client);
        let mut all = vec![("client_id", client.id.to_string())];
        all.extend(secret.map(|secret| ("client_secret", secret.expose().to_owned())));
        all
    }

    async fn call(&self, client: &Client, more: &[(&str, &str)]) -> Result<TokenResponse, OAuthError> {
        let proof = self.proof(client);
        let proof = proof.iter().map(|(name, value)| (*name, value.as_str()));
        let body = form(proof.chain(more.iter().copied()));
        self.server.token(ClientCall { authorization: None, body: &body }).await
    }

    /// A code for the site, to which alice allowed everything.
    async fn code(&self) -> String {
        self.code_for(&self.site, CALLBACK).await
    }

    async fn code_for(&self, client: &Client, redirect_uri: &str) -> String {
        let id = client.id.to_string();
        let asked = self.server.authorize(&form(request(&id, redirect_uri))).await.unwrap();
        let all = scopes(&["order:view", "order:create"]);
        let location = self.server.allow(&asked, self.alice, &all).await.unwrap();
        query(location.expose())["code"].clone()
    }

    async fn redeem(&self, code: &str) -> Result<TokenResponse, OAuthError> {
        self.call(&self.site, &redemption(code)).await
    }

    /// Tokens of the site for alice.
    async fn tokens(&self) -> TokenResponse {
        let code = self.code().await;
        self.redeem(&code).await.unwrap()
    }

    async fn refresh(&self, token: &Secret) -> Result<TokenResponse, OAuthError> {
        let with = [("grant_type", "refresh_token"), ("refresh_token", token.expose())];
        self.call(&self.site, &with).await
    }

    /// Whether a resource server that asks is told that the token is good.
    async fn is_active(&self, token: &Secret) -> bool {
        self.introspect(&self.site, token).await.is_active()
    }

    async fn introspect(&self, asks: &Client, token: &Secret) -> Introspection {
        let proof = self.proof(asks);
        let proof = proof.iter().map(|(name, value)| (*name, value.as_str()));
        let body = form(proof.chain([("token", token.expose())]));
        self.server.introspect(ClientCall { authorization: None, body: &body }).await.unwrap()
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// What is stored of the tokens' family.
    async fn family(&self, tokens: &TokenResponse) -> Family {
        let (family, _) =
            self.server.secrets().read_refresh(tokens.refresh_token.as_ref().unwrap().expose()).unwrap();
        self.store.get::<Family>(&family).await.unwrap().unwrap().entity
    }
}

fn redemption(code: &str) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ]
}

/// With what code a request was refused.
fn refused<T: std::fmt::Debug>(answer: Result<T, OAuthError>) -> ErrorCode {
    answer.unwrap_err().refusal().unwrap().code
}

fn refresh_of(tokens: &TokenResponse) -> &Secret {
    tokens.refresh_token.as_ref().unwrap()
}
