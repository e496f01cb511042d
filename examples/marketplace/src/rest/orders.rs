//! Orders: buying, receiving, ending and rating.

use axum::http::StatusCode;
use i3_core::access::{Action, Resource};
use i3_core::grant::Grant;
use i3_core::id::{GrantId, OfferId, OrderId, ProductId};
use i3_core::market::{
    Caller, CancelOrder, OrderFilter, PageRequest, Period, Purchase, RateProduct, RecordTag, Refusal,
    ReplaceOrderPassword, RevokeGrant, TimeOrder,
};
use i3_core::name::{Prose, Topic};
use i3_core::order::{Order, OrderState};
use i3_core::rating::{Rating, Stars};
use i3_core::statement::Statement;
use i3_core::store::StoreError;
use i3_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::representation::{Created, Linked, Links, Listed, Shown};
use super::request::{Answer, Api, Body, InPath, InQuery, page_request};
use super::route::{Done, Routes, about};

pub(super) fn routes() -> Routes {
    let sees = |id, summary| about(id, summary).permission(Action::ViewOrder).permission(Action::ViewHub);
    Routes::new()
        .get("/orders", list, about("list_orders", "One's own orders").permission(Action::ViewOrder))
        .post(
            "/orders",
            purchase,
            about("purchase", "Buys an offer")
                .permission(Action::Purchase)
                .permission(Action::ViewOrder)
                .permission(Action::ManageOrder)
                .relation("buy")
                .refusal(StatusCode::PAYMENT_REQUIRED)
                .refusal(StatusCode::NOT_FOUND),
        )
        .get("/orders/{order}", show, sees("show_order", "An order: for its buyer and for its seller"))
        .get(
            "/orders/{order}/password",
            password,
            about("show_order_password", "What the buyer's MQTT client logs in with")
                .permission(Action::ViewOrder)
                .permission(Action::ManageOrder)
                .relation("password"),
        )
        .post(
            "/orders/{order}/password",
            replace_password,
            about("replace_order_password", "Replaces the MQTT password")
                .permission(Action::ViewOrder)
                .permission(Action::ManageOrder)
                .relation("password"),
        )
        .post(
            "/orders/{order}/cancel",
            cancel,
            about("cancel_order", "Ends an order; what was not delivered is paid back")
                .permission(Action::ManageOrder)
                .relation("cancel"),
        )
        .post(
            "/orders/{order}/revoke",
            revoke,
            about("revoke_grant", "Takes an order's access away")
                .permission(Action::RevokeGrant)
                .relation("revoke"),
        )
        .get("/orders/{order}/grant", grant, sees("show_grant", "The access that an order gives"))
        .get("/orders/{order}/statement", statement, sees("show_statement", "What was used and what it cost"))
        .put(
            "/orders/{order}/rating",
            rate,
            about("rate", "Rates what was received").permission(Action::Rate).relation("rate"),
        )
}

impl Linked for Order {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        RecordTag::of(self).map(Some)
    }

    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        let own = format!("/orders/{}", self.id);
        links.own(&own);
        links.to("product", format!("/products/{}", self.product));
        links.to("hub", format!("/hubs/{}", self.terms.hub));
        links.to("grant", format!("{own}/grant"));
        links.to("statement", format!("{own}/statement"));
        links.action("explain", format!("/explain{own}"));
        links.action("explain-charge", format!("/explain{own}/charge"));
        let manages = caller.may_with(Action::ManageOrder, self.buyer);
        if manages && caller.is(self.buyer) {
            links.action("password", format!("{own}/password"));
        }
        if self.state == OrderState::Active {
            if manages {
                links.action("cancel", format!("{own}/cancel"));
            }
            if caller.may_in_hub(Action::RevokeGrant, self.terms.hub) {
                links.action("revoke", format!("{own}/revoke"));
            }
        }
        if caller.is(self.buyer) && caller.may_with(Action::Rate, self.buyer) {
            links.action("rate", format!("{own}/rating"));
        }
    }
}

impl Linked for Grant {}
impl Linked for Statement {}
impl Linked for Login {}

/// What the buyer's MQTT client needs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MqttLogin")]
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

/// What is bought.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Purchase")]
struct Choice {
    offer: OfferId,
}

/// An order that was placed, with what its MQTT client needs.
#[derive(Serialize, JsonSchema)]
struct Bought {
    order: Order,
    mqtt: Login,
}

impl Linked for Bought {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        self.order.tag()
    }

    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        self.order.links(caller, links);
    }
}

async fn purchase(api: Api, Body(body): Body<Choice>) -> Answer<Created<Bought>> {
    let own = Resource::of_user(api.user()?);
    // The answer has the order and its password: a program that may see neither buys nothing.
    for action in [Action::ViewOrder, Action::ManageOrder] {
        api.market().authorize(api.actor, action, &own).await.map_err(|error| api.refused(error))?;
    }
    let order = api.execute(Purchase { offer: body.offer }).await?;
    // The answer to a repeated request may be older than the password.
    let order = find(&api, order.id).await?;
    let mqtt = Login::of(&api, &order).await?;
    api.created(format!("/orders/{}", order.id), Bought { order, mqtt }).await
}

async fn find(api: &Api, order: OrderId) -> Answer<Order> {
    api.market().order(api.actor, order).await.map_err(|error| api.refused(error))
}

/// Which orders are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderQuery {
    /// Those in this state.
    state: Option<OrderState>,
    /// Those of this product.
    product: Option<ProductId>,
    /// Those placed from this time on.
    since: Option<Timestamp>,
    /// Those placed before this time.
    until: Option<Timestamp>,
    /// In which order they come: newest first if nothing is said.
    #[serde(default)]
    sort: TimeOrder,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items: 1 to 200, 50 if nothing is said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
}

impl OrderQuery {
    /// Which orders, in which order, and which page of them.
    pub(super) fn request(self) -> Answer<(OrderFilter, TimeOrder, PageRequest)> {
        let page = page_request(self.after.as_deref(), self.limit)?;
        let placed = Period { since: self.since, until: self.until };
        Ok((OrderFilter { state: self.state, product: self.product, placed }, self.sort, page))
    }
}

async fn list(api: Api, InQuery(query): InQuery<OrderQuery>) -> Answer<Shown<Listed<Order>>> {
    let (filter, sort, page) = query.request()?;
    let orders = api.market().orders(api.actor, api.user()?, &filter, sort, &page).await;
    api.list(orders.map_err(|error| api.refused(error))?).await
}

async fn show(api: Api, InPath(order): InPath<OrderId>) -> Answer<Shown<Order>> {
    api.show(find(&api, order).await?).await
}

async fn password(api: Api, InPath(order): InPath<OrderId>) -> Answer<Shown<Login>> {
    let order = find(&api, order).await?;
    api.show(Login::of(&api, &order).await?).await
}

async fn replace_password(api: Api, InPath(order): InPath<OrderId>) -> Answer<Shown<Login>> {
    let found = find(&api, order).await?;
    Login::of(&api, &found).await?;
    api.execute_on::<Order, _>(order, ReplaceOrderPassword { order }).await?;
    password(api, InPath(order)).await
}

async fn cancel(api: Api, InPath(order): InPath<OrderId>) -> Answer<Done> {
    api.execute_on::<Order, _>(order, CancelOrder { order }).await?;
    Ok(Done)
}

async fn revoke(api: Api, InPath(order): InPath<OrderId>) -> Answer<Done> {
    api.execute_on::<Order, _>(order, RevokeGrant { grant: GrantId::of(order) }).await?;
    Ok(Done)
}

async fn grant(api: Api, InPath(order): InPath<OrderId>) -> Answer<Shown<Grant>> {
    api.show(api.market().grant_of(api.actor, order).await.map_err(|error| api.refused(error))?).await
}

async fn statement(api: Api, InPath(order): InPath<OrderId>) -> Answer<Shown<Statement>> {
    api.show(api.market().statement(api.actor, order).await.map_err(|error| api.refused(error))?).await
}

/// What a buyer thinks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Opinion {
    stars: Stars,
    comment: Option<Prose>,
}

async fn rate(api: Api, InPath(order): InPath<OrderId>, Body(body): Body<Opinion>) -> Answer<Shown<Rating>> {
    let command = RateProduct { order, stars: body.stars, comment: body.comment };
    api.show(api.execute_on::<Rating, _>(GrantId::of(order), command).await?).await
}
