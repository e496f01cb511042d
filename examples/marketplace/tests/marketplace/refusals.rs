//! Bad input: a clear answer with a stable code, and nothing half-done.

use i3_marketplace::StoreUrl;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Shop, assemble, config};

async fn shop() -> (i3_marketplace::Assembly, Shop) {
    let (assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    (assembly, Shop::open(rest, json!({"kind": "free"}), 500).await)
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_before_anything_is_done() {
    let (_assembly, shop) = shop().await;
    let rest = &shop.rest;
    let ask = |body: &str| rest.ask("POST", "/users").text(body).header("content-type", "application/json");
    let user = json!({"name": "eve", "roles": ["consumer"], "password": PASSWORD});
    for body in ["", "{", "nonsense", "{\"name\": \"eve\",}", "\u{0}"] {
        ask(body).send().await.is(400, "invalid_json");
    }
    let deep = format!("{{\"roles\": {}", "[".repeat(10_000));
    for body in ["[]", "1", "null", "{}", "\"text\"", &deep] {
        ask(body).send().await.is(400, "invalid_request");
    }
    let huge = format!("{{\"name\": \"{}\"}}", "a".repeat(70_000));
    ask(&huge).send().await.is(413, "body_too_large");
    for media in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let asked = rest.ask("POST", "/users").text(user.to_string()).header("content-type", media);
        asked.send().await.is(415, "unsupported_media_type");
    }
    rest.ask("POST", "/users").text(user.to_string()).send().await.is(415, "unsupported_media_type");
    for (method, path) in
        [("GET", ""), ("GET", "/"), ("GET", "/nothing"), ("POST", "/users/"), ("GET", "/users//")]
    {
        rest.ask(method, path).send().await.is(404, "no_such_route");
    }
    for (method, path) in [("DELETE", "/users"), ("PATCH", "/orders"), ("POST", "/health")] {
        let reply = rest.ask(method, path).send().await;
        reply.is(405, "method_not_allowed");
        assert!(reply.headers.contains_key("allow"));
    }
    let names = rest.get(&shop.admin, "/users").await.ok();
    assert_eq!(names["items"].as_array().unwrap().len(), 3, "nobody was registered");
}

#[tokio::test]
async fn who_cannot_be_recognized_is_told_to_sign_in() {
    let (_assembly, shop) = shop().await;
    let rest = &shop.rest;
    for path in ["/orders", "/users", "/users/me", "/tokens", "/audit", "/events", "/reconciliation"] {
        let reply = rest.ask("GET", path).send().await;
        reply.is(401, "authentication_required");
        assert_eq!(reply.headers["www-authenticate"], "Bearer");
    }
    let offer = json!({"offer": shop.offer});
    rest.ask("POST", "/orders").json(&offer).send().await.is(401, "authentication_required");
    let hub = json!({"slug": "b", "title": "B"});
    rest.ask("POST", "/hubs").json(&hub).send().await.is(401, "authentication_required");
    let forged = shop.buyer.replace(['a', 'b', 'c'], "d");
    for header in
        ["Bearer", "Bearer ", "Basic YTpi", "Bearer nonsense", &format!("Bearer {forged}"), &shop.buyer]
    {
        // Public things too: a bad token is a mistake of the client's.
        rest.ask("GET", "/products").header("authorization", header).send().await.is(401, "invalid_token");
    }
    for (name, password) in
        [("buyer", "wrong password"), ("nobody", PASSWORD), ("No Slug", PASSWORD), ("", "")]
    {
        let login = json!({"name": name, "password": password});
        rest.ask("POST", "/tokens").json(&login).send().await.is(401, "invalid_credentials");
    }
}

#[tokio::test]
async fn a_guesser_is_slowed_down() {
    let (_assembly, shop) = shop().await;
    let mut last = None;
    for _ in 0..11 {
        let login = json!({"name": "seller", "password": "a guess at it"});
        last = Some(shop.rest.ask("POST", "/tokens").json(&login).send().await);
    }
    let last = last.unwrap();
    last.is(429, "busy");
    assert_eq!(last.headers["retry-after"], "1");
}

#[tokio::test]
async fn ids_of_nothing_and_of_other_things_are_told_apart_from_no_ids() {
    let (_assembly, shop) = shop().await;
    let rest = &shop.rest;
    let unknown = |prefix: &str| format!("{prefix}_00000000000000000000000001");
    for (path, prefix) in [("/orders", "ord"), ("/hubs", "hub"), ("/products", "prd"), ("/devices", "dev")] {
        rest.get(&shop.buyer, format!("{path}/{}", unknown(prefix))).await.is(404, "not_found");
        for bad in ["nonsense", "1", "%00", "+", "%23", "..%2f..", &unknown("xyz"), &"a".repeat(5_000)] {
            rest.get(&shop.buyer, format!("{path}/{bad}")).await.is(400, "invalid_request");
        }
    }
    rest.get(&shop.admin, format!("/users/{}", unknown("usr"))).await.is(404, "not_found");
    rest.post(&shop.buyer, "/orders", json!({"offer": unknown("ofr")})).await.is(404, "not_found");
    rest.post(&shop.buyer, "/orders", json!({"offer": shop.product})).await.is(400, "invalid_request");
    rest.get(&shop.admin, "/accounts/nobody/balances").await.is(400, "invalid_request");
    rest.get(&shop.admin, "/accounts/fees/entries?currency=euros").await.is(400, "invalid_request");
}

#[tokio::test]
async fn values_that_make_no_sense_are_refused() {
    let (_assembly, shop) = shop().await;
    let rest = &shop.rest;
    let user = |name: &str, roles: Value, password: &str| json!({"name": name, "roles": roles, "password": password});
    let users = [
        user("UPPER", json!(["consumer"]), PASSWORD),
        user("a/#", json!(["consumer"]), PASSWORD),
        user("größe", json!(["consumer"]), PASSWORD),
        user("eve", json!([]), PASSWORD),
        user("eve", json!(["consumer"]), "short"),
        user("eve", json!(["consumer"]), &"x".repeat(257)),
        json!({"name": "eve", "roles": ["consumer"], "password": PASSWORD, "state": "active"}),
        json!({"name": "eve", "roles": ["consumer"], "password": PASSWORD, "email": "no address"}),
        json!({"name": "eve", "roles": ["consumer"], "password": PASSWORD, "display": "a\nb"}),
        json!({"name": "eve", "roles": ["consumer"], "password": 12_345_678}),
    ];
    for body in users {
        rest.ask("POST", "/users").json(&body).send().await.is(400, "invalid_request");
    }
    for role in ["administrator", "emperor"] {
        let body = user("eve", json!([role]), PASSWORD);
        rest.ask("POST", "/users").json(&body).send().await.is(401, "authentication_required");
    }

    let top_ups = format!("/users/{}/top-ups", shop.buyer_id);
    for amount in [json!(-1), json!(0), json!(1.5), json!("1"), json!(i64::MAX), json!(i64::MIN), json!(1e30)]
    {
        let body = json!({"amount": amount, "currency": "EUR"});
        rest.post(&shop.admin, &top_ups, body).await.is(400, "invalid_request");
    }
    let body = json!({"amount": 1, "currency": "EURO"});
    rest.post(&shop.admin, &top_ups, body).await.is(400, "invalid_request");
    let body = json!({"amount": 1, "currency": "EUR", "reference": "x".repeat(101)});
    rest.post(&shop.admin, &top_ups, body).await.is(400, "invalid_request");
    let body = json!({"amount": 1, "currency": "EUR"});
    rest.post(&shop.buyer, &top_ups, body).await.is(403, "forbidden");
    assert_eq!(shop.balance().await, 500, "nothing was credited");

    let offers = format!("/products/{}/offers", shop.product);
    for plan in [
        json!({"kind": "fixed_count", "messages": 10, "price": -5}),
        json!({"kind": "fixed_count", "messages": 0, "price": 5}),
        json!({"kind": "fixed_count", "messages": -1, "price": 5}),
        json!({"kind": "per_message", "unit_price": -1}),
        json!({"kind": "per_message", "unit_price": 0}),
        json!({"kind": "free", "quotta": 5}),
        json!({"kind": "gift"}),
        json!({}),
    ] {
        let body = json!({"currency": "EUR", "plan": plan});
        rest.post(&shop.seller, &offers, body).await.is(400, "invalid_request");
    }
    let body = json!({"currency": "EUR", "plan": {"kind": "free"}, "term_seconds": 0});
    rest.post(&shop.seller, &offers, body).await.is(400, "invalid_request");

    for slug in ["#", "+", "a/b", "$sys", "luft-größe", "", " "] {
        let product = json!({"slug": slug, "title": "T", "description": "", "devices": [shop.device]});
        let path = format!("/hubs/{}/products", shop.hub);
        rest.post(&shop.seller, path, product).await.is(400, "invalid_request");
    }
    let (order, _) = shop.buy().await;
    let rating = format!("/orders/{order}/rating");
    for stars in [0, 6, 255, 256] {
        rest.put(&shop.buyer, &rating, json!({"stars": stars})).await.is(400, "invalid_request");
    }
    rest.put(&shop.buyer, &rating, json!({"stars": 5})).await.is(403, "nothing_received");
}

#[tokio::test]
async fn credentials_that_are_none_are_refused() {
    let (_assembly, shop) = shop().await;
    let credentials = format!("/devices/{}/credentials", shop.device);
    let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQA=\n-----END PRIVATE KEY-----\n";
    for credential in [
        json!({"kind": "public_key", "pem": ""}),
        json!({"kind": "public_key", "pem": "nonsense"}),
        json!({"kind": "public_key", "pem": private}),
        json!({"kind": "public_key", "pem": "x".repeat(5_000)}),
        json!({"kind": "password", "password": ""}),
        json!({"kind": "password", "password": "eyJhbGciOiJub25l.eyJzdWIiOiJ4In0.c2ln"}),
        json!({"kind": "password", "pem": "x"}),
        json!({"kind": "face"}),
    ] {
        let body = json!({"credential": credential});
        shop.rest.post(&shop.seller, &credentials, body).await.is(400, "invalid_request");
    }
    let good = json!({"kind": "password", "password": PASSWORD});
    let body = json!({"credential": good, "not_after": "1999-01-01T00:00:00Z"});
    shop.rest.post(&shop.seller, &credentials, body).await.is(400, "invalid_request");
    let body = json!({"credential": good, "not_after": "tomorrow"});
    shop.rest.post(&shop.seller, &credentials, body).await.is(400, "invalid_request");
    let device = shop.rest.get(&shop.seller, format!("/devices/{}", shop.device)).await.ok();
    assert_eq!(device["credentials"].as_array().unwrap().len(), 1, "none was added");
}

#[tokio::test]
async fn idempotency_keys_have_a_shape() {
    let (_assembly, shop) = shop().await;
    let body = json!({"offer": shop.offer});
    for key in ["", "with space", &"x".repeat(65)] {
        let asked = shop.rest.ask("POST", "/orders").token(&shop.buyer).key(key).json(&body);
        asked.send().await.is(400, "invalid_request");
    }
    let twice = shop.rest.ask("POST", "/orders").token(&shop.buyer).key("a").key("b").json(&body);
    twice.send().await.is(400, "invalid_request");
    assert_eq!(shop.rest.get(&shop.buyer, "/orders").await.ok()["items"], json!([]));
}
