//! What collections a store holds, kept in the store itself.

use std::collections::BTreeMap;

use i3_core::store::{Collection, ColumnKind, Kind, Schema, StoreError, StoreErrorKind};
use serde::{Deserialize, Serialize};

use crate::error::{corrupt, failed};
use crate::layout;

/// Every collection that was ever prepared, with the highest revision.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Description {
    revision: u32,
    collections: BTreeMap<String, Shape>,
}

/// What decides how a collection lies in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Shape {
    kind: String,
    columns: Vec<(String, String)>,
    indexes: BTreeMap<String, Vec<String>>,
}

impl Shape {
    fn of(collection: &Collection) -> Self {
        let kind = match collection.kind {
            Kind::Records => "records",
            Kind::Counters => "counters",
            Kind::Streams => "streams",
        };
        let column = |kind| match kind {
            ColumnKind::Text => "text",
            ColumnKind::Int => "int",
        };
        let columns = collection.columns.iter();
        let indexes = collection.indexes.iter();
        Self {
            kind: kind.to_owned(),
            columns: columns.map(|of| (of.name.to_owned(), column(of.kind).to_owned())).collect(),
            indexes: indexes
                .map(|of| (of.name.to_owned(), of.columns.iter().map(|&name| name.to_owned()).collect()))
                .collect(),
        }
    }
}

impl Description {
    /// The description in a store; `None` in one that was never prepared.
    pub(crate) fn stored(tree: &sled::Tree) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = tree.get(layout::SCHEMA).map_err(|error| failed("read its schema", error))? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| corrupt("the schema").with_source(error))
    }

    /// The names of all collections.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.collections.keys().map(String::as_str)
    }

    /// This description with what the schema adds, unless the two contradict each other.
    pub(crate) fn with(&self, schema: &Schema) -> Result<Self, StoreError> {
        let incompatible = |message| Err(StoreError::new(StoreErrorKind::Incompatible, message));
        if self.revision > schema.revision() {
            return incompatible(format!(
                "the data are of revision {}, this program knows revision {}: use a newer version",
                self.revision,
                schema.revision()
            ));
        }
        let mut next = Self { revision: schema.revision(), collections: self.collections.clone() };
        for collection in schema.collections() {
            let wanted = Shape::of(collection);
            if let Some(present) = next.collections.get(collection.name)
                && *present != wanted
            {
                return incompatible(format!(
                    "the collection `{}` is stored with another kind, columns or indexes",
                    collection.name
                ));
            }
            next.collections.insert(collection.name.to_owned(), wanted);
        }
        Ok(next)
    }
}
