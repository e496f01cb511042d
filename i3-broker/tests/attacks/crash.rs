//! Attack 19: the process ends between a delivery and the report of it. Here the gate's runtime is taken away, with
//! all tasks where they are; the whole program under kill -9 is in `examples/marketplace/tests`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use i3_core::access::Actor;
use i3_core::market::CancelOrder;

use crate::client::{Fate, PATIENCE};
use crate::scene::{eventually, flood_to, in_time, number};
use crate::shop::Shop;

#[test]
fn attack_19_a_gate_that_dies_loses_no_more_than_the_lease_in_hand_and_charges_nothing_twice() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let outside = runtime();
    let mut in_doubt = 0;
    for (version, qos) in crate::scene::ways() {
        const QUOTA: u64 = 200_000;
        let inside = runtime();
        let (shop, order, before) = outside.block_on(async {
            let shop = Shop::open().await;
            let order = shop.buy(QUOTA, None).await;
            let balance = shop.balance().await;
            (shop, order, balance)
        });
        let gate = inside.block_on(shop.gate());
        let received = Arc::new(AtomicU64::new(0));
        let (reading, sending) = outside.block_on(async {
            let mut receiver = shop.receiver(&gate, version, &order, qos).await;
            let device = shop.device(&gate, version).await;
            let topic = shop.product.topic.as_str().to_owned();
            let sending = tokio::spawn(flood_to(device, topic, qos));
            let count = Arc::clone(&received);
            let reading = tokio::spawn(async move {
                while let Some(message) = receiver.message().await {
                    assert_eq!(number(&message.payload), count.fetch_add(1, Ordering::SeqCst));
                    receiver.acknowledge(&message).await;
                }
            });
            let came = || received.load(Ordering::SeqCst) > 2_000;
            eventually("messages flow", came).await;
            (reading, sending)
        });
        // Returns when no task is at work any more.
        inside.shutdown_timeout(PATIENCE);
        outside.block_on(async {
            reading.await.unwrap();
            sending.await.unwrap();
            drop(gate);
            let received = received.load(Ordering::SeqCst);
            // What the store knows, and what it does not.
            let line = shop.line(&order.0).await;
            let (billed, open) = (line.usage.delivered, line.usage.open);
            assert!(received <= billed + open, "{received} of {billed} and {open} open");
            // It may have died between two leases.
            let in_hand: Vec<u64> = [open].into_iter().filter(|open| *open > 0).collect();
            assert_eq!(shop.reclaim().await, in_hand);
            in_doubt += open;
            assert!(shop.reclaim().await.is_empty(), "once");
            let line = shop.line(&order.0).await;
            assert_eq!((line.usage.delivered, line.usage.in_doubt, line.usage.open), (billed, open, 0));
            // The next gate goes on with what is left, and what is in doubt is charged to nobody.
            let gate = shop.gate().await;
            let mut receiver = shop.receiver(&gate, version, &order, qos).await;
            let mut device = shop.device(&gate, version).await;
            let topic = shop.product.topic.as_str();
            assert_eq!(device.publish(topic, 7_u64.to_be_bytes(), 1).await, Fate::Acknowledged(0));
            assert_eq!(number(&receiver.payload().await), 7);
            drop(receiver);
            in_time("it is billed", async {
                while shop.line(&order.0).await.usage.delivered == billed {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            })
            .await;
            shop.market
                .execute(Actor::User(shop.buyer.id), None, &CancelOrder { order: order.0.id })
                .await
                .unwrap();
            let line = shop.line(&order.0).await;
            assert_eq!((line.usage.delivered, line.usage.in_doubt), (billed + 1, open));
            let paid = before + i64::try_from(QUOTA).unwrap() - shop.balance().await;
            assert_eq!(paid, i64::try_from(billed + 1).unwrap(), "a cent for each that was billed");
            shop.ends_well(gate).await;
        });
    }
    assert!(in_doubt > 0, "it never died with a lease in hand");
}
