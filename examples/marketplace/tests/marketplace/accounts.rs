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

async fn cookie_session(rest: &Rest, name: &str, password: &str) -> (String, String) {
    let body = json!({"name": name, "password": password});
    let begun = rest.ask("POST", "/session").json(&body).send().await;
    let cookie = begun.headers["set-cookie"].to_str().unwrap().to_owned();
    for part in ["__Host-i3-session=i3_tok_", "; Path=/;", "; Secure;", "; HttpOnly;", "; SameSite=Lax;"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let begun = begun.ok();
    assert!(!begun.to_string().contains("i3_tok_"), "no page can read the cookie");
    (cookie, text(&begun["csrf"]))
}

#[tokio::test]
async fn a_session_changes_nothing_without_its_guard() {
    let (_assembly, rest, _) = house(Registration::Open).await;
    let id = text(&register(&rest, json!({})).await.ok()["id"]);
    register(&rest, json!({"name": "other"})).await.ok();
    let (cookie, csrf) = cookie_session(&rest, "guest", PASSWORD).await;
    let (_, foreign) = cookie_session(&rest, "other", PASSWORD).await;
    let by = |method, path: &str| rest.ask(method, path).header("cookie", cookie.clone());
    assert_eq!(by("GET", "/users/me").send().await.ok()["name"], "guest");
    assert_eq!(by("GET", "/session").send().await.ok()["csrf"], csrf);

    let described = json!({"display": "Guest"});
    let path = format!("/users/{id}");
    let put = || by("PUT", &path).json(&described);
    put().send().await.is(403, "csrf");
    put().header("x-csrf-token", "").send().await.is(403, "csrf");
    put().header("x-csrf-token", foreign).send().await.is(403, "csrf");
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        put().header("x-csrf-token", csrf.clone()).header(name, value).send().await.is(403, "csrf");
    }
    assert_eq!(put().header("x-csrf-token", csrf.clone()).send().await.ok()["display"], "Guest");

    // The cookie's text is no token, and a token needs no guard.
    let bare = cookie.split_once('=').unwrap().1;
    rest.get(bare, "/users/me").await.is(401, "invalid_token");
    let (token, _) = rest.sign_in("guest").await;
    rest.put(&token, &path, described.clone()).await.ok();

    let ended = by("DELETE", "/session").header("x-csrf-token", csrf.clone()).send().await;
    assert_eq!(ended.status, 204);
    assert!(ended.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    by("GET", "/users/me").send().await.is(401, "authentication_required");
}

#[tokio::test]
async fn another_site_signs_nobody_in() {
    let (_assembly, rest, _) = house(Registration::Open).await;
    let body = json!({"name": "admin", "password": PASSWORD});
    let forged = rest.ask("POST", "/session").json(&body).header("sec-fetch-site", "cross-site");
    forged.send().await.is(403, "csrf");
}

async fn password(rest: &Rest, token: &str, id: &str, present: &str, next: &str) -> Reply {
    let body = json!({"present": present, "password": next});
    rest.put(token, format!("/users/{id}/password"), body).await
}

#[tokio::test]
async fn another_password_ends_all_logins_but_the_one_that_set_it() {
    let (_assembly, rest, admin) = house(Registration::Open).await;
    let id = text(&register(&rest, json!({})).await.ok()["id"]);
    let (token, _) = rest.sign_in("guest").await;
    let (other, _) = rest.sign_in("guest").await;
    let (cookie, _) = cookie_session(&rest, "guest", PASSWORD).await;
    password(&rest, &token, &id, "a wrong one", "another horse").await.is(403, "wrong_password");
    password(&rest, &token, &id, PASSWORD, "short").await.is(400, "invalid_request");
    password(&rest, &admin, &id, PASSWORD, "another horse").await.is(400, "invalid_request");
    let body = json!({"present": PASSWORD, "password": "another horse"});
    let put = || rest.ask("PUT", format!("/users/{id}/password")).token(&token).key("once").json(&body);
    assert_eq!(put().send().await.status, 204);
    assert_eq!(put().send().await.status, 204, "the same request has the same answer");
    rest.get(&token, "/users/me").await.ok();
    rest.get(&other, "/users/me").await.is(401, "invalid_token");
    let by_cookie = rest.ask("GET", "/users/me").header("cookie", cookie).send().await;
    by_cookie.is(401, "authentication_required");
    let login = json!({"name": "guest", "password": PASSWORD});
    rest.ask("POST", "/tokens").json(&login).send().await.is(401, "invalid_credentials");
    cookie_session(&rest, "guest", "another horse").await;
    let log = rest.get(&admin, "/audit").await.ok().to_string();
    assert!(log.contains("change_password"));
    for secret in ["another horse", PASSWORD, "$argon2id"] {
        assert!(!log.contains(secret), "the log keeps no secrets");
    }
}

#[tokio::test]
async fn users_end_this_login_or_all_of_theirs() {
    let (_assembly, rest, _) = house(Registration::Open).await;
    register(&rest, json!({})).await.ok();
    let (one, _) = rest.sign_in("guest").await;
    let (two, _) = rest.sign_in("guest").await;
    let (three, _) = rest.sign_in("guest").await;
    let (cookie, _) = cookie_session(&rest, "guest", PASSWORD).await;
    assert_eq!(rest.ask("DELETE", "/tokens/current").token(&one).send().await.status, 204);
    rest.get(&one, "/users/me").await.is(401, "invalid_token");
    assert_eq!(rest.get(&two, "/tokens").await.ok()["items"].as_array().unwrap().len(), 3);
    assert_eq!(rest.ask("DELETE", "/tokens").token(&two).send().await.status, 204);
    for token in [&two, &three] {
        rest.get(token, "/users/me").await.is(401, "invalid_token");
    }
    let by_cookie = rest.ask("GET", "/users/me").header("cookie", cookie).send().await;
    by_cookie.is(401, "authentication_required");
}

#[tokio::test]
async fn a_suspension_ends_logins_for_good_in_every_process_over_the_store() {
    let (assembly, rest, admin) = house(Registration::Open).await;
    let id = text(&register(&rest, json!({})).await.ok()["id"]);
    let (token, _) = rest.sign_in("guest").await;
    let (cookie, _) = cookie_session(&rest, "guest", PASSWORD).await;
    // What another process has in memory: nothing of this one's.
    let elsewhere = Rest::Router(i3_marketplace::router((&assembly).into()));
    elsewhere.get(&token, "/users/me").await.ok();
    rest.post(&admin, format!("/users/{id}/suspend"), json!({})).await.ok();
    for reinstated in [false, true] {
        if reinstated {
            rest.post(&admin, format!("/users/{id}/reinstate"), json!({})).await.ok();
        }
        for rest in [&rest, &elsewhere] {
            rest.get(&token, "/users/me").await.is(401, "invalid_token");
            let by_cookie = rest.ask("GET", "/users/me").header("cookie", cookie.clone()).send().await;
            by_cookie.is(401, "authentication_required");
        }
    }
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_with_what_was_mailed_once() {
    let (assembly, rest, _) = house(Registration::Open).await;
    let id = text(&register(&rest, json!({"email": "Guest@Example.org"})).await.ok()["id"]);
    let (token, _) = rest.sign_in("guest").await;
    let ask = async |body: Value| rest.ask("POST", "/password-resets").json(&body).send().await;
    let unknown = ask(json!({"email": "nobody@example.org"})).await;
    let known = ask(json!({"email": "guest@example.org"})).await;
    assert_eq!((unknown.status, &unknown.body), (202, &Value::Null));
    assert_eq!((known.status, &known.body), (202, &Value::Null));
    let told = |reply: &crate::support::Reply| {
        let mut headers = reply.headers.clone();
        assert!(headers.remove("x-request-id").is_some());
        headers
    };
    assert_eq!(told(&unknown), told(&known), "nobody learns who has an account");
    ask(json!({"name": "guest", "email": "a@b.c"})).await.is(400, "invalid_request");

    // What the mail has in it.
    let user = id.parse().unwrap();
    let asked = loop {
        use i3_core::store::StoreExt as _;
        if let Some(asked) =
            assembly.market().store().get::<i3_core::user::PasswordReset>(&user).await.unwrap()
        {
            break asked.entity;
        }
        tokio::task::yield_now().await;
    };
    let leave = assembly.access().leaves.reset(user, asked.id);
    let redeem = async |token: &str, password: &str| {
        let body = json!({"token": token, "password": password});
        rest.ask("POST", "/password-resets/redemption").json(&body).send().await
    };
    redeem("i3r_nonsense", "another horse").await.is(403, "reset_not_good");
    redeem(leave.expose(), "short").await.is(400, "invalid_request");
    assert_eq!(redeem(leave.expose(), "another horse").await.status, 204);
    redeem(leave.expose(), "a third horse").await.is(403, "reset_not_good");
    rest.get(&token, "/users/me").await.is(401, "invalid_token");
    cookie_session(&rest, "guest", "another horse").await;
}

#[tokio::test]
async fn users_read_what_happened_in_their_box_and_administrators_in_theirs() {
    let (assembly, rest, admin) = house(Registration::Approval).await;
    let id = text(&register(&rest, json!({"domain": "smart-home"})).await.ok()["id"]);
    assembly.market().post_notices().await.unwrap();
    rest.post(&admin, format!("/users/{id}/approve"), json!({})).await.ok();
    assembly.market().post_notices().await.unwrap();
    let (token, _) = rest.sign_in("guest").await;
    let told = rest.get(&token, "/inbox").await.ok();
    let subjects: Vec<_> =
        told["items"].as_array().unwrap().iter().map(|one| text(&one["subject"])).collect();
    assert_eq!(subjects, ["Your account is active", "Your registration waits for approval"]);
    assert_eq!(rest.get(&token, "/inbox/state").await.ok(), json!({"held": 2, "unread": 2}));
    let until = json!({"position": told["items"][1]["position"]});
    let left = rest.post(&token, "/inbox/read", until).await.ok();
    assert_eq!(left, json!({"held": 2, "unread": 1}));
    let shared = rest.get(&admin, "/administration/inbox").await.ok();
    assert_eq!(shared["items"][0]["about"]["user"], id);
    rest.get(&token, "/administration/inbox").await.is(403, "forbidden");
    rest.ask("GET", "/inbox").send().await.is(401, "authentication_required");
}

#[tokio::test]
async fn who_registers_does_the_work_that_is_asked_once() {
    let mut config = config(StoreUrl::Memory);
    config.captcha = Some(i3_auth::challenge::WorkSettings {
        max_number: 500,
        ..i3_auth::challenge::WorkSettings::default()
    });
    let (_assembly, rest) = assemble(config).await;
    register(&rest, json!({})).await.is(403, "challenge");
    register(&rest, json!({"challenge": "bm9uc2Vuc2U="})).await.is(403, "challenge");
    let mut asked = rest.ask("GET", "/challenge").send().await.ok();
    let (salt, wanted) = (text(&asked["salt"]), text(&asked["challenge"]));
    let hash = |number: u64| {
        let digest =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, format!("{salt}{number}").as_bytes());
        data_encoding::HEXLOWER.encode(digest.as_ref())
    };
    asked["number"] = json!((0..=500).find(|number| hash(*number) == wanted).unwrap());
    let answer = data_encoding::BASE64.encode(asked.to_string().as_bytes());
    register(&rest, json!({"challenge": answer})).await.ok();
    register(&rest, json!({"challenge": answer, "name": "second"})).await.is(403, "challenge");
    let (admin, _) = rest.sign_in("admin").await;
    let known = json!({"name": "third", "roles": ["consumer"], "password": PASSWORD});
    rest.post(&admin, "/users", known).await.ok();
}

#[tokio::test]
async fn a_client_that_asks_too_much_is_told_when_to_come_back() {
    use i3_auth::failures::BudgetLimits;
    let few = BudgetLimits { burst: 3, refill: std::time::Duration::from_mins(10), keys: 100 };
    let mut config = config(StoreUrl::Memory);
    config.floods = i3_marketplace::FloodLimits {
        clients: few,
        resets_of_one: few,
        ..i3_marketplace::FloodLimits::default()
    };
    let (_assembly, rest) = assemble(config).await;
    let (admin, _) = rest.sign_in("admin").await;
    for _ in 0..3 {
        rest.get(&admin, "/users/me").await.ok();
    }
    let held_off = rest.get(&admin, "/users/me").await;
    held_off.is(429, "too_many_requests");
    let wait: u64 = held_off.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=600).contains(&wait), "{wait}");
    let forgotten = json!({"email": "nobody@example.org"});
    for _ in 0..3 {
        assert_eq!(rest.ask("POST", "/password-resets").json(&forgotten).send().await.status, 202);
    }
    rest.ask("POST", "/password-resets").json(&forgotten).send().await.is(429, "too_many_requests");
    let other = json!({"email": "else@example.org"});
    assert_eq!(rest.ask("POST", "/password-resets").json(&other).send().await.status, 202);
}
