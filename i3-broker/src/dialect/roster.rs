//! Who is behind a user name, and whom a change concerns.

use std::fmt;

use async_trait::async_trait;
use i3_core::device::Device;
use i3_core::gate::{AccessChange, Principal};
use i3_core::id::{HubId, OrderId, ProductId};
use i3_core::market::{MarketError, Marketplace};
use i3_core::order::{Order, OrderState};
use i3_core::product::Product;
use i3_core::store::{Entity, Scan, StoreError, StoreErrorKind, StoreExt};

/// Knows the marketplace's MQTT user names. A device's is its authentication id, an order's is its id.
#[async_trait]
pub trait Roster: fmt::Debug + Send + Sync + 'static {
    /// Whose name this is, active or not; each principal has one name, spelled in one way.
    async fn principal(&self, username: &str) -> Result<Option<Principal>, StoreError>;

    /// The name of a principal.
    async fn username(&self, principal: Principal) -> Result<Option<String>, StoreError>;

    /// All whose rights may be others after this change. Orders that ended before it are left out.
    async fn concerned(&self, change: &AccessChange) -> Result<Vec<Principal>, StoreError>;
}

fn unread(error: MarketError) -> StoreError {
    match error {
        MarketError::Store(error) => error,
        other => StoreError::new(StoreErrorKind::Unavailable, "a user name could not be looked up")
            .with_source(other),
    }
}

fn of_order(order: &Order) -> Principal {
    Principal::Order { order: order.id, buyer: order.buyer }
}

fn of_device(device: &Device) -> Principal {
    Principal::Device { device: device.id, hub: device.hub }
}

/// Everything of a collection whose first column of this index has this value.
async fn listed<E: Entity>(market: &Marketplace, index: &str, value: String) -> Result<Vec<E>, StoreError> {
    let scan = Scan::index(E::collection(), index, vec![value.into()]).map_err(|error| {
        StoreError::new(StoreErrorKind::Unsupported, "a query does not fit its collection").with_source(error)
    })?;
    market.store().all(scan).await
}

async fn orders_of_hub(
    market: &Marketplace,
    hub: HubId,
    product: Option<ProductId>,
) -> Result<Vec<Principal>, StoreError> {
    let orders: Vec<Order> = listed(market, "by_hub", hub.to_string()).await?;
    let wanted = |order: &&Order| {
        order.state == OrderState::Active && product.is_none_or(|product| order.product == product)
    };
    Ok(orders.iter().filter(wanted).map(of_order).collect())
}

#[async_trait]
impl Roster for Marketplace {
    async fn principal(&self, username: &str) -> Result<Option<Principal>, StoreError> {
        if let Ok(id) = username.parse::<OrderId>() {
            return Ok(self.store().get::<Order>(&id).await?.map(|order| of_order(&order.entity)));
        }
        let Ok(name) = username.parse() else { return Ok(None) };
        let found = self.device_login(&name).await.map_err(unread)?;
        Ok(found.map(|(device, _)| of_device(&device)))
    }

    async fn username(&self, principal: Principal) -> Result<Option<String>, StoreError> {
        match principal {
            Principal::Order { order, .. } => Ok(Some(order.to_string())),
            Principal::Device { device, .. } => {
                let device = self.store().get::<Device>(&device).await?;
                Ok(device.map(|device| device.entity.auth_id.to_string()))
            }
        }
    }

    async fn concerned(&self, change: &AccessChange) -> Result<Vec<Principal>, StoreError> {
        match change {
            AccessChange::Grant(grant) => {
                let order = self.store().get::<Order>(&grant.order()).await?;
                Ok(order.iter().map(|order| of_order(&order.entity)).collect())
            }
            AccessChange::Device(device) => {
                let device = self.store().get::<Device>(device).await?;
                Ok(device.iter().map(|device| of_device(&device.entity)).collect())
            }
            AccessChange::Product(product) => {
                let Some(product) = self.store().get::<Product>(product).await? else {
                    return Ok(Vec::new());
                };
                let product = product.entity;
                let mut all = orders_of_hub(self, product.hub, Some(product.id)).await?;
                let device = |device: &_| Principal::Device { device: *device, hub: product.hub };
                all.extend(product.devices.iter().map(device));
                Ok(all)
            }
            AccessChange::User(user) => {
                let orders: Vec<Order> = listed(self, "by_buyer", user.to_string()).await?;
                let active = orders.iter().filter(|order| order.state == OrderState::Active);
                Ok(active.map(of_order).collect())
            }
            AccessChange::Hub(hub) => {
                let mut all = orders_of_hub(self, *hub, None).await?;
                let devices: Vec<Device> = listed(self, "by_hub", hub.to_string()).await?;
                all.extend(devices.iter().map(of_device));
                Ok(all)
            }
            AccessChange::Login { principal, .. } => Ok(vec![*principal]),
            other => {
                tracing::error!("nobody knows whom {other:?} concerns");
                Ok(Vec::new())
            }
        }
    }
}
