//! One's own `OAuth2` clients.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use i3_core::id::ClientId;
use i3_core::market::{
    DescribeClient, Paged, RegisterClient, RemoveClient, ReplaceClientSecret, SetClientState,
};
use i3_core::name::Label;
use i3_core::oauth::{Client, ClientKind, ClientState, RedirectUri, Scope};
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::request::{Answer, Api, Body, InPath, InQuery, PageQuery};
use super::{AppState, created};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/clients", get(list).post(register))
        .route("/clients/{client}", get(show).put(describe).delete(remove))
        .route("/clients/{client}/secret", post(replace_secret))
        .route("/clients/{client}/state", put(set_state))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    label: Label,
    kind: ClientKind,
    scopes: BTreeSet<Scope>,
    #[serde(default)]
    redirect_uris: BTreeSet<RedirectUri>,
}

/// A client with its secret.
#[derive(Serialize)]
struct WithSecret {
    #[serde(flatten)]
    client: Client,
    /// Shown here and never again; absent for public clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl WithSecret {
    fn of(api: &Api, client: Client) -> Self {
        let secret = api.access().oauth.secrets().of(&client);
        Self { client, secret: secret.map(|secret| secret.expose().to_owned()) }
    }
}

fn check(api: &Api, scopes: &BTreeSet<Scope>) -> Answer<()> {
    match api.access().oauth.settings().unknown(scopes) {
        Some(unknown) => Err(Problem::invalid("scopes", format_args!("there is no scope `{unknown}`"))),
        None => Ok(()),
    }
}

async fn register(api: Api, Body(body): Body<Registration>) -> Answer<Response> {
    api.in_person()?;
    check(&api, &body.scopes)?;
    let Registration { label, kind, scopes, redirect_uris } = body;
    let client = api.execute(RegisterClient { label, kind, scopes, redirect_uris }).await?;
    Ok(created(format!("/api/v1/clients/{}", client.id), Json(WithSecret::of(&api, client))))
}

async fn list(api: Api, InQuery(page): InQuery<PageQuery>) -> Answer<Json<Paged<Client>>> {
    let clients = api.market().clients(api.actor, api.in_person()?, &page.request()?).await;
    clients.map(Json).map_err(|error| api.refused(error))
}

async fn show(api: Api, InPath(client): InPath<ClientId>) -> Answer<Json<Client>> {
    api.in_person()?;
    api.market().client(api.actor, client).await.map(Json).map_err(|error| api.refused(error))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    label: Label,
    scopes: BTreeSet<Scope>,
    #[serde(default)]
    redirect_uris: BTreeSet<RedirectUri>,
}

async fn describe(
    api: Api,
    InPath(client): InPath<ClientId>,
    Body(body): Body<Description>,
) -> Answer<Json<Client>> {
    api.in_person()?;
    check(&api, &body.scopes)?;
    let Description { label, scopes, redirect_uris } = body;
    Ok(Json(api.execute(DescribeClient { client, label, scopes, redirect_uris }).await?))
}

async fn replace_secret(api: Api, InPath(client): InPath<ClientId>) -> Answer<Json<WithSecret>> {
    api.in_person()?;
    let client = api.execute(ReplaceClientSecret { client }).await?;
    Ok(Json(WithSecret::of(&api, client)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    state: ClientState,
}

async fn set_state(
    api: Api,
    InPath(client): InPath<ClientId>,
    Body(body): Body<State>,
) -> Answer<Json<Client>> {
    api.in_person()?;
    Ok(Json(api.execute(SetClientState { client, state: body.state }).await?))
}

async fn remove(api: Api, InPath(client): InPath<ClientId>) -> Answer<StatusCode> {
    api.in_person()?;
    api.execute(RemoveClient { client }).await?;
    Ok(StatusCode::NO_CONTENT)
}
