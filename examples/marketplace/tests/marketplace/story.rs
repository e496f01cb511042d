//! The whole story through the interface: seller, buyer, administrator.

use i3_marketplace::StoreUrl;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Rest, Shop, assemble, config, deliver, stores, text};

#[tokio::test]
async fn from_registration_to_rating_on_every_store() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(folder.path()) {
        let mut config = config(store.clone());
        config.settings = config.settings.with_fee_points(1_000);
        let (assembly, rest) = assemble(config).await;
        let plan = json!({"kind": "per_message", "unit_price": 20_000_000, "quota": 50});
        let shop = Shop::open(rest.clone(), plan, 1_000).await;

        let cards = rest.ask("GET", "/products").send().await.ok();
        assert_eq!(cards["items"][0]["product"]["topic"], "i3/acme/air", "{store}");
        let (order, _) = shop.buy().await;
        deliver(&assembly, &order, 10).await;
        let statement = rest.get(&shop.buyer, format!("/orders/{order}/statement")).await.ok();
        assert_eq!(statement["line"]["quantity"], 10);
        assert_eq!((&statement["paid"], &statement["fee"]), (&json!(20), &json!(2)));
        assert_eq!(shop.balance().await, 980);
        let earned = rest.get(&shop.seller, format!("/accounts/{}/balances", shop.hub)).await.ok();
        assert_eq!(earned, json!({"items": [{"currency": "EUR", "amount": 18}]}));
        let fees = rest.get(&shop.admin, "/accounts/fees/balances").await.ok();
        assert_eq!(fees["items"][0]["amount"], 2);
        let entries = rest.get(&shop.buyer, format!("/accounts/{}/entries?currency=EUR", shop.buyer_id));
        let entries = entries.await.ok();
        let sum: i64 =
            entries["items"].as_array().unwrap().iter().map(|entry| entry["amount"].as_i64().unwrap()).sum();
        assert_eq!(sum, 980, "a balance is the sum of its entries");

        let rating = json!({"stars": 4, "comment": "Fresh."});
        rest.put(&shop.buyer, format!("/orders/{order}/rating"), rating).await.ok();
        let product = rest.ask("GET", format!("/products/{}", shop.product)).send().await.ok();
        assert_eq!(product["score"], json!({"ratings": 1, "stars": 4}));
        let ratings = rest.ask("GET", format!("/products/{}/ratings", shop.product)).send().await.ok();
        assert_eq!(ratings["items"][0]["comment"], "Fresh.");
        assert_eq!(
            rest.get(&shop.seller, format!("/hubs/{}/orders", shop.hub)).await.ok()["items"][0]["id"],
            order.as_str()
        );

        rest.ask("POST", format!("/orders/{order}/cancel")).token(&shop.buyer).send().await.ok();
        let cancelled = rest.get(&shop.buyer, format!("/orders/{order}")).await.ok();
        assert_eq!(cancelled["state"], "cancelled");
        let report = rest.get(&shop.admin, "/reconciliation").await.ok();
        assert_eq!(report["differences"], json!([]), "{store}");
        assert_eq!(report["grants"][0]["usage"]["delivered"], 10);
        let chain = rest.get(&shop.admin, "/audit/verification").await.ok();
        assert_eq!(chain["broken_at"], Value::Null);
        walks_all(&rest, &shop.admin, "/audit", chain["entries"].as_u64().unwrap()).await;
        let events = rest.get(&shop.admin, "/events?limit=200").await.ok();
        let last = events["items"].as_array().unwrap().last().unwrap()["position"].as_u64().unwrap();
        walks_all(&rest, &shop.admin, "/events", last).await;
    }
}

/// Page by page, every entry comes once and in order.
async fn walks_all(rest: &Rest, token: &str, path: &str, entries: u64) {
    let (mut next, mut seen) = (Some("0".to_owned()), 0);
    while let Some(after) = next {
        let page = rest.get(token, format!("{path}?limit=3&after={after}")).await.ok();
        for entry in page["items"].as_array().unwrap() {
            seen += 1;
            assert_eq!(entry["position"], seen);
        }
        next = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, entries, "{path}");
}

#[tokio::test]
async fn lists_are_walked_page_by_page() {
    let (_assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let shop = Shop::open(rest.clone(), json!({"kind": "free"}), 0).await;
    let mut orders = Vec::new();
    for _ in 0..7 {
        orders.push(shop.buy().await.0);
    }
    let (mut path, mut seen) = ("/orders?limit=3".to_owned(), Vec::new());
    loop {
        let page = rest.get(&shop.buyer, &path).await.ok();
        seen.extend(page["items"].as_array().unwrap().iter().map(|order| text(&order["id"])));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/orders?limit=3&after={next}");
    }
    orders.sort();
    seen.sort();
    assert_eq!(seen, orders);
    rest.get(&shop.buyer, "/orders?after=nonsense").await.is(400, "invalid_request");
    rest.get(&shop.buyer, "/orders?limit=0").await.is(400, "invalid_request");
    rest.get(&shop.buyer, "/orders?limit=201").await.is(400, "invalid_request");
    rest.get(&shop.buyer, "/orders?page=2").await.is(400, "invalid_request");
}

#[tokio::test]
async fn tokens_are_listed_without_their_text_and_end_when_revoked() {
    let (_assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let (token, id) = rest.register("alice", "consumer").await;
    let (other, _) = rest.register("bob", "consumer").await;
    assert_eq!(text(&rest.get(&token, "/users/me").await.ok()["id"]), id);
    let listed = rest.get(&token, "/tokens").await.ok();
    assert!(!listed.to_string().contains(&token));
    let path = format!("/tokens/{}", text(&listed["items"][0]["id"]));
    rest.ask("DELETE", &path).token(&other).send().await.is(404, "not_found");
    rest.ask("DELETE", &path).token(&token).send().await.ok();
    rest.get(&token, "/users/me").await.is(401, "invalid_token");
}

#[tokio::test]
async fn accounts_wait_for_approval_where_it_is_wanted_and_stop_when_suspended() {
    let mut config = config(StoreUrl::Memory);
    config.settings = config.settings.with_registration(i3_core::market::Registration::Approval);
    let (_assembly, rest) = assemble(config).await;
    let (admin, _) = rest.sign_in("admin").await;
    let (token, id) = rest.register("alice", "provider").await;
    let hub = json!({"slug": "alice", "title": "Alice"});
    assert_eq!(rest.get(&token, "/users/me").await.ok()["state"], "pending");
    rest.post(&token, "/hubs", hub.clone()).await.is(403, "forbidden");
    rest.post(&token, format!("/users/{id}/approve"), json!({})).await.is(403, "forbidden");
    rest.ask("POST", format!("/users/{id}/approve")).token(&admin).send().await.ok();
    rest.post(&token, "/hubs", hub.clone()).await.ok();
    rest.post(&token, "/hubs", hub).await.is(409, "name_taken");
    rest.ask("POST", format!("/users/{id}/suspend")).token(&admin).send().await.ok();
    // Its logins end; whoever signs in again may do nothing.
    rest.post(&token, "/hubs", json!({"slug": "b", "title": "B"})).await.is(401, "invalid_token");
    let (token, _) = rest.sign_in("alice").await;
    rest.post(&token, "/hubs", json!({"slug": "b", "title": "B"})).await.is(403, "forbidden");
    rest.ask("POST", format!("/users/{id}/reinstate")).token(&admin).send().await.ok();
    let roles = json!({"roles": ["consumer"]});
    rest.put(&admin, format!("/users/{id}/roles"), roles).await.ok();
    rest.post(&token, "/hubs", json!({"slug": "b", "title": "B"})).await.is(403, "forbidden");
    let users = rest.get(&admin, "/users").await.ok();
    assert_eq!(users["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_hub_has_members_and_never_loses_its_last_owner() {
    let (_assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let shop = Shop::open(rest.clone(), json!({"kind": "free"}), 0).await;
    let (helper, helper_id) = rest.register("helper", "provider").await;
    let member = format!("/hubs/{}/members/{helper_id}", shop.hub);
    let devices = format!("/hubs/{}/devices", shop.hub);
    rest.get(&helper, &devices).await.is(403, "forbidden");
    rest.put(&shop.seller, &member, json!({"role": "viewer"})).await.ok();
    rest.get(&helper, &devices).await.ok();
    let members = rest.get(&helper, format!("/hubs/{}/members", shop.hub)).await.ok();
    let roles: Vec<_> = members["items"].as_array().unwrap().iter().map(|one| text(&one["role"])).collect();
    assert!(roles.contains(&"owner".to_owned()) && roles.contains(&"viewer".to_owned()), "{roles:?}");
    assert_eq!(
        rest.get(&helper, format!("/users/{helper_id}/hubs")).await.ok()["items"][0]["role"],
        "viewer"
    );
    rest.ask("DELETE", &member).token(&shop.seller).send().await.ok();
    rest.get(&helper, &devices).await.is(403, "forbidden");
    let seller = text(&rest.get(&shop.seller, "/users/me").await.ok()["id"]);
    let owner = format!("/hubs/{}/members/{seller}", shop.hub);
    rest.ask("DELETE", owner).token(&shop.seller).send().await.is(409, "last_owner");
}

#[tokio::test]
async fn no_view_of_a_device_holds_a_password_or_its_hash() {
    let (_assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let shop = Shop::open(rest.clone(), json!({"kind": "free"}), 0).await;
    let key = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let credential = json!({"credential": {"kind": "public_key", "pem": key}});
    let credentials = format!("/devices/{}/credentials", shop.device);
    rest.post(&shop.seller, &credentials, credential).await.ok();
    let views = [
        rest.get(&shop.seller, format!("/devices/{}", shop.device)).await.ok(),
        rest.get(&shop.seller, format!("/hubs/{}/devices", shop.hub)).await.ok()["items"][0].clone(),
    ];
    for view in views {
        assert_eq!(view["credentials"][1]["algorithm"], "EdDSA");
        let shown = view.to_string();
        assert!(!shown.contains("argon2") && !shown.contains("hash") && !shown.contains(PASSWORD), "{shown}");
    }
    let said = rest.get(&shop.admin, "/audit?limit=200").await.ok().to_string();
    assert!(!said.contains("argon2") && !said.contains(PASSWORD), "{said}");
    let disabled = json!({"state": "disabled"});
    rest.put(&shop.seller, format!("/devices/{}/state", shop.device), disabled).await.ok();
    let view = rest.get(&shop.seller, format!("/devices/{}", shop.device)).await.ok();
    assert_eq!(view["state"], "disabled");
}

#[tokio::test]
async fn only_its_buyer_sees_an_orders_password() {
    let (_assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let shop = Shop::open(rest.clone(), json!({"kind": "free"}), 0).await;
    let (order, password) = shop.buy().await;
    let path = format!("/orders/{order}/password");
    assert_eq!(rest.get(&shop.buyer, &path).await.ok()["password"], password.as_str());
    rest.get(&shop.admin, &path).await.is(403, "forbidden");
    rest.get(&shop.seller, &path).await.is(403, "forbidden");
    let (stranger, _) = rest.register("stranger", "consumer").await;
    rest.get(&stranger, &path).await.is(404, "not_found");
    rest.ask("GET", &path).send().await.is(404, "not_found");
    rest.ask("POST", &path).token(&shop.admin).send().await.is(403, "forbidden");
    assert_eq!(rest.get(&shop.buyer, &path).await.ok()["password"], password.as_str());
}

#[tokio::test]
async fn products_and_offers_go_through_their_states() {
    let (_assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let shop = Shop::open(rest.clone(), json!({"kind": "free"}), 0).await;
    let state = format!("/products/{}/state", shop.product);
    let buy = || rest.post(&shop.buyer, "/orders", json!({"offer": shop.offer}));
    rest.put(&shop.seller, &state, json!({"state": "paused"})).await.ok();
    buy().await.is(409, "wrong_state");
    rest.put(&shop.seller, &state, json!({"state": "listed"})).await.ok();
    let text = json!({"title": "Better air", "description": "", "tags": ["air", "outdoors"]});
    let described = rest.put(&shop.seller, format!("/products/{}", shop.product), text).await.ok();
    assert_eq!(described["title"], "Better air");
    rest.ask("POST", format!("/offers/{}/withdraw", shop.offer)).token(&shop.seller).send().await.ok();
    buy().await.is(409, "wrong_state");
    let offers = rest.ask("GET", format!("/products/{}/offers", shop.product)).send().await.ok();
    assert_eq!(offers["items"][0]["state"], "withdrawn");
    rest.put(&shop.seller, &state, json!({"state": "retired"})).await.ok();
    rest.put(&shop.seller, &state, json!({"state": "listed"})).await.is(409, "wrong_state");
    let listed = rest.ask("GET", "/products").send().await.ok();
    assert_eq!(listed["items"], json!([]));
    let own = rest.get(&shop.seller, format!("/hubs/{}/products", shop.hub)).await.ok();
    assert_eq!(own["items"][0]["state"], "retired");
}
