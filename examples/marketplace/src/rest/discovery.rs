//! Discovery: `GET /discover`.
//!
//! The paper's flow (section 4.5): a query string comes in, the index says which things match, and the things themselves
//! are answered with, as the store has them. See [`Query::parse`] for the parameters; `docs/discovery.md` has them for
//! people. What was withdrawn is not answered with, even if the index has not followed yet: the document is gone.

use axum::http::StatusCode;
use i3_core::analytics::{Interaction, Item};
use i3_core::id::{ProductId, VirtualObjectId};
use i3_core::market::{Caller, ProductCard};
use i3_semantic::discovery::{self, Discovery as _, DiscoveryError, Hit, InvalidQuery, Query, Reason};
use schemars::JsonSchema;
use serde::Serialize;

use super::problem::Problem;
use super::representation::{Linked, Links, Paged, Shown};
use super::request::{Answer, Api, QueryText};
use super::route::{Routes, about};
use super::virtual_objects::ObjectAnswer;

pub(super) fn routes() -> Routes {
    Routes::new().get(
        "/discover",
        discover,
        about("discover", "Finds virtual objects and data products by what they are and do").anybody(),
    )
}

/// How many things of a page count as found by who asked.
const DISCOVERED: usize = 20;

/// The parameters. One that is given again must hold too; values with commas between them are alternatives.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only described: `Query::parse` reads them")]
struct Question {
    /// It is of this class or of one below it: an IRI, or its last part. Also `type` and `field_vo_type`.
    kind: Option<String>,
    /// How it is spoken to: `coap`. Also `field_supported_protocol`.
    protocol: Option<String>,
    /// What it can be told to do. Also `field_common_methods`.
    method: Option<String>,
    /// What it runs on.
    platform: Option<String>,
    /// The model of the hardware. Also `field_model`.
    model: Option<String>,
    tag: Option<String>,
    /// The field of use.
    domain: Option<String>,
    /// A data attribute, `temperature`; with its unit, `temperature@qudt:DEG_C`.
    attribute: Option<String>,
    unit: Option<String>,
    /// The id of who provides it.
    provider: Option<String>,
    /// Where it is, from the whole to the part: `kr/jeju`.
    place: Option<String>,
    /// `object` or `product`.
    listing: Option<String>,
    /// At most `radius` metres from here: `latitude,longitude`.
    near: Option<String>,
    radius: Option<u32>,
    /// It is sold in this currency.
    currency: Option<String>,
    /// One message costs at most this, in `currency`.
    max_price: Option<String>,
    /// 0 to 5.
    min_rating: Option<String>,
    /// 0 to 100 per cent.
    min_quality: Option<String>,
    /// It is found by all of these words.
    q: Option<String>,
    /// `relevance`, `newest`, `rating`, `price` or `title`.
    sort: Option<String>,
    /// How many things: 1 to 100, 20 if nothing is said.
    #[schemars(range(min = 1, max = 100))]
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Facets whose most frequent values are counted.
    facets: Option<String>,
    /// How many values of each facet: 1 to 100, 10 if nothing is said.
    #[schemars(range(min = 1, max = 100))]
    facet_values: Option<usize>,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
struct Discovered {
    things: Vec<Found>,
    /// The `cursor` of the next page; null if this is the last.
    next: Option<String>,
    /// How many things there are on all pages.
    total: u64,
    /// The counts that were asked for.
    facets: Vec<FacetCount>,
    /// The position of the outbox up to which the index had followed.
    position: u64,
}

/// A thing that was found.
#[derive(Debug, Serialize, JsonSchema)]
struct Found {
    id: String,
    /// Why it was found: one reason for each part of the question.
    why: Vec<Why>,
    #[serde(flatten)]
    thing: Thing,
}

/// The thing itself, as it is shown at its own address.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "listing", content = "document", rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum Thing {
    Object(Box<ObjectAnswer>),
    Product(Box<ProductCard>),
}

/// Why a thing was found.
#[derive(Debug, Serialize, JsonSchema)]
struct Why {
    /// The field of the question.
    field: &'static str,
    /// What of it the thing has.
    value: String,
    /// What it follows from, if nobody said it of the thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    through: Option<String>,
}

/// The most frequent values of a facet among all that was found.
#[derive(Debug, Serialize, JsonSchema)]
struct FacetCount {
    facet: &'static str,
    values: Vec<ValueCount>,
    /// Whether there are more.
    more: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ValueCount {
    value: String,
    count: u64,
}

impl From<&Reason> for Why {
    fn from(reason: &Reason) -> Self {
        let through = reason.through.as_deref().map(str::to_owned);
        Self { field: reason.field, value: reason.value.to_string(), through }
    }
}

impl From<&discovery::FacetCounts> for FacetCount {
    fn from(counts: &discovery::FacetCounts) -> Self {
        let values = counts.values.iter();
        let values = values.map(|one| ValueCount { value: one.value.to_string(), count: one.count });
        Self { facet: counts.facet.as_str(), values: values.collect(), more: counts.more }
    }
}

impl Thing {
    pub(super) fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        match self {
            Self::Object(object) => object.links(caller, links),
            Self::Product(card) => card.links(caller, links),
        }
    }
}

impl Linked for Found {
    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        self.thing.links(caller, links);
    }
}

impl Linked for Discovered {}

impl Paged for Discovered {
    type Item = Found;
    const ITEMS: &'static str = "things";
    const CURSOR: &'static str = "cursor";

    fn items(&self) -> &[Found] {
        &self.things
    }

    fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

fn invalid(error: &InvalidQuery) -> Problem {
    let problem = Problem::new(StatusCode::BAD_REQUEST, "invalid_query", error.to_string());
    error.fields.iter().fold(problem, |problem, field| problem.parameter(&field.field, &field.wrong))
}

async fn discover(api: Api, query: QueryText<Question>) -> Answer<Shown<Discovered>> {
    let index = api.knowledge()?.index.clone();
    let query = Query::parse(&query.0).map_err(|error| invalid(&error))?;
    let answer = index.discover(&query, None).await.map_err(|error| match error {
        DiscoveryError::Invalid(error) => invalid(&error),
        error => {
            tracing::error!("a question was not answered: {error}");
            let detail = "the index cannot be brought up to date at the moment";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
        }
    })?;
    let documents = documents(&api, &answer.hits).await?;
    let things = answer.hits.iter().zip(documents).filter_map(|(hit, document)| {
        let why = hit.why.iter().map(Why::from).collect();
        Some(Found { id: hit.id.to_string(), why, thing: document? })
    });
    let things: Vec<Found> = things.collect();
    let first = things.iter().take(DISCOVERED).filter_map(|found| found.id.parse::<Item>().ok());
    api.observe(Interaction::Discovered, first);
    let found = Discovered {
        things,
        next: answer.next.map(|next| next.to_string()),
        total: answer.total,
        facets: answer.facets.iter().map(FacetCount::from).collect(),
        position: answer.position,
    };
    api.paged(&found).await
}

/// What everybody sees of each thing, as the store has it now; nothing where that is nothing.
async fn documents(api: &Api, hits: &[Hit]) -> Answer<Vec<Option<Thing>>> {
    let refused = |error| api.refused(error);
    let (mut documents, mut products, mut objects) = (Vec::new(), Vec::new(), Vec::new());
    documents.resize_with(hits.len(), || None);
    let (mut of_products, mut of_objects) = (Vec::new(), Vec::new());
    for (hit, document) in hits.iter().zip(&mut documents) {
        if let Ok(product) = hit.id.parse::<ProductId>() {
            products.push(product);
            of_products.push(document);
        } else if let Ok(object) = hit.id.parse::<VirtualObjectId>() {
            objects.push(object);
            of_objects.push(document);
        }
    }
    let products = api.market().listed(&products).await.map_err(refused)?;
    for (document, card) in of_products.into_iter().zip(products) {
        *document = card.map(Box::new).map(Thing::Product);
    }
    let objects = api.market().public_objects_of(&objects).await.map_err(refused)?;
    for (document, view) in of_objects.into_iter().zip(objects) {
        *document = view.map(ObjectAnswer::of).map(Box::new).map(Thing::Object);
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use i3_semantic::description::Facet;
    use i3_semantic::discovery::Wrong;

    use super::*;

    #[test]
    fn every_parameter_that_is_described_is_read_and_every_facet_is_described() {
        let schema = schemars::schema_for!(Question).to_value();
        let described: BTreeSet<&str> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        for parameter in &described {
            if let Err(error) = Query::parse(&format!("{parameter}=1")) {
                assert!(error.fields.iter().all(|field| field.wrong != Wrong::Unknown), "{parameter}");
            }
        }
        for facet in Facet::ALL {
            assert!(described.contains(facet.as_str()), "{}", facet.as_str());
        }
    }
}
