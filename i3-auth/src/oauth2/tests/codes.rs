//! Redeeming codes.

use super::*;

#[tokio::test]
async fn a_code_gives_tokens_that_say_who_what_and_for_whom() {
    let w = world().await;
    let tokens = w.tokens().await;
    assert_eq!((tokens.token_type, tokens.expires_in), ("Bearer", 300));
    assert_eq!(tokens.scope, scopes(&["order:view", "order:create"]));
    let token = w.server.check(tokens.access_token.expose()).unwrap();
    assert_eq!((token.user, token.client, token.machine), (w.alice, w.site.id, false));
    assert_eq!(token.scopes, tokens.scope);
    let sent = serde_json::to_value(&tokens).unwrap();
    assert_eq!(sent["scope"], "order:create order:view");
    assert_eq!(sent["access_token"], tokens.access_token.expose());
    let shown = format!("{tokens:?}");
    assert!(!shown.contains("eyJ") && !shown.contains("i3r_"), "{shown}");
}

#[tokio::test]
async fn a_public_client_proves_itself_by_the_verifier_alone() {
    let w = world().await;
    let uri = "http://127.0.0.1:51004/callback";
    let code = w.code_for(&w.app, uri).await;
    let redemption = with(redemption(&code), "redirect_uri", Some(uri));
    let tokens = w.call(&w.app, &redemption).await.unwrap();
    assert_eq!(w.server.check(tokens.access_token.expose()).unwrap().client, w.app.id);
}

#[tokio::test]
async fn a_code_that_is_presented_again_revokes_all_that_came_of_it() {
    let w = world().await;
    let code = w.code().await;
    let first = w.redeem(&code).await.unwrap();
    let second = w.refresh(refresh_of(&first)).await.unwrap();
    assert!(w.is_active(&second.access_token).await);
    // Long after it would have expired, too.
    w.pass(200);
    assert_eq!(refused(w.redeem(&code).await), ErrorCode::InvalidGrant);
    for token in [&first.access_token, &second.access_token, refresh_of(&second)] {
        assert!(!w.is_active(token).await);
    }
    assert_eq!(w.server.check(second.access_token.expose()), Err(AccessTokenError::Revoked));
    assert_eq!(refused(w.refresh(refresh_of(&second)).await), ErrorCode::InvalidGrant);
    let family = w.family(&first).await;
    assert!(matches!(family.state, FamilyState::Revoked { why: Revoked::CodeReused, .. }), "{family:?}");
}

#[tokio::test]
async fn of_many_who_redeem_one_code_at_once_one_is_answered_and_all_is_revoked() {
    for _ in 0..20 {
        let w = Arc::new(world().await);
        let code: Arc<str> = w.code().await.into();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (w, code) = (w.clone(), code.clone());
            tasks.spawn(async move { w.redeem(&code).await });
        }
        let answers = tasks.join_all().await;
        let given: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
        let [given] = given[..] else { panic!("{answers:?}") };
        assert!(!w.is_active(&given.access_token).await);
        assert_eq!(refused(w.refresh(refresh_of(given)).await), ErrorCode::InvalidGrant);
    }
}

#[tokio::test]
async fn a_code_is_good_for_a_minute() {
    let w = world().await;
    let (early, late) = (w.code().await, w.code().await);
    w.pass(59);
    assert!(w.redeem(&early).await.is_ok());
    w.pass(1);
    assert_eq!(refused(w.redeem(&late).await), ErrorCode::InvalidGrant);
}

/// Redeems a fresh code wrongly, then rightly.
async fn after(w: &World, name: &str, value: Option<&str>) -> (ErrorCode, bool) {
    let code = w.code().await;
    let told = refused(w.call(&w.site, &with(redemption(&code), name, value)).await);
    (told, w.redeem(&code).await.is_ok())
}

#[tokio::test]
async fn a_code_shown_without_its_verifier_or_for_another_address_is_void() {
    let w = world().await;
    for (name, value) in [
        ("code_verifier", None),
        ("code_verifier", Some(CHALLENGE)),
        ("code_verifier", Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK")),
        ("code_verifier", Some("x")),
        ("redirect_uri", None),
        ("redirect_uri", Some("https://site.example/callback/")),
        ("redirect_uri", Some("https://SITE.example/callback")),
        ("redirect_uri", Some("https://attacker.example/callback")),
    ] {
        assert_eq!(after(&w, name, value).await, (ErrorCode::InvalidGrant, false), "{name} {value:?}");
    }
    // What is no try to redeem it leaves it good.
    for (name, value, told) in [
        ("code", None, ErrorCode::InvalidRequest),
        ("code", Some("i3c_x"), ErrorCode::InvalidGrant),
        ("grant_type", None, ErrorCode::InvalidRequest),
        ("grant_type", Some("password"), ErrorCode::UnsupportedGrantType),
        ("grant_type", Some("implicit"), ErrorCode::UnsupportedGrantType),
        ("grant_type", Some("client_credentials"), ErrorCode::UnauthorizedClient),
        ("resource", Some("https://attacker.example"), ErrorCode::InvalidTarget),
    ] {
        assert_eq!(after(&w, name, value).await, (told, true), "{name} {value:?}");
    }
}

#[tokio::test]
async fn a_loopback_port_is_bound_once_the_code_is_issued() {
    let w = world().await;
    let code = w.code_for(&w.app, "http://127.0.0.1:51004/callback").await;
    let other = with(redemption(&code), "redirect_uri", Some("http://127.0.0.1:51005/callback"));
    assert_eq!(refused(w.call(&w.app, &other).await), ErrorCode::InvalidGrant);
}

#[tokio::test]
async fn a_client_cannot_redeem_anothers_code() {
    let w = world().await;
    let thief = client(&w.market, w.alice, ClientKind::Confidential, &[CALLBACK]).await;
    let code = w.code().await;
    assert_eq!(refused(w.call(&thief, &redemption(&code)).await), ErrorCode::InvalidGrant);
    assert_eq!(refused(w.redeem(&code).await), ErrorCode::InvalidGrant, "it was seen by somebody else");
}

#[tokio::test]
async fn forged_codes_and_those_of_another_kind_are_refused() {
    let w = world().await;
    let code = w.code().await;
    let tokens = w.redeem(&w.code().await).await.unwrap();
    let forged: String = code.chars().rev().collect();
    let damaged = format!("{}a", code.trim_end_matches(|c: char| c.is_ascii_alphanumeric()));
    for wrong in [&forged, &damaged, refresh_of(&tokens).expose(), tokens.access_token.expose(), "x"] {
        assert_eq!(refused(w.redeem(wrong).await), ErrorCode::InvalidGrant, "{wrong}");
    }
    let as_refresh = w.refresh(&Secret::new(code.clone())).await;
    assert_eq!(refused(as_refresh), ErrorCode::InvalidGrant);
    assert!(w.redeem(&code).await.is_ok());
}

#[tokio::test]
async fn another_verifier_s_challenge_does_not_fit() {
    let w = world().await;
    let verifier = "another-verifier-that-is-long-enough-to-be-one";
    let challenge = data_encoding::BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes()));
    let id = w.site.id.to_string();
    let asked = with(request(&id, CALLBACK), "code_challenge", Some(&challenge));
    let asked = w.server.authorize(&form(asked)).await.unwrap();
    let location = w.server.allow(&asked, w.alice, &scopes(&["order:view"])).await.unwrap();
    // A thief's own verifier, whose challenge was in another request (code injection, RFC 9700, section 4.5).
    assert_eq!(refused(w.redeem(&query(location.expose())["code"]).await), ErrorCode::InvalidGrant);
}
