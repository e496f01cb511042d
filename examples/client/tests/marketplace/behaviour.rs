//! What holds for all operations.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt as _;
use i3_client::{Class, Client, Error, HubRegistration, Secret, Settings, SignIn, UserQuery};
use i3_core::hub::HubState;
use i3_core::market::Registration;
use i3_core::role::RoleName;
use i3_marketplace::{AppState, router};

use crate::support::{House, client_at, password, serve, sign_in};

fn hub(slug: &str) -> HubRegistration {
    HubRegistration { slug: slug.parse().unwrap(), title: "A hub".parse().unwrap() }
}

/// The marketplace behind a road that swallows every first answer.
async fn behind_a_bad_road(house: &House) -> (Client, Arc<AtomicUsize>) {
    let app = router(AppState::from(&house.assembly));
    let arrived = Arc::new(AtomicUsize::new(0));
    let count = arrived.clone();
    let road = Router::new().fallback(move |request: Request| {
        let (app, count) = (app.clone(), count.clone());
        async move {
            let answer = tower::ServiceExt::oneshot(app, request).await.unwrap();
            if count.fetch_add(1, Ordering::SeqCst) % 2 == 1 {
                return answer;
            }
            // The head of an answer whose body ends too early.
            let broken = futures_util::stream::iter([Ok("{"), Err(std::io::Error::other("cut"))]);
            Response::new(Body::from_stream(broken))
        }
    });
    (client_at(serve(road).await), arrived)
}

#[tokio::test]
async fn what_is_sent_again_because_its_answer_was_lost_is_done_once() {
    let house = House::open(Registration::Open).await;
    let (seller, user) = house.register("seller", RoleName::PROVIDER).await;
    let (road, arrived) = behind_a_bad_road(&house).await;
    let signed = house.client.sign_in(&SignIn::new("seller", password())).await.unwrap();
    let road = road.with_token(&signed.token).unwrap();
    // Carried out, its answer lost, and sent again: a second one would be refused, its name is taken.
    let registered = road.register_hub(&hub("acme")).await.unwrap();
    assert_eq!(arrived.load(Ordering::SeqCst), 2);
    let mine = seller.list_memberships(user).await.unwrap();
    assert_eq!(mine.items.iter().map(|one| one.hub).collect::<Vec<_>>(), [registered.id]);
}

#[tokio::test]
async fn what_a_key_means_nothing_to_is_not_sent_again_when_its_answer_was_lost() {
    let house = House::open(Registration::Open).await;
    let (seller, _) = house.register("seller", RoleName::PROVIDER).await;
    let (road, arrived) = behind_a_bad_road(&house).await;
    let error = road.sign_in(&SignIn::new("seller", password())).await.unwrap_err();
    assert!(matches!(error, Error::Lost(_)) && error.may_be_done(), "{error:?}");
    assert_eq!(arrived.load(Ordering::SeqCst), 1);
    assert_eq!(seller.list_tokens().await.unwrap().items.len(), 2, "it was carried out");
}

#[tokio::test]
async fn the_same_key_is_the_same_request_whoever_sends_it_again() {
    let house = House::open(Registration::Open).await;
    let (seller, _) = house.register("seller", RoleName::PROVIDER).await;
    let first = seller.register_hub(&hub("acme"));
    let key = first.idempotency_key().unwrap().clone();
    let first = first.await.unwrap();
    let again = seller.register_hub(&hub("acme")).key(key.clone()).await.unwrap();
    assert_eq!(first.id, again.id);
    let other = seller.register_hub(&hub("other")).key(key).await.unwrap_err();
    assert_eq!((other.code(), other.class()), ("idempotency_key_reused", Class::Refusal));
    let fresh = seller.register_hub(&hub("acme")).await.unwrap_err();
    assert_eq!(fresh.code(), "name_taken");
}

#[tokio::test]
async fn nobody_overwrites_what_was_not_seen() {
    let house = House::open(Registration::Open).await;
    let (seller, _) = house.register("seller", RoleName::PROVIDER).await;
    let id = seller.register_hub(&hub("acme")).await.unwrap().id;
    let seen = house.client.show_hub(id).await.unwrap();
    let tag = seen.tag.clone().unwrap();
    assert!(house.client.show_hub(id).unless(&tag).await.unwrap().is_none(), "nothing is new");

    let changed = house.admin.set_hub_state(id, HubState::Suspended).if_match(&tag).await.unwrap();
    let late = house.admin.set_hub_state(id, HubState::Active).if_match(&tag).await.unwrap_err();
    assert_eq!((late.code(), late.class()), ("precondition_failed", Class::Conflict));
    let fresh = house.client.show_hub(id).unless(&tag).await.unwrap().expect("something is new");
    assert_eq!((fresh.state, changed.state), (HubState::Suspended, HubState::Suspended));
    house.admin.set_hub_state(id, HubState::Active).if_match(&fresh.tag.unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_list_is_one_stream_whatever_its_pages_are() {
    let house = House::open(Registration::Open).await;
    for number in 0..7 {
        house.register(&format!("user-{number}"), RoleName::CONSUMER).await;
    }
    let page = house.admin.list_users(&UserQuery::default()).limit(3).await.unwrap();
    assert_eq!(page.items.len(), 3);
    let rest =
        house.admin.list_users(&UserQuery::default()).after(page.next.clone().unwrap()).all().await.unwrap();
    assert_eq!(rest.len(), 5);
    let mut names = Vec::new();
    let mut users = std::pin::pin!(house.admin.list_users(&UserQuery::default()).limit(3).stream());
    while let Some(user) = users.try_next().await.unwrap() {
        names.push(user.name);
    }
    let whole = house.admin.list_users(&UserQuery::default()).limit(200).await.unwrap();
    assert_eq!(names, whole.items.iter().map(|user| user.name.clone()).collect::<Vec<_>>());
    assert_eq!((names.len(), &whole.next), (8, &None));
    let wrong = house.admin.list_users(&UserQuery::default()).limit(0).all().await.unwrap_err();
    assert_eq!(wrong.code(), "invalid_request");
}

#[tokio::test]
async fn a_problem_says_what_is_wrong_and_where() {
    let house = House::open(Registration::Open).await;
    let wrong = SignIn::new("nobody", Secret::new("a wrong password"));
    let error = house.client.sign_in(&wrong).await.unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!((problem.status, problem.code.as_str()), (401, "invalid_credentials"));
    assert!(problem.instance.as_deref().unwrap().starts_with("urn:i3:request:"));
    let short = i3_client::UserRegistration {
        challenge: house.client.ask_challenge().await.unwrap().solve(),
        ..i3_client::UserRegistration::new("carl".parse().unwrap(), [], Secret::new("short"))
    };
    let error = house.client.register_user(&short).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("invalid_request", Class::Refusal));
    assert!(error.to_string().contains("at least 8 characters"), "{error}");
}

#[tokio::test]
async fn a_secret_is_in_no_debug_text_and_no_error() {
    let house = House::open(Registration::Open).await;
    let (_, _) = house.register("seller", RoleName::PROVIDER).await;
    let secret = "s3cret-of-mine";
    let who = SignIn::new("seller", Secret::new(secret));
    let asked = house.client.sign_in(&who);
    let signed = house.client.sign_in(&SignIn::new("seller", password())).await.unwrap();
    let client = house.client.with_token(&signed.token).unwrap();
    let begun = house.client.begin_session("seller", &password()).await.unwrap();
    let session = house.client.with_session(&begun.cookie, &begun.session.csrf).unwrap();
    let error = house.client.sign_in(&who).await.unwrap_err();
    let me = client.show_me();
    let texts = format!("{who:?} {client:?} {signed:?} {begun:?} {session:?} {me:?} {error:?} {asked:?}");
    let hidden = [secret, signed.token.expose(), begun.cookie.expose(), begun.session.csrf.expose()];
    for hidden in hidden {
        assert!(!texts.contains(hidden), "{texts}");
    }
    let bytes = format!("{:?}", secret.as_bytes());
    assert!(!texts.contains(bytes.trim_matches(['[', ']'])), "not as numbers either");
}

#[tokio::test]
async fn passwords_go_to_other_machines_by_tls_only() {
    let elsewhere = || Settings::new("http://192.0.2.1:8080".parse().unwrap());
    let error = Client::new(elsewhere()).unwrap_err();
    assert!(error.to_string().contains("https"), "{error}");
    assert!(Client::new(elsewhere().unprotected()).is_ok());
}

/// A server that answers so often with this status, and then with health.
async fn reluctant(status: u16, times: usize, after: &'static str) -> (Client, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let app = Router::new().fallback(move || {
        let before = count.fetch_add(1, Ordering::SeqCst);
        async move {
            if before >= times {
                return r#"{"status":"ok","durability":"none"}"#.into_response();
            }
            let body = format!(r#"{{"status":{status},"code":"conflict","detail":"later"}}"#);
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", after.parse().unwrap());
            (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
        }
    });
    (client_at(serve(app).await), asked)
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_one_that_says_no_is_not() {
    let (client, asked) = reluctant(503, 2, "0").await;
    assert_eq!(client.health().await.unwrap().status, "ok");
    assert_eq!(asked.load(Ordering::SeqCst), 3);

    let (client, asked) = reluctant(503, 3, "0").await;
    let error = client.health().await.unwrap_err();
    assert_eq!((error.code(), error.class(), asked.load(Ordering::SeqCst)), ("conflict", Class::Conflict, 3));

    let (client, asked) = reluctant(503, 1, "3600").await;
    assert_eq!(client.health().await.unwrap_err().problem().unwrap().retry_after, Some(3600));
    assert_eq!(asked.load(Ordering::SeqCst), 1, "nobody waits for an hour");

    let (client, asked) = reluctant(409, 1, "0").await;
    client.health().await.unwrap_err();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for_for_ever() {
    let app = Router::new().fallback(std::future::pending::<()>);
    let server = format!("http://{}", serve(app).await).parse().unwrap();
    let settings = Settings::new(server).timeout(Duration::from_millis(50)).tries(2);
    let error = Client::new(settings).unwrap().health().await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)) && error.class() == Class::Failure, "{error:?}");

    // A port that the system gives to nobody who wants any.
    let nobody = "127.0.0.1:1";
    let settings = Settings::new(format!("http://{nobody}").parse().unwrap()).tries(1);
    let error = Client::new(settings).unwrap().health().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)) && !error.may_be_done(), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_the_interfaces_is_an_error_and_no_panic() {
    for text in ["", "<html>", "{}", "[]", r#"{"status":7}"#] {
        let client = client_at(serve(Router::new().fallback(move || async move { text })).await);
        let error = client.health().await.unwrap_err();
        assert!(matches!(error, Error::Unexpected { status: 200, .. }), "{text}: {error:?}");
    }
    let app = Router::new().fallback(|| async { (StatusCode::NOT_FOUND, "nothing here") });
    let error = client_at(serve(app).await).health().await.unwrap_err();
    assert!(matches!(error, Error::Unexpected { status: 404, .. }), "{error:?}");
}

#[tokio::test]
async fn a_page_that_leads_to_itself_ends() {
    let app = Router::new().fallback(|| async { r#"{"items":[],"next":"again"}"# });
    let error = client_at(serve(app).await).list_users(&UserQuery::default()).all().await.unwrap_err();
    assert_eq!(error.code(), "unexpected_answer");
}

#[tokio::test]
async fn an_interface_below_a_path_is_found() {
    let house = House::open(Registration::Open).await;
    let app = Router::new().nest("/shop", router(AppState::from(&house.assembly)));
    let server = format!("http://{}/shop/", serve(app).await).parse().unwrap();
    let client = Client::new(Settings::new(server)).unwrap();
    assert_eq!(sign_in(&client, "admin").await.show_me().await.unwrap().name.as_str(), "admin");
}
