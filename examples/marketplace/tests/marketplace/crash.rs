//! The real program: killed in the middle of streaming, started again, ended in order.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use i3_core::store::Schema;
use rumqttc::QoS;
use serde_json::json;

use crate::mqtt::{Client, eventually};
use crate::process::{Server, balanced, program, reconcile};
use crate::support::{DEVICE_LOGIN, PASSWORD, Shop, stores};

const PATIENCE: Duration = Duration::from_mins(1);

async fn killed_while_streaming(folder: &Path, store: &str) {
    const QUOTA: u64 = 10_000_000;
    let plan = json!({"kind": "fixed_count", "messages": QUOTA, "price": QUOTA});
    let server = Server::start(folder, store, &[]);
    let shop = Shop::open(server.rest(), plan, 20_000_000).await;
    let (order, password) = shop.buy().await;
    let login = (order.as_str(), password.as_str());
    let buyer = Client::connect(server.mqtt, "buyer", login, Some(&shop.topic)).await;
    let device = Client::connect(server.mqtt, "device", (DEVICE_LOGIN, PASSWORD), None).await;
    let publishing = {
        let (client, topic) = (device.requests.clone(), shop.topic.clone());
        tokio::spawn(
            async move { while client.publish(&topic, QoS::AtMostOnce, false, "x").await.is_ok() {} },
        )
    };
    // Over several reports of usage, so that part of what was delivered is billed.
    let streams = async || buyer.count.load(Ordering::SeqCst) > 10_000;
    assert!(eventually(PATIENCE, streams).await);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let locked = reconcile(store);
    assert_eq!(locked.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&locked.stderr).contains("[store_busy]"), "{locked:?}");
    server.kill();
    assert!(eventually(PATIENCE, async || !buyer.is_connected()).await);
    publishing.abort();
    let received = buyer.count.load(Ordering::SeqCst);

    let said = balanced(&reconcile(store));
    assert_eq!(said.matches(": open, granted").count(), 1, "one session, one lease:\n{said}");

    let server = Server::start(folder, store, &[]);
    let rest = server.rest();
    let (admin, _) = rest.sign_in("admin").await;
    let report = rest.get(&admin, "/reconciliation").await.ok();
    assert_eq!(report["differences"], json!([]));
    let usage = &report["grants"][0]["usage"];
    let count = |name: &str| usage[name].as_u64().unwrap();
    let (delivered, in_doubt) = (count("delivered"), count("in_doubt"));
    assert_eq!(count("open"), 0, "the lease was reclaimed at the start");
    assert!(in_doubt > 0, "the lease was in use");
    assert!(received <= delivered + in_doubt, "{received} of {delivered} and {in_doubt} in doubt");
    assert!(delivered + in_doubt <= QUOTA, "never more than was paid for");
    assert_eq!(count("captured"), delivered, "a cent for each, and none for what is in doubt");

    // The buyer signs in again and goes on with what is left.
    let (buyer_token, buyer_id) = rest.sign_in("buyer").await;
    let again = rest.get(&buyer_token, format!("/orders/{order}/password")).await.ok();
    assert_eq!(again["password"], password.as_str(), "the password outlives the server");
    let buyer = Client::connect(server.mqtt, "buyer", login, Some(&shop.topic)).await;
    let device = Client::connect(server.mqtt, "device", (DEVICE_LOGIN, PASSWORD), None).await;
    for _ in 0..100 {
        device.requests.publish(&shop.topic, QoS::AtLeastOnce, false, "y").await.unwrap();
    }
    assert!(eventually(PATIENCE, async || buyer.count.load(Ordering::SeqCst) == 100).await);
    let account = rest.get(&buyer_token, format!("/accounts/{buyer_id}/balances")).await.ok();
    assert_eq!(account["items"][0]["amount"], 10_000_000 + in_doubt, "what is in doubt is paid back");
    server.end();

    let said = balanced(&reconcile(store));
    assert_eq!(said.matches(": reclaimed, granted").count(), 1, "{said}");
    assert!(said.contains(&format!("{in_doubt} in doubt, not billed")), "{said}");
    assert!(said.contains(&(delivered + 100).to_string()), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_streaming_it_loses_no_money_and_lists_one_lease_in_doubt_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("market.sqlite").display());
    killed_while_streaming(folder.path(), &store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_streaming_it_loses_no_money_and_lists_one_lease_in_doubt_on_sled() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sled:{}", folder.path().join("market.sled").display());
    killed_while_streaming(folder.path(), &store).await;
}

/// Runs the program to its end; gives its exit status and the one line that it says.
fn fails(arguments: &[&str]) -> (i32, String) {
    let output = program().args(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let said: Vec<&str> = said.lines().filter(|line| !line.contains(" INFO ")).collect();
    assert_eq!(said.len(), 1, "one line: {said:?}");
    (output.status.code().unwrap(), said[0].to_owned())
}

#[test]
fn what_keeps_it_from_starting_is_said_in_one_line_with_a_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let data = path("data");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    std::fs::write(path("text"), "no database, but longer than the header of one: ".repeat(40)).unwrap();
    let text = format!("sqlite:{}", path("text"));
    let folder_missing = format!("sqlite:{}", path("no/such/folder/db"));
    let none = format!("sled:{}", path("none"));
    let readme = path("text");
    let free = ["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"];
    let serve = |more: &[&str]| {
        let mut arguments = vec!["serve", "--data-dir", &data];
        arguments.extend_from_slice(more);
        if !more.contains(&"--http") && !more.contains(&"--mqtt") {
            arguments.extend_from_slice(&free);
        }
        fails(&arguments)
    };
    let table = [
        (serve(&["--http", &taken]), 1, "[address_in_use]"),
        (serve(&["--http", "127.0.0.1:0", "--mqtt", &taken]), 1, "[address_in_use]"),
        (serve(&["--store", "mysql:x"]), 2, "[invalid_store_url]"),
        (serve(&["--store", &text]), 1, "[store_corrupt]"),
        (serve(&["--store", &folder_missing]), 1, "[store_misconfigured]"),
        (serve(&["--admin-name", "Not A Slug", "--store", "memory:"]), 2, "[invalid_admin]"),
        (serve(&["--mqtt-tls", "127.0.0.1:0"]), 2, "[usage]"),
        (serve(&["--mqtt-tls", "127.0.0.1:0", "--tls-cert", &none, "--tls-key", &none]), 1, "[certificates]"),
        (
            serve(&["--mqtt-wss", "127.0.0.1:0", "--tls-cert", &readme, "--tls-key", &readme]),
            1,
            "[certificates]",
        ),
        (serve(&["--fee-points", "10001"]), 2, "[usage]"),
        (fails(&["reconcile", "--store", &none]), 1, "[store_misconfigured]"),
        (fails(&["reconcile", "--store", "memory:"]), 1, "[store_misconfigured]"),
        (fails(&["nonsense"]), 2, "[usage]"),
    ];
    for ((status, said), expected, code) in table {
        assert_eq!(status, expected, "{said}");
        assert!(said.starts_with("i3-marketplace: ") && said.contains(code), "{said}, not {code}");
    }
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for store in &stores(folder.path())[1..] {
        let mut collections = i3_core::market::collections();
        collections.extend(i3_auth::COLLECTIONS);
        let newer = Schema::new(i3_core::market::REVISION + 1, &collections).unwrap();
        store.open().await.unwrap().prepare(&newer).await.unwrap();
        let url = store.to_string();
        let data = folder.path().display().to_string();
        for arguments in [
            &["serve", "--store", &url, "--data-dir", &data, "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"]
                as &[&str],
            &["reconcile", "--store", &url],
        ] {
            let (status, said) = fails(arguments);
            assert_eq!(status, 1, "{said}");
            assert!(said.contains("[store_incompatible]"), "{said}");
        }
    }
}
