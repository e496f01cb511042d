//! The prepared collections.

use std::collections::HashMap;

use i3_core::store::{Collection, Key, Schema, StoreErrorKind};

use super::Failure;

/// A collection with its place and the ids that are wanted of it.
pub(crate) type Wanted<'k> = (usize, &'static Collection, Vec<&'k str>);

/// The collections of the last prepared schema, in the order of their names. A collection's place is its
/// number here.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    collections: Vec<&'static Collection>,
    places: HashMap<&'static str, usize>,
}

impl Catalog {
    /// The catalog of a schema.
    pub(crate) fn of(schema: &Schema) -> Self {
        let mut collections = schema.collections().to_vec();
        collections.sort_by_key(|collection| collection.name);
        let places = collections.iter().enumerate().map(|(place, collection)| (collection.name, place));
        Self { places: places.collect(), collections }
    }

    /// The collections by their places.
    /// Whether the last schema has a collection of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    pub(crate) fn collections(&self) -> &[&'static Collection] {
        &self.collections
    }

    /// The place of a collection.
    pub(crate) fn place(&self, collection: &'static Collection) -> Result<usize, Failure> {
        let place = self.places.get(collection.name).copied();
        let known = place
            .and_then(|place| self.collections.get(place))
            .is_some_and(|known| std::ptr::eq(*known, collection) || *known == collection);
        place.filter(|_| known).ok_or_else(|| {
            let message = format!("the collection `{}` was not prepared", collection.name);
            Failure::new(StoreErrorKind::Unsupported, message)
        })
    }

    /// The ids of these keys, each once and in order, by the places of their collections; only those that
    /// have any.
    pub(crate) fn by_collection<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k Key>,
    ) -> Result<Vec<Wanted<'k>>, Failure> {
        let mut ids: Vec<Vec<&str>> = vec![Vec::new(); self.collections.len()];
        for key in keys {
            if let Some(list) = ids.get_mut(self.place(key.collection())?) {
                list.push(key.id());
            }
        }
        let mut wanted = Vec::new();
        for (place, (collection, mut list)) in self.collections.iter().zip(ids).enumerate() {
            if !list.is_empty() {
                list.sort_unstable();
                list.dedup();
                wanted.push((place, *collection, list));
            }
        }
        Ok(wanted)
    }
}
