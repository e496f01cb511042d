//! Our gate as a child process, with a marketplace behind it or with ports that ask nothing.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use i3_auth::broker_password::BrokerPasswords;
use i3_auth::device_token::{Claims, DevicePrivateKey, issue};
use i3_auth::password::{PasswordSettings, Passwords};
use i3_auth::{MarketAuthenticator, MasterKey};
use i3_broker::log::{RumqttdLog, RumqttdLogConfig};
use i3_broker::{Certificates, Gate, GateConfig, Listener, Ports, Tls};
use i3_core::gate::{
    Admission, Authenticator, Directory, GrantView, LeaseReport, LeaseTerms, Login as Presented, LoginError,
    Metering, MeteringError, Principal, PublishRight, Streams, StreamsError,
};
use i3_core::id::{DeviceId, GrantId, HubId, LeaseId, OrderId, ProductId, TypedId, UserId};
use i3_core::name::Topic;
use i3_core::order::Order;
use i3_core::store::StoreError;
use i3_core::stream::{SequenceBlock, StreamHead, StreamReport};
use i3_core::time::{Clock, SystemClock};
use i3_store_sql::{SqliteOptions, SqliteStore};
use tokio::task::JoinSet;

use crate::mqtt_load::Login;
use crate::served::{Served, announce};
use crate::shop::{Shop, ShopError};

/// The password of everybody. How long a login takes is no part of what is measured.
const PASSWORD: &str = "bench";

/// What device tokens are for.
const AUDIENCE: &str = "bench";

/// Stands where a gate has no such user.
const NOBODY: &str = "-";

/// The first argument of a program that shall serve a gate.
const SERVE: &str = "serve-gate";

/// What is behind a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// A marketplace on SQLite with its defaults: the device's rights and the orders' grants are read from
    /// it, and quota is taken in leases that are committed and survive a power loss. All orders are for one product.
    Marketplace,
    /// The same, with a product for each order.
    ManyProducts,
    /// Ports that answer from memory that everything is allowed, with one lease without end: what is left is
    /// what the gate does for each message by itself.
    Nothing,
}

impl Behind {
    fn name(self) -> &'static str {
        match self {
            Self::Marketplace => "marketplace",
            Self::ManyProducts => "many-products",
            Self::Nothing => "nothing",
        }
    }
}

impl FromStr for Behind {
    type Err = ShopError;

    fn from_str(text: &str) -> Result<Self, ShopError> {
        [Self::Marketplace, Self::ManyProducts, Self::Nothing]
            .into_iter()
            .find(|behind| behind.name() == text)
            .ok_or_else(|| "a gate is served before `marketplace`, `many-products` or `nothing`".into())
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

    /// A device with a token that its Ed25519 key signed, which the marketplace checks as it would any. `None` if
    /// there is no marketplace.
    pub fn key_holder(&self) -> Option<Login> {
        match self.0.names().get(1..3) {
            Some([name, token]) if name != NOBODY => Some(Login::new(name, token)),
            _ => None,
        }
    }

    /// Where it listens for TLS.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.0.names().get(3)?.parse().ok()
    }

    /// The orders that receive.
    pub fn subscribers(&self) -> Vec<Login> {
        self.0
            .names()
            .iter()
            .skip(4)
            .map(|order| Login::new(order.rsplit('@').next().unwrap_or(order), PASSWORD))
            .collect()
    }

    /// The topics of the orders.
    pub fn topics(&self) -> Vec<String> {
        let topic =
            |order: &String| order.split_once('@').map_or(crate::TOPIC, |(topic, _)| topic).to_owned();
        self.0.names().iter().skip(4).map(topic).collect()
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
    let (gate, mut names) = runtime.block_on(open(behind, buyers, Path::new(&directory)))?;
    if let Some(tls) = gate.local_addrs().get(1) {
        names.insert(3, tls.to_string());
    }
    announce(gate.local_addr(), &names)?;
    runtime.block_on(gate.shutdown());
    Ok(true)
}

/// What answers the gate beside logins.
type Answering = (Arc<dyn Directory>, Arc<dyn Metering>, Arc<dyn Streams>);

/// Where a gate puts its certificate in its directory.
pub const CERTIFICATE: &str = "gate.pem";

/// A certificate for `localhost`, also left in the directory for clients.
fn certificate(directory: &Path) -> Result<Tls, ShopError> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let chain = made.cert.pem();
    std::fs::write(directory.join(CERTIFICATE), &chain)?;
    Ok(Tls::new(Certificates::from_pem(chain.as_bytes(), made.signing_key.serialize_pem().as_bytes())?))
}

async fn open(behind: Behind, buyers: usize, scratch: &Path) -> Result<(Gate, Vec<String>), ShopError> {
    let mut logins = Logins::default();
    let mut names = Vec::new();
    let (directory, metering, streams): Answering = match behind {
        Behind::Marketplace | Behind::ManyProducts => {
            let store = SqliteStore::open(scratch.join("gate.sqlite"), SqliteOptions::default()).await?;
            let shop = Arc::new(Shop::open(Arc::new(store), buyers.min(100)).await?);
            let device = shop.device();
            let publisher = Principal::Device { device: device.id, hub: device.hub };
            names.push(logins.add(publisher, device.auth_id.as_str()));
            names.extend(key_holder(&shop).await?);
            for order in orders(&shop, behind, buyers).await? {
                let principal = Principal::Order { order: order.id, buyer: order.buyer };
                let name = logins.add(principal, &order.id.to_string());
                names.push(format!("{}@{name}", order.terms.topic));
            }
            logins.market = Some(authenticator(&shop)?);
            let market = Arc::new(shop.market().clone());
            (Arc::clone(&market) as _, Arc::clone(&market) as _, market)
        }
        Behind::Nothing => {
            let (device, hub) = (DeviceId::from_bits(1), HubId::from_bits(2));
            names.push(logins.add(Principal::Device { device, hub }, "bench-hub.sensor"));
            names.extend([NOBODY.to_owned(), NOBODY.to_owned()]);
            for buyer in 0..u128::try_from(buyers)? {
                let (order, buyer) = (OrderId::from_bits(1_000 + buyer), UserId::from_bits(2_000 + buyer));
                names.push(logins.add(Principal::Order { order, buyer }, &order.to_string()));
            }
            let product = ProductId::from_bits(3);
            let head = StreamHead::new(product).into();
            let all = Arc::new(Everything { product, topic: crate::TOPIC.parse()?, head });
            (Arc::clone(&all) as _, Arc::clone(&all) as _, all)
        }
    };
    let clock = Arc::new(SystemClock);
    let ports = Ports { authenticator: Arc::new(logins), directory, metering, streams, clock };
    let log = Arc::new(RumqttdLog::start(RumqttdLogConfig::default()).await?);
    let any = (Ipv4Addr::LOCALHOST, 0).into();
    let mut config = GateConfig::over(vec![Listener::tcp(any), Listener::tls(any, certificate(scratch)?)]);
    config.max_connections = config.max_connections.max(buyers + 64);
    config.max_connections_per_address = config.max_connections;
    config.max_connections_per_principal = config.max_connections;
    // What a login costs is measured with one device.
    config.login_interval = Duration::ZERO;
    let gate = Gate::start(config, ports, log).await?;
    Ok((gate, names))
}

/// The orders, in the order of their buyers. Those for products of their own are made 64 at a time.
async fn orders(shop: &Arc<Shop>, behind: Behind, buyers: usize) -> Result<Vec<Order>, ShopError> {
    let mut made = Vec::with_capacity(buyers);
    let mut making = JoinSet::new();
    for number in 0..buyers {
        let shop = Arc::clone(shop);
        making.spawn(async move {
            let order = match behind {
                Behind::ManyProducts => shop.list_and_sell(number).await?,
                _ => shop.buy(number, &format!("order-{number}")).await?,
            };
            Ok::<_, ShopError>((number, order))
        });
        while making.len() >= 64 {
            made.extend(making.join_next().await.transpose()?.transpose()?);
        }
    }
    while let Some(order) = making.join_next().await {
        made.push(order??);
    }
    made.sort_unstable_by_key(|(number, _): &(usize, Order)| *number);
    Ok(made.into_iter().map(|(_, order)| order).collect())
}

/// The login of a device with a key, and a token that is good for an hour.
async fn key_holder(shop: &Shop) -> Result<[String; 2], ShopError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| "no key pair could be made")?;
    let private = pair.to_pkcs8v1().map_err(|_| "the key pair cannot be encoded")?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| "the key cannot be encoded")?;
    let text = |tag: &str, der: &[u8]| pem::encode(&pem::Pem::new(tag, der));
    let device = shop.add_key_holder(text("PUBLIC KEY", public.as_ref())).await?;
    let claims = Claims {
        audience: AUDIENCE,
        subject: device.auth_id.as_str(),
        issued: SystemClock.now(),
        lifetime: Duration::from_hours(1),
    };
    let token = issue(&claims, &DevicePrivateKey::from_pem(&text("PRIVATE KEY", private.as_ref()))?)?;
    Ok([device.auth_id.to_string(), token.expose().to_owned()])
}

fn authenticator(shop: &Shop) -> Result<MarketAuthenticator, ShopError> {
    let passwords = Passwords::new(PasswordSettings::default(), Arc::new(SystemClock))?;
    let orders = BrokerPasswords::new(&MasterKey::generate()?);
    Ok(MarketAuthenticator::new(shop.market().clone(), Arc::new(passwords), orders, AUDIENCE))
}

/// Knows its users by name, from memory, and asks the marketplace about others.
#[derive(Debug, Default)]
struct Logins {
    principals: HashMap<String, Principal>,
    market: Option<MarketAuthenticator>,
}

impl Logins {
    fn add(&mut self, principal: Principal, name: &str) -> String {
        self.principals.insert(name.to_owned(), principal);
        name.to_owned()
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
            Some(_) => Err(LoginError::Refused),
            None => match &self.market {
                Some(market) => market.authenticate(login).await,
                None => Err(LoginError::Refused),
            },
        }
    }
}

/// Allows everything.
#[derive(Debug)]
struct Everything {
    product: ProductId,
    topic: Topic,
    head: Mutex<StreamHead>,
}

#[async_trait]
impl Streams for Everything {
    async fn reserve(&self, _: ProductId, holder: &str, count: u64) -> Result<SequenceBlock, StreamsError> {
        Ok(self.head.lock().unwrap_or_else(PoisonError::into_inner).reserve(holder, count)?)
    }

    async fn release(&self, _: ProductId, _: &str, _: SequenceBlock) -> Result<(), StreamsError> {
        Ok(())
    }

    async fn report(&self, _: ProductId, _: StreamReport) -> Result<(), StreamsError> {
        Ok(())
    }
}

#[async_trait]
impl Directory for Everything {
    async fn publish_rights(&self, _: DeviceId) -> Result<Option<Vec<PublishRight>>, StoreError> {
        Ok(Some(vec![PublishRight { product: self.product, topic: self.topic.clone(), terms: None }]))
    }

    async fn grant(&self, grant: GrantId) -> Result<Option<GrantView>, StoreError> {
        Ok(Some(GrantView {
            grant,
            buyer: UserId::from_bits(4),
            product: self.product,
            topic: self.topic.clone(),
            epoch: 0,
            open: true,
            counted: true,
            until: None,
        }))
    }
}

#[async_trait]
impl Metering for Everything {
    async fn open(&self, grant: GrantId, _: &str, _: u64) -> Result<LeaseTerms, MeteringError> {
        Ok(endless(LeaseId::from_bits(grant.order().bits())))
    }

    async fn extend(&self, lease: LeaseId, _: LeaseReport, _: u64) -> Result<LeaseTerms, MeteringError> {
        Ok(endless(lease))
    }

    async fn close(&self, _: LeaseId, _: LeaseReport) -> Result<(), MeteringError> {
        Ok(())
    }
}

/// More than any run delivers.
fn endless(lease: LeaseId) -> LeaseTerms {
    LeaseTerms { lease, epoch: 0, granted: 1 << 60 }
}
