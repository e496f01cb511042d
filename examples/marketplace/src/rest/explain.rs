//! Why a client may or may not do something, and why messages were or were not charged. For members of the hub,
//! the buyer and administrators; for others what is asked about is not there.

use axum::routing::get;
use axum::{Json, Router};
use i3_core::id::{DeviceId, OrderId};
use i3_core::market::{AccessExplanation, ChargeExplanation};
use serde::Deserialize;

use super::AppState;
use super::request::{Answer, Api, InPath, InQuery};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/explain/devices/{device}", get(publish))
        .route("/explain/orders/{order}", get(receive))
        .route("/explain/orders/{order}/charge", get(charge))
}

/// Records of each kind that are looked through for one answer.
const ROWS: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Topic {
    topic: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnyTopic {
    topic: Option<String>,
}

async fn publish(
    api: Api,
    InPath(device): InPath<DeviceId>,
    InQuery(query): InQuery<Topic>,
) -> Answer<Json<AccessExplanation>> {
    let explained = api.market().explain_publish(api.actor, device, &query.topic).await;
    explained.map(Json).map_err(|error| api.refused(error))
}

async fn receive(
    api: Api,
    InPath(order): InPath<OrderId>,
    InQuery(query): InQuery<AnyTopic>,
) -> Answer<Json<AccessExplanation>> {
    let explained = api.market().explain_receive(api.actor, order, query.topic.as_deref()).await;
    explained.map(Json).map_err(|error| api.refused(error))
}

async fn charge(api: Api, InPath(order): InPath<OrderId>) -> Answer<Json<ChargeExplanation>> {
    let explained = api.market().explain_charge(api.actor, order, ROWS).await;
    explained.map(Json).map_err(|error| api.refused(error))
}
