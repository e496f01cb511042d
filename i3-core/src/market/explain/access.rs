//! Why a client may or may not publish or receive.

use serde::{Deserialize, Serialize};

use super::super::metering::payable;
use crate::device::{Device, DeviceState};
use crate::gate::{LeaseRefusal, Principal};
use crate::grant::{Grant, GrantState};
use crate::hub::{Hub, HubState};
use crate::money::Amount;
use crate::name::Topic;
use crate::offer::Plan;
use crate::order::{Order, OrderState};
use crate::product::{Product, ProductState};
use crate::time::Timestamp;
use crate::usage::{Lease, Usage};
use crate::user::{User, UserState};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is as it has to be.
    Passed,
    /// It is not, and bars something.
    Failed,
    /// It bars nothing as it is, but is good to know.
    Noted,
}

/// What a failed check bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Bars {
    /// Connecting. The password itself is not looked at.
    Login,
    /// Publishing, or subscribing and receiving.
    Access,
    /// Being given quota for one more message.
    Quota,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Check {
    /// Its stable code: `account`, `hub`, `device`, `credential`, `product`, `product_state`, `topic`, `order`,
    /// `grant`, `epoch`, `quota`, `balance`, `leased_elsewhere` or `expiry`.
    pub check: &'static str,
    /// How it came out.
    pub outcome: Outcome,
    /// What it bars if it fails.
    pub bars: &'static [Bars],
    /// In words.
    pub detail: String,
}

/// Why a client may or may not do something now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct AccessExplanation {
    /// Who.
    pub principal: Principal,
    /// The topic that was asked about, as it was given.
    pub topic: String,
    /// As of when.
    pub at: Timestamp,
    /// Whether the client may connect, with the right password or token.
    pub may_log_in: bool,
    /// Whether a device may publish the topic, or an order subscribe to it: what the
    /// [`Directory`](crate::gate::Directory) says.
    pub allowed: bool,
    /// For an order: whether one more message could be delivered, as [`Metering`](crate::gate::Metering) would
    /// answer a gate that holds no lease yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<bool>,
    /// `allowed`, or the code of the first check that bars what was asked.
    pub code: &'static str,
    /// What was looked at, in order.
    pub checks: Vec<Check>,
}

/// What is known of a device and a topic.
#[derive(Debug, Clone)]
pub struct DeviceFacts {
    /// The device.
    pub device: Device,
    /// Its hub.
    pub hub: Option<Hub>,
    /// The product of this hub with this topic. Another hub's is left out, so that nobody learns of it.
    pub product: Option<Product>,
    /// Whether the device is among the product's.
    pub publishes: bool,
}

/// What is known of an order.
#[derive(Debug, Clone)]
pub struct OrderFacts {
    /// The order.
    pub order: Order,
    /// Its grant.
    pub grant: Grant,
    /// What it was used for.
    pub usage: Usage,
    /// The product.
    pub product: Option<Product>,
    /// Who sells.
    pub hub: Option<Hub>,
    /// Who buys.
    pub buyer: Option<User>,
    /// What the buyer can spend in the order's currency.
    pub balance: Amount,
    /// The open leases of the grant.
    pub leases: Vec<Lease>,
}

const LOGIN: &[Bars] = &[Bars::Login];
const ACCESS: &[Bars] = &[Bars::Access];
const QUOTA: &[Bars] = &[Bars::Quota];
/// What bars the access bars quota too.
const DELIVERY: &[Bars] = &[Bars::Access, Bars::Quota];
const ALL: &[Bars] = &[Bars::Login, Bars::Access, Bars::Quota];
const CONNECTION: &[Bars] = &[Bars::Login, Bars::Access];

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn ask(&mut self, check: &'static str, bars: &'static [Bars], good: bool, detail: impl Into<String>) {
        let outcome = if good { Outcome::Passed } else { Outcome::Failed };
        self.0.push(Check { check, outcome, bars, detail: detail.into() });
    }

    fn note(&mut self, check: &'static str, detail: impl Into<String>) {
        self.0.push(Check { check, outcome: Outcome::Noted, bars: &[], detail: detail.into() });
    }

    fn barred(&self, what: Bars) -> Option<&'static str> {
        let failed = |check: &&Check| check.outcome == Outcome::Failed && check.bars.contains(&what);
        self.0.iter().find(failed).map(|check| check.check)
    }

    fn into_explanation(
        self,
        principal: Principal,
        topic: &str,
        at: Timestamp,
        quota: Option<bool>,
    ) -> AccessExplanation {
        let access = self.barred(Bars::Access);
        let barred = access.or_else(|| self.barred(Bars::Login)).or_else(|| self.barred(Bars::Quota));
        AccessExplanation {
            principal,
            topic: topic.to_owned(),
            at,
            may_log_in: self.barred(Bars::Login).is_none(),
            allowed: access.is_none(),
            quota,
            code: barred.unwrap_or("allowed"),
            checks: self.0,
        }
    }
}

fn hub(checks: &mut Checks, hub: Option<&Hub>, bars: &'static [Bars]) {
    let (good, detail) = match hub {
        Some(hub) if hub.state == HubState::Active => (true, format!("the hub `{}` is active", hub.slug)),
        Some(hub) => (false, format!("the hub `{}` is suspended", hub.slug)),
        None => (false, "the hub is gone".to_owned()),
    };
    checks.ask("hub", bars, good, detail);
}

fn product_state(checks: &mut Checks, product: Option<&Product>, bars: &'static [Bars]) {
    let detail = match product {
        Some(product) => format!("the product `{}` is {}", product.slug, product.state.as_str()),
        None => "the product is gone".to_owned(),
    };
    let listed = product.is_some_and(|product| product.state == ProductState::Listed);
    checks.ask("product_state", bars, listed, detail);
}

/// Why a device may or may not publish this topic now.
pub fn explain_publish(facts: &DeviceFacts, topic: &str, now: Timestamp) -> AccessExplanation {
    let device = &facts.device;
    let mut checks = Checks::default();
    let (good, state) = match device.state {
        DeviceState::Active => (true, "active"),
        DeviceState::Disabled => (false, "disabled"),
    };
    checks.ask("device", CONNECTION, good, format!("the device `{}` is {state}", device.auth_id));
    hub(&mut checks, facts.hub.as_ref(), CONNECTION);
    let (known, usable) =
        (device.credentials.len(), device.credentials.iter().filter(|one| one.is_good(now)).count());
    checks.ask("credential", LOGIN, usable > 0, format!("{usable} of {known} credentials are good now"));

    let formed = topic.parse::<Topic>().is_ok();
    let words = if formed { "is the form of a product's topic" } else { "is no product's topic" };
    checks.ask("topic", ACCESS, formed, format!("`{}` {words}; topics are compared exactly", shown(topic)));
    if formed {
        match &facts.product {
            Some(product) => {
                let among = if facts.publishes { "is" } else { "is not" };
                let detail =
                    format!("the device {among} among those that publish the product `{}`", product.slug);
                checks.ask("product", ACCESS, facts.publishes, detail);
                product_state(&mut checks, Some(product), ACCESS);
            }
            None => checks.ask("product", ACCESS, false, "no product of the device's hub has this topic"),
        }
    }
    let principal = Principal::Device { device: device.id, hub: device.hub };
    checks.into_explanation(principal, topic, now, None)
}

/// Why an order may or may not receive this topic now, or its own topic if none is given.
pub fn explain_receive(facts: &OrderFacts, topic: Option<&str>, now: Timestamp) -> AccessExplanation {
    let OrderFacts { order, grant, .. } = facts;
    let mut checks = Checks::default();
    let (good, account) = match facts.buyer.as_ref().map(|buyer| buyer.state) {
        Some(UserState::Active) => (true, "the buyer's account is active"),
        Some(UserState::Pending) => (false, "the buyer's account waits for approval"),
        Some(UserState::Suspended) => (false, "the buyer's account is suspended"),
        Some(UserState::Rejected) => (false, "the buyer's account was not approved"),
        None => (false, "the buyer's account is gone"),
    };
    checks.ask("account", ALL, good, account);
    hub(&mut checks, facts.hub.as_ref(), DELIVERY);
    product_state(&mut checks, facts.product.as_ref(), DELIVERY);
    let own = order.terms.topic.as_str();
    let topic = topic.unwrap_or(own);
    let detail = if topic == own {
        format!("`{own}` is the order's topic")
    } else {
        format!("`{}` is not the order's topic, which is `{own}`", shown(topic))
    };
    checks.ask("topic", ACCESS, topic == own, detail);
    let (good, state) = match order.state {
        OrderState::Active => (true, "the order is active"),
        OrderState::Completed => (false, "the order is completed"),
        OrderState::Cancelled => {
            (false, "the order was cancelled, by its buyer, the seller or an administrator")
        }
    };
    checks.ask("order", LOGIN, good, state);
    let state = match grant.state {
        GrantState::Active => "the grant is active",
        GrantState::Exhausted => {
            "the grant is used up: all that was bought has been delivered or is in doubt"
        }
        GrantState::Expired => "the grant's time has ended",
        GrantState::Revoked => "the grant was taken away or given up",
    };
    checks.ask("grant", DELIVERY, grant.state == GrantState::Active, state);
    expiry(&mut checks, grant, now);
    epoch(&mut checks, facts);
    let spendable = spendable(facts);
    quota(&mut checks, facts, spendable);

    // As the command that opens a lease decides: quota does not depend on the topic that was asked about.
    let quota = checks.barred(Bars::Quota).is_none();
    let principal = Principal::Order { order: order.id, buyer: order.buyer };
    checks.into_explanation(principal, topic, now, Some(quota))
}

fn expiry(checks: &mut Checks, grant: &Grant, now: Timestamp) {
    match grant.until {
        Some(until) if now < until => checks.ask("expiry", ALL, true, format!("access ends at {until}")),
        Some(until) => checks.ask("expiry", ALL, false, format!("access ended at {until}")),
        None => checks.ask("expiry", ALL, true, "access has no end"),
    }
}

/// Leases that were taken before the grant changed admit nothing more.
fn epoch(checks: &mut Checks, facts: &OrderFacts) {
    let epoch = facts.grant.epoch;
    let old = facts.leases.iter().filter(|lease| lease.epoch != epoch).count();
    let detail = match old {
        0 => format!("the grant's epoch is {epoch}; no open lease is of an older one"),
        old => format!("the grant's epoch is {epoch}; {old} open leases of an older one admit nothing more"),
    };
    checks.note("epoch", detail);
}

/// Whether the buyer's money covers one more message.
fn spendable(facts: &OrderFacts) -> bool {
    payable(&facts.order, &facts.usage, facts.balance, 1).is_ok_and(|messages| messages > 0)
}

fn quota(checks: &mut Checks, facts: &OrderFacts, spendable: bool) {
    let OrderFacts { order, usage, .. } = facts;
    let plan = &order.terms.plan;
    let refusal = usage.clone().admit(plan, 1).err();
    let left = match usage.remaining(plan) {
        Some(left) => format!("{left} messages of {} can still be leased", plan.quota().unwrap_or_default()),
        None => "any number of messages can be leased".to_owned(),
    };
    // What is used up and what others hold are different troubles: this one ends only by buying again.
    checks.ask("quota", QUOTA, refusal != Some(LeaseRefusal::Exhausted), left);
    let cover = match (plan, spendable) {
        (Plan::PerMessage { .. }, true) => "the buyer's balance covers one more message",
        (Plan::PerMessage { .. }, false) => "the buyer's balance does not cover one more message",
        _ => "nothing more has to be paid",
    };
    checks.ask("balance", QUOTA, spendable, cover);
    let open = usage.open;
    let detail = match facts.leases.as_slice() {
        [] => "no gate holds a lease".to_owned(),
        leases => {
            let mut holders: Vec<&str> = leases.iter().map(|lease| lease.holder.as_str()).collect();
            holders.dedup();
            format!("{open} messages are leased and not reported yet, by {}", holders.join(", "))
        }
    };
    checks.ask("leased_elsewhere", QUOTA, refusal != Some(LeaseRefusal::LeasedElsewhere), detail);
}

/// A text of a client's choice, in what is shown to people: short and without control characters.
fn shown(topic: &str) -> String {
    topic.chars().take(200).flat_map(char::escape_debug).collect()
}
