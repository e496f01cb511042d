//! The same program over four stores, one of them this package's own: what runs in memory today runs on a
//! disk tomorrow, with the same answers. One line chooses.

use std::error::Error;
use std::sync::Arc;

use futures_util::future::join_all;
use i3_auth::RolePolicy;
use i3_core::access::Actor;
use i3_core::ledger::Holder;
use i3_core::market::{IdempotencyKey, Marketplace, RegisterUser, TopUp};
use i3_core::money::{Amount, Currency};
use i3_core::role::RoleName;
use i3_core::store::{DynStore, MemoryStore};
use i3_embedding::RedbStore;
use i3_store_sled::SledStore;
use i3_store_sql::{SqliteOptions, SqliteStore};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = |name| directory.path().join(name);
    for name in ["memory", "sqlite", "sled", "redb"] {
        let store: DynStore = match name {
            "sqlite" => Arc::new(SqliteStore::open(path("i3.sqlite"), SqliteOptions::default()).await?),
            "sled" => Arc::new(SledStore::open(path("i3.sled"))?),
            "redb" => Arc::new(RedbStore::open(path("i3.redb"))?),
            _ => Arc::new(MemoryStore::new()),
        };
        let durability = store.durability();
        println!("{name:8} durability: {durability:14} {}", rush(store).await?);
    }
    Ok(())
}

/// A rush on a marketplace: everybody wants the same name, and one payment is reported many times.
async fn rush(store: DynStore) -> Result<String, Box<dyn Error>> {
    let market = Marketplace::open(store, Arc::new(RolePolicy), &[]).await?;

    let bea = RegisterUser {
        name: "bea".parse()?,
        display: "Bea".parse()?,
        email: None,
        roles: [RoleName::CONSUMER].into(),
        profile: i3_core::user::Profile::default(),
        invitation: None,
        password: None,
    };
    let accounts = join_all((0..12).map(|_| market.execute(Actor::Anonymous, None, &bea))).await;
    let mut accounts: Vec<_> = accounts.into_iter().flatten().collect();
    let opened = accounts.len();
    let user = accounts.pop().ok_or("nobody got the name")?.id;

    let (amount, currency) = (Amount::new(500)?, Currency::EUR);
    let payment = TopUp { user, amount, currency, reference: "bank transfer 1".to_owned() };
    let key: IdempotencyKey = "bank-transfer-1".parse()?;
    for paid in join_all((0..12).map(|_| market.execute(Actor::System, Some(&key), &payment))).await {
        paid?;
    }
    let balance = market.balances(Actor::User(user), Holder::Available(user)).await?;
    let balance = balance.first().ok_or("the account is empty")?;

    let books = market.reconcile(Actor::System).await?;
    if !books.differences.is_empty() {
        return Err(format!("the books do not balance: {:?}", books.differences).into());
    }
    let balance = balance.amount.display(balance.currency);
    Ok(format!("12 want one name: {opened} account; 12 times the same payment: {balance}"))
}
