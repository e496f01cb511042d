//! The facts behind an explanation, for those who may see them.

use super::super::queries::{declared, not_found, read_if};
use super::super::{MarketError, Marketplace, Refusal};
use super::access::{AccessExplanation, DeviceFacts, OrderFacts, explain_publish, explain_receive};
use super::charge::{ChargeExplanation, explain_charge, order_of};
use super::message::{MessageExplanation, explain_message};
use crate::access::{Action, Actor, Resource};
use crate::device::Device;
use crate::grant::Grant;
use crate::hub::Hub;
use crate::id::{DeviceId, GrantId, LeaseId, OrderId, ProductId, TypedId as _};
use crate::ledger::{Account, Entry, Holder};
use crate::money::Amount;
use crate::name::Topic;
use crate::order::Order;
use crate::product::{Product, Source};
use crate::reservation::Reservation;
use crate::store::{Cell, Cursor, Entity, Scan, StoreError, StoreExt, limits};
use crate::stream::StreamHead;
use crate::usage::{Lease, Usage};
use crate::user::User;

impl Marketplace {
    /// Why a device may or may not publish this topic now. For members of its hub and for administrators; for
    /// others there is no such device.
    pub async fn explain_publish(
        &self,
        actor: Actor,
        device: DeviceId,
        topic: &str,
    ) -> Result<AccessExplanation, MarketError> {
        let Some(device) = self.store.get::<Device>(&device).await? else { return Err(not_found("device")) };
        let device = device.entity;
        self.may_ask(actor, &device).await?;
        let hub = self.store.get::<Hub>(&device.hub).await?.map(|hub| hub.entity);
        let product = self.product_of(topic).await?.filter(|product| product.hub == device.hub);
        let publishes = match &product {
            Some(product) => {
                let source = Source { device: device.id, product: product.id };
                self.store.get::<Source>(&source.id()).await?.is_some()
            }
            None => false,
        };
        let facts = DeviceFacts { device, hub, product, publishes };
        Ok(explain_publish(&facts, topic, self.now()))
    }

    async fn may_ask(&self, actor: Actor, device: &Device) -> Result<(), MarketError> {
        if self.authorize(actor, Action::Audit, &Resource::MARKETPLACE).await.is_ok() {
            return Ok(());
        }
        let role = self.hub_role(actor, device.hub).await?;
        match self.authorize(actor, Action::ViewHub, &Resource::of_hub(role)).await {
            Err(MarketError::Refused(_)) => Err(not_found("device")),
            other => other,
        }
    }

    /// The product of this topic.
    async fn product_of(&self, topic: &str) -> Result<Option<Product>, StoreError> {
        let Ok(topic) = topic.parse::<Topic>() else { return Ok(None) };
        let Some(reserved) = self.store.get::<Reservation>(&Reservation::topic(&topic)).await? else {
            return Ok(None);
        };
        let Ok(id) = reserved.entity.holder.parse::<ProductId>() else { return Ok(None) };
        Ok(self.store.get::<Product>(&id).await?.map(|product| product.entity))
    }

    /// Why an order may or may not receive this topic now (its own if none is given). For its buyer, members of
    /// the seller's hub and administrators; for others there is no such order.
    pub async fn explain_receive(
        &self,
        actor: Actor,
        order: OrderId,
        topic: Option<&str>,
    ) -> Result<AccessExplanation, MarketError> {
        let order = self.order(actor, order).await?;
        let grant = GrantId::of(order.id);
        let account = Account { holder: Holder::Available(order.buyer), currency: order.terms.currency };
        let keys = [
            Grant::key(&grant)?,
            Usage::key(&grant)?,
            Product::key(&order.product)?,
            Hub::key(&order.terms.hub)?,
            User::key(&order.buyer)?,
            account.balance_key()?,
        ];
        // One read, so that what belongs together is of one moment.
        let cells = self.store.read(&keys).await?;
        let [grant_key, usage_key, product, hub, buyer, _] = &keys;
        let mut cells = cells.into_iter();
        let mut next = || cells.next().flatten();
        let (Some(grant), Some(usage)) =
            (read_if::<Grant>(grant_key, next())?, read_if::<Usage>(usage_key, next())?)
        else {
            return Err(not_found("order"));
        };
        let product = read_if::<Product>(product, next())?;
        let hub = read_if::<Hub>(hub, next())?;
        let buyer = read_if::<User>(buyer, next())?;
        let balance = match next() {
            Some(Cell::Counter(units)) => Amount::new(units.get()).unwrap_or_default(),
            _ => Amount::ZERO,
        };
        let open = declared(Scan::index(Lease::collection(), "by_holder", vec!["open".into()]))?;
        let mut leases: Vec<Lease> = self.store.all(open).await?;
        leases.retain(|lease| lease.grant == grant.id);
        let facts = OrderFacts { order, grant, usage, product, hub, buyer, balance, leases };
        Ok(explain_receive(&facts, topic, self.now()))
    }

    /// Why messages of an order were or were not charged. For those who may see the order. At most `rows` records
    /// of each kind are looked through; what lies behind them is left out, and the answer says so.
    pub async fn explain_charge(
        &self,
        actor: Actor,
        order: OrderId,
        rows: usize,
    ) -> Result<ChargeExplanation, MarketError> {
        let order = self.order(actor, order).await?;
        let grant = GrantId::of(order.id);
        let Some(usage) = self.store.get::<Usage>(&grant).await? else { return Err(not_found("order")) };
        let leases = self.leases_of(&order, rows).await?;
        let mut entries = Vec::new();
        for holder in [Holder::Held(order.id), Holder::Available(order.buyer)] {
            let account = Account { holder, currency: order.terms.currency };
            entries.extend(self.entries_of(&order, account, rows).await?);
        }
        let explained = explain_charge(&order, &usage.entity, &leases, &entries);
        explained.map_err(|error| MarketError::Refused(error.into()))
    }

    /// Why one message, named by its number among the product's, was or was not charged to an order. For those who may
    /// see the order; clients' names are for its buyer and administrators. What is known are the gates of this process
    /// (see [`recall_from`](Self::recall_from)). At most `rows` leases are looked through for those of other gates.
    pub async fn explain_message(
        &self,
        actor: Actor,
        order: OrderId,
        number: u64,
        rows: usize,
    ) -> Result<MessageExplanation, MarketError> {
        let order = self.order(actor, order).await?;
        if number == 0 {
            return Err(Refusal::invalid("number", "messages are numbered from 1 on").into());
        }
        let names = self.authorize(actor, Action::ViewOrder, &Resource::of_user(order.buyer)).await.is_ok();
        let grant = GrantId::of(order.id);
        let Some(usage) = self.store.get::<Usage>(&grant).await? else { return Err(not_found("order")) };
        // Before the gates are asked: what was published meanwhile, they tell.
        let head = self.store.get::<StreamHead>(&order.product).await?;
        let next = head.map_or(1, |head| head.entity.next);
        let mut gates = Vec::new();
        for gate in self.recalls() {
            gates.push(gate.recall(grant, order.product, number).await);
        }
        // After the usage: there may be more of them by now, not fewer.
        let leases = self.leases_of(&order, rows).await?;
        let admitted = leases.iter().fold(0_u64, |sum, lease| sum.saturating_add(lease.granted));
        let elsewhere = admitted < usage.entity.admitted
            || leases.iter().any(|lease| gates.iter().all(|gate| gate.holder != lease.holder));
        Ok(explain_message(&order, &usage.entity, (number, next), &gates, elsewhere, names))
    }

    /// The order's leases.
    async fn leases_of(&self, order: &Order, rows: usize) -> Result<Vec<Lease>, MarketError> {
        let grant = GrantId::of(order.id);
        // Ids begin with the time: no lease of an order is older than the order, but clocks may differ.
        let margin = std::time::Duration::from_hours(1);
        let millis = u128::try_from(order.placed.minus(margin).micros().max(0) / 1_000).unwrap_or(0);
        let first = LeaseId::from_bits(millis << 80);
        let mut scan = Scan::ids(Lease::collection()).limit(limits::PAGE_ROWS);
        scan = declared(scan.after(Cursor::after_id(first.to_string())))?;
        let (mut leases, mut seen) = (Vec::new(), 0_usize);
        loop {
            let (page, next) = self.store.list::<Lease>(&scan).await?;
            seen = seen.saturating_add(page.len());
            leases.extend(page.into_iter().filter(|lease| lease.grant == grant));
            match next {
                Some(next) if seen < rows => scan = declared(scan.after(next))?,
                _ => return Ok(leases),
            }
        }
    }

    /// The account's entries for the order.
    async fn entries_of(
        &self,
        order: &Order,
        account: Account,
        rows: usize,
    ) -> Result<Vec<Entry>, MarketError> {
        let equal = vec![account.to_string().into()];
        let since = Some(order.placed.micros().into());
        let mut scan =
            declared(declared(Scan::index(Entry::collection(), "by_account", equal))?.range(since, None))?
                .limit(limits::PAGE_ROWS);
        let (mut entries, mut seen) = (Vec::new(), 0_usize);
        loop {
            let (page, next) = self.store.list::<Entry>(&scan).await?;
            seen = seen.saturating_add(page.len());
            entries.extend(page.into_iter().filter(|entry| order_of(&entry.memo) == Some(order.id)));
            match next {
                Some(next) if seen < rows => scan = declared(scan.after(next))?,
                _ => return Ok(entries),
            }
        }
    }
}
