//! Debian's Mosquitto with its dynamic-security plug-in, kept in line with the marketplace.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use i3_auth::broker_password::BrokerPasswords;
use i3_broker::dialect::dynsec::{
    CONTROL_TOPIC, DynsecControl, DynsecMirror, DynsecPasswords, RESPONSE_TOPIC,
};
use i3_broker::dialect::{Decider, DeciderConfig, Roster};
use i3_core::gate::Principal;
use i3_core::market::Marketplace;
use i3_core::order::Order;
use i3_core::store::{StoreError, StoreExt};
use i3_marketplace::{Assembly, StoreUrl};
use rumqttc::{ConnectReturnCode, QoS};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::mqtt::{Client, connack, eventually, subscribed};
use crate::process::free_address;
use crate::support::{DEVICE_LOGIN, PASSWORD, Shop, assemble, config};

const ADMIN: (&str, &str) = ("admin", "mosquitto's own");
const LIMIT: Duration = Duration::from_mins(1);

/// A running Mosquitto; killed when dropped.
struct Mosquitto {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn found(folders: &[&str], name: &str) -> Option<PathBuf> {
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|file| file.is_file())
}

/// The parts of Debian's packages `mosquitto` and `mosquitto-clients`.
fn parts() -> Option<(PathBuf, PathBuf, PathBuf)> {
    let programs = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let arch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let plugin = found(&["/usr/lib", "/usr/local/lib", &arch], "mosquitto_dynamic_security.so");
    Some((found(&programs, "mosquitto")?, found(&programs, "mosquitto_ctrl")?, plugin?))
}

impl Mosquitto {
    async fn start() -> Option<Self> {
        let Some((broker, control, plugin)) = parts() else {
            assert!(std::env::var("CI").is_err(), "mosquitto and mosquitto-clients are not installed");
            eprintln!("SKIPPED: mosquitto and mosquitto-clients are not installed");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let security = folder.path().join("dynamic-security.json");
        let mut init = Command::new(control);
        init.args(["dynsec", "init"]).arg(&security).args([ADMIN.0, ADMIN.1]);
        assert!(init.stdout(Stdio::null()).status().unwrap().success());
        let address = free_address();
        let settings = format!(
            "listener {} 127.0.0.1\nallow_anonymous false\nplugin {}\nplugin_opt_config_file {}\n\
             persistence false\nuser root\n",
            address.port(),
            plugin.display(),
            security.display()
        );
        let file = folder.path().join("mosquitto.conf");
        std::fs::write(&file, settings).unwrap();
        let mut broker = Command::new(broker);
        broker.arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Self { child: broker.spawn().unwrap(), address, _folder: folder };
        let listens = eventually(LIMIT, async || TcpStream::connect(address).is_ok()).await;
        assert!(listens, "mosquitto did not start");
        Some(started)
    }
}

/// The plug-in's administrator, connected.
struct Admin(Mutex<Client>);

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admin")
    }
}

#[async_trait]
impl DynsecControl for Admin {
    async fn send(&self, commands: String) -> Result<Vec<u8>, String> {
        let mut client = self.0.lock().await;
        let sent = client.requests.publish(CONTROL_TOPIC, QoS::AtLeastOnce, false, commands).await;
        sent.map_err(|error| error.to_string())?;
        let answer = tokio::time::timeout(LIMIT, client.arrived.recv()).await;
        answer.ok().flatten().ok_or_else(|| "no answer".to_owned())
    }
}

/// Orders' passwords are computed; a device's is known or not.
#[derive(Debug)]
struct Known {
    orders: BrokerPasswords,
    market: Marketplace,
    device: Option<&'static str>,
}

#[async_trait]
impl DynsecPasswords for Known {
    async fn password(&self, principal: Principal) -> Result<Option<String>, StoreError> {
        let Principal::Order { order, .. } = principal else { return Ok(self.device.map(str::to_owned)) };
        let order = self.market.store().get::<Order>(&order).await?;
        let of = |order: Order| self.orders.of(order.id, order.password_generation).expose().to_owned();
        Ok(order.map(|order| of(order.entity)))
    }
}

/// A marketplace with a seller, and a Mosquitto that is kept in line with it.
struct World {
    assembly: Assembly,
    shop: Shop,
    control: Arc<Admin>,
    mirror: Arc<DynsecMirror>,
    broker: SocketAddr,
    _mosquitto: Mosquitto,
}

impl World {
    async fn start(device: Option<&'static str>) -> Option<Self> {
        let mosquitto = Mosquitto::start().await?;
        let (assembly, rest) = assemble(config(StoreUrl::Memory)).await;
        let shop = Shop::open(rest, json!({"kind": "free"}), 0).await;
        let market = Arc::new(assembly.market().clone());
        let admin = Client::connect(mosquitto.address, "i3", ADMIN, Some(RESPONSE_TOPIC)).await;
        let access = assembly.access();
        let decider = Decider::new(
            access.authenticator.clone(),
            market.clone(),
            market.clone(),
            market.clock().clone(),
            DeciderConfig::default(),
        );
        let orders = access.broker_passwords.clone();
        let passwords = Known { orders, market: assembly.market().clone(), device };
        let control = Arc::new(Admin(Mutex::new(admin)));
        let mirror = DynsecMirror::new(control.clone(), Arc::new(passwords), decider, market.clone());
        let mirror = Arc::new(mirror);
        mirror.close().await.unwrap();
        market.listen(mirror.clone());
        let broker = mosquitto.address;
        Some(Self { assembly, shop, control, mirror, broker, _mosquitto: mosquitto })
    }

    async fn let_in(&self, name: &str) {
        let principal = self.assembly.market().principal(name).await.unwrap().unwrap();
        self.mirror.bring_in_line(principal).await.unwrap();
    }

    async fn is_refused(&self, login: (&str, &str)) -> bool {
        let refused = [ConnectReturnCode::NotAuthorized, ConnectReturnCode::BadUserNamePassword];
        refused.contains(&connack(self.broker, login).await)
    }

    async fn set(&self, what: String, state: &str) {
        self.shop.rest.put(&self.shop.seller, what, json!({"state": state})).await.ok();
    }
}

#[tokio::test]
async fn a_device_whose_password_only_mosquitto_knows_gets_its_topics_and_loses_them() {
    let Some(world) = World::start(None).await else { return };
    let device = (DEVICE_LOGIN, "only mosquitto knows");
    let topic = world.shop.topic.as_str();
    let client = json!({"command": "createClient", "username": device.0, "password": device.1});
    let made = world.control.send(json!({"commands": [client]}).to_string()).await.unwrap();
    i3_broker::dialect::dynsec::check(&made).unwrap();
    // Twice: the second time all is there already.
    world.let_in(DEVICE_LOGIN).await;
    world.let_in(DEVICE_LOGIN).await;
    let (order, password) = world.shop.buy().await;
    world.let_in(&order).await;
    let mut screen = Client::connect(world.broker, "screen", (&order, &password), Some(topic)).await;
    let sensor = Client::connect(world.broker, "sensor", device, None).await;
    sensor.requests.publish(topic, QoS::AtLeastOnce, false, "21.5").await.unwrap();
    let first = tokio::time::timeout(LIMIT, screen.arrived.recv()).await.unwrap();
    assert_eq!(first.unwrap(), b"21.5");

    let state = format!("/devices/{}/state", world.shop.device);
    world.set(state.clone(), "disabled").await;
    assert!(eventually(LIMIT, async || !sensor.is_connected()).await, "the device is still connected");
    assert!(world.is_refused(device).await);
    world.set(state, "active").await;
    assert!(!world.is_refused(device).await, "the operator's client is the same as before");
}

#[tokio::test]
async fn mosquitto_allows_what_was_sold_and_disconnects_whose_access_ends() {
    let Some(world) = World::start(Some(PASSWORD)).await else { return };
    let World { shop, broker, .. } = &world;
    let broker = *broker;
    let device = (DEVICE_LOGIN, PASSWORD);
    assert!(world.is_refused(device).await, "nobody has told mosquitto yet");
    world.let_in(DEVICE_LOGIN).await;
    let (order, password) = shop.buy().await;
    world.let_in(&order).await;
    let buyer = (order.as_str(), password.as_str());
    let sensor = Client::connect(broker, "sensor", device, None).await;
    let mut screen = Client::connect(broker, "screen", buyer, Some(&shop.topic)).await;

    // A device's other topics reach nobody, the administrator included; a buyer has one topic.
    let publish = async |topic: &str, payload: &str| {
        sensor.requests.publish(topic, QoS::AtLeastOnce, false, payload).await.unwrap();
    };
    publish("i3/acme/other", "stolen").await;
    publish(&shop.topic, "21.5").await;
    let first = tokio::time::timeout(LIMIT, screen.arrived.recv()).await.unwrap();
    assert_eq!(first.unwrap(), b"21.5");
    for foreign in ["i3/acme/other", "i3/#", "#", "i3/acme/+", "$CONTROL/#"] {
        assert!(!subscribed(broker, "other-screen", buyer, foreign).await, "{foreign}");
        assert!(!subscribed(broker, "other-sensor", device, foreign).await, "{foreign}");
    }
    assert!(!subscribed(broker, "other-sensor", device, &shop.topic).await);
    screen.requests.publish(shop.topic.as_str(), QoS::AtLeastOnce, false, "forged").await.unwrap();
    publish(&shop.topic, "21.6").await;
    let second = tokio::time::timeout(LIMIT, screen.arrived.recv()).await.unwrap();
    assert_eq!(second.unwrap(), b"21.6", "what a buyer publishes reaches nobody");

    // The command returns when mosquitto has been told, and told means disconnected.
    shop.rest.ask("POST", format!("/orders/{order}/revoke")).token(&shop.seller).send().await.ok();
    assert!(eventually(LIMIT, async || !screen.is_connected()).await, "the buyer is still connected");
    assert!(world.is_refused(buyer).await);
    publish(&shop.topic, "21.7").await;

    // Paused: still there, but without the topic; listed again: as before.
    let state = async |state: &str| world.set(format!("/products/{}/state", shop.product), state).await;
    let (order, password) = shop.buy().await;
    world.let_in(&order).await;
    let buyer = (order.as_str(), password.as_str());
    assert!(subscribed(broker, "screen", buyer, &shop.topic).await);
    state("paused").await;
    assert!(world.is_refused(buyer).await);
    state("listed").await;
    assert!(subscribed(broker, "screen", buyer, &shop.topic).await);

    world.set(format!("/devices/{}/state", shop.device), "disabled").await;
    assert!(eventually(LIMIT, async || !sensor.is_connected()).await, "the device is still connected");
    assert!(world.is_refused(device).await);
    let left = std::iter::from_fn(|| screen.arrived.try_recv().ok()).count();
    assert_eq!(left, 0, "nothing arrived after the access had ended");
}
