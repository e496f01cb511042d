//! What the demo came to: how each party counted, and whether the counts are the same.

use std::collections::BTreeMap;

use i3_core::access::Actor;
use i3_core::id::{GrantId, OrderId};
use i3_core::ledger::{Account, Entry, Holder, Memo};
use i3_core::market::{MarketError, Marketplace, PageRequest, Period, Reconciliation, TimeOrder};
use i3_core::money::Amount;
use i3_core::order::Order;

use super::client::Arrival;

/// What one order came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OrderLine {
    /// The product's title.
    pub(super) title: String,
    /// How many messages were bought, if a number of them was.
    pub(super) bought: Option<u64>,
    /// Messages that the device published and the gate acknowledged.
    pub(super) published: u64,
    /// Messages that the buyer's MQTT client received.
    pub(super) delivered: u64,
    /// Messages in the order's usage record.
    pub(super) metered: u64,
    /// How many messages cost what the ledger moved from the buyer to hub and marketplace. None if no
    /// number of messages costs that.
    pub(super) billed: Option<u64>,
    /// What the ledger moved.
    pub(super) price: Amount,
}

/// Something that has to be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    /// What it is about.
    pub(super) about: &'static str,
    /// Whether it is so.
    pub(super) holds: bool,
    /// What was found.
    pub(super) found: String,
}

impl OrderLine {
    /// Delivered = metered = billed; and all that was bought, since more than that was published.
    pub(super) fn check(&self) -> Check {
        let mut counts = vec![("metered", Some(self.metered)), ("billed", self.billed)];
        counts.extend(self.bought.map(|bought| ("bought", Some(bought))));
        let mut found = format!("{}: delivered {}", self.title, self.delivered);
        let (mut holds, mut before) = (true, Some(self.delivered));
        for (name, count) in counts {
            let equal = count == before;
            let sign = if equal { "=" } else { "≠" };
            let shown = count.map_or("no number of messages".to_owned(), |count| count.to_string());
            found = format!("{found} {sign} {name} {shown}");
            holds &= equal;
            before = count;
        }
        Check { about: "messages", holds, found }
    }
}

/// Each message once, and in the order of publishing.
pub(super) fn in_order(title: &str, arrivals: &[Arrival]) -> Check {
    let wrong =
        arrivals.iter().zip(arrivals.iter().skip(1)).filter(|(one, next)| one.seq >= next.seq).count();
    let count = arrivals.len();
    let found = match wrong {
        0 => format!("{title}: {count} messages, each once and in order"),
        _ => format!("{title}: {wrong} of {count} messages twice or out of order"),
    };
    Check { about: "sequence", holds: wrong == 0, found }
}

/// What the ledger says was paid for each order: what went to the hub and to the marketplace.
pub(super) async fn paid(
    market: &Marketplace,
    orders: &[&Order],
) -> Result<BTreeMap<OrderId, i64>, MarketError> {
    let mut accounts: Vec<Account> = Vec::new();
    for order in orders {
        let currency = order.terms.currency;
        for holder in [Holder::Earned(order.terms.hub), Holder::Fees] {
            let account = Account { holder, currency };
            if !accounts.contains(&account) {
                accounts.push(account);
            }
        }
    }
    let mut paid = BTreeMap::new();
    for account in accounts {
        let mut page = PageRequest { after: None, limit: 1_000 };
        loop {
            let found =
                market.entries(Actor::System, account, Period::default(), TimeOrder::Newest, &page).await?;
            for Entry { memo, amount, .. } in found.items {
                if let Memo::Usage { order, .. } | Memo::Release { order } | Memo::Hold { order } = memo {
                    *paid.entry(order).or_default() += amount.minor();
                }
            }
            match found.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
    }
    Ok(paid)
}

/// How many messages cost this under the order's terms.
pub(super) fn billed(order: &Order, price: Amount, published: u64) -> Option<u64> {
    let (plan, currency) = (&order.terms.plan, order.terms.currency);
    let most = plan.quota().map_or(published, |quota| quota.min(published));
    let count = plan.affordable(price, most, currency);
    (plan.due(count, currency) == Ok(price)).then_some(count)
}

/// The marketplace's own books.
pub(super) fn books(books: &Reconciliation) -> Vec<Check> {
    let sums: Vec<String> =
        books.ledger_sums.iter().map(|(currency, sum)| format!("{sum} {currency}")).collect();
    let zero = books.ledger_sums.values().all(|sum| sum == "0") && !books.ledger_sums.is_empty();
    let mut checks = vec![
        Check {
            about: "ledger",
            holds: zero,
            found: format!("{} entries sum to {}", books.entries, sums.join(", ")),
        },
        Check {
            about: "audit",
            holds: books.audit.broken_at.is_none(),
            found: match books.audit.broken_at {
                None => format!("the hash chain over {} commands is whole", books.audit.entries),
                Some(at) => format!("the hash chain is broken at entry {at}"),
            },
        },
    ];
    checks.extend(books.differences.iter().map(|difference| Check {
        about: "books",
        holds: false,
        found: format!("{difference:?}"),
    }));
    checks
}

/// The usage record's count.
pub(super) fn metered(books: &Reconciliation, order: OrderId) -> u64 {
    let mut lines = books.grants.iter();
    lines.find(|line| line.usage.grant == GrantId::of(order)).map_or(0, |line| line.usage.delivered)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn line() -> OrderLine {
        OrderLine {
            title: "Load".to_owned(),
            bought: Some(200),
            published: 350,
            delivered: 200,
            metered: 200,
            billed: Some(200),
            price: Amount::new(400).unwrap(),
        }
    }

    #[test]
    fn an_order_holds_only_if_all_counts_are_the_same() {
        assert!(line().check().holds);
        assert!(OrderLine { bought: None, ..line() }.check().holds);
        for wrong in [
            OrderLine { delivered: 199, ..line() },
            OrderLine { metered: 201, ..line() },
            OrderLine { billed: Some(199), ..line() },
            OrderLine { billed: None, ..line() },
            OrderLine { bought: Some(201), ..line() },
            OrderLine { bought: Some(199), ..line() },
            OrderLine { delivered: 0, bought: None, ..line() },
        ] {
            assert!(!wrong.check().holds, "{wrong:?}");
        }
        let check = OrderLine { metered: 201, billed: None, ..line() }.check();
        assert_eq!(
            check.found,
            "Load: delivered 200 ≠ metered 201 ≠ billed no number of messages ≠ bought 200"
        );
    }

    #[test]
    fn a_message_that_comes_twice_or_too_early_is_found() {
        let arrivals = |seqs: &[u64]| -> Vec<_> {
            seqs.iter().map(|seq| Arrival { at: Instant::now(), seq: *seq }).collect()
        };
        assert!(in_order("x", &arrivals(&[1, 2, 5])).holds);
        assert!(in_order("x", &[]).holds);
        assert!(!in_order("x", &arrivals(&[1, 2, 2])).holds);
        assert!(!in_order("x", &arrivals(&[2, 1])).holds);
    }
}
