//! A whole marketplace in memory: a seller lists what a buoy measures, a buyer pays for ten readings, gets
//! exactly ten, and the books balance. No server, no broker, no disk.

use std::error::Error;
use std::sync::Arc;

use i3_auth::RolePolicy;
use i3_auth::password::{PasswordSettings, Passwords};
use i3_core::access::Actor;
use i3_core::gate::Metering;
use i3_core::id::GrantId;
use i3_core::ledger::Holder;
use i3_core::market::{
    CreateProduct, Marketplace, MoveProduct, NewCredential, PublishOffer, Purchase, RateProduct,
    RegisterDevice, RegisterHub, RegisterUser, TopUp,
};
use i3_core::money::{Amount, Currency};
use i3_core::offer::Plan;
use i3_core::product::ProductState;
use i3_core::role::RoleName;
use i3_core::store::MemoryStore;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let market = Marketplace::open(Arc::new(MemoryStore::new()), Arc::new(RolePolicy), &[]).await?;
    let passwords = Passwords::new(PasswordSettings::default(), market.clock().clone())?;
    let currency = Currency::EUR;

    // Who sells: a company with a hub, where its devices and products are registered.
    let account = |name: &str, display: &str, role| -> Result<RegisterUser, Box<dyn Error>> {
        let (name, display) = (name.parse()?, display.parse()?);
        Ok(RegisterUser {
            name,
            display,
            email: None,
            roles: [role].into(),
            profile: i3_core::user::Profile::default(),
            invitation: None,
            password: None,
        })
    };
    let seller = account("aqua-lab", "Aqua Lab", RoleName::PROVIDER)?;
    let seller = Actor::User(market.execute(Actor::Anonymous, None, &seller).await?.id);
    let hub = RegisterHub { slug: "aqua".parse()?, title: "Aqua Lab, Lake Ontario".parse()? };
    let hub = market.execute(seller, None, &hub).await?.id;

    // What is sold: a device's readings, ten for 2.00 EUR.
    let credential = NewCredential::Password { hash: passwords.hash(b"a long secret").await? };
    let buoy = RegisterDevice { hub, name: "buoy-7".parse()?, title: "Buoy 7".parse()?, credential };
    let devices = vec![market.execute(seller, None, &buoy).await?.id];
    let (slug, title) = ("water".parse()?, "Water temperature at buoy 7".parse()?);
    let product = CreateProduct {
        hub,
        slug,
        title,
        description: "".parse()?,
        tags: vec![],
        devices,
        stream: i3_core::stream::StreamDescription::default(),
    };
    let product = market.execute(seller, None, &product).await?;
    market.execute(seller, None, &MoveProduct { product: product.id, to: ProductState::Listed }).await?;
    let plan = Plan::FixedCount { messages: 10, price: Amount::new(200)? };
    let offer = PublishOffer { product: product.id, currency, plan, term_seconds: None };
    let offer = market.execute(seller, None, &offer).await?.id;
    println!("Listed:     {} ({}), 10 messages for 2.00 EUR", product.title, product.topic);

    // Who buys, with money that an administrator or a payment service credited.
    let bea = account("bea", "Bea", RoleName::CONSUMER)?;
    let bea = market.execute(Actor::Anonymous, None, &bea).await?.id;
    let (buyer, reference) = (Actor::User(bea), "bank transfer 1".to_owned());
    let top_up = TopUp { user: bea, amount: Amount::new(500)?, currency, reference };
    market.execute(Actor::System, None, &top_up).await?;
    let order = market.execute(buyer, None, &Purchase { offer }).await?;
    println!("Bought:     {} by Bea", order.id);

    // A gate takes quota in leases: six messages delivered, the rest given back, then all that is left.
    let grant = GrantId::of(order.id);
    let lease = market.open(grant, "gate-1", 8).await?;
    market.close(lease.lease, 6.into()).await?;
    let lease = market.open(grant, "gate-1", 100).await?;
    market.close(lease.lease, lease.granted.into()).await?;
    let refusal = market.open(grant, "gate-1", 1).await.err().ok_or("more was given than was paid for")?;
    println!("Delivered:  6 messages, then {} more; the 11th is refused: {refusal}", lease.granted);

    let stars = RateProduct { order: order.id, stars: 5.try_into()?, comment: Some("Wet.".parse()?) };
    market.execute(buyer, None, &stars).await?;
    let bill = market.statement(buyer, order.id).await?;
    println!("Statement:  {} messages, {} paid", bill.line.quantity, bill.paid.display(bill.currency));
    let left = market.balances(buyer, Holder::Available(bea)).await?.pop().ok_or("no balance")?;
    println!("Balance:    Bea has {} left", left.amount.display(left.currency));
    let books = market.reconcile(Actor::System).await?;
    println!("Books:      {} ledger entries, {} differences", books.entries, books.differences.len());
    Ok(())
}
