//! Accounts of the ledger.

use std::fmt;
use std::str::FromStr;

use i3_core::id::{HubId, OrderId, UserId};
use i3_core::ledger::Entry;
use i3_core::market::{Balance, TimeOrder};
use i3_core::money::Currency;
use i3_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Client, Pages, Query};

/// Whose account it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LedgerHolder {
    /// What a user can spend.
    User(UserId),
    /// What a hub earned.
    Hub(HubId),
    /// What is held for an order.
    Order(OrderId),
    /// What the marketplace earned.
    Fees,
    /// Where money comes from and goes to.
    External,
}

/// A text that names no [`LedgerHolder`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the id of a user, a hub or an order, `fees` or `external` is expected")]
pub struct InvalidHolder;

impl FromStr for LedgerHolder {
    type Err = InvalidHolder;

    fn from_str(text: &str) -> Result<Self, InvalidHolder> {
        match text {
            "fees" => return Ok(Self::Fees),
            "external" => return Ok(Self::External),
            _ => {}
        }
        let user = text.parse().map(Self::User);
        user.or_else(|_| text.parse().map(Self::Hub))
            .or_else(|_| text.parse().map(Self::Order))
            .map_err(|_| InvalidHolder)
    }
}

impl fmt::Display for LedgerHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => user.fmt(f),
            Self::Hub(hub) => hub.fmt(f),
            Self::Order(order) => order.fmt(f),
            Self::Fees => f.pad("fees"),
            Self::External => f.pad("external"),
        }
    }
}

/// What an account holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Balances {
    /// In each currency that it ever had.
    pub items: Vec<Balance>,
}

/// Which entries of an account, and in which order. The default: all, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct EntryQuery {
    /// Those from this time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Those before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// In this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<TimeOrder>,
}

impl Client {
    /// What an account holds.
    pub fn list_balances(&self, holder: LedgerHolder) -> Query<Balances> {
        self.get(format!("/accounts/{holder}/balances"))
    }

    /// How an account came to what it holds.
    pub fn list_entries(&self, holder: LedgerHolder, currency: Currency, query: &EntryQuery) -> Pages<Entry> {
        self.list(format!("/accounts/{holder}/entries")).parameter("currency", &currency).parameters(query)
    }
}
