//! Usage of a grant: leases, counts and the money behind them.
//!
//! All rules here are pure. The counts obey, at every moment,
//!
//! ```text
//! admitted = delivered + undelivered + in doubt + open
//! ```
//!
//! and the money obeys `captured = due(delivered)`, while `held` covers what is still open.

use serde::{Deserialize, Serialize};

use crate::gate::LeaseRefusal;
use crate::id::{GrantId, LeaseId};
use crate::ledger::{Account, Holder};
use crate::money::{Amount, AmountOverflow};
use crate::offer::Plan;
use crate::order::{Order, OrderState};
use crate::store::{Collection, Column, Entity, Index, Kind, Value};
use crate::time::Timestamp;

/// What a grant was used for, and what was paid for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Usage {
    /// The grant.
    pub grant: GrantId,
    /// Messages that leases were given for, in all.
    pub admitted: u64,
    /// Messages that gates reported as delivered.
    pub delivered: u64,
    /// Messages of closed leases that were not delivered; they can be leased again.
    pub undelivered: u64,
    /// Messages of leases whose gate died: perhaps delivered, never billed, never leased again.
    pub in_doubt: u64,
    /// Messages of open leases that were not reported yet.
    pub open: u64,
    /// What is held for the order, in minor units.
    pub held: Amount,
    /// What the buyer has paid: `due(delivered)`.
    pub captured: Amount,
    /// The marketplace's share of it.
    pub fee: Amount,
}

impl Usage {
    /// A grant that was not used yet.
    pub fn unused(grant: GrantId) -> Self {
        Self {
            grant,
            admitted: 0,
            delivered: 0,
            undelivered: 0,
            in_doubt: 0,
            open: 0,
            held: Amount::ZERO,
            captured: Amount::ZERO,
            fee: Amount::ZERO,
        }
    }

    /// How many messages may still be leased; `None` if any number.
    pub fn remaining(&self, plan: &Plan) -> Option<u64> {
        let spent = self.delivered.saturating_add(self.in_doubt).saturating_add(self.open);
        plan.quota().map(|quota| quota.saturating_sub(spent))
    }

    /// Whether nothing can be delivered any more, not even under open leases.
    pub fn is_exhausted(&self, plan: &Plan) -> bool {
        self.open == 0 && self.remaining(plan) == Some(0)
    }

    /// Opens `wanted` further messages, or as many as are left.
    pub fn admit(&mut self, plan: &Plan, wanted: u64) -> Result<u64, LeaseRefusal> {
        let granted = self.remaining(plan).map_or(wanted, |left| left.min(wanted));
        if granted == 0 {
            return Err(if self.open > 0 { LeaseRefusal::LeasedElsewhere } else { LeaseRefusal::Exhausted });
        }
        self.admitted = self.admitted.saturating_add(granted);
        self.open = self.open.saturating_add(granted);
        Ok(granted)
    }

    /// Moves open messages to where they belong.
    pub fn resolve(&mut self, delivered: u64, undelivered: u64, in_doubt: u64) {
        let all = delivered.saturating_add(undelivered).saturating_add(in_doubt);
        self.open = self.open.saturating_sub(all);
        self.delivered = self.delivered.saturating_add(delivered);
        self.undelivered = self.undelivered.saturating_add(undelivered);
        self.in_doubt = self.in_doubt.saturating_add(in_doubt);
    }

    /// Sets the money to what the counts call for, and says which legs move it there.
    ///
    /// Held is what may yet have to be paid: for a fixed count that is active, the rest of its price (less
    /// the part that came into doubt); otherwise the price of what is open. The buyer's account gives or
    /// takes the difference.
    pub fn settle(&mut self, order: &Order) -> Result<Vec<(Account, Amount)>, AmountOverflow> {
        let (plan, currency) = (&order.terms.plan, order.terms.currency);
        let captured = plan.due(self.delivered, currency)?;
        let secured = match plan {
            Plan::FixedCount { messages, .. } if order.state == OrderState::Active => {
                plan.due(messages.saturating_sub(self.in_doubt), currency)?
            }
            _ => plan.due(self.delivered.saturating_add(self.open), currency)?,
        };
        let held = secured.minus(captured)?;
        let fee = captured.basis_points(order.terms.fee_points);

        let held_by = held.minus(self.held)?;
        let fee_by = fee.minus(self.fee)?;
        let earned_by = captured.minus(self.captured)?.minus(fee_by)?;
        let buyer_by = held_by.plus(fee_by)?.plus(earned_by)?.negated();
        (self.held, self.captured, self.fee) = (held, captured, fee);

        let account = |holder| Account { holder, currency };
        Ok(vec![
            (account(Holder::Available(order.buyer)), buyer_by),
            (account(Holder::Held(order.id)), held_by),
            (account(Holder::Earned(order.terms.hub)), earned_by),
            (account(Holder::Fees), fee_by),
        ])
    }
}

static USAGE: Collection = Collection {
    name: "usage",
    kind: Kind::Records,
    about: "what each grant was used for: admitted = delivered + undelivered + in doubt + open",
    columns: &[Column::int("delivered"), Column::int("in_doubt"), Column::int("captured")],
    indexes: &[],
};

impl Entity for Usage {
    type Id = GrantId;

    fn collection() -> &'static Collection {
        &USAGE
    }

    fn id(&self) -> GrantId {
        self.grant
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![count(self.delivered), count(self.in_doubt), Some(self.captured.minor().into())]
    }
}

fn count(number: u64) -> Option<Value> {
    i64::try_from(number).ok().map(Value::Int)
}

/// What a lease is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// A gate delivers under it.
    Open,
    /// The gate reported its final count.
    Closed,
    /// The gate died; what it had not reported is in doubt.
    Reclaimed,
}

/// A block of quota in the hands of one gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Lease {
    /// The id.
    pub id: LeaseId,
    /// The grant.
    pub grant: GrantId,
    /// The gate.
    pub holder: String,
    /// The grant's epoch when the lease was taken.
    pub epoch: u32,
    /// Messages that may be delivered under it, in all.
    pub granted: u64,
    /// Messages that were reported as delivered under it, in all.
    pub delivered: u64,
    /// What it is in.
    pub state: LeaseState,
    /// When it was taken.
    pub opened: Timestamp,
}

impl Lease {
    /// Messages that may have been delivered but were not reported.
    pub const fn unreported(&self) -> u64 {
        self.granted.saturating_sub(self.delivered)
    }
}

static LEASES: Collection = Collection {
    name: "leases",
    kind: Kind::Records,
    about: "blocks of quota in the hands of gates",
    columns: &[Column::text("state"), Column::text("holder"), Column::text("grant_id")],
    indexes: &[Index { name: "by_holder", columns: &["state", "holder"] }],
};

impl Entity for Lease {
    type Id = LeaseId;

    fn collection() -> &'static Collection {
        &LEASES
    }

    fn id(&self) -> LeaseId {
        self.id
    }

    fn values(&self) -> Vec<Option<Value>> {
        let state = match self.state {
            LeaseState::Open => "open",
            LeaseState::Closed => "closed",
            LeaseState::Reclaimed => "reclaimed",
        };
        vec![Some(state.into()), Some(self.holder.as_str().into()), Some(self.grant.to_string().into())]
    }
}
