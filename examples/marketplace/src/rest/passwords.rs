//! Setting another password: with the present one, or with leave that was mailed.

use axum::Router;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use i3_auth::Secret;
use i3_core::access::Actor;
use i3_core::gate::LoginError;
use i3_core::id::UserId;
use i3_core::market::{AskPasswordReset, ChangePassword, MarketError, Refusal, ResetPassword};
use i3_core::name::{Email, Slug};
use schemars::JsonSchema;
use serde::Deserialize;

use super::AppState;
use super::html::escaped;
use super::oauth::{is_form, page};
use super::problem::Problem;
use super::request::{Answer, Api, Body, InPath};
use super::route::{Accepted, Done, Routes, about};
use super::users::hash;
use crate::floods::Flood;

pub(super) fn routes() -> Routes {
    Routes::new()
        .put(
            "/users/{user}/password",
            change,
            about("change_password", "Sets another password; all other logins end").in_person(),
        )
        .post(
            "/password-resets",
            ask,
            about("ask_password_reset", "Asks to be mailed leave to set a password").anybody(),
        )
        .post(
            "/password-resets/redemption",
            redeem,
            about("reset_password", "Sets a password with leave that was mailed").anybody(),
        )
}

/// The present password and the next one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PasswordChange")]
struct Change {
    #[schemars(with = "String")]
    present: Secret,
    #[schemars(with = "String")]
    password: Secret,
}

async fn change(api: Api, InPath(user): InPath<UserId>, Body(body): Body<Change>) -> Answer<Done> {
    let own = api.in_person()?;
    let account = api.market().user(api.actor, own).await.map_err(|error| api.refused(error))?;
    let confirmed = api
        .access()
        .authenticator
        .confirm(account.name.as_str(), body.present.expose().as_bytes(), api.peer)
        .await;
    // A wrong password is the command's to refuse: sent again under its key, a request that was carried out has the
    // same answer, though the present password is another one by then.
    let present = match confirmed {
        Ok((_, hash)) => Some(hash),
        Err(LoginError::Refused) => None,
        Err(error) => return Err(error.into()),
    };
    let password = Some(hash(&api, &body.password).await?);
    let login = api.login.as_ref().map(|login| login.id);
    api.execute(ChangePassword { user, present, password, login }).await?;
    end_programs(&api, user).await;
    Ok(Done)
}

/// Ends what programs were allowed for a user whose logins have ended. The command is carried out already: if this
/// fails, the follower of the outbox does it.
pub(super) async fn end_programs(api: &Api, user: UserId) {
    if let Err(error) = api.access().oauth.end_all_of_user(user).await {
        tracing::error!(%user, "what programs were allowed could not be ended at once: {error}");
    }
}

/// Whose password was forgotten: by login name, or by address.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Forgotten {
    name: Option<Slug>,
    email: Option<Email>,
}

/// Answers the same, and as fast, whether there is such a user or not.
async fn ask(api: Api, Body(forgotten): Body<Forgotten>) -> Answer<Accepted> {
    let market = api.market().clone();
    if forgotten.name.is_some() == forgotten.email.is_some() {
        return Err(Problem::invalid("name", "either `name` or `email` is expected"));
    }
    api.hold_off(Flood::Reset)?;
    // Of what was sent, whether there is such an account or not.
    let sent = forgotten.name.as_ref().map(ToString::to_string);
    let sent = sent.or_else(|| forgotten.email.as_ref().map(|email| email.to_string().to_lowercase()));
    api.access().floods.admit(Flood::ResetOfOne(&sent.unwrap_or_default())).map_err(Problem::flood)?;
    tokio::spawn(async move {
        let users = match (&forgotten.name, &forgotten.email) {
            (Some(name), _) => {
                market.login(name).await.map(|found| found.map(|(user, _)| user.id).into_iter().collect())
            }
            (None, Some(email)) => market.users_at(email).await,
            (None, None) => Ok(Vec::new()),
        };
        let users: Vec<UserId> = match users {
            Ok(users) => users,
            Err(error) => {
                tracing::error!(code = error.code(), "a password reset could not be asked for: {error}");
                return;
            }
        };
        for user in users {
            match market.execute(Actor::Anonymous, None, &AskPasswordReset { user }).await {
                Ok(_) | Err(MarketError::Refused(_)) => {}
                Err(error) => {
                    tracing::error!(code = error.code(), "a password reset could not be asked for: {error}");
                }
            }
        }
    });
    Ok(Accepted)
}

/// The text that was mailed, and the next password.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PasswordResetRedemption")]
struct Redemption {
    #[schemars(with = "String")]
    token: Secret,
    #[schemars(with = "String")]
    password: Secret,
}

async fn redeem(api: Api, Body(body): Body<Redemption>) -> Answer<Done> {
    set_anew(&api, &body.token, &body.password).await.map(|()| Done)
}

async fn set_anew(api: &Api, token: &Secret, password: &Secret) -> Answer<()> {
    let leave = api.access().leaves.read_reset(token.expose());
    let (user, reset) = leave.ok_or_else(|| Problem::of_market(api.actor, Refusal::ResetNotGood.into()))?;
    let password = Some(hash(api, password).await?);
    api.execute(ResetPassword { user, reset, password }).await?;
    end_programs(api, user).await;
    Ok(())
}

/// The page that the link in the mail opens: it works without any program in the browser, and looks nothing up before
/// somebody sends it, so that a mail server that follows links uses no leave up.
pub(super) fn page_routes() -> Router<AppState> {
    Router::new().route("/password-reset", get(form).post(sent))
}

async fn form(RawQuery(query): RawQuery) -> Response {
    question(StatusCode::OK, &field(query.unwrap_or_default().as_bytes(), "token"), None)
}

/// The value of the form's field.
fn field(form: &[u8], name: &str) -> String {
    let mut pairs = form_urlencoded::parse(form);
    pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn question(status: StatusCode, token: &str, why: Option<&str>) -> Response {
    let why = why.map(|why| format!("<p role=\"alert\">{}</p>", escaped(why))).unwrap_or_default();
    page(
        status,
        &format!(
            "<h1>Set another password</h1>{why}<form method=\"post\" action=\"/password-reset\">\
             <input type=\"hidden\" name=\"token\" value=\"{}\">\
             <p><label>New password <input type=\"password\" name=\"password\" \
             autocomplete=\"new-password\" minlength=\"8\"></label></p>\
             <p><button>Set it</button></p></form>",
            escaped(token)
        ),
    )
}

async fn sent(api: Api, headers: HeaderMap, body: String) -> Response {
    if !is_form(&headers) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let token = Secret::new(field(body.as_bytes(), "token"));
    let password = Secret::new(field(body.as_bytes(), "password"));
    match set_anew(&api, &token, &password).await {
        Ok(()) => page(
            StatusCode::OK,
            "<h1>Your password is set</h1><p>All your logins have ended: sign in again.</p>",
        ),
        Err(problem) => question(problem.status(), token.expose(), Some(problem.detail())),
    }
}
