//! What a database remembers of a collection.

use std::collections::BTreeMap;

use i3_core::store::{Collection, ColumnKind, Kind};
use serde::{Deserialize, Serialize};

/// A collection's shape as it is stored beside the data, as JSON. A collection that is declared with another
/// shape contradicts the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Description {
    kind: String,
    columns: BTreeMap<String, String>,
    indexes: BTreeMap<String, Vec<String>>,
}

impl Description {
    /// The description of a declared collection.
    pub(crate) fn of(collection: &Collection) -> Self {
        let kind = match collection.kind {
            Kind::Records => "records",
            Kind::Counters => "counters",
            Kind::Streams => "streams",
        };
        let column_kind = |kind| match kind {
            ColumnKind::Text => "text",
            ColumnKind::Int => "int",
        };
        Self {
            kind: kind.to_owned(),
            columns: collection
                .columns
                .iter()
                .map(|column| (column.name.to_owned(), column_kind(column.kind).to_owned()))
                .collect(),
            indexes: collection
                .indexes
                .iter()
                .map(|index| {
                    (index.name.to_owned(), index.columns.iter().map(|&column| column.to_owned()).collect())
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use i3_core::store::{Column, Index};

    use super::*;

    static ORDERS: Collection = Collection {
        name: "orders",
        kind: Kind::Records,
        about: "what was bought",
        columns: &[Column::text("seller"), Column::int("placed")],
        indexes: &[Index { name: "by_seller", columns: &["seller", "placed"] }],
    };

    #[test]
    fn a_description_is_read_as_released_versions_wrote_it() {
        let stored = r#"{"kind":"records","columns":{"placed":"int","seller":"text"},"indexes":{"by_seller":["seller","placed"]}}"#;
        assert_eq!(serde_json::to_string(&Description::of(&ORDERS)).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Description>(stored).unwrap(), Description::of(&ORDERS));
    }

    #[test]
    fn other_words_about_a_collection_do_not_contradict_it() {
        static REWORDED: Collection = Collection {
            name: "orders",
            kind: Kind::Records,
            about: "purchases",
            columns: ORDERS.columns,
            indexes: ORDERS.indexes,
        };
        assert_eq!(Description::of(&REWORDED), Description::of(&ORDERS));
    }
}
