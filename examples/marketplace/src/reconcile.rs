//! `reconcile`: is what was delivered what was metered and billed, and do the books balance?

use std::fmt::Write as _;
use std::sync::Arc;

use i3_auth::RolePolicy;
use i3_core::access::Actor;
use i3_core::market::{Difference, GrantLine, Marketplace, Reconciliation};
use i3_core::store::{Entity, Scan, StoreExt};
use i3_core::usage::{Lease, LeaseState};

use crate::{Failure, StoreUrl};

/// What a store's books say.
#[derive(Debug, Clone)]
pub struct Report {
    /// Everything added up again.
    pub books: Reconciliation,
    /// The leases that ended without their gate's report, or have not ended.
    pub leases: Vec<Lease>,
}

/// Adds up what is in a store that no server has open. Changes nothing: leases that a killed server left
/// are shown as open until a server takes the store over and reclaims them.
pub async fn reconcile(store: &StoreUrl) -> Result<Report, Failure> {
    let store = store.open_existing().await?;
    let market = Marketplace::open(store, Arc::new(RolePolicy), i3_auth::COLLECTIONS).await?;
    report(&market).await
}

/// Adds up what is in an open marketplace. Differences are hints while it is in use.
pub async fn report(market: &Marketplace) -> Result<Report, Failure> {
    let mut leases: Vec<Lease> = market.store().all(Scan::ids(Lease::collection())).await?;
    leases.retain(|lease| lease.state != LeaseState::Closed);
    let books = market.reconcile(Actor::System).await?;
    Ok(Report { books, leases })
}

impl Report {
    /// Whether everything adds up.
    pub fn balances(&self) -> bool {
        self.books.differences.is_empty()
    }

    /// The report as people read it.
    pub fn text(&self) -> String {
        let mut text = table(&self.books.grants);
        for lease in &self.leases {
            let (state, unreported) = match lease.state {
                LeaseState::Open => ("open", "not reported yet"),
                _ => ("reclaimed", "in doubt, not billed"),
            };
            line(
                &mut text,
                format_args!(
                    "lease {} of {} at `{}`: {state}, granted {}, reported {}, {} {unreported}",
                    lease.id,
                    lease.grant.order(),
                    lease.holder,
                    lease.granted,
                    lease.delivered,
                    lease.unreported()
                ),
            );
        }
        text.push_str(&self.sums());
        text
    }

    /// What is summed up at the report's end: ledger, audit log and differences.
    pub fn sums(&self) -> String {
        let mut text = String::new();
        let Reconciliation { ledger_sums, entries, audit, differences, .. } = &self.books;
        let sums: Vec<String> =
            ledger_sums.iter().map(|(currency, sum)| format!("{currency} {sum}")).collect();
        let sums = if sums.is_empty() { "nothing".to_owned() } else { sums.join(", ") };
        line(&mut text, format_args!("ledger: {entries} entries, sum {sums}"));
        let chain = match audit.broken_at {
            None => "chain intact".to_owned(),
            Some(at) => format!("chain broken at entry {at}"),
        };
        line(&mut text, format_args!("audit: {} entries, {chain}, last link {}", audit.entries, audit.link));
        if differences.is_empty() {
            line(&mut text, format_args!("differences: none"));
        }
        for difference in differences {
            line(&mut text, format_args!("difference: {}", said(difference)));
        }
        text
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{arguments}");
}

/// One row for each grant, and one for all.
fn table(grants: &[GrantLine]) -> String {
    let mut text = String::new();
    line(
        &mut text,
        format_args!(
            "{:<30} {:>10} {:>10} {:>11} {:>8} {:>8} {:>8} {:>14} {:>14}",
            "order", "admitted", "delivered", "undelivered", "in doubt", "open", "missed", "billed", "due"
        ),
    );
    let mut sums = [0_u64; 6];
    for GrantLine { order, usage, currency, due } in grants {
        let counts = [
            usage.admitted,
            usage.delivered,
            usage.undelivered,
            usage.in_doubt,
            usage.open,
            usage.missed.total(),
        ];
        let [admitted, delivered, undelivered, in_doubt, open, missed] = counts;
        line(
            &mut text,
            format_args!(
                "{order:<30} {admitted:>10} {delivered:>10} {undelivered:>11} {in_doubt:>8} {open:>8} {missed:>8} {:>14} {:>14}",
                usage.captured.display(*currency),
                due.display(*currency)
            ),
        );
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum = sum.saturating_add(count);
        }
    }
    let [admitted, delivered, undelivered, in_doubt, open, missed] = sums;
    let all = format!("sum of {}", grants.len());
    line(
        &mut text,
        format_args!(
            "{all:<30} {admitted:>10} {delivered:>10} {undelivered:>11} {in_doubt:>8} {open:>8} {missed:>8}"
        ),
    );
    text
}

/// A difference in words.
fn said(difference: &Difference) -> String {
    match difference {
        Difference::Counts { order } => {
            format!("{order}: admitted is not delivered + undelivered + in doubt + open")
        }
        Difference::OverQuota { order } => format!("{order}: more was delivered than was bought"),
        Difference::Billed { order, paid, due } => {
            format!("{order}: {} minor units were paid and {} are due", paid.minor(), due.minor())
        }
        Difference::Held { order } => format!("{order}: the ledger holds another amount than the usage says"),
        Difference::Leases { grant } => {
            format!("{}: its open messages are not those of its open leases", grant.order())
        }
        Difference::LedgerSum { currency, sum } => format!("the entries in {currency} sum to {sum}"),
        Difference::BalanceOff { account } => {
            format!("the balance of {account} is not the sum of its entries")
        }
        Difference::Orphan { id } => format!("{id} stands alone"),
        Difference::Score { product } => format!("the score of {product} is not that of its ratings"),
        Difference::Members { hub } => {
            format!("{hub} has other numbers of members and owners than its memberships say")
        }
        Difference::Chain { stream, at } => format!("the chain of `{stream}` is broken at entry {at}"),
        other => format!("{other:?}"),
    }
}
