//! Products with what buyers think of them, as everybody sees them.

use serde::{Deserialize, Serialize};

use super::lists::{CatalogueFilter, TimeOrder};
use super::queries::read_if;
use super::{MarketError, Marketplace, PageRequest, Paged};
use crate::id::ProductId;
use crate::product::{Product, ProductState};
use crate::rating::{SCORES, Score};
use crate::store::{Cell, Entity, Key, Revision, StoreError, limits};

/// What a catalogue shows of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct ProductCard {
    /// The product.
    pub product: Product,
    /// What buyers think of it.
    pub score: Score,
}

impl Marketplace {
    /// The listed products, in the order in which they were created. Pages of one hub as of
    /// [`users`](Self::users).
    pub async fn catalogue(
        &self,
        filter: &CatalogueFilter,
        order: TimeOrder,
        page: &PageRequest,
    ) -> Result<Paged<ProductCard>, MarketError> {
        let Paged { items, next } = self.listed_products(filter, order, page).await?;
        Ok(Paged { items: self.cards(items).await?, next })
    }

    /// What all pages of the catalogue and all public products with their scores were made of, if the store can
    /// [tell](crate::store::Store::revision): they are the same as long as it is.
    pub fn catalogue_revision(&self) -> Option<Revision> {
        self.store.revision(&[Product::collection(), &SCORES])
    }

    /// These products, if everybody may buy them now, in their order.
    pub async fn listed(&self, ids: &[ProductId]) -> Result<Vec<Option<ProductCard>>, MarketError> {
        let mut products = Vec::with_capacity(ids.len());
        for ids in ids.chunks(limits::READ_KEYS) {
            let keys = ids.iter().map(Product::key).collect::<Result<Vec<_>, _>>()?;
            for (key, cell) in keys.iter().zip(self.store.read(&keys).await?) {
                let product = read_if::<Product>(key, cell)?;
                products.push(product.filter(|product| product.state == ProductState::Listed));
            }
        }
        let mut cards = self.cards(products.iter().flatten().cloned().collect()).await?.into_iter();
        Ok(products.into_iter().map(|product| product.and_then(|_| cards.next())).collect())
    }

    async fn cards(&self, products: Vec<Product>) -> Result<Vec<ProductCard>, MarketError> {
        let mut cards = Vec::with_capacity(products.len());
        let mut keys = Vec::with_capacity(products.len() * 2);
        for product in &products {
            keys.extend(Score::keys(product.id)?);
        }
        let counts = if keys.is_empty() { Vec::new() } else { self.counts(&keys).await? };
        for (product, counts) in products.into_iter().zip(counts.chunks_exact(2)) {
            let [ratings, stars] = counts else { continue };
            cards.push(ProductCard { product, score: Score { ratings: *ratings, stars: *stars } });
        }
        Ok(cards)
    }

    async fn counts(&self, keys: &[Key]) -> Result<Vec<u64>, StoreError> {
        let mut counts = Vec::with_capacity(keys.len());
        for keys in keys.chunks(limits::READ_KEYS) {
            counts.extend(self.store.read(keys).await?.into_iter().map(|cell| match cell {
                Some(Cell::Counter(units)) => u64::try_from(units.get()).unwrap_or(0),
                _ => 0,
            }));
        }
        Ok(counts)
    }

    /// What buyers think of a product.
    pub async fn score(&self, product: ProductId) -> Result<Score, MarketError> {
        let counts = self.counts(&Score::keys(product)?).await?;
        Ok(Score {
            ratings: counts.first().copied().unwrap_or(0),
            stars: counts.last().copied().unwrap_or(0),
        })
    }
}
