//! Buying.

use std::sync::Arc;

use async_trait::async_trait;

use crate::shop::{Shop, ShopError};
use crate::stores::workload::{Call, Ground, Workload};

/// The whole command, under an idempotency key: policy, payment, order, grant, usage record, ledger, audit
/// entry, outbox event and answer in one commit. Each caller is a buyer of its own.
#[derive(Debug)]
pub(in crate::stores) struct Purchase;

#[async_trait]
impl Workload for Purchase {
    fn name(&self) -> &'static str {
        "purchase"
    }

    fn about(&self) -> &'static str {
        "one buyer per caller buys the same offer under a fresh idempotency key: six records, two balances and two \
         log entries in one commit, guarded by four records that were read"
    }

    fn counts(&self) -> &'static str {
        "purchases"
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
        let (shop, run) = (shop.clone(), Arc::<str>::from(format!("{run}-{callers}")));
        Ok(Arc::new(move |caller, call| {
            let (shop, run) = (shop.clone(), Arc::clone(&run));
            Box::pin(async move {
                shop.buy(caller, &format!("{run}-{call}")).await?;
                Ok(())
            })
        }))
    }
}
