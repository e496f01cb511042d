//! What a database remembers of a collection, and which changes of it are possible.

use std::collections::BTreeMap;

use i3_core::store::{Collection, ColumnKind, Kind};
use serde::{Deserialize, Serialize};

/// A collection's shape as it is stored beside the data, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Description {
    kind: String,
    columns: BTreeMap<String, String>,
    indexes: BTreeMap<String, Vec<String>>,
}

/// How a declared collection relates to what is stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing to do.
    Same,
    /// Only columns or indexes are new.
    Grown {
        /// The names of the new columns.
        columns: Vec<&'static str>,
    },
    /// Something that is stored would mean something else, or nothing.
    Contradiction,
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

    /// What has to happen for the stored collection to become the declared one.
    pub(crate) fn step_to(&self, declared: &'static Collection) -> Step {
        let wanted = Self::of(declared);
        let kept = self.kind == wanted.kind
            && self.columns.iter().all(|(name, kind)| wanted.columns.get(name) == Some(kind))
            && self.indexes.iter().all(|(name, columns)| wanted.indexes.get(name) == Some(columns));
        if !kept {
            return Step::Contradiction;
        }
        if *self == wanted {
            return Step::Same;
        }
        let names = declared.columns.iter().map(|column| column.name);
        Step::Grown { columns: names.filter(|name| !self.columns.contains_key(*name)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use i3_core::store::{Column, Index};

    use super::*;

    static BEFORE: Collection = Collection {
        name: "orders",
        kind: Kind::Records,
        about: "",
        columns: &[Column::text("seller")],
        indexes: &[Index { name: "by_seller", columns: &["seller"] }],
    };
    static GROWN: Collection = Collection {
        name: "orders",
        kind: Kind::Records,
        about: "other words",
        columns: &[Column::text("seller"), Column::int("placed")],
        indexes: &[
            Index { name: "by_seller", columns: &["seller"] },
            Index { name: "by_time", columns: &["placed"] },
        ],
    };
    static RETYPED: Collection = Collection {
        name: "orders",
        kind: Kind::Records,
        about: "",
        columns: &[Column::int("seller")],
        indexes: &[Index { name: "by_seller", columns: &["seller"] }],
    };
    static COUNTER: Collection =
        Collection { name: "orders", kind: Kind::Counters, about: "", columns: &[], indexes: &[] };

    #[test]
    fn a_collection_may_grow_but_not_shrink_or_change() {
        let stored = Description::of(&BEFORE);
        assert_eq!(stored.step_to(&BEFORE), Step::Same);
        assert_eq!(stored.step_to(&GROWN), Step::Grown { columns: vec!["placed"] });
        assert_eq!(stored.step_to(&RETYPED), Step::Contradiction);
        assert_eq!(stored.step_to(&COUNTER), Step::Contradiction);
        assert_eq!(Description::of(&GROWN).step_to(&BEFORE), Step::Contradiction);
    }
}
