//! What the OASIS standards MQTT 3.1.1 and MQTT 5 ask of a server, over real sockets. The statements and the tests
//! that show them are listed in `docs/mqtt-conformance.md`; numbers in comments are those of MQTT 5 unless said.

mod acknowledging;
mod connecting;
mod ending;
mod packets;
mod properties;
mod publishing;
mod resuming;
mod retaining;
mod subscribing;
mod websocket;

use crate::client::{Client, Fate, Message};
use crate::market::TOPIC;
use crate::packets::*;
use crate::scene::Scene;

/// A scene with a buyer and a device, both of this version.
async fn pair(version: Version, qos: u8) -> (Scene, Client, Client) {
    let scene = Scene::new(1_000).await;
    let (buyer, device) = (scene.buyer(version, "buyer", qos).await, scene.device(version).await);
    (scene, buyer, device)
}

/// Publishes at `QoS` 1 and gives what the buyer gets.
async fn through(device: &mut Client, buyer: &mut Client, publish: Publish) -> Message {
    assert_eq!(device.publish_as(publish.qos(1, 5), 1, 5).await, Fate::Acknowledged(0));
    let message = buyer.message().await.expect("a message");
    buyer.acknowledge(&message).await;
    message
}

/// What a client of MQTT 5 is told, and nobody else.
fn told(version: Version, reason: u8) -> Fate {
    Fate::Closed((version == V5).then_some(reason))
}

/// The topic with its length, for packets made by hand.
fn topic() -> Vec<u8> {
    let mut out = Vec::new();
    text(&mut out, TOPIC);
    out
}

/// No properties, where a packet has some.
fn none(version: Version) -> &'static [u8] {
    if version == V5 { &[0] } else { &[] }
}
