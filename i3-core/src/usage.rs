//! Usage of a grant: leases, counts and the money behind them.
//!
//! All rules here are pure. The counts obey, at every moment,
//!
//! ```text
//! admitted = delivered + undelivered + in doubt + open
//! ```
//!
//! and the money obeys `captured = due(delivered)`, while `held` covers what is still open. What was missed is beside
//! these: it took no quota and costs nothing.

use serde::{Deserialize, Serialize};

use crate::gate::LeaseRefusal;
use crate::id::{GrantId, LeaseId};
use crate::ledger::{Account, Holder};
use crate::money::{Amount, AmountOverflow};
use crate::offer::Plan;
use crate::order::{Order, OrderState};
use crate::store::{Collection, Column, Entity, Index, Kind, Value};
use crate::time::Timestamp;

/// Why a session did not get a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Miss {
    /// The connected client (or its quota) was slower than the gate's log of the topic is long.
    Slow,
    /// More came while the client was away than is kept for it.
    Offline,
    /// Its time was over before its turn came (MQTT 5, 3.3.2.3.3).
    Expired,
    /// It is longer than the packets that the client takes (MQTT 5, 3.1.2.11.4).
    TooLarge,
}

impl Miss {
    /// All reasons.
    pub const ALL: &'static [Self] = &[Self::Slow, Self::Offline, Self::Expired, Self::TooLarge];

    /// Its text in what is shown and stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Offline => "offline",
            Self::Expired => "expired",
            Self::TooLarge => "too_large",
        }
    }
}

/// Messages that were published while an order could receive them and that a session of it did not get, by why: never
/// written to a socket and never charged. Counted by gates for each session, as deliveries are.
///
/// A lower bound: what a gate had not reported when it died, or when its lease was lost, is not in it, and neither is
/// what waited for a session that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Missed {
    /// As of [`Miss::Slow`].
    pub slow: u64,
    /// As of [`Miss::Offline`].
    pub offline: u64,
    /// As of [`Miss::Expired`].
    pub expired: u64,
    /// As of [`Miss::TooLarge`].
    pub too_large: u64,
}

impl Missed {
    /// So many for one reason.
    pub fn of(why: Miss, count: u64) -> Self {
        let none = Self::default();
        match why {
            Miss::Slow => Self { slow: count, ..none },
            Miss::Offline => Self { offline: count, ..none },
            Miss::Expired => Self { expired: count, ..none },
            Miss::TooLarge => Self { too_large: count, ..none },
        }
    }

    /// Whether nothing was missed.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// For whatever reason.
    pub fn total(&self) -> u64 {
        let Self { slow, offline, expired, too_large } = *self;
        slow.saturating_add(offline).saturating_add(expired).saturating_add(too_large)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }

    /// What came since these counts were taken; nothing where they are higher.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        self.each(earlier, u64::saturating_sub)
    }

    fn each(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            slow: of(self.slow, other.slow),
            offline: of(self.offline, other.offline),
            expired: of(self.expired, other.expired),
            too_large: of(self.too_large, other.too_large),
        }
    }
}

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
    /// Those in doubt whose price is held until the order ends. Absent where there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held_doubt: u64,
    /// Messages of open leases that were not reported yet.
    pub open: u64,
    /// Messages that sessions did not get, as far as gates have told. Absent where nothing was missed.
    #[serde(default, skip_serializing_if = "Missed::is_none")]
    pub missed: Missed,
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
            held_doubt: 0,
            open: 0,
            missed: Missed::default(),
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

    /// How many messages the buyer's money is spent on or held for.
    ///
    /// For a fixed count that is active it is the whole count, less the part that came into doubt, which is never
    /// delivered again; otherwise what was delivered, what is open, and what is in doubt and still held.
    pub fn secured(&self, order: &Order) -> u64 {
        let taken = self.delivered.saturating_add(self.open);
        match order.terms.plan {
            _ if order.state != OrderState::Active => taken,
            Plan::FixedCount { messages, .. } => messages.saturating_sub(self.in_doubt),
            _ => taken.saturating_add(self.held_doubt),
        }
    }

    /// Sets the money to what the counts call for, and says which legs move it there.
    ///
    /// Held is what [`Self::secured`] costs beyond what is paid. The buyer's account gives or takes the difference.
    pub fn settle(&mut self, order: &Order) -> Result<Vec<(Account, Amount)>, AmountOverflow> {
        let (plan, currency) = (&order.terms.plan, order.terms.currency);
        if order.state != OrderState::Active {
            self.held_doubt = 0;
        }
        let captured = plan.due(self.delivered, currency)?;
        let secured = plan.due(self.secured(order), currency)?;
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
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
    /// Messages that were reported as missed while it was open, in all. Absent where nothing was missed.
    #[serde(default, skip_serializing_if = "Missed::is_none")]
    pub missed: Missed,
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
