//! What merge patches change of hubs, devices and products, and what they cannot change.

use std::time::Duration;

use i3_marketplace::StoreUrl;
use rumqttc::QoS;
use serde_json::{Value, json};

use crate::mqtt::{Client, eventually};
use crate::support::{DEVICE_LOGIN, PASSWORD, Raw, Shop, assemble, config, text};

const PATIENCE: Duration = Duration::from_mins(2);
/// How long to watch that nothing comes.
const SILENCE: Duration = Duration::from_millis(300);

async fn shop() -> (i3_marketplace::Assembly, Shop) {
    let (assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    (assembly, Shop::open(rest, json!({"kind": "free"}), 0).await)
}

impl Shop {
    async fn patch(&self, token: &str, path: &str, patch: &Value, headers: &[(&'static str, &str)]) -> Raw {
        let mut asked = self.rest.ask("PATCH", path).token(token);
        for (name, value) in headers {
            asked = asked.header(name, *value);
        }
        asked.header("content-type", "application/merge-patch+json").text(patch.to_string()).send_raw().await
    }

    async fn describes(&self, token: &str, path: &str) -> bool {
        let asked = self.rest.ask("GET", path).token(token).header("accept", "application/hal+json");
        !asked.send().await.ok()["_links"]["i3:describe"].is_null()
    }

    /// Whether this patch is refused so.
    async fn refuses(&self, token: &str, path: &str, patch: Value, code: (u16, &str)) {
        let refused = self.patch(token, path, &patch, &[]).await;
        let body: Value = serde_json::from_str(&refused.text).unwrap();
        assert_eq!(
            (refused.status, body["code"].as_str().unwrap_or_default()),
            code,
            "{patch} at {path}: {body}"
        );
    }
}

/// A member of the shop's hub with this role.
async fn member(shop: &Shop, role: &str) -> String {
    let (token, id) = shop.rest.register(role, "provider").await;
    let member = format!("/hubs/{}/members/{id}", shop.hub);
    shop.rest.put(&shop.seller, &member, json!({"role": role})).await.ok();
    token
}

#[tokio::test]
async fn a_manager_changes_what_people_read_about_a_hub_and_its_devices() {
    let (_assembly, shop) = shop().await;
    let (viewer, manager) = (member(&shop, "viewer").await, member(&shop, "manager").await);
    for path in [format!("/hubs/{}", shop.hub), format!("/devices/{}", shop.device)] {
        let seen = shop.rest.get(&manager, &path).await;
        let tag = seen.headers["etag"].to_str().unwrap().to_owned();
        let before = seen.ok();
        let title = json!({"title": "On the roof & below"});

        shop.refuses(&viewer, &path, title.clone(), (403, "forbidden")).await;
        assert!(shop.describes(&manager, &path).await && !shop.describes(&viewer, &path).await);
        if path.starts_with("/hubs") {
            // Hubs have a public face.
            shop.refuses(&shop.buyer, &path, title.clone(), (403, "forbidden")).await;
            assert!(!shop.describes(&shop.buyer, &path).await);
        }

        let asked =
            [("idempotency-key", path.as_str()), ("if-match", tag.as_str()), ("accept", "application/xml")];
        let changed = shop.patch(&manager, &path, &title, &asked).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        assert!(changed.text.contains("<title>On the roof &amp; below</title>"), "{}", changed.text);
        assert_ne!(changed.headers["etag"], tag);
        let again = shop.patch(&manager, &path, &title, &asked).await;
        assert_eq!(again.text, changed.text, "the same key has the same answer");
        let late = shop.patch(&manager, &path, &json!({"title": "Lost"}), &[("if-match", &tag)]).await;
        assert_eq!(late.status, 412, "{}", late.text);

        let mut after = shop.rest.get(&manager, &path).await.ok();
        assert_eq!(after["title"], "On the roof & below");
        after["title"] = before["title"].clone();
        for (number, number_before) in [("members", 1), ("owners", 1)] {
            assert!(after[number].is_null() || after[number].as_u64() >= Some(number_before));
        }
        assert_eq!(after, before, "all else stays");
        let nothing = shop.patch(&manager, &path, &json!({}), &[]).await;
        assert_eq!(nothing.status, 200, "{}", nothing.text);
    }
}

#[tokio::test]
async fn a_seller_changes_some_of_what_is_said_of_a_stream() {
    let (_assembly, shop) = shop().await;
    let stream = format!("/products/{}/stream", shop.product);
    let sample = json!({"last": 3, "redact": ["/position"], "per_person_per_day": 2});
    let said = json!({"schema": {"type": "object"}, "sample": sample});
    shop.rest.put(&shop.seller, &stream, said).await.ok();
    let seen = shop.rest.get(&shop.seller, &stream).await;
    let tag = seen.headers["etag"].to_str().unwrap().to_owned();
    let patch = json!({"schema": {"title": "Air", "type": null}, "sample": {"last": 1}});
    let changed = shop.patch(&shop.seller, &stream, &patch, &[("if-match", &tag)]).await;
    let changed: Value = serde_json::from_str(&changed.text).unwrap();
    let sample = json!({"last": 1, "redact": ["/position"], "per_person_per_day": 2});
    let expected =
        json!({"product": shop.product, "revision": 2, "schema": {"title": "Air"}, "sample": sample});
    assert_eq!(changed, expected);
    let late = shop.patch(&shop.seller, &stream, &patch, &[("if-match", &tag)]).await;
    assert_eq!(late.status, 412, "{}", late.text);
    for (patch, code) in [
        (json!({"revision": 7}), (422, "unchangeable")),
        (json!({"sample": {"last": 99}}), (400, "invalid_request")),
        (json!({"sample": {"last": null}}), (400, "invalid_request")),
        (json!({"sample": {"first": 1}}), (400, "invalid_request")),
        (json!({"schema": true}), (400, "invalid_request")),
        (json!({"schema": {"$ref": "https://example.org/schema"}}), (400, "invalid_request")),
    ] {
        shop.refuses(&shop.seller, &stream, patch, code).await;
    }
    shop.refuses(&shop.buyer, &stream, json!({"sample": null}), (403, "forbidden")).await;
    assert_eq!(shop.rest.get(&shop.seller, &stream).await.ok(), expected, "refusals change nothing");
    let gone = shop.patch(&shop.seller, &stream, &json!({"sample": null}), &[]).await;
    assert!(gone.text.contains("\"sample\":null") && gone.text.contains("Air"), "{}", gone.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_added_publishes_at_once_and_one_that_is_left_out_no_more() {
    let (assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let gate = assembly.start_gate("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let shop = Shop::open(rest, json!({"kind": "free"}), 0).await;
    let address = gate.local_addr();
    let second = json!({
        "name": "second", "title": "Second", "credential": {"kind": "password", "password": PASSWORD},
    });
    let second = shop.rest.post(&shop.seller, format!("/hubs/{}/devices", shop.hub), second).await.ok();
    let second = text(&second["id"]);
    let (order, password) = shop.buy().await;
    let login = (order.as_str(), password.as_str());
    let mut buyer = Client::connect(address, "buyer", login, Some(&shop.topic)).await;
    let old = Client::connect(address, "old", (DEVICE_LOGIN, PASSWORD), None).await;
    let new = Client::connect(address, "new", ("acme.second", PASSWORD), None).await;
    let product = format!("/products/{}", shop.product);
    let supply = async |devices: Value| {
        let changed = shop.patch(&shop.seller, &product, &json!({"devices": devices}), &[]).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        let changed: Value = serde_json::from_str(&changed.text).unwrap();
        assert_eq!(changed["devices"], devices);
    };
    let publish = async |device: &Client, payload: &str| {
        device.requests.publish(&shop.topic, QoS::AtLeastOnce, false, payload).await.unwrap();
    };
    let arrives = async |buyer: &mut Client| {
        let next = tokio::time::timeout(PATIENCE, buyer.arrived.recv()).await.expect("something arrives");
        String::from_utf8(next.unwrap()).unwrap()
    };

    supply(json!([shop.device, second])).await;
    publish(&new, "of the new one").await;
    assert_eq!(arrives(&mut buyer).await, "of the new one");
    publish(&old, "of the old one").await;
    assert_eq!(arrives(&mut buyer).await, "of the old one");

    supply(json!([second])).await;
    assert!(eventually(PATIENCE, async || !old.is_connected()).await, "it may do less than it was told");
    assert!(new.is_connected());
    // It may come back, and publishes nothing.
    let old = Client::connect(address, "old", (DEVICE_LOGIN, PASSWORD), None).await;
    publish(&old, "too late").await;
    tokio::time::sleep(SILENCE).await;
    publish(&new, "the last").await;
    assert_eq!(arrives(&mut buyer).await, "the last");
    for devices in [json!([]), json!(null), json!([second, second]), json!(["nobody"])] {
        shop.refuses(&shop.seller, &product, json!({"devices": devices}), (400, "invalid_request")).await;
    }
    gate.shutdown().await;
}

#[tokio::test]
async fn what_names_begin_with_never_changes_and_what_is_not_known_is_refused() {
    let (_assembly, shop) = shop().await;
    let (hub, device) = (format!("/hubs/{}", shop.hub), format!("/devices/{}", shop.device));
    for (path, members) in [
        (&hub, &["id", "slug", "registered"][..]),
        (&device, &["id", "hub", "name", "auth_id", "registered"]),
        (&format!("/products/{}", shop.product), &["id", "hub", "slug", "topic", "created"]),
    ] {
        for member in members {
            let patch = json!({"title": "A", *member: "b"});
            shop.refuses(&shop.seller, path, patch, (422, "unchangeable")).await;
        }
        for (patch, code) in [
            (json!({"wings": 2}), "invalid_request"),
            // It has a route of its own.
            (json!({"state": "suspended"}), "invalid_request"),
            (json!({"title": null}), "invalid_request"),
            (json!({"title": ""}), "invalid_request"),
            (json!(["title"]), "invalid_request"),
        ] {
            shop.refuses(&shop.seller, path, patch, (400, code)).await;
        }
        let after = shop.rest.get(&shop.seller, path).await.ok().to_string();
        assert!(!after.contains("\"title\":\"A\""), "{after}");
    }
    shop.refuses(&shop.buyer, &device, json!({"title": "Mine"}), (403, "forbidden")).await;
}
