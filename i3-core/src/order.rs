//! Orders: what was bought, on frozen terms.

use serde::{Deserialize, Serialize};

use crate::id::{HubId, OfferId, OrderId, ProductId, UserId};
use crate::money::Currency;
use crate::name::{Label, Topic};
use crate::offer::Plan;
use crate::store::{Collection, Column, Entity, Index, Kind, Value};
use crate::time::Timestamp;

/// What an order is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Paid for (or free) and being delivered.
    Active,
    /// All that was bought has been delivered, or its time has ended.
    Completed,
    /// Ended before by the buyer or an administrator; what was not delivered was paid back.
    Cancelled,
}

/// What was agreed. Copied from the offer and the product when the order is placed; nothing that the
/// seller does later changes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Terms {
    /// The product's title then.
    pub title: Label,
    /// Where the messages come.
    pub topic: Topic,
    /// Who sells.
    pub hub: HubId,
    /// What is paid with.
    pub currency: Currency,
    /// How usage is priced.
    pub plan: Plan,
    /// When access ends.
    pub until: Option<Timestamp>,
    /// The marketplace's share of what the buyer pays, in hundredths of a percent.
    pub fee_points: u16,
}

/// A buyer's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Order {
    /// The id; also what the buyer's MQTT client logs in with.
    pub id: OrderId,
    /// Who buys.
    pub buyer: UserId,
    /// What is bought.
    pub product: ProductId,
    /// Under which offer.
    pub offer: OfferId,
    /// What was agreed.
    pub terms: Terms,
    /// What it is in.
    pub state: OrderState,
    /// Which of its broker passwords is good; raised to replace a password.
    pub password_generation: u32,
    /// When it was placed.
    pub placed: Timestamp,
}

static ORDERS: Collection = Collection {
    name: "orders",
    kind: Kind::Records,
    about: "what was bought, on frozen terms",
    columns: &[
        Column::text("buyer"),
        Column::text("product"),
        Column::text("hub"),
        Column::text("state"),
        Column::int("placed"),
    ],
    indexes: &[
        Index { name: "by_buyer", columns: &["buyer", "placed"] },
        Index { name: "by_hub", columns: &["hub", "placed"] },
    ],
};

impl Entity for Order {
    type Id = OrderId;

    fn collection() -> &'static Collection {
        &ORDERS
    }

    fn id(&self) -> OrderId {
        self.id
    }

    fn values(&self) -> Vec<Option<Value>> {
        let state = match self.state {
            OrderState::Active => "active",
            OrderState::Completed => "completed",
            OrderState::Cancelled => "cancelled",
        };
        vec![
            Some(self.buyer.to_string().into()),
            Some(self.product.to_string().into()),
            Some(self.terms.hub.to_string().into()),
            Some(state.into()),
            Some(self.placed.micros().into()),
        ]
    }
}
