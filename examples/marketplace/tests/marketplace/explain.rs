//! Why: asked over REST by those who may, and at the console.

use i3_core::gate::Metering;
use i3_core::id::{GrantId, OrderId};
use i3_marketplace::StoreUrl;
use serde_json::{Value, json};

use crate::process::program;
use crate::support::{DEVICE_LOGIN, Shop, assemble, config};

async fn open(store: StoreUrl) -> (i3_marketplace::Assembly, Shop) {
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
        let hidden = shop.rest.get(&stranger, path).await;
        let unknown = shop.rest.get(&stranger, absent).await;
        hidden.is(404, "not_found");
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
    assembly.market().close(lease.lease, 4).await.unwrap();
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
