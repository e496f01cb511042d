//! What was denied: each answer that denies leaves a record, and administrators read them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{ConnectInfo, MatchedPath, OriginalUri, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use i3_core::access::{Action, Noted};
use i3_core::denial::{DenialRecord, DenialRecorder as _, DeniedRequest};
use i3_core::id::{ClientId, UserId};
use i3_core::market::{DenialFilter, Marketplace};
use i3_core::time::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::problem::Problem;
use super::representation::{Linked, Listed, Shown};
use super::request::{Answer, Api, InQuery, page_request};
use super::route::{Routes, about};
use super::{AppState, BASE, hold_off, operations};
use crate::floods::Flood;

pub(super) fn routes() -> Routes {
    Routes::new().get(
        "/denials",
        list,
        about("list_denials", "What was denied, newest first").permission(Action::Audit),
    )
}

impl Linked for DenialRecord {}

/// Which denials are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DenialQuery {
    /// Those of this user, in person or through a program.
    user: Option<UserId>,
    /// Those that were answered with this code.
    code: Option<String>,
    /// Those from this time on.
    since: Option<Timestamp>,
    /// Those before this time.
    until: Option<Timestamp>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items: 1 to 200, 50 if nothing is said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
}

async fn list(api: Api, InQuery(query): InQuery<DenialQuery>) -> Answer<Shown<Listed<DenialRecord>>> {
    let page = page_request(query.after.as_deref(), query.limit)?;
    let DenialQuery { user, code, since, until, .. } = query;
    let filter = DenialFilter { user, code, since, until };
    api.list(api.market().denials(api.actor, &filter, &page).await.map_err(|error| api.refused(error))?).await
}

/// What is known of a request by the time it is answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Traced(Arc<Trace>);

#[derive(Debug, Default)]
struct Trace {
    who: Mutex<(Option<UserId>, Option<ClientId>)>,
    noted: Arc<Noted>,
}

impl Traced {
    /// Who turned out to ask.
    pub(super) fn asks(&self, user: Option<UserId>, client: Option<ClientId>) {
        *self.0.who.lock().unwrap_or_else(PoisonError::into_inner) = (user, client);
    }

    /// The marketplace, noting what it denies.
    pub(super) fn noting(&self, market: &Marketplace) -> Marketplace {
        market.noting(self.0.noted.clone())
    }
}

/// The code of an answer that denies and is no [`Problem`]: of the OAuth2 endpoints.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeniedWith(pub(super) &'static str);

/// The layer around everything: takes down what was denied. Of what was too much, one record a minute for each person, or
/// address where nobody is known: more would be a flood of its own.
pub(super) async fn taken_down(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let traced = Traced::default();
    request.extensions_mut().insert(traced.clone());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let uri = request.extensions().get::<OriginalUri>().map_or(request.uri(), |original| &original.0).clone();
    let method = request.method().clone();
    // Not a layer of its own: each costs every request an allocation or two.
    let response = hold_off(&state, peer, request, next).await;
    if let Some((code, missing)) = denied(&response, &traced.0.noted) {
        let (user, client) = *traced.0.who.lock().unwrap_or_else(PoisonError::into_inner);
        let too_much = response.status() == StatusCode::TOO_MANY_REQUESTS;
        if too_much && state.access.floods.admit(Flood::Record(user, peer)).is_err() {
            return response;
        }
        state.access.denials.record(DeniedRequest {
            at: state.market.now(),
            user,
            client,
            device: None,
            order: None,
            peer,
            operation: operation(&method, matched.as_ref().map_or(uri.path(), MatchedPath::as_str)),
            target: Some(uri.path().to_owned()),
            code: code.to_owned(),
            missing,
        });
    }
    response
}

/// The code of an answer that denies, and what was missing. A thing that only some may know of is answered as missing: then
/// the last decision about it says that it was denied.
fn denied(response: &Response, noted: &Noted) -> Option<(&'static str, Option<String>)> {
    if let Some(DeniedWith(code)) = response.extensions().get() {
        return Some((code, None));
    }
    let status = response.status();
    let problem = response.extensions().get::<Problem>();
    match (status, problem) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS, Some(problem)) => {
            Some((problem.code(), problem.lacks().map(|lacks| lacks.to_string())))
        }
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS, None) => {
            Some((Problem::of_status(status).code(), None))
        }
        (StatusCode::NOT_FOUND, Some(problem)) if problem.hides() => Some((problem.code(), None)),
        (StatusCode::NOT_FOUND, Some(problem)) if problem.code() == "not_found" => {
            noted.missing().map(|missing| (problem.code(), Some(missing)))
        }
        _ => None,
    }
}

/// The name of the operation at this pattern, or the pattern with its method.
fn operation(method: &Method, pattern: &str) -> String {
    let named = pattern.strip_prefix(BASE).and_then(|path| {
        let same = if method == Method::HEAD { &Method::GET } else { method };
        NAMES.get(&(same.as_str(), path)).copied()
    });
    named.map_or_else(|| format!("{method} {pattern}"), ToOwned::to_owned)
}

/// The names of the operations by method and path.
static NAMES: std::sync::LazyLock<std::collections::HashMap<(&'static str, &'static str), &'static str>> =
    std::sync::LazyLock::new(|| {
        let name = |method: &Method| {
            ["GET", "POST", "PUT", "PATCH", "DELETE"].into_iter().find(|known| method == known)
        };
        let named =
            |operation: &super::Operation| Some(((name(&operation.method)?, operation.path), operation.id));
        operations().iter().filter_map(named).collect()
    });
