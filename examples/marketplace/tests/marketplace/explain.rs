//! Why: asked over REST by those who may, and at the console.

use i3_core::access::Actor;
use i3_core::gate::{Authenticator, Login, Metering};
use i3_core::id::{GrantId, OrderId};
use i3_marketplace::{Assembly, StoreUrl};
use serde_json::{Value, json};

use crate::process::program;
use crate::support::{DEVICE_LOGIN, PASSWORD, Shop, assemble, config};

async fn open(store: StoreUrl) -> (Assembly, Shop) {
    let (assembly, rest) = assemble(config(store)).await;
    let plan = json!({"kind": "fixed_count", "messages": 10, "price": 50});
    let shop = Shop::open(rest, plan, 1_000).await;
    (assembly, shop)
}

#[tokio::test]
async fn those_who_may_see_it_are_told_why_and_to_others_it_is_not_there() {
    let (_assembly, shop) = open(StoreUrl::Memory).await;
    let (order, _) = shop.buy().await;
    let (stranger, _) = shop.rest.register("stranger", "provider").await;
    let orders = [format!("/explain/orders/{order}"), format!("/explain/orders/{order}/charge")];
    let device = format!("/explain/devices/{}?topic={}", shop.device, shop.topic);
    let absent = [
        "/explain/orders/ord_00000000000000000000000009".to_owned(),
        "/explain/orders/ord_00000000000000000000000009/charge".to_owned(),
        format!("/explain/devices/dev_00000000000000000000000009?topic={}", shop.topic),
    ];
    for (path, absent) in orders.iter().chain([&device]).zip(&absent) {
        let mut hidden = shop.rest.get(&stranger, path).await;
        let mut unknown = shop.rest.get(&stranger, absent).await;
        hidden.is(404, "not_found");
        // The request's own number is all that differs.
        for reply in [&mut hidden, &mut unknown] {
            assert!(reply.body.as_object_mut().unwrap().remove("instance").is_some());
        }
        assert_eq!((hidden.status, hidden.body), (unknown.status, unknown.body));
        shop.rest.ask("GET", path).send().await.is(404, "not_found");
    }
    shop.rest.get(&shop.buyer, &device).await.is(404, "not_found");
    for path in &orders {
        for token in [&shop.buyer, &shop.seller, &shop.admin] {
            shop.rest.get(token, path).await.ok();
        }
    }
    for token in [&shop.seller, &shop.admin] {
        let why = shop.rest.get(token, &device).await.ok();
        assert_eq!((&why["allowed"], &why["code"]), (&json!(true), &json!("allowed")));
    }
    let why = shop.rest.get(&shop.buyer, &orders[0]).await.ok();
    assert_eq!(
        (&why["allowed"], &why["may_log_in"], &why["quota"]),
        (&json!(true), &json!(true), &json!(true))
    );
    let first = json!({"check": "account", "outcome": "passed", "bars": ["login", "access", "quota"],
        "detail": "the buyer's account is active"});
    assert_eq!(why["checks"][0], first);
    shop.rest.get(&shop.seller, format!("/explain/devices/{}", shop.device)).await.is(400, "invalid_request");
}

#[tokio::test]
async fn the_console_explains_what_is_in_a_closed_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = StoreUrl::Sqlite(folder.path().join("market.sqlite"));
    let (assembly, shop) = open(store.clone()).await;
    let (order, _) = shop.buy().await;
    let grant = GrantId::of(order.parse::<OrderId>().unwrap());
    let lease = assembly.market().open(grant, "gate-a", 6).await.unwrap();
    assembly.market().close(lease.lease, 4.into()).await.unwrap();
    let topic = shop.topic.clone();
    drop((assembly, shop));

    let store = store.to_string();
    let explain = |arguments: &[&str]| {
        let output = program().arg("explain").args(arguments).args(["--store", &store]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), said + &String::from_utf8(output.stderr).unwrap())
    };
    let (status, said) = explain(&["access", "--order", &order]);
    assert_eq!(status, 0, "{said}");
    assert!(said.starts_with("may receive: yes (allowed)\nmay log in: yes\n"), "{said}");
    assert!(said.contains("6 messages of 10 can still be leased"), "{said}");
    let (status, said) = explain(&["access", "--device", DEVICE_LOGIN, "--topic", &topic]);
    assert!(status == 0 && said.starts_with("may publish: yes"), "{said}");
    let (status, said) = explain(&["access", "--device", DEVICE_LOGIN, "--topic", "i3/acme/#"]);
    assert!(status == 1 && said.starts_with("may publish: no (topic)"), "{said}");

    let (status, said) = explain(&["charge", "--order", &order]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("0.20 EUR paid, which is what the terms say"), "{said}");
    assert!(said.contains("at `gate-a`: granted 6, delivered 4, given_back 2"), "{said}");
    let (status, said) = explain(&["charge", "--json", "--order", &order]);
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &json["complete"], &json["usage"]["delivered"]), (0, &json!(true), &json!(4)));

    for (arguments, status, code) in [
        (&["access", "--order", "ord_00000000000000000000000009"][..], 1, "[not_found]"),
        (&["access", "--device", "acme.other", "--topic", "x"], 1, "[not_found]"),
        (&["access", "--device", "nonsense", "--topic", "x"], 2, "[invalid_device]"),
        (&["access"], 2, "[usage]"),
        (&["access", "--device", DEVICE_LOGIN], 2, "[usage]"),
        (&["access", "--device", DEVICE_LOGIN, "--order", &order], 2, "[usage]"),
    ] {
        let (got, said) = explain(arguments);
        assert!(got == status && said.contains(code), "{arguments:?}: {got} {said}");
    }
}

/// Whether they are let in, asked of who lets in; and what the explanation says.
async fn logins(assembly: &Assembly, shop: &Shop, order: &(String, String)) -> [(bool, bool); 2] {
    let market = assembly.market();
    let authenticator = &assembly.access().authenticator;
    let enters = async |name: &str, password: &str| {
        let (username, password) = (Some(name), Some(password.as_bytes()));
        let login = Login { client_id: "any", username, password, peer: None };
        authenticator.authenticate(login).await.is_ok()
    };
    let device = shop.device.parse().unwrap();
    let device = market.explain_publish(Actor::System, device, &shop.topic).await.unwrap();
    let explained = market.explain_receive(Actor::System, order.0.parse().unwrap(), None).await.unwrap();
    [
        (enters(DEVICE_LOGIN, PASSWORD).await, device.may_log_in),
        (enters(&order.0, &order.1).await, explained.may_log_in),
    ]
}

#[tokio::test]
async fn who_may_log_in_by_the_explanation_is_let_in() {
    let (assembly, shop) = open(StoreUrl::Memory).await;
    let order = shop.buy().await;
    let put = async |token: &str, path: String, state: &str| {
        shop.rest.put(token, path, json!({"state": state})).await.ok();
    };
    let (product, device, hub) = (
        format!("/products/{}/state", shop.product),
        format!("/devices/{}/state", shop.device),
        format!("/hubs/{}/state", shop.hub),
    );
    let both = |device: bool, order: bool| [(device, device), (order, order)];
    assert_eq!(logins(&assembly, &shop, &order).await, both(true, true));
    put(&shop.seller, product, "paused").await;
    assert_eq!(logins(&assembly, &shop, &order).await, both(true, true), "there is nothing to do for them");
    put(&shop.seller, device.clone(), "disabled").await;
    assert_eq!(logins(&assembly, &shop, &order).await, both(false, true));
    put(&shop.seller, device, "active").await;
    put(&shop.admin, hub.clone(), "suspended").await;
    assert_eq!(logins(&assembly, &shop, &order).await, both(false, true));
    put(&shop.admin, hub, "active").await;
    let user = format!("/users/{}", shop.buyer_id);
    shop.rest.ask("POST", format!("{user}/suspend")).token(&shop.admin).send().await.ok();
    assert_eq!(logins(&assembly, &shop, &order).await, both(true, false));
    shop.rest.ask("POST", format!("{user}/reinstate")).token(&shop.admin).send().await.ok();
    assert_eq!(logins(&assembly, &shop, &order).await, both(true, true));
    let (buyer, _) = shop.rest.sign_in("buyer").await;
    shop.rest.ask("POST", format!("/orders/{}/cancel", order.0)).token(&buyer).send().await.ok();
    assert_eq!(logins(&assembly, &shop, &order).await, both(true, false));

    let key = json!({"credential": {"kind": "password", "password": "another password"}});
    let path = format!("/devices/{}", shop.device);
    let first = shop.rest.get(&shop.seller, &path).await.ok()["credentials"][0]["id"].clone();
    let gone = format!("{path}/credentials/{}", first.as_str().unwrap());
    let added = shop.rest.post(&shop.seller, format!("{path}/credentials"), key).await.ok();
    shop.rest.ask("DELETE", gone).token(&shop.seller).send().await.ok();
    let [device, _] = logins(&assembly, &shop, &order).await;
    assert_eq!(device, (false, true), "another password is good: the explanation does not look at passwords");
    let gone = format!("{path}/credentials/{}", added["id"].as_str().unwrap());
    shop.rest.ask("DELETE", gone).token(&shop.seller).send().await.ok();
    assert_eq!(logins(&assembly, &shop, &order).await, both(false, false));
}
