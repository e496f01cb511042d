//! Offers: immutable versions of a price plan, and the one function that prices usage.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{HubId, OfferId, ProductId};
use crate::money::{Amount, AmountOverflow, Currency, UnitPrice, pro_rata};
use crate::store::{Collection, Column, Entity, Index, Kind, Value};
use crate::time::Timestamp;

/// How usage is priced. Data, not code: the same plan gives the same bill wherever it is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum Plan {
    /// Costs nothing; metered all the same.
    Free {
        /// How many messages, if not any number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quota: Option<u64>,
    },
    /// A fixed number of messages for a price, paid when ordered.
    FixedCount {
        /// How many messages.
        messages: u64,
        /// The price of all of them, in minor units.
        price: Amount,
    },
    /// Each message has a price, paid from the buyer's balance as it is delivered.
    PerMessage {
        /// The price of one, in billionths of the currency's unit.
        unit_price: UnitPrice,
        /// How many messages at most, if not as many as the balance pays for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quota: Option<u64>,
    },
}

/// A plan that cannot be offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPlan {
    /// A quota of none, or of more than can be counted.
    #[error("a quota is 1 to {} messages", Plan::MAX_MESSAGES)]
    Quota,
    /// A price that is negative, or zero where the plan is not free.
    #[error("a price is more than nothing; say `free` for what costs nothing")]
    Price,
    /// The whole quota would cost more than an amount can hold.
    #[error("the price of the whole quota is out of range")]
    Overflow,
    /// A term of no time.
    #[error("a term is at least a second and at most 100 years")]
    Term,
}

impl Plan {
    /// The largest quota.
    pub const MAX_MESSAGES: u64 = 1_000_000_000_000;

    /// How many messages the plan allows; `None` if any number.
    pub const fn quota(&self) -> Option<u64> {
        match self {
            Self::Free { quota } | Self::PerMessage { quota, .. } => *quota,
            Self::FixedCount { messages, .. } => Some(*messages),
        }
    }

    /// Whether each message counts: towards a quota or in money.
    pub const fn is_counted(&self) -> bool {
        !matches!(self, Self::Free { quota: None })
    }

    /// What is paid when the order is placed.
    pub const fn upfront(&self) -> Amount {
        match self {
            Self::FixedCount { price, .. } => *price,
            Self::Free { .. } | Self::PerMessage { .. } => Amount::ZERO,
        }
    }

    /// What `delivered` messages cost in all: one rounding, half to even, and never less for more. The
    /// preview, the hold, the bill and its check all come from here.
    pub fn due(&self, delivered: u64, currency: Currency) -> Result<Amount, AmountOverflow> {
        match self {
            Self::Free { .. } => Ok(Amount::ZERO),
            Self::FixedCount { messages, price } => pro_rata(*price, delivered, *messages),
            Self::PerMessage { unit_price, .. } => unit_price.due(delivered, currency),
        }
    }

    /// The most messages, up to `limit`, whose price is at most `budget`.
    pub fn affordable(&self, budget: Amount, limit: u64, currency: Currency) -> u64 {
        // `due` never falls, so the answer can be searched for by halving.
        let (mut low, mut high) = (0, limit);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.due(middle, currency).is_ok_and(|due| due <= budget) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }

    /// Whether the plan can be offered in this currency.
    pub fn check(&self, currency: Currency) -> Result<(), InvalidPlan> {
        if self.quota().is_some_and(|quota| !(1..=Self::MAX_MESSAGES).contains(&quota)) {
            return Err(InvalidPlan::Quota);
        }
        match self {
            Self::Free { .. } => Ok(()),
            Self::FixedCount { price, .. } if !price.is_positive() => Err(InvalidPlan::Price),
            Self::PerMessage { unit_price, .. } if unit_price.nanos() == 0 => Err(InvalidPlan::Price),
            _ => {
                let largest = self.quota().unwrap_or(1);
                self.due(largest, currency).map(|_| ()).map_err(|_| InvalidPlan::Overflow)
            }
        }
    }
}

/// What an offer is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OfferState {
    /// Can be bought.
    Published,
    /// Can no longer be bought; orders that were placed keep it.
    Withdrawn,
}

/// A version of a price plan for a product. Only its state ever changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Offer {
    /// The id.
    pub id: OfferId,
    /// What is sold.
    pub product: ProductId,
    /// Who sells it.
    pub hub: HubId,
    /// What is paid with.
    pub currency: Currency,
    /// How usage is priced.
    pub plan: Plan,
    /// For how many seconds after the order access lasts, if not for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term_seconds: Option<u64>,
    /// What it is in.
    pub state: OfferState,
    /// When it was published.
    pub published: Timestamp,
}

impl Offer {
    /// When access ends that is ordered now.
    pub fn ends(&self, now: Timestamp) -> Option<Timestamp> {
        self.term_seconds.map(|seconds| now.plus(Duration::from_secs(seconds)))
    }
}

static OFFERS: Collection = Collection {
    name: "offers",
    kind: Kind::Records,
    about: "immutable versions of price plans",
    columns: &[Column::text("product"), Column::text("state"), Column::int("published")],
    indexes: &[Index { name: "by_product", columns: &["product", "published"] }],
};

impl Entity for Offer {
    type Id = OfferId;

    fn collection() -> &'static Collection {
        &OFFERS
    }

    fn id(&self) -> OfferId {
        self.id
    }

    fn values(&self) -> Vec<Option<Value>> {
        let state = match self.state {
            OfferState::Published => "published",
            OfferState::Withdrawn => "withdrawn",
        };
        vec![Some(self.product.to_string().into()), Some(state.into()), Some(self.published.micros().into())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plans() -> impl Strategy<Value = Plan> {
        prop_oneof![
            Just(Plan::Free { quota: None }),
            (1_u64..10_000, 1_i64..1_000_000).prop_map(|(messages, price)| Plan::FixedCount {
                messages,
                price: Amount::new(price).unwrap()
            }),
            (1_u64..10_000_000_000).prop_map(|nanos| Plan::PerMessage {
                unit_price: UnitPrice::try_from(nanos).unwrap(),
                quota: None
            }),
        ]
    }

    proptest! {
        #[test]
        fn more_messages_never_cost_less_and_the_budget_is_never_passed(
            plan in plans(), a in 0_u64..20_000, b in 0_u64..20_000, budget in 0_i64..1_000_000,
        ) {
            let due = |count| plan.due(count, Currency::EUR).unwrap();
            prop_assert!(due(a.min(b)) <= due(a.max(b)));
            let budget = Amount::new(budget).unwrap();
            let most = plan.affordable(budget, a, Currency::EUR);
            prop_assert!(due(most) <= budget);
            prop_assert!(most == a || due(most + 1) > budget);
        }
    }

    #[test]
    fn plans_that_make_no_sense_are_refused() {
        let price = |minor| Amount::new(minor).unwrap();
        let check = |plan: Plan| plan.check(Currency::EUR);
        assert_eq!(check(Plan::FixedCount { messages: 0, price: price(1) }), Err(InvalidPlan::Quota));
        assert_eq!(check(Plan::FixedCount { messages: 1, price: price(-1) }), Err(InvalidPlan::Price));
        assert_eq!(check(Plan::FixedCount { messages: 1, price: price(0) }), Err(InvalidPlan::Price));
        let dear = Plan::PerMessage { unit_price: UnitPrice::MAX, quota: Some(Plan::MAX_MESSAGES) };
        assert_eq!(check(dear), Err(InvalidPlan::Overflow));
        assert_eq!(check(Plan::Free { quota: Some(1) }), Ok(()));
    }
}
