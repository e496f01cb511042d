//! Asking for access.

use std::sync::Arc;

use async_trait::async_trait;
use i3_core::gate::Directory as _;
use i3_core::grant::Grant;
use i3_core::id::GrantId;
use i3_core::store::{Entity as _, Row, Scan, limits};

use super::{pick, scattered};
use crate::shop::{Shop, ShopError};
use crate::stores::workload::{Call, Ground, Workload};

/// What a gate asks when a subscriber connects and when something changed.
#[derive(Debug)]
pub(in crate::stores) struct Access;

#[async_trait]
impl Workload for Access {
    fn name(&self) -> &'static str {
        "access"
    }

    fn about(&self) -> &'static str {
        "what a gate asks when a subscriber connects: whether the grant of any one of all orders is open, \
         from grant, order, product, hub and buyer"
    }

    fn counts(&self) -> &'static str {
        "checks"
    }

    fn callers(&self) -> &'static [usize] {
        &[1, 8]
    }

    fn ground(&self) -> Ground {
        Ground::Filled
    }

    fn commits(&self) -> bool {
        false
    }

    async fn prepare(&self, shop: &Shop, _: usize, _: &str) -> Result<Call, ShopError> {
        let grants = Arc::new(grants(shop).await?);
        let market = shop.market().clone();
        Ok(Arc::new(move |caller, call| {
            let (market, grants) = (market.clone(), Arc::clone(&grants));
            Box::pin(async move {
                let grant = pick(&grants, scattered(caller, call)).ok_or("the shop has no orders")?;
                match market.grant(*grant).await? {
                    Some(view) if view.open => Ok(()),
                    _ => Err("a grant is not open".into()),
                }
            })
        }))
    }
}

/// All grants of a shop.
async fn grants(shop: &Shop) -> Result<Vec<GrantId>, ShopError> {
    let mut grants = Vec::new();
    let mut scan = Scan::ids(Grant::collection()).limit(limits::PAGE_ROWS);
    loop {
        let page = shop.market().store().scan(&scan).await?;
        for row in page.rows {
            if let Row::Record { key, .. } = row {
                grants.push(key.id().parse()?);
            }
        }
        let Some(next) = page.next else { return Ok(grants) };
        scan = scan.after(next)?;
    }
}
