//! Products, their streams, offers and ratings.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use i3_client::{
    CatalogueQuery, OfferPublication, OfferQuery, ProductCreation, ProductPatch, ProductQuery, ProductTexts,
    RatingQuery, SamplePatch, StreamChange, StreamPatch,
};
use i3_core::id::{DeviceId, HubId, OfferId, ProductId};
use i3_core::market::TimeOrder;
use i3_core::money::{Amount, Currency};
use i3_core::name::{Label, Prose, Slug};
use i3_core::offer::{OfferState, Plan};
use i3_core::product::ProductState;
use i3_core::stream::SampleTerms;
use i3_core::time::Timestamp;
use serde_json::{Map, Value};

use super::context::{Context, ListArgs, Told};
use super::failure::Failure;
use super::given::{edit, json_of, minor, named};

/// What is said of a product's messages.
#[derive(Debug, Args)]
pub(crate) struct Said {
    /// A file with the JSON Schema of its messages
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// How many of the newest messages people see who have not bought it
    #[arg(long, value_name = "NUMBER", requires = "sample_looks")]
    sample_last: Option<u8>,
    /// How often one person may look on one day
    #[arg(long, value_name = "NUMBER", requires = "sample_last")]
    sample_looks: Option<u16>,
    /// What is taken out of each: a JSON pointer; once for each
    #[arg(long, value_name = "POINTER", requires = "sample_last")]
    sample_redact: Vec<String>,
}

impl Said {
    fn given(self) -> Result<StreamChange, Failure> {
        let schema = self.schema.as_deref().map(json_of::<Map<String, Value>>).transpose()?;
        let sample = match (self.sample_last, self.sample_looks) {
            (Some(last), Some(per_person_per_day)) => {
                Some(SampleTerms { last, redact: self.sample_redact, per_person_per_day })
            }
            _ => None,
        };
        Ok(StreamChange { schema, sample })
    }
}

/// What is said otherwise of a product's messages.
#[derive(Debug, Args)]
pub(crate) struct SaidAnew {
    /// A file with a merge patch (RFC 7396) of the JSON Schema of its messages
    #[arg(long, value_name = "FILE")]
    schema_patch: Option<PathBuf>,
    /// No schema any more
    #[arg(long, conflicts_with = "schema_patch")]
    no_schema: bool,
    /// How many of the newest messages people see who have not bought it
    #[arg(long, value_name = "NUMBER")]
    sample_last: Option<u8>,
    /// How often one person may look on one day
    #[arg(long, value_name = "NUMBER")]
    sample_looks: Option<u16>,
    /// What is taken out of each: JSON pointers, comma between; an empty text for nothing
    #[arg(long, value_delimiter = ',', value_name = "POINTERS")]
    sample_redact: Option<Vec<String>>,
    /// No sample any more
    #[arg(long, conflicts_with_all = ["sample_last", "sample_looks", "sample_redact"])]
    no_sample: bool,
}

impl SaidAnew {
    fn given(self) -> Result<StreamPatch, Failure> {
        let schema = self.schema_patch.as_deref().map(json_of::<Map<String, Value>>).transpose()?;
        let sample = SamplePatch {
            last: self.sample_last,
            // The empty text points at a whole message: nothing is left to show.
            redact: self.sample_redact.map(|mut all| {
                all.retain(|pointer| !pointer.is_empty());
                all
            }),
            per_person_per_day: self.sample_looks,
        };
        let sample = (sample != SamplePatch::default()).then_some(sample);
        Ok(StreamPatch { schema: edit(schema, self.no_schema), sample: edit(sample, self.no_sample) })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProductTask {
    /// The listed products
    Catalogue {
        /// Those of this hub
        #[arg(long)]
        hub: Option<HubId>,
        /// Those created from this time on: 2027-01-31T12:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
        /// Those created before this time
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
        /// By when they were created: newest (by default) or oldest
        #[arg(long, value_parser = named::<TimeOrder>)]
        sort: Option<TimeOrder>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// A product; a draft is seen by its hub
    Show {
        /// Which
        product: ProductId,
    },
    /// The products of a hub, drafts included
    List {
        /// Of which
        hub: HubId,
        /// Those in this state: draft, listed, paused or retired
        #[arg(long, value_parser = named::<ProductState>)]
        state: Option<ProductState>,
        /// By when they were created: oldest (by default) or newest
        #[arg(long, value_parser = named::<TimeOrder>)]
        sort: Option<TimeOrder>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Creates a product as a draft
    Create {
        /// Of which hub
        hub: HubId,
        /// Its name in the hub, the third part of its topic
        slug: Slug,
        /// What people read first
        title: Label,
        /// What people read then
        #[arg(long, default_value = "")]
        description: Prose,
        /// What people search by; comma between
        #[arg(long, value_delimiter = ',', value_name = "TAG")]
        tags: Vec<Slug>,
        /// Which devices publish it; comma between
        #[arg(long, value_delimiter = ',', value_name = "DEVICE")]
        devices: Vec<DeviceId>,
        #[command(flatten)]
        said: Said,
    },
    /// Says all anew that people read about a product
    Describe {
        /// Which
        product: ProductId,
        /// What people read first
        #[arg(long)]
        title: Label,
        /// What people read then
        #[arg(long)]
        description: Prose,
        /// What people search by; comma between
        #[arg(long, value_delimiter = ',', value_name = "TAG")]
        tags: Vec<Slug>,
    },
    /// Changes some of it: what is left out stays
    Edit {
        /// Which
        product: ProductId,
        /// What people read first
        #[arg(long)]
        title: Option<Label>,
        /// What people read then
        #[arg(long)]
        description: Option<Prose>,
        /// What people search by; comma between
        #[arg(long, value_delimiter = ',', value_name = "TAG")]
        tags: Option<Vec<Slug>>,
        /// Which devices publish it: all of them, comma between. Others are disconnected
        #[arg(long, value_delimiter = ',', value_name = "DEVICE")]
        devices: Option<Vec<DeviceId>>,
    },
    /// Lists, pauses or retires a product
    SetState {
        /// Which
        product: ProductId,
        /// listed, paused or retired
        #[arg(value_parser = named::<ProductState>)]
        state: ProductState,
    },
    /// The schema and the sample terms of a product
    Stream {
        /// Which
        product: ProductId,
    },
    /// Says all anew of its messages: what is left out is not said any more
    DescribeStream {
        /// Which
        product: ProductId,
        #[command(flatten)]
        said: Said,
    },
    /// Changes some of it: what is left out stays
    EditStream {
        /// Which
        product: ProductId,
        #[command(flatten)]
        said: SaidAnew,
    },
    /// What was measured of its messages
    Quality {
        /// Which
        product: ProductId,
    },
    /// The last messages, redacted; so often a day
    Sample {
        /// Which
        product: ProductId,
    },
    /// What buyers think of a product
    Ratings {
        /// Which
        product: ProductId,
        /// Those last given from this time on: 2027-01-31T12:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
        /// Those last given before this time
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
        /// newest (by default) or oldest
        #[arg(long, value_parser = named::<TimeOrder>)]
        sort: Option<TimeOrder>,
        #[command(flatten)]
        list: ListArgs,
    },
}

impl ProductTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::Catalogue { hub, since, until, sort, list } => {
                let query = CatalogueQuery { hub, since, until, sort };
                context.list(client.list_catalogue(&query), &list).await
            }
            Self::Show { product } => context.ask(client.show_product(product)).await,
            Self::List { hub, state, sort, list } => {
                context.list(client.list_products(hub, &ProductQuery { state, sort }), &list).await
            }
            Self::Create { hub, slug, title, description, tags, devices, said } => {
                let StreamChange { schema, sample } = said.given()?;
                let product = ProductCreation { slug, title, description, tags, devices, schema, sample };
                context.change(client.create_product(hub, &product)).await
            }
            Self::Describe { product, title, description, tags } => {
                let texts = ProductTexts { title, description, tags };
                context.change(client.describe_product(product, &texts)).await
            }
            Self::Edit { product, title, description, tags, devices } => {
                let patch = ProductPatch { title, description, tags, devices };
                context.change(client.edit_product(product, &patch)).await
            }
            Self::SetState { product, state } => {
                context.change(client.set_product_state(product, state)).await
            }
            Self::Stream { product } => context.ask(client.show_stream(product)).await,
            Self::DescribeStream { product, said } => {
                context.change(client.describe_stream(product, &said.given()?)).await
            }
            Self::EditStream { product, said } => {
                context.change(client.edit_stream(product, &said.given()?)).await
            }
            Self::Quality { product } => context.ask(client.show_quality(product)).await,
            Self::Sample { product } => context.ask(client.show_sample(product)).await,
            Self::Ratings { product, since, until, sort, list } => {
                let query = RatingQuery { since, until, sort };
                context.list(client.list_ratings(product, &query), &list).await
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlanTask {
    /// Free of charge
    Free {
        /// How many messages at most
        #[arg(long, value_name = "MESSAGES")]
        quota: Option<u64>,
    },
    /// So many messages for one price
    FixedCount {
        /// How many
        messages: u64,
        /// The price, in minor units: 250 with EUR is 2.50 euros
        #[arg(value_parser = minor)]
        price: Amount,
    },
    /// A price for each message
    PerMessage {
        /// In billionths of the currency's unit: `20000000` with EUR is 2 cents
        unit_price: u64,
        /// How many messages at most
        #[arg(long, value_name = "MESSAGES")]
        quota: Option<u64>,
    },
}

impl PlanTask {
    fn plan(self) -> Result<Plan, Failure> {
        Ok(match self {
            Self::Free { quota } => Plan::Free { quota },
            Self::FixedCount { messages, price } => Plan::FixedCount { messages, price },
            Self::PerMessage { unit_price, quota } => {
                let unit_price = unit_price
                    .try_into()
                    .map_err(|error| Failure::Usage(format!("{unit_price}: {error}")))?;
                Plan::PerMessage { unit_price, quota }
            }
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum OfferTask {
    /// The offers for a product
    List {
        /// For which
        product: ProductId,
        /// Those that are published or withdrawn
        #[arg(long, value_parser = named::<OfferState>)]
        state: Option<OfferState>,
        /// newest (by default) or oldest
        #[arg(long, value_parser = named::<TimeOrder>)]
        sort: Option<TimeOrder>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Publishes an offer
    Publish {
        /// For which product
        product: ProductId,
        /// What is paid with
        currency: Currency,
        /// For how many seconds after the order access lasts: for ever by default
        #[arg(long, value_name = "SECONDS")]
        term: Option<u64>,
        #[command(subcommand)]
        plan: PlanTask,
    },
    /// Withdraws an offer; what was sold keeps its terms
    Withdraw {
        /// Which
        offer: OfferId,
    },
}

impl OfferTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::List { product, state, sort, list } => {
                context.list(client.list_offers(product, &OfferQuery { state, sort }), &list).await
            }
            Self::Publish { product, currency, term, plan } => {
                let offer = OfferPublication { currency, plan: plan.plan()?, term_seconds: term };
                context.change(client.publish_offer(product, &offer)).await
            }
            Self::Withdraw { offer } => context.change(client.withdraw_offer(offer)).await,
        }
    }
}
