//! Why a client may or may not do something, and why messages were or were not charged.

use i3_core::gate::{Fate, Principal};
use i3_core::id::{DeviceId, LeaseId, OrderId};
use i3_core::market::{Bars, LedgerLine, Outcome};
use i3_core::money::{Amount, Currency};
use i3_core::offer::Plan;
use i3_core::time::Timestamp;
use i3_core::usage::{LeaseState, Usage};
use serde::{Deserialize, Serialize};

use crate::request::with_query;
use crate::{Client, Query};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AccessCheck {
    /// Its stable code.
    pub check: String,
    /// How it came out.
    pub outcome: Outcome,
    /// What it bars if it fails.
    pub bars: Vec<Bars>,
    /// In words.
    pub detail: String,
}

/// Why a client may or may not do something now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AccessExplanation {
    /// Who.
    pub principal: Principal,
    /// The topic that was asked about.
    pub topic: String,
    /// As of when.
    pub at: Timestamp,
    /// Whether the client may connect, with the right password or token.
    pub may_log_in: bool,
    /// Whether a device may publish the topic, or an order subscribe to it.
    pub allowed: bool,
    /// For an order: whether one more message could be delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<bool>,
    /// `allowed`, or the code of the first check that bars what was asked.
    pub code: String,
    /// What was looked at, in order.
    pub checks: Vec<AccessCheck>,
}

/// What became of the messages of one lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LeaseLine {
    /// The lease.
    pub lease: LeaseId,
    /// The gate.
    pub holder: String,
    /// When it was taken.
    pub opened: Timestamp,
    /// The grant's epoch then.
    pub epoch: u32,
    /// What it is in.
    pub state: LeaseState,
    /// Messages that could be delivered under it.
    pub granted: u64,
    /// Messages that were reported as delivered.
    pub delivered: u64,
    /// What the rest is: `open`, `given_back` or `in_doubt`.
    pub rest: String,
    /// How many that are.
    pub rest_messages: u64,
}

/// What happened to some messages, and whether they were charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// The stable code.
    pub code: String,
    /// How many; absent for what is not counted in the books.
    pub messages: Option<u64>,
    /// In words.
    pub detail: String,
}

/// Why messages of an order were or were not charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChargeExplanation {
    /// The order.
    pub order: OrderId,
    /// What is paid with.
    pub currency: Currency,
    /// How it is priced.
    pub plan: Plan,
    /// The counts, and the money as the books have it.
    pub usage: Usage,
    /// What the delivered messages cost by the terms.
    pub due: Amount,
    /// Whether that is what was paid.
    pub balances: bool,
    /// What became of the messages.
    pub findings: Vec<Finding>,
    /// The leases, oldest first.
    pub leases: Vec<LeaseLine>,
    /// The movements, oldest first.
    pub ledger: Vec<LedgerLine>,
    /// Whether these are all leases and movements.
    pub complete: bool,
}

/// What became of a message at one session of the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionLine {
    /// The gate.
    pub gate: String,
    /// The client's name for itself; absent for all but the buyer and administrators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Whether the session goes on.
    pub present: bool,
    /// What became of the message.
    #[serde(flatten)]
    pub fate: Fate,
    /// In words.
    pub detail: String,
}

/// Why one message was or was not charged to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MessageExplanation {
    /// The order.
    pub order: OrderId,
    /// The message's number among those of the product, as in `i3-seq`.
    pub number: u64,
    /// The stable code.
    pub code: String,
    /// How often it was charged, or delivered for nothing, as far as is remembered.
    pub charged: u64,
    /// In words.
    pub detail: String,
    /// Whether all sessions that the order ever had are remembered, as far back as the message.
    pub complete: bool,
    /// The sessions that are remembered.
    pub sessions: Vec<SessionLine>,
    /// The currency of what the books have.
    pub currency: Currency,
    /// The counts of all messages, as the books have them.
    pub usage: Usage,
}

impl Client {
    /// Why a device may or may not publish a topic.
    pub fn explain_publish(&self, device: DeviceId, topic: &str) -> Query<AccessExplanation> {
        self.get(with_query(&format!("/explain/devices/{device}"), [("topic", topic.to_owned())]))
    }

    /// Why an order may or may not receive, this topic if one is named.
    pub fn explain_receive(&self, order: OrderId, topic: Option<&str>) -> Query<AccessExplanation> {
        let topic = topic.map(|topic| ("topic", topic.to_owned()));
        self.get(with_query(&format!("/explain/orders/{order}"), topic))
    }

    /// Why an order's messages were or were not charged.
    pub fn explain_charge(&self, order: OrderId) -> Query<ChargeExplanation> {
        self.get(format!("/explain/orders/{order}/charge"))
    }

    /// Why one message was or was not charged to an order, by its number among those of the product (`i3-seq`).
    pub fn explain_message(&self, order: OrderId, number: u64) -> Query<MessageExplanation> {
        self.get(format!("/explain/orders/{order}/messages/{number}"))
    }
}
