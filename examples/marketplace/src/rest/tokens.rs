//! Signing in, and one's own API tokens.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get};
use axum::{Json, Router};
use i3_auth::Secret;
use i3_auth::api_token::{ApiToken, ApiTokenError};
use i3_core::id::TokenId;
use i3_core::market::EndLogins;
use i3_core::name::Label;
use i3_core::user::User;
use serde::{Deserialize, Serialize};

use super::passwords::end_programs;
use super::problem::Problem;
use super::request::{Answer, Api, Body, InPath};
use super::{AppState, created};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/tokens", get(list).post(sign_in).delete(end_all))
        .route("/tokens/current", delete(sign_out))
        .route("/tokens/{token}", delete(revoke))
}

/// How long a token is good if nothing is said.
const LIFETIME: u64 = 30 * 24 * 60 * 60;
/// How long a token is good at most.
const MAX_LIFETIME: u64 = 366 * 24 * 60 * 60;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    name: String,
    password: Secret,
    label: Option<Label>,
    lifetime_seconds: Option<u64>,
}

#[derive(Serialize)]
struct SignedIn<'a> {
    /// The token's text: shown here and never again.
    token: &'a str,
    #[serde(flatten)]
    record: ApiToken,
    account: User,
}

async fn sign_in(api: Api, Body(body): Body<SignIn>) -> Answer<Response> {
    let lifetime = body.lifetime_seconds.unwrap_or(LIFETIME);
    if !(1..=MAX_LIFETIME).contains(&lifetime) {
        return Err(Problem::invalid("lifetime_seconds", format_args!("1 to {MAX_LIFETIME} are expected")));
    }
    let label = match body.label {
        Some(label) => label,
        None => "API".parse().map_err(|error| Problem::invalid("label", error))?,
    };
    let access = api.access();
    let account = access.authenticator.user(&body.name, body.password.expose().as_bytes(), api.peer).await?;
    let (record, text) = access.tokens.issue(account.id, label, Duration::from_secs(lifetime)).await?;
    let place = format!("/api/v1/tokens/{}", record.id);
    Ok(created(place, Json(SignedIn { token: text.expose(), record, account })))
}

#[derive(Serialize)]
struct Tokens {
    items: Vec<ApiToken>,
}

async fn list(api: Api) -> Answer<Json<Tokens>> {
    let items = api.access().tokens.good(api.in_person()?).await?;
    Ok(Json(Tokens { items }))
}

/// Ends the login that the request is made with.
async fn sign_out(api: Api) -> Answer<StatusCode> {
    api.in_person()?;
    let login = api.login.as_ref().ok_or_else(Problem::sign_in)?;
    api.access().tokens.revoke(login.id, login.user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all logins of who asks, this one too, and what programs were allowed.
async fn end_all(api: Api) -> Answer<StatusCode> {
    let user = api.in_person()?;
    api.execute(EndLogins { user }).await?;
    end_programs(&api, user).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke(api: Api, InPath(token): InPath<TokenId>) -> Answer<StatusCode> {
    match api.access().tokens.revoke(token, api.in_person()?).await {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        Err(ApiTokenError::Refused) => {
            Err(Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such token"))
        }
        Err(error) => Err(error.into()),
    }
}
