//! The object of a product that was bought, with where and as whom its data are received.

use super::super::{MarketError, Marketplace, Refusal};
use super::ObjectView;
use crate::access::{Action, Actor};
use crate::grant::{Grant, GrantState};
use crate::id::{GrantId, OrderId};
use crate::order::{Order, OrderState};
use crate::virtual_object::{Content, Protocol, ResourceUri};

/// An object whose product somebody bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderedObject {
    /// The order.
    pub order: Order,
    /// The object, as the buyer sees it.
    pub view: ObjectView,
}

impl OrderedObject {
    /// What the object says, with the brokers' addresses before its own: those of MQTT with the topic as their path,
    /// those of WebSocket as they are, since there a path means nothing. Addresses that are then too many or too long
    /// are left out, the object's own last ones first.
    pub fn filled(&self, brokers: &[ResourceUri]) -> Content {
        let mut content = self.view.content.clone();
        let mut resources: Vec<ResourceUri> = Vec::new();
        for broker in brokers {
            let protocol =
                [Protocol::Mqtt, Protocol::WebSocket].into_iter().find(|it| it.has_scheme(broker.scheme()));
            let uri = match &protocol {
                Some(Protocol::Mqtt) => {
                    format!("{}/{}", broker.as_str().trim_end_matches('/'), self.order.terms.topic)
                        .parse()
                        .ok()
                }
                Some(_) => Some(broker.clone()),
                None => None,
            };
            if let (Some(protocol), Some(uri)) = (protocol, uri)
                && !resources.contains(&uri)
            {
                content.protocols.insert(protocol);
                resources.push(uri);
            }
        }
        for own in std::mem::take(&mut content.resources) {
            if !resources.contains(&own) {
                resources.push(own);
            }
        }
        resources.truncate(Content::MAX_RESOURCES);
        content.resources = resources;
        content
    }
}

impl Marketplace {
    /// The object of the product of an order, for its buyer, as long as the order gives access. Refused for everybody
    /// else, with the state of an order or grant that has ended, and as missing if the product has no object that the
    /// buyer sees.
    pub async fn ordered_object(&self, actor: Actor, order: OrderId) -> Result<OrderedObject, MarketError> {
        let order = self.order(actor, order).await?;
        if actor != Actor::User(order.buyer) {
            let rule = "only its buyer may see an order's object".to_owned();
            return Err(Refusal::Forbidden { action: Action::ManageOrder, rule }.into());
        }
        let ended = match order.state {
            OrderState::Active => None,
            OrderState::Completed => Some("completed"),
            OrderState::Cancelled => Some("cancelled"),
        };
        if let Some(state) = ended {
            return Err(Refusal::WrongState { what: "order", state }.into());
        }
        let grant: Grant = self.entity(&GrantId::of(order.id), "grant").await?;
        let over = order.terms.until.is_some_and(|until| until <= self.clock.now());
        let state = if over { GrantState::Expired } else { grant.state };
        if state != GrantState::Active {
            return Err(Refusal::WrongState { what: "grant", state: state.as_str() }.into());
        }
        let view = self.object_of_product(actor, order.product).await?;
        Ok(OrderedObject { order, view })
    }
}
