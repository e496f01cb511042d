//! Delivered = metered = billed by every transport, and revocation does not wait for a client that does not read.

use super::super::client::publish;
use super::*;

fn large(number: u64) -> Vec<u8> {
    let mut payload = vec![0; 60_000];
    payload[..8].copy_from_slice(&number.to_be_bytes());
    publish(TOPIC, &payload, 0, false, 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_delivered_after_a_revocation_that_was_not_metered_before_it() {
    for by in ALL {
        let listening = Listening::new(1_000_000, |_| {}).await;
        let market = &listening.scene.market;
        let socket = peer::small_tcp(listening.address(by)).await;
        let mut blocked = listening.open_over(by, socket).login("blocked", "order");
        blocked.subscribe(0);
        let mut device = listening.device(By::Tcp);
        for number in 0..300 {
            device.send(&large(number));
        }
        let mut other = listening.scene.client("other", "device").await;
        listening.scene.until_blocked(&mut other).await;
        in_time("the end, though nobody reads", market.set_open(false)).await;
        let delivered = listening.scene.gate.stats().delivered;
        for number in 300..310 {
            device.send(&large(number));
        }
        eventually("the lease is closed", || market.open_leases() == 0).await;
        // What was taken before is all that comes, the last frame cut off unless it just fitted.
        let received = blocked.count_rest();
        let stats = listening.scene.gate.stats();
        assert_eq!((stats.delivered, market.billed()), (delivered, delivered), "{by:?}");
        assert!(received == delivered || received + 1 == delivered, "{by:?}: {received} of {delivered}");
        assert_eq!(stats.forced, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_is_closed_and_slows_nobody() {
    for by in ALL {
        let listening =
            Listening::new(1_000_000, |config| config.write_limit = Duration::from_millis(700)).await;
        let socket = peer::small_tcp(listening.address(by)).await;
        let mut blocked = listening.open_over(by, socket).login("blocked", "order");
        blocked.subscribe(0);
        let mut reading = listening.open(by).login("reading", "order");
        reading.subscribe(0);
        let mut device = listening.device(By::Tcp);
        for number in 0..300 {
            device.send(&large(number));
            assert_eq!(reading.message().unwrap()[..8], number.to_be_bytes(), "by {by:?}");
        }
        eventually("it is closed", || listening.scene.gate.stats().sessions == 2).await;
        drop((blocked, reading));
        eventually("the books are closed", || listening.scene.market.open_leases() == 0).await;
        assert_eq!(listening.scene.market.billed(), listening.scene.gate.stats().delivered);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quota_is_exact_by_every_transport() {
    for by in ALL {
        let listening = Listening::new(1_000, |_| {}).await;
        let mut buyer = listening.open(by).login("buyer", "order");
        buyer.subscribe(0);
        let mut device = listening.device(by);
        for _ in 0..1_100_u32 {
            device.publish(&[0; 700]);
        }
        assert_eq!(buyer.count_rest(), 1_000, "by {by:?}");
        eventually("the books are closed", || listening.scene.market.open_leases() == 0).await;
        assert_eq!(listening.scene.market.billed(), 1_000);
    }
}
