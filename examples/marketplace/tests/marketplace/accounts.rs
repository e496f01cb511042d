//! Opening accounts over the interface: policies, approval, invitations, profiles.

use i3_core::market::{Registration, Settings};
use i3_marketplace::{Assembly, StoreUrl};
use serde_json::{Value, json};

use crate::support::{PASSWORD, Reply, Rest, assemble, config, text};

async fn house(registration: Registration) -> (Assembly, Rest, String) {
    let mut config = config(StoreUrl::Memory);
    config.settings = Settings::default().with_registration(registration);
    let (assembly, rest) = assemble(config).await;
    let (admin, _) = rest.sign_in("admin").await;
    (assembly, rest, admin)
}

async fn register(rest: &Rest, more: Value) -> Reply {
    let mut body = json!({"name": "guest", "roles": ["consumer"], "password": PASSWORD});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rest.ask("POST", "/users").json(&body).send().await
}

#[tokio::test]
async fn who_waits_for_approval_sees_oneself_and_nothing_else() {
    let (_assembly, rest, admin) = house(Registration::Approval).await;
    let profile = json!({"email": "guest@example.org", "domain": "smart-home", "time_zone": "asia/seoul"});
    let user = register(&rest, profile).await.ok();
    assert_eq!(
        (&user["state"], &user["domain"], &user["time_zone"]),
        (&json!("pending"), &json!("smart-home"), &json!("Asia/Seoul"))
    );
    let (token, id) = rest.sign_in("guest").await;
    assert_eq!(rest.get(&token, "/users/me").await.ok()["name"], "guest");
    for path in ["/users", "/orders", "/audit", "/invitations"] {
        rest.get(&token, path).await.is(403, "forbidden");
    }
    let describe = json!({"display": "Guest"});
    rest.put(&token, format!("/users/{id}"), describe.clone()).await.is(403, "forbidden");
    rest.post(&admin, format!("/users/{id}/approve"), json!({})).await.ok();
    let user = rest.put(&token, format!("/users/{id}"), describe).await.ok();
    assert_eq!((&user["display"], &user["domain"]), (&json!("Guest"), &Value::Null));
}

#[tokio::test]
async fn who_is_rejected_stays_outside() {
    let (_assembly, rest, admin) = house(Registration::Approval).await;
    let id = text(&register(&rest, json!({})).await.ok()["id"]);
    let user = rest.post(&admin, format!("/users/{id}/reject"), json!({})).await.ok();
    assert_eq!(user["state"], "rejected");
    let (token, _) = rest.sign_in("guest").await;
    rest.get(&token, "/orders").await.is(403, "forbidden");
}

#[tokio::test]
async fn where_people_are_invited_nobody_else_comes_in() {
    let (_assembly, rest, admin) = house(Registration::Invitation).await;
    register(&rest, json!({})).await.is(403, "invitation_needed");
    let wanted = json!({"label": "The club", "roles": ["provider"]});
    let invited = rest.post(&admin, "/invitations", wanted.clone()).await.ok();
    let token = text(&invited["token"]);
    register(&rest, json!({"invitation": token.replace('a', "b") + "x"}))
        .await
        .is(403, "invitation_not_good");
    let user = register(&rest, json!({"invitation": token})).await.ok();
    assert_eq!((&user["state"], &user["roles"]), (&json!("active"), &json!(["consumer", "provider"])));
    register(&rest, json!({"invitation": token, "name": "second"})).await.is(403, "invitation_not_good");

    let invited = rest.post(&admin, "/invitations", wanted).await.ok();
    rest.ask("DELETE", format!("/invitations/{}", text(&invited["id"]))).token(&admin).send().await.ok();
    let token = text(&invited["token"]);
    register(&rest, json!({"invitation": token, "name": "second"})).await.is(403, "invitation_not_good");

    // The texts themselves are shown once, and are not what is stored.
    let listed = rest.get(&admin, "/invitations").await.ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains("i3i_"), "{listed}");
    let (guest, _) = rest.sign_in("guest").await;
    let refused = rest.post(&guest, "/invitations", json!({"label": "Mine"})).await;
    refused.is(403, "forbidden");
}

#[tokio::test]
async fn a_profile_that_makes_no_sense_is_refused() {
    let (_assembly, rest, _) = house(Registration::Open).await;
    for bad in [
        json!({"time_zone": "Mars/Olympus"}),
        json!({"domain": "Smart Home"}),
        json!({"email": "nobody"}),
        json!({"roles": []}),
        json!({"password": "short"}),
    ] {
        register(&rest, bad).await.is(400, "invalid_request");
    }
}
