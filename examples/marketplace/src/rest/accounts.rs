//! Accounts of the ledger: what they hold, and how that came.

use axum::routing::get;
use axum::{Json, Router};
use i3_core::ledger::{Account, Entry, Holder};
use i3_core::market::{Balance, Paged};
use i3_core::money::Currency;
use serde::{Deserialize, Serialize};

use super::AppState;
use super::problem::Problem;
use super::request::{Answer, Api, InPath, InQuery, page_request};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/accounts/{holder}/balances", get(balances))
        .route("/accounts/{holder}/entries", get(entries))
}

/// The holder that a path names: a user's id, a hub's, an order's, `fees` or `external`.
fn holder(name: &str) -> Answer<Holder> {
    let (user, hub, order) = (name.parse(), name.parse(), name.parse());
    Ok(match (name, user, hub, order) {
        ("fees", ..) => Holder::Fees,
        ("external", ..) => Holder::External,
        (_, Ok(user), ..) => Holder::Available(user),
        (_, _, Ok(hub), _) => Holder::Earned(hub),
        (_, _, _, Ok(order)) => Holder::Held(order),
        _ => {
            let expected = "the id of a user, a hub or an order, `fees` or `external` is expected";
            return Err(Problem::invalid("holder", expected));
        }
    })
}

#[derive(Serialize)]
struct Balances {
    items: Vec<Balance>,
}

async fn balances(api: Api, InPath(name): InPath<String>) -> Answer<Json<Balances>> {
    let items = api.market().balances(api.actor, holder(&name)?).await.map_err(|error| api.refused(error))?;
    Ok(Json(Balances { items }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntriesQuery {
    currency: Currency,
    after: Option<String>,
    limit: Option<usize>,
}

async fn entries(
    api: Api,
    InPath(name): InPath<String>,
    InQuery(query): InQuery<EntriesQuery>,
) -> Answer<Json<Paged<Entry>>> {
    let account = Account { holder: holder(&name)?, currency: query.currency };
    let page = page_request(query.after.as_deref(), query.limit)?;
    api.market().entries(api.actor, account, &page).await.map(Json).map_err(|error| api.refused(error))
}
