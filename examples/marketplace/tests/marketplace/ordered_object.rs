//! A product is bought, and its virtual object says where its data are received and how.

use std::time::Duration;

use i3_marketplace::{AppState, StoreUrl, router};
use rumqttc::QoS;
use serde_json::{Value, json};

use crate::mqtt::{Client, eventually};
use crate::support::{DEVICE_LOGIN, PASSWORD, Rest, Shop, assemble, config, text};

const PATIENCE: Duration = Duration::from_mins(1);

/// An object of the seller's, linked to the product and published.
async fn share(shop: &Shop) -> String {
    let content = json!({
        "kind": "sensor", "title": "Air on the roof", "protocols": ["http"], "resources": ["http://roof.example/air"],
    });
    let object = shop.rest.post(&shop.seller, "/virtual_objects", content).await.ok();
    let path = format!("/virtual_objects/{}", text(&object["id"]));
    let link = json!({"product": shop.product});
    shop.rest.put(&shop.seller, format!("{path}/product"), link).await.ok();
    shop.rest.put(&shop.seller, format!("{path}/state"), json!({"state": "submitted"})).await.ok();
    path
}

async fn object(shop: &Shop, token: &str, order: &str) -> crate::support::Reply {
    shop.rest.get(token, format!("/orders/{order}/object")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_receives_with_nothing_but_what_the_object_says() {
    let (assembly, _) = assemble(config(StoreUrl::Memory)).await;
    let gate = assembly.start_gate("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let brokers = vec![
        format!("mqtt://{}", gate.local_addr()).parse().unwrap(),
        "wss://broker.example/mqtt".parse().unwrap(),
    ];
    let rest = Rest::Router(router(AppState::from(&assembly).with_brokers(brokers)));
    let shop = Shop::open(rest, json!({"kind": "free"}), 0).await;
    share(&shop).await;
    let (order, password) = shop.buy().await;
    let reply = object(&shop, &shop.buyer, &order).await.ok();

    let resources: Vec<&str> =
        reply["content"]["resources"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(resources[1..], ["wss://broker.example/mqtt", "http://roof.example/air"]);
    assert_eq!(reply["content"]["protocols"], json!(["http", "mqtt", "websocket"]));
    assert!(!reply.to_string().contains(&password), "an object that is passed on has no secret");
    let (broker, topic) = resources[0].strip_prefix("mqtt://").unwrap().split_once('/').unwrap();
    assert_eq!(reply["access"]["topic"], topic);
    let password_at = text(&reply["access"]["password_at"]);
    let login = shop.rest.ask_at("GET", password_at).token(&shop.buyer).send().await.ok();
    let (name, password) = (text(&reply["access"]["username"]), text(&login["password"]));

    let address = broker.parse().unwrap();
    let mut buyer = Client::connect(address, "buyer", (&name, &password), Some(topic)).await;
    let device = Client::connect(address, "device", (DEVICE_LOGIN, PASSWORD), None).await;
    let received = async || {
        device.requests.publish(&shop.topic, QoS::AtLeastOnce, false, "21.5").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        buyer.arrived.try_recv().is_ok_and(|payload| payload == b"21.5")
    };
    assert!(eventually(PATIENCE, received).await);
    gate.shutdown().await;
}

#[tokio::test]
async fn an_object_is_filled_in_for_its_buyer_alone_and_while_there_is_access() {
    let (_assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let shop = Shop::open(rest, json!({"kind": "free"}), 0).await;
    let (order, _) = shop.buy().await;
    object(&shop, &shop.buyer, &order).await.is(404, "not_found");
    let path = share(&shop).await;
    object(&shop, &shop.buyer, &order).await.ok();
    object(&shop, &shop.seller, &order).await.is(403, "forbidden");
    let (stranger, _) = shop.rest.register("stranger", "consumer").await;
    object(&shop, &stranger, &order).await.is(404, "not_found");
    shop.rest.ask("GET", format!("/orders/{order}/object")).send().await.is(404, "not_found");

    // What is taken back is not shown to buyers either.
    shop.rest.put(&shop.seller, format!("{path}/state"), json!({"state": "draft"})).await.ok();
    object(&shop, &shop.buyer, &order).await.is(404, "not_found");
    shop.rest.put(&shop.seller, format!("{path}/state"), json!({"state": "submitted"})).await.ok();

    shop.rest.ask("POST", format!("/orders/{order}/cancel")).token(&shop.buyer).send().await.ok();
    object(&shop, &shop.buyer, &order).await.is(409, "wrong_state");
    let (second, _) = shop.buy().await;
    object(&shop, &shop.buyer, &second).await.ok();
    shop.rest.ask("POST", format!("/orders/{second}/revoke")).token(&shop.seller).send().await.ok();
    object(&shop, &shop.buyer, &second).await.is(409, "wrong_state");
}
