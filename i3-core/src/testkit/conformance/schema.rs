//! Preparing, revisions, and what is there after reopening.

use super::prepared;
use crate::store::{
    Applied, Batch, Collection, Column, CommitError, Draft, DynStore, Index, Kind, Op, Scan, Schema, Store,
    StoreError, StoreErrorKind,
};
use crate::testkit::dump::{dump, index_check};
use crate::testkit::sample::{
    COUNTERS, ITEM, ITEMS, Item, LATER, STREAMS, add, append, commit, create, create_plain, ids, key,
    later_schema, put, refusal, replace, schema, version_of,
};
use crate::testkit::{Checked, Harness, Stop, ensure_eq};

fn of_kind<T: std::fmt::Debug>(answer: Result<T, StoreError>, wanted: StoreErrorKind) -> Checked {
    match answer {
        Ok(answer) => Err(Stop::broken(format_args!("not refused as {wanted:?}: {answer:?}"))),
        Err(error) => {
            ensure_eq!(error.kind(), wanted);
            ensure_eq!(error.applied(), Applied::No);
            Ok(())
        }
    }
}

fn create_later(id: &str, name: &str) -> Result<Op, Stop> {
    Ok(Op::Create(Draft::new(&LATER, id, vec![Some(name.into())], "{}")?))
}

pub(super) async fn preparing_twice_is_preparing_once(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    put(&*store, &Item::new("a").owner("o")).await?;
    store.prepare(&schema()?).await?;
    ensure_eq!(ids(&*store, Scan::index(&ITEMS, "by_owner", Vec::new())?).await?, ["a"]);
    put(&*store, &Item::new("b").owner("o")).await?;
    Ok(())
}

pub(super) async fn a_higher_revision_may_add_a_collection(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    put(&*store, &Item::new("a").owner("o")).await?;
    commit(&*store, vec![add("c", 3)?, append("s", "1")?]).await?;
    store.prepare(&later_schema()?).await?;
    commit(&*store, vec![create_later("l", "n")?, append("s", "2")?]).await?;
    ensure_eq!(ids(&*store, Scan::index(&LATER, "by_name", vec!["n".into()])?).await?, ["l"]);
    ensure_eq!(ids(&*store, Scan::index(&ITEMS, "by_owner", Vec::new())?).await?, ["a"]);
    Ok(())
}

/// [`ITEM`] in other words.
static REWORDED: Collection = Collection {
    name: "item",
    kind: Kind::Records,
    about: "records, plain ones",
    columns: &[],
    indexes: &[],
};

pub(super) async fn a_collection_may_be_reworded_and_others_left_out(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    put(&*store, &Item::new("a").owner("o")).await?;
    store.prepare(&Schema::new(1, &[&REWORDED])?).await?;
    commit(&*store, vec![Op::Create(Draft::new(&REWORDED, "p", Vec::new(), "{}")?)]).await?;
    // What is not named is known by name and refused, and is as it was once it is named again.
    ensure_eq!(store.unnamed().await?, ["group", "items", "streams"]);
    of_kind(store.read(&[key(&ITEMS, "a")?]).await, StoreErrorKind::Unsupported)?;
    store.prepare(&schema()?).await?;
    ensure_eq!(ids(&*store, Scan::index(&ITEMS, "by_owner", Vec::new())?).await?, ["a"]);
    ensure_eq!(ids(&*store, Scan::ids(&ITEM)).await?, ["p"]);
    ensure_eq!(store.unnamed().await?, [""; 0]);
    Ok(())
}

pub(super) async fn a_lower_revision_is_refused(harness: &dyn Harness) -> Checked {
    let store = harness.open().await?;
    store.prepare(&later_schema()?).await?;
    commit(&*store, vec![create_later("l", "n")?]).await?;
    of_kind(store.prepare(&schema()?).await, StoreErrorKind::Incompatible)?;
    // The refusal changed nothing.
    ensure_eq!(ids(&*store, Scan::ids(&LATER)).await?, ["l"]);
    commit(&*store, vec![create_later("m", "n")?]).await?;
    Ok(())
}

static ITEM_WITH_A_COLUMN: Collection = Collection { columns: &[Column::text("name")], ..plain(&ITEM) };
static ITEMS_WITH_AN_INT: Collection = Collection {
    name: "items",
    kind: Kind::Records,
    about: "the same with another type of column",
    columns: &[Column::int("owner"), Column::int("at"), Column::text("tag"), Column::int("order")],
    indexes: ITEMS.indexes,
};
static ITEMS_WITH_ANOTHER_INDEX: Collection = Collection {
    name: "items",
    kind: Kind::Records,
    about: "the same with an index over other columns",
    columns: ITEMS.columns,
    indexes: &[Index { name: "by_owner", columns: &["owner", "order"] }],
};
static COUNTERS_AS_STREAMS: Collection = Collection { kind: Kind::Streams, ..plain(&COUNTERS) };
static STREAMS_AS_RECORDS: Collection = Collection { kind: Kind::Records, ..plain(&STREAMS) };

const fn plain(like: &Collection) -> Collection {
    Collection { name: like.name, kind: like.kind, about: like.about, columns: &[], indexes: &[] }
}

pub(super) async fn a_contradicting_collection_is_refused(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    put(&*store, &Item::new("a").owner("o")).await?;
    for other in [
        &ITEM_WITH_A_COLUMN,
        &ITEMS_WITH_AN_INT,
        &ITEMS_WITH_ANOTHER_INDEX,
        &COUNTERS_AS_STREAMS,
        &STREAMS_AS_RECORDS,
    ] {
        for revision in [1, 2] {
            let contradicting = Schema::new(revision, &[other])?;
            of_kind(store.prepare(&contradicting).await, StoreErrorKind::Incompatible)?;
        }
    }
    ensure_eq!(ids(&*store, Scan::index(&ITEMS, "by_owner", Vec::new())?).await?, ["a"]);
    put(&*store, &Item::new("b")).await?;
    Ok(())
}

/// Makes sure that reads, scans and commits about the collection are refused.
async fn unknown(store: &dyn Store, collection: &'static Collection, op: Op) -> Checked {
    of_kind(store.read(&[key(collection, "a")?]).await, StoreErrorKind::Unsupported)?;
    of_kind(store.scan(&Scan::ids(collection)).await, StoreErrorKind::Unsupported)?;
    match refusal(store, vec![op]).await? {
        CommitError::Store(error) => of_kind::<()>(Err(error), StoreErrorKind::Unsupported),
        other => Err(Stop::broken(format_args!("not unsupported: {other}"))),
    }
}

pub(super) async fn an_undeclared_collection_is_refused(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    unknown(&*store, &LATER, create_later("a", "n")?).await?;
    let mixed = Batch::of(vec![create(&Item::new("a"))?, create_later("a", "n")?])?;
    match store.commit(&mixed).await {
        Err(CommitError::Store(error)) => of_kind::<()>(Err(error), StoreErrorKind::Unsupported)?,
        other => return Err(Stop::broken(format_args!("not unsupported: {other:?}"))),
    }
    of_kind(store.read(&[key(&ITEMS, "a")?, key(&LATER, "a")?]).await, StoreErrorKind::Unsupported)?;
    ensure_eq!(ids(&*store, Scan::ids(&ITEMS)).await?, Vec::<String>::new());
    Ok(())
}

pub(super) async fn a_store_that_was_not_prepared_refuses_everything(harness: &dyn Harness) -> Checked {
    let store = harness.open().await?;
    unknown(&*store, &ITEMS, create(&Item::new("a"))?).await?;
    unknown(&*store, &COUNTERS, add("a", 1)?).await?;
    unknown(&*store, &STREAMS, append("a", "1")?).await
}

async fn reopened(harness: &dyn Harness, store: DynStore) -> Result<DynStore, Stop> {
    drop(store);
    harness.reopen().await?.ok_or(Stop::NotApplicable("this backend keeps nothing"))
}

pub(super) async fn everything_is_there_after_reopening(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let mut versions = Vec::new();
    for n in 0..20_i64 {
        let item = Item::new(format!("i{n:02}")).owner(format!("o{}", n % 3)).at(n % 4).tag("t").order(-n);
        commit(&*store, vec![create(&item)?, add("sum", n)?, append("s", format!("{n}"))?]).await?;
        versions.push(version_of(&*store, &item.id).await?);
    }
    commit(&*store, vec![create_plain("p", "{}")?]).await?;
    let before = dump(&*store, &schema()?).await?;
    let store = reopened(harness, store).await?;
    store.prepare(&schema()?).await?;
    ensure_eq!(dump(&*store, &schema()?).await?, before);
    index_check::<Item>(&*store).await?;
    for (n, version) in versions.into_iter().enumerate() {
        ensure_eq!(version_of(&*store, &format!("i{n:02}")).await?, version);
    }
    // And it goes on.
    commit(&*store, vec![append("s", "20")?, add("sum", 1)?]).await?;
    Ok(())
}

pub(super) async fn versions_do_not_come_back_after_reopening(harness: &dyn Harness) -> Checked {
    let mut store = prepared(harness).await?;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let created = put(&*store, &Item::new("a")).await?;
        commit(&*store, vec![replace(created, &Item::new("a").note("again"))?]).await?;
        let replaced = version_of(&*store, "a").await?;
        for version in [created, replaced] {
            if seen.contains(&version) {
                return Err(Stop::broken("a version was given twice"));
            }
            seen.push(version);
        }
        commit(&*store, vec![Op::Remove { key: key(&ITEMS, "a")?, expect: replaced }]).await?;
        store = reopened(harness, store).await?;
        store.prepare(&schema()?).await?;
    }
    Ok(())
}

pub(super) async fn a_lower_revision_is_refused_after_reopening(harness: &dyn Harness) -> Checked {
    let store = harness.open().await?;
    store.prepare(&later_schema()?).await?;
    commit(&*store, vec![create_later("l", "n")?]).await?;
    let store = reopened(harness, store).await?;
    of_kind(store.prepare(&schema()?).await, StoreErrorKind::Incompatible)?;
    let contradicting = Schema::new(2, &[&ITEMS_WITH_AN_INT])?;
    of_kind(store.prepare(&contradicting).await, StoreErrorKind::Incompatible)?;
    store.prepare(&later_schema()?).await?;
    ensure_eq!(ids(&*store, Scan::ids(&LATER)).await?, ["l"]);
    Ok(())
}
