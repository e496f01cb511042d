//! Products, their streams, offers and ratings.

use i3_core::id::{DeviceId, HubId, OfferId, ProductId};
use i3_core::market::{ProductCard, SampleAnswer, TimeOrder};
use i3_core::money::Currency;
use i3_core::name::{Label, Prose, Slug};
use i3_core::offer::{Offer, OfferState, Plan};
use i3_core::product::{Product, ProductState};
use i3_core::quality::QualitySummary;
use i3_core::rating::Rating;
use i3_core::stream::SampleTerms;
use i3_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Change, Client, Edit, Pages, Query};

/// A product to be created.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProductCreation {
    /// Its name in the hub, the third part of its topic.
    pub slug: Slug,
    /// What people read first.
    pub title: Label,
    /// What people read then.
    pub description: Prose,
    /// What people search by.
    pub tags: Vec<Slug>,
    /// Which devices publish it.
    pub devices: Vec<DeviceId>,
    /// The JSON Schema of its messages, if something is said of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Map<String, Value>>,
    /// What is shown of its messages to people who have not bought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleTerms>,
}

/// All that people read about a product from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProductTexts {
    /// What people read first.
    pub title: Label,
    /// What people read then.
    pub description: Prose,
    /// What people search by.
    pub tags: Vec<Slug>,
}

/// What people shall read about a product, and which devices shall publish it; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ProductPatch {
    /// What people read first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Label>,
    /// What people read then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Prose>,
    /// What people search by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<Slug>>,
    /// Which devices publish it: all of them, from now on. Others are disconnected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<DeviceId>>,
}

/// What is said of a product's messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stream {
    /// The product.
    pub product: ProductId,
    /// Raised whenever something else is said; 0: nothing ever was.
    pub revision: u32,
    /// The JSON Schema of the messages.
    pub schema: Option<Value>,
    /// What is shown of them to people who have not bought it.
    pub sample: Option<SampleTerms>,
}

/// All that is said of a product's messages from now on: what is `None` is not said any more.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct StreamChange {
    /// The JSON Schema of the messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Map<String, Value>>,
    /// What is shown of them to people who have not bought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleTerms>,
}

/// What is said of a product's messages from now on; what is kept stays.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct StreamPatch {
    /// A merge patch (RFC 7396) of the JSON Schema of the messages.
    #[serde(skip_serializing_if = "Edit::keeps")]
    pub schema: Edit<Map<String, Value>>,
    /// What is shown of them to people who have not bought it.
    #[serde(skip_serializing_if = "Edit::keeps")]
    pub sample: Edit<SamplePatch>,
}

/// What is shown to people who have not bought something; what is `None` stays. Where nothing was shown, `last` and
/// `per_person_per_day` are needed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SamplePatch {
    /// How many of the newest messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u8>,
    /// What is taken out of each: JSON Pointers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redact: Option<Vec<String>>,
    /// How often one person may look on one day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_person_per_day: Option<u16>,
}

/// An offer to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfferPublication {
    /// What is paid with.
    pub currency: Currency,
    /// How usage is priced.
    pub plan: Plan,
    /// For how many seconds after the order access lasts: for ever if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub term_seconds: Option<u64>,
}

#[derive(Serialize)]
struct StateChange {
    state: ProductState,
}

/// Which products of a hub, and in which order. The default: all, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ProductQuery {
    /// Those in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ProductState>,
    /// In this order of creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<TimeOrder>,
}

/// Which offers, and in which order. The default: all, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct OfferQuery {
    /// Those in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<OfferState>,
    /// In this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<TimeOrder>,
}

/// Which ratings, and in which order. The default: all, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RatingQuery {
    /// Those last given from this time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Those last given before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// In this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<TimeOrder>,
}

/// Which listed products, and in which order. The default: all, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CatalogueQuery {
    /// Those of this hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubId>,
    /// Those created from this time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Those created before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// In this order of creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<TimeOrder>,
}

impl Client {
    /// The listed products.
    pub fn list_catalogue(&self, query: &CatalogueQuery) -> Pages<ProductCard> {
        self.list("/products").parameters(query)
    }

    /// A product; a draft is seen by its hub.
    pub fn show_product(&self, product: ProductId) -> Query<ProductCard> {
        self.get(format!("/products/{product}"))
    }

    /// The products of a hub, drafts included.
    pub fn list_products(&self, hub: HubId, query: &ProductQuery) -> Pages<Product> {
        self.list(format!("/hubs/{hub}/products")).parameters(query)
    }

    /// Creates a product as a draft.
    pub fn create_product(&self, hub: HubId, product: &ProductCreation) -> Change<Product> {
        self.post(format!("/hubs/{hub}/products"), product)
    }

    /// Changes what people read about a product.
    pub fn describe_product(&self, product: ProductId, texts: &ProductTexts) -> Change<Product> {
        self.put(format!("/products/{product}"), texts)
    }

    /// Changes some of what people read about a product, or its devices.
    pub fn edit_product(&self, product: ProductId, patch: &ProductPatch) -> Change<Product> {
        self.patch(format!("/products/{product}"), patch)
    }

    /// Lists, pauses or retires a product.
    pub fn set_product_state(&self, product: ProductId, state: ProductState) -> Change<Product> {
        self.put(format!("/products/{product}/state"), &StateChange { state })
    }

    /// The schema and the sample terms of a product.
    pub fn show_stream(&self, product: ProductId) -> Query<Stream> {
        self.get(format!("/products/{product}/stream"))
    }

    /// Changes schema and sample terms.
    pub fn describe_stream(&self, product: ProductId, stream: &StreamChange) -> Change<Stream> {
        self.put(format!("/products/{product}/stream"), stream)
    }

    /// Changes some of schema and sample terms.
    pub fn edit_stream(&self, product: ProductId, patch: &StreamPatch) -> Change<Stream> {
        self.patch(format!("/products/{product}/stream"), patch)
    }

    /// What was measured of a product's messages.
    pub fn show_quality(&self, product: ProductId) -> Query<QualitySummary> {
        self.get(format!("/products/{product}/quality"))
    }

    /// The last messages, redacted; so often a day, and each time that it is sent counts.
    pub fn show_sample(&self, product: ProductId) -> Query<SampleAnswer> {
        self.get(format!("/products/{product}/sample"))
    }

    /// The offers for a product.
    pub fn list_offers(&self, product: ProductId, query: &OfferQuery) -> Pages<Offer> {
        self.list(format!("/products/{product}/offers")).parameters(query)
    }

    /// Publishes an offer.
    pub fn publish_offer(&self, product: ProductId, offer: &OfferPublication) -> Change<Offer> {
        self.post(format!("/products/{product}/offers"), offer)
    }

    /// Withdraws an offer; what was sold keeps its terms.
    pub fn withdraw_offer(&self, offer: OfferId) -> Change<Offer> {
        self.act(format!("/offers/{offer}/withdraw"))
    }

    /// What buyers think of a product.
    pub fn list_ratings(&self, product: ProductId, query: &RatingQuery) -> Pages<Rating> {
        self.list(format!("/products/{product}/ratings")).parameters(query)
    }
}
