//! Reads of several keys at once.

use super::prepared;
use crate::store::{Cell, limits};
use crate::testkit::sample::{
    COUNTERS, ITEM, ITEMS, Item, STREAMS, add, append, commit, create, create_plain, key, version_of,
};
use crate::testkit::{Checked, Harness, Stop, ensure, ensure_eq};

pub(super) async fn cells_come_in_the_order_asked_with_absent_and_repeated_keys(
    harness: &dyn Harness,
) -> Checked {
    let store = prepared(harness).await?;
    commit(
        &*store,
        vec![create(&Item::new("b"))?, create(&Item::new("a"))?, add("n", 4)?, append("s", "x")?],
    )
    .await?;
    let (a, b) = (version_of(&*store, "a").await?, version_of(&*store, "b").await?);
    let keys = [
        key(&STREAMS, "s")?,
        key(&ITEMS, "b")?,
        key(&ITEMS, "zzz")?,
        key(&COUNTERS, "n")?,
        key(&ITEMS, "a")?,
        key(&ITEMS, "b")?,
        key(&COUNTERS, "absent")?,
        key(&STREAMS, "absent")?,
    ];
    let cells = store.read(&keys).await?;
    let [
        Some(Cell::Stream { position: 1, .. }),
        Some(Cell::Record { version: first_b, body }),
        None,
        Some(Cell::Counter(four)),
        Some(Cell::Record { version: found_a, .. }),
        Some(Cell::Record { version: second_b, body: again }),
        None,
        None,
    ] = cells.as_slice()
    else {
        return Err(Stop::broken(format_args!("the cells are {cells:?}")));
    };
    ensure_eq!([*first_b, *second_b, *found_a], [b, b, a]);
    ensure_eq!(four.get(), 4);
    ensure_eq!(body.as_str(), again.as_str());
    ensure!(body.as_str().contains("\"id\":\"b\""), "the body is another record's: {}", body.as_str());
    Ok(())
}

pub(super) async fn reading_no_keys_gives_no_cells(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    ensure_eq!(store.read(&[]).await?, []);
    Ok(())
}

pub(super) async fn as_many_keys_as_allowed_are_read_at_once(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let made =
        (0..limits::READ_KEYS).step_by(2).map(|place| create_plain(&format!("k{place}"), format!("{place}")));
    commit(&*store, made.collect::<Result<Vec<_>, Stop>>()?).await?;
    let keys = (0..limits::READ_KEYS).map(|place| key(&ITEM, &format!("k{place}")));
    let cells = store.read(&keys.collect::<Result<Vec<_>, Stop>>()?).await?;
    ensure_eq!(cells.len(), limits::READ_KEYS);
    for (place, cell) in cells.iter().enumerate() {
        match cell {
            Some(Cell::Record { body, .. }) if place % 2 == 0 => ensure_eq!(body.as_str(), place.to_string()),
            None if place % 2 == 1 => {}
            other => return Err(Stop::broken(format_args!("at {place} is {other:?}"))),
        }
    }
    Ok(())
}

pub(super) async fn the_same_id_in_two_collections_is_two_things(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    commit(&*store, vec![create(&Item::new("x"))?, add("x", 1)?]).await?;
    ensure_eq!(store.read(&[key(&ITEM, "x")?, key(&STREAMS, "x")?]).await?, [None, None]);
    commit(&*store, vec![create_plain("x", "plain")?, append("x", "entry")?]).await?;
    let cells = store.read(&[key(&ITEM, "x")?, key(&ITEMS, "x")?, key(&COUNTERS, "x")?]).await?;
    let [
        Some(Cell::Record { body: plain, .. }),
        Some(Cell::Record { body: full, .. }),
        Some(Cell::Counter(one)),
    ] = cells.as_slice()
    else {
        return Err(Stop::broken(format_args!("the cells are {cells:?}")));
    };
    ensure_eq!(plain.as_str(), "plain");
    ensure!(full.as_str() != "plain", "one record took the other's place");
    ensure_eq!(one.get(), 1);
    Ok(())
}
