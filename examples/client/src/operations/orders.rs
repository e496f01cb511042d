//! Orders: buying, receiving, ending and rating.

use i3_core::grant::Grant;
use i3_core::id::{OfferId, OrderId};
use i3_core::name::{Prose, Topic};
use i3_core::order::Order;
use i3_core::rating::{Rating, Stars};
use i3_core::statement::Statement;
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

/// What a buyer thinks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opinion {
    /// 1 to 5.
    pub stars: Stars,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<Prose>,
}

#[derive(Serialize)]
struct Purchase {
    offer: OfferId,
}

impl Client {
    /// One's own orders, newest first.
    pub fn list_orders(&self) -> Pages<Order> {
        self.list("/orders")
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
