//! Who is on stage: the accounts, devices, products and offers of the demo.

use std::str::FromStr;

use i3_auth::Secret;
use i3_core::access::Actor;
use i3_core::device::{Device, KeyAlgorithm};
use i3_core::id::{OfferId, UserId};
use i3_core::market::{
    CreateProduct, Marketplace, MoveProduct, NewCredential, PublishOffer, RegisterDevice, RegisterHub,
    RegisterUser,
};
use i3_core::money::{Amount, Currency, UnitPrice};
use i3_core::name::AuthId;
use i3_core::offer::Plan;
use i3_core::product::{Product, ProductState};
use i3_core::role::RoleName;

use super::DemoError;
use super::key::DeviceKeys;
use crate::Access;

/// What is paid with.
pub(super) const CURRENCY: Currency = Currency::EUR;

/// What one message of the first product costs, in cents.
const FIRST_CENTS: i64 = 2;

/// What one message of the second product costs, in billionths of a euro: one cent.
const SECOND_NANOS: u64 = 10_000_000;

/// All that was registered before the curtain rises.
#[derive(Debug)]
pub(super) struct Cast {
    /// Runs the marketplace.
    pub(super) administrator: Actor,
    /// Owns the hub.
    pub(super) seller: Actor,
    /// Logs in with a password.
    pub(super) gauge: AuthId,
    /// That password.
    pub(super) gauge_password: Secret,
    /// Logs in with tokens.
    pub(super) probe: AuthId,
    /// The keys that sign them.
    pub(super) probe_keys: DeviceKeys,
    /// The first device's product, and its offer of a fixed number.
    pub(super) load: (Product, OfferId),
    /// What that number costs.
    pub(super) load_price: Amount,
    /// The second device's product, and its offer of a price for each message.
    pub(super) network: (Product, OfferId),
    /// Who buys.
    pub(super) buyer: UserId,
}

/// A name that the demo has chosen.
fn named<T: FromStr>(text: &str) -> Result<T, DemoError> {
    text.parse().map_err(|_| DemoError::Unexpected("a name of the demo's own is not allowed"))
}

async fn register(
    market: &Marketplace,
    actor: Actor,
    name: &str,
    role: RoleName,
) -> Result<UserId, DemoError> {
    let account = RegisterUser {
        name: named(name)?,
        display: named(name)?,
        email: None,
        roles: [role].into(),
        profile: i3_core::user::Profile::default(),
        invitation: None,
        password: None,
    };
    Ok(market.execute(actor, None, &account).await?.id)
}

/// What is sold, and how.
struct Listing<'a> {
    seller: Actor,
    device: &'a Device,
    slug: &'a str,
    title: &'a str,
    plan: Plan,
}

impl Listing<'_> {
    async fn publish(&self, market: &Marketplace) -> Result<(Product, OfferId), DemoError> {
        let product = CreateProduct {
            hub: self.device.hub,
            slug: named(self.slug)?,
            title: named(self.title)?,
            description: named("Readings of the machine that the demo runs on, from its /proc.")?,
            tags: vec![named("demo")?],
            devices: vec![self.device.id],
            stream: i3_core::stream::StreamDescription::default(),
        };
        let product = market.execute(self.seller, None, &product).await?.id;
        let listed = MoveProduct { product, to: ProductState::Listed };
        let listed = market.execute(self.seller, None, &listed).await?;
        let offer = PublishOffer { product, currency: CURRENCY, plan: self.plan, term_seconds: None };
        let offer = market.execute(self.seller, None, &offer).await?;
        Ok((listed, offer.id))
    }
}

impl Cast {
    /// Registers everybody and everything; `messages` is what the first offer is for.
    pub(super) async fn register(
        market: &Marketplace,
        access: &Access,
        messages: u64,
    ) -> Result<Self, DemoError> {
        let administrator = register(market, Actor::System, "ada", RoleName::ADMINISTRATOR).await?;
        let seller = register(market, Actor::Anonymous, "harbour-labs", RoleName::PROVIDER).await?;
        let buyer = register(market, Actor::Anonymous, "bea", RoleName::CONSUMER).await?;
        let seller = Actor::User(seller);
        let hub = RegisterHub { slug: named("harbour")?, title: named("Harbour Labs")? };
        let hub = market.execute(seller, None, &hub).await?.id;

        let gauge_password = fresh_password()?;
        let hash = access.passwords.hash(gauge_password.expose().as_bytes()).await?;
        let gauge = RegisterDevice {
            hub,
            name: named("gauge")?,
            title: named("Load gauge")?,
            credential: NewCredential::Password { hash },
        };
        let gauge = market.execute(seller, None, &gauge).await?;

        let probe_keys = DeviceKeys::generate()?;
        let pem = probe_keys.public_pem.clone();
        let probe = RegisterDevice {
            hub,
            name: named("probe")?,
            title: named("Network probe")?,
            credential: NewCredential::PublicKey { algorithm: KeyAlgorithm::EdDsa, pem },
        };
        let probe = market.execute(seller, None, &probe).await?;

        let price = amount(i64::try_from(messages).unwrap_or(i64::MAX).saturating_mul(FIRST_CENTS))?;
        let load = Listing {
            seller,
            device: &gauge,
            slug: "load",
            title: "Load and memory",
            plan: Plan::FixedCount { messages, price },
        };
        let unit_price = UnitPrice::try_from(SECOND_NANOS)
            .map_err(|_| DemoError::Unexpected("a price of the demo's own is not allowed"))?;
        let network = Listing {
            seller,
            device: &probe,
            slug: "network",
            title: "Network traffic",
            plan: Plan::PerMessage { unit_price, quota: None },
        };
        Ok(Self {
            administrator: Actor::User(administrator),
            seller,
            load: load.publish(market).await?,
            load_price: price,
            network: network.publish(market).await?,
            gauge: gauge.auth_id,
            gauge_password,
            probe: probe.auth_id,
            probe_keys,
            buyer,
        })
    }
}

/// So many cents.
pub(super) fn amount(cents: i64) -> Result<Amount, DemoError> {
    Amount::new(cents).map_err(|_| DemoError::Unexpected("an amount of the demo's own is out of range"))
}

fn fresh_password() -> Result<Secret, DemoError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| i3_core::id::NoEntropy)?;
    Ok(Secret::new(data_encoding::HEXLOWER.encode(&bytes)))
}
