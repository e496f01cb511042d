//! The demo: a marketplace, a gate, two devices and a buyer in one process, over real TCP, with readings of
//! this machine. It plays the story of two orders and then adds up what each party counted.

mod account;
mod cast;
mod client;
mod key;
mod screen;
mod sensor;
mod story;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Instant;

use i3_auth::password::PasswordError;
use i3_core::access::Actor;
use i3_core::id::NoEntropy;
use i3_core::ledger::Holder;
use i3_core::market::{MarketError, Marketplace, PageRequest, Settings, TimeOrder, UserFilter};
use i3_core::money::Amount;
use i3_core::store::Durability;

use crate::{Assembly, AssemblyConfig, AssemblyError, Failure, StoreUrl};
use account::{Check, OrderLine, billed, books, metered, paid};
use cast::{CURRENCY, Cast, amount};
use client::ClientError;
use key::KeysError;
use screen::Screen;
use sensor::{Sensor, SensorError};
use story::{Stage, Streamed};

/// What can be chosen.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoOptions {
    /// Where the data go: `sqlite:PATH`, `sled:PATH` or `memory:`; must be new. A fresh folder for temporary
    /// files if absent
    #[arg(long, value_name = "URL")]
    pub store: Option<StoreUrl>,
    /// How many messages the first order is for
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(10..=50_000))]
    pub messages: u64,
}

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The parts could not be put together.
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    /// The store has somebody's data in it.
    #[error("there is a marketplace in {0} already; the demo wants a store of its own")]
    NotFresh(StoreUrl),
    /// A command was not carried out.
    #[error(transparent)]
    Market(#[from] MarketError),
    /// A password could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// There are no random bytes.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// The device's keys do not work.
    #[error("the device's keys do not work: {0}")]
    Keys(String),
    /// The machine could not be measured.
    #[error("{0}")]
    Sensor(String),
    /// An MQTT client did not get what it should.
    #[error("{0}")]
    Client(String),
    /// Something else than the story says happened.
    #[error("{0}")]
    Unexpected(&'static str),
    /// The account does not balance: these equations do not hold.
    #[error("this does not hold: {}", .0.join("; "))]
    Broken(Vec<String>),
    /// A folder could not be made, or nothing can be printed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<KeysError> for DemoError {
    fn from(error: KeysError) -> Self {
        Self::Keys(error.to_string())
    }
}

impl From<SensorError> for DemoError {
    fn from(error: SensorError) -> Self {
        Self::Sensor(error.to_string())
    }
}

impl From<ClientError> for DemoError {
    fn from(error: ClientError) -> Self {
        Self::Client(error.to_string())
    }
}

impl DemoError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Assembly(error) => error.code(),
            Self::Market(error) => error.code(),
            Self::NotFresh(_) => "store_not_empty",
            Self::Sensor(_) => "no_sensor",
            Self::Broken(_) => "unbalanced",
            _ => "demo_failed",
        }
    }
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// Plays the demo and prints its account. An error if anything does not balance, or does not go as it
/// should.
pub async fn demo(options: &DemoOptions) -> Result<(), DemoError> {
    play(options, &mut Screen::stdout()).await
}

async fn play<W: Write>(options: &DemoOptions, screen: &mut Screen<W>) -> Result<(), DemoError> {
    let begun = Instant::now();
    // Without sensors there is nothing to show.
    Sensor::Load.read(0, i3_core::time::Timestamp::default())?;
    Sensor::Network.read(0, i3_core::time::Timestamp::default())?;
    let (config, folder) = config(options)?;
    let assembly = Assembly::open(config).await?;
    let market = assembly.market();
    let page = PageRequest { after: None, limit: 1 };
    if !market.users(Actor::System, &UserFilter::default(), TimeOrder::Oldest, &page).await?.items.is_empty()
    {
        return Err(DemoError::NotFresh(assembly.config().store.clone()));
    }

    screen.heading("I3: a marketplace and its broker, with this machine as the sensor")?;
    let durability = market.store().durability();
    screen.step("store", &format!("{} (durability: {durability})", assembly.config().store))?;
    let gate = assembly.start_gate(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    screen.step("gate", &format!("MQTT 3.1.1 over TCP on {}", gate.local_addr()))?;
    let cast = Cast::register(market, assembly.access(), options.messages).await?;
    introduce(screen, &cast, options.messages)?;

    let audience = &assembly.config().audience;
    let mut stage = Stage {
        market,
        access: assembly.access(),
        audience,
        gate: gate.local_addr(),
        screen: &mut *screen,
        messages: options.messages,
    };
    let streamed = stage.play(&cast).await?;
    // Reports the last usage and closes all leases; from here on nothing changes.
    gate.shutdown().await;
    let [load, network] = &streamed;
    stage.rate(&cast, &load.order, 5, "Exactly what I paid for.").await?;
    stage.rate(&cast, &network.order, 4, "Good while it lasted.").await?;

    let checks = add_up(market, &cast, &streamed, screen).await?;
    let survives = match durability {
        Durability::Memory => "nothing is kept on disk",
        _ => "what was committed survives it",
    };
    screen.step("durability", &format!("{durability} ({survives})"))?;
    let data = match (folder, &assembly.config().store) {
        (Some(folder), _) => format!("{} (yours to look at and to delete)", folder.display()),
        (None, StoreUrl::Memory) => "gone with the demo".to_owned(),
        (None, store) => store.to_string(),
    };
    screen.step("data", &data)?;
    screen.step("time", &format!("{:.1} s in all", begun.elapsed().as_secs_f64()))?;
    judged(checks)
}

/// An error that names what does not hold, if anything does not.
fn judged(checks: Vec<Check>) -> Result<(), DemoError> {
    let broken: Vec<String> =
        checks.into_iter().filter(|check| !check.holds).map(|check| check.found).collect();
    if broken.is_empty() { Ok(()) } else { Err(DemoError::Broken(broken)) }
}

/// The configuration, and the fresh folder if one was made.
fn config(options: &DemoOptions) -> Result<(AssemblyConfig, Option<PathBuf>), DemoError> {
    let (mut config, folder) = if let Some(store) = &options.store {
        (AssemblyConfig::new(store.clone()), None)
    } else {
        let folder = tempfile::Builder::new().prefix("i3-demo-").tempdir()?.keep();
        (AssemblyConfig::in_folder(&folder), Some(folder))
    };
    config.settings = Settings::default().with_fee_points(500);
    "demo".clone_into(&mut config.gate);
    Ok((config, folder))
}

fn introduce<W: Write>(screen: &mut Screen<W>, cast: &Cast, messages: u64) -> io::Result<()> {
    screen.step("seller", "harbour-labs, with the hub `harbour`")?;
    screen.step("device", &format!("{} logs in with a password", cast.gauge))?;
    screen.step("device", &format!("{} logs in with tokens that its Ed25519 key signs", cast.probe))?;
    let (load, network) = (&cast.load.0, &cast.network.0);
    let price = cast.load_price.display(CURRENCY);
    screen.step("product", &format!("{} on {}: {messages} messages for {price}", load.title, load.topic))?;
    screen.step("product", &format!("{} on {}: 0.01 EUR a message", network.title, network.topic))?;
    screen.step("buyer", "bea")
}

/// Compares what each party counted, and prints it.
async fn add_up<W: Write>(
    market: &Marketplace,
    cast: &Cast,
    streamed: &[Streamed],
    screen: &mut Screen<W>,
) -> Result<Vec<Check>, DemoError> {
    let reconciliation = market.reconcile(Actor::System).await?;
    let orders: Vec<_> = streamed.iter().map(|streamed| &streamed.order).collect();
    let ledger = paid(market, &orders).await?;
    let mut lines = Vec::new();
    for Streamed { order, published, delivered, .. } in streamed {
        let price = amount(ledger.get(&order.id).copied().unwrap_or(0))?;
        lines.push(OrderLine {
            title: order.terms.title.to_string(),
            bought: order.terms.plan.quota(),
            published: *published,
            delivered: *delivered,
            metered: metered(&reconciliation, order.id),
            billed: billed(order, price, *published),
            price,
        });
    }

    screen.heading("Account")?;
    let head = ["order", "bought", "published", "delivered", "metered", "billed", "price"];
    let rows: Vec<_> = lines.iter().map(row).collect();
    screen.table(&head, &rows)?;
    let checks: Vec<_> = (lines.iter().map(OrderLine::check))
        .chain(streamed.iter().flat_map(|streamed| streamed.checks.iter().cloned()))
        .chain(books(&reconciliation))
        .collect();
    for check in &checks {
        screen.verdict(check.holds, check.about, &check.found)?;
    }
    let hub = cast.load.0.hub;
    let [left, earned, fees] = [
        balance(market, Holder::Available(cast.buyer)).await?,
        balance(market, Holder::Earned(hub)).await?,
        balance(market, Holder::Fees).await?,
    ];
    let money = format!(
        "bea has {} left, harbour earned {}, the marketplace's fee is {}",
        left.display(CURRENCY),
        earned.display(CURRENCY),
        fees.display(CURRENCY)
    );
    screen.step("money", &money)?;
    Ok(checks)
}

fn row(line: &OrderLine) -> Vec<String> {
    vec![
        line.title.clone(),
        line.bought.map_or("any number".to_owned(), |bought| bought.to_string()),
        line.published.to_string(),
        line.delivered.to_string(),
        line.metered.to_string(),
        line.billed.map_or("?".to_owned(), |billed| billed.to_string()),
        line.price.display(CURRENCY).to_string(),
    ]
}

async fn balance(market: &Marketplace, holder: Holder) -> Result<Amount, DemoError> {
    let balances = market.balances(Actor::System, holder).await?;
    let mut balances = balances.into_iter().filter(|balance| balance.currency == CURRENCY);
    Ok(balances.next().map_or(Amount::ZERO, |balance| balance.amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_does_not_balance_is_a_failure_that_names_what_does_not_hold() {
        let check = |holds, found: &str| Check { about: "messages", holds, found: found.to_owned() };
        assert!(judged(vec![check(true, "1 = 1")]).is_ok());
        let broken = judged(vec![check(true, "1 = 1"), check(false, "1 ≠ 2"), check(false, "3 ≠ 4")]);
        let failure = Failure::from(broken.unwrap_err());
        assert_eq!(failure.to_string(), "[unbalanced] this does not hold: 1 ≠ 2; 3 ≠ 4");
        assert_eq!(failure.exit_status(), 1);
    }
}
