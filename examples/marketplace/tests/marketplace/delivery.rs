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
const PATIENCE: Duration = Duration::from_mins(1);
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
    assert!(eventually(PATIENCE, async || !buyer.is_connected()).await, "it has read all that was sent");
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
async fn what_a_slow_reader_missed_is_on_its_statement_and_not_on_its_bill() {
    const MESSAGES: u64 = 4_000;
    let (assembly, gate, shop, address) =
        open(json!({"kind": "per_message", "unit_price": 1_000_000}), 100_000).await;
    let (order, password) = shop.buy().await;
    let (other, other_password) = shop.buy().await;
    let login = (order.as_str(), password.as_str());
    let slow = Client::not_reading(address, "slow", login, Some(&shop.topic)).await;
    let quick = (other.as_str(), other_password.as_str());
    let quick = Client::connect(address, "quick", quick, Some(&shop.topic)).await;
    let device = Client::connect(address, "device", DEVICE, None).await;
    let counted = |client: &Client| client.count.load(Ordering::SeqCst);
    // Far more than lies in the log and in all buffers.
    for number in 0..MESSAGES {
        let mut payload = vec![0; 9_000];
        payload[..8].copy_from_slice(&number.to_be_bytes());
        device.requests.publish(&shop.topic, QoS::AtLeastOnce, false, payload).await.unwrap();
        while counted(&quick) + 100 < number {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert!(eventually(PATIENCE, async || counted(&quick) == MESSAGES).await, "it is slowed by nobody");
    let mut slow = Client::reading(slow);
    let mut arrived = Vec::new();
    while arrived.last() != Some(&MESSAGES) {
        let payload = tokio::time::timeout(PATIENCE, slow.arrived.recv()).await.unwrap().unwrap();
        arrived.push(u64::from_be_bytes(payload[..8].try_into().unwrap()) + 1);
    }
    let received = counted(&slow);
    let missed = json!({"slow": MESSAGES - received, "offline": 0, "expired": 0, "too_large": 0});
    assert!(received < MESSAGES, "something was missed");

    let why = async |token: &str, number: u64| {
        shop.rest.get(token, format!("/explain/orders/{order}/messages/{number}")).await.ok()
    };
    let in_time = async || why(&shop.buyer, MESSAGES).await["code"] == "charged";
    assert!(eventually(PATIENCE, in_time).await);
    // The gate may be asking for more numbers at the moment.
    let unpublished = async || why(&shop.buyer, MESSAGES + 1).await["code"] == "unpublished";
    assert!(eventually(PATIENCE, unpublished).await);
    let gap = (2..MESSAGES).find(|number| !arrived.contains(number)).unwrap();
    for (number, code) in
        [(1, "charged"), (gap - 1, "charged"), (gap, "missed"), (MESSAGES + 1, "unpublished")]
    {
        let told = why(&shop.buyer, number).await;
        assert_eq!((&told["code"], &told["complete"]), (&json!(code), &json!(true)), "{told}");
        assert_eq!((&told["sessions"][0]["client"], told["sessions"].get(1)), (&json!("slow"), None));
    }
    let told = why(&shop.seller, gap).await;
    assert_eq!(told["sessions"][0].get("client"), None, "a buyer's names are no seller's business");
    assert_eq!(
        (&told["sessions"][0]["fate"], &told["sessions"][0]["why"]),
        (&json!("missed"), &json!("slow"))
    );
    let path = format!("/explain/orders/{order}/messages/0");
    shop.rest.get(&shop.buyer, path).await.is(400, "invalid_request");
    drop(slow);

    let statement =
        async |order: &str| shop.rest.get(&shop.buyer, format!("/orders/{order}/statement")).await.ok();
    let gone = async || why(&shop.buyer, MESSAGES + 1).await["sessions"][0]["present"] == false;
    assert!(eventually(PATIENCE, gone).await);
    let settled = async || statement(&order).await["open"] == 0;
    assert!(eventually(PATIENCE, settled).await);
    let told = statement(&order).await;
    assert_eq!((&told["line"]["quantity"], &told["missed"]), (&json!(received), &missed));
    let why = shop.rest.get(&shop.buyer, format!("/explain/orders/{order}/charge")).await.ok();
    let finding = why["findings"].as_array().unwrap().iter().find(|one| one["code"] == "missed").unwrap();
    assert_eq!(finding["messages"], MESSAGES - received);
    let report = shop.rest.get(&shop.admin, "/reconciliation").await.ok();
    let line = report["grants"].as_array().unwrap().iter().find(|line| line["order"] == order.as_str());
    assert_eq!((&line.unwrap()["usage"]["missed"], &report["differences"]), (&missed, &json!([])));
    gate.shutdown().await;
    let told = statement(&other).await;
    assert_eq!((&told["line"]["quantity"], &told["missed"]["slow"]), (&json!(MESSAGES), &json!(0)));
    drop(assembly);
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
