//! Client credentials, and how clients prove who they are.

use data_encoding::BASE64;

use super::*;

async fn machine(w: &World, client: &Client, scope: Option<&str>) -> Result<TokenResponse, OAuthError> {
    let mut with = vec![("grant_type", "client_credentials")];
    with.extend(scope.map(|scope| ("scope", scope)));
    w.call(client, &with).await
}

#[tokio::test]
async fn a_machine_acts_for_its_owner_and_nobody_else() {
    let w = world().await;
    let tokens = machine(&w, &w.gateway, None).await.unwrap();
    assert_eq!((tokens.scope, tokens.refresh_token.is_none()), (w.gateway.scopes.clone(), true));
    let token = w.server.check(tokens.access_token.expose()).unwrap();
    assert_eq!((token.user, token.client, token.machine), (w.maker, w.gateway.id, true));
    let Introspection::Active(told) = w.introspect(&w.gateway, &tokens.access_token).await else { panic!() };
    assert_eq!(told.sub, w.gateway.id.to_string(), "no client passes for a user (RFC 9700, section 4.15)");
    let own = client(&w.market, w.alice, ClientKind::Machine, &[]).await;
    let token = machine(&w, &own, None).await.unwrap();
    assert_eq!(w.server.check(token.access_token.expose()).unwrap().user, w.alice);
}

#[tokio::test]
async fn a_machine_gets_what_it_is_registered_for_at_most() {
    let w = world().await;
    let less = machine(&w, &w.gateway, Some("order:view")).await.unwrap();
    assert_eq!(less.scope, scopes(&["order:view"]));
    for more in ["product:read", "order:view product:read", "unknown"] {
        assert_eq!(refused(machine(&w, &w.gateway, Some(more)).await), ErrorCode::InvalidScope, "{more}");
    }
}

#[tokio::test]
async fn a_client_of_another_kind_is_not_authorized() {
    let w = world().await;
    for client in [&w.site, &w.app] {
        assert_eq!(refused(machine(&w, client, None).await), ErrorCode::UnauthorizedClient);
    }
    let code = w.code().await;
    assert_eq!(refused(w.call(&w.gateway, &redemption(&code)).await), ErrorCode::UnauthorizedClient);
    assert!(w.redeem(&code).await.is_ok());
}

async fn proves(w: &World, authorization: Option<&str>, body: Vec<(&str, &str)>) -> Result<(), ErrorCode> {
    let body = form(with(body, "grant_type", Some("client_credentials")));
    let answer = w.server.token(ClientCall { authorization, body: &body }).await;
    answer.map(drop).map_err(|error| error.refusal().unwrap().code)
}

#[tokio::test]
async fn a_client_proves_who_it_is_in_one_way() {
    let w = world().await;
    let id = w.gateway.id.to_string();
    let secret = w.server.secrets().of(&w.gateway).unwrap();
    let secret = secret.expose();
    let basic =
        |id: &str, secret: &str| format!("Basic {}", BASE64.encode(format!("{id}:{secret}").as_bytes()));
    let good = basic(&id, secret);
    assert_eq!(proves(&w, Some(&good), vec![]).await, Ok(()));
    assert_eq!(proves(&w, Some(&good.replace("Basic", "bAsIc")), vec![]).await, Ok(()));
    assert_eq!(proves(&w, Some(&basic(&id.replace('_', "%5F"), secret)), vec![]).await, Ok(()));
    assert_eq!(proves(&w, Some(&good), vec![("client_id", &id)]).await, Ok(()));
    assert_eq!(proves(&w, None, vec![("client_id", &id), ("client_secret", secret)]).await, Ok(()));

    let invalid = Err(ErrorCode::InvalidClient);
    let other = w.server.secrets().of(&w.site).unwrap();
    let unknown = i3_core::id::ClientId::from_bits(7).to_string();
    for (id, secret) in [
        (id.as_str(), ""),
        (&id, "i3s_"),
        (&id, other.expose()),
        (&id, &secret.to_uppercase()),
        (&id, &format!("{secret} ")),
        (&unknown, secret),
        ("", secret),
        ("nonsense", secret),
        (&w.maker.to_string(), secret),
    ] {
        assert_eq!(proves(&w, Some(&basic(id, secret)), vec![]).await, invalid, "{id}");
        let told = proves(&w, None, vec![("client_id", id), ("client_secret", secret)]).await;
        assert_eq!(told, invalid, "{id}");
    }
    let long = format!("Basic {}", "A".repeat(2_000));
    for header in ["", "Basic", "Basic !", "Bearer x", &format!("Basic {}", BASE64.encode(b"x")), &long] {
        assert_eq!(proves(&w, Some(header), vec![]).await, invalid, "{header}");
    }
    assert_eq!(proves(&w, None, vec![]).await, invalid);
    assert_eq!(proves(&w, None, vec![("client_id", &id)]).await, invalid);

    let twice = Err(ErrorCode::InvalidRequest);
    assert_eq!(proves(&w, Some(&good), vec![("client_id", &id), ("client_secret", secret)]).await, twice);
    assert_eq!(proves(&w, Some(&good), vec![("client_id", &unknown)]).await, twice);
    let body = [("client_id", id.as_str()), ("client_secret", secret), ("client_secret", secret)];
    assert_eq!(proves(&w, None, body.to_vec()).await, twice);
}

#[tokio::test]
async fn a_public_client_that_shows_a_secret_is_not_believed() {
    let w = world().await;
    let code = w.code_for(&w.app, "http://127.0.0.1:1/callback").await;
    let id = w.app.id.to_string();
    let call = |secret| {
        let more = [("client_id", id.as_str()), ("client_secret", secret)];
        let redemption = with(redemption(&code), "redirect_uri", Some("http://127.0.0.1:1/callback"));
        form(redemption.into_iter().chain(more))
    };
    let body = call("guess");
    let told = w.server.token(ClientCall { authorization: None, body: &body }).await;
    assert_eq!(refused(told), ErrorCode::InvalidClient);
    let body = call("");
    assert!(w.server.token(ClientCall { authorization: None, body: &body }).await.is_ok());
}

#[tokio::test]
async fn a_replaced_secret_is_void_at_once() {
    let w = world().await;
    let replace = i3_core::market::ReplaceClientSecret { client: w.gateway.id };
    let replaced = w.market.execute(Actor::User(w.maker), None, &replace).await.unwrap();
    assert_eq!(refused(machine(&w, &w.gateway, None).await), ErrorCode::InvalidClient);
    assert!(machine(&w, &replaced, None).await.is_ok());
    assert!(w.server.secrets().of(&w.app).is_none());
}

#[tokio::test]
async fn parameters_that_are_there_twice_and_oversize_requests_are_refused() {
    let w = world().await;
    let code = w.code().await;
    for (name, value) in redemption(&code) {
        let mut twice = redemption(&code);
        twice.push((name, value));
        assert_eq!(refused(w.call(&w.site, &twice).await), ErrorCode::InvalidRequest, "{name}");
    }
    let long = "x".repeat(MAX_BYTES);
    assert_eq!(
        refused(w.call(&w.site, &with(redemption(&code), "x", Some(&long))).await),
        ErrorCode::InvalidRequest
    );
    assert!(w.redeem(&code).await.is_ok(), "none of them was a try to redeem it");
}
