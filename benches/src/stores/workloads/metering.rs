//! Reporting usage.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use i3_core::gate::Metering as _;
use i3_core::id::GrantId;

use crate::shop::{Shop, ShopError};
use crate::stores::workload::{Call, Ground, Workload};

/// Messages in a report; a cent is paid for each, so every report moves money.
const BATCH: u64 = 10;

/// A gate's session reports a batch of delivered messages and extends its lease.
#[derive(Debug)]
pub(in crate::stores) struct Metering;

#[async_trait]
impl Workload for Metering {
    fn name(&self) -> &'static str {
        "metering"
    }

    fn about(&self) -> &'static str {
        "one session with an order of its own per caller reports 10 delivered messages, which are paid, and \
         extends its lease by 10"
    }

    fn counts(&self) -> &'static str {
        "reports"
    }

    fn callers(&self) -> &'static [usize] {
        &[1, 8, 64]
    }

    fn ground(&self) -> Ground {
        Ground::Fresh
    }

    fn commits(&self) -> bool {
        true
    }

    async fn prepare(&self, shop: &Shop, callers: usize, run: &str) -> Result<Call, ShopError> {
        let mut sessions = Vec::new();
        for session in 0..callers {
            let order = shop.buy_metered(session, &format!("session-{run}-{callers}")).await?;
            let terms = shop.market().open(GrantId::of(order.id), "bench", 2 * BATCH).await?;
            sessions.push((terms.lease, AtomicU64::new(0)));
        }
        let (market, sessions) = (shop.market().clone(), Arc::new(sessions));
        Ok(Arc::new(move |caller, _| {
            let (market, sessions) = (market.clone(), Arc::clone(&sessions));
            Box::pin(async move {
                let (lease, delivered) = sessions.get(caller).ok_or("a caller has no session")?;
                let total = delivered.fetch_add(BATCH, Ordering::Relaxed) + BATCH;
                let terms = market.extend(*lease, total.into(), total + 2 * BATCH).await?;
                if terms.granted < total + 2 * BATCH {
                    return Err("a session ran out of quota".into());
                }
                Ok(())
            })
        }))
    }
}
