//! Accounts of the ledger: what they hold, and how that came.

use i3_core::access::Action;
use i3_core::ledger::{Account, Entry, Holder};
use i3_core::market::{Balance, Period, TimeOrder};
use i3_core::money::Currency;
use i3_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::representation::{Linked, Listed, Shown};
use super::request::{Answer, Api, InPath, InQuery, page_request};
use super::route::{Routes, about};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/accounts/{holder}/balances",
            balances,
            about(
                "list_balances",
                "What an account holds; the holder is a user, a hub, an order, `fees` or `external`",
            )
            .permission(Action::ViewAccount)
            .permission(Action::ViewHub)
            .permission(Action::Audit),
        )
        .get(
            "/accounts/{holder}/entries",
            entries,
            about("list_entries", "How an account came to what it holds")
                .permission(Action::ViewAccount)
                .permission(Action::ViewHub)
                .permission(Action::Audit),
        )
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

#[derive(Serialize, JsonSchema)]
struct Balances {
    items: Vec<Balance>,
}

impl Linked for Balances {}
impl Linked for Entry {}

async fn balances(api: Api, InPath(name): InPath<String>) -> Answer<Shown<Balances>> {
    let items = api.market().balances(api.actor, holder(&name)?).await.map_err(|error| api.refused(error))?;
    api.show(Balances { items }).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EntriesQuery {
    /// Of what.
    currency: Currency,
    /// Those from this time on.
    since: Option<Timestamp>,
    /// Those before this time.
    until: Option<Timestamp>,
    /// In which order they come: newest first if nothing is said.
    #[serde(default)]
    sort: TimeOrder,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items: 1 to 200, 50 if nothing is said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
}

async fn entries(
    api: Api,
    InPath(name): InPath<String>,
    InQuery(query): InQuery<EntriesQuery>,
) -> Answer<Shown<Listed<Entry>>> {
    let account = Account { holder: holder(&name)?, currency: query.currency };
    let page = page_request(query.after.as_deref(), query.limit)?;
    let period = Period { since: query.since, until: query.until };
    let entries = api.market().entries(api.actor, account, period, query.sort, &page).await;
    api.list(entries.map_err(|error| api.refused(error))?).await
}
