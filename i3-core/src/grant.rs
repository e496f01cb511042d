//! Grants: the only source of access to data.

use serde::{Deserialize, Serialize};

use crate::id::{GrantId, OrderId, ProductId, UserId};
use crate::store::{Collection, Column, Entity, Index, Kind, Value};
use crate::time::Timestamp;

/// What a grant is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GrantState {
    /// Opens the product.
    Active,
    /// All that was bought has been delivered.
    Exhausted,
    /// Its time has ended.
    Expired,
    /// Taken away, or given up by cancelling the order.
    Revoked,
}

impl GrantState {
    /// The text in the `state` column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// The access that an order gives. An order has exactly one; there is none without an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Grant {
    /// The id, from the order's.
    pub id: GrantId,
    /// Whose it is.
    pub buyer: UserId,
    /// What it opens.
    pub product: ProductId,
    /// Raised by every change; what was leased under an older epoch admits nothing.
    pub epoch: u32,
    /// What it is in.
    pub state: GrantState,
    /// When it ends.
    pub until: Option<Timestamp>,
}

impl Grant {
    /// The order that it came from.
    pub fn order(&self) -> OrderId {
        self.id.order()
    }

    /// Whether it opens the product at this time.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.state == GrantState::Active && self.until.is_none_or(|until| now < until)
    }

    /// The grant in another state, with a raised epoch.
    pub fn ended(mut self, state: GrantState) -> Self {
        self.state = state;
        self.epoch = self.epoch.saturating_add(1);
        self
    }
}

static GRANTS: Collection = Collection {
    name: "grants",
    kind: Kind::Records,
    about: "the only source of access to data",
    columns: &[Column::text("buyer"), Column::text("product"), Column::text("state"), Column::int("until")],
    indexes: &[Index { name: "by_end", columns: &["state", "until"] }],
};

impl Entity for Grant {
    type Id = GrantId;

    fn collection() -> &'static Collection {
        &GRANTS
    }

    fn id(&self) -> GrantId {
        self.id
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![
            Some(self.buyer.to_string().into()),
            Some(self.product.to_string().into()),
            Some(self.state.as_str().into()),
            self.until.map(|until| until.micros().into()),
        ]
    }
}
