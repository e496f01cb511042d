//! For those who run the marketplace: what happened, whether the books balance, whether it works.

use i3_core::access::Action;
use i3_core::audit::{AuditEntry, ChainReport};
use i3_core::market::{CatalogueFilter, Numbered, PageRequest, Reconciliation, TimeOrder};
use i3_core::outbox::OutboxEntry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::representation::{Linked, Listed, Shown};
use super::request::{Answer, Api, InQuery, page_size};
use super::route::{Routes, about};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/health", health, about("health", "Whether the store answers").anybody())
        .get("/events", events, about("list_events", "What happened, in order").permission(Action::Audit))
        .get("/audit", audit, about("list_audit", "Who did what, in order").permission(Action::Audit))
        .get(
            "/audit/verification",
            verification,
            about("verify_audit", "Whether the audit log's chain holds").permission(Action::Audit),
        )
        .get(
            "/reconciliation",
            reconciliation,
            about("reconcile", "Whether the books balance").permission(Action::Audit),
        )
}

impl Linked for Health {}
impl Linked for ChainReport {}
impl Linked for Reconciliation {}
impl<T: Serialize> Linked for Numbered<T> {}

#[derive(Serialize, JsonSchema)]
struct Health {
    status: &'static str,
    /// What a successful command survives.
    durability: String,
}

async fn health(api: Api) -> Answer<Shown<Health>> {
    let market = api.market();
    let first = PageRequest { after: None, limit: 1 };
    market
        .catalogue(&CatalogueFilter::default(), TimeOrder::Newest, &first)
        .await
        .map_err(|error| api.refused(error))?;
    api.show(Health { status: "ok", durability: market.store().durability().to_string() }).await
}

/// The entries after a position: 0 or the `next` of the page before.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StreamQuery {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

/// A page of a stream's entries: the next one is after the last position, unless there was no more to give.
async fn entries<T: Serialize>(
    api: &Api,
    items: Vec<Numbered<T>>,
    limit: usize,
) -> Answer<Shown<Listed<Numbered<T>>>> {
    let next = items.last().filter(|_| items.len() == limit).map(|last| last.position.to_string());
    api.items(items, next).await
}

async fn events(
    api: Api,
    InQuery(query): InQuery<StreamQuery>,
) -> Answer<Shown<Listed<Numbered<OutboxEntry>>>> {
    let limit = page_size(query.limit)?;
    let events = api.market().events(api.actor, query.after, limit).await;
    entries(&api, events.map_err(|error| api.refused(error))?, limit).await
}

async fn audit(
    api: Api,
    InQuery(query): InQuery<StreamQuery>,
) -> Answer<Shown<Listed<Numbered<AuditEntry>>>> {
    let limit = page_size(query.limit)?;
    let found = api.market().audit_log(api.actor, query.after, limit).await;
    entries(&api, found.map_err(|error| api.refused(error))?, limit).await
}

async fn verification(api: Api) -> Answer<Shown<ChainReport>> {
    let report = api.market().verify_audit(api.actor).await.map_err(|error| api.refused(error))?;
    api.show(report).await
}

async fn reconciliation(api: Api) -> Answer<Shown<Reconciliation>> {
    let report = api.market().reconcile(api.actor).await.map_err(|error| api.refused(error))?;
    api.show(report).await
}
