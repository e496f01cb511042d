//! Buying: once for each key, and never with money that is not there.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Reply, Shop, assemble, config, stores, text};

fn plan() -> Value {
    json!({"kind": "fixed_count", "messages": 10, "price": 100})
}

async fn buy(shop: &Shop, key: &str) -> Reply {
    let body = json!({"offer": shop.offer});
    shop.rest.ask("POST", "/orders").token(&shop.buyer).key(key).json(&body).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn twelve_purchases_at_once_with_the_same_key_make_one_order() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(folder.path()) {
        let (_assembly, rest) = assemble(config(store.clone())).await;
        let shop = Shop::open(rest, plan(), 10_000).await;
        let replies = join_all((0..12).map(|_| buy(&shop, "the-one"))).await;
        let first = replies[0].body.clone();
        for reply in replies {
            assert_eq!(reply.ok(), first, "{store}: every answer is the same, the password too");
        }
        let orders = shop.rest.get(&shop.buyer, "/orders").await.ok();
        assert_eq!(orders["items"].as_array().unwrap().len(), 1, "{store}");
        assert_eq!(shop.balance().await, 9_900, "{store}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twelve_purchases_at_once_with_money_for_one_exactly_one_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(folder.path()) {
        let (_assembly, rest) = assemble(config(store.clone())).await;
        let shop = Shop::open(rest, plan(), 150).await;
        let keys: Vec<String> = (0..12).map(|number| format!("key-{number}")).collect();
        let replies = join_all(keys.iter().map(|key| buy(&shop, key))).await;
        let made = replies.iter().filter(|reply| reply.status == 201).count();
        assert_eq!(made, 1, "{store}");
        for reply in replies.iter().filter(|reply| reply.status != 201) {
            reply.is(402, "insufficient_funds");
        }
        assert_eq!(shop.balance().await, 50, "{store}");
        let report = shop.rest.get(&shop.admin, "/reconciliation").await.ok();
        assert_eq!(report["differences"], json!([]), "{store}");
        assert_eq!(report["ledger_sums"], json!({"EUR": "0"}), "{store}");
    }
}

#[tokio::test]
async fn a_key_stands_for_one_request_and_for_one_user() {
    let (_assembly, rest) = assemble(config(i3_marketplace::StoreUrl::Memory)).await;
    let shop = Shop::open(rest, plan(), 1_000).await;
    let first = text(&buy(&shop, "k").await.ok()["order"]["id"]);
    let other = json!({"kind": "free"});
    let offer = json!({"currency": "EUR", "plan": other});
    let offer = shop.rest.post(&shop.seller, format!("/products/{}/offers", shop.product), offer).await.ok();
    let body = json!({"offer": offer["id"]});
    let reused = shop.rest.ask("POST", "/orders").token(&shop.buyer).key("k").json(&body).send().await;
    reused.is(409, "idempotency_key_reused");
    let (stranger, _) = shop.rest.register("stranger", "consumer").await;
    let own = shop.rest.ask("POST", "/orders").token(&stranger).key("k").json(&body).send().await.ok();
    assert_ne!(text(&own["order"]["id"]), first);
}

#[tokio::test]
async fn a_repeated_purchase_shows_the_password_that_is_good_now() {
    let (_assembly, rest) = assemble(config(i3_marketplace::StoreUrl::Memory)).await;
    let shop = Shop::open(rest, plan(), 1_000).await;
    let bought = buy(&shop, "k").await.ok();
    let path = format!("/orders/{}/password", text(&bought["order"]["id"]));
    let replaced = shop.rest.ask("POST", &path).token(&shop.buyer).send().await.ok();
    assert_ne!(replaced["password"], bought["mqtt"]["password"]);
    assert_eq!(shop.rest.get(&shop.buyer, &path).await.ok(), replaced);
    assert_eq!(buy(&shop, "k").await.ok()["mqtt"], replaced);
}
