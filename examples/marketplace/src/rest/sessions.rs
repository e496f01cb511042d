//! Sessions of browsers: a cookie that no page can read, and a guard against requests that other sites forge.
//!
//! A request that changes something by cookie has to say the session's guard in `X-CSRF-Token`, and must not come
//! from another site as far as the browser tells. Requests with `Authorization` need neither: no browser adds it.

use std::time::Duration;

use axum::http::header::{COOKIE, HOST, ORIGIN, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use i3_auth::Secret;
use i3_auth::api_token::{ApiToken, ApiTokenError, TokenKind};
use i3_core::access::Actor;
use i3_core::time::Timestamp;
use i3_core::user::User;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AppState;
use super::problem::Problem;
use super::representation::{Created, Linked, Shown};
use super::request::{Answer, Api, Body};
use super::route::{Done, Headed, Routes, about};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/session", show, about("show_session", "The session of the request's cookie").in_person())
        .post("/session", begin, about("begin_session", "Signs in with a cookie, for browsers").anybody())
        .delete(
            "/session",
            end,
            about("end_session", "Signs out; the same however often it is done").anybody(),
        )
}

impl Linked for Session {}

/// `__Host-`: only this host's own answers over TLS can set it (RFC 6265bis, section 4.1.3.2).
const NAME: &str = "__Host-i3-session";
/// How long a session lasts, whatever is done in it.
const LIFETIME: Duration = Duration::from_hours(12);

fn set_cookie(value: &str, seconds: u64) -> Result<HeaderValue, Problem> {
    let text = format!("{NAME}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    let mut header = HeaderValue::try_from(text).map_err(|_| Problem::internal())?;
    header.set_sensitive(true);
    Ok(header)
}

/// The session's text in the cookies, if there is exactly one.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(name, _)| *name == NAME).map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// The session that a request without `Authorization` belongs to. A cookie that is not good, or not any more, is none:
/// its owner may sign in again.
pub(super) async fn of_request(parts: &Parts, state: &AppState) -> Answer<Option<ApiToken>> {
    let Some(text) = cookie(&parts.headers) else { return Ok(None) };
    let session = match state.access.tokens.authenticate_as(TokenKind::Session, text).await {
        Ok(session) => session,
        Err(ApiTokenError::Store(error)) => return Err(error.into()),
        Err(_) => return Ok(None),
    };
    if parts.method.is_safe() {
        return Ok(Some(session));
    }
    let guard = parts.headers.get("x-csrf-token").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if comes_from_elsewhere(&parts.headers) || !state.access.tokens.is_forgery_guard(session.id, guard) {
        return Err(Problem::forged());
    }
    Ok(Some(session))
}

/// Whether the browser says that another site made the request (W3C Fetch Metadata, section 2.3; RFC 6454, section 7).
fn comes_from_elsewhere(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    authority.is_none() || authority != host
}

/// Who signs in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SessionBegin")]
struct Begin {
    name: String,
    #[schemars(with = "String")]
    password: Secret,
}

/// A session as its page may know it.
#[derive(Serialize, JsonSchema)]
struct Session {
    /// What `X-CSRF-Token` has to say.
    csrf: String,
    expires: Timestamp,
    account: User,
}

async fn session(api: &Api, token: &ApiToken) -> Answer<Session> {
    let account = api.market().user(Actor::User(token.user), token.user).await;
    Ok(Session {
        csrf: api.access().tokens.forgery_guard(token.id).expose().to_owned(),
        expires: token.expires,
        account: account.map_err(|error| api.refused(error))?,
    })
}

async fn begin(api: Api, headers: HeaderMap, Body(body): Body<Begin>) -> Answer<Headed<Created<Session>>> {
    // Nobody is to be signed in as somebody else by another site.
    if comes_from_elsewhere(&headers) {
        return Err(Problem::forged());
    }
    let access = api.access();
    let account = access.authenticator.user(&body.name, body.password.expose().as_bytes(), api.peer).await?;
    let label = "Browser".parse().map_err(|error| Problem::invalid("label", error))?;
    let (token, text) = access.tokens.issue_as(TokenKind::Session, account.id, label, LIFETIME).await?;
    let session = session(&api, &token).await?;
    let cookie = set_cookie(text.expose(), LIFETIME.as_secs())?;
    Ok(Headed(SET_COOKIE, cookie, api.created("/session", session).await?))
}

async fn show(api: Api) -> Answer<Shown<Session>> {
    api.in_person()?;
    match &api.login {
        Some(token) if token.kind == TokenKind::Session => {
            let shown = session(&api, token).await?;
            api.show(shown).await
        }
        _ => Err(Problem::sign_in()),
    }
}

/// Signing out is the same however often it is done.
async fn end(api: Api) -> Answer<Headed<Done>> {
    if let Some(token) = &api.login
        && token.kind == TokenKind::Session
    {
        api.access().tokens.revoke(token.id, token.user).await?;
    }
    Ok(Headed(SET_COOKIE, set_cookie("", 0)?, Done))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn another_site_is_known_by_what_the_browser_says() {
        for own in [
            &[][..],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[("origin", "https://i3.example"), ("host", "i3.example")],
            &[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")],
        ] {
            assert!(!comes_from_elsewhere(&headers(own)), "{own:?}");
        }
        for foreign in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site"), ("origin", "https://i3.example"), ("host", "i3.example")],
            &[("origin", "https://evil.example"), ("host", "i3.example")],
            &[("origin", "null"), ("host", "i3.example")],
            &[("origin", "https://i3.example")],
        ] {
            assert!(comes_from_elsewhere(&headers(foreign)), "{foreign:?}");
        }
    }

    #[test]
    fn two_cookies_of_the_name_are_none() {
        assert_eq!(cookie(&headers(&[("cookie", "a=b; __Host-i3-session=x; c=d")])), Some("x"));
        assert_eq!(cookie(&headers(&[("cookie", "__Host-i3-session=x; __Host-i3-session=y")])), None);
        assert_eq!(cookie(&headers(&[("cookie", "i3-session=x")])), None);
    }
}
