//! Hubs, their members and their sales.

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use i3_core::access::HubRole;
use i3_core::hub::{Hub, HubState, Membership};
use i3_core::id::{HubId, UserId};
use i3_core::market::{Paged, RegisterHub, RemoveMember, SetHubState, SetMember};
use i3_core::name::{Label, Slug};
use i3_core::order::Order;
use serde::Deserialize;

use super::request::{Answer, Api, Body, InPath, InQuery, PageQuery};
use super::{AppState, created};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/hubs", post(register))
        .route("/hubs/{hub}", get(show))
        .route("/hubs/{hub}/state", put(set_state))
        .route("/hubs/{hub}/members", get(members))
        .route("/hubs/{hub}/members/{user}", put(set_member).delete(remove_member))
        .route("/hubs/{hub}/orders", get(sales))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    slug: Slug,
    title: Label,
}

async fn register(api: Api, Body(body): Body<Registration>) -> Answer<Response> {
    // Anybody else is told to sign in rather than that a hub needs an owner.
    api.user()?;
    let hub = api.execute(RegisterHub { slug: body.slug, title: body.title }).await?;
    Ok(created(format!("/api/v1/hubs/{}", hub.id), Json(hub)))
}

async fn show(api: Api, InPath(hub): InPath<HubId>) -> Answer<Json<Hub>> {
    api.market().hub(hub).await.map(Json).map_err(|error| api.refused(error))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    state: HubState,
}

async fn set_state(api: Api, InPath(hub): InPath<HubId>, Body(body): Body<State>) -> Answer<Json<Hub>> {
    api.execute(SetHubState { hub, state: body.state }).await.map(Json)
}

async fn members(
    api: Api,
    InPath(hub): InPath<HubId>,
    InQuery(page): InQuery<PageQuery>,
) -> Answer<Json<Paged<Membership>>> {
    let members = api.market().members(api.actor, hub, &page.request()?).await;
    members.map(Json).map_err(|error| api.refused(error))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    role: HubRole,
}

async fn set_member(
    api: Api,
    InPath((hub, user)): InPath<(HubId, UserId)>,
    Body(body): Body<Member>,
) -> Answer<Json<Membership>> {
    api.execute(SetMember { hub, user, role: body.role }).await.map(Json)
}

async fn remove_member(api: Api, InPath((hub, user)): InPath<(HubId, UserId)>) -> Answer<StatusCode> {
    api.execute(RemoveMember { hub, user }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn sales(
    api: Api,
    InPath(hub): InPath<HubId>,
    InQuery(page): InQuery<PageQuery>,
) -> Answer<Json<Paged<Order>>> {
    let orders = api.market().sales(api.actor, hub, &page.request()?).await;
    orders.map(Json).map_err(|error| api.refused(error))
}
