//! Our gate as a child process, with a marketplace behind it or with ports that ask nothing.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use i3_broker::log::{RumqttdLog, RumqttdLogConfig};
use i3_broker::{Gate, GateConfig, Ports};
use i3_core::gate::{
    Admission, Authenticator, Directory, GrantView, LeaseTerms, Login as Presented, LoginError, Metering,
    MeteringError, Principal, PublishRight,
};
use i3_core::id::{DeviceId, GrantId, HubId, LeaseId, OrderId, ProductId, TypedId, UserId};
use i3_core::name::Topic;
use i3_core::store::StoreError;
use i3_core::time::SystemClock;
use i3_store_sql::{SqliteOptions, SqliteStore};

use crate::mqtt_load::Login;
use crate::served::{Served, announce};
use crate::shop::{Shop, ShopError};

/// The password of everybody. How long a login takes is no part of what is measured.
const PASSWORD: &str = "bench";

/// The first argument of a program that shall serve a gate.
const SERVE: &str = "serve-gate";

/// What is behind a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// A marketplace on SQLite with its defaults: the device's rights and the orders' grants are read from
    /// it, and quota is taken in leases that are committed and survive a power loss.
    Marketplace,
    /// Ports that answer from memory that everything is allowed, with one lease without end: what is left is
    /// what the gate does for each message by itself.
    Nothing,
}

impl Behind {
    fn name(self) -> &'static str {
        match self {
            Self::Marketplace => "marketplace",
            Self::Nothing => "nothing",
        }
    }
}

impl FromStr for Behind {
    type Err = ShopError;

    fn from_str(text: &str) -> Result<Self, ShopError> {
        [Self::Marketplace, Self::Nothing]
            .into_iter()
            .find(|behind| behind.name() == text)
            .ok_or_else(|| "a gate is served before `marketplace` or `nothing`".into())
    }
}

/// A gate in a process of its own, which ends when this is dropped.
#[derive(Debug)]
pub struct GateProcess(Served);

impl GateProcess {
    /// Runs this program again as a gate for one publisher and this many buyers, each with an order. The
    /// program's `main` must begin with [`serve_if_asked`]. A store is put into `directory`.
    ///
    /// # Errors
    /// The child did not start.
    pub fn start(behind: Behind, buyers: usize, directory: &Path) -> io::Result<Self> {
        let directory = directory.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
        Served::start(&[SERVE, behind.name(), &buyers.to_string(), directory]).map(Self)
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.0.process()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// The device that publishes.
    pub fn publisher(&self) -> Option<Login> {
        self.0.names().first().map(|name| Login::new(name, PASSWORD))
    }

    /// The orders that receive.
    pub fn subscribers(&self) -> Vec<Login> {
        self.0.names().iter().skip(1).map(|name| Login::new(name, PASSWORD)).collect()
    }
}

/// Serves a gate if the arguments (without the program's name) say so, until the parent process ends it; false
/// if they do not.
///
/// # Errors
/// The gate or its marketplace did not start.
pub fn serve_if_asked(mut arguments: impl Iterator<Item = String>) -> Result<bool, ShopError> {
    if arguments.next().is_none_or(|first| first != SERVE) {
        return Ok(false);
    }
    let (Some(behind), Some(buyers), Some(directory)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("arguments are missing".into());
    };
    let (behind, buyers) = (behind.parse()?, buyers.parse()?);
    let runtime = tokio::runtime::Runtime::new()?;
    let (gate, names) = runtime.block_on(open(behind, buyers, Path::new(&directory)))?;
    announce(gate.local_addr(), &names)?;
    runtime.block_on(gate.shutdown());
    Ok(true)
}

async fn open(behind: Behind, buyers: usize, directory: &Path) -> Result<(Gate, Vec<String>), ShopError> {
    let mut logins = Logins::default();
    let (directory, metering): (Arc<dyn Directory>, Arc<dyn Metering>) = match behind {
        Behind::Marketplace => {
            let store = SqliteStore::open(directory.join("gate.sqlite"), SqliteOptions::default()).await?;
            let shop = Shop::open(Arc::new(store), buyers).await?;
            let device = shop.device();
            logins.add(Principal::Device { device: device.id, hub: device.hub }, device.auth_id.as_str());
            for buyer in 0..buyers {
                let order = shop.buy(buyer, &format!("order-{buyer}")).await?;
                logins.add(Principal::Order { order: order.id, buyer: order.buyer }, &order.id.to_string());
            }
            let market = Arc::new(shop.market().clone());
            (Arc::clone(&market) as _, market)
        }
        Behind::Nothing => {
            let (device, hub) = (DeviceId::from_bits(1), HubId::from_bits(2));
            logins.add(Principal::Device { device, hub }, "bench-hub.sensor");
            for buyer in 0..u128::try_from(buyers)? {
                let (order, buyer) = (OrderId::from_bits(1_000 + buyer), UserId::from_bits(2_000 + buyer));
                logins.add(Principal::Order { order, buyer }, &order.to_string());
            }
            let all = Arc::new(Everything { product: ProductId::from_bits(3), topic: crate::TOPIC.parse()? });
            (Arc::clone(&all) as _, all)
        }
    };
    let names = logins.names.clone();
    let ports = Ports { authenticator: Arc::new(logins), directory, metering, clock: Arc::new(SystemClock) };
    let log = Arc::new(RumqttdLog::start(RumqttdLogConfig::default()).await?);
    let gate = Gate::start(GateConfig::new((Ipv4Addr::LOCALHOST, 0).into()), ports, log).await?;
    Ok((gate, names))
}

/// Knows its users by name, from memory.
#[derive(Debug, Default)]
struct Logins {
    principals: HashMap<String, Principal>,
    names: Vec<String>,
}

impl Logins {
    fn add(&mut self, principal: Principal, name: &str) {
        self.names.push(name.to_owned());
        self.principals.insert(name.to_owned(), principal);
    }
}

#[async_trait]
impl Authenticator for Logins {
    async fn authenticate(&self, login: Presented<'_>) -> Result<Admission, LoginError> {
        let principal = login.username.and_then(|name| self.principals.get(name)).copied();
        match principal {
            Some(principal) if login.password == Some(PASSWORD.as_bytes()) => {
                Ok(Admission { principal, credential: None, until: None })
            }
            _ => Err(LoginError::Refused),
        }
    }
}

/// Allows everything.
#[derive(Debug)]
struct Everything {
    product: ProductId,
    topic: Topic,
}

#[async_trait]
impl Directory for Everything {
    async fn publish_rights(&self, _: DeviceId) -> Result<Option<Vec<PublishRight>>, StoreError> {
        Ok(Some(vec![PublishRight { product: self.product, topic: self.topic.clone() }]))
    }

    async fn grant(&self, grant: GrantId) -> Result<Option<GrantView>, StoreError> {
        Ok(Some(GrantView {
            grant,
            buyer: UserId::from_bits(4),
            product: self.product,
            topic: self.topic.clone(),
            epoch: 0,
            open: true,
            until: None,
        }))
    }
}

#[async_trait]
impl Metering for Everything {
    async fn open(&self, grant: GrantId, _: &str, _: u64) -> Result<LeaseTerms, MeteringError> {
        Ok(endless(LeaseId::from_bits(grant.order().bits())))
    }

    async fn extend(&self, lease: LeaseId, _: u64, _: u64) -> Result<LeaseTerms, MeteringError> {
        Ok(endless(lease))
    }

    async fn close(&self, _: LeaseId, _: u64) -> Result<(), MeteringError> {
        Ok(())
    }
}

/// More than any run delivers.
fn endless(lease: LeaseId) -> LeaseTerms {
    LeaseTerms { lease, epoch: 0, granted: 1 << 60 }
}
