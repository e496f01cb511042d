//! Signing in, and one's own API tokens.

use std::time::Duration;

use axum::http::StatusCode;
use i3_auth::Secret;
use i3_auth::api_token::{ApiToken, ApiTokenError};
use i3_core::id::TokenId;
use i3_core::market::EndLogins;
use i3_core::name::Label;
use i3_core::user::User;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::passwords::end_programs;
use super::problem::Problem;
use super::representation::{Created, Linked, Listed, Shown};
use super::request::{Answer, Api, Body, InPath};
use super::route::{Done, Routes, about};

pub(super) fn routes() -> Routes {
    let own = |id, summary| about(id, summary).in_person();
    Routes::new()
        .post("/tokens", sign_in, about("sign_in", "Gives an API token for a name and a password").anybody())
        .get("/tokens", list, own("list_tokens", "One's own API tokens"))
        .delete(
            "/tokens",
            end_all,
            own("end_logins", "Ends all of one's logins, and what programs were allowed"),
        )
        .delete("/tokens/current", sign_out, own("sign_out", "Ends the login that the request is made with"))
        .delete("/tokens/{token}", revoke, own("revoke_token", "Ends one of one's own API tokens"))
}

impl Linked for ApiToken {}
impl Linked for SignedIn {}

/// How long a token is good if nothing is said.
const LIFETIME: u64 = 30 * 24 * 60 * 60;
/// How long a token is good at most.
const MAX_LIFETIME: u64 = 366 * 24 * 60 * 60;

/// Who signs in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SignIn {
    name: String,
    #[schemars(with = "String")]
    password: Secret,
    label: Option<Label>,
    lifetime_seconds: Option<u64>,
}

/// A token that was given.
#[derive(Serialize, JsonSchema)]
struct SignedIn {
    /// The token's text: shown here and never again.
    token: String,
    #[serde(flatten)]
    record: ApiToken,
    account: User,
}

async fn sign_in(api: Api, Body(body): Body<SignIn>) -> Answer<Created<SignedIn>> {
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
    let place = format!("/tokens/{}", record.id);
    api.created(place, SignedIn { token: text.expose().to_owned(), record, account }).await
}

async fn list(api: Api) -> Answer<Shown<Listed<ApiToken>>> {
    let items = api.access().tokens.good(api.in_person()?).await?;
    api.items(items, None).await
}

/// Ends the login that the request is made with.
async fn sign_out(api: Api) -> Answer<Done> {
    api.in_person()?;
    let login = api.login.as_ref().ok_or_else(Problem::sign_in)?;
    api.access().tokens.revoke(login.id, login.user).await?;
    Ok(Done)
}

/// Ends all logins of who asks, this one too, and what programs were allowed.
async fn end_all(api: Api) -> Answer<Done> {
    let user = api.in_person()?;
    api.execute(EndLogins { user }).await?;
    end_programs(&api, user).await;
    Ok(Done)
}

const NO_TOKEN: &str = "there is no such token";

async fn revoke(api: Api, InPath(token): InPath<TokenId>) -> Answer<Done> {
    match api.access().tokens.revoke(token, api.in_person()?).await {
        Ok(_) => Ok(Done),
        Err(ApiTokenError::Refused) => Err(Problem::new(StatusCode::NOT_FOUND, "not_found", NO_TOKEN)),
        Err(ApiTokenError::OfAnother) => Err(Problem::hiding(NO_TOKEN)),
        Err(error) => Err(error.into()),
    }
}
