//! The authorization endpoint.

use super::*;

/// How a request ends: with the request, with a page that shows the code, or with a redirect that tells it.
async fn asked(w: &World, parameters: Vec<(&str, &str)>) -> Result<AuthorizationRequest, String> {
    asked_by(w, &form(parameters)).await
}

async fn asked_by(w: &World, query_text: &str) -> Result<AuthorizationRequest, String> {
    w.server.authorize(query_text).await.map_err(|error| match error {
        AuthorizeError::Shown(refusal) => format!("shown {}", refusal.code.as_str()),
        AuthorizeError::Redirected { location, refusal } => {
            let told = query(&location);
            assert_eq!(told["error"], refusal.code.as_str());
            assert_eq!(told["iss"], ISSUER);
            assert!(!told.contains_key("code"));
            format!("told {}", refusal.code.as_str())
        }
        AuthorizeError::Failed(error) => panic!("{error}"),
    })
}

#[tokio::test]
async fn a_good_request_says_what_the_user_is_to_be_asked() {
    let w = world().await;
    let id = w.app.id.to_string();
    let request = asked(&w, request(&id, "http://127.0.0.1:51004/callback")).await.unwrap();
    let consent = request.consent(w.server.settings());
    let about: Vec<_> = consent.scopes.iter().map(|scope| scope.about.as_str()).collect();
    assert_eq!(about, ["buy for you", "see your orders"]);
    assert_eq!((consent.client, consent.owner, consent.public), (w.app.id, w.maker, true));
    assert_eq!((consent.sent_to.as_str(), consent.owner_name.as_str()), ("127.0.0.1", "maker"));
}

#[tokio::test]
async fn yes_and_no_are_answered_with_the_state_and_the_issuer() {
    let w = world().await;
    let id = w.site.id.to_string();
    let request = asked(&w, request(&id, CALLBACK)).await.unwrap();
    let allowed = w.server.allow(&request, w.alice, &scopes(&["order:view"])).await.unwrap();
    let denied = request.denied(w.server.settings());
    for (location, said) in [(allowed.expose(), "code"), (denied.as_str(), "error")] {
        assert!(location.starts_with("https://site.example/callback?"), "{location}");
        let told = query(location);
        assert_eq!((told["state"].as_str(), told["iss"].as_str()), ("af0ifjsldkj &?", ISSUER));
        assert!(told.contains_key(said));
        assert_eq!(told.contains_key("code"), said == "code");
    }
    assert_eq!(query(&denied)["error"], "access_denied");
    assert_eq!(format!("{allowed:?}"), "Secret(…)", "it has the code in it");
}

#[tokio::test]
async fn what_the_address_had_in_its_query_stays() {
    let w = world().await;
    let uri = "https://site.example/callback?from=i3&x=%2F";
    let client = client(&w.market, w.maker, ClientKind::Confidential, &[uri]).await;
    let id = client.id.to_string();
    let request = asked(&w, with(request(&id, uri), "state", None)).await.unwrap();
    let denied = request.denied(w.server.settings());
    assert!(denied.starts_with(&format!("{uri}&error=access_denied")), "{denied}");
    assert!(!denied.contains("state="));
}

#[tokio::test]
async fn nobody_is_redirected_before_client_and_address_are_sure() {
    let w = world().await;
    let id = w.site.id.to_string();
    let good = || request(&id, CALLBACK);
    for uri in [
        None,
        Some(""),
        Some("https://site.example/callback/"),
        Some("https://site.example/callbac"),
        Some("https://site.example/callback2"),
        Some("https://site.example/Callback"),
        Some("https://SITE.example/callback"),
        Some("https://site.example/callback?x=1"),
        Some("https://site.example/callback#x"),
        Some("https://site.example/callback#"),
        Some("https://user@site.example/callback"),
        Some("https://site.example@attacker.example/callback"),
        Some("https://site.example.attacker.example/callback"),
        Some("https://attacker.example/https://site.example/callback"),
        Some("https://site.example:8443/callback"),
        Some("https://site.example/../callback"),
        Some("https://site.example/%63allback"),
        Some("http://site.example/callback"),
        Some("http://127.0.0.1/callback"),
        Some("javascript:alert(1)"),
        Some(" https://site.example/callback"),
    ] {
        assert_eq!(
            asked(&w, with(good(), "redirect_uri", uri)).await,
            Err("shown invalid_request".into()),
            "{uri:?}"
        );
    }
    let unknown = i3_core::id::ClientId::from_bits(7).to_string();
    let machine = w.gateway.id.to_string();
    for other in [None, Some(""), Some("nonsense"), Some(unknown.as_str()), Some(machine.as_str())] {
        assert_eq!(
            asked(&w, with(good(), "client_id", other)).await,
            Err("shown invalid_request".into()),
            "{other:?}"
        );
    }
    // Another client's address is as wrong as any.
    let app = w.app.id.to_string();
    assert_eq!(asked(&w, with(good(), "client_id", Some(&app))).await, Err("shown invalid_request".into()));
}

#[tokio::test]
async fn what_is_wrong_with_a_known_client_s_request_the_client_is_told() {
    let w = world().await;
    let id = w.site.id.to_string();
    let long = "x".repeat(MAX_STATE + 1);
    for (name, value, told) in [
        ("response_type", None, "invalid_request"),
        ("response_type", Some("token"), "unsupported_response_type"),
        ("response_type", Some("code token"), "unsupported_response_type"),
        ("response_mode", Some("fragment"), "invalid_request"),
        ("code_challenge", None, "invalid_request"),
        ("code_challenge", Some("short"), "invalid_request"),
        ("code_challenge_method", None, "invalid_request"),
        ("code_challenge_method", Some("plain"), "invalid_request"),
        ("scope", Some("order:view product:read"), "invalid_scope"),
        ("scope", Some("order:view unknown"), "invalid_scope"),
        ("scope", Some("Order:view"), "invalid_scope"),
        ("scope", Some(" "), "invalid_scope"),
        ("resource", Some("https://attacker.example/api"), "invalid_target"),
        ("request", Some("eyJhbGciOiJub25lIn0.e30."), "request_not_supported"),
        ("request_uri", Some("https://attacker.example/"), "request_uri_not_supported"),
        ("state", Some("\n"), "invalid_request"),
        ("state", Some(&long), "invalid_request"),
    ] {
        let request = with(request(&id, CALLBACK), name, value);
        assert_eq!(asked(&w, request).await, Err(format!("told {told}")), "{name} {value:?}");
    }
    for (name, value) in
        [("response_mode", Some("query")), ("resource", Some(AUDIENCE)), ("prompt", Some("none"))]
    {
        assert!(asked(&w, with(request(&id, CALLBACK), name, value)).await.is_ok(), "{name}");
    }
    let all = asked(&w, with(request(&id, CALLBACK), "scope", None)).await.unwrap();
    assert_eq!(all.scopes, w.site.scopes, "without a scope it is all of the client's");
}

#[tokio::test]
async fn a_parameter_that_is_there_twice_is_refused() {
    let w = world().await;
    let id = w.site.id.to_string();
    for (name, value) in request(&id, CALLBACK) {
        let mut twice = request(&id, CALLBACK);
        twice.push((name, value));
        let told = asked(&w, twice).await.unwrap_err();
        let unsure = matches!(name, "client_id" | "redirect_uri");
        assert_eq!(told, if unsure { "shown invalid_request" } else { "told invalid_request" }, "{name}");
    }
    let long = format!("{}&x={}", form(request(&id, CALLBACK)), "x".repeat(MAX_BYTES));
    assert_eq!(asked_by(&w, &long).await, Err("shown invalid_request".into()));
}

#[tokio::test]
async fn a_user_allows_no_more_than_was_asked_for_and_something() {
    let w = world().await;
    let id = w.site.id.to_string();
    let request = asked(&w, with(request(&id, CALLBACK), "scope", Some("order:view"))).await.unwrap();
    for wrong in [&[][..], &["order:create"], &["order:view", "order:create"], &["product:read"]] {
        let told = w.server.allow(&request, w.alice, &scopes(wrong)).await;
        assert_eq!(refused(told), ErrorCode::InvalidScope, "{wrong:?}");
    }
    let nobody = UserId::from_bits(7);
    let told = w.server.allow(&request, nobody, &scopes(&["order:view"])).await;
    assert_eq!(refused(told), ErrorCode::AccessDenied);
}
