//! A gate over the real marketplace in memory, with real passwords and device tokens: for attacks on credentials
//! and on the books.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use i3_auth::broker_password::BrokerPasswords;
use i3_auth::password::{Cost, PasswordSettings, Passwords};
use i3_auth::{COLLECTIONS, MarketAuthenticator, MasterKey, RolePolicy};
use i3_broker::log::{RumqttdLog, RumqttdLogConfig};
use i3_broker::{Gate, GateConfig, Ports};
use i3_core::access::Actor;
use i3_core::device::{Device, KeyAlgorithm};
use i3_core::id::CredentialId;
use i3_core::ledger::Holder;
use i3_core::market::{
    AddCredential, CreateProduct, GrantLine, Marketplace, MoveProduct, NewCredential, PublishOffer, Purchase,
    RegisterDevice, RegisterHub, RegisterUser, RemoveCredential, TopUp,
};
use i3_core::money::{Amount, Currency};
use i3_core::offer::Plan;
use i3_core::order::Order;
use i3_core::product::{Product, ProductState};
use i3_core::role::RoleName;
use i3_core::store::MemoryStore;
use i3_core::stream::StreamDescription;
use i3_core::time::{Clock, SystemClock};
use i3_core::user::User;

use crate::client::{Client, Fate, PATIENCE};
use crate::packets::*;

/// What device tokens are for.
pub(crate) const AUDIENCE: &str = "i3.example";
/// The device's login.
pub(crate) const DEVICE: &str = "acme.pump";
/// What leases are taken under.
const HOLDER: &str = "gate";

/// A seller with a device, a product at a cent a message, and a buyer with ten thousand euro.
pub(crate) struct Shop {
    pub(crate) market: Marketplace,
    authenticator: Arc<MarketAuthenticator>,
    orders: BrokerPasswords,
    pub(crate) seller: User,
    pub(crate) buyer: User,
    pub(crate) device: Device,
    pub(crate) product: Product,
}

/// A device's Ed25519 key.
pub(crate) struct Key(Ed25519KeyPair);

impl Key {
    pub(crate) fn new() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
        Self(Ed25519KeyPair::from_pkcs8_maybe_unchecked(document.as_ref()).unwrap())
    }

    /// The public key as it is registered.
    pub(crate) fn pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().unwrap();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(der.as_ref()))
    }

    /// The public key alone.
    pub(crate) fn raw(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// A token of this header and payload, with a signature that is right.
    pub(crate) fn sign(&self, header: &str, payload: &str) -> String {
        let signed = signed_part(header, payload);
        format!("{signed}.{}", BASE64URL_NOPAD.encode(self.0.sign(signed.as_bytes()).as_ref()))
    }
}

/// What a token's signature is over.
pub(crate) fn signed_part(header: &str, payload: &str) -> String {
    format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(payload.as_bytes()))
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let market =
            Marketplace::open(Arc::new(MemoryStore::new()), Arc::new(RolePolicy), COLLECTIONS).await.unwrap();
        let settings =
            PasswordSettings { cost: Cost::new(1_024, 1, 1).unwrap(), ..PasswordSettings::default() };
        let passwords = Arc::new(Passwords::new(settings, market.clock().clone()).unwrap());
        let orders = BrokerPasswords::new(&MasterKey::from_bytes([7; 32]));
        let authenticator =
            MarketAuthenticator::new(market.clone(), passwords.clone(), orders.clone(), AUDIENCE);
        let mut users = Vec::new();
        for (name, role) in [
            ("seller", RoleName::PROVIDER),
            ("buyer", RoleName::CONSUMER),
            ("admin", RoleName::ADMINISTRATOR),
        ] {
            let command = RegisterUser {
                name: name.parse().unwrap(),
                display: name.parse().unwrap(),
                email: None,
                roles: BTreeSet::from([role]),
                profile: i3_core::user::Profile::default(),
                invitation: None,
                password: Some(passwords.hash(b"a secret").await.unwrap()),
            };
            users.push(market.execute(Actor::System, None, &command).await.unwrap());
        }
        let (buyer, seller) = (users.remove(1), users.remove(0));
        let by = Actor::User(seller.id);
        let hub = RegisterHub { slug: "acme".parse().unwrap(), title: "Acme".parse().unwrap() };
        let hub = market.execute(by, None, &hub).await.unwrap();
        let device = RegisterDevice {
            hub: hub.id,
            name: "pump".parse().unwrap(),
            title: "Pump".parse().unwrap(),
            credential: NewCredential::Password { hash: passwords.hash(b"a secret").await.unwrap() },
        };
        let device = market.execute(by, None, &device).await.unwrap();
        let product = CreateProduct {
            hub: hub.id,
            slug: "level".parse().unwrap(),
            title: "Level".parse().unwrap(),
            description: "".parse().unwrap(),
            tags: Vec::new(),
            devices: vec![device.id],
            stream: StreamDescription::default(),
        };
        let product = market.execute(by, None, &product).await.unwrap();
        market
            .execute(by, None, &MoveProduct { product: product.id, to: ProductState::Listed })
            .await
            .unwrap();
        let paid = TopUp {
            user: buyer.id,
            amount: Amount::new(1_000_000).unwrap(),
            currency: Currency::EUR,
            reference: "cash".to_owned(),
        };
        market.execute(Actor::System, None, &paid).await.unwrap();
        let authenticator = Arc::new(authenticator);
        Self { market, authenticator, orders, seller, buyer, device, product }
    }

    /// Starts a gate, in the runtime that this is called in.
    pub(crate) async fn gate(&self) -> Gate {
        let market = Arc::new(self.market.clone());
        let ports = Ports {
            authenticator: self.authenticator.clone(),
            directory: market.clone(),
            metering: market.clone(),
            streams: market,
            clock: Arc::new(SystemClock),
        };
        let mut config = GateConfig::new("127.0.0.1:0".parse().unwrap());
        HOLDER.clone_into(&mut config.holder);
        config.report_every = Duration::from_millis(50);
        let log = RumqttdLog::start(RumqttdLogConfig::default()).await.unwrap();
        let gate = Gate::start(config, ports, Arc::new(log)).await.unwrap();
        self.market.listen(gate.listener());
        gate
    }

    /// Buys so many messages at a cent each, for a number of seconds or for ever; gives the order and its password.
    pub(crate) async fn buy(&self, messages: u64, term_seconds: Option<u64>) -> (Order, String) {
        let offer = PublishOffer {
            product: self.product.id,
            currency: Currency::EUR,
            plan: Plan::FixedCount { messages, price: Amount::new(messages.try_into().unwrap()).unwrap() },
            term_seconds,
        };
        let offer = self.market.execute(Actor::User(self.seller.id), None, &offer).await.unwrap();
        let buyer = Actor::User(self.buyer.id);
        let order = self.market.execute(buyer, None, &Purchase { offer: offer.id }).await.unwrap();
        let password = self.orders.of(order.id, order.password_generation).expose().to_owned();
        (order, password)
    }

    /// Registers a key with the device.
    pub(crate) async fn add_key(&self, key: &Key) -> CredentialId {
        let credential = NewCredential::PublicKey { algorithm: KeyAlgorithm::EdDsa, pem: key.pem() };
        let add = AddCredential { device: self.device.id, credential, not_before: None, not_after: None };
        self.market.execute(Actor::User(self.seller.id), None, &add).await.unwrap()
    }

    pub(crate) async fn remove_credential(&self, credential: CredentialId) {
        let remove = RemoveCredential { device: self.device.id, credential };
        self.market.execute(Actor::User(self.seller.id), None, &remove).await.unwrap();
    }

    /// Another device of the seller's, with this key and no product.
    pub(crate) async fn add_device(&self, name: &str, key: &Key) {
        let command = RegisterDevice {
            hub: self.device.hub,
            name: name.parse().unwrap(),
            title: "Another".parse().unwrap(),
            credential: NewCredential::PublicKey { algorithm: KeyAlgorithm::EdDsa, pem: key.pem() },
        };
        self.market.execute(Actor::User(self.seller.id), None, &command).await.unwrap();
    }

    /// What the buyer can spend, in cents.
    pub(crate) async fn balance(&self) -> i64 {
        let balances = self.market.balances(Actor::System, Holder::Available(self.buyer.id)).await.unwrap();
        balances.iter().map(|balance| balance.amount.minor()).sum()
    }

    /// What an order was used for; the books must be without any difference. Reconciliation reads page by page, so a
    /// report of a gate that comes between two pages looks like one: it is gone the next time.
    pub(crate) async fn line(&self, order: &Order) -> GrantLine {
        let begun = Instant::now();
        let mut report = self.market.reconcile(Actor::System).await.unwrap();
        while !report.differences.is_empty() && begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(50)).await;
            report = self.market.reconcile(Actor::System).await.unwrap();
        }
        assert!(report.differences.is_empty(), "{:?}", report.differences);
        report.grants.into_iter().find(|line| line.order == order.id).unwrap()
    }

    /// Reclaims the leases of gates that died: how many messages came into doubt.
    pub(crate) async fn reclaim(&self) -> Vec<u64> {
        let reclaimed = self.market.reclaim(Actor::System, HOLDER).await.unwrap();
        reclaimed.into_iter().map(|(_, doubt)| doubt).collect()
    }

    /// The device, let in by its password.
    pub(crate) async fn device(&self, gate: &Gate, version: Version) -> Client {
        let mut client = Client::open(gate.local_addr(), version).await;
        let hello = Hello::new(version, "pump", DEVICE).password("a secret");
        assert_eq!(client.hello(&hello).await.map(|(_, code, _)| code), Some(0));
        client
    }

    /// A client of an order that receives its product.
    pub(crate) async fn receiver(
        &self,
        gate: &Gate,
        version: Version,
        order: &(Order, String),
        qos: u8,
    ) -> Client {
        let mut client = Client::open(gate.local_addr(), version).await;
        let hello = Hello::new(version, "receiver", &order.0.id.to_string()).password(&order.1);
        assert_eq!(client.hello(&hello).await.map(|(_, code, _)| code), Some(0));
        assert_eq!(client.subscribe(&[(self.product.topic.as_str(), qos)]).await, [qos]);
        client
    }

    /// What every test ends with: a fresh order is served and charged, and the books have no difference.
    pub(crate) async fn ends_well(&self, gate: Gate) {
        let order = self.buy(5, None).await;
        let mut device = self.device(&gate, V311).await;
        let mut receiver = self.receiver(&gate, V311, &order, 1).await;
        assert_eq!(device.publish(self.product.topic.as_str(), b"proof", 1).await, Fate::Acknowledged(0));
        assert_eq!(receiver.payload().await, b"proof");
        gate.shutdown().await;
        let line = self.line(&order.0).await;
        assert_eq!((line.usage.delivered, line.usage.open), (1, 0));
    }

    /// Seconds since 1970, now.
    pub(crate) fn seconds() -> i64 {
        SystemClock.now().seconds()
    }
}
