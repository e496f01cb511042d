//! The Thing Description Directory of W3C WoT Discovery (Recommendation, 5 December 2023) over HTTP: `/things`,
//! `/search`, `/events` and `/.well-known/wot`, beside `/api/v1`.
//!
//! It describes itself as the standard wants it, by a Thing Description at `/.well-known/wot`, and has the standard's media
//! types and statuses. What holds for all answers of the interface holds for these too: problems, floods, headers, one
//! effect for one `Idempotency-Key`. `docs/wot-discovery.md` has each assertion of the standard with its test.

mod affordances;
mod description;
mod events;
mod listing;
mod sparql;
mod things;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use i3_core::market::{MarketError, Refusal};
use i3_semantic::wot::directory::{Directory, DirectoryError, SearchError};
use i3_semantic::wot::json::InvalidJson;
use serde::Deserialize;

use super::problem::Problem;
use super::representation::{best_kind, deliver};
use super::request::{Answer, Api, InQuery};
use super::{AppState, method_not_allowed};

/// What a description comes as.
const TD: [&str; 3] = ["application/td+json", "application/ld+json", "application/json"];

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/.well-known/wot", get(description::directory))
        .route("/things", get(listing::list).post(things::create))
        .route(
            "/things/{*id}",
            get(things::show).put(things::put).patch(things::patch).delete(things::remove),
        )
        .route("/search/jsonpath", get(search))
        .route("/search/sparql", get(sparql::by_get).post(sparql::by_post))
        .route("/events", get(events::all))
        .route("/events/{kind}", get(events::of_kind))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(deliver))
}

/// The directory of this server.
fn directory(api: &Api) -> Answer<Directory> {
    Ok(api.knowledge()?.directory.through(api.market().clone()))
}

/// What the directory's no means to who asks.
fn refused(api: &Api, error: DirectoryError) -> Problem {
    match error {
        DirectoryError::Json(error @ InvalidJson::TooLong { .. }) => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", error.to_string())
        }
        DirectoryError::Json(error) => {
            Problem::new(StatusCode::BAD_REQUEST, "invalid_json", error.to_string())
        }
        DirectoryError::Invalid(errors) => {
            let detail = "this is no valid Thing Description: see `validationErrors`";
            let problem = Problem::new(StatusCode::BAD_REQUEST, "invalid_description", detail);
            errors.into_iter().fold(problem, Problem::validation)
        }
        DirectoryError::Search(error) => {
            let (status, code) = match &error {
                SearchError::Syntax(_) => (StatusCode::BAD_REQUEST, "malformed_query"),
                SearchError::TooMuch => (StatusCode::UNPROCESSABLE_ENTITY, "answer_too_large"),
                _ => (StatusCode::BAD_REQUEST, "query_refused"),
            };
            Problem::new(status, code, error.to_string())
        }
        DirectoryError::Market(error) => api.refused(error),
        error => {
            tracing::error!("the directory failed: {error}");
            Problem::internal()
        }
    }
}

/// There is no such thing, or none that the caller may know of.
fn missing(api: &Api) -> Problem {
    api.refused(MarketError::Refused(Refusal::NotFound { what: "thing" }))
}

/// A text of JSON as the first of these media types that the client takes best.
fn answered(headers: &HeaderMap, kinds: &[&'static str], text: impl Into<String>) -> Answer<Response> {
    let kind = best_kind(headers, kinds).ok_or_else(|| {
        let detail = format!("what `Accept` takes is not to be had; there are {}", kinds.join(", "));
        Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail)
    })?;
    let mut response = text.into().into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonPathQuery {
    query: String,
}

/// Syntactic search (section 7.3.2.3.1 of the standard): what a `JSONPath` query finds in all that the caller sees.
async fn search(api: Api, headers: HeaderMap, InQuery(asked): InQuery<JsonPathQuery>) -> Answer<Response> {
    let directory = directory(&api)?;
    let viewer = directory.viewer(api.actor).await.map_err(|error| refused(&api, error))?;
    // A query may look at every description there is: not on a thread that others need.
    let runtime = tokio::runtime::Handle::current();
    let task = tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            let found = directory.search(viewer, &asked.query).await?;
            Ok::<_, DirectoryError>(serde_json::Value::Array(found).to_string())
        })
    });
    match task.await {
        Ok(Ok(found)) => answered(&headers, &["application/json"], found),
        Ok(Err(error)) => Err(refused(&api, error)),
        Err(error) => {
            tracing::error!("a search did not end: {error}");
            Err(Problem::internal())
        }
    }
}
