//! What is remembered of what a person did, and what is recommended because of it.

use axum::http::StatusCode;
use i3_core::access::Action;
use i3_core::analytics::{AnalyticsEvent, Because, Item, Recommendation};
use i3_core::id::UserId;
use i3_core::market::{Caller, Recommended, RecommendedThing};
use i3_core::name::Slug;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::discovery::Thing;
use super::problem::Problem;
use super::representation::{Linked, Links, Listed, Shown};
use super::request::{Answer, Api, InPath, InQuery, PageQuery};
use super::route::{Done, Routes, about};
use super::virtual_objects::ObjectAnswer;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/users/{user}/events",
            list,
            about("list_user_events", "What a user looked at, found, bought and rated, the latest first")
                .permission(Action::ViewUser)
                .permission(Action::Audit),
        )
        .delete(
            "/users/{user}/events",
            erase,
            about("erase_user_events", "Forgets what a user looked at, found, bought and rated")
                .permission(Action::EditUser)
                .relation("erase-events"),
        )
        .get(
            "/recommendations",
            recommend,
            about("list_recommendations", "What people of one's own domain used, and how many did")
                .permission(Action::ViewUser)
                .refusal(StatusCode::NOT_FOUND)
                .refusal(StatusCode::CONFLICT),
        )
}

/// Where an item is shown.
fn place(item: Item) -> String {
    match item {
        Item::Object(object) => format!("/virtual_objects/{object}"),
        Item::Product(product) => format!("/products/{product}"),
    }
}

impl Linked for AnalyticsEvent {
    fn links(&self, _: &Caller, links: &mut Links<'_>) {
        links.to("item", place(self.item));
    }
}

async fn list(
    api: Api,
    InPath(user): InPath<UserId>,
    InQuery(page): InQuery<PageQuery>,
) -> Answer<Shown<Listed<AnalyticsEvent>>> {
    let events = api.market().history(api.actor, user, &page.request()?).await;
    api.list(events.map_err(|error| api.refused(error))?).await
}

async fn erase(api: Api, InPath(user): InPath<UserId>) -> Answer<Done> {
    api.no_condition()?;
    api.market().erase_history(api.actor, user).await.map_err(|error| api.refused(error))?;
    Ok(Done)
}

/// How many things are recommended if the client does not say, and at most.
const FEW: usize = 20;
const MANY: usize = 100;

/// How much is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// How many things: 1 to 100, 20 if nothing is said.
    #[schemars(range(min = 1, max = 100))]
    limit: Option<usize>,
}

/// A thing that people of one's own domain used.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Recommendation")]
struct Advice {
    id: Item,
    /// The domain.
    domain: Slug,
    /// What people of the domain did with it, the weightiest first. No number is smaller than the marketplace tells.
    because: Vec<Because>,
    /// The same in words.
    explanation: String,
    #[serde(flatten)]
    thing: Thing,
}

impl Linked for Advice {
    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        self.thing.links(caller, links);
    }
}

async fn recommend(api: Api, InQuery(wanted): InQuery<Wanted>) -> Answer<Shown<Listed<Advice>>> {
    api.user()?;
    let Some(least) = api.recommendations() else {
        let detail = "this marketplace recommends nothing";
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail));
    };
    let limit = match wanted.limit.unwrap_or(FEW) {
        limit if (1..=MANY).contains(&limit) => limit,
        _ => return Err(Problem::invalid("limit", format_args!("1 to {MANY} are expected"))),
    };
    let found = api.market().recommendations(api.actor, least, limit).await;
    let mut advice = Vec::new();
    for Recommended { recommendation, thing } in found.map_err(|error| api.refused(error))? {
        let explanation = recommendation.explanation();
        let Recommendation { item: id, domain, because, .. } = recommendation;
        let thing = match thing {
            RecommendedThing::Object(view) => Thing::Object(ObjectAnswer::of(*view).into()),
            RecommendedThing::Product(card) => Thing::Product(card),
        };
        advice.push(Advice { id, domain, because, explanation, thing });
    }
    api.items(advice, None).await
}
