//! The largest of everything.

use super::prepared;
use crate::store::{Cell, Outcome, Scan, limits};
use crate::testkit::dump::{entries, index_check};
use crate::testkit::sample::{
    COUNTERS, ITEM, ITEMS, Item, STREAMS, add, append, cell, commit, count, create, create_plain, ids, key,
    replace, version_of,
};
use crate::testkit::{Checked, Harness, Stop, ensure_eq};

pub(super) async fn the_longest_keys_are_kept(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let stem = "~".repeat(limits::KEY_BYTES - 1);
    let (first, second) = (format!("{stem}!"), format!("{stem}~"));
    for id in [&first, &second] {
        let batch = vec![
            create(&Item::new(&**id).owner("o").at(1).tag("t").order(1))?,
            create_plain(id, "{}")?,
            add(id, 5)?,
            append(id, "1")?,
        ];
        commit(&*store, batch).await?;
    }
    for collection in [&ITEMS, &ITEM, &COUNTERS, &STREAMS] {
        ensure_eq!(ids(&*store, Scan::ids(collection).limit(1)).await?, [&*first, &*second]);
        ensure_eq!(ids(&*store, Scan::prefix(collection, &*second)).await?, [&*second]);
    }
    for index in ITEMS.indexes {
        let scan = Scan::index(&ITEMS, index.name, Vec::new())?;
        ensure_eq!(ids(&*store, scan.backward().limit(1)).await?, [&*second, &*first]);
    }
    ensure_eq!(count(&*store, &first).await?, Some(5));
    ensure_eq!(entries(&*store, &key(&STREAMS, &second)?).await?.len(), 1);
    Ok(())
}

pub(super) async fn the_longest_index_texts_are_kept(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let id = |n: usize| format!("{n}{}", "i".repeat(limits::KEY_BYTES - 1));
    let stem = "x".repeat(limits::INDEX_TEXT_BYTES - 1);
    let wide = format!("{}abc", "😀".repeat((limits::INDEX_TEXT_BYTES - 3) / 4));
    ensure_eq!(wide.len(), limits::INDEX_TEXT_BYTES);
    let texts = [format!("{stem}a"), format!("{stem}b"), wide];
    for (n, text) in texts.iter().enumerate() {
        let item = Item::new(id(n)).owner(&**text).at(i64::MIN).tag(&**text).order(i64::MAX);
        commit(&*store, vec![create(&item)?]).await?;
    }
    for (n, text) in texts.iter().enumerate() {
        let equal = vec![(&**text).into(), i64::MIN.into(), (&**text).into()];
        ensure_eq!(ids(&*store, Scan::index(&ITEMS, "by_all", equal)?).await?, [id(n)]);
    }
    ensure_eq!(
        ids(&*store, Scan::index(&ITEMS, "by_all", Vec::new())?.limit(1)).await?,
        [id(0), id(1), id(2)]
    );
    index_check::<Item>(&*store).await
}

pub(super) async fn the_largest_body_is_kept(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let large = "ü".repeat(limits::BODY_BYTES / 2);
    commit(&*store, vec![create_plain("large", &*large)?, append("s", &*large)?, append("s", "after")?])
        .await?;
    match cell(&*store, &key(&ITEM, "large")?).await? {
        Some(Cell::Record { body, .. }) => ensure_eq!(body.as_str(), large),
        other => return Err(Stop::broken(format_args!("the record is {other:?}"))),
    }
    let found = entries(&*store, &key(&STREAMS, "s")?).await?;
    ensure_eq!(found.into_iter().map(|(_, text, _)| text).collect::<Vec<_>>(), [&*large, "after"]);
    Ok(())
}

pub(super) async fn the_largest_batches_are_kept(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    // As many operations as allowed, of every kind.
    let mut batch = Vec::new();
    for n in 0..limits::BATCH_OPS / 4 {
        let order = i64::try_from(n)?;
        batch.push(create(&Item::new(format!("i{n:04}")).owner(format!("o{}", n % 3)).at(1).order(order))?);
        batch.push(create_plain(&format!("p{n:04}"), "{}")?);
        batch.push(add(&format!("c{n:04}"), order)?);
        batch.push(append(&format!("s{}", n % 2), format!("{n}"))?);
    }
    ensure_eq!(commit(&*store, batch).await?.outcomes.len(), limits::BATCH_OPS);
    ensure_eq!(ids(&*store, Scan::ids(&ITEMS)).await?.len(), limits::BATCH_OPS / 4);
    ensure_eq!(ids(&*store, Scan::ids(&COUNTERS)).await?.len(), limits::BATCH_OPS / 4);
    ensure_eq!(entries(&*store, &key(&STREAMS, "s1")?).await?.len(), limits::BATCH_OPS / 8);
    // One kind only: replacing all of them.
    let mut batch = Vec::new();
    for n in 0..limits::BATCH_OPS / 4 {
        let id = format!("i{n:04}");
        batch.push(replace(version_of(&*store, &id).await?, &Item::new(id).owner("all"))?);
    }
    commit(&*store, batch).await?;
    index_check::<Item>(&*store).await?;
    // As many bytes as allowed.
    let large = "x".repeat(limits::BODY_BYTES);
    let whole = limits::BATCH_BYTES / limits::BODY_BYTES;
    let mut batch = Vec::new();
    for n in 0..whole {
        batch.push(create_plain(&format!("large{n}"), &*large)?);
    }
    batch.push(create_plain("rest", "y".repeat(limits::BATCH_BYTES - whole * limits::BODY_BYTES))?);
    let receipt = commit(&*store, batch).await?;
    ensure_eq!(
        receipt.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Written(_))).count(),
        whole + 1
    );
    ensure_eq!(ids(&*store, Scan::prefix(&ITEM, "large").limit(3)).await?.len(), whole);
    Ok(())
}

pub(super) async fn the_largest_page_is_given(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let ops = (0..limits::PAGE_ROWS).map(|n| create(&Item::new(format!("i{n:04}")).owner("o")));
    commit(&*store, ops.collect::<Result<Vec<_>, Stop>>()?).await?;
    for scan in [Scan::ids(&ITEMS), Scan::index(&ITEMS, "by_owner", vec!["o".into()])?] {
        let page = store.scan(&scan.clone().limit(limits::PAGE_ROWS)).await?;
        ensure_eq!(page.rows.len(), limits::PAGE_ROWS);
        ensure_eq!(page.next, None);
        ensure_eq!(ids(&*store, scan.limit(999)).await?.len(), limits::PAGE_ROWS);
    }
    Ok(())
}
