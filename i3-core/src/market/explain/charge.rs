//! Why messages were or were not charged.

use serde::{Deserialize, Serialize};

use crate::id::{LeaseId, OrderId, TransferId};
use crate::ledger::{Account, Entry, Holder, Memo};
use crate::money::{Amount, AmountOverflow, Currency};
use crate::offer::Plan;
use crate::order::{Order, OrderState};
use crate::time::Timestamp;
use crate::usage::{Lease, LeaseState, Missed, Usage};

/// What became of the messages of one lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
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
    /// Messages that were reported as delivered: charged, unless they are free.
    pub delivered: u64,
    /// The rest: `open` (perhaps delivered, not reported yet), `given_back` (not delivered) or `in_doubt` (the
    /// gate died without a report).
    pub rest: &'static str,
    /// How many that are.
    pub rest_messages: u64,
}

impl From<&Lease> for LeaseLine {
    fn from(lease: &Lease) -> Self {
        let rest = match lease.state {
            LeaseState::Open => "open",
            LeaseState::Closed => "given_back",
            LeaseState::Reclaimed => "in_doubt",
        };
        Self {
            lease: lease.id,
            holder: lease.holder.clone(),
            opened: lease.opened,
            epoch: lease.epoch,
            state: lease.state,
            granted: lease.granted,
            delivered: lease.delivered,
            rest,
            rest_messages: lease.unreported(),
        }
    }
}

/// A movement on the buyer's side of the order: from or to what can be spent, or what is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct LedgerLine {
    /// When.
    pub at: Timestamp,
    /// The transfer.
    pub transfer: TransferId,
    /// The account.
    pub account: Account,
    /// By how much it changed.
    pub amount: Amount,
    /// Why.
    pub memo: Memo,
}

impl From<&Entry> for LedgerLine {
    fn from(entry: &Entry) -> Self {
        let Entry { transfer, account, amount, memo, at, .. } = entry.clone();
        Self { at, transfer, account, amount, memo }
    }
}

/// What happened to some messages, and whether they were charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Finding {
    /// The stable code: `charged`, `free`, `open`, `given_back`, `in_doubt`, `left`, `lapsed`, `redelivered`,
    /// `missed`.
    pub code: &'static str,
    /// How many; absent for what is not counted in the books.
    pub messages: Option<u64>,
    /// In words.
    pub detail: String,
}

/// Why messages of an order were or were not charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
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
    /// Whether these are all leases and movements: they add up to the counts and the money above. Otherwise some
    /// were left out to keep the answer short.
    pub complete: bool,
}

/// Why messages of this order were or were not charged. `leases` and `entries` are those of the order; entries of
/// other accounts and orders are left out.
pub fn explain_charge(
    order: &Order,
    usage: &Usage,
    leases: &[Lease],
    entries: &[Entry],
) -> Result<ChargeExplanation, AmountOverflow> {
    let (plan, currency) = (order.terms.plan, order.terms.currency);
    let due = plan.due(usage.delivered, currency)?;
    let mut leases: Vec<LeaseLine> = leases.iter().map(LeaseLine::from).collect();
    leases.sort_by_key(|line| (line.opened, line.lease));
    let mut ledger: Vec<LedgerLine> = entries
        .iter()
        .filter(|entry| order_of(&entry.memo) == Some(order.id))
        .map(LedgerLine::from)
        .collect();
    ledger.sort_by_key(|line| (line.at, line.transfer, line.account));
    let complete = add_up(order, usage, &leases, &ledger)?;
    Ok(ChargeExplanation {
        order: order.id,
        currency,
        plan,
        usage: usage.clone(),
        due,
        balances: due == usage.captured,
        findings: findings(order, usage, due),
        leases,
        ledger,
        complete,
    })
}

/// Whether these are all leases and movements of an order.
fn add_up(
    order: &Order,
    usage: &Usage,
    leases: &[LeaseLine],
    ledger: &[LedgerLine],
) -> Result<bool, AmountOverflow> {
    let admitted: u64 = leases.iter().fold(0, |sum, lease| lease.granted.saturating_add(sum));
    let (mut held, mut spent) = (Amount::ZERO, Amount::ZERO);
    for line in ledger {
        match line.account.holder {
            Holder::Held(of) if of == order.id => held = held.plus(line.amount)?,
            Holder::Available(of) if of == order.buyer => spent = spent.minus(line.amount)?,
            _ => {}
        }
    }
    Ok(admitted == usage.admitted && held == usage.held && spent == usage.held.plus(usage.captured)?)
}

/// The order that money moved for.
pub(super) fn order_of(memo: &Memo) -> Option<OrderId> {
    match memo {
        Memo::Hold { order } | Memo::Usage { order, .. } | Memo::Release { order } => Some(*order),
        Memo::TopUp { .. } => None,
    }
}

fn findings(order: &Order, usage: &Usage, due: Amount) -> Vec<Finding> {
    let (plan, currency) = (&order.terms.plan, order.terms.currency);
    let mut findings = Vec::new();
    let mut say = |code, messages, detail: String| findings.push(Finding { code, messages, detail });
    if let Plan::Free { .. } = plan {
        say("free", Some(usage.delivered), "were delivered; the offer costs nothing".to_owned());
    } else {
        let money = due.display(currency);
        let detail =
            format!("were handed to the buyer's connections and cost {money} in all, acknowledged or not");
        say("charged", Some(usage.delivered), detail);
    }
    if usage.open > 0 {
        let held = usage.held.display(currency);
        let detail =
            format!("are in the hands of gates and not reported yet; not charged so far, {held} is held");
        say("open", Some(usage.open), detail);
    }
    if usage.undelivered > 0 {
        let detail = "were leased to gates that delivered them to nobody; not charged".to_owned();
        say("given_back", Some(usage.undelivered), detail);
    }
    if usage.in_doubt > 0 {
        let until = match usage.held_doubt {
            0 => "",
            _ => "; their price is held until the order ends",
        };
        let detail = format!(
            "were in the hands of a gate that died: perhaps delivered, not charged, not delivered again{until}"
        );
        say("in_doubt", Some(usage.in_doubt), detail);
    }
    match usage.remaining(plan) {
        Some(left) if left > 0 && order.state == OrderState::Active => {
            say("left", Some(left), "of what was bought can still be delivered".to_owned());
        }
        Some(left) if left > 0 => {
            let detail = "were not delivered before the order ended; what was held for them was paid back";
            say("lapsed", Some(left), detail.to_owned());
        }
        _ => {}
    }
    let again = "a message that is sent again to the session that it was written to is free; gates count it";
    say("redelivered", None, again.to_owned());
    let Missed { slow, offline, expired, too_large } = usage.missed;
    let missed = if usage.missed.is_none() {
        "are known to have been missed by a session".to_owned()
    } else {
        format!(
            "at least were missed by a session: {slow} that its client was too slow for, {offline} that came while it \
             was away, {expired} whose time was over, {too_large} longer than it takes; not charged, and the numbers in \
             `i3-seq` show the gaps"
        )
    };
    say("missed", Some(usage.missed.total()), missed);
    findings
}
