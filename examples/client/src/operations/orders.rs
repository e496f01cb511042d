//! Orders: buying, receiving, ending and rating.

use i3_core::grant::Grant;
use i3_core::id::{OfferId, OrderId, ProductId, VirtualObjectId};
use i3_core::market::TimeOrder;
use i3_core::name::{Prose, Topic};
use i3_core::order::{Order, OrderState};
use i3_core::rating::{Rating, Stars};
use i3_core::statement::Statement;
use i3_core::time::Timestamp;
use i3_core::virtual_object::{Content, ContentHash};
use serde::{Deserialize, Serialize};

use crate::{Change, Client, Pages, Query, Secret};

/// What the buyer's MQTT client needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MqttLogin {
    /// The user name: the order.
    pub username: OrderId,
    /// The password.
    pub password: Secret,
    /// What to subscribe to.
    pub topic: Topic,
}

/// An order that was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bought {
    /// The order.
    pub order: Order,
    /// What the buyer's MQTT client needs.
    pub mqtt: MqttLogin,
}

/// The virtual object of what was bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OrderedObject {
    /// The order.
    pub order: OrderId,
    /// The object.
    pub object: VirtualObjectId,
    /// The number of the content that was filled in.
    pub version: u32,
    /// The hash of the content before it was filled in.
    pub hash: ContentHash,
    /// What the object says; the addresses where this buyer receives its data come first.
    pub content: Content,
    /// How they are received.
    pub access: OrderedAccess,
}

/// How a buyer receives the data of a virtual object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OrderedAccess {
    /// What to subscribe to.
    pub topic: Topic,
    /// What an MQTT client logs in as.
    pub username: OrderId,
    /// Where the buyer gets the password.
    pub password_at: String,
    /// When access ends, if it does by time.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

/// What a buyer thinks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opinion {
    /// 1 to 5.
    pub stars: Stars,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<Prose>,
}

/// Which orders, and in which order. The default: all, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct OrderQuery {
    /// Those in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<OrderState>,
    /// Those of this product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductId>,
    /// Those placed from this time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Those placed before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// In this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<TimeOrder>,
}

#[derive(Serialize)]
struct Purchase {
    offer: OfferId,
}

impl Client {
    /// One's own orders.
    pub fn list_orders(&self, query: &OrderQuery) -> Pages<Order> {
        self.list("/orders").parameters(query)
    }

    /// Buys an offer.
    pub fn purchase(&self, offer: OfferId) -> Change<Bought> {
        self.post("/orders", &Purchase { offer })
    }

    /// An order: for its buyer and for its seller.
    pub fn show_order(&self, order: OrderId) -> Query<Order> {
        self.get(format!("/orders/{order}"))
    }

    /// What the buyer's MQTT client logs in with.
    pub fn show_order_password(&self, order: OrderId) -> Query<MqttLogin> {
        self.get(format!("/orders/{order}/password"))
    }

    /// Replaces the MQTT password.
    pub fn replace_order_password(&self, order: OrderId) -> Change<MqttLogin> {
        self.act(format!("/orders/{order}/password"))
    }

    /// The virtual object of what was bought, with where its data are received and how.
    pub fn show_ordered_object(&self, order: OrderId) -> Query<OrderedObject> {
        self.get(format!("/orders/{order}/object"))
    }

    /// Ends an order; what was not delivered is paid back.
    pub fn cancel_order(&self, order: OrderId) -> Change<()> {
        self.act(format!("/orders/{order}/cancel"))
    }

    /// Takes an order's access away.
    pub fn revoke_grant(&self, order: OrderId) -> Change<()> {
        self.act(format!("/orders/{order}/revoke"))
    }

    /// The access that an order gives.
    pub fn show_grant(&self, order: OrderId) -> Query<Grant> {
        self.get(format!("/orders/{order}/grant"))
    }

    /// What was used and what it cost.
    pub fn show_statement(&self, order: OrderId) -> Query<Statement> {
        self.get(format!("/orders/{order}/statement"))
    }

    /// Rates what was received.
    pub fn rate(&self, order: OrderId, opinion: &Opinion) -> Change<Rating> {
        self.put(format!("/orders/{order}/rating"), opinion)
    }
}
