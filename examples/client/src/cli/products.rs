//! Products, their streams, offers and ratings.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use i3_client::{OfferPublication, ProductCreation, ProductPatch, ProductTexts, StreamChange};
use i3_core::id::{DeviceId, HubId, OfferId, ProductId};
use i3_core::money::{Amount, Currency};
use i3_core::name::{Label, Prose, Slug};
use i3_core::offer::Plan;
use i3_core::product::ProductState;
use i3_core::stream::SampleTerms;
use serde_json::{Map, Value};

use super::context::{Context, ListArgs, Told};
use super::failure::Failure;
use super::given::{json_of, minor, named};

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

#[derive(Debug, Subcommand)]
pub(crate) enum ProductTask {
    /// The listed products, newest first
    Catalogue(ListArgs),
    /// A product; a draft is seen by its hub
    Show {
        /// Which
        product: ProductId,
    },
    /// The products of a hub, drafts included
    List {
        /// Of which
        hub: HubId,
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
    /// What buyers think of a product, newest first
    Ratings {
        /// Which
        product: ProductId,
        #[command(flatten)]
        list: ListArgs,
    },
}

impl ProductTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::Catalogue(list) => context.list(client.list_catalogue(), &list).await,
            Self::Show { product } => context.ask(client.show_product(product)).await,
            Self::List { hub, list } => context.list(client.list_products(hub), &list).await,
            Self::Create { hub, slug, title, description, tags, devices, said } => {
                let StreamChange { schema, sample } = said.given()?;
                let product = ProductCreation { slug, title, description, tags, devices, schema, sample };
                context.change(client.create_product(hub, &product)).await
            }
            Self::Describe { product, title, description, tags } => {
                let texts = ProductTexts { title, description, tags };
                context.change(client.describe_product(product, &texts)).await
            }
            Self::Edit { product, title, description, tags } => {
                let patch = ProductPatch { title, description, tags };
                context.change(client.edit_product(product, &patch)).await
            }
            Self::SetState { product, state } => {
                context.change(client.set_product_state(product, state)).await
            }
            Self::Stream { product } => context.ask(client.show_stream(product)).await,
            Self::DescribeStream { product, said } => {
                context.change(client.describe_stream(product, &said.given()?)).await
            }
            Self::Quality { product } => context.ask(client.show_quality(product)).await,
            Self::Sample { product } => context.ask(client.show_sample(product)).await,
            Self::Ratings { product, list } => context.list(client.list_ratings(product), &list).await,
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
    /// The offers for a product, newest first
    List {
        /// For which
        product: ProductId,
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
            Self::List { product, list } => context.list(client.list_offers(product), &list).await,
            Self::Publish { product, currency, term, plan } => {
                let offer = OfferPublication { currency, plan: plan.plan()?, term_seconds: term };
                context.change(client.publish_offer(product, &offer)).await
            }
            Self::Withdraw { offer } => context.change(client.withdraw_offer(offer)).await,
        }
    }
}
