//! Ratings: by those who bought and received, one for each grant.

use serde::{Deserialize, Serialize};

use crate::id::{GrantId, ProductId, UserId};
use crate::name::Prose;
use crate::store::{Collection, Column, Entity, Index, Key, Kind, StoreError, StoreErrorKind, Value};
use crate::time::Timestamp;

/// One to five stars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Stars(u8);

/// A number of stars that is not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rating is one to five stars")]
pub struct InvalidStars;

impl TryFrom<u8> for Stars {
    type Error = InvalidStars;

    fn try_from(stars: u8) -> Result<Self, InvalidStars> {
        if (1..=5).contains(&stars) { Ok(Self(stars)) } else { Err(InvalidStars) }
    }
}

impl From<Stars> for u8 {
    fn from(stars: Stars) -> Self {
        stars.0
    }
}

/// What a buyer thinks of a product. One for each grant: rating again replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Rating {
    /// The grant that it rests on.
    pub grant: GrantId,
    /// What is rated.
    pub product: ProductId,
    /// Who rates.
    pub rater: UserId,
    /// How good it is.
    pub stars: Stars,
    /// In words.
    pub comment: Option<Prose>,
    /// When.
    pub at: Timestamp,
}

static RATINGS: Collection = Collection {
    name: "ratings",
    kind: Kind::Records,
    about: "what buyers think of what they received; one for each grant",
    columns: &[Column::text("product"), Column::int("stars"), Column::int("at")],
    indexes: &[Index { name: "by_product", columns: &["product", "at"] }],
};

/// The counters of scores.
pub(crate) static SCORES: Collection = Collection {
    name: "scores",
    kind: Kind::Counters,
    about: "for each product, how many ratings it has and how many stars in all",
    columns: &[],
    indexes: &[],
};

impl Entity for Rating {
    type Id = GrantId;

    fn collection() -> &'static Collection {
        &RATINGS
    }

    fn id(&self) -> GrantId {
        self.grant
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![
            Some(self.product.to_string().into()),
            Some(i64::from(u8::from(self.stars)).into()),
            Some(self.at.micros().into()),
        ]
    }
}

/// A product's score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Score {
    /// How many live ratings.
    pub ratings: u64,
    /// Their stars in all.
    pub stars: u64,
}

impl Score {
    /// The counters of a product: ratings, stars.
    pub(crate) fn keys(product: ProductId) -> Result<[Key; 2], StoreError> {
        let key = |what| {
            Key::new(&SCORES, format!("{product}:{what}")).map_err(|error| {
                StoreError::new(StoreErrorKind::Unsupported, "a product's name is no key").with_source(error)
            })
        };
        Ok([key("ratings")?, key("stars")?])
    }

    /// The mean in tenths of a star, rounded down; `None` without ratings.
    pub fn tenths(&self) -> Option<u64> {
        (self.stars * 10).checked_div(self.ratings)
    }
}
