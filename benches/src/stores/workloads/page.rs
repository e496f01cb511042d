//! Leafing.

use std::sync::Arc;

use async_trait::async_trait;
use i3_core::access::Actor;
use i3_core::market::{OrderFilter, PageRequest, TimeOrder};

use super::{pick, scattered};
use crate::shop::{Shop, ShopError};
use crate::stores::workload::{Call, Ground, Workload};

/// Rows of a page.
const ROWS: usize = 50;

/// A page of the hub's sales, newest first, from anywhere among all orders.
#[derive(Debug)]
pub(in crate::stores) struct Page;

#[async_trait]
impl Workload for Page {
    fn name(&self) -> &'static str {
        "page"
    }

    fn about(&self) -> &'static str {
        "a page of 50 orders of one hub, newest first, by the index over hub and time, from anywhere among \
         all orders; read and decoded"
    }

    fn counts(&self) -> &'static str {
        "pages"
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
        let hub = shop.device().hub;
        let mut pages = vec![PageRequest { after: None, limit: ROWS }];
        loop {
            let last = pages.last().cloned().unwrap_or_default();
            let found = shop
                .market()
                .sales(Actor::System, hub, &OrderFilter::default(), TimeOrder::Newest, &last)
                .await?;
            // The last page may have fewer rows.
            if found.next.is_none() {
                pages.pop();
                break;
            }
            pages.push(PageRequest { after: found.next, limit: ROWS });
        }
        let (market, pages) = (shop.market().clone(), Arc::new(pages));
        Ok(Arc::new(move |caller, call| {
            let (market, pages) = (market.clone(), Arc::clone(&pages));
            Box::pin(async move {
                let page =
                    pick(&pages, scattered(caller, call)).ok_or("the shop has fewer orders than a page")?;
                let rows = market
                    .sales(Actor::System, hub, &OrderFilter::default(), TimeOrder::Newest, page)
                    .await?
                    .items
                    .len();
                if rows == ROWS { Ok(()) } else { Err(format!("a page has {rows} rows").into()) }
            })
        }))
    }
}
