//! Discovery over REST: `GET /api/v1/discover`.
//!
//! The paper's flow (section 4.5): a query string comes in, the index says which objects match, and the objects themselves
//! are answered with, as the store has them. See [`Query::parse`] for the parameters; `docs/discovery.md` has them for
//! people.
//!
//! The answer is HAL (`application/hal+json`): the things on the page under `_embedded.things`, each with its `id`, its
//! `listing` (`object` or `product`), `why` it was found and its `document`; `total` of all pages, `facets` that were asked
//! for, and links to the page itself and to the `next` one. What was withdrawn is not answered with, even if the index has
//! not followed yet: the document is gone.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use i3_core::access::Actor;
use i3_core::id::ProductId;
use i3_core::market::{MarketError, Marketplace, ProductCard};
use i3_core::product::ProductState;
use i3_semantic::discovery::{Answer, Discovery, DiscoveryError, Hit, InvalidQuery, Query};
use i3_semantic::projection::Projection;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

/// How often the index looks for what other processes over the same store committed.
const FOLLOWING: Duration = Duration::from_secs(1);
/// How often what is measured of streams is read again.
const MEASURING: Duration = Duration::from_mins(1);

/// What the answers come from.
#[derive(Debug, Clone)]
struct Shelf {
    market: Marketplace,
    discovery: Arc<dyn Discovery>,
}

/// Answers questions under `/api/v1/discover` from this index, with documents of this marketplace; to be merged into
/// another router.
pub fn discovery_router(market: Marketplace, discovery: Arc<dyn Discovery>) -> Router {
    Router::new().route("/api/v1/discover", get(discover)).with_state(Shelf { market, discovery })
}

/// Follows what other processes commit, and what is measured.
pub(crate) async fn keep_up(projection: Arc<Projection>, shared: bool) {
    let mut following = tokio::time::interval(FOLLOWING);
    let mut measuring = tokio::time::interval(MEASURING);
    following.set_missed_tick_behavior(MissedTickBehavior::Delay);
    measuring.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let done = tokio::select! {
            _ = following.tick(), if shared => projection.catch_up().await.map(|_| ()),
            _ = measuring.tick() => projection.measure().await,
        };
        if let Err(error) = done {
            tracing::error!(code = error.code(), "the index could not follow: {error}");
        }
    }
}

/// An answer that says what is wrong (RFC 9457).
fn problem(status: StatusCode, code: &str, detail: &str, errors: &[Value]) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({
        "title": title, "status": status.as_u16(), "code": code, "detail": detail, "errors": errors,
    });
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

fn invalid(error: &InvalidQuery) -> Response {
    let errors: Vec<Value> = error
        .fields
        .iter()
        .map(|field| json!({"parameter": field.field, "detail": field.wrong.to_string()}))
        .collect();
    problem(StatusCode::BAD_REQUEST, "invalid_query", &error.to_string(), &errors)
}

fn unavailable(error: &(dyn std::error::Error + 'static)) -> Response {
    tracing::error!("a question was not answered: {error}");
    let detail = "the store or the index does not answer at the moment";
    problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, &[])
}

async fn discover(State(shelf): State<Shelf>, uri: Uri, RawQuery(query): RawQuery) -> Response {
    let query = match Query::parse(query.as_deref().unwrap_or_default()) {
        Ok(query) => query,
        Err(error) => return invalid(&error),
    };
    let answer = match shelf.discovery.discover(&query, None).await {
        Ok(answer) => answer,
        Err(DiscoveryError::Invalid(error)) => return invalid(&error),
        Err(error) => return unavailable(&error),
    };
    match shown(&shelf.market, &uri, &answer).await {
        Ok(page) => {
            let mut response = Json(page).into_response();
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/hal+json"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => unavailable(&error),
    }
}

async fn shown(market: &Marketplace, uri: &Uri, answer: &Answer) -> Result<Value, MarketError> {
    let mut things = Vec::with_capacity(answer.hits.len());
    for hit in &answer.hits {
        if let Some((listing, document)) = document(market, hit).await? {
            things.push(json!({
                "id": &*hit.id, "listing": listing, "why": hit.why, "document": document,
            }));
        }
    }
    let mut links = json!({"self": {"href": uri.to_string()}});
    if let (Some(next), Some(links)) = (&answer.next, links.as_object_mut()) {
        let asked = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(asked.filter(|(name, _)| name != "cursor"));
        query.append_pair("cursor", &next.to_string());
        let href = format!("{}?{}", uri.path(), query.finish());
        links.insert("next".to_owned(), json!({"href": href}));
    }
    Ok(json!({
        "_links": links,
        "_embedded": {"things": things},
        "total": answer.total,
        "facets": answer.facets,
        "position": answer.position,
    }))
}

/// What everybody sees of a thing, as the store has it now; nothing if that is nothing.
async fn document(market: &Marketplace, hit: &Hit) -> Result<Option<(&'static str, Value)>, MarketError> {
    if let Ok(product) = hit.id.parse::<ProductId>() {
        let product = match market.product(Actor::Anonymous, product).await {
            Ok(product) if product.state == ProductState::Listed => product,
            Ok(_) | Err(MarketError::Refused(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let score = market.score(product.id).await?;
        return Ok(serde_json::to_value(ProductCard { product, score }).ok().map(|card| ("product", card)));
    }
    let Ok(object) = hit.id.parse() else { return Ok(None) };
    let view = market.public_object(object).await?;
    Ok(view.and_then(|view| serde_json::to_value(view).ok()).map(|view| ("object", view)))
}
