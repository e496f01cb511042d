//! Leases: quota out to gates, usage back.
//!
//! All four commands are safe to repeat without an idempotency key: counts are totals, a lease's id is
//! chosen by the caller, and a closed lease stays closed.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::trade::{order_parts, settle};
use super::{Command, Context, Decided, MarketError, Marketplace, Refusal};
use crate::access::{Action, Actor, Resource};
use crate::gate::{GrantView, LeaseRefusal, LeaseReport, LeaseTerms, Metering, MeteringError};
use crate::grant::{Grant, GrantState};
use crate::hub::{Hub, HubState};
use crate::id::{GrantId, LeaseId, TypedId};
use crate::ledger::{Account, Holder, Memo};
use crate::money::{Amount, AmountOverflow};
use crate::offer::Plan;
use crate::order::{Order, OrderState};
use crate::outbox::Event;
use crate::product::{Product, ProductState};
use crate::store::{Applied, Entity, Halt, Key, StoreError, StoreErrorKind};
use crate::usage::{Lease, LeaseState, Missed, Usage};
use crate::user::{User, UserState};

/// What a gate is told about its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseAnswer {
    /// The grant's epoch when the lease was taken.
    pub epoch: u32,
    /// Messages that may be delivered under it, in all.
    pub granted: u64,
}

/// Takes a lease.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenLease {
    /// The id that it shall have.
    pub lease: LeaseId,
    /// Under which grant.
    pub grant: GrantId,
    /// Which gate.
    pub holder: String,
    /// How many messages.
    pub messages: u64,
}

/// Whether all that a delivery rests on is active: grant, product, hub and buyer.
fn is_open(context: &mut Context<'_, '_>, order: &Order, grant: &Grant) -> Decided<bool> {
    context.tx.want([
        Product::key(&order.product)?,
        Hub::key(&order.terms.hub)?,
        User::key(&order.buyer)?,
    ])?;
    let product: Option<Product> = context.tx.get(&order.product)?;
    let hub: Option<Hub> = context.tx.get(&order.terms.hub)?;
    let buyer: Option<User> = context.tx.get(&order.buyer)?;
    Ok(grant.is_open(context.tx.now())
        && product.is_some_and(|product| product.state == ProductState::Listed)
        && hub.is_some_and(|hub| hub.state == HubState::Active)
        && buyer.is_some_and(|buyer| buyer.state == UserState::Active))
}

/// As many of the wanted messages as this balance pays for, beside what the order holds already.
pub(super) fn payable(
    order: &Order,
    usage: &Usage,
    balance: Amount,
    wanted: u64,
) -> Result<u64, AmountOverflow> {
    let (plan, currency) = (&order.terms.plan, order.terms.currency);
    let Plan::PerMessage { .. } = plan else { return Ok(wanted) };
    let taken = usage.secured(order);
    let budget = usage.captured.plus(usage.held)?.plus(balance)?;
    Ok(plan.affordable(budget, taken.saturating_add(wanted), currency).saturating_sub(taken))
}

/// As many of the wanted messages as the buyer's balance pays for now.
fn affordable(context: &mut Context<'_, '_>, order: &Order, usage: &Usage, wanted: u64) -> Decided<u64> {
    let Plan::PerMessage { .. } = order.terms.plan else { return Ok(wanted) };
    let account = Account { holder: Holder::Available(order.buyer), currency: order.terms.currency };
    let balance = context.tx.counter(&account.balance_key()?)?;
    let balance = Amount::new(balance.get()).map_err(|error| Halt::Refused(error.into()))?;
    match payable(order, usage, balance, wanted).map_err(|error| Halt::Refused(error.into()))? {
        0 => Err(Halt::Refused(LeaseRefusal::InsufficientFunds.into())),
        count => Ok(count),
    }
}

impl Command for OpenLease {
    type Done = LeaseAnswer;
    const NAME: &'static str = "open_lease";

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        let grant = self.grant;
        Ok(vec![
            Lease::key(&self.lease)?,
            Order::key(&grant.order())?,
            Grant::key(&grant)?,
            Usage::key(&grant)?,
        ])
    }

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<LeaseAnswer> {
        context.authorize(Action::Meter, &Resource::MARKETPLACE)?;
        if self.holder.is_empty()
            || self.holder.len() > 64
            || !self.holder.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(Halt::Refused(Refusal::invalid(
                "holder",
                "1 to 64 visible ASCII characters are expected",
            )));
        }
        if let Some(lease) = context.tx.get::<Lease>(&self.lease)? {
            return Ok(LeaseAnswer { epoch: lease.epoch, granted: lease.granted });
        }
        let no_such = |_| Halt::Refused(LeaseRefusal::NoSuchLease.into());
        let (order, grant, mut usage) = match order_parts(context, self.grant.order()) {
            Err(Halt::Refused(refusal)) => return Err(no_such(refusal)),
            other => other?,
        };
        if grant.state == GrantState::Exhausted {
            return Err(Halt::Refused(LeaseRefusal::Exhausted.into()));
        }
        if !is_open(context, &order, &grant)? {
            return Err(Halt::Refused(LeaseRefusal::NotActive.into()));
        }
        let affordable = affordable(context, &order, &usage, self.messages.max(1))?;
        let granted =
            usage.admit(&order.terms.plan, affordable).map_err(|refusal| Halt::Refused(refusal.into()))?;
        let memo = Memo::Usage { order: order.id, delivered: usage.delivered };
        settle(context, &order, &mut usage, &memo, &LeaseRefusal::InsufficientFunds.into())?;
        let lease = Lease {
            id: self.lease,
            grant: grant.id,
            holder: self.holder.clone(),
            epoch: grant.epoch,
            granted,
            delivered: 0,
            missed: Missed::default(),
            state: LeaseState::Open,
            opened: context.tx.now(),
        };
        context.tx.create(&lease)?;
        context.tx.replace(&usage)?;
        Ok(LeaseAnswer { epoch: grant.epoch, granted })
    }
}

/// Loads an open lease with what it belongs to.
fn open_lease(context: &mut Context<'_, '_>, id: LeaseId) -> Decided<(Lease, Order, Grant, Usage)> {
    let lease: Lease = context.tx.need(&id, LeaseRefusal::NoSuchLease.into())?;
    if lease.state != LeaseState::Open {
        return Err(Halt::Refused(LeaseRefusal::NoSuchLease.into()));
    }
    let (order, grant, usage) = order_parts(context, lease.grant.order())?;
    Ok((lease, order, grant, usage))
}

/// Takes a gate's new totals over.
fn report(lease: &mut Lease, usage: &mut Usage, delivered: u64, missed: Missed) -> Decided<()> {
    if delivered > lease.granted {
        return Err(Halt::Refused(Refusal::invalid("delivered", "more is reported than was granted")));
    }
    let more = delivered.saturating_sub(lease.delivered);
    usage.resolve(more, 0, 0);
    lease.delivered = lease.delivered.saturating_add(more);
    let more = missed.since(lease.missed);
    usage.missed = usage.missed.plus(more);
    lease.missed = lease.missed.plus(more);
    Ok(())
}

/// Stores a lease and its usage, moves the money, and completes the order if nothing is left of it.
fn keep(
    context: &mut Context<'_, '_>,
    (lease, mut order, grant, mut usage): (&Lease, Order, Grant, Usage),
) -> Decided<()> {
    if grant.state == GrantState::Active && usage.is_exhausted(&order.terms.plan) {
        order.state = OrderState::Completed;
        let grant = grant.ended(GrantState::Exhausted);
        context.tx.replace(&order)?;
        context.tx.replace(&grant)?;
        context.emit(Event::GrantEnded { grant: grant.id, epoch: grant.epoch });
    }
    let memo = Memo::Usage { order: order.id, delivered: usage.delivered };
    settle(context, &order, &mut usage, &memo, &LeaseRefusal::InsufficientFunds.into())?;
    context.tx.replace(lease)?;
    context.tx.replace(&usage)
}

/// Reports usage and asks for more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExtendLease {
    /// The lease.
    pub lease: LeaseId,
    /// Messages delivered, in all.
    pub delivered: u64,
    /// Messages missed while the lease was open, in all.
    #[serde(default, skip_serializing_if = "Missed::is_none")]
    pub missed: Missed,
    /// Messages wanted, in all.
    pub granted: u64,
}

impl Command for ExtendLease {
    type Done = LeaseAnswer;
    const NAME: &'static str = "extend_lease";

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        Ok(vec![Lease::key(&self.lease)?])
    }

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<LeaseAnswer> {
        context.authorize(Action::Meter, &Resource::MARKETPLACE)?;
        let (mut lease, order, grant, mut usage) = open_lease(context, self.lease)?;
        report(&mut lease, &mut usage, self.delivered, self.missed)?;
        let wanted = self.granted.saturating_sub(lease.granted);
        if wanted > 0 && grant.epoch == lease.epoch && is_open(context, &order, &grant)? {
            // What cannot be had now is no reason to lose the report.
            let more = match affordable(context, &order, &usage, wanted) {
                Ok(affordable) => usage.admit(&order.terms.plan, affordable).unwrap_or(0),
                Err(Halt::Refused(_)) => 0,
                Err(halt) => return Err(halt),
            };
            lease.granted = lease.granted.saturating_add(more);
        }
        let answer = LeaseAnswer { epoch: lease.epoch, granted: lease.granted };
        let (id, total) = (usage.grant, usage.delivered);
        keep(context, (&lease, order, grant, usage))?;
        context.emit(Event::UsageMetered { grant: id, lease: lease.id, delivered: total });
        Ok(answer)
    }
}

/// Reports the final count and gives the rest back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CloseLease {
    /// The lease.
    pub lease: LeaseId,
    /// Messages delivered, in all.
    pub delivered: u64,
    /// Messages missed while the lease was open, in all.
    #[serde(default, skip_serializing_if = "Missed::is_none")]
    pub missed: Missed,
}

impl Command for CloseLease {
    type Done = ();
    const NAME: &'static str = "close_lease";

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        Ok(vec![Lease::key(&self.lease)?])
    }

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<()> {
        context.authorize(Action::Meter, &Resource::MARKETPLACE)?;
        let (mut lease, order, grant, mut usage) = open_lease(context, self.lease)?;
        report(&mut lease, &mut usage, self.delivered, self.missed)?;
        usage.resolve(0, lease.unreported(), 0);
        lease.state = LeaseState::Closed;
        let (id, total) = (usage.grant, usage.delivered);
        keep(context, (&lease, order, grant, usage))?;
        context.emit(Event::UsageMetered { grant: id, lease: lease.id, delivered: total });
        Ok(())
    }
}

/// Takes back the lease of a gate that died. What it had not reported is in doubt: perhaps delivered, so
/// never delivered again, and not billed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReclaimLease {
    /// The lease.
    pub lease: LeaseId,
    /// Where each message is paid from the balance: whether the price of what came into doubt stays held until the order
    /// ends. What goes back at once can be spent on the same order again, and more is delivered than was prepaid. The
    /// money of a fixed count, against which the doubt stays counted, always goes back at once. Logs from before there was
    /// a choice do not have it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold: bool,
}

impl Command for ReclaimLease {
    type Done = u64;
    const NAME: &'static str = "reclaim_lease";

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        Ok(vec![Lease::key(&self.lease)?])
    }

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<u64> {
        context.authorize(Action::Meter, &Resource::MARKETPLACE)?;
        let (mut lease, order, grant, mut usage) = open_lease(context, self.lease)?;
        let in_doubt = lease.unreported();
        usage.resolve(0, 0, in_doubt);
        if self.hold && matches!(order.terms.plan, Plan::PerMessage { .. }) {
            usage.held_doubt = usage.held_doubt.saturating_add(in_doubt);
        }
        lease.state = LeaseState::Reclaimed;
        let id = usage.grant;
        keep(context, (&lease, order, grant, usage))?;
        context.emit(Event::LeaseReclaimed { grant: id, lease: lease.id, in_doubt });
        Ok(in_doubt)
    }
}

/// How often a metering command is sent again when its outcome is unknown.
const TRIES: usize = 3;

impl Marketplace {
    async fn meter<C: Command>(&self, command: &C) -> Result<C::Done, MeteringError> {
        let mut tries = 0;
        loop {
            let failed = match self.execute(Actor::System, None, command).await {
                Ok(done) => return Ok(done),
                Err(MarketError::Refused(Refusal::Lease(refusal))) => return Err(refusal.into()),
                Err(MarketError::Refused(refusal)) => {
                    StoreError::new(StoreErrorKind::Unsupported, "the gate's report was refused")
                        .with_source(refusal)
                }
                Err(MarketError::Conflict) => {
                    StoreError::new(StoreErrorKind::Busy, "too many leases change at once")
                }
                Err(MarketError::Store(error)) if error.applied() == Applied::Unknown && tries < TRIES => {
                    tries += 1;
                    continue;
                }
                Err(MarketError::Store(error)) => error,
            };
            // Whatever became of this try, an earlier one may have been applied.
            return Err(if tries > 0 { failed.outcome_unknown() } else { failed }.into());
        }
    }
}

#[async_trait]
impl Metering for Marketplace {
    async fn open(&self, grant: GrantId, holder: &str, messages: u64) -> Result<LeaseTerms, MeteringError> {
        let bits = self.ids.fresh(self.clock.now()).map_err(|error| {
            StoreError::new(StoreErrorKind::Unavailable, "no fresh id can be made").with_source(error)
        })?;
        let lease = LeaseId::from_bits(bits);
        let command = OpenLease { lease, grant, holder: holder.to_owned(), messages };
        let answer = self.meter(&command).await?;
        Ok(LeaseTerms { lease, epoch: answer.epoch, granted: answer.granted })
    }

    async fn extend(
        &self,
        lease: LeaseId,
        report: LeaseReport,
        granted: u64,
    ) -> Result<LeaseTerms, MeteringError> {
        let LeaseReport { delivered, missed } = report;
        let answer = match self.meter(&ExtendLease { lease, delivered, missed, granted }).await {
            // The money went elsewhere in the same moment: the report alone needs none.
            Err(MeteringError::Refused(LeaseRefusal::InsufficientFunds)) => {
                self.meter(&ExtendLease { lease, delivered, missed, granted: 0 }).await?
            }
            other => other?,
        };
        Ok(LeaseTerms { lease, epoch: answer.epoch, granted: answer.granted })
    }

    async fn close(&self, lease: LeaseId, report: LeaseReport) -> Result<(), MeteringError> {
        let LeaseReport { delivered, missed } = report;
        match self.meter(&CloseLease { lease, delivered, missed }).await {
            // Sent again after an unknown outcome: the first try closed it.
            Err(MeteringError::Refused(LeaseRefusal::NoSuchLease)) => Ok(()),
            other => other,
        }
    }
}

/// A grant and what it rests on, as a gate sees it.
pub(super) fn view(grant: &Grant, order: &Order, open: bool) -> GrantView {
    GrantView {
        grant: grant.id,
        buyer: grant.buyer,
        product: grant.product,
        topic: order.terms.topic.clone(),
        epoch: grant.epoch,
        open,
        counted: order.terms.plan.is_counted(),
        until: grant.until,
    }
}
