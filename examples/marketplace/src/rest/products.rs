//! Products, their offers and their ratings.

use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use i3_core::id::{DeviceId, HubId, OfferId, ProductId};
use i3_core::market::{
    CreateProduct, DescribeProduct, DescribeStream, MoveProduct, Paged, ProductCard, PublishOffer,
    SampleAnswer, WithdrawOffer,
};
use i3_core::money::{Amount, Currency, UnitPrice};
use i3_core::name::{Label, Prose, Slug};
use i3_core::offer::{Offer, Plan};
use i3_core::product::{Product, ProductState};
use i3_core::quality::QualitySummary;
use i3_core::rating::Rating;
use i3_core::stream::{SampleTerms, StreamDescription, StreamTerms};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::request::{Answer, Api, Body, InPath, InQuery, PageQuery};
use super::{AppState, created};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/products", get(catalogue))
        .route("/products/{product}", get(show).put(describe))
        .route("/products/{product}/state", put(set_state))
        .route("/products/{product}/stream", get(stream).put(describe_stream))
        .route("/products/{product}/quality", get(quality))
        .route("/products/{product}/sample", get(sample))
        .route("/products/{product}/offers", get(offers).post(publish))
        .route("/products/{product}/ratings", get(ratings))
        .route("/hubs/{hub}/products", get(list).post(create))
        .route("/offers/{offer}/withdraw", post(withdraw))
}

async fn catalogue(api: Api, InQuery(page): InQuery<PageQuery>) -> Answer<Json<Paged<ProductCard>>> {
    let products = api.market().catalogue(&page.request()?).await;
    products.map(Json).map_err(|error| api.refused(error))
}

async fn show(api: Api, InPath(id): InPath<ProductId>) -> Answer<Json<ProductCard>> {
    let product = api.market().product(api.actor, id).await.map_err(|error| api.refused(error))?;
    let score = api.market().score(id).await.map_err(|error| api.refused(error))?;
    Ok(Json(ProductCard { product, score }))
}

async fn list(
    api: Api,
    InPath(hub): InPath<HubId>,
    InQuery(page): InQuery<PageQuery>,
) -> Answer<Json<Paged<Product>>> {
    let products = api.market().products(api.actor, hub, &page.request()?).await;
    products.map(Json).map_err(|error| api.refused(error))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Creation {
    slug: Slug,
    title: Label,
    description: Prose,
    #[serde(default)]
    tags: Vec<Slug>,
    devices: Vec<DeviceId>,
    /// A JSON Schema, as JSON.
    schema: Option<Map<String, Value>>,
    sample: Option<SampleTerms>,
}

/// What is said of a stream, with the schema as the text that the marketplace keeps.
fn description(schema: Option<Map<String, Value>>, sample: Option<SampleTerms>) -> StreamDescription {
    StreamDescription { schema: schema.map(|schema| Value::Object(schema).to_string()), sample }
}

async fn create(api: Api, InPath(hub): InPath<HubId>, Body(body): Body<Creation>) -> Answer<Response> {
    let Creation { slug, title, description: prose, tags, devices, schema, sample } = body;
    let stream = description(schema, sample);
    let create = CreateProduct { hub, slug, title, description: prose, tags, devices, stream };
    let product = api.execute(create).await?;
    Ok(created(format!("/api/v1/products/{}", product.id), Json(product)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts {
    title: Label,
    description: Prose,
    tags: Vec<Slug>,
}

async fn describe(
    api: Api,
    InPath(product): InPath<ProductId>,
    Body(body): Body<Texts>,
) -> Answer<Json<Product>> {
    let Texts { title, description, tags } = body;
    api.execute(DescribeProduct { product, title, description, tags }).await.map(Json)
}

/// What is said of a product's messages, with the schema as JSON.
#[derive(Serialize)]
struct StreamAnswer {
    product: ProductId,
    revision: u32,
    schema: Option<Value>,
    sample: Option<SampleTerms>,
}

impl From<StreamTerms> for StreamAnswer {
    fn from(terms: StreamTerms) -> Self {
        let StreamDescription { schema, sample } = terms.description;
        // It was JSON when it was taken.
        let schema = schema.map(|schema| serde_json::from_str(&schema).unwrap_or(Value::String(schema)));
        Self { product: terms.product, revision: terms.revision, schema, sample }
    }
}

async fn stream(api: Api, InPath(product): InPath<ProductId>) -> Answer<Json<StreamAnswer>> {
    let terms = api.market().stream_terms(api.actor, product).await.map_err(|error| api.refused(error))?;
    let nothing = || StreamTerms { product, revision: 0, description: StreamDescription::default() };
    Ok(Json(terms.unwrap_or_else(nothing).into()))
}

/// All that is said from now on: what is left out is not said any more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stream {
    schema: Option<Map<String, Value>>,
    sample: Option<SampleTerms>,
}

async fn describe_stream(
    api: Api,
    InPath(product): InPath<ProductId>,
    Body(body): Body<Stream>,
) -> Answer<Json<StreamAnswer>> {
    let stream = description(body.schema, body.sample);
    let terms = api.execute(DescribeStream { product, stream }).await?;
    Ok(Json(terms.into()))
}

async fn quality(api: Api, InPath(product): InPath<ProductId>) -> Answer<Json<QualitySummary>> {
    let quality = api.market().quality(api.actor, product).await;
    quality.map(Json).map_err(|error| api.refused(error))
}

async fn sample(api: Api, InPath(product): InPath<ProductId>) -> Answer<Json<SampleAnswer>> {
    let sample = api.market().sample(api.actor, product).await;
    sample.map(Json).map_err(|error| api.refused(error))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    state: ProductState,
}

async fn set_state(
    api: Api,
    InPath(product): InPath<ProductId>,
    Body(body): Body<State>,
) -> Answer<Json<Product>> {
    api.execute(MoveProduct { product, to: body.state }).await.map(Json)
}

/// As [`Plan`], but strict: a misspelt quota must not become an unlimited one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "kind")]
enum PlanRequest {
    Free { quota: Option<u64> },
    FixedCount { messages: u64, price: Amount },
    PerMessage { unit_price: UnitPrice, quota: Option<u64> },
}

impl From<PlanRequest> for Plan {
    fn from(plan: PlanRequest) -> Self {
        match plan {
            PlanRequest::Free { quota } => Self::Free { quota },
            PlanRequest::FixedCount { messages, price } => Self::FixedCount { messages, price },
            PlanRequest::PerMessage { unit_price, quota } => Self::PerMessage { unit_price, quota },
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Publication {
    currency: Currency,
    plan: PlanRequest,
    term_seconds: Option<u64>,
}

async fn publish(
    api: Api,
    InPath(product): InPath<ProductId>,
    Body(body): Body<Publication>,
) -> Answer<Response> {
    let Publication { currency, plan, term_seconds } = body;
    let offer = api.execute(PublishOffer { product, currency, plan: plan.into(), term_seconds }).await?;
    Ok(created(format!("/api/v1/products/{product}/offers"), Json(offer)))
}

async fn withdraw(api: Api, InPath(offer): InPath<OfferId>) -> Answer<Json<Offer>> {
    api.execute(WithdrawOffer { offer }).await.map(Json)
}

async fn offers(
    api: Api,
    InPath(product): InPath<ProductId>,
    InQuery(page): InQuery<PageQuery>,
) -> Answer<Json<Paged<Offer>>> {
    let offers = api.market().offers(api.actor, product, &page.request()?).await;
    offers.map(Json).map_err(|error| api.refused(error))
}

async fn ratings(
    api: Api,
    InPath(product): InPath<ProductId>,
    InQuery(page): InQuery<PageQuery>,
) -> Answer<Json<Paged<Rating>>> {
    let ratings = api.market().ratings(product, &page.request()?).await;
    ratings.map(Json).map_err(|error| api.refused(error))
}
