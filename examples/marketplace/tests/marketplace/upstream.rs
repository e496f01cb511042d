//! `serve` in front of Debian's Mosquitto.

use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rumqttc::QoS;
use rumqttc::v5::mqttbytes::QoS as Quality;
use rumqttc::v5::{AsyncClient, Event, Incoming, MqttOptions};
use serde_json::json;

use crate::mqtt::{Client, eventually};
use crate::process::{Server, free_address, program};
use crate::support::{DEVICE_LOGIN, PASSWORD, Shop};

const PATIENCE: Duration = Duration::from_mins(1);

struct Mosquitto(Child);

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Mosquitto {
    /// Starts one that asks for no password; `None`, with a loud line, if it is not installed.
    fn start() -> Option<(Self, u16)> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        let Some(file) = folders.map(|folder| folder.join("mosquitto")).find(|file| file.is_file()) else {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "mosquitto is not installed");
            eprintln!("SKIPPED: mosquitto is not installed (Debian: mosquitto)");
            return None;
        };
        for _ in 0..3 {
            let port = free_address().port();
            let mut command = Command::new(&file);
            command.args(["-p", &port.to_string()]).stdin(Stdio::null());
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let mut mosquitto = Self(child);
            let begun = Instant::now();
            // It ends at once if the port is taken.
            while begun.elapsed() < PATIENCE && matches!(mosquitto.0.try_wait(), Ok(None)) {
                if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                    return Some((mosquitto, port));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        panic!("mosquitto does not start");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sold_passes_through_the_upstream_broker_where_others_see_it() {
    let Some((_mosquitto, port)) = Mosquitto::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "a word\n").unwrap();
    let url = format!("mqtt://127.0.0.1:{port}");
    let more = ["--upstream", &url, "--upstream-user", "gate", "--upstream-password-file"];
    let server =
        Server::start(folder.path(), "memory:", &[&more[..], &[password.to_str().unwrap()]].concat());
    let plan = json!({"kind": "fixed_count", "messages": 10, "price": 100});
    let shop = Shop::open(server.rest(), plan, 1_000).await;
    let (order, word) = shop.buy().await;

    let (elsewhere, mut events) = AsyncClient::new(MqttOptions::new("elsewhere", "127.0.0.1", port), 10);
    elsewhere.subscribe(&shop.topic, Quality::AtLeastOnce).await.unwrap();
    while !matches!(events.poll().await.unwrap(), Event::Incoming(Incoming::SubAck(_))) {}

    let buyer = Client::connect(server.mqtt, "buyer", (&order, &word), Some(&shop.topic)).await;
    let device = Client::connect(server.mqtt, "device", (DEVICE_LOGIN, PASSWORD), None).await;
    for number in 0..20 {
        device.requests.publish(&shop.topic, QoS::AtLeastOnce, false, format!("{number}")).await.unwrap();
    }
    let mut seen = 0;
    while seen < 20 {
        if let Event::Incoming(Incoming::Publish(publish)) = events.poll().await.unwrap() {
            assert_eq!(publish.payload, format!("{seen}"));
            seen += 1;
        }
    }
    let all = async || buyer.count.load(Ordering::SeqCst) == 10 && !buyer.is_connected();
    assert!(eventually(PATIENCE, all).await, "exactly what was bought");
}

#[test]
fn addresses_and_passwords_that_cannot_be_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none");
    let none = none.to_str().unwrap();
    for (arguments, said) in [
        (vec!["--upstream", "mqtts://broker"], "TLS to the upstream broker is not offered"),
        (vec!["--upstream", "mqtt://user:word@broker"], "do not belong in its address"),
        (vec!["--upstream-user", "gate"], "usage"),
        (
            vec!["--upstream", "mqtt://b", "--upstream-user", "g", "--upstream-password-file", none],
            "upstream_password",
        ),
    ] {
        let output = program()
            .args(["serve", "--store", "memory:", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"])
            .args(&arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && text.contains(said), "{arguments:?}: {text}");
    }
}
