//! Random commands by a few people on a few things; after each, the books must balance.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use i3_core::access::{Actor, HubRole};
use i3_core::gate::{LeaseTerms, Metering};
use i3_core::id::{CredentialId, GrantId, OfferId, OrderId, UserId};
use i3_core::market::{
    ActivateUser, AddCredential, CancelOrder, DescribeProduct, IdempotencyKey, MarketError, MoveProduct,
    NewCredential, Purchase, RateProduct, Refusal, RegisterUser, Registration, RemoveCredential,
    RemoveMember, ReplaceOrderPassword, RevokeGrant, SetMember, Settings, SuspendUser, WithdrawOffer,
};
use i3_core::offer::Plan;
use i3_core::order::{Order, OrderState, Terms};
use i3_core::product::ProductState;
use i3_core::role::RoleName;
use i3_core::secret::SecretHash;
use proptest::prelude::*;

use crate::fixture::{Fixture, fixed, per_message, user};

/// Numbers choose among what there is; what does not fit is refused, which is part of the test.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Offer(Plan),
    Withdraw(usize),
    TopUp(usize, i64),
    Buy(usize, usize),
    Open(usize, u64),
    Extend(usize, u64, u64),
    Close(usize, u64),
    Crash(usize),
    Cancel(usize),
    Revoke(usize),
    Rate(usize, u8),
    Pause,
    Relist,
    Suspend(usize),
    Reinstate(usize),
    Wait(u64),
    Member(usize, bool),
    Password(usize),
    Describe(u8),
    Credential(bool),
    Fees(u16, bool),
    Newcomer(u8),
    Expire,
}

fn plans() -> impl Strategy<Value = Plan> {
    prop_oneof![
        prop::option::of(1_u64..50).prop_map(|quota| Plan::Free { quota }),
        (1_u64..60, 1_i64..500).prop_map(|(messages, price)| fixed(messages, price)),
        (1_u64..90_000_000, prop::option::of(1_u64..50)).prop_map(|(nanos, quota)| per_message(nanos, quota)),
    ]
}

pub(crate) fn steps() -> impl Strategy<Value = Step> {
    let choice = 0_usize..8;
    prop_oneof![
        1 => plans().prop_map(Step::Offer),
        1 => choice.clone().prop_map(Step::Withdraw),
        3 => (choice.clone(), 1_i64..1_000).prop_map(|(who, minor)| Step::TopUp(who, minor)),
        6 => (choice.clone(), choice.clone()).prop_map(|(who, offer)| Step::Buy(who, offer)),
        6 => (choice.clone(), 1_u64..40).prop_map(|(order, count)| Step::Open(order, count)),
        8 => (choice.clone(), 0_u64..40, 0_u64..40).prop_map(|(lease, by, more)| Step::Extend(lease, by, more)),
        4 => (choice.clone(), 0_u64..40).prop_map(|(lease, by)| Step::Close(lease, by)),
        3 => choice.clone().prop_map(Step::Crash),
        1 => choice.clone().prop_map(Step::Cancel),
        1 => choice.clone().prop_map(Step::Revoke),
        2 => (choice.clone(), 1_u8..=5).prop_map(|(order, stars)| Step::Rate(order, stars)),
        1 => Just(Step::Pause),
        1 => Just(Step::Relist),
        1 => choice.clone().prop_map(Step::Suspend),
        1 => choice.prop_map(Step::Reinstate),
        1 => (1_u64..100).prop_map(Step::Wait),
        1 => (0_usize..8, any::<bool>()).prop_map(|(who, joins)| Step::Member(who, joins)),
        1 => (0_usize..8).prop_map(Step::Password),
        1 => any::<u8>().prop_map(Step::Describe),
        1 => any::<bool>().prop_map(Step::Credential),
        1 => (0_u16..3_000, any::<bool>()).prop_map(|(points, open)| Step::Fees(points, open)),
        1 => (0_u8..20).prop_map(Step::Newcomer),
        1 => Just(Step::Expire),
    ]
}

#[derive(Debug)]
struct OpenLease {
    terms: LeaseTerms,
    delivered: u64,
    holder: String,
    grant: GrantId,
}

/// What the test itself knows, apart from the marketplace.
pub(crate) struct World {
    pub(crate) f: Fixture,
    buyers: Vec<UserId>,
    pub(crate) offers: Vec<OfferId>,
    orders: Vec<Order>,
    terms: BTreeMap<OrderId, Terms>,
    leases: Vec<OpenLease>,
    /// Messages really delivered, order by order: as the socket would have counted them.
    written: BTreeMap<GrantId, u64>,
    topped_up: i64,
    holders: usize,
    credentials: Vec<CredentialId>,
    requests: usize,
}

fn pick<T>(items: &[T], choice: usize) -> Option<&T> {
    if items.is_empty() { None } else { items.get(choice % items.len()) }
}

/// A refusal is an answer; a failure of the store is not, here.
fn answered<T>(result: Result<T, MarketError>) -> Result<Option<T>, TestCaseError> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(MarketError::Refused(Refusal::Invalid { field, reason })) => {
            Err(TestCaseError::fail(format!("a request of the test made no sense: {field}: {reason}")))
        }
        Err(MarketError::Refused(_)) => Ok(None),
        Err(error) => Err(TestCaseError::fail(error.to_string())),
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let f = Fixture::new().await;
        let second = user(&f.market, "second", RoleName::CONSUMER).await;
        let buyers = vec![f.buyer, second];
        Self {
            f,
            buyers,
            offers: Vec::new(),
            orders: Vec::new(),
            terms: BTreeMap::new(),
            leases: Vec::new(),
            written: BTreeMap::new(),
            topped_up: 0,
            holders: 0,
            credentials: Vec::new(),
            requests: 0,
        }
    }

    pub(crate) async fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let f = &self.f;
        let seller = Actor::User(f.seller);
        let moved = |to| MoveProduct { product: f.product.id, to };
        match step {
            Step::Offer(plan) => self.offers.push(f.offer(*plan).await),
            Step::Withdraw(offer) => {
                if let Some(offer) = pick(&self.offers, *offer) {
                    answered(f.market.execute(seller, None, &WithdrawOffer { offer: *offer }).await)?;
                }
            }
            Step::TopUp(who, minor) => {
                f.top_up(*pick(&self.buyers, *who).unwrap(), *minor).await;
                self.topped_up += minor;
            }
            Step::Buy(who, offer) => {
                let Some(offer) = pick(&self.offers, *offer) else { return Ok(()) };
                let buyer = Actor::User(*pick(&self.buyers, *who).unwrap());
                self.requests += 1;
                let key: IdempotencyKey = format!("request-{}", self.requests).parse().unwrap();
                let buy = Purchase { offer: *offer };
                if let Some(order) = answered(f.market.execute(buyer, Some(&key), &buy).await)? {
                    let again = f.market.execute(buyer, Some(&key), &buy).await.unwrap();
                    prop_assert_eq!(&again, &order, "another answer under the same key");
                    self.terms.insert(order.id, order.terms.clone());
                    self.orders.push(order);
                }
            }
            Step::Open(order, count) => {
                let Some(order) = pick(&self.orders, *order) else { return Ok(()) };
                let (grant, holder) = (GrantId::of(order.id), format!("gate-{}", self.holders));
                if let Ok(terms) = f.market.open(grant, &holder, *count).await {
                    prop_assert!(terms.granted >= 1 && terms.granted <= *count);
                    self.holders += 1;
                    self.leases.push(OpenLease { terms, delivered: 0, holder, grant });
                }
            }
            Step::Extend(lease, by, more) => {
                let count = self.leases.len();
                if count > 0 {
                    let lease = &mut self.leases[lease % count];
                    let delivered = (lease.delivered + by).min(lease.terms.granted);
                    *self.written.entry(lease.grant).or_default() += delivered - lease.delivered;
                    lease.delivered = delivered;
                    let wanted = lease.terms.granted + more;
                    let terms = f.market.extend(lease.terms.lease, delivered.into(), wanted).await.unwrap();
                    prop_assert!(terms.granted >= lease.terms.granted && terms.granted <= wanted);
                    let grant = f.market.grant_of(Actor::System, lease.grant.order()).await.unwrap();
                    if grant.epoch != lease.terms.epoch {
                        prop_assert_eq!(
                            terms.granted,
                            lease.terms.granted,
                            "more was granted under an old epoch"
                        );
                    }
                    lease.terms = terms;
                }
            }
            Step::Close(lease, by) => {
                if !self.leases.is_empty() {
                    let lease = self.leases.swap_remove(lease % self.leases.len());
                    let delivered = (lease.delivered + by).min(lease.terms.granted);
                    *self.written.entry(lease.grant).or_default() += delivered - lease.delivered;
                    f.market.close(lease.terms.lease, delivered.into()).await.unwrap();
                }
            }
            Step::Crash(lease) => {
                if !self.leases.is_empty() {
                    let lease = self.leases.swap_remove(lease % self.leases.len());
                    // The worst case: all of it reached the buyer, nothing was reported.
                    *self.written.entry(lease.grant).or_default() += lease.terms.granted - lease.delivered;
                    let doubt = f.market.reclaim(Actor::System, &lease.holder).await.unwrap();
                    prop_assert_eq!(doubt, [(lease.terms.lease, lease.terms.granted - lease.delivered)]);
                }
            }
            Step::Cancel(order) => {
                if let Some(order) = pick(&self.orders, *order) {
                    let cancel = CancelOrder { order: order.id };
                    answered(f.market.execute(Actor::User(order.buyer), None, &cancel).await)?;
                }
            }
            Step::Revoke(order) => {
                if let Some(order) = pick(&self.orders, *order) {
                    let revoke = RevokeGrant { grant: GrantId::of(order.id) };
                    answered(f.market.execute(seller, None, &revoke).await)?;
                }
            }
            Step::Rate(order, stars) => {
                if let Some(order) = pick(&self.orders, *order) {
                    let stars = (*stars).try_into().unwrap();
                    let rate = RateProduct { order: order.id, stars, comment: None };
                    answered(f.market.execute(Actor::User(order.buyer), None, &rate).await)?;
                }
            }
            Step::Pause => {
                answered(f.market.execute(seller, None, &moved(ProductState::Paused)).await)?;
            }
            Step::Relist => {
                answered(f.market.execute(seller, None, &moved(ProductState::Listed)).await)?;
            }
            Step::Suspend(who) => {
                let user = *pick(&self.buyers, *who).unwrap();
                answered(f.market.execute(Actor::System, None, &SuspendUser { user }).await)?;
            }
            Step::Reinstate(who) => {
                let user = *pick(&self.buyers, *who).unwrap();
                answered(f.market.execute(Actor::System, None, &ActivateUser { user }).await)?;
            }
            Step::Wait(seconds) => f.pass(Duration::from_secs(*seconds)),
            Step::Member(who, joins) => {
                let user = *pick(&self.buyers, *who).unwrap();
                let hub = f.hub.id;
                if *joins {
                    let set = SetMember { hub, user, role: HubRole::Manager };
                    answered(f.market.execute(seller, None, &set).await)?;
                } else {
                    answered(f.market.execute(seller, None, &RemoveMember { hub, user }).await)?;
                }
            }
            Step::Password(order) => {
                if let Some(order) = pick(&self.orders, *order) {
                    let replace = ReplaceOrderPassword { order: order.id };
                    answered(f.market.execute(Actor::User(order.buyer), None, &replace).await)?;
                }
            }
            Step::Describe(number) => {
                let describe = DescribeProduct {
                    product: f.product.id,
                    title: Some(format!("Air \u{fc}ber {number}").parse().unwrap()),
                    description: Some("\"Quoted\"\n\\ and a line".parse().unwrap()),
                    tags: Some(vec![format!("tag-{number}").parse().unwrap()]),
                    devices: None,
                };
                f.market.execute(seller, None, &describe).await.unwrap();
            }
            Step::Credential(added) => {
                let device = f.device.id;
                if *added && self.credentials.len() < 5 {
                    let credential = NewCredential::Password { hash: SecretHash::new("$argon2id$secret") };
                    let add = AddCredential { device, credential, not_before: None, not_after: None };
                    self.credentials.push(f.market.execute(seller, None, &add).await.unwrap());
                } else if let Some(credential) = self.credentials.pop() {
                    let remove = RemoveCredential { device, credential };
                    f.market.execute(seller, None, &remove).await.unwrap();
                }
            }
            Step::Fees(points, open) => {
                let registration = if *open { Registration::Open } else { Registration::Approval };
                let settings = Settings::default().with_fee_points(*points).with_registration(registration);
                self.f.market = f.market.clone().with_settings(settings);
            }
            Step::Newcomer(number) => {
                let register = RegisterUser {
                    name: format!("newcomer-{number}").parse().unwrap(),
                    display: "Newcomer".parse().unwrap(),
                    email: Some("n@example.org".parse().unwrap()),
                    roles: BTreeSet::from([RoleName::CONSUMER]),
                    profile: i3_core::user::Profile::default(),
                    invitation: None,
                    password: Some(SecretHash::new("$argon2id$secret")),
                };
                answered(f.market.execute(Actor::Anonymous, None, &register).await)?;
            }
            Step::Expire => {
                f.market.expire(Actor::System).await.unwrap();
            }
        }
        Ok(())
    }

    async fn check(&self) -> Result<(), TestCaseError> {
        let f = &self.f;
        let report = f.market.reconcile(Actor::System).await.unwrap();
        prop_assert!(report.differences.is_empty(), "{:#?}", report.differences);
        prop_assert!(report.ledger_sums.values().all(|sum| sum == "0"));
        prop_assert_eq!(report.grants.len(), self.orders.len(), "an order has exactly one grant");

        // Money: what came in is what the accounts hold, and no account is below nothing.
        let mut held = 0;
        let mut rated = 0;
        for line in &report.grants {
            let usage = &line.usage;
            let written = self.written.get(&usage.grant).copied().unwrap_or(0);
            prop_assert_eq!(
                self.terms.get(&line.order),
                Some(&f.market.order(Actor::System, line.order).await.unwrap().terms)
            );
            prop_assert!(usage.held.minor() >= 0 && usage.captured.minor() >= 0 && usage.fee.minor() >= 0);
            // What reached the buyer is billed or in doubt, and never beyond what was bought.
            prop_assert!(usage.delivered <= written && written <= usage.delivered + usage.in_doubt);
            if let Some(quota) = self.terms[&line.order].plan.quota() {
                prop_assert!(written <= quota);
            }
            let terms = &self.terms[&line.order];
            let order = f.market.order(Actor::System, line.order).await.unwrap();
            if matches!(terms.plan, Plan::PerMessage { .. }) && order.state == OrderState::Active {
                let prepaid = usage.captured.plus(usage.held).unwrap();
                prop_assert!(terms.plan.due(written, terms.currency).unwrap() <= prepaid, "not prepaid");
            }
            held += usage.held.minor() + usage.captured.minor();
            rated += usize::from(usage.delivered > 0);
        }
        let mut spendable = 0;
        for buyer in &self.buyers {
            let balance = f.balance(i3_core::ledger::Holder::Available(*buyer)).await;
            prop_assert!(balance >= 0);
            spendable += balance;
        }
        prop_assert_eq!(spendable + held, self.topped_up, "money was made or lost");
        let score = f.market.score(f.product.id).await.unwrap();
        prop_assert!(usize::try_from(score.ratings).unwrap() <= rated, "more ratings than grants with usage");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_books_balance_after_every_command(trace in prop::collection::vec(steps(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for plan in [fixed(20, 100), per_message(15_000_000, None), Plan::Free { quota: Some(30) }] {
                world.offers.push(world.f.offer(plan).await);
            }
            for step in &trace {
                world.step(step).await?;
                world.check().await?;
            }
            // When every gate has reported and every order has ended, nothing is held any more.
            while let Some(lease) = world.leases.pop() {
                world.f.market.close(lease.terms.lease, lease.delivered.into()).await.unwrap();
            }
            for order in &world.orders {
                let cancel = CancelOrder { order: order.id };
                answered(world.f.market.execute(Actor::System, None, &cancel).await)?;
            }
            world.check().await?;
            let report = world.f.market.reconcile(Actor::System).await.unwrap();
            prop_assert!(report.grants.iter().all(|line| line.usage.held.minor() == 0 && line.usage.open == 0));
            Ok(())
        })?;
    }
}
