//! From a device to a buyer over real sockets: exactly what was paid for, and nothing after a revocation.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use i3_broker::Gate;
use i3_marketplace::{Assembly, StoreUrl};
use rumqttc::{ConnectReturnCode, QoS};
use serde_json::{Value, json};

use crate::mqtt::{Client, connack, eventually};
use crate::support::{DEVICE_LOGIN, PASSWORD, Shop, assemble, config};

const DEVICE: (&str, &str) = (DEVICE_LOGIN, PASSWORD);
const PATIENCE: Duration = Duration::from_secs(20);
/// How long to watch that nothing comes.
const SILENCE: Duration = Duration::from_millis(500);

async fn open(plan: Value, cents: i64) -> (Assembly, Gate, Shop, SocketAddr) {
    let (assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let gate = assembly.start_gate("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let shop = Shop::open(rest, plan, cents).await;
    let address = gate.local_addr();
    (assembly, gate, shop, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_n_delivers_exactly_n_to_two_racing_clients_under_a_burst_of_a_hundred_n() {
    const N: u64 = 60;
    let plan = json!({"kind": "fixed_count", "messages": N, "price": 600});
    let (assembly, gate, shop, address) = open(plan, 1_000).await;
    let (order, password) = shop.buy().await;
    let login = (order.as_str(), password.as_str());
    let one = Client::connect(address, "one", login, Some(&shop.topic)).await;
    let two = Client::connect(address, "two", login, Some(&shop.topic)).await;
    let device = Client::connect(address, "device", DEVICE, None).await;
    for number in 0..100 * N {
        let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        device.requests.publish(&shop.topic, qos, false, format!("{number}")).await.unwrap();
    }
    let count = || one.count.load(Ordering::SeqCst) + two.count.load(Ordering::SeqCst);
    assert!(eventually(PATIENCE, async || count() >= N).await, "{} of {N} arrived", count());
    tokio::time::sleep(SILENCE).await;
    assert_eq!(count(), N);
    assert!(device.is_connected(), "a device is not cut off because a buyer's quota ends");

    let paid = async || {
        let statement = shop.rest.get(&shop.buyer, format!("/orders/{order}/statement")).await.ok();
        statement["line"]["quantity"] == N && statement["paid"] == 600 && statement["open"] == 0
    };
    assert!(eventually(PATIENCE, paid).await, "delivered is metered and billed");
    assert_eq!(shop.balance().await, 400);
    let report = shop.rest.get(&shop.admin, "/reconciliation").await.ok();
    assert_eq!((&report["differences"], &report["ledger_sums"]["EUR"]), (&json!([]), &json!("0")));

    let rated = shop.rest.put(&shop.buyer, format!("/orders/{order}/rating"), json!({"stars": 5})).await;
    assert_eq!(rated.ok()["stars"], 5);
    assert_ne!(connack(address, login).await, ConnectReturnCode::Success, "the order is used up");
    gate.shutdown().await;
    drop(assembly);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_arrives_that_was_published_after_the_call_that_revoked_the_grant() {
    let (_assembly, gate, shop, address) = open(json!({"kind": "free"}), 0).await;
    let (order, password) = shop.buy().await;
    let mut buyer =
        Client::connect(address, "buyer", (order.as_str(), password.as_str()), Some(&shop.topic)).await;
    let device = Client::connect(address, "device", DEVICE, None).await;
    let revoked = Arc::new(AtomicBool::new(false));
    let publishing = {
        let (client, topic, revoked) = (device.requests.clone(), shop.topic.clone(), revoked.clone());
        tokio::spawn(async move {
            loop {
                let when = if revoked.load(Ordering::SeqCst) { "after" } else { "before" };
                client.publish(&topic, QoS::AtLeastOnce, false, when).await.unwrap();
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        })
    };
    let flows = async || buyer.count.load(Ordering::SeqCst) > 100;
    assert!(eventually(PATIENCE, flows).await);
    shop.rest.ask("POST", format!("/orders/{order}/revoke")).token(&shop.seller).send().await.ok();
    revoked.store(true, Ordering::SeqCst);
    tokio::time::sleep(SILENCE).await;
    publishing.abort();
    let mut received = 0;
    while let Ok(payload) = buyer.arrived.try_recv() {
        assert_eq!(payload, b"before");
        received += 1;
    }
    assert!(received > 100);
    let grant = shop.rest.get(&shop.buyer, format!("/orders/{order}/grant")).await.ok();
    assert_eq!(grant["state"], "revoked");
    gate.shutdown().await;
    let report = shop.rest.get(&shop.admin, "/reconciliation").await.ok();
    assert_eq!(report["differences"], json!([]));
    assert_eq!(report["grants"][0]["usage"]["delivered"], received, "delivered is what arrived");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_password_a_removed_credential_and_a_suspended_hub_end_connections() {
    let (_assembly, gate, shop, address) = open(json!({"kind": "free"}), 0).await;
    let (order, old) = shop.buy().await;
    let buyer = Client::connect(address, "buyer", (order.as_str(), old.as_str()), Some(&shop.topic)).await;
    let path = format!("/orders/{order}/password");
    let new = shop.rest.ask("POST", &path).token(&shop.buyer).send().await.ok();
    assert!(eventually(PATIENCE, async || !buyer.is_connected()).await);
    assert_ne!(connack(address, (order.as_str(), old.as_str())).await, ConnectReturnCode::Success);
    let new = new["password"].as_str().unwrap();
    assert_eq!(connack(address, (order.as_str(), new)).await, ConnectReturnCode::Success);

    let device = Client::connect(address, "device", DEVICE, None).await;
    let shown = shop.rest.get(&shop.seller, format!("/devices/{}", shop.device)).await.ok();
    let credential = shown["credentials"][0]["id"].as_str().unwrap();
    let second = json!({"credential": {"kind": "password", "password": "another one"}});
    shop.rest.post(&shop.seller, format!("/devices/{}/credentials", shop.device), second).await.ok();
    let path = format!("/devices/{}/credentials/{credential}", shop.device);
    shop.rest.ask("DELETE", path).token(&shop.seller).send().await.ok();
    assert!(eventually(PATIENCE, async || !device.is_connected()).await);
    assert_ne!(connack(address, DEVICE).await, ConnectReturnCode::Success);
    let renewed = (DEVICE_LOGIN, "another one");
    assert_eq!(connack(address, renewed).await, ConnectReturnCode::Success);

    let device = Client::connect(address, "device", renewed, None).await;
    let path = format!("/hubs/{}/state", shop.hub);
    shop.rest.put(&shop.admin, path, json!({"state": "suspended"})).await.ok();
    assert!(eventually(PATIENCE, async || !device.is_connected()).await);
    assert_ne!(connack(address, renewed).await, ConnectReturnCode::Success);
    gate.shutdown().await;
}
