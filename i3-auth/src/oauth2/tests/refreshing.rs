//! Refresh tokens.

use super::*;

const DAY: u64 = 24 * 60 * 60;

async fn refresh_for(w: &World, token: &Secret, scope: &str) -> Result<TokenResponse, OAuthError> {
    let with = [("grant_type", "refresh_token"), ("refresh_token", token.expose()), ("scope", scope)];
    w.call(&w.site, &with).await
}

#[tokio::test]
async fn every_use_gives_another_refresh_token() {
    let w = world().await;
    let mut tokens = w.tokens().await;
    for _ in 0..5 {
        w.pass(DAY);
        let next = w.refresh(refresh_of(&tokens)).await.unwrap();
        assert_ne!(next.access_token.expose(), tokens.access_token.expose());
        assert_ne!(refresh_of(&next).expose(), refresh_of(&tokens).expose());
        assert!(w.server.check(next.access_token.expose()).is_ok());
        assert!(w.is_active(refresh_of(&next)).await && !w.is_active(refresh_of(&tokens)).await);
        tokens = next;
    }
}

#[tokio::test]
async fn a_used_refresh_token_that_is_presented_again_revokes_its_family() {
    let w = world().await;
    let first = w.tokens().await;
    let second = w.refresh(refresh_of(&first)).await.unwrap();
    let third = w.refresh(refresh_of(&second)).await.unwrap();
    let other = w.tokens().await;
    assert_eq!(refused(w.refresh(refresh_of(&first)).await), ErrorCode::InvalidGrant);
    assert_eq!(refused(w.refresh(refresh_of(&third)).await), ErrorCode::InvalidGrant);
    assert_eq!(w.server.check(third.access_token.expose()), Err(AccessTokenError::Revoked));
    let family = w.family(&first).await;
    assert!(matches!(family.state, FamilyState::Revoked { why: Revoked::RefreshReused, .. }), "{family:?}");
    assert!(w.refresh(refresh_of(&other)).await.is_ok(), "another consent is another family");
}

#[tokio::test]
async fn of_many_who_use_one_refresh_token_at_once_one_is_answered_and_all_is_revoked() {
    let w = Arc::new(world().await);
    let tokens = Arc::new(w.tokens().await);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (w, tokens) = (w.clone(), tokens.clone());
        tasks.spawn(async move { w.refresh(refresh_of(&tokens)).await });
    }
    let answers = tasks.join_all().await;
    let given: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    let [given] = given[..] else { panic!("{answers:?}") };
    assert_eq!(refused(w.refresh(refresh_of(given)).await), ErrorCode::InvalidGrant);
}

#[tokio::test]
async fn a_refresh_token_ends_when_it_is_idle_and_all_end_in_the_end() {
    let w = world().await;
    let idle = w.tokens().await;
    w.pass(14 * DAY - 1);
    let mut tokens = w.refresh(refresh_of(&idle)).await.unwrap();
    let forgotten = w.tokens().await;
    w.pass(14 * DAY);
    assert_eq!(refused(w.refresh(refresh_of(&forgotten)).await), ErrorCode::InvalidGrant);
    assert_eq!(refused(w.refresh(refresh_of(&tokens)).await), ErrorCode::InvalidGrant);

    tokens = w.tokens().await;
    for _ in 0..8 {
        w.pass(11 * DAY);
        tokens = w.refresh(refresh_of(&tokens)).await.unwrap();
    }
    w.pass(2 * DAY - 100);
    tokens = w.refresh(refresh_of(&tokens)).await.unwrap();
    assert_eq!(tokens.expires_in, 100, "no access token outlives its family");
    w.pass(100);
    assert_eq!(refused(w.refresh(refresh_of(&tokens)).await), ErrorCode::InvalidGrant);
    assert_eq!(w.server.check(tokens.access_token.expose()), Err(AccessTokenError::Expired));
}

#[tokio::test]
async fn less_may_be_asked_for_and_never_more() {
    let w = world().await;
    let id = w.site.id.to_string();
    let asked = w.server.authorize(&form(request(&id, CALLBACK))).await.unwrap();
    let location = w.server.allow(&asked, w.alice, &scopes(&["order:view"])).await.unwrap();
    let tokens = w.redeem(&query(location.expose())["code"]).await.unwrap();
    assert_eq!(tokens.scope, scopes(&["order:view"]), "what the user allowed, not what was asked for");
    for more in ["order:create", "order:view order:create", "product:read", "unknown", "\""] {
        let told = refused(refresh_for(&w, refresh_of(&tokens), more).await);
        assert!(matches!(told, ErrorCode::InvalidScope | ErrorCode::InvalidRequest), "{more} {told:?}");
    }

    let wide = w.tokens().await;
    let narrow = refresh_for(&w, refresh_of(&wide), "order:view").await.unwrap();
    assert_eq!(narrow.scope, scopes(&["order:view"]));
    assert_eq!(w.server.check(narrow.access_token.expose()).unwrap().scopes, scopes(&["order:view"]));
    let wide_again = w.refresh(refresh_of(&narrow)).await.unwrap();
    assert_eq!(
        wide_again.scope, wide.scope,
        "the refresh token keeps what was allowed (RFC 6749, section 6)"
    );
}

#[tokio::test]
async fn a_client_cannot_use_anothers_refresh_token() {
    let w = world().await;
    let thief = client(&w.market, w.alice, ClientKind::Confidential, &[CALLBACK]).await;
    let tokens = w.tokens().await;
    let with = [("grant_type", "refresh_token"), ("refresh_token", refresh_of(&tokens).expose())];
    assert_eq!(refused(w.call(&thief, &with).await), ErrorCode::InvalidGrant);
    let family = w.family(&tokens).await;
    assert!(matches!(family.state, FamilyState::Revoked { why: Revoked::RefreshMisused, .. }), "{family:?}");
    assert_eq!(refused(w.refresh(refresh_of(&tokens)).await), ErrorCode::InvalidGrant);
}

#[tokio::test]
async fn forged_refresh_tokens_revoke_nothing() {
    let w = world().await;
    let tokens = w.tokens().await;
    let text = refresh_of(&tokens).expose();
    for wrong in
        [text.replace("_1_", "_0_"), text.replace("_1_", "_2_"), format!("{text}a"), "i3r_".to_owned()]
    {
        assert_eq!(refused(w.refresh(&Secret::new(wrong)).await), ErrorCode::InvalidGrant);
    }
    assert!(w.refresh(refresh_of(&tokens)).await.is_ok());
}

#[tokio::test]
async fn a_token_of_a_later_state_of_the_store_is_refused() {
    // As after a backup was played back.
    let w = world().await;
    let tokens = w.tokens().await;
    let family = w.family(&tokens).await;
    let later = w.server.secrets().refresh(family.id, 5);
    assert_eq!(refused(w.refresh(&later).await), ErrorCode::InvalidGrant);
    assert!(w.refresh(refresh_of(&tokens)).await.is_ok());
}
