//! How much a purchase stores: it is what durable commits, chains and disks pay for.

use std::fmt::Write as _;

use i3_core::access::Actor;
use i3_core::market::{IdempotencyKey, Purchase};
use i3_core::store::{Row, Scan, Store, limits};

use crate::fixture::{Fixture, fixed};

/// Keys and bytes of all bodies, by collection.
async fn stored(store: &dyn Store) -> Vec<(&'static str, usize, usize)> {
    let mut sizes = Vec::new();
    for collection in i3_core::market::collections() {
        let page = store.scan(&Scan::ids(collection).limit(limits::PAGE_ROWS)).await.unwrap();
        let (mut keys, mut bytes) = (page.rows.len(), 0);
        for row in page.rows {
            match row {
                Row::Record { body, .. } => bytes += body.as_str().len(),
                Row::Stream { key, .. } => {
                    keys -= 1;
                    let scan = Scan::entries(key).unwrap().limit(limits::PAGE_ROWS);
                    for row in store.scan(&scan).await.unwrap().rows {
                        let Row::Entry { body, .. } = row else { panic!("a stream has entries") };
                        keys += 1;
                        bytes += body.as_str().len();
                    }
                }
                _ => {}
            }
        }
        sizes.push((collection.name, keys, bytes));
    }
    sizes
}

#[tokio::test]
async fn a_purchase_stores_little() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 100_000).await;
    let buy = Purchase { offer: f.offer(fixed(100, 300)).await };
    let before = stored(f.market.store()).await;
    for round in 0..10 {
        let key: IdempotencyKey = format!("0193f6f2-6d5e-7c1a-9b1e-1f2a3b4c5d{round:02}").parse().unwrap();
        f.market.execute(Actor::User(f.buyer), Some(&key), &buy).await.unwrap();
    }
    let (mut keys, mut bytes) = (0, 0);
    let mut report = String::new();
    for (after, before) in stored(f.market.store()).await.into_iter().zip(before) {
        writeln!(report, "{} {} bytes", after.0, (after.2 - before.2) / 10).unwrap();
        keys += after.1 - before.1;
        bytes += after.2 - before.2;
    }
    assert_eq!(keys, 90, "{report}");
    assert!(bytes < 18_200, "a purchase stores more than 1,820 bytes in its bodies:\n{report}");
}
