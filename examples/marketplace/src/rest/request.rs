//! What every request is read with: the caller, the path, the query and the body.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use i3_auth::api_token::ApiToken;
use i3_core::access::Actor;
use i3_core::id::{ClientId, UserId};
use i3_core::market::{Command, IdempotencyKey, MarketError, Marketplace, PageRequest};
use i3_core::store::Cursor;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::{AppState, oauth, sessions};
use crate::Access;

/// What a handler answers.
pub(super) type Answer<T> = Result<T, Problem>;

/// How long a client may take to send a body.
const BODY_PATIENCE: Duration = Duration::from_secs(15);

/// Who asks, with all that is needed to answer.
#[derive(Debug)]
pub(super) struct Api {
    state: AppState,
    /// Who asks.
    pub(super) actor: Actor,
    /// The program that asks for the user, if it is one.
    client: Option<ClientId>,
    /// The token or session that was presented, if it was one.
    pub(super) login: Option<ApiToken>,
    /// Where the request comes from, if the server tells.
    pub(super) peer: Option<IpAddr>,
    key: Option<IdempotencyKey>,
}

impl Api {
    /// The marketplace, for queries.
    pub(super) fn market(&self) -> &Marketplace {
        &self.state.market
    }

    /// Passwords and tokens.
    pub(super) fn access(&self) -> &Access {
        &self.state.access
    }

    /// The user who asks.
    pub(super) fn user(&self) -> Answer<UserId> {
        match self.actor {
            Actor::User(user) => Ok(user),
            _ => Err(Problem::sign_in()),
        }
    }

    /// The user who asks, not a program that acts for one.
    pub(super) fn in_person(&self) -> Answer<UserId> {
        if self.client.is_some() {
            return Err(Problem::in_person());
        }
        self.user()
    }

    /// What the marketplace's no means to who asks.
    pub(super) fn refused(&self, error: MarketError) -> Problem {
        Problem::of_market(self.actor, error)
    }

    /// Carries out a command for who asks, under the request's idempotency key.
    ///
    /// In a task of its own: a client that goes away does not keep the gates from being told what was
    /// committed.
    pub(super) async fn execute<C>(&self, command: C) -> Answer<C::Done>
    where
        C: Command + Send + 'static,
        C::Done: 'static,
    {
        let (market, actor, key) = (self.state.market.clone(), self.actor, self.key.clone());
        let task = tokio::spawn(async move { market.execute(actor, key.as_ref(), &command).await });
        match task.await {
            Ok(done) => done.map_err(|error| self.refused(error)),
            Err(error) => {
                tracing::error!("a command did not end: {error}");
                Err(Problem::internal())
            }
        }
    }
}

impl FromRequestParts<AppState> for Api {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        let (actor, client, login) = match bearer(&parts.headers)? {
            None => match sessions::of_request(parts, state).await? {
                Some(session) => (Actor::User(session.user), None, Some(session)),
                None => (Actor::Anonymous, None, None),
            },
            Some(token) if token.starts_with("eyJ") => {
                let token = state.access.oauth.check(token).map_err(|_| Problem::bad_token())?;
                let needed = if parts.method.is_safe() { oauth::READ } else { oauth::WRITE };
                if token.scopes.iter().all(|scope| scope.as_str() != needed) {
                    return Err(Problem::insufficient_scope(needed));
                }
                (Actor::User(token.user), Some(token.client), None)
            }
            Some(token) => {
                let token = state.access.tokens.authenticate(token).await?;
                (Actor::User(token.user), None, Some(token))
            }
        };
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        Ok(Self { state: state.clone(), actor, client, login, peer, key: idempotency_key(&parts.headers)? })
    }
}

/// The token in `Authorization: Bearer` (RFC 6750, section 2.1), if there is such a header at all.
fn bearer(headers: &HeaderMap) -> Answer<Option<&str>> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let token = value.to_str().ok().and_then(|text| text.split_once(' ')).and_then(|(scheme, token)| {
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
    });
    match (token, values.next()) {
        (Some(token), None) => Ok(Some(token)),
        _ => Err(Problem::bad_token()),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Answer<Option<IdempotencyKey>> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().and_then(|text| text.parse().ok());
    match (key, values.next()) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err(Problem::invalid("Idempotency-Key", i3_core::market::InvalidIdempotencyKey)),
    }
}

/// The ids in the path.
#[derive(Debug)]
pub(super) struct InPath<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        Ok(Self(Path::from_request_parts(parts, state).await?.0))
    }
}

/// The query string.
#[derive(Debug)]
pub(super) struct InQuery<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<AppState> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        Ok(Self(Query::from_request_parts(parts, state).await?.0))
    }
}

/// The body: JSON of one known shape.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<AppState> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Answer<Self> {
        match tokio::time::timeout(BODY_PATIENCE, Json::from_request(request, state)).await {
            Ok(body) => Ok(Self(body?.0)),
            Err(_) => {
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body took too long to arrive"))
            }
        }
    }
}

/// Items on a page if the client does not say.
const PAGE: usize = 50;
/// Items on a page at most.
const MAX_PAGE: usize = 200;

/// `?after=` and `?limit=`, for lists of records.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    after: Option<String>,
    limit: Option<usize>,
}

impl PageQuery {
    /// The page that is asked for.
    pub(super) fn request(&self) -> Answer<PageRequest> {
        page_request(self.after.as_deref(), self.limit)
    }
}

/// The page after this cursor.
pub(super) fn page_request(after: Option<&str>, limit: Option<usize>) -> Answer<PageRequest> {
    let after = after
        .map(str::parse::<Cursor>)
        .transpose()
        .map_err(|_| Problem::invalid("after", "give the `next` of an earlier page"))?;
    Ok(PageRequest { after, limit: page_size(limit)? })
}

/// How many items are asked for.
pub(super) fn page_size(limit: Option<usize>) -> Answer<usize> {
    match limit.unwrap_or(PAGE) {
        limit if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
        _ => Err(Problem::invalid("limit", format_args!("1 to {MAX_PAGE} are expected"))),
    }
}
