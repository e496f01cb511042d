//! Records: each operation when its precondition holds and when it does not.

use std::collections::BTreeSet;

use super::prepared;
use crate::store::{Cell, CommitError, Entity, Op, Outcome, Scan, Store, Version};
use crate::testkit::dump::dump;
use crate::testkit::sample::{
    COUNTERS, ITEM, ITEMS, Item, add, adjust, append, cell, commit, count, create, create_plain,
    foreign_version, ids, item_of, key, put, refusal, replace, schema, version_of,
};
use crate::testkit::{Checked, Harness, Stop, ensure, ensure_eq};

/// Makes sure that the batch is refused as stale at this operation.
async fn stale_at(store: &dyn Store, op: usize, ops: Vec<Op>) -> Checked {
    let wanted = ops.get(op).map(|op| op.key().clone());
    match refusal(store, ops).await? {
        CommitError::Stale { op: found, key } => {
            ensure_eq!(found, op);
            ensure_eq!(Some(key), wanted);
            Ok(())
        }
        other => Err(Stop::broken(format_args!("not stale: {other}"))),
    }
}

pub(super) async fn a_created_record_is_read_back_with_its_version(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let item = Item::new("a").owner("o").note("hello");
    let receipt = commit(&*store, vec![create(&item)?]).await?;
    let Some(Cell::Record { version, body }) = cell(&*store, &key(&ITEMS, "a")?).await? else {
        return Err(Stop::broken("the record is not there"));
    };
    ensure_eq!(receipt.outcomes, [Outcome::Written(version)]);
    ensure_eq!(&body, item.draft()?.body());
    Ok(())
}

pub(super) async fn a_taken_key_is_not_created_again(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let version = put(&*store, &Item::new("a").note("first")).await?;
    stale_at(&*store, 0, vec![create(&Item::new("a").note("second"))?]).await?;
    ensure_eq!(item_of(&*store, "a").await?, Some(Item::new("a").note("first")));
    ensure_eq!(version_of(&*store, "a").await?, version);
    Ok(())
}

pub(super) async fn a_replaced_record_has_the_new_body_and_a_new_version(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let first = put(&*store, &Item::new("a").note("first")).await?;
    let receipt = commit(&*store, vec![replace(first, &Item::new("a").note("second"))?]).await?;
    let second = version_of(&*store, "a").await?;
    ensure!(first != second, "the version did not change");
    ensure_eq!(receipt.outcomes, [Outcome::Written(second)]);
    ensure_eq!(item_of(&*store, "a").await?, Some(Item::new("a").note("second")));
    // The same body once more is a new version too: whoever read the record between must notice.
    commit(&*store, vec![replace(second, &Item::new("a").note("second"))?]).await?;
    ensure!(version_of(&*store, "a").await? != second, "the version did not change");
    Ok(())
}

pub(super) async fn a_replacement_of_another_version_is_stale(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let first = put(&*store, &Item::new("a").note("first")).await?;
    commit(&*store, vec![replace(first, &Item::new("a").note("second"))?]).await?;
    stale_at(&*store, 0, vec![replace(first, &Item::new("a").note("third"))?]).await?;
    stale_at(&*store, 0, vec![replace(foreign_version()?, &Item::new("a").note("third"))?]).await?;
    ensure_eq!(item_of(&*store, "a").await?, Some(Item::new("a").note("second")));
    Ok(())
}

pub(super) async fn a_replacement_of_an_absent_record_is_stale(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let version = put(&*store, &Item::new("a")).await?;
    stale_at(&*store, 0, vec![replace(version, &Item::new("b"))?]).await?;
    ensure_eq!(item_of(&*store, "b").await?, None);
    Ok(())
}

pub(super) async fn a_removed_record_is_gone(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let expect = put(&*store, &Item::new("a")).await?;
    put(&*store, &Item::new("b")).await?;
    let receipt = commit(&*store, vec![Op::Remove { key: key(&ITEMS, "a")?, expect }]).await?;
    ensure_eq!(receipt.outcomes, [Outcome::Removed]);
    ensure_eq!(item_of(&*store, "a").await?, None);
    ensure_eq!(ids(&*store, Scan::ids(&ITEMS)).await?, ["b"]);
    Ok(())
}

pub(super) async fn a_removal_of_another_version_or_of_nothing_is_stale(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let first = put(&*store, &Item::new("a")).await?;
    commit(&*store, vec![replace(first, &Item::new("a").note("second"))?]).await?;
    stale_at(&*store, 0, vec![Op::Remove { key: key(&ITEMS, "a")?, expect: first }]).await?;
    stale_at(&*store, 0, vec![Op::Remove { key: key(&ITEMS, "b")?, expect: first }]).await?;
    ensure_eq!(item_of(&*store, "a").await?, Some(Item::new("a").note("second")));
    Ok(())
}

pub(super) async fn a_guard_holds_and_changes_nothing(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let expect = put(&*store, &Item::new("a")).await?;
    let guard = Op::Require { key: key(&ITEMS, "a")?, expect };
    let receipt = commit(&*store, vec![guard.clone()]).await?;
    ensure_eq!(receipt.outcomes, [Outcome::Held]);
    ensure_eq!(version_of(&*store, "a").await?, expect);
    let receipt = commit(&*store, vec![guard, create(&Item::new("b"))?]).await?;
    ensure_eq!(receipt.outcomes.first(), Some(&Outcome::Held));
    ensure_eq!(version_of(&*store, "a").await?, expect);
    ensure_eq!(item_of(&*store, "b").await?, Some(Item::new("b")));
    Ok(())
}

pub(super) async fn a_guard_on_another_version_or_on_nothing_is_stale(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let first = put(&*store, &Item::new("a")).await?;
    let second = commit(&*store, vec![replace(first, &Item::new("a").note("second"))?]).await?;
    let Some(Outcome::Written(second)) = second.outcomes.first().cloned() else {
        return Err(Stop::broken("a replacement did not write"));
    };
    let guard = |id: &str, expect| Ok::<_, Stop>(Op::Require { key: key(&ITEMS, id)?, expect });
    stale_at(&*store, 1, vec![create(&Item::new("c"))?, guard("a", first)?]).await?;
    stale_at(&*store, 0, vec![guard("b", first)?, create(&Item::new("c"))?]).await?;
    ensure_eq!(item_of(&*store, "c").await?, None);
    commit(&*store, vec![Op::Remove { key: key(&ITEMS, "a")?, expect: second }]).await?;
    stale_at(&*store, 0, vec![guard("a", second)?]).await
}

pub(super) async fn a_removed_key_can_be_created_again_and_no_version_comes_back(
    harness: &dyn Harness,
) -> Checked {
    let store = prepared(harness).await?;
    let mut seen: Vec<Version> = Vec::new();
    for _ in 0..12 {
        let created = put(&*store, &Item::new("a")).await?;
        ensure!(!seen.contains(&created), "a version was given twice");
        for old in &seen {
            stale_at(&*store, 0, vec![replace(*old, &Item::new("a").note("late"))?]).await?;
        }
        seen.push(created);
        commit(&*store, vec![Op::Remove { key: key(&ITEMS, "a")?, expect: created }]).await?;
    }
    Ok(())
}

pub(super) async fn a_batch_whose_last_operation_fails_leaves_nothing(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let kept = put(&*store, &Item::new("kept").owner("o")).await?;
    let gone = put(&*store, &Item::new("gone").owner("o")).await?;
    commit(&*store, vec![add("c", 5)?, append("s", "1")?]).await?;
    let before = dump(&*store, &schema()?).await?;
    let batch = vec![
        create(&Item::new("new").owner("o"))?,
        replace(kept, &Item::new("kept").owner("p"))?,
        Op::Remove { key: key(&ITEMS, "gone")?, expect: gone },
        add("c", 7)?,
        add("d", 1)?,
        append("s", "2")?,
        append("t", "1")?,
        create_plain("plain", "{}")?,
        create(&Item::new("gone-not").owner("o"))?,
    ];
    let mut by_a_stale_guard = batch.clone();
    by_a_stale_guard.push(Op::Require { key: key(&ITEM, "nothing")?, expect: kept });
    stale_at(&*store, batch.len(), by_a_stale_guard).await?;
    let mut by_a_floor = batch.clone();
    by_a_floor.push(adjust("e", -1, 0)?);
    match refusal(&*store, by_a_floor).await? {
        CommitError::Floor { op, .. } => ensure_eq!(op, batch.len()),
        other => return Err(Stop::broken(format_args!("not refused by the floor: {other}"))),
    }
    let after = dump(&*store, &schema()?).await?;
    ensure_eq!(after, before);
    ensure_eq!(version_of(&*store, "kept").await?, kept);
    Ok(())
}

pub(super) async fn the_first_failing_operation_is_named(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    put(&*store, &Item::new("taken")).await?;
    put(&*store, &Item::new("taken-too")).await?;
    stale_at(
        &*store,
        1,
        vec![
            create(&Item::new("free"))?,
            create(&Item::new("taken-too"))?,
            adjust("c", -1, 0)?,
            create(&Item::new("taken"))?,
        ],
    )
    .await?;
    let floor_first = vec![
        create(&Item::new("free"))?,
        adjust("c", -1, 0)?,
        create(&Item::new("taken"))?,
        Op::Require { key: key(&ITEM, "nothing")?, expect: foreign_version()? },
    ];
    match refusal(&*store, floor_first).await? {
        CommitError::Floor { op: 1, key: found, .. } => ensure_eq!(found, key(&COUNTERS, "c")?),
        other => return Err(Stop::broken(format_args!("not the floor at 1: {other}"))),
    }
    stale_at(
        &*store,
        0,
        vec![
            Op::Require { key: key(&ITEM, "nothing")?, expect: foreign_version()? },
            create(&Item::new("taken"))?,
        ],
    )
    .await
}

pub(super) async fn outcomes_stand_in_the_order_of_the_batch(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let held = put(&*store, &Item::new("held")).await?;
    let old = put(&*store, &Item::new("old")).await?;
    let moved = put(&*store, &Item::new("moved")).await?;
    let receipt = commit(
        &*store,
        vec![
            append("s", "one")?,
            Op::Remove { key: key(&ITEMS, "old")?, expect: old },
            adjust("c", 3, 0)?,
            create(&Item::new("z"))?,
            Op::Require { key: key(&ITEMS, "held")?, expect: held },
            append("s", "two")?,
            replace(moved, &Item::new("moved").note("new"))?,
            create(&Item::new("a"))?,
        ],
    )
    .await?;
    let written = [version_of(&*store, "z").await?, version_of(&*store, "moved").await?];
    let a = version_of(&*store, "a").await?;
    let [
        Outcome::Appended { position: 1, .. },
        Outcome::Removed,
        Outcome::Adjusted(three),
        Outcome::Written(z),
        Outcome::Held,
        Outcome::Appended { position: 2, .. },
        Outcome::Written(moved),
        Outcome::Written(found_a),
    ] = receipt.outcomes.as_slice()
    else {
        return Err(Stop::broken(format_args!("the outcomes are {:?}", receipt.outcomes)));
    };
    ensure_eq!(three.get(), 3);
    ensure_eq!([*z, *moved], written);
    ensure_eq!(*found_a, a);
    Ok(())
}

pub(super) async fn a_refused_batch_does_not_spoil_the_next(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    put(&*store, &Item::new("taken")).await?;
    for round in 0..4 {
        let id = format!("n{round}");
        stale_at(&*store, 1, vec![create(&Item::new(&*id))?, create(&Item::new("taken"))?]).await?;
        put(&*store, &Item::new(&*id)).await?;
    }
    ensure_eq!(count(&*store, "c").await?, None);
    Ok(())
}

pub(super) async fn records_of_one_batch_are_found_by_their_own_versions(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let names = ["a", "b", "c"];
    let ops = names.iter().map(|id| create(&Item::new(*id))).collect::<Result<Vec<_>, _>>()?;
    let receipt = commit(&*store, ops).await?;
    let mut again = Vec::new();
    for (id, outcome) in names.iter().zip(&receipt.outcomes) {
        let Outcome::Written(expect) = outcome else {
            return Err(Stop::broken(format_args!("creating gives {outcome:?}")));
        };
        ensure_eq!(version_of(&*store, id).await?, *expect);
        again.push(replace(*expect, &Item::new(*id).note("again"))?);
    }
    commit(&*store, again).await?;
    let notes: BTreeSet<Option<String>> = [
        item_of(&*store, "a").await?.map(|item| item.note),
        item_of(&*store, "b").await?.map(|item| item.note),
        item_of(&*store, "c").await?.map(|item| item.note),
    ]
    .into();
    ensure_eq!(notes, BTreeSet::from([Some("again".to_owned())]));
    Ok(())
}
