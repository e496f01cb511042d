//! What the checks store: collections of each kind, named to be awkward for backends.

use serde::{Deserialize, Serialize};

use super::Stop;
use crate::store::{
    Batch, Body, Cell, Collection, Column, CommitError, Cursor, Draft, Entity, Index, Key, Kind, Op, Page,
    Receipt, Row, Scan, Schema, SchemaError, Store, Units, Value, Version,
};

/// Records with columns and indexes. `order` is a word of SQL on purpose.
pub static ITEMS: Collection = Collection {
    name: "items",
    kind: Kind::Records,
    about: "records with columns",
    columns: &[Column::text("owner"), Column::int("at"), Column::text("tag"), Column::int("order")],
    indexes: &[
        Index { name: "by_owner", columns: &["owner"] },
        Index { name: "by_at", columns: &["at"] },
        Index { name: "by_owner_at", columns: &["owner", "at"] },
        Index { name: "by_order_tag", columns: &["order", "tag"] },
        Index { name: "by_all", columns: &["owner", "at", "tag", "order"] },
    ],
};

/// Records without columns. Its name starts that of [`ITEMS`] on purpose.
pub static ITEM: Collection =
    Collection { name: "item", kind: Kind::Records, about: "plain records", columns: &[], indexes: &[] };

/// Counters. The name is a word of SQL on purpose.
pub static COUNTERS: Collection =
    Collection { name: "group", kind: Kind::Counters, about: "counters", columns: &[], indexes: &[] };

/// Streams.
pub static STREAMS: Collection =
    Collection { name: "streams", kind: Kind::Streams, about: "streams", columns: &[], indexes: &[] };

/// Records that only the second revision knows.
pub static LATER: Collection = Collection {
    name: "later",
    kind: Kind::Records,
    about: "records of the second revision",
    columns: &[Column::text("name")],
    indexes: &[Index { name: "by_name", columns: &["name"] }],
};

/// All collections but [`LATER`], at revision 1.
pub fn schema() -> Result<Schema, SchemaError> {
    Schema::new(1, &[&ITEMS, &ITEM, &COUNTERS, &STREAMS])
}

/// All collections, at revision 2.
pub fn later_schema() -> Result<Schema, SchemaError> {
    Schema::new(2, &[&ITEMS, &ITEM, &COUNTERS, &STREAMS, &LATER])
}

/// A record of [`ITEMS`]; its body says what its columns hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// A column.
    pub owner: Option<String>,
    /// A column.
    pub at: Option<i64>,
    /// A column.
    pub tag: Option<String>,
    /// A column.
    pub order: Option<i64>,
    /// No column.
    pub note: String,
}

impl Item {
    /// One without any value.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// Sets the column.
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Sets the column.
    pub fn at(mut self, at: i64) -> Self {
        self.at = Some(at);
        self
    }

    /// Sets the column.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Sets the column.
    pub fn order(mut self, order: i64) -> Self {
        self.order = Some(order);
        self
    }

    /// Sets the rest.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

impl Entity for Item {
    type Id = String;

    fn collection() -> &'static Collection {
        &ITEMS
    }

    fn id(&self) -> String {
        self.id.clone()
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![
            self.owner.clone().map(Value::Text),
            self.at.map(Value::Int),
            self.tag.clone().map(Value::Text),
            self.order.map(Value::Int),
        ]
    }
}

pub(super) fn key(collection: &'static Collection, id: &str) -> Result<Key, Stop> {
    Ok(Key::new(collection, id)?)
}

pub(super) fn body(text: impl Into<Box<str>>) -> Result<Body, Stop> {
    Ok(Body::new(text)?)
}

pub(super) fn units(number: i64) -> Result<Units, Stop> {
    Ok(Units::new(number)?)
}

/// A version that no store has given.
pub(super) fn foreign_version() -> Result<Version, Stop> {
    let greatest = u64::try_from(i64::MAX)?;
    Version::from_number(greatest).ok_or_else(|| Stop::broken("the greatest version is refused"))
}

pub(super) fn create(item: &Item) -> Result<Op, Stop> {
    Ok(Op::Create(item.draft()?))
}

/// Creates a record of [`ITEM`].
pub(super) fn create_plain(id: &str, text: impl Into<Box<str>>) -> Result<Op, Stop> {
    Ok(Op::Create(Draft::new(&ITEM, id, Vec::new(), text)?))
}

pub(super) fn replace(expect: Version, item: &Item) -> Result<Op, Stop> {
    Ok(Op::Replace { expect, with: item.draft()? })
}

pub(super) fn adjust(id: &str, by: i64, floor: i64) -> Result<Op, Stop> {
    Ok(Op::Adjust { counter: key(&COUNTERS, id)?, by: units(by)?, floor: units(floor)? })
}

/// Adjusts without a floor.
pub(super) fn add(id: &str, by: i64) -> Result<Op, Stop> {
    Ok(Op::Adjust { counter: key(&COUNTERS, id)?, by: units(by)?, floor: Units::MIN })
}

pub(super) fn append(id: &str, text: impl Into<Box<str>>) -> Result<Op, Stop> {
    Ok(Op::Append { stream: key(&STREAMS, id)?, body: body(text)? })
}

/// Commits what must be taken.
pub(super) async fn commit(store: &dyn Store, ops: Vec<Op>) -> Result<Receipt, Stop> {
    Ok(store.commit(&Batch::of(ops)?).await?)
}

/// Commits what must be refused.
pub(super) async fn refusal(store: &dyn Store, ops: Vec<Op>) -> Result<CommitError, Stop> {
    match store.commit(&Batch::of(ops)?).await {
        Ok(receipt) => {
            Err(Stop::broken(format_args!("the batch should be refused, and was applied: {receipt:?}")))
        }
        Err(error) => Ok(error),
    }
}

/// Creates one record and gives its version.
pub(super) async fn put(store: &dyn Store, item: &Item) -> Result<Version, Stop> {
    commit(store, vec![create(item)?]).await?;
    version_of(store, &item.id).await
}

/// The cell under one key.
pub(super) async fn cell(store: &dyn Store, key: &Key) -> Result<Option<Cell>, Stop> {
    let mut cells = store.read(std::slice::from_ref(key)).await?;
    match (cells.pop(), cells.is_empty()) {
        (Some(cell), true) => Ok(cell),
        _ => Err(Stop::broken("one key was asked for, and not one cell was answered")),
    }
}

pub(super) async fn version_of(store: &dyn Store, id: &str) -> Result<Version, Stop> {
    match cell(store, &key(&ITEMS, id)?).await? {
        Some(Cell::Record { version, .. }) => Ok(version),
        other => Err(Stop::broken(format_args!("no record under `{id}` but {other:?}"))),
    }
}

/// The item under this id.
pub(super) async fn item_of(store: &dyn Store, id: &str) -> Result<Option<Item>, Stop> {
    let key = key(&ITEMS, id)?;
    match cell(store, &key).await? {
        None => Ok(None),
        Some(Cell::Record { body, .. }) => Ok(Some(Item::from_body(&key, &body)?)),
        Some(other) => Err(Stop::broken(format_args!("no record under `{id}` but {other:?}"))),
    }
}

/// What a counter holds; `None` if it was never adjusted.
pub(super) async fn count(store: &dyn Store, id: &str) -> Result<Option<i64>, Stop> {
    match cell(store, &key(&COUNTERS, id)?).await? {
        None => Ok(None),
        Some(Cell::Counter(units)) => Ok(Some(units.get())),
        Some(other) => Err(Stop::broken(format_args!("no counter under `{id}` but {other:?}"))),
    }
}

/// All rows of a scan, page by page of its own limit; each cursor goes through its text form.
pub(super) async fn rows(store: &dyn Store, scan: Scan) -> Result<Vec<Row>, Stop> {
    let mut rows = Vec::new();
    let mut scan = scan;
    loop {
        let Page { rows: page, next } = store.scan(&scan).await?;
        ensure_page(&scan, &page, next.as_ref())?;
        rows.extend(page);
        let Some(next) = next else { return Ok(rows) };
        scan = scan.after(next.to_string().parse()?)?;
    }
}

fn ensure_page(scan: &Scan, page: &[Row], next: Option<&Cursor>) -> Result<(), Stop> {
    if page.len() > scan.rows() {
        return Err(Stop::broken("a page has more rows than its limit"));
    }
    if next.is_some() && page.len() < scan.rows() {
        return Err(Stop::broken("a page that is not full promises another one"));
    }
    Ok(())
}

/// The id of a row; an entry's position.
pub(super) fn row_id(row: &Row) -> String {
    match row {
        Row::Record { key, .. } | Row::Counter { key, .. } | Row::Stream { key, .. } => key.id().to_owned(),
        Row::Entry { position, .. } => position.to_string(),
    }
}

/// The ids of a scan, in order.
pub(super) async fn ids(store: &dyn Store, scan: Scan) -> Result<Vec<String>, Stop> {
    Ok(rows(store, scan).await?.iter().map(row_id).collect())
}
