//! The gate's metrics over HTTP.

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use i3_marketplace::{StoreUrl, metrics_router};
use rumqttc::QoS;
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tower::ServiceExt;

use crate::mqtt::{Client, eventually};
use crate::support::{DEVICE_LOGIN, PASSWORD, Shop, assemble, config};

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_what_the_gate_did_and_learns_no_names() {
    let (assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let gate = assembly.start_gate("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let shop = Shop::open(rest, json!({"kind": "fixed_count", "messages": 10, "price": 100}), 1_000).await;
    let (order, word) = shop.buy().await;
    let buyer = Client::connect(gate.local_addr(), "buyer", (&order, &word), Some(&shop.topic)).await;
    let device = Client::connect(gate.local_addr(), "device", (DEVICE_LOGIN, PASSWORD), None).await;
    for _ in 0..5 {
        device.requests.publish(&shop.topic, QoS::AtLeastOnce, false, "x").await.unwrap();
    }
    let came = async || buyer.count.load(Ordering::SeqCst) == 5;
    assert!(eventually(Duration::from_mins(1), came).await);

    let app = metrics_router(gate.metrics(), assembly.access().clone());
    let ask = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, kind.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
    };
    let delivered = async || ask("GET", "/metrics").await.2.contains("\ni3_gate_deliveries_total 5\n");
    assert!(eventually(Duration::from_mins(1), delivered).await);
    let (status, kind, text) = ask("GET", "/metrics").await;
    assert_eq!((status, kind.as_str()), (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8"));
    for family in ["i3_denials_lost_total", "i3_observations_lost_total"] {
        assert!(text.contains(&format!("# TYPE {family} counter\n{family} 0\n")), "{text}");
    }
    for secret in [&order, &word, &shop.device, &shop.topic, DEVICE_LOGIN, "buyer"] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert_eq!(ask("POST", "/metrics").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask("GET", "/").await.0, StatusCode::NOT_FOUND);
}
