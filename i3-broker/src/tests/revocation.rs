//! After the call returns, nothing more is written or accepted.

use i3_core::time::{Clock, SystemClock};

use super::client::{Client, publish};
use super::five::Hello5;
use super::market::{device_principal, grant};
use super::*;

/// Messages large enough to fill every buffer between gate and client.
fn large(number: u64) -> Vec<u8> {
    let mut payload = vec![0; 60_000];
    payload[..8].copy_from_slice(&number.to_be_bytes());
    publish(TOPIC, &payload, 0, false, 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_after_a_revocation_even_to_a_client_that_does_not_read() {
    let scene = Scene::new(1_000_000).await;
    let mut blocked = Client::open_small(scene.gate.local_addr()).await;
    assert_eq!(blocked.login("blocked", "order", "secret").await, Some(0));
    assert_eq!(blocked.subscribe(&[(TOPIC, 0)]).await, [0]);
    let mut device = scene.device().await;
    for number in 0..300 {
        device.send(&large(number)).await;
    }
    // Until the socket takes no more.
    scene.until_blocked(&mut device).await;
    in_time("the end, though nobody reads", scene.market.set_open(false)).await;
    let delivered = scene.gate.stats().delivered;
    for number in 300..310 {
        device.send(&large(number)).await;
    }
    eventually("the lease is closed", || scene.market.open_leases() == 0).await;
    // Now it reads: only what the system already had, the last frame cut off in the middle.
    let received = u64::try_from(blocked.messages().await.len()).unwrap();
    let stats = scene.gate.stats();
    assert_eq!((stats.delivered, scene.market.billed()), (delivered, delivered));
    assert_eq!(received + 1, delivered, "the frame that was begun is not finished");
    assert_eq!((stats.forced, stats.revocations), (0, 1));
    assert!(stats.last_revocation.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reason_is_not_told_in_the_middle_of_a_message() {
    let scene = Scene::in_memory(1_000_000, |_| {}).await;
    let mut blocked = Client::open_small(scene.gate.local_addr()).await;
    assert_eq!(blocked.hello5(&Hello5::lasting("blocked", "order", 60)).await.reason, 0);
    assert_eq!(blocked.subscribe5(&[(TOPIC, 1)], 0).await, [1]);
    let mut device = scene.device().await;
    for number in 0..300 {
        device.send(&large(number)).await;
    }
    scene.until_blocked(&mut device).await;
    scene.market.set_open(false).await;
    let delivered = scene.gate.stats().delivered;
    let mut received = 0;
    while let Some((first, _)) = blocked.packet().await {
        assert_eq!(first >> 4, 3, "nothing but messages");
        received += 1;
    }
    assert_eq!(
        (received + 1, scene.gate.stats().delivered),
        (delivered, delivered),
        "the last one is cut off"
    );
    assert_eq!(scene.gate.stats().parked, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_buyer_gets_nothing_more_and_is_closed_while_others_go_on() {
    let scene = Scene::new(100_000).await;
    let mut buyer = scene.buyer("a", 0).await;
    let mut device = scene.device().await;
    let flood = tokio::spawn(async move {
        for number in 0..50_000_u64 {
            device.publish(number.to_be_bytes()).await;
        }
        device
    });
    assert!(buyer.message().await.is_some());
    scene.market.set_open(false).await;
    let delivered = scene.gate.stats().delivered;
    let received = 1 + u64::try_from(buyer.messages().await.len()).unwrap();
    assert!(received == delivered || received + 1 == delivered, "{received} of {delivered}");
    flood.await.unwrap();
    assert_eq!(scene.gate.stats().delivered, delivered);
    let mut again = scene.client("a", "order").await;
    assert_eq!(again.subscribe(&[(TOPIC, 0)]).await, [0x80]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_leaves_the_grant_open_loses_and_doubles_nothing() {
    const MESSAGES: u64 = 20_000;
    let scene = Scene::new(1_000_000).await;
    let mut buyer = scene.buyer("a", 1).await;
    let mut device = scene.device().await;
    let flood = tokio::spawn(async move {
        for number in 0..MESSAGES {
            device.send(&publish(TOPIC, &number.to_be_bytes(), 1, false, 9)).await;
        }
        device
    });
    let market = Arc::clone(&scene.market);
    let changes = tokio::spawn(async move {
        for _ in 0..20 {
            market.set_open(true).await;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
    for expected in 0..MESSAGES {
        let message = buyer.message().await.unwrap();
        assert_eq!(message.payload, expected.to_be_bytes());
        let [high, low] = message.id.unwrap().to_be_bytes();
        buyer.send(&[0x40, 2, high, low]).await;
    }
    changes.await.unwrap();
    drop((buyer, flood.await.unwrap()));
    eventually("the books are closed", || scene.market.open_leases() == 0).await;
    assert_eq!((scene.market.billed(), scene.gate.stats().missed.slow), (MESSAGES, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_product_is_neither_published_nor_delivered() {
    let scene = Scene::new(100).await;
    let mut buyer = scene.buyer("a", 1).await;
    let mut device = scene.device().await;
    assert!(device.publish_acked(TOPIC, b"1", true).await);
    assert_eq!(buyer.message().await.unwrap().payload, b"1");
    scene.market.set_listed(false).await;
    assert!(buyer.is_closed().await);
    assert!(!device.publish_acked(TOPIC, b"2", true).await);
    scene.market.set_listed(true).await;
    let mut buyer = scene.buyer("a", 1).await;
    assert_eq!(buyer.message().await.unwrap().payload, b"1", "the refused one was not retained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_added_is_found_without_a_new_login() {
    let scene = Scene::new(100).await;
    scene.market.set_listed(false).await;
    let mut device = scene.device().await;
    scene.market.set_listed(true).await;
    assert!(device.publish_acked(TOPIC, b"1", false).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_no_longer_good_ends_the_connections_it_admitted() {
    let scene = Scene::new(100).await;
    let (mut device, mut buyer) = (scene.device().await, scene.buyer("a", 1).await);
    scene.market.change_login(device_principal(), Some(99)).await;
    assert!(device.publish_acked(TOPIC, b"1", false).await, "another credential is not its concern");
    assert!(buyer.message().await.is_some());
    scene.market.change_login(device_principal(), Some(1)).await;
    assert!(device.is_closed().await);
    let order =
        i3_core::gate::Principal::Order { order: grant().order(), buyer: i3_core::id::TypedId::from_bits(5) };
    scene.market.change_login(order, None).await;
    assert!(buyer.is_closed().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_ends_at_its_time() {
    let scene = Scene::new(100).await;
    let mut buyer = scene.buyer("a", 1).await;
    let mut device = scene.device().await;
    assert!(device.publish_acked(TOPIC, b"1", false).await);
    assert_eq!(buyer.message().await.unwrap().payload, b"1");
    let until = SystemClock.now().plus(Duration::from_millis(400));
    scene.market.set_until(until);
    scene.market.set_open(true).await;
    assert!(buyer.is_closed().await);
    assert!(SystemClock.now() >= until, "not before its time");
    let mut late = scene.client("late", "order").await;
    assert_eq!(late.subscribe(&[(TOPIC, 1)]).await, [0x80]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_buyer_product_or_hub_ends_deliveries_and_a_reinstated_one_does_not() {
    use i3_core::gate::AccessChange;
    use i3_core::id::TypedId;
    let scene = Scene::new(100).await;
    let mut device = scene.device().await;
    for change in [
        AccessChange::User(TypedId::from_bits(5)),
        AccessChange::Product(TypedId::from_bits(3)),
        AccessChange::Hub(TypedId::from_bits(2)),
    ] {
        let mut buyer = scene.buyer("a", 1).await;
        scene.market.set_open_by(change, true).await;
        assert!(device.publish_acked(TOPIC, b"1", false).await);
        assert_eq!(buyer.message().await.unwrap().payload, b"1", "{change:?} left it open");
        scene.market.set_open_by(change, false).await;
        assert!(device.publish_acked(TOPIC, b"2", false).await);
        assert!(buyer.message().await.is_none(), "{change:?} closed it");
        scene.market.set_open_by(change, true).await;
    }
    let mut buyer = scene.buyer("a", 1).await;
    scene.market.set_open_by(AccessChange::User(TypedId::from_bits(99)), false).await;
    assert!(device.publish_acked(TOPIC, b"3", false).await);
    assert_eq!(buyer.message().await.unwrap().payload, b"3", "another user is not its concern");
}
