//! Orders: buying, receiving, ending and rating.

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use i3_core::access::{Action, Resource};
use i3_core::grant::Grant;
use i3_core::id::{GrantId, OfferId, OrderId};
use i3_core::market::{
    CancelOrder, Paged, Purchase, RateProduct, Refusal, ReplaceOrderPassword, RevokeGrant,
};
use i3_core::name::{Prose, Topic};
use i3_core::order::Order;
use i3_core::rating::{Rating, Stars};
use i3_core::statement::Statement;
use serde::{Deserialize, Serialize};

use super::request::{Answer, Api, Body, InPath, InQuery, PageQuery};
use super::{AppState, created};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/orders", get(list).post(purchase))
        .route("/orders/{order}", get(show))
        .route("/orders/{order}/password", get(password).post(replace_password))
        .route("/orders/{order}/cancel", post(cancel))
        .route("/orders/{order}/revoke", post(revoke))
        .route("/orders/{order}/grant", get(grant))
        .route("/orders/{order}/statement", get(statement))
        .route("/orders/{order}/rating", put(rate))
}

/// What the buyer's MQTT client needs.
#[derive(Serialize)]
struct Login {
    username: OrderId,
    password: String,
    topic: Topic,
}

impl Login {
    /// The login of an order. For its buyer only.
    async fn of(api: &Api, order: &Order) -> Answer<Self> {
        if api.user()? != order.buyer {
            let rule = "only its buyer may see an order's password".to_owned();
            return Err(api.refused(Refusal::Forbidden { action: Action::ManageOrder, rule }.into()));
        }
        let owner = Resource::of_user(order.buyer);
        let allowed = api.market().authorize(api.actor, Action::ManageOrder, &owner).await;
        allowed.map_err(|error| api.refused(error))?;
        let password = api.access().broker_passwords.of(order.id, order.password_generation);
        Ok(Self {
            username: order.id,
            password: password.expose().to_owned(),
            topic: order.terms.topic.clone(),
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    offer: OfferId,
}

#[derive(Serialize)]
struct Bought {
    order: Order,
    mqtt: Login,
}

async fn purchase(api: Api, Body(body): Body<Choice>) -> Answer<Response> {
    api.user()?;
    let order = api.execute(Purchase { offer: body.offer }).await?;
    // The answer to a repeated request may be older than the password.
    let order = find(&api, order.id).await?;
    let mqtt = Login::of(&api, &order).await?;
    Ok(created(format!("/api/v1/orders/{}", order.id), Json(Bought { order, mqtt })))
}

async fn find(api: &Api, order: OrderId) -> Answer<Order> {
    api.market().order(api.actor, order).await.map_err(|error| api.refused(error))
}

async fn list(api: Api, InQuery(page): InQuery<PageQuery>) -> Answer<Json<Paged<Order>>> {
    let orders = api.market().orders(api.actor, api.user()?, &page.request()?).await;
    orders.map(Json).map_err(|error| api.refused(error))
}

async fn show(api: Api, InPath(order): InPath<OrderId>) -> Answer<Json<Order>> {
    find(&api, order).await.map(Json)
}

async fn password(api: Api, InPath(order): InPath<OrderId>) -> Answer<Json<Login>> {
    let order = find(&api, order).await?;
    Login::of(&api, &order).await.map(Json)
}

async fn replace_password(api: Api, InPath(order): InPath<OrderId>) -> Answer<Json<Login>> {
    let found = find(&api, order).await?;
    Login::of(&api, &found).await?;
    api.execute(ReplaceOrderPassword { order }).await?;
    password(api, InPath(order)).await
}

async fn cancel(api: Api, InPath(order): InPath<OrderId>) -> Answer<StatusCode> {
    api.execute(CancelOrder { order }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke(api: Api, InPath(order): InPath<OrderId>) -> Answer<StatusCode> {
    api.execute(RevokeGrant { grant: GrantId::of(order) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn grant(api: Api, InPath(order): InPath<OrderId>) -> Answer<Json<Grant>> {
    api.market().grant_of(api.actor, order).await.map(Json).map_err(|error| api.refused(error))
}

async fn statement(api: Api, InPath(order): InPath<OrderId>) -> Answer<Json<Statement>> {
    api.market().statement(api.actor, order).await.map(Json).map_err(|error| api.refused(error))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Opinion {
    stars: Stars,
    comment: Option<Prose>,
}

async fn rate(api: Api, InPath(order): InPath<OrderId>, Body(body): Body<Opinion>) -> Answer<Json<Rating>> {
    api.execute(RateProduct { order, stars: body.stars, comment: body.comment }).await.map(Json)
}
