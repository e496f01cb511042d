//! For those who run the marketplace: what happened, whether the books balance, whether it works.

use axum::routing::get;
use axum::{Json, Router};
use i3_core::audit::{AuditEntry, ChainReport};
use i3_core::market::{Numbered, PageRequest, Reconciliation};
use i3_core::outbox::OutboxEntry;
use serde::{Deserialize, Serialize};

use super::AppState;
use super::request::{Answer, Api, InQuery, page_size};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/health", get(health))
        .route("/events", get(events))
        .route("/audit", get(audit))
        .route("/audit/verification", get(verification))
        .route("/reconciliation", get(reconciliation))
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    /// What a successful command survives.
    durability: String,
}

async fn health(api: Api) -> Answer<Json<Health>> {
    let market = api.market();
    market.catalogue(&PageRequest { after: None, limit: 1 }).await.map_err(|error| api.refused(error))?;
    Ok(Json(Health { status: "ok", durability: market.store().durability().to_string() }))
}

/// The entries after a position: 0 or the `next` of the page before.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamQuery {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

/// Entries of a stream. `next` is the last position, or null if there was no more to give.
#[derive(Serialize)]
struct Entries<T> {
    items: Vec<Numbered<T>>,
    next: Option<u64>,
}

impl<T> Entries<T> {
    fn of(items: Vec<Numbered<T>>, limit: usize) -> Self {
        let next = items.last().filter(|_| items.len() == limit).map(|last| last.position);
        Self { items, next }
    }
}

async fn events(api: Api, InQuery(query): InQuery<StreamQuery>) -> Answer<Json<Entries<OutboxEntry>>> {
    let limit = page_size(query.limit)?;
    let events = api.market().events(api.actor, query.after, limit).await;
    Ok(Json(Entries::of(events.map_err(|error| api.refused(error))?, limit)))
}

async fn audit(api: Api, InQuery(query): InQuery<StreamQuery>) -> Answer<Json<Entries<AuditEntry>>> {
    let limit = page_size(query.limit)?;
    let entries = api.market().audit_log(api.actor, query.after, limit).await;
    Ok(Json(Entries::of(entries.map_err(|error| api.refused(error))?, limit)))
}

async fn verification(api: Api) -> Answer<Json<ChainReport>> {
    api.market().verify_audit(api.actor).await.map(Json).map_err(|error| api.refused(error))
}

async fn reconciliation(api: Api) -> Answer<Json<Reconciliation>> {
    api.market().reconcile(api.actor).await.map(Json).map_err(|error| api.refused(error))
}
