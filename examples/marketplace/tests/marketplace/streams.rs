//! What sellers say of their messages, what was measured of them, and what is shown before buying.

use std::time::Duration;

use i3_core::gate::Streams;
use i3_core::quality::Quality;
use i3_core::stream::{Sample, SampleTerms, StreamReport};
use i3_marketplace::{Assembly, StoreUrl};
use rumqttc::QoS;
use serde_json::{Value, json};

use crate::mqtt::{Client, eventually};
use crate::support::{DEVICE_LOGIN, PASSWORD, Shop, assemble, config, text};

async fn shop() -> (Assembly, Shop) {
    let (assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    (assembly, Shop::open(rest, json!({"kind": "free"}), 500).await)
}

fn said() -> Value {
    json!({
        "schema": {"type": "object", "required": ["t"], "properties": {"t": {"type": "number"}}},
        "sample": {"last": 2, "redact": ["/who"], "per_person_per_day": 1},
    })
}

/// A gate tells of three messages, redacted by the terms of this revision.
async fn told(assembly: &Assembly, product: &str, revision: u32) {
    let now = assembly.market().now();
    let payload = br#"{"t": 21.5, "who": "secret"}"#;
    let terms = SampleTerms { last: 2, redact: vec!["/who".to_owned()], per_person_per_day: 1 };
    let mut quality = Quality::default();
    quality.observe(now, None, 1, [payload.len(); 3]);
    quality.checked(now, 1, Ok(()));
    let samples =
        (1..=3).map(|sequence| Sample { sequence, at: now, bytes: 28, content: terms.show(payload) });
    let report = StreamReport { quality, samples: samples.collect(), revision };
    assembly.market().report(product.parse().unwrap(), report).await.unwrap();
}

#[tokio::test]
async fn a_sample_is_shown_redacted_and_so_often_a_day() {
    let (assembly, shop) = shop().await;
    let (rest, path) = (&shop.rest, format!("/products/{}", shop.product));
    rest.get(&shop.buyer, format!("{path}/sample")).await.is(404, "not_found");
    let terms = rest.put(&shop.seller, format!("{path}/stream"), said()).await.ok();
    assert_eq!((&terms["schema"], &terms["revision"]), (&said()["schema"], &json!(1)));
    told(&assembly, &shop.product, 1).await;

    let seen = rest.get(&shop.buyer, format!("{path}/sample")).await.ok();
    assert_eq!(seen["looks_left"], 0);
    let numbers: Vec<_> = seen["samples"].as_array().unwrap().iter().map(|one| &one["sequence"]).collect();
    assert_eq!(numbers, [2, 3]);
    assert_eq!(seen["samples"][0]["content"], json!({"json": {"t": 21.5}}));
    let again = rest.get(&shop.buyer, format!("{path}/sample")).await;
    again.is(429, "samples_used_up");
    assert!(!again.headers.contains_key("retry-after"));
    rest.ask("GET", format!("{path}/sample")).send().await.is(401, "authentication_required");
    for _ in 0..2 {
        assert_eq!(rest.get(&shop.seller, format!("{path}/sample")).await.ok()["looks_left"], Value::Null);
    }
}

#[tokio::test]
async fn quality_and_terms_are_seen_by_anybody_who_sees_the_product() {
    let (assembly, shop) = shop().await;
    let (rest, path) = (&shop.rest, format!("/products/{}", shop.product));
    let nothing = rest.ask("GET", format!("{path}/stream")).send().await.ok();
    assert_eq!(nothing, json!({"product": shop.product, "revision": 0, "schema": null, "sample": null}));
    told(&assembly, &shop.product, 0).await;
    let quality = rest.ask("GET", format!("{path}/quality")).send().await.ok();
    assert_eq!(
        (&quality["messages"], &quality["bytes"], &quality["missing"]),
        (&json!(3), &json!(84), &json!(0))
    );
    assert_eq!(quality["conforming_per_mille"], 1_000);

    let draft = json!({"slug": "draft", "title": "D", "description": "", "devices": [shop.device]});
    let draft = rest.post(&shop.seller, format!("/hubs/{}/products", shop.hub), draft).await.ok();
    for what in ["stream", "quality", "sample"] {
        let path = format!("/products/{}/{what}", text(&draft["id"]));
        rest.get(&shop.buyer, path).await.is(404, "not_found");
    }
}

#[tokio::test]
async fn a_schema_that_is_none_is_refused_with_its_reason_and_only_the_hub_sets_one() {
    let (_assembly, shop) = shop().await;
    let (rest, path) = (&shop.rest, format!("/products/{}/stream", shop.product));
    for (schema, reason) in [
        (json!({"type": "strng"}), "strng"),
        (json!({"$ref": "#"}), "references"),
        (json!({"$ref": "https://example.org/air.json"}), "pointer"),
        (json!({"pattern": "(?=a)"}), "regex"),
    ] {
        let refused = rest.put(&shop.seller, &path, json!({"schema": schema})).await;
        refused.is(400, "invalid_request");
        assert!(refused.body["detail"].as_str().unwrap().contains(reason), "{refused:?}");
        let mut product = json!({"slug": "two", "title": "Two", "description": "", "devices": [shop.device], "schema": schema});
        let hub = format!("/hubs/{}/products", shop.hub);
        rest.post(&shop.seller, &hub, product.clone()).await.is(400, "invalid_request");
        product["schema"] = json!("text");
        rest.post(&shop.seller, &hub, product).await.is(400, "invalid_request");
    }
    rest.put(&shop.seller, &path, json!({"sample": {"last": 99, "per_person_per_day": 1}}))
        .await
        .is(400, "invalid_request");
    rest.put(&shop.buyer, &path, said()).await.is(403, "forbidden");

    let mut product = said();
    for (name, value) in [("slug", json!("two")), ("title", json!("Two")), ("description", json!(""))] {
        product[name] = value;
    }
    product["devices"] = json!([shop.device]);
    let made = rest.post(&shop.seller, format!("/hubs/{}/products", shop.hub), product).await.ok();
    let terms = rest.get(&shop.seller, format!("/products/{}/stream", text(&made["id"]))).await.ok();
    assert_eq!((&terms["schema"], &terms["sample"]), (&said()["schema"], &said()["sample"]));
    let emptied =
        rest.put(&shop.seller, format!("/products/{}/stream", text(&made["id"])), json!({})).await.ok();
    assert_eq!(
        (&emptied["revision"], &emptied["schema"], &emptied["sample"]),
        (&json!(2), &Value::Null, &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_publishes_is_measured_checked_and_shown_redacted() {
    let (assembly, shop) = shop().await;
    let gate = assembly.start_gate("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (rest, path) = (&shop.rest, format!("/products/{}", shop.product));
    let device = Client::connect(gate.local_addr(), "device", (DEVICE_LOGIN, PASSWORD), None).await;
    let publish = async |payload: &str| {
        device.requests.publish(&shop.topic, QoS::AtLeastOnce, false, payload).await.unwrap();
    };
    publish(r#"{"t": 1}"#).await;
    assert!(eventually(Duration::from_mins(1), async || gate.stats().publishes_accepted == 1).await);
    // The device is connected: it goes by the new terms without being told.
    rest.put(&shop.seller, format!("{path}/stream"), said()).await.ok();
    let publish_both = async || {
        publish(r#"{"t": 21.5, "who": "secret"}"#).await;
        publish(r#"{"t": "warm", "who": "secret"}"#).await;
    };
    let checked = async || {
        publish_both().await;
        let quality = rest.get(&shop.buyer, format!("{path}/quality")).await.ok();
        let fault = quality["last_fault"]["reason"].as_str().unwrap_or_default();
        fault.contains("/properties/t/type") && quality["conforming_per_mille"].as_u64() > Some(0)
    };
    assert!(eventually(Duration::from_mins(1), checked).await, "messages are checked and told of");
    // At most two a second are sampled: where a second ends between the two, a later pair is the one to see.
    let sampled = async || {
        publish_both().await;
        let sample = rest.get(&shop.seller, format!("{path}/sample")).await.ok();
        let shown: Vec<_> = sample["samples"].as_array().unwrap().iter().map(|one| &one["content"]).collect();
        shown == [&json!({"json": {"t": 21.5}}), &json!({"json": {"t": "warm"}})]
    };
    assert!(eventually(Duration::from_mins(1), sampled).await, "the last two are shown");
    gate.shutdown().await;
    let quality = rest.get(&shop.buyer, format!("{path}/quality")).await.ok();
    assert_eq!(quality["missing"], 0);
    let balance = shop.balance().await;
    assert_eq!(balance, 500, "nobody paid");
    // Who comes next goes on with the next number.
    let product = shop.product.parse().unwrap();
    let next = assembly.market().reserve(product, "another", 1).await.unwrap().first;
    assert_eq!(quality["messages"], next - 1);
}
