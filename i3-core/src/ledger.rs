//! The ledger: double entry, immutable, in integers.
//!
//! A [`Transfer`] moves money between accounts and sums to zero in each currency. Its legs are stored
//! as entries, one record each, so that an operator can add them up with plain SQL; balances are
//! counters that always equal the sum of their entries. A correction is a further transfer.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{HubId, OrderId, TransferId, UserId};
use crate::money::{Amount, AmountOverflow, Currency};
use crate::store::{
    Collection, Column, Entity, Halt, Index, Key, Kind, StoreError, StoreErrorKind, Tx, Units, Value,
};
use crate::time::Timestamp;

/// Who owns what an account holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// A buyer's money that can be spent. Never below zero.
    Available(UserId),
    /// A buyer's money that is held for an order. Never below zero.
    Held(OrderId),
    /// What a hub has earned. Never below zero.
    Earned(HubId),
    /// The marketplace's fees. Never below zero.
    Fees,
    /// The world outside: falls when money comes in.
    External,
}

/// An account: a holder and a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Account {
    /// Who.
    pub holder: Holder,
    /// What is counted.
    pub currency: Currency,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.holder {
            Holder::Available(user) => write!(f, "available:{user}:{}", self.currency),
            Holder::Held(order) => write!(f, "held:{order}:{}", self.currency),
            Holder::Earned(hub) => write!(f, "earned:{hub}:{}", self.currency),
            Holder::Fees => write!(f, "fees:{}", self.currency),
            Holder::External => write!(f, "external:{}", self.currency),
        }
    }
}

impl Account {
    /// How far it may fall.
    pub const fn floor(&self) -> Units {
        match self.holder {
            Holder::External => Units::MIN,
            _ => Units::ZERO,
        }
    }

    /// The counter of its balance.
    pub fn balance_key(&self) -> Result<Key, StoreError> {
        Key::new(&BALANCES, self.to_string()).map_err(|error| {
            StoreError::new(StoreErrorKind::Unsupported, "an account's name is no key").with_source(error)
        })
    }
}

/// Why money moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum Memo {
    /// Money came in from outside.
    TopUp {
        /// What the payment is called outside.
        reference: String,
    },
    /// An order was placed: its price is held.
    Hold {
        /// The order.
        order: OrderId,
    },
    /// Usage of an order was settled: what was delivered is paid, what is no longer needed is released.
    Usage {
        /// The order.
        order: OrderId,
        /// How many messages it has been delivered in all.
        delivered: u64,
    },
    /// An order ended: what was held for it is released.
    Release {
        /// The order.
        order: OrderId,
    },
}

/// One leg of a transfer, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Entry {
    /// The transfer.
    pub transfer: TransferId,
    /// Which of its legs, from zero.
    pub leg: u16,
    /// Whose balance it changes.
    pub account: Account,
    /// By how much.
    pub amount: Amount,
    /// Why.
    pub memo: Memo,
    /// When.
    pub at: Timestamp,
}

static ENTRIES: Collection = Collection {
    name: "ledger_entries",
    kind: Kind::Records,
    about: "the legs of all transfers; the amounts of a transfer, and of all, sum to zero",
    columns: &[Column::text("account"), Column::text("currency"), Column::int("amount"), Column::int("at")],
    indexes: &[Index { name: "by_account", columns: &["account", "at"] }],
};

/// The counters of balances.
pub(crate) static BALANCES: Collection = Collection {
    name: "balances",
    kind: Kind::Counters,
    about: "the balance of each account: the sum of its entries",
    columns: &[],
    indexes: &[],
};

impl Entity for Entry {
    type Id = String;

    fn collection() -> &'static Collection {
        &ENTRIES
    }

    fn id(&self) -> String {
        format!("{}.{}", self.transfer, self.leg)
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![
            Some(self.account.to_string().into()),
            Some(self.account.currency.to_string().into()),
            Some(self.amount.minor().into()),
            Some(self.at.micros().into()),
        ]
    }
}

/// Legs that sum to zero in each currency. An account appears once; nothing moves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    legs: BTreeMap<Account, Amount>,
}

/// Legs that are no transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unbalanced {
    /// What is taken is not what is given.
    #[error("the legs of a transfer do not sum to zero")]
    Sum,
    /// See [`AmountOverflow`].
    #[error(transparent)]
    Overflow(#[from] AmountOverflow),
}

impl Transfer {
    /// A transfer of these legs; legs of one account are added up.
    pub fn of(legs: impl IntoIterator<Item = (Account, Amount)>) -> Result<Self, Unbalanced> {
        let mut merged: BTreeMap<Account, Amount> = BTreeMap::new();
        let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
        for (account, amount) in legs {
            let present = merged.entry(account).or_default();
            *present = present.plus(amount)?;
            *sums.entry(account.currency).or_default() += i128::from(amount.minor());
        }
        if sums.values().any(|sum| *sum != 0) {
            return Err(Unbalanced::Sum);
        }
        merged.retain(|_, amount| *amount != Amount::ZERO);
        Ok(Self { legs: merged })
    }

    /// The legs, at most one for each account.
    pub fn legs(&self) -> impl Iterator<Item = (Account, Amount)> {
        self.legs.iter().map(|(account, amount)| (*account, *amount))
    }

    /// Posts the transfer: stores its entries and moves the balances. `short` is the answer if an account
    /// would pass its floor. A transfer that moves nothing posts nothing.
    pub fn post<R: Clone>(&self, tx: &mut Tx<'_, R>, memo: &Memo, short: &R) -> Result<(), Halt<R>> {
        if self.legs.is_empty() {
            return Ok(());
        }
        let transfer: TransferId = tx.fresh_id()?;
        for (leg, (account, amount)) in (0_u16..).zip(self.legs()) {
            tx.adjust(account.balance_key()?, amount.units(), account.floor(), short.clone())?;
            tx.create(&Entry { transfer, leg, account, amount, memo: memo.clone(), at: tx.now() })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TypedId;
    use proptest::prelude::*;

    fn account(holder: Holder) -> Account {
        Account { holder, currency: Currency::EUR }
    }

    proptest! {
        #[test]
        fn every_transfer_sums_to_zero_whatever_its_legs(
            legs in prop::collection::vec((0_u128..5, -1_000_000_i64..1_000_000), 0..10),
        ) {
            let mut legs: Vec<_> = legs.into_iter()
                .map(|(user, minor)| (account(Holder::Available(UserId::from_bits(user))), Amount::new(minor).unwrap()))
                .collect();
            let sum: i64 = legs.iter().map(|(_, amount)| amount.minor()).sum();
            if sum != 0 {
                prop_assert_eq!(Transfer::of(legs.clone()), Err(Unbalanced::Sum));
            }
            legs.push((account(Holder::External), Amount::new(-sum).unwrap()));
            let transfer = Transfer::of(legs).unwrap();
            prop_assert_eq!(transfer.legs().map(|(_, amount)| amount.minor()).sum::<i64>(), 0);
            prop_assert!(transfer.legs().all(|(_, amount)| amount != Amount::ZERO));
        }
    }

    #[test]
    fn currencies_are_not_mixed() {
        let euros = account(Holder::Fees);
        let dollars = Account { holder: Holder::External, currency: Currency::USD };
        let one = Amount::new(1).unwrap();
        assert_eq!(Transfer::of([(euros, one), (dollars, one.negated())]), Err(Unbalanced::Sum));
    }
}
