//! Accounts of people and organizations.

use std::collections::BTreeSet;

use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use i3_auth::Secret;
use i3_core::access::Role;
use i3_core::hub::Membership;
use i3_core::id::UserId;
use i3_core::market::{
    ActivateUser, DescribeUser, Paged, Refusal, RegisterUser, RejectUser, SetRoles, SuspendUser, TopUp,
};
use i3_core::money::{Amount, Currency};
use i3_core::name::{Email, Label, Slug};
use i3_core::order::Order;
use i3_core::secret::SecretHash;
use i3_core::time::ZoneName;
use i3_core::user::{Profile, User};
use serde::{Deserialize, Serialize};

use super::passwords::end_programs;
use super::problem::Problem;
use super::request::{Answer, Api, Body, InPath, InQuery, PageQuery};
use super::{AppState, created};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/users", get(list).post(register))
        .route("/users/me", get(me))
        .route("/users/{user}", get(show).put(describe))
        .route("/users/{user}/approve", post(activate))
        .route("/users/{user}/reject", post(reject))
        .route("/users/{user}/reinstate", post(activate))
        .route("/users/{user}/suspend", post(suspend))
        .route("/users/{user}/roles", put(set_roles))
        .route("/users/{user}/hubs", get(hubs))
        .route("/users/{user}/orders", get(orders))
        .route("/users/{user}/top-ups", post(top_up))
}

/// The shortest password that is taken, in characters (NIST SP 800-63B, 3.1.1.2).
const MIN_PASSWORD: usize = 8;

/// Hashes a new password.
pub(super) async fn hash(api: &Api, password: &Secret) -> Answer<SecretHash> {
    if password.expose().chars().count() < MIN_PASSWORD {
        let reason = format_args!("at least {MIN_PASSWORD} characters are expected");
        return Err(Problem::invalid("password", reason));
    }
    Ok(api.access().passwords.hash(password.expose().as_bytes()).await?)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    name: Slug,
    display: Option<Label>,
    email: Option<Email>,
    #[serde(default)]
    roles: BTreeSet<Role>,
    password: Secret,
    domain: Option<Slug>,
    time_zone: Option<ZoneName>,
    invitation: Option<Secret>,
}

async fn register(api: Api, Body(body): Body<Registration>) -> Answer<Response> {
    let display = match body.display {
        Some(display) => display,
        None => body.name.as_str().parse().map_err(|error| Problem::invalid("display", error))?,
    };
    let invitation = match body.invitation {
        Some(text) => {
            let known = api.access().leaves.read_invitation(text.expose());
            Some(known.ok_or_else(|| api.refused(Refusal::InvitationNotGood.into()))?)
        }
        None => None,
    };
    let password = Some(hash(&api, &body.password).await?);
    let Registration { name, email, roles, domain, time_zone, .. } = body;
    let profile = Profile { domain, time_zone, ..Profile::default() };
    let command = RegisterUser { name, display, email, roles, profile, invitation, password };
    let user = api.execute(command).await?;
    Ok(created(format!("/api/v1/users/{}", user.id), Json(user)))
}

async fn list(api: Api, InQuery(page): InQuery<PageQuery>) -> Answer<Json<Paged<User>>> {
    let users = api.market().users(api.actor, &page.request()?).await;
    users.map(Json).map_err(|error| api.refused(error))
}

async fn me(api: Api) -> Answer<Json<User>> {
    let user = api.user()?;
    show(api, InPath(user)).await
}

async fn show(api: Api, InPath(user): InPath<UserId>) -> Answer<Json<User>> {
    api.market().user(api.actor, user).await.map(Json).map_err(|error| api.refused(error))
}

async fn activate(api: Api, InPath(user): InPath<UserId>) -> Answer<Json<User>> {
    api.execute(ActivateUser { user }).await.map(Json)
}

async fn reject(api: Api, InPath(user): InPath<UserId>) -> Answer<Json<User>> {
    api.execute(RejectUser { user }).await.map(Json)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    display: Label,
    domain: Option<Slug>,
    time_zone: Option<ZoneName>,
    #[serde(default)]
    unobserved: bool,
    #[serde(default)]
    few_mails: bool,
}

async fn describe(
    api: Api,
    InPath(user): InPath<UserId>,
    Body(body): Body<Description>,
) -> Answer<Json<User>> {
    let Description { display, domain, time_zone, unobserved, few_mails } = body;
    let profile = Profile { domain, time_zone, unobserved, few_mails };
    api.execute(DescribeUser { user, display, profile }).await.map(Json)
}

async fn suspend(api: Api, InPath(user): InPath<UserId>) -> Answer<Json<User>> {
    let suspended = api.execute(SuspendUser { user }).await?;
    end_programs(&api, user).await;
    Ok(Json(suspended))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Roles {
    roles: BTreeSet<Role>,
}

async fn set_roles(api: Api, InPath(user): InPath<UserId>, Body(body): Body<Roles>) -> Answer<Json<User>> {
    api.execute(SetRoles { user, roles: body.roles }).await.map(Json)
}

#[derive(Serialize)]
struct Memberships {
    items: Vec<Membership>,
}

async fn hubs(api: Api, InPath(user): InPath<UserId>) -> Answer<Json<Memberships>> {
    let items = api.market().memberships(api.actor, user).await.map_err(|error| api.refused(error))?;
    Ok(Json(Memberships { items }))
}

async fn orders(
    api: Api,
    InPath(user): InPath<UserId>,
    InQuery(page): InQuery<PageQuery>,
) -> Answer<Json<Paged<Order>>> {
    let orders = api.market().orders(api.actor, user, &page.request()?).await;
    orders.map(Json).map_err(|error| api.refused(error))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payment {
    amount: Amount,
    currency: Currency,
    #[serde(default)]
    reference: String,
}

#[derive(Serialize)]
struct Credited {
    user: UserId,
    amount: Amount,
    currency: Currency,
}

async fn top_up(api: Api, InPath(user): InPath<UserId>, Body(body): Body<Payment>) -> Answer<Response> {
    let Payment { amount, currency, reference } = body;
    api.execute(TopUp { user, amount, currency, reference }).await?;
    Ok(created(format!("/api/v1/accounts/{user}/balances"), Json(Credited { user, amount, currency })))
}
