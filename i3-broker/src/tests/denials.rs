//! What the gate denies is told to who keeps a record of it.

use i3_core::denial::{DenialQueue, DeniedRequest};

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
    assert!(denied[0].device.is_some() && denied[0].user.is_none());
    assert!(!format!("{denied:?}").contains("a payload"));
    assert_eq!(denied[1].target.as_ref().map(String::len), Some(DeniedRequest::MAX_TEXT));

    let mut device = scene.device().await;
    assert_eq!(device.subscribe(&[(TOPIC, 1), ("#", 0)]).await, [0x80, 0x80]);
    let denied = told(2);
    assert_eq!((&*denied[0].operation, denied[0].target.as_deref()), ("gate_subscribe", Some(TOPIC)));
    assert_eq!(denied[1].target.as_deref(), Some("#"));

    let mut other = scene.client("other", "order").await;
    assert_eq!(other.subscribe(&[("i3/hub/other", 0), (TOPIC, 0)]).await, [0x80, 0]);
    let denied = told(1).remove(0);
    assert!(
        denied.order.is_some() && denied.user.is_some() && denied.target.as_deref() == Some("i3/hub/other")
    );
}
