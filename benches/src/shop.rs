//! A marketplace that is ready to trade: one seller with one listed product, and buyers with money.

use std::collections::BTreeSet;
use std::sync::Arc;

use i3_auth::RolePolicy;
use i3_core::access::Actor;
use i3_core::device::{Device, KeyAlgorithm};
use i3_core::hub::Hub;
use i3_core::id::{OfferId, UserId};
use i3_core::market::{
    CreateProduct, Marketplace, MoveProduct, NewCredential, PublishOffer, Purchase, RegisterDevice,
    RegisterHub, RegisterUser, TopUp,
};
use i3_core::money::{Amount, Currency};
use i3_core::name::{Prose, Topic};
use i3_core::offer::Plan;
use i3_core::order::Order;
use i3_core::product::{Product, ProductState};
use i3_core::role::RoleName;
use i3_core::secret::SecretHash;
use i3_core::store::DynStore;
use i3_core::stream::StreamDescription;
use tokio::task::JoinSet;

/// Why the shop could not be opened or a purchase was not made.
pub type ShopError = Box<dyn std::error::Error + Send + Sync>;

/// More messages than any bench delivers.
const MESSAGES: u64 = 100_000_000_000;

/// Messages of the offer whose messages cost a cent each.
const METERED: u64 = 1_000_000_000;

/// What is in a shop: enough to find it again in a store that was closed.
#[derive(Debug)]
pub struct Deed {
    seller: UserId,
    device: Device,
    product: Product,
    offer: OfferId,
    metered: OfferId,
    buyers: Vec<UserId>,
}

/// A seller, a product and buyers in a marketplace.
#[derive(Debug, Clone)]
pub struct Shop {
    market: Marketplace,
    deed: Arc<Deed>,
}

impl Shop {
    /// Opens a shop in an empty store: a hub `bench-hub` with the device `sensor` and the listed product
    /// `bench-one`, an offer of 100 billion messages for a cent, another of a billion messages for a cent
    /// each, and as many buyers, each with money for a trillion purchases of the first.
    ///
    /// # Errors
    /// The store's or the domain's.
    pub async fn open(store: DynStore, buyers: usize) -> Result<Self, ShopError> {
        let market = Marketplace::open(store, Arc::new(RolePolicy), i3_auth::COLLECTIONS).await?;
        let seller = user(&market, "seller", RoleName::PROVIDER).await?;
        let actor = Actor::User(seller);
        let (device, product) = list(&market, actor).await?;
        let many = offer(&market, actor, &product, MESSAGES, 1).await?;
        let metered = offer(&market, actor, &product, METERED, METERED.try_into()?).await?;

        let mut opening = JoinSet::new();
        for number in 0..buyers {
            let market = market.clone();
            opening.spawn(async move {
                let buyer = user(&market, &format!("buyer-{number}"), RoleName::CONSUMER).await?;
                let top_up = TopUp {
                    user: buyer,
                    amount: Amount::new(1_000_000_000_000)?,
                    currency: Currency::EUR,
                    reference: "bench".to_owned(),
                };
                market.execute(Actor::System, None, &top_up).await?;
                Ok::<_, ShopError>(buyer)
            });
        }
        let mut buyers = Vec::new();
        while let Some(buyer) = opening.join_next().await {
            buyers.push(buyer??);
        }
        Ok(Self { market, deed: Arc::new(Deed { seller, device, product, offer: many, metered, buyers }) })
    }

    /// The shop that was opened in this store before.
    ///
    /// # Errors
    /// The store's.
    pub async fn reopen(store: DynStore, deed: Arc<Deed>) -> Result<Self, ShopError> {
        let market = Marketplace::open(store, Arc::new(RolePolicy), i3_auth::COLLECTIONS).await?;
        Ok(Self { market, deed })
    }

    /// What it takes to open the shop again.
    pub fn deed(&self) -> Arc<Deed> {
        Arc::clone(&self.deed)
    }

    /// The marketplace.
    pub fn market(&self) -> &Marketplace {
        &self.market
    }

    /// The seller, who is a provider.
    pub fn seller(&self) -> UserId {
        self.deed.seller
    }

    /// The seller's device.
    pub fn device(&self) -> &Device {
        &self.deed.device
    }

    /// The product's topic.
    pub fn topic(&self) -> &Topic {
        &self.deed.product.topic
    }

    /// Registers another device of the seller's, `key-holder`, that logs in with tokens which this PEM public key
    /// verifies. It publishes nothing.
    ///
    /// # Errors
    /// The marketplace's answer, if it is not a device.
    pub async fn add_key_holder(&self, pem: String) -> Result<Device, ShopError> {
        let device = RegisterDevice {
            hub: self.deed.device.hub,
            name: "key-holder".parse()?,
            title: "Key holder".parse()?,
            credential: NewCredential::PublicKey { algorithm: KeyAlgorithm::EdDsa, pem },
        };
        Ok(self.market.execute(Actor::System, None, &device).await?)
    }

    /// Lists another product of the seller's, `many-{number}`, without an offer.
    ///
    /// # Errors
    /// The marketplace's answer, if it is not a product.
    pub async fn list_another(&self, number: usize) -> Result<Product, ShopError> {
        let product = CreateProduct {
            hub: self.deed.device.hub,
            slug: format!("many-{number}").parse()?,
            title: "One of many".parse()?,
            description: "Readings for benches".parse::<Prose>()?,
            tags: Vec::new(),
            devices: vec![self.deed.device.id],
            stream: StreamDescription::default(),
        };
        let product = self.market.execute(Actor::System, None, &product).await?;
        let listed = MoveProduct { product: product.id, to: ProductState::Listed };
        Ok(self.market.execute(Actor::System, None, &listed).await?)
    }

    /// As [`list_another`](Self::list_another), and has its buyer of this number (counted around) buy a billion messages
    /// of it.
    ///
    /// # Errors
    /// The marketplace's answer, if it is not an order.
    pub async fn list_and_sell(&self, number: usize) -> Result<Order, ShopError> {
        let product = self.list_another(number).await?;
        let offer = offer(&self.market, Actor::System, &product, METERED, 1).await?;
        self.purchase(offer, number, &format!("many-{number}")).await
    }

    /// Buys the offer, as the buyer of this number (counted around), under an idempotency key, as a
    /// client over the network does. Each `request` must be used once.
    ///
    /// # Errors
    /// The marketplace's answer, if it is not an order.
    pub async fn buy(&self, buyer: usize, request: &str) -> Result<Order, ShopError> {
        self.purchase(self.deed.offer, buyer, request).await
    }

    /// As [`buy`](Self::buy), but a billion messages for a cent each, so that what is delivered is paid for.
    ///
    /// # Errors
    /// The marketplace's answer, if it is not an order.
    pub async fn buy_metered(&self, buyer: usize, request: &str) -> Result<Order, ShopError> {
        self.purchase(self.deed.metered, buyer, request).await
    }

    /// The buyer of this number (counted around).
    ///
    /// # Errors
    /// The shop was opened without buyers.
    pub fn buyer(&self, number: usize) -> Result<UserId, ShopError> {
        let buyers = &self.deed.buyers;
        let place = number.checked_rem(buyers.len()).ok_or("the shop has no buyers")?;
        buyers.get(place).copied().ok_or_else(|| "the shop has no buyers".into())
    }

    async fn purchase(&self, offer: OfferId, buyer: usize, request: &str) -> Result<Order, ShopError> {
        let buyer = self.buyer(buyer)?;
        let key = request.parse()?;
        Ok(self.market.execute(Actor::User(buyer), Some(&key), &Purchase { offer }).await?)
    }
}

pub(crate) async fn user(market: &Marketplace, name: &str, role: RoleName) -> Result<UserId, ShopError> {
    let register = RegisterUser {
        name: name.parse()?,
        display: name.parse()?,
        email: None,
        roles: BTreeSet::from([role]),
        profile: i3_core::user::Profile::default(),
        invitation: None,
        password: None,
    };
    Ok(market.execute(Actor::Anonymous, None, &register).await?.id)
}

async fn list(market: &Marketplace, seller: Actor) -> Result<(Device, Product), ShopError> {
    let hub = RegisterHub { slug: "bench-hub".parse()?, title: "Bench".parse()? };
    let hub: Hub = market.execute(seller, None, &hub).await?;
    let device = RegisterDevice {
        hub: hub.id,
        name: "sensor".parse()?,
        title: "Sensor".parse()?,
        credential: NewCredential::Password { hash: SecretHash::new("not used by any bench") },
    };
    let device = market.execute(seller, None, &device).await?;
    let product = CreateProduct {
        hub: hub.id,
        slug: "bench-one".parse()?,
        title: "Readings".parse()?,
        description: "Readings for benches".parse::<Prose>()?,
        tags: Vec::new(),
        devices: vec![device.id],
        stream: StreamDescription::default(),
    };
    let product = market.execute(seller, None, &product).await?;
    let product = MoveProduct { product: product.id, to: ProductState::Listed };
    let product: Product = market.execute(seller, None, &product).await?;
    Ok((device, product))
}

async fn offer(
    market: &Marketplace,
    seller: Actor,
    product: &Product,
    messages: u64,
    cents: i64,
) -> Result<OfferId, ShopError> {
    let plan = Plan::FixedCount { messages, price: Amount::new(cents)? };
    let offer = PublishOffer { product: product.id, currency: Currency::EUR, plan, term_seconds: None };
    Ok(market.execute(seller, None, &offer).await?.id)
}

#[cfg(test)]
mod tests {
    use i3_core::store::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn every_buyer_can_buy_and_a_repeated_request_buys_nothing_more() {
        let shop = Shop::open(Arc::new(MemoryStore::new()), 2).await.unwrap();
        let one = shop.buy(0, "a").await.unwrap();
        let other = shop.buy(1, "a").await.unwrap();
        assert_ne!(one.id, other.id);
        assert_eq!(shop.buy(0, "a").await.unwrap().id, one.id);
        assert_eq!(shop.buy(2, "a").await.unwrap().id, one.id);
        assert_eq!(one.terms.topic.as_str(), "i3/bench-hub/bench-one");
    }

    #[tokio::test]
    async fn a_shop_is_found_again_by_its_deed() {
        let store: DynStore = Arc::new(MemoryStore::new());
        let shop = Shop::open(Arc::clone(&store), 1).await.unwrap();
        let order = shop.buy(0, "a").await.unwrap();
        let deed = shop.deed();
        drop(shop);
        let again = Shop::reopen(store, deed).await.unwrap();
        assert_eq!(again.buy(0, "a").await.unwrap().id, order.id);
    }
}
