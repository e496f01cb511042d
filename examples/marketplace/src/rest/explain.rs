//! Why a client may or may not do something, and why messages were or were not charged. For members of the hub,
//! the buyer and administrators; for others what is asked about is not there.

use i3_core::access::Action;
use i3_core::id::{DeviceId, OrderId};
use i3_core::market::{AccessExplanation, ChargeExplanation, MessageExplanation};
use schemars::JsonSchema;
use serde::Deserialize;

use super::representation::{Linked, Shown};
use super::request::{Answer, Api, InPath, InQuery};
use super::route::{Routes, about};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/explain/devices/{device}",
            publish,
            about("explain_publish", "Why a device may or may not publish a topic")
                .permission(Action::ViewHub),
        )
        .get(
            "/explain/orders/{order}",
            receive,
            about("explain_receive", "Why an order may or may not receive")
                .permission(Action::ViewOrder)
                .permission(Action::ViewHub)
                .relation("explain"),
        )
        .get(
            "/explain/orders/{order}/charge",
            charge,
            about("explain_charge", "Why an order's messages were or were not charged")
                .permission(Action::ViewOrder)
                .permission(Action::ViewHub)
                .relation("explain-charge"),
        )
        .get(
            "/explain/orders/{order}/messages/{number}",
            message,
            about("explain_message", "Why one message was or was not charged to an order")
                .permission(Action::ViewOrder)
                .permission(Action::ViewHub),
        )
}

impl Linked for AccessExplanation {}
impl Linked for ChargeExplanation {}
impl Linked for MessageExplanation {}

/// Records of each kind that are looked through for one answer.
const ROWS: usize = 10_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Topic {
    topic: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AnyTopic {
    topic: Option<String>,
}

async fn publish(
    api: Api,
    InPath(device): InPath<DeviceId>,
    InQuery(query): InQuery<Topic>,
) -> Answer<Shown<AccessExplanation>> {
    let explained = api.market().explain_publish(api.actor, device, &query.topic).await;
    api.show(explained.map_err(|error| api.refused(error))?).await
}

async fn receive(
    api: Api,
    InPath(order): InPath<OrderId>,
    InQuery(query): InQuery<AnyTopic>,
) -> Answer<Shown<AccessExplanation>> {
    let explained = api.market().explain_receive(api.actor, order, query.topic.as_deref()).await;
    api.show(explained.map_err(|error| api.refused(error))?).await
}

async fn charge(api: Api, InPath(order): InPath<OrderId>) -> Answer<Shown<ChargeExplanation>> {
    let explained = api.market().explain_charge(api.actor, order, ROWS).await;
    api.show(explained.map_err(|error| api.refused(error))?).await
}

async fn message(
    api: Api,
    InPath((order, number)): InPath<(OrderId, u64)>,
) -> Answer<Shown<MessageExplanation>> {
    let explained = api.market().explain_message(api.actor, order, number, ROWS).await;
    api.show(explained.map_err(|error| api.refused(error))?).await
}
