//! Somebody else's client library completes each flow: what it sends is read, and what is answered it reads.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use i3_auth::oauth2::{AuthorizationServer, ClientCall, OAuthError, Settings};
use i3_auth::{COLLECTIONS, MasterKey, RolePolicy};
use i3_core::access::Actor;
use i3_core::id::{RandomIds, UserId};
use i3_core::market::{Marketplace, RegisterClient, RegisterUser};
use i3_core::oauth::{Client, ClientKind};
use i3_core::role::RoleName;
use i3_core::store::MemoryStore;
use oauth2::basic::{BasicClient, BasicErrorResponseType};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, IntrospectionUrl, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, RevocationUrl, Scope, StandardRevocableToken, TokenIntrospectionResponse,
    TokenResponse, TokenUrl,
};

const ISSUER: &str = "https://i3.example";
const CALLBACK: &str = "http://127.0.0.1:51004/callback";

struct World {
    market: Marketplace,
    server: AuthorizationServer,
    user: UserId,
}

async fn world() -> World {
    let market =
        Marketplace::open(Arc::new(MemoryStore::new()), Arc::new(RolePolicy), COLLECTIONS).await.unwrap();
    let offered = [("order:view", "see your orders"), ("order:create", "buy for you")];
    let offered = offered.map(|(scope, about)| (scope.parse().unwrap(), about));
    let settings = Settings::new(ISSUER, "https://i3.example/api", offered).unwrap();
    let server = AuthorizationServer::new(
        market.clone(),
        Arc::new(RandomIds),
        &MasterKey::generate().unwrap(),
        settings,
    );
    let alice = RegisterUser {
        name: "alice".parse().unwrap(),
        display: "Alice".parse().unwrap(),
        email: None,
        roles: BTreeSet::from([RoleName::CONSUMER]),
        profile: i3_core::user::Profile::default(),
        invitation: None,
        password: None,
    };
    let user = market.execute(Actor::Anonymous, None, &alice).await.unwrap().id;
    World { market, server, user }
}

impl World {
    async fn client(&self, kind: ClientKind) -> Client {
        let register = RegisterClient {
            label: "A stranger's program".parse().unwrap(),
            kind,
            scopes: ["order:view", "order:create"].map(|scope| scope.parse().unwrap()).into(),
            redirect_uris: if kind == ClientKind::Machine {
                BTreeSet::new()
            } else {
                BTreeSet::from(["http://127.0.0.1/callback".parse().unwrap()])
            },
        };
        self.market.execute(Actor::User(self.user), None, &register).await.unwrap()
    }

    /// What an HTTP server in front would do, and no more.
    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, Infallible> {
        let header = request.headers().get("authorization").map(|value| value.to_str().unwrap());
        let call = ClientCall { authorization: header, body: std::str::from_utf8(request.body()).unwrap() };
        assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
        let json = |value: serde_json::Result<Vec<u8>>| value.unwrap();
        let answer: Result<Vec<u8>, OAuthError> = match request.uri().path() {
            "/oauth/token" => self.server.token(call).await.map(|told| json(serde_json::to_vec(&told))),
            "/oauth/introspect" => {
                self.server.introspect(call).await.map(|told| json(serde_json::to_vec(&told)))
            }
            "/oauth/revoke" => self.server.revoke(call).await.map(|()| Vec::new()),
            other => panic!("{other}"),
        };
        let (status, body) = match answer {
            Ok(body) => (200, body),
            Err(error) => (error.told().status(), json(serde_json::to_vec(&error.told()))),
        };
        let mut response = HttpResponse::new(body);
        *response.status_mut() = status.try_into().unwrap();
        response.headers_mut().insert("content-type", "application/json".parse().unwrap());
        Ok(response)
    }

    fn library(&self, client: &Client, how: AuthType) -> Library {
        let at = |path: &str| format!("{ISSUER}/oauth/{path}");
        let mut library = BasicClient::new(ClientId::new(client.id.to_string())).set_auth_type(how);
        if let Some(secret) = self.server.secrets().of(client) {
            library = library.set_client_secret(ClientSecret::new(secret.expose().to_owned()));
        }
        library
            .set_auth_uri(AuthUrl::new(at("authorize")).unwrap())
            .set_token_uri(TokenUrl::new(at("token")).unwrap())
            .set_introspection_url(IntrospectionUrl::new(at("introspect")).unwrap())
            .set_revocation_url(RevocationUrl::new(at("revoke")).unwrap())
            .set_redirect_uri(RedirectUrl::new(CALLBACK.to_owned()).unwrap())
    }

    /// The user's browser: sees the request through and comes back with a code.
    async fn browse(&self, library: &Library) -> (AuthorizationCode, PkceCodeVerifier) {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (address, state) = library
            .authorize_url(CsrfToken::new_random)
            .add_scope(Scope::new("order:view".to_owned()))
            .set_pkce_challenge(challenge)
            .url();
        let asked = self.server.authorize(address.query().unwrap()).await.unwrap();
        let wanted =
            asked.consent(self.server.settings()).scopes.into_iter().map(|scope| scope.scope).collect();
        let location = self.server.allow(&asked, self.user, &wanted).await.unwrap();
        let location = location.expose().strip_prefix(CALLBACK).unwrap().strip_prefix('?').unwrap();
        let told: std::collections::HashMap<_, _> =
            form_urlencoded::parse(location.as_bytes()).into_owned().collect();
        assert_eq!((&told["state"], told["iss"].as_str()), (state.secret(), ISSUER));
        (AuthorizationCode::new(told["code"].clone()), verifier)
    }
}

type Library = BasicClient<EndpointSet, EndpointNotSet, EndpointSet, EndpointSet, EndpointSet>;

#[tokio::test]
async fn a_code_is_redeemed_refreshed_introspected_and_revoked() {
    let w = world().await;
    let http = |request| w.answer(request);
    for (kind, how) in [
        (ClientKind::Public, AuthType::RequestBody),
        (ClientKind::Confidential, AuthType::BasicAuth),
        (ClientKind::Confidential, AuthType::RequestBody),
    ] {
        let client = w.client(kind).await;
        let library = w.library(&client, how);
        let (code, verifier) = w.browse(&library).await;
        let first =
            library.exchange_code(code).set_pkce_verifier(verifier).request_async(&http).await.unwrap();
        assert_eq!(first.scopes().unwrap(), &[Scope::new("order:view".to_owned())]);
        let token = w.server.check(first.access_token().secret()).unwrap();
        assert_eq!((token.user, token.client), (w.user, client.id));

        let refresh = first.refresh_token().unwrap();
        let second = library.exchange_refresh_token(refresh).request_async(&http).await.unwrap();
        assert!(w.server.check(second.access_token().secret()).is_ok());
        if kind == ClientKind::Confidential {
            let told = library.introspect(second.access_token()).request_async(&http).await.unwrap();
            assert!(told.active());
            assert_eq!((told.sub(), told.iss()), (Some(w.user.to_string().as_str()), Some(ISSUER)));
        }
        let given_back = StandardRevocableToken::from(second.refresh_token().unwrap().clone());
        library.revoke_token(given_back).unwrap().request_async(&http).await.unwrap();
        assert!(w.server.check(second.access_token().secret()).is_err());
    }
}

#[tokio::test]
async fn a_machine_gets_a_token_by_its_credentials() {
    let w = world().await;
    let http = |request| w.answer(request);
    let client = w.client(ClientKind::Machine).await;
    let library = w.library(&client, AuthType::BasicAuth);
    let scope = Scope::new("order:create".to_owned());
    let answer = library.exchange_client_credentials().add_scope(scope).request_async(&http).await.unwrap();
    assert!(answer.refresh_token().is_none());
    assert_eq!(answer.expires_in(), Some(std::time::Duration::from_mins(5)));
    let told = library.introspect(answer.access_token()).request_async(&http).await.unwrap();
    assert_eq!(told.client_id().map(|id| id.to_string()), Some(client.id.to_string()));
}

#[tokio::test]
async fn refusals_are_read_as_what_they_are() {
    let w = world().await;
    let http = |request| w.answer(request);
    let client = w.client(ClientKind::Confidential).await;
    let library = w.library(&client, AuthType::BasicAuth);
    let (code, _) = w.browse(&library).await;
    let (_, anothers) = PkceCodeChallenge::new_random_sha256();
    let told = library.exchange_code(code).set_pkce_verifier(anothers).request_async(&http).await;
    let Err(RequestTokenError::ServerResponse(told)) = told else { panic!("{told:?}") };
    assert_eq!(told.error(), &BasicErrorResponseType::InvalidGrant);
    assert!(told.error_description().is_some_and(|words| !words.is_empty()));

    let stranger = library.set_client_secret(ClientSecret::new("i3s_guess".to_owned()));
    let told = stranger.exchange_client_credentials().request_async(&http).await;
    let Err(RequestTokenError::ServerResponse(told)) = told else { panic!("{told:?}") };
    assert_eq!(told.error(), &BasicErrorResponseType::InvalidClient);
}
