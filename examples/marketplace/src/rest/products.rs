//! Products, their offers and their ratings.

use i3_core::access::{Action, Actor};
use i3_core::analytics::{Interaction, Item};
use i3_core::id::{DeviceId, HubId, OfferId, ProductId};
use i3_core::market::{
    AmendStream, Caller, CatalogueFilter, CreateProduct, DescribeProduct, DescribeStream, MoveProduct,
    Period, ProductCard, PublishOffer, RecordTag, SampleAnswer, TimeOrder, WithdrawOffer,
};
use i3_core::money::{Amount, Currency, UnitPrice};
use i3_core::name::{Label, Prose, Slug};
use i3_core::offer::{Offer, OfferState, Plan};
use i3_core::product::{Product, ProductState};
use i3_core::quality::QualitySummary;
use i3_core::rating::Rating;
use i3_core::store::StoreError;
use i3_core::stream::{SampleTerms, StreamDescription, StreamTerms};
use i3_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::kept::Keeping;
use super::representation::{Created, Linked, Links, Listed, Shown};
use super::request::{Answer, Api, Body, Edit, InPath, InQuery, Patch, Patched, page_request};
use super::route::{Routes, about};

pub(super) fn routes() -> Routes {
    let manages = |id, summary| about(id, summary).permission(Action::ManageProducts);
    Routes::new()
        .get("/products", catalogue, about("list_catalogue", "The listed products").anybody())
        .get(
            "/products/{product}",
            show,
            about("show_product", "A product; a draft is seen by its hub").anybody(),
        )
        .put(
            "/products/{product}",
            describe,
            manages("describe_product", "Changes what people read about a product").relation("describe"),
        )
        .patch(
            "/products/{product}",
            edit,
            manages("edit_product", "Changes some of what people read about a product, or its devices")
                .relation("describe"),
        )
        .put(
            "/products/{product}/state",
            set_state,
            manages("set_product_state", "Lists, pauses or retires a product").relation("set-state"),
        )
        .get(
            "/products/{product}/stream",
            stream,
            about("show_stream", "The schema and the sample terms of a product").anybody(),
        )
        .put(
            "/products/{product}/stream",
            describe_stream,
            manages("describe_stream", "Changes schema and sample terms").relation("describe-stream"),
        )
        .patch(
            "/products/{product}/stream",
            edit_stream,
            manages("edit_stream", "Changes some of schema and sample terms").relation("describe-stream"),
        )
        .get(
            "/products/{product}/quality",
            quality,
            about("show_quality", "What was measured of a product's messages").anybody(),
        )
        .get(
            "/products/{product}/sample",
            sample,
            about("show_sample", "The last messages, redacted; so often a day")
                .permission(Action::Purchase)
                .permission(Action::ViewHub)
                .relation("sample"),
        )
        .get("/products/{product}/offers", offers, about("list_offers", "The offers for a product").anybody())
        .post(
            "/products/{product}/offers",
            publish,
            manages("publish_offer", "Publishes an offer").relation("publish-offer"),
        )
        .get(
            "/products/{product}/ratings",
            ratings,
            about("list_ratings", "What buyers think of a product").anybody(),
        )
        .get(
            "/hubs/{hub}/products",
            list,
            about("list_products", "The products of a hub, drafts included").permission(Action::ViewHub),
        )
        .post(
            "/hubs/{hub}/products",
            create,
            manages("create_product", "Creates a product as a draft").relation("create-product"),
        )
        .post(
            "/offers/{offer}/withdraw",
            withdraw,
            manages("withdraw_offer", "Withdraws an offer; what was sold keeps its terms")
                .relation("withdraw"),
        )
}

/// Whether the caller may buy for itself.
fn may_buy(caller: &Caller) -> bool {
    matches!(caller.actor(), Actor::User(user) if caller.may_with(Action::Purchase, user))
}

impl Linked for Product {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        RecordTag::of(self).map(Some)
    }

    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        let own = format!("/products/{}", self.id);
        links.own(&own);
        links.to("hub", format!("/hubs/{}", self.hub));
        for part in ["offers", "ratings", "stream", "quality"] {
            links.to(part, format!("{own}/{part}"));
        }
        let inside = caller.may_in_hub(Action::ViewHub, self.hub);
        if inside || may_buy(caller) {
            links.action("sample", format!("{own}/sample"));
        }
        if caller.may_in_hub(Action::ManageProducts, self.hub) {
            links.action("describe", &own);
            links.action("describe-stream", format!("{own}/stream"));
            if self.state != ProductState::Retired {
                links.action("set-state", format!("{own}/state"));
                links.action("publish-offer", format!("{own}/offers"));
            }
        }
    }
}

impl Linked for ProductCard {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        self.product.tag()
    }

    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        self.product.links(caller, links);
    }
}

impl Linked for Offer {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        RecordTag::of(self).map(Some)
    }

    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        links.to("product", format!("/products/{}", self.product));
        if self.state == OfferState::Published {
            if caller.may_in_hub(Action::ManageProducts, self.hub) {
                links.action("withdraw", format!("/offers/{}/withdraw", self.id));
            }
            if may_buy(caller) {
                links.action("buy", "/orders");
            }
        }
    }
}

impl Linked for Rating {
    fn links(&self, _: &Caller, links: &mut Links<'_>) {
        links.to("product", format!("/products/{}", self.product));
    }
}

impl Linked for QualitySummary {}
impl Linked for SampleAnswer {}

/// Which listed products are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CatalogueQuery {
    /// Those of this hub.
    hub: Option<HubId>,
    /// Those created from this time on.
    since: Option<Timestamp>,
    /// Those created before this time.
    until: Option<Timestamp>,
    /// In which order of creation they come: newest first if nothing is said.
    #[serde(default)]
    sort: TimeOrder,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items: 1 to 200, 50 if nothing is said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
}

async fn catalogue(
    api: Api,
    InQuery(query): InQuery<CatalogueQuery>,
) -> Answer<Keeping<Shown<Listed<ProductCard>>>> {
    let shelf = api.shelf(api.market().catalogue_revision());
    if let Some(known) = shelf.known() {
        return Ok(known);
    }
    let page = page_request(query.after.as_deref(), query.limit)?;
    let created = Period { since: query.since, until: query.until };
    let filter = CatalogueFilter { hub: query.hub, created };
    let products = api.market().catalogue(&filter, query.sort, &page).await;
    let products = products.map_err(|error| api.refused(error))?;
    Ok(shelf.keep(api.list(products).await?))
}

async fn show(api: Api, InPath(id): InPath<ProductId>) -> Answer<Keeping<Shown<ProductCard>>> {
    let shelf = api.shelf(api.market().catalogue_revision());
    let answer = if let Some(known) = shelf.known() {
        known
    } else {
        let product = api.market().product(api.actor, id).await.map_err(|error| api.refused(error))?;
        let score = api.market().score(id).await.map_err(|error| api.refused(error))?;
        let public = product.state != ProductState::Draft;
        let shown = api.show(ProductCard { product, score }).await?;
        if public { shelf.keep(shown) } else { Keeping::once(shown) }
    };
    api.observe(Interaction::Viewed, [Item::Product(id)]);
    Ok(answer)
}

/// Which products of a hub are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProductQuery {
    /// Those in this state.
    state: Option<ProductState>,
    /// In which order of creation they come: oldest first if nothing is said.
    sort: Option<TimeOrder>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items: 1 to 200, 50 if nothing is said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
}

async fn list(
    api: Api,
    InPath(hub): InPath<HubId>,
    InQuery(query): InQuery<ProductQuery>,
) -> Answer<Shown<Listed<Product>>> {
    let page = page_request(query.after.as_deref(), query.limit)?;
    let sort = query.sort.unwrap_or(TimeOrder::Oldest);
    let products = api.market().products(api.actor, hub, query.state, sort, &page).await;
    api.list(products.map_err(|error| api.refused(error))?).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProductCreation {
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

async fn create(
    api: Api,
    InPath(hub): InPath<HubId>,
    Body(body): Body<ProductCreation>,
) -> Answer<Created<Product>> {
    let ProductCreation { slug, title, description: prose, tags, devices, schema, sample } = body;
    let stream = description(schema, sample);
    let create = CreateProduct { hub, slug, title, description: prose, tags, devices, stream };
    let product = api.execute(create).await?;
    api.created(format!("/products/{}", product.id), product).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProductTexts {
    title: Label,
    description: Prose,
    tags: Vec<Slug>,
}

async fn describe(
    api: Api,
    InPath(product): InPath<ProductId>,
    Body(body): Body<ProductTexts>,
) -> Answer<Shown<Product>> {
    let ProductTexts { title, description, tags } = body;
    let command = DescribeProduct {
        product,
        title: Some(title),
        description: Some(description),
        tags: Some(tags),
        devices: None,
    };
    api.show(api.execute_on::<Product, _>(product, command).await?).await
}

/// What people shall read about a product, and which devices shall publish it; what is left out stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ProductPatch {
    title: Edit<Label>,
    description: Edit<Prose>,
    /// `null`: none.
    tags: Edit<Vec<Slug>>,
    /// All of them, from now on. Those that are left out are disconnected.
    devices: Edit<Vec<DeviceId>>,
}

impl Patched for ProductPatch {
    const FIXED: &'static [&'static str] = &["id", "hub", "slug", "topic", "created"];
}

async fn edit(
    api: Api,
    InPath(product): InPath<ProductId>,
    Patch(patch): Patch<ProductPatch>,
) -> Answer<Shown<Product>> {
    let command = DescribeProduct {
        product,
        title: patch.title.required("title")?,
        description: patch.description.required("description")?,
        tags: patch.tags.or_default(),
        devices: patch.devices.required("devices")?,
    };
    api.show(api.execute_on::<Product, _>(product, command).await?).await
}

/// What is said of a product's messages, with the schema as JSON.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Stream")]
struct StreamAnswer {
    #[serde(skip)]
    tag: Option<RecordTag>,
    product: ProductId,
    revision: u32,
    schema: Option<Value>,
    sample: Option<SampleTerms>,
}

impl StreamAnswer {
    fn of(terms: StreamTerms) -> Answer<Self> {
        let tag = Some(RecordTag::of(&terms)?);
        let StreamDescription { schema, sample } = terms.description;
        // It was JSON when it was taken.
        let schema = schema.map(|schema| serde_json::from_str(&schema).unwrap_or(Value::String(schema)));
        Ok(Self { tag, product: terms.product, revision: terms.revision, schema, sample })
    }
}

impl Linked for StreamAnswer {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        Ok(self.tag.clone())
    }

    fn links(&self, _: &Caller, links: &mut Links<'_>) {
        links.to("product", format!("/products/{}", self.product));
    }
}

async fn stream(api: Api, InPath(product): InPath<ProductId>) -> Answer<Shown<StreamAnswer>> {
    let terms = api.market().stream_terms(api.actor, product).await.map_err(|error| api.refused(error))?;
    let nothing = || StreamTerms { product, revision: 0, description: StreamDescription::default() };
    api.show(StreamAnswer::of(terms.unwrap_or_else(nothing))?).await
}

/// All that is said from now on: what is left out is not said any more.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StreamChange {
    schema: Option<Map<String, Value>>,
    sample: Option<SampleTerms>,
}

async fn describe_stream(
    api: Api,
    InPath(product): InPath<ProductId>,
    Body(body): Body<StreamChange>,
) -> Answer<Shown<StreamAnswer>> {
    let stream = description(body.schema, body.sample);
    let terms = api.execute_on::<StreamTerms, _>(product, DescribeStream { product, stream }).await?;
    api.show(StreamAnswer::of(terms)?).await
}

/// What is said of a product's messages from now on; what is left out stays, also within `schema` and `sample`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct StreamPatch {
    /// A merge patch of the JSON Schema; `null`: none.
    schema: Edit<Map<String, Value>>,
    /// A merge patch of the sample's terms; `null`: none.
    sample: Edit<Map<String, Value>>,
}

impl Patched for StreamPatch {
    const FIXED: &'static [&'static str] = &["product", "revision"];
}

async fn edit_stream(
    api: Api,
    InPath(product): InPath<ProductId>,
    Patch(patch): Patch<StreamPatch>,
) -> Answer<Shown<StreamAnswer>> {
    let members = [("schema", patch.schema), ("sample", patch.sample)];
    let changed = members.into_iter().filter_map(|(member, edit)| match edit {
        Edit::Keep => None,
        Edit::Remove => Some((member.to_owned(), Value::Null)),
        Edit::Set(inner) => Some((member.to_owned(), Value::Object(inner))),
    });
    let command = AmendStream { product, patch: changed.collect() };
    let terms = api.execute_on::<StreamTerms, _>(product, command).await?;
    api.show(StreamAnswer::of(terms)?).await
}

async fn quality(api: Api, InPath(product): InPath<ProductId>) -> Answer<Shown<QualitySummary>> {
    let quality = api.market().quality(api.actor, product).await;
    api.show(quality.map_err(|error| api.refused(error))?).await
}

async fn sample(api: Api, InPath(product): InPath<ProductId>) -> Answer<Shown<SampleAnswer>> {
    let sample = api.market().sample(api.actor, product).await;
    api.show(sample.map_err(|error| api.refused(error))?).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProductStateChange {
    state: ProductState,
}

async fn set_state(
    api: Api,
    InPath(product): InPath<ProductId>,
    Body(body): Body<ProductStateChange>,
) -> Answer<Shown<Product>> {
    let command = MoveProduct { product, to: body.state };
    api.show(api.execute_on::<Product, _>(product, command).await?).await
}

/// As [`Plan`], but strict: a misspelt quota must not become an unlimited one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "kind")]
#[schemars(rename = "NewPlan")]
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

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfferPublication {
    currency: Currency,
    plan: PlanRequest,
    term_seconds: Option<u64>,
}

async fn publish(
    api: Api,
    InPath(product): InPath<ProductId>,
    Body(body): Body<OfferPublication>,
) -> Answer<Created<Offer>> {
    let OfferPublication { currency, plan, term_seconds } = body;
    let offer = api.execute(PublishOffer { product, currency, plan: plan.into(), term_seconds }).await?;
    api.created(format!("/products/{product}/offers"), offer).await
}

async fn withdraw(api: Api, InPath(offer): InPath<OfferId>) -> Answer<Shown<Offer>> {
    api.show(api.execute_on::<Offer, _>(offer, WithdrawOffer { offer }).await?).await
}

/// Which offers are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfferQuery {
    /// Those in this state.
    state: Option<OfferState>,
    /// In which order they come: newest first if nothing is said.
    #[serde(default)]
    sort: TimeOrder,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items: 1 to 200, 50 if nothing is said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
}

async fn offers(
    api: Api,
    InPath(product): InPath<ProductId>,
    InQuery(query): InQuery<OfferQuery>,
) -> Answer<Shown<Listed<Offer>>> {
    let page = page_request(query.after.as_deref(), query.limit)?;
    let offers = api.market().offers(api.actor, product, query.state, query.sort, &page).await;
    api.list(offers.map_err(|error| api.refused(error))?).await
}

/// Which ratings are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RatingQuery {
    /// Those last given from this time on.
    since: Option<Timestamp>,
    /// Those last given before this time.
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

async fn ratings(
    api: Api,
    InPath(product): InPath<ProductId>,
    InQuery(query): InQuery<RatingQuery>,
) -> Answer<Shown<Listed<Rating>>> {
    let page = page_request(query.after.as_deref(), query.limit)?;
    let given = Period { since: query.since, until: query.until };
    let ratings = api.market().ratings(product, given, query.sort, &page).await;
    api.list(ratings.map_err(|error| api.refused(error))?).await
}
