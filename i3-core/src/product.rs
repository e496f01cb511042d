//! Data products: what is listed and sold.

use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, HubId, ProductId};
use crate::name::{Label, Prose, Slug, Topic};
use crate::store::{Collection, Column, Entity, Index, Kind, Value};
use crate::time::Timestamp;

/// What a product is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProductState {
    /// Being written; seen by its hub alone.
    Draft,
    /// Sold and delivered.
    Listed,
    /// Neither sold nor delivered for now.
    Paused,
    /// Neither sold nor delivered ever again.
    Retired,
}

impl ProductState {
    /// The text in the `state` column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Listed => "listed",
            Self::Paused => "paused",
            Self::Retired => "retired",
        }
    }

    /// Whether a product may go from this state to that one.
    pub const fn may_become(self, next: Self) -> bool {
        use ProductState::{Draft, Listed, Paused, Retired};
        matches!((self, next), (Draft | Paused, Listed | Retired) | (Listed, Paused | Retired))
    }
}

/// A stream of messages that a hub sells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Product {
    /// The id.
    pub id: ProductId,
    /// Who sells it.
    pub hub: HubId,
    /// Its name in the hub.
    pub slug: Slug,
    /// Where it is published and received; unique, never changes.
    pub topic: Topic,
    /// What people read first.
    pub title: Label,
    /// What people read then.
    pub description: Prose,
    /// What people search by: at most [`Product::MAX_TAGS`].
    pub tags: Vec<Slug>,
    /// The devices that may publish it, all of the hub: 1 to [`Product::MAX_DEVICES`].
    pub devices: Vec<DeviceId>,
    /// What it is in.
    pub state: ProductState,
    /// When it was created.
    pub created: Timestamp,
}

impl Product {
    /// How many tags a product may have.
    pub const MAX_TAGS: usize = 20;
    /// How many devices may publish one product.
    pub const MAX_DEVICES: usize = 64;
}

static PRODUCTS: Collection = Collection {
    name: "products",
    kind: Kind::Records,
    about: "streams of messages that hubs sell",
    columns: &[Column::text("hub"), Column::text("state"), Column::int("created"), Column::text("topic")],
    indexes: &[
        Index { name: "by_hub", columns: &["hub", "created"] },
        Index { name: "by_state", columns: &["state", "created"] },
    ],
};

impl Entity for Product {
    type Id = ProductId;

    fn collection() -> &'static Collection {
        &PRODUCTS
    }

    fn id(&self) -> ProductId {
        self.id
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![
            Some(self.hub.to_string().into()),
            Some(self.state.as_str().into()),
            Some(self.created.micros().into()),
            Some(self.topic.as_str().into()),
        ]
    }
}

/// That a device may publish a product, so that a device's products are found without a search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Source {
    /// The device.
    pub device: DeviceId,
    /// The product.
    pub product: ProductId,
}

static SOURCES: Collection = Collection {
    name: "sources",
    kind: Kind::Records,
    about: "which device publishes which product",
    columns: &[Column::text("device"), Column::text("product")],
    indexes: &[Index { name: "by_device", columns: &["device"] }],
};

impl Entity for Source {
    type Id = String;

    fn collection() -> &'static Collection {
        &SOURCES
    }

    fn id(&self) -> String {
        format!("{}:{}", self.product, self.device)
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![Some(self.device.to_string().into()), Some(self.product.to_string().into())]
    }
}
