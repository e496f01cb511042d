//! The index made anew from a store, through the marketplace, as a server does at its start.

use std::sync::Arc;

use i3_auth::RolePolicy;
use i3_core::access::Actor;
use i3_core::market::{CreateObject, Marketplace};
use i3_core::store::{DynStore, MemoryStore};
use i3_semantic::ontology::Ontology;
use i3_semantic::projection::Projection;

use super::Rebuilt;
use super::clock::processor;
use crate::shop::{ShopError, user};
use crate::things::content;
use i3_core::role::RoleName;

/// Publishes so many objects and then reads them into an index and a graph.
pub(super) fn rebuilt(objects: u64) -> Result<Rebuilt, ShopError> {
    // One thread for everything, so its time is all that it takes.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store: DynStore = Arc::new(MemoryStore::new());
        let market = Marketplace::open(store, Arc::new(RolePolicy), i3_auth::COLLECTIONS).await?;
        let seller = Actor::User(user(&market, "seller", RoleName::PROVIDER).await?);
        for number in 0..objects {
            let content = content(number).ok_or("an object of the bench is refused")?;
            let create = CreateObject { content, hub: None, submit: true };
            market.execute(seller, None, &create).await?;
        }
        let before = processor();
        let projection = Projection::open(market, Ontology::core()).await?;
        let time = processor().saturating_sub(before);
        let found = u64::try_from(projection.live().size().things)?;
        if found != objects {
            return Err(format!("{found} of {objects} objects are in the index").into());
        }
        Ok(Rebuilt { objects, time })
    })
}
