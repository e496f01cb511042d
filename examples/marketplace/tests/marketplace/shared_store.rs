//! Two processes of the marketplace over one database server.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use i3_store_sql::testkit::{
    Durable, mariadb_or_skip, own_mariadb_or_skip, own_postgres_or_skip, postgres_or_skip,
};
use rumqttc::QoS;
use serde_json::json;
use tokio::task::JoinSet;

use crate::mqtt::{Client, eventually};
use crate::process::{Server, balanced, reconcile};
use crate::support::{DEVICE_LOGIN, PASSWORD, Rest, Shop, text};

const PATIENCE: Duration = Duration::from_mins(2);

async fn two_processes_over(store: &str, folder: &Path) {
    // At once, over a database that holds nothing yet.
    let [first, second] = std::thread::scope(|scope| {
        let start = |gate| scope.spawn(move || Server::start(folder, store, &["--gate", gate]));
        [start("first"), start("second")].map(|server| server.join().unwrap())
    });
    let plan = json!({"kind": "fixed_count", "messages": 1_000_000, "price": 100});
    let shop = Shop::open(first.rest(), plan, 1_000).await;

    // Money for ten, spent by 24 calls at once through both: ten orders, no more, no less.
    let mut calls = JoinSet::new();
    for number in 0..24 {
        let rest = if number % 2 == 0 { first.rest() } else { second.rest() };
        calls.spawn(buy(rest, shop.buyer.clone(), shop.offer.clone(), format!("own-{number}")));
    }
    let answers = calls.join_all().await;
    let bought = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(bought, 10, "{answers:?}");
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(refused.into_iter().all(|code| code == "insufficient_funds"), "{answers:?}");
    assert_eq!(shop.balance().await, 0);

    // One key is one order, whichever process is asked.
    let payment = json!({"amount": 100, "currency": "EUR", "reference": "cash"});
    first.rest().post(&shop.admin, format!("/users/{}/top-ups", shop.buyer_id), payment).await.ok();
    let mut calls = JoinSet::new();
    for number in 0..12 {
        let rest = if number % 2 == 0 { first.rest() } else { second.rest() };
        calls.spawn(buy(rest, shop.buyer.clone(), shop.offer.clone(), "the-same".to_owned()));
    }
    let orders: BTreeSet<_> = calls.join_all().await.into_iter().map(|answer| answer.unwrap()).collect();
    assert_eq!(orders.len(), 1);
    let order = orders.into_iter().next().unwrap();

    revoked_in_one_it_stops_in_the_other(&shop, &order, &second).await;
    first.end();
    second.end();
    balanced(&reconcile(store));
}

/// The order's id, or the code of the refusal.
async fn buy(rest: Rest, buyer: String, offer: String, key: String) -> Result<String, String> {
    let asked = rest.ask("POST", "/orders").token(&buyer).key(&key).json(&json!({"offer": offer}));
    let reply = asked.send().await;
    if reply.status < 300 { Ok(text(&reply.body["order"]["id"])) } else { Err(text(&reply.body["code"])) }
}

/// Streams through the second process, and revokes through the shop's.
async fn revoked_in_one_it_stops_in_the_other(shop: &Shop, order: &str, second: &Server) {
    let password = second.rest().get(&shop.buyer, format!("/orders/{order}/password")).await.ok();
    let password = text(&password["password"]);
    let buyer = Client::connect(second.mqtt, "buyer", (order, &password), Some(&shop.topic)).await;
    let device = Client::connect(second.mqtt, "device", (DEVICE_LOGIN, PASSWORD), None).await;
    let publishing = {
        let (client, topic) = (device.requests.clone(), shop.topic.clone());
        tokio::spawn(async move {
            while client.publish(&topic, QoS::AtMostOnce, false, "x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    };
    assert!(eventually(PATIENCE, async || buyer.count.load(Ordering::SeqCst) > 100).await);

    shop.rest.post(&shop.seller, format!("/orders/{order}/revoke"), json!({})).await.ok();
    assert!(eventually(PATIENCE, async || !buyer.is_connected()).await, "it is cut off");
    publishing.abort();
}

/// Eight callers buy before, through and after an outage of the database server, each asking under the same
/// key until there is an answer.
async fn bought_through_an_outage(store: &str, folder: &Path, outage: impl FnOnce()) {
    const MONEY: i64 = 1_000_000;
    let server = Server::start(folder, store, &[]);
    let plan = json!({"kind": "fixed_count", "messages": 1, "price": 100});
    let shop = Shop::open(server.rest(), plan, MONEY).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let (rest, buyer, offer) = (server.rest(), shop.buyer.clone(), shop.offer.clone());
        let over = Arc::clone(&over);
        callers.spawn(async move {
            let mut orders = Vec::new();
            while orders.is_empty() || !over.load(Ordering::SeqCst) {
                let key = format!("{caller}-{}", orders.len());
                orders.push((buy_until_answered(&rest, &buyer, &offer, &key).await, key));
            }
            // One that was begun when the server was there again.
            let key = format!("{caller}-last");
            orders.push((buy_until_answered(&rest, &buyer, &offer, &key).await, key));
            orders
        });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    tokio::task::block_in_place(outage);
    over.store(true, Ordering::SeqCst);

    let mut orders = BTreeSet::new();
    for (order, key) in callers.join_all().await.into_iter().flatten() {
        let again = buy(server.rest(), shop.buyer.clone(), shop.offer.clone(), key).await.unwrap();
        assert_eq!(again, order, "one key, one order");
        assert!(orders.insert(order), "each key has an order to itself");
    }
    let paid = i64::try_from(orders.len()).unwrap() * 100;
    assert_eq!(shop.balance().await, MONEY - paid, "each order was paid once");
    server.end();
    balanced(&reconcile(store));
}

async fn buy_until_answered(rest: &Rest, buyer: &str, offer: &str, key: &str) -> String {
    let begun = Instant::now();
    loop {
        match buy(rest.clone(), buyer.to_owned(), offer.to_owned(), key.to_owned()).await {
            Ok(order) => return order,
            Err(code) => assert!(code.starts_with("store_"), "{code}"),
        }
        assert!(begun.elapsed() < PATIENCE, "no answer after the outage");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_killed_and_started_again_under_load_sells_each_order_once() {
    let test = "PostgreSQL killed under load";
    let own = || own_postgres_or_skip(test, Durable::Yes);
    let Some(server) = tokio::task::block_in_place(own).unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = tokio::task::block_in_place(|| server.database("outage")).unwrap();
    let outage = || {
        server.kill().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        server.restart().unwrap();
    };
    bought_through_an_outage(&store, folder.path(), outage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_killed_and_started_again_under_load_sells_each_order_once() {
    let test = "MariaDB killed under load";
    let own = || own_mariadb_or_skip(test, Durable::Yes);
    let Some(server) = tokio::task::block_in_place(own).unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = tokio::task::block_in_place(|| server.database("outage")).unwrap();
    let outage = || {
        server.kill().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        server.restart().unwrap();
    };
    bought_through_an_outage(&store, folder.path(), outage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_over_one_postgresql_spend_nothing_twice_and_revoke_for_each_other() {
    let test = "two processes over one PostgreSQL";
    let Some(server) = tokio::task::block_in_place(|| postgres_or_skip(test)).unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = tokio::task::block_in_place(|| server.database("two_processes")).unwrap();
    two_processes_over(&store, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_over_one_mariadb_spend_nothing_twice_and_revoke_for_each_other() {
    let test = "two processes over one MariaDB";
    let Some(server) = tokio::task::block_in_place(|| mariadb_or_skip(test)).unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = tokio::task::block_in_place(|| server.database("two_processes")).unwrap();
    two_processes_over(&store, folder.path()).await;
}
