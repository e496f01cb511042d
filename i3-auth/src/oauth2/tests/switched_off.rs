//! Users who are suspended, clients that are switched off.

use i3_core::market::{ActivateUser, DescribeClient, Follower, RemoveClient, SetClientState, SuspendUser};
use i3_core::oauth::ClientState;

use super::*;

async fn suspend(w: &World, user: UserId) {
    w.market.execute(Actor::System, None, &SuspendUser { user }).await.unwrap();
}

async fn switch(w: &World, client: &Client, state: ClientState) {
    let set = SetClientState { client: client.id, state };
    w.market.execute(Actor::System, None, &set).await.unwrap();
}

#[tokio::test]
async fn a_suspended_user_s_tokens_are_refused_at_once_and_none_are_given() {
    let w = world().await;
    let (tokens, code) = (w.tokens().await, w.code().await);
    let id = w.site.id.to_string();
    let asked = w.server.authorize(&form(request(&id, CALLBACK))).await.unwrap();
    suspend(&w, w.alice).await;
    assert_eq!(w.server.check(tokens.access_token.expose()), Err(AccessTokenError::Revoked));
    assert!(!w.is_active(&tokens.access_token).await && !w.is_active(refresh_of(&tokens)).await);
    assert_eq!(refused(w.refresh(refresh_of(&tokens)).await), ErrorCode::InvalidGrant);
    assert_eq!(refused(w.redeem(&code).await), ErrorCode::InvalidGrant);
    let told = w.server.allow(&asked, w.alice, &scopes(&["order:view"])).await;
    assert_eq!(refused(told), ErrorCode::AccessDenied);

    // Reinstated: the old access token stays void, a new one is good.
    w.market.execute(Actor::System, None, &ActivateUser { user: w.alice }).await.unwrap();
    w.pass(1);
    assert_eq!(w.server.check(tokens.access_token.expose()), Err(AccessTokenError::Revoked));
    let fresh = w.refresh(refresh_of(&tokens)).await.unwrap();
    assert!(w.server.check(fresh.access_token.expose()).is_ok());
}

#[tokio::test]
async fn all_of_a_user_s_or_a_client_s_tokens_can_be_ended_for_good() {
    let w = world().await;
    let (first, second, code) = (w.tokens().await, w.tokens().await, w.code().await);
    assert_eq!(w.server.end_all_of_user(w.alice).await.unwrap(), 3);
    assert_eq!(w.server.end_all_of_user(w.alice).await.unwrap(), 0);
    for tokens in [&first, &second] {
        assert_eq!(w.server.check(tokens.access_token.expose()), Err(AccessTokenError::Revoked));
        assert_eq!(refused(w.refresh(refresh_of(tokens)).await), ErrorCode::InvalidGrant);
    }
    assert_eq!(refused(w.redeem(&code).await), ErrorCode::InvalidGrant);
    let third = w.tokens().await;
    assert_eq!(w.server.end_all_of_client(w.site.id).await.unwrap(), 1);
    assert!(!w.is_active(&third.access_token).await);
}

#[tokio::test]
async fn a_client_that_is_switched_off_gets_nothing_and_its_tokens_are_refused() {
    let w = world().await;
    for state in [ClientState::Disabled, ClientState::Suspended] {
        let (tokens, code) = (w.tokens().await, w.code().await);
        let id = w.site.id.to_string();
        let asked = w.server.authorize(&form(request(&id, CALLBACK))).await.unwrap();
        switch(&w, &w.site, state).await;
        assert_eq!(w.server.check(tokens.access_token.expose()), Err(AccessTokenError::Revoked));
        assert_eq!(refused(w.refresh(refresh_of(&tokens)).await), ErrorCode::InvalidClient);
        assert_eq!(refused(w.redeem(&code).await), ErrorCode::InvalidClient);
        let told = w.server.allow(&asked, w.alice, &scopes(&["order:view"])).await;
        assert_eq!(refused(told), ErrorCode::InvalidClient);
        let shown = w.server.authorize(&form(request(&id, CALLBACK))).await;
        assert!(matches!(shown, Err(AuthorizeError::Shown(_))), "{shown:?}");
        switch(&w, &w.site, ClientState::Active).await;
        w.pass(1);
    }
}

#[tokio::test]
async fn a_machine_ends_with_its_owner_and_with_itself() {
    let w = world().await;
    let credentials = [("grant_type", "client_credentials")];
    let token = w.call(&w.gateway, &credentials).await.unwrap();
    suspend(&w, w.maker).await;
    assert_eq!(w.server.check(token.access_token.expose()), Err(AccessTokenError::Revoked));
    assert_eq!(refused(w.call(&w.gateway, &credentials).await), ErrorCode::InvalidClient);
    w.market.execute(Actor::System, None, &ActivateUser { user: w.maker }).await.unwrap();
    w.pass(1);
    let token = w.call(&w.gateway, &credentials).await.unwrap();
    assert!(w.server.check(token.access_token.expose()).is_ok());
    let remove = RemoveClient { client: w.gateway.id };
    w.market.execute(Actor::User(w.maker), None, &remove).await.unwrap();
    assert_eq!(w.server.check(token.access_token.expose()), Err(AccessTokenError::Revoked));
    assert_eq!(refused(w.call(&w.gateway, &credentials).await), ErrorCode::InvalidClient);
}

#[tokio::test]
async fn a_client_whose_maker_is_suspended_gets_nothing() {
    let w = world().await;
    let tokens = w.tokens().await;
    suspend(&w, w.maker).await;
    assert_eq!(refused(w.refresh(refresh_of(&tokens)).await), ErrorCode::InvalidClient);
    assert!(!w.introspect_as_stranger(&tokens).await);
    let id = w.site.id.to_string();
    assert!(w.server.authorize(&form(request(&id, CALLBACK))).await.is_err());
}

impl World {
    /// Whether a resource server of somebody else's is told that the access token is good.
    async fn introspect_as_stranger(&self, tokens: &TokenResponse) -> bool {
        let register = RegisterClient {
            label: "Resource server".parse().unwrap(),
            kind: ClientKind::Machine,
            scopes: scopes(&["token:introspect"]),
            redirect_uris: BTreeSet::new(),
        };
        let asks = self.market.execute(Actor::User(self.alice), None, &register).await.unwrap();
        self.introspect(&asks, &tokens.access_token).await.is_active()
    }
}

#[tokio::test]
async fn a_client_that_lost_a_scope_no_longer_gets_it_for_anybody() {
    let w = world().await;
    let tokens = w.tokens().await;
    let describe = DescribeClient {
        client: w.site.id,
        label: Some(w.site.label.clone()),
        scopes: Some(scopes(&["order:view", "product:read"])),
        redirect_uris: Some(w.site.redirect_uris.clone()),
    };
    w.market.execute(Actor::User(w.maker), None, &describe).await.unwrap();
    assert_eq!(w.server.check(tokens.access_token.expose()), Err(AccessTokenError::Revoked));
    w.pass(1);
    let fresh = w.refresh(refresh_of(&tokens)).await.unwrap();
    assert_eq!(fresh.scope, scopes(&["order:view"]), "and what it gained alice did not allow");
}

#[tokio::test]
async fn another_process_follows_who_is_switched_off() {
    let w = world().await;
    let market = Marketplace::open(w.store.clone(), Arc::new(RolePolicy), COLLECTIONS)
        .await
        .unwrap()
        .with_clock(w.clock.clone());
    let other = serve(&market);
    market.listen(other.revocations().clone());
    let mut follower: Follower = market.follow().await.unwrap();
    let (of_site, machine) =
        (w.tokens().await, w.call(&w.gateway, &[("grant_type", "client_credentials")]).await.unwrap());
    suspend(&w, w.alice).await;
    switch(&w, &w.gateway, ClientState::Disabled).await;
    follower.catch_up().await.unwrap();
    for token in [&of_site.access_token, &machine.access_token] {
        assert_eq!(other.check(token.expose()), Err(AccessTokenError::Revoked));
    }
}
