//! Reconciliation: is what was delivered what was metered and billed, and do the books balance?
//!
//! Also the housekeeping that a marketplace does at its start and from time to time: reclaiming the
//! leases of gates that died, and ending grants whose time is over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ExpireGrant, MarketError, Marketplace, ReclaimLease, Refusal};
use crate::access::{Action, Actor, HubRole, Resource};
use crate::audit::{self, ChainReport};
use crate::grant::{Grant, GrantState};
use crate::hub::{Hub, Membership};
use crate::id::{GrantId, HubId, LeaseId, OrderId, ProductId};
use crate::ledger::{BALANCES, Entry, Holder};
use crate::money::{Amount, Currency};
use crate::order::Order;
use crate::outbox;
use crate::portable::Rows;
use crate::product::Product;
use crate::rating::{Rating, Score};
use crate::store::{Entity, Row, Scan, StoreError, StoreExt, Value};
use crate::usage::{Lease, Usage};

/// What one grant was used for and what was paid for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct GrantLine {
    /// The order.
    pub order: OrderId,
    /// The counts and the money.
    pub usage: Usage,
    /// What is paid with.
    pub currency: Currency,
    /// What the terms say the delivered messages cost.
    pub due: Amount,
}

/// Something that does not add up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "difference")]
#[non_exhaustive]
pub enum Difference {
    /// admitted is not delivered + undelivered + in doubt + open.
    Counts {
        /// Of which order.
        order: OrderId,
    },
    /// More was admitted than the order's quota.
    OverQuota {
        /// Of which order.
        order: OrderId,
    },
    /// What was paid is not what the terms say.
    Billed {
        /// Of which order.
        order: OrderId,
        /// What was paid.
        paid: Amount,
        /// What the terms say.
        due: Amount,
    },
    /// What is held for the order in the ledger is not what its usage says.
    Held {
        /// Of which order.
        order: OrderId,
    },
    /// The open messages of a grant are not those of its open leases.
    Leases {
        /// Of which grant.
        grant: GrantId,
    },
    /// The entries of a currency do not sum to zero.
    LedgerSum {
        /// Which currency.
        currency: Currency,
        /// What they sum to.
        sum: String,
    },
    /// A balance is not the sum of its entries.
    BalanceOff {
        /// Of which account.
        account: String,
    },
    /// An order without usage or grant, or the other way round.
    Orphan {
        /// What stands alone.
        id: String,
    },
    /// A product's score is not that of its ratings.
    Score {
        /// Which product.
        product: ProductId,
    },
    /// A hub's numbers of members and owners are not those of its memberships.
    Members {
        /// Which hub.
        hub: HubId,
    },
    /// A stream's hash chain is broken.
    Chain {
        /// Which stream.
        stream: &'static str,
        /// At which entry.
        at: u64,
    },
}

/// The whole picture. Memory grows with the number of orders and entries. Not a snapshot: run it while
/// nothing changes, or take differences as hints.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Reconciliation {
    /// Every grant.
    pub grants: Vec<GrantLine>,
    /// For each currency, what the entries sum to (always zero) as text.
    pub ledger_sums: BTreeMap<String, String>,
    /// How many entries there are.
    pub entries: u64,
    /// The audit log's chain.
    pub audit: ChainReport,
    /// What does not add up. Empty if all is well.
    pub differences: Vec<Difference>,
}

impl Reconciliation {
    /// The sum of one count over all grants.
    pub fn total(&self, count: impl Fn(&Usage) -> u64) -> u64 {
        self.grants.iter().map(|line| count(&line.usage)).sum()
    }
}

impl Marketplace {
    /// Adds everything up again from the records.
    pub async fn reconcile(&self, actor: Actor) -> Result<Reconciliation, MarketError> {
        self.authorize(actor, Action::Audit, &Resource::MARKETPLACE).await?;
        let mut differences = Vec::new();
        let orders: Vec<Order> = self.store.all(Scan::ids(Order::collection())).await?;
        let grants: Vec<Grant> = self.store.all(Scan::ids(Grant::collection())).await?;
        let usages: Vec<Usage> = self.store.all(Scan::ids(Usage::collection())).await?;
        let leases: Vec<Lease> = self.store.all(Scan::ids(Lease::collection())).await?;
        let entries: Vec<Entry> = self.store.all(Scan::ids(Entry::collection())).await?;

        let sums = self.check_ledger(&entries, &mut differences).await?;
        let mut open: BTreeMap<GrantId, u64> = BTreeMap::new();
        for lease in leases.iter().filter(|lease| lease.state == crate::usage::LeaseState::Open) {
            *open.entry(lease.grant).or_default() += lease.unreported();
        }
        let granted: std::collections::BTreeSet<GrantId> = grants.iter().map(|grant| grant.id).collect();
        let mut used: BTreeMap<GrantId, Usage> =
            usages.into_iter().map(|usage| (usage.grant, usage)).collect();
        let mut lines = Vec::with_capacity(orders.len());
        for order in &orders {
            let grant = GrantId::of(order.id);
            let (Some(usage), true) = (used.remove(&grant), granted.contains(&grant)) else {
                differences.push(Difference::Orphan { id: order.id.to_string() });
                continue;
            };
            let held: i128 = sums.get(&(Holder::Held(order.id), order.terms.currency)).copied().unwrap_or(0);
            let due =
                check_grant(order, &usage, open.get(&grant).copied().unwrap_or(0), held, &mut differences)?;
            lines.push(GrantLine { order: order.id, usage, currency: order.terms.currency, due });
        }
        differences.extend(used.into_keys().map(|grant| Difference::Orphan { id: grant.to_string() }));

        let mut ledger_sums: BTreeMap<String, i128> = BTreeMap::new();
        for ((_, currency), sum) in &sums {
            *ledger_sums.entry(currency.to_string()).or_default() += sum;
        }
        self.check_scores(&mut differences).await?;
        self.check_members(&mut differences).await?;
        let audit = audit::verify_chain(&*self.store, audit::stream()?).await?;
        let outbox = audit::verify_chain(&*self.store, outbox::stream()?).await?;
        for (stream, report) in [("audit", &audit), ("outbox", &outbox)] {
            if let Some(at) = report.broken_at {
                differences.push(Difference::Chain { stream, at });
            }
        }
        Ok(Reconciliation {
            grants: lines,
            ledger_sums: ledger_sums.into_iter().map(|(currency, sum)| (currency, sum.to_string())).collect(),
            entries: u64::try_from(entries.len()).unwrap_or(u64::MAX),
            audit,
            differences,
        })
    }

    /// Sums the entries by account and compares them with the balances.
    async fn check_ledger(
        &self,
        entries: &[Entry],
        differences: &mut Vec<Difference>,
    ) -> Result<BTreeMap<(Holder, Currency), i128>, StoreError> {
        let mut sums: BTreeMap<(Holder, Currency), i128> = BTreeMap::new();
        let mut named: BTreeMap<String, i128> = BTreeMap::new();
        let mut currencies: BTreeMap<Currency, i128> = BTreeMap::new();
        for entry in entries {
            let amount = i128::from(entry.amount.minor());
            *sums.entry((entry.account.holder, entry.account.currency)).or_default() += amount;
            *named.entry(entry.account.to_string()).or_default() += amount;
            *currencies.entry(entry.account.currency).or_default() += amount;
        }
        for (currency, sum) in currencies.into_iter().filter(|(_, sum)| *sum != 0) {
            differences.push(Difference::LedgerSum { currency, sum: sum.to_string() });
        }
        let mut balances = Rows::ids(&*self.store, &BALANCES);
        while let Some(Row::Counter { key, units }) = balances.next().await? {
            if named.remove(key.id()).unwrap_or(0) != i128::from(units.get()) {
                differences.push(Difference::BalanceOff { account: key.id().to_owned() });
            }
        }
        let missing = named.into_iter().filter(|(_, sum)| *sum != 0);
        differences.extend(missing.map(|(account, _)| Difference::BalanceOff { account }));
        Ok(sums)
    }

    /// Counts the ratings of each product and their stars, and compares them with the scores.
    async fn check_scores(&self, differences: &mut Vec<Difference>) -> Result<(), StoreError> {
        let mut derived: BTreeMap<ProductId, [i64; 2]> = BTreeMap::new();
        for rating in self.store.all::<Rating>(Scan::ids(Rating::collection())).await? {
            let [ratings, stars] = derived.entry(rating.product).or_default();
            *ratings += 1;
            *stars += i64::from(u8::from(rating.stars));
        }
        for product in self.store.all::<Product>(Scan::ids(Product::collection())).await? {
            let wanted = derived.remove(&product.id).unwrap_or_default();
            for (key, wanted) in Score::keys(product.id)?.iter().zip(wanted) {
                if self.store.counter(key).await?.get() != wanted {
                    differences.push(Difference::Score { product: product.id });
                    break;
                }
            }
        }
        differences.extend(derived.into_keys().map(|product| Difference::Score { product }));
        Ok(())
    }

    /// Counts the members and owners of each hub.
    async fn check_members(&self, differences: &mut Vec<Difference>) -> Result<(), StoreError> {
        let mut derived: BTreeMap<HubId, (u32, u32)> = BTreeMap::new();
        for member in self.store.all::<Membership>(Scan::ids(Membership::collection())).await? {
            let (members, owners) = derived.entry(member.hub).or_default();
            *members += 1;
            *owners += u32::from(member.role == HubRole::Owner);
        }
        for hub in self.store.all::<Hub>(Scan::ids(Hub::collection())).await? {
            if derived.remove(&hub.id).unwrap_or_default() != (hub.members, hub.owners) {
                differences.push(Difference::Members { hub: hub.id });
            }
        }
        differences.extend(derived.into_keys().map(|hub| Difference::Members { hub }));
        Ok(())
    }

    /// Reclaims the open leases of a gate that is known to be dead, for instance of this one's former life;
    /// gives how many messages came into doubt, lease by lease.
    pub async fn reclaim(&self, actor: Actor, holder: &str) -> Result<Vec<(LeaseId, u64)>, MarketError> {
        let equal: Vec<Value> = vec!["open".into(), holder.into()];
        let scan = Scan::index(Lease::collection(), "by_holder", equal)
            .map_err(|error| Refusal::invalid("holder", error))?;
        let mut reclaimed = Vec::new();
        for lease in self.store.all::<Lease>(scan).await? {
            let reclaim = ReclaimLease { lease: lease.id, hold: true };
            reclaimed.push((lease.id, self.execute(actor, None, &reclaim).await?));
        }
        Ok(reclaimed)
    }

    /// Ends all grants whose time is over; gives how many. A gate needs no telling, it knows the time.
    pub async fn expire(&self, actor: Actor) -> Result<u64, MarketError> {
        let active: Vec<Value> = vec![GrantState::Active.as_str().into()];
        let now = self.now().micros().saturating_add(1);
        let scan = Scan::index(Grant::collection(), "by_end", active)
            .and_then(|scan| scan.range(None, Some(now.into())))
            .map_err(|error| Refusal::invalid("time", error))?;
        let mut ended = 0;
        for grant in self.store.all::<Grant>(scan).await? {
            match self.execute(actor, None, &ExpireGrant { grant: grant.id }).await {
                Ok(()) => ended += 1,
                // Somebody else ended it in the meantime.
                Err(MarketError::Refused(Refusal::WrongState { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ended)
    }
}

/// Checks one order; gives what its terms say is due.
fn check_grant(
    order: &Order,
    usage: &Usage,
    leased: u64,
    held: i128,
    differences: &mut Vec<Difference>,
) -> Result<Amount, MarketError> {
    let id = order.id;
    let due = order
        .terms
        .plan
        .due(usage.delivered, order.terms.currency)
        .map_err(|error| MarketError::Refused(error.into()))?;
    let resolved = usage
        .delivered
        .saturating_add(usage.undelivered)
        .saturating_add(usage.in_doubt)
        .saturating_add(usage.open);
    if usage.admitted != resolved {
        differences.push(Difference::Counts { order: id });
    }
    let taken = usage.delivered.saturating_add(usage.in_doubt).saturating_add(usage.open);
    if order.terms.plan.quota().is_some_and(|quota| taken > quota) {
        differences.push(Difference::OverQuota { order: id });
    }
    if usage.captured != due {
        differences.push(Difference::Billed { order: id, paid: usage.captured, due });
    }
    if held != i128::from(usage.held.minor()) {
        differences.push(Difference::Held { order: id });
    }
    if leased != usage.open {
        differences.push(Difference::Leases { grant: usage.grant });
    }
    Ok(due)
}
