//! Introspection, revocation, metadata, and what is kept.

use i3_core::market::{Commands, contents};
use i3_core::store::{Entity as _, Scan};

use super::*;

#[tokio::test]
async fn introspection_says_what_a_good_token_is() {
    let w = world().await;
    let tokens = w.tokens().await;
    let told = serde_json::to_value(w.introspect(&w.site, &tokens.access_token).await).unwrap();
    let family = w.family(&tokens).await.id;
    let expected = serde_json::json!({
        "active": true,
        "scope": "order:create order:view",
        "client_id": w.site.id.to_string(),
        "token_type": "Bearer",
        "exp": 1_795_296_722,
        "iat": 1_795_296_422,
        "sub": w.alice.to_string(),
        "aud": AUDIENCE,
        "iss": ISSUER,
        "jti": format!("{family}.1"),
    });
    assert_eq!(told, expected);
    let Introspection::Active(refresh) = w.introspect(&w.site, refresh_of(&tokens)).await else { panic!() };
    assert_eq!((refresh.token_type, refresh.exp), (None, 1_795_296_422 + 14 * 24 * 60 * 60));
}

#[tokio::test]
async fn of_other_tokens_introspection_says_that_they_are_not_good_and_no_more() {
    let w = world().await;
    let tokens = w.tokens().await;
    let other = client(&w.market, w.alice, ClientKind::Confidential, &[CALLBACK]).await;
    let inactive = serde_json::json!({ "active": false });
    for (asks, token) in [
        (&other, tokens.access_token.expose()),
        (&other, refresh_of(&tokens).expose()),
        (&w.gateway, tokens.access_token.expose()),
        (&w.site, "x"),
        (&w.site, "eyJhbGciOiJub25lIn0.e30."),
    ] {
        let told = w.introspect(asks, &Secret::new(token.to_owned())).await;
        assert_eq!(serde_json::to_value(told).unwrap(), inactive);
    }
    w.pass(300);
    assert!(!w.is_active(&tokens.access_token).await, "it has expired");
    assert!(w.is_active(refresh_of(&tokens)).await);

    let body = form([("client_id", w.app.id.to_string().as_str()), ("token", tokens.access_token.expose())]);
    let told = w.server.introspect(ClientCall { authorization: None, body: &body }).await;
    assert_eq!(refused(told), ErrorCode::UnauthorizedClient, "a public client cannot ask");
    let body = form([("token", tokens.access_token.expose())]);
    let told = w.server.introspect(ClientCall { authorization: None, body: &body }).await;
    assert_eq!(refused(told), ErrorCode::InvalidClient);
}

#[tokio::test]
async fn a_resource_server_learns_of_every_token() {
    let w = world().await;
    let tokens = w.tokens().await;
    let register = RegisterClient {
        label: "Resource server".parse().unwrap(),
        kind: ClientKind::Machine,
        scopes: scopes(&["token:introspect"]),
        redirect_uris: BTreeSet::new(),
    };
    let resource = w.market.execute(Actor::User(w.maker), None, &register).await.unwrap();
    assert!(w.introspect(&resource, &tokens.access_token).await.is_active());
}

async fn revoke(w: &World, client: &Client, token: &str) -> Result<(), OAuthError> {
    let proof = w.proof(client);
    let proof = proof.iter().map(|(name, value)| (*name, value.as_str()));
    let body = form(proof.chain([("token", token), ("token_type_hint", "nonsense")]));
    w.server.revoke(ClientCall { authorization: None, body: &body }).await
}

#[tokio::test]
async fn a_token_that_is_given_back_ends_with_its_family() {
    let w = world().await;
    for which in [0, 1] {
        let (tokens, other) = (w.tokens().await, w.tokens().await);
        let given_back = [&tokens.access_token, refresh_of(&tokens)][which].expose();
        for _ in 0..2 {
            revoke(&w, &w.site, given_back).await.unwrap();
            assert_eq!(w.server.check(tokens.access_token.expose()), Err(AccessTokenError::Revoked));
            assert!(!w.is_active(&tokens.access_token).await);
            assert_eq!(refused(w.refresh(refresh_of(&tokens)).await), ErrorCode::InvalidGrant);
        }
        assert!(w.server.check(other.access_token.expose()).is_ok());
        assert!(w.is_active(&other.access_token).await);
    }
}

#[tokio::test]
async fn a_token_that_is_not_known_is_no_error_and_anothers_is_left_alone() {
    let w = world().await;
    let tokens = w.tokens().await;
    for unknown in ["x", "i3r_x", "eyJhbGciOiJub25lIn0.e30.", "i3c_x"] {
        revoke(&w, &w.site, unknown).await.unwrap();
    }
    for token in [&tokens.access_token, refresh_of(&tokens)] {
        assert_eq!(refused(revoke(&w, &w.app, token.expose()).await), ErrorCode::UnauthorizedClient);
    }
    assert!(w.is_active(&tokens.access_token).await);
}

#[tokio::test]
async fn a_user_sees_and_takes_back_what_was_allowed() {
    let w = world().await;
    let tokens = w.tokens().await;
    let pending = w.code().await;
    let allowed = w.server.allowed_by(w.alice).await.unwrap();
    let [family] = &allowed[..] else { panic!("{allowed:?}") };
    assert_eq!(*family, w.family(&tokens).await);
    w.server.take_back(w.maker, family.id).await.unwrap();
    assert!(w.is_active(&tokens.access_token).await, "somebody else took it back");
    w.server.take_back(w.alice, family.id).await.unwrap();
    assert!(!w.is_active(&tokens.access_token).await);
    assert_eq!(w.server.allowed_by(w.alice).await.unwrap(), []);
    assert!(w.redeem(&pending).await.is_ok());
}

#[tokio::test]
async fn another_process_learns_of_a_revocation_when_it_reads_the_store() {
    let w = world().await;
    let other = serve(&w.market);
    let tokens = w.tokens().await;
    assert!(other.check(tokens.access_token.expose()).is_ok(), "one master key, one set of keys");
    revoke(&w, &w.site, refresh_of(&tokens).expose()).await.unwrap();
    assert!(other.check(tokens.access_token.expose()).is_ok());
    assert_eq!(other.revocations().read(&*w.store).await.unwrap(), 1);
    assert_eq!(other.check(tokens.access_token.expose()), Err(AccessTokenError::Revoked));
    // What is older than any access token needs not be read.
    w.pass(700);
    assert_eq!(serve(&w.market).revocations().read(&*w.store).await.unwrap(), 0);
}

#[tokio::test]
async fn families_of_which_nothing_is_good_any_more_are_swept() {
    let w = world().await;
    let revoked = w.tokens().await;
    revoke(&w, &w.site, refresh_of(&revoked).expose()).await.unwrap();
    w.code().await;
    let kept = w.tokens().await;
    let machine = w.call(&w.gateway, &[("grant_type", "client_credentials")]).await.unwrap();
    let left = async || w.store.all::<Family>(Scan::ids(Family::collection())).await.unwrap().len();
    assert_eq!(w.server.sweep(100).await.unwrap(), 0);
    w.pass(60);
    assert_eq!((w.server.sweep(100).await.unwrap(), left().await), (1, 3), "the code has expired");
    w.pass(239);
    assert_eq!(w.server.sweep(100).await.unwrap(), 0);
    assert!(w.server.check(machine.access_token.expose()).is_ok());
    w.pass(1);
    assert_eq!((w.server.sweep(100).await.unwrap(), left().await), (1, 2), "the machine's token too");
    w.pass(309);
    assert_eq!(w.server.sweep(100).await.unwrap(), 0, "a revoked family is known as long as its tokens live");
    w.pass(1);
    assert_eq!((w.server.sweep(1).await.unwrap(), left().await), (1, 1));
    assert!(w.refresh(refresh_of(&kept)).await.is_ok());
}

#[tokio::test]
async fn nothing_that_is_stored_is_a_secret_or_gives_one() {
    let w = world().await;
    let code = w.code().await;
    let tokens = w.tokens().await;
    let secret = w.server.secrets().of(&w.site).unwrap();
    let mut lines = Vec::new();
    let contents = contents(&crate::parts()).unwrap();
    i3_core::portable::export(&*w.store, &contents, &mut lines, &()).await.unwrap();
    let stored = String::from_utf8(lines).unwrap();
    assert!(stored.contains("oauth_families") && stored.contains("oauth_clients"));
    let texts = [&code, tokens.access_token.expose(), refresh_of(&tokens).expose(), secret.expose()];
    for text in texts {
        let (_, seal) = text.rsplit_once(['_', '.']).unwrap();
        assert!(!stored.contains(seal));
    }
    let target = MemoryStore::new();
    let replayed =
        i3_core::market::replay(&*w.store, &target, &contents, &Commands::standard(), &()).await.unwrap();
    assert_eq!(replayed.left_out["oauth_families"], 2);
}

#[tokio::test]
async fn the_metadata_say_what_the_server_does() {
    let w = world().await;
    let at = |path: &str| format!("{ISSUER}/oauth/{path}");
    let endpoints = Endpoints {
        authorization: at("authorize"),
        token: at("token"),
        revocation: at("revoke"),
        introspection: at("introspect"),
        jwks: format!("{ISSUER}/.well-known/jwks.json"),
    };
    let told = serde_json::to_value(Metadata::new(w.server.settings(), endpoints)).unwrap();
    assert_eq!(told["issuer"], ISSUER);
    assert_eq!(told["token_endpoint"], "https://i3.example/oauth/token");
    assert_eq!(told["response_types_supported"], serde_json::json!(["code"]));
    assert_eq!(told["code_challenge_methods_supported"], serde_json::json!(["S256"]));
    assert_eq!(told["authorization_response_iss_parameter_supported"], true);
    assert_eq!(told["scopes_supported"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn the_public_keys_verify_the_tokens() {
    let w = world().await;
    let tokens = w.tokens().await;
    // As any resource server would: by the published set and a library.
    let set = serde_json::to_string(&w.server.jwks().unwrap()).unwrap();
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&set).unwrap();
    let header = jsonwebtoken::decode_header(tokens.access_token.expose()).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let key = set.find(&header.kid.unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    validation.validate_exp = false;
    let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
    let token =
        jsonwebtoken::decode::<serde_json::Value>(tokens.access_token.expose(), &key, &validation).unwrap();
    assert_eq!(token.claims["sub"], w.alice.to_string());
    assert_eq!(token.claims["client_id"], w.site.id.to_string());
}

#[test]
fn errors_are_answered_as_the_standard_says() {
    let refusal = Refusal::grant("why");
    let sent = serde_json::to_value(refusal).unwrap();
    assert_eq!(sent, serde_json::json!({ "error": "invalid_grant", "error_description": "why" }));
    assert_eq!(refusal.status(), 400);
    assert_eq!(Refusal::new(ErrorCode::InvalidClient, "why").status(), 401);
    let failed = OAuthError::Conflict.told();
    assert_eq!((failed.code, failed.status()), (ErrorCode::TemporarilyUnavailable, 503));
}
