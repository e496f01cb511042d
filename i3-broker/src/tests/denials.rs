//! What the gate denies is told to who keeps a record of it.

use i3_core::denial::{DenialQueue, DeniedRequest};

use super::client::Hello;
use super::five::Hello5;
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_denial_at_the_gate_is_told_once_and_what_is_allowed_is_not() {
    let queue = Arc::new(DenialQueue::new(100));
    let recorder = queue.clone();
    let scene = Scene::in_memory(10, move |config| config.denials = Some(recorder)).await;
    let told = |count: usize| {
        let told: Vec<DeniedRequest> = queue.first(100).into_iter().map(|(_, denied)| denied).collect();
        queue.drop_first(told.len());
        assert_eq!(told.len(), count, "{told:?}");
        told
    };
    let mut buyer = scene.buyer("buyer", 1).await;
    let mut device = scene.device().await;
    assert!(device.publish_acked(TOPIC, b"x", false).await);
    buyer.message().await.unwrap();
    told(0);

    let mut stranger = Client::open(scene.gate.local_addr()).await;
    assert_eq!(stranger.login("b", "stranger", "a wrong password").await, Some(5));
    let denied = told(1).remove(0);
    assert_eq!((&*denied.operation, &*denied.code), ("gate_connect", "not_authorized"));
    assert!(denied.peer.is_some_and(|peer| peer.is_loopback()));
    assert!(denied.user.is_none() && denied.device.is_none() && denied.order.is_none());
    assert!(!format!("{denied:?}").contains("password") && !format!("{denied:?}").contains("stranger"));

    let long = format!("i3/{}", "a".repeat(60_000));
    // MQTT 3.1.1 can only close the connection.
    assert!(!device.publish_acked("i3/hub/other", b"a payload", false).await);
    let mut device = scene.device().await;
    assert!(!device.publish_acked(&long, b"x", false).await);
    let denied = told(2);
    assert_eq!((&*denied[0].operation, denied[0].target.as_deref()), ("gate_publish", Some("i3/hub/other")));
    assert!(denied.iter().all(|denied| denied.peer.is_some_and(|peer| peer.is_loopback())));
    assert!(denied[0].device.is_some() && denied[0].user.is_none());
    assert!(!format!("{denied:?}").contains("a payload"));
    assert_eq!(denied[1].target.as_ref().map(String::len), Some(DeniedRequest::MAX_TEXT));

    let mut device = scene.device().await;
    assert_eq!(device.subscribe(&[(TOPIC, 1), ("#", 0)]).await, [0x80, 0x80]);
    let denied = told(2);
    assert_eq!((&*denied[0].operation, denied[0].target.as_deref()), ("gate_subscribe", Some(TOPIC)));
    assert_eq!(denied[1].target.as_deref(), Some("#"));
    assert!(denied.iter().all(|denied| denied.peer.is_some_and(|peer| peer.is_loopback())));

    let mut other = scene.client("other", "order").await;
    assert_eq!(other.subscribe(&[("i3/hub/other", 0), (TOPIC, 0)]).await, [0x80, 0]);
    let denied = told(1).remove(0);
    assert!(
        denied.order.is_some() && denied.user.is_some() && denied.target.as_deref() == Some("i3/hub/other")
    );
}

/// The next denial that is told.
async fn next(queue: &DenialQueue) -> DeniedRequest {
    eventually("a denial is told", || !queue.is_empty()).await;
    let (_, denied) = queue.first(1).remove(0);
    queue.drop_first(1);
    denied
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_access_ends_and_a_will_that_may_not_be_published_any_more_are_told() {
    let queue = Arc::new(DenialQueue::new(100));
    let recorder = queue.clone();
    let scene = Scene::in_memory(10, move |config| config.denials = Some(recorder)).await;
    let mut buyer = scene.buyer("buyer", 1).await;
    scene.market.set_open(false).await;
    assert!(buyer.is_closed().await);
    let denied = next(&queue).await;
    assert_eq!(
        (&*denied.operation, denied.target.as_deref(), &*denied.code),
        ("gate_stay", None, "not_authorized")
    );
    assert!(denied.order.is_some() && denied.peer.is_some_and(|peer| peer.is_loopback()));

    let will = Hello { will: Some((TOPIC, "gone", false)), ..Hello::new("device", "device") };
    let mut device = Client::open(scene.gate.local_addr()).await;
    assert_eq!(device.hello(&will).await, Some(0));
    scene.market.set_listed(false).await;
    drop(device);
    let denied = next(&queue).await;
    assert_eq!((&*denied.operation, denied.target.as_deref()), ("gate_will", Some(TOPIC)));
    assert!(denied.device.is_some() && denied.peer.is_some_and(|peer| peer.is_loopback()));

    // It is due when its client has no connection any more, and so no address.
    scene.market.set_listed(true).await;
    let will = Hello5 { will: Some((TOPIC, "late", 1)), ..Hello5::lasting("device", "device", 60) };
    let device = scene.client5(&will).await;
    scene.market.set_listed(false).await;
    drop(device);
    let denied = next(&queue).await;
    assert_eq!((&*denied.operation, denied.peer), ("gate_will", None));
    assert!(queue.is_empty());
}
