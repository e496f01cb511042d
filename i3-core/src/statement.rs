//! Statements: what an order cost, computed again from its terms and its usage.

use serde::{Deserialize, Serialize};

use crate::id::OrderId;
use crate::money::{Amount, AmountOverflow, Currency};
use crate::offer::Plan;
use crate::order::Order;
use crate::usage::{Missed, Usage};

/// One line of a bill: a quantity under a plan, rounded once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Line {
    /// How it is priced.
    pub plan: Plan,
    /// How many messages.
    pub quantity: u64,
    /// What they cost, in minor units; rounded once, half to even.
    pub amount: Amount,
}

/// Prices usage: the preview before a purchase, the bill after it, and its check are this function.
pub fn rate(plan: &Plan, currency: Currency, delivered: u64) -> Result<Line, AmountOverflow> {
    Ok(Line { plan: *plan, quantity: delivered, amount: plan.due(delivered, currency)? })
}

/// What an order was used for and what it cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Statement {
    /// The order.
    pub order: OrderId,
    /// What is paid with.
    pub currency: Currency,
    /// The messages that were delivered, priced again from the terms.
    pub line: Line,
    /// Messages that may have been delivered when a gate died; not billed.
    pub in_doubt: u64,
    /// Messages that a gate may deliver now and has not reported.
    pub open: u64,
    /// Messages that sessions of the order did not get, by why; not billed, and at least so many.
    #[serde(default)]
    pub missed: Missed,
    /// What was paid, as the ledger has it.
    pub paid: Amount,
    /// What is held for the order.
    pub held: Amount,
    /// The marketplace's share of what was paid.
    pub fee: Amount,
}

impl Statement {
    /// The statement of an order.
    pub fn of(order: &Order, usage: &Usage) -> Result<Self, AmountOverflow> {
        Ok(Self {
            order: order.id,
            currency: order.terms.currency,
            line: rate(&order.terms.plan, order.terms.currency, usage.delivered)?,
            in_doubt: usage.in_doubt,
            open: usage.open,
            missed: usage.missed,
            paid: usage.captured,
            held: usage.held,
            fee: usage.fee,
        })
    }

    /// Whether what was paid is what the terms say.
    pub fn balances(&self) -> bool {
        self.line.amount == self.paid
    }
}
