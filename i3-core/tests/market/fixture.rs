//! A small marketplace in memory: a seller with a hub, a device and a product, and buyers with money.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use i3_core::access::{Action, Actor, Decision, Policy, Resource, Subject};
use i3_core::device::Device;
use i3_core::gate::{AccessChange, AccessListener};
use i3_core::hub::Hub;
use i3_core::id::{OfferId, SequentialIds, UserId};
use i3_core::ledger::{Account, Holder};
use i3_core::market::{
    Command, CreateProduct, MarketError, Marketplace, MoveProduct, NewCredential, PublishOffer, Purchase,
    Refusal, RegisterDevice, RegisterHub, RegisterUser, Settings, TopUp,
};
use i3_core::money::{Amount, Currency, UnitPrice};
use i3_core::offer::Plan;
use i3_core::order::Order;
use i3_core::product::{Product, ProductState};
use i3_core::role::RoleName;
use i3_core::secret::SecretHash;
use i3_core::store::{DynStore, MemoryStore};
use i3_core::time::{ManualClock, Timestamp};

/// Allows what is listed nowhere else: the rules of roles are tested in `i3-auth`.
#[derive(Debug)]
pub(crate) struct AllowAll;

impl Policy for AllowAll {
    fn decide(&self, _: &Subject, _: Action, _: &Resource) -> Decision {
        Decision::allow("the test allows everything")
    }
}

#[derive(Debug)]
pub(crate) struct DenyAll;

impl Policy for DenyAll {
    fn decide(&self, _: &Subject, _: Action, _: &Resource) -> Decision {
        Decision::deny("the test denies everything")
    }
}

pub(crate) struct Fixture {
    pub(crate) store: DynStore,
    pub(crate) market: Marketplace,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) seller: UserId,
    pub(crate) buyer: UserId,
    pub(crate) hub: Hub,
    pub(crate) device: Device,
    pub(crate) product: Product,
}

pub(crate) fn euros(minor: i64) -> Amount {
    Amount::new(minor).unwrap()
}

pub(crate) fn fixed(messages: u64, price: i64) -> Plan {
    Plan::FixedCount { messages, price: euros(price) }
}

/// `nanos` billionths of a euro for each message.
pub(crate) fn per_message(nanos: u64, quota: Option<u64>) -> Plan {
    Plan::PerMessage { unit_price: UnitPrice::try_from(nanos).unwrap(), quota }
}

pub(crate) fn refusal(error: MarketError) -> Refusal {
    match error {
        MarketError::Refused(refusal) => refusal,
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new())).await
    }

    pub(crate) async fn over(store: DynStore) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_800_000_000_000_000).unwrap()));
        let market = Marketplace::open(store.clone(), Arc::new(AllowAll), &[])
            .await
            .unwrap()
            .with_clock(clock.clone())
            .with_ids(Arc::new(SequentialIds::default()))
            .with_settings(Settings::default().with_fee_points(1_000));
        let seller = user(&market, "seller", RoleName::PROVIDER).await;
        let buyer = user(&market, "buyer", RoleName::CONSUMER).await;
        let actor = Actor::User(seller);
        let hub = RegisterHub { slug: "acme".parse().unwrap(), title: "Acme".parse().unwrap() };
        let hub = market.execute(actor, None, &hub).await.unwrap();
        let device = RegisterDevice {
            hub: hub.id,
            name: "roof".parse().unwrap(),
            title: "Roof".parse().unwrap(),
            credential: NewCredential::Password { hash: SecretHash::new("hash") },
        };
        let device = market.execute(actor, None, &device).await.unwrap();
        let product = CreateProduct {
            hub: hub.id,
            slug: "air".parse().unwrap(),
            title: "Air".parse().unwrap(),
            description: "Air quality on the roof".parse().unwrap(),
            tags: Vec::new(),
            devices: vec![device.id],
            stream: i3_core::stream::StreamDescription::default(),
        };
        let product = market.execute(actor, None, &product).await.unwrap();
        let listed = MoveProduct { product: product.id, to: ProductState::Listed };
        let product = market.execute(actor, None, &listed).await.unwrap();
        Self { store, market, clock, seller, buyer, hub, device, product }
    }

    pub(crate) async fn done<C: Command>(&self, actor: UserId, command: &C) -> C::Done {
        self.market.execute(Actor::User(actor), None, command).await.unwrap()
    }

    pub(crate) async fn refused<C: Command>(&self, actor: UserId, command: &C) -> Refusal
    where
        C::Done: std::fmt::Debug,
    {
        refusal(self.market.execute(Actor::User(actor), None, command).await.unwrap_err())
    }

    pub(crate) async fn offer(&self, plan: Plan) -> OfferId {
        self.offer_for(plan, None).await
    }

    pub(crate) async fn offer_for(&self, plan: Plan, term_seconds: Option<u64>) -> OfferId {
        let offer = PublishOffer { product: self.product.id, currency: Currency::EUR, plan, term_seconds };
        self.done(self.seller, &offer).await.id
    }

    pub(crate) async fn top_up(&self, user: UserId, minor: i64) {
        let top_up =
            TopUp { user, amount: euros(minor), currency: Currency::EUR, reference: "test".to_owned() };
        self.market.execute(Actor::System, None, &top_up).await.unwrap();
    }

    pub(crate) async fn buy(&self, plan: Plan) -> Order {
        let offer = self.offer(plan).await;
        self.done(self.buyer, &Purchase { offer }).await
    }

    pub(crate) async fn balance(&self, holder: Holder) -> i64 {
        let account = Account { holder, currency: Currency::EUR };
        let key = account.balance_key().unwrap();
        i3_core::store::StoreExt::counter(self.market.store(), &key).await.unwrap().get()
    }

    pub(crate) async fn available(&self) -> i64 {
        self.balance(Holder::Available(self.buyer)).await
    }

    /// Everything adds up.
    pub(crate) async fn assert_balanced(&self) {
        let report = self.market.reconcile(Actor::System).await.unwrap();
        assert!(report.differences.is_empty(), "{:#?}", report.differences);
        assert!(report.ledger_sums.values().all(|sum| sum == "0"), "{:?}", report.ledger_sums);
    }

    pub(crate) fn clock_now(&self) -> Timestamp {
        self.market.now()
    }

    pub(crate) fn pass(&self, span: Duration) {
        self.clock.advance(span);
    }
}

pub(crate) async fn user(market: &Marketplace, name: &str, role: RoleName) -> UserId {
    let register = RegisterUser {
        name: name.parse().unwrap(),
        display: name.parse().unwrap(),
        email: None,
        roles: BTreeSet::from([role]),
        profile: i3_core::user::Profile::default(),
        invitation: None,
        password: None,
    };
    market.execute(Actor::Anonymous, None, &register).await.unwrap().id
}

/// Remembers what it was told.
#[derive(Debug, Default)]
pub(crate) struct Recorder(pub(crate) std::sync::Mutex<Vec<AccessChange>>);

#[async_trait::async_trait]
impl AccessListener for Recorder {
    async fn access_changed(&self, changes: &[AccessChange]) {
        self.0.lock().unwrap().extend(changes);
    }
}

impl Recorder {
    /// What it was told since the last call.
    pub(crate) fn told(&self) -> Vec<AccessChange> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}
