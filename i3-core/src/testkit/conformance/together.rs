//! Many callers at once. They are driven together in one task, so that their commits overlap on any
//! runtime; how they are interleaved is up to the backend.

use super::prepared;
use crate::store::{Batch, CommitError, DynStore, Outcome};
use crate::testkit::dump::{entries, index_check};
use crate::testkit::sample::{
    Item, STREAMS, add, adjust, append, commit, count, create, item_of, key, put, replace, version_of,
};
use crate::testkit::{Checked, Harness, Run, Stop, ensure, ensure_eq, join_all};

const CALLERS: usize = 24;

/// What became of a batch among others: applied, or overtaken, or too low.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Applied,
    Stale,
    Floor,
}

async fn try_commit(store: &DynStore, batch: &Batch) -> Result<Fate, Stop> {
    match store.commit(batch).await {
        Ok(_) => Ok(Fate::Applied),
        Err(CommitError::Stale { .. }) => Ok(Fate::Stale),
        Err(CommitError::Floor { .. }) => Ok(Fate::Floor),
        Err(other) => Err(other.into()),
    }
}

/// Runs one job for each of so many callers, all together.
async fn all<'a, T>(count: usize, job: impl Fn(usize) -> Run<'a, Result<T, Stop>>) -> Result<Vec<T>, Stop> {
    join_all((0..count).map(job).collect()).await.into_iter().collect()
}

pub(super) async fn one_of_many_creates_wins(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let store = &store;
    for round in 0..6 {
        let fates = all(CALLERS, |caller| {
            Box::pin(async move {
                let item = Item::new(format!("prize{round}")).note(caller.to_string());
                let won = add(&format!("wins-of-{caller}"), 1)?;
                try_commit(store, &Batch::of(vec![won, create(&item)?])?).await
            })
        })
        .await?;
        let winners: Vec<usize> =
            (0..).zip(&fates).filter(|(_, fate)| **fate == Fate::Applied).map(|(n, _)| n).collect();
        let [winner] = winners.as_slice() else {
            return Err(Stop::broken(format_args!("the winners are {winners:?}")));
        };
        ensure_eq!(fates.iter().filter(|fate| **fate == Fate::Stale).count(), CALLERS - 1);
        let kept = item_of(&**store, &format!("prize{round}")).await?;
        ensure_eq!(kept.map(|item| item.note), Some(winner.to_string()));
    }
    let mut wins = 0;
    for caller in 0..CALLERS {
        wins += count(&**store, &format!("wins-of-{caller}")).await?.unwrap_or(0);
    }
    ensure_eq!(wins, 6);
    Ok(())
}

pub(super) async fn a_counter_gives_what_it_has_and_no_more(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    commit(&*store, vec![add("stock", 50)?]).await?;
    let store = &store;
    let fates = all(CALLERS, |caller| {
        Box::pin(async move {
            let mut taken = 0_i64;
            for _ in 0..5 {
                let batch = Batch::of(vec![add(&format!("taken-{caller}"), 1)?, adjust("stock", -1, 0)?])?;
                match try_commit(store, &batch).await? {
                    Fate::Applied => taken += 1,
                    Fate::Floor => {}
                    Fate::Stale => return Err(Stop::broken("a counter is never stale")),
                }
            }
            ensure_eq!(count(&**store, &format!("taken-{caller}")).await?.unwrap_or(0), taken);
            Ok(taken)
        })
    })
    .await?;
    ensure_eq!(fates.iter().sum::<i64>(), 50);
    ensure_eq!(count(&**store, "stock").await?, Some(0));
    Ok(())
}

pub(super) async fn a_stream_stays_dense_under_many_writers(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let store = &store;
    let receipts = all(CALLERS, |caller| {
        Box::pin(async move {
            let mut placed = Vec::new();
            for round in 0..4 {
                let text = |part: usize| format!("{caller}/{round}/{part}");
                let batch = vec![append("log", text(0))?, append("log", text(1))?, append("log", text(2))?];
                let receipt = commit(&**store, batch).await?;
                let mut before = None;
                for (part, outcome) in receipt.outcomes.iter().enumerate() {
                    let Outcome::Appended { position, .. } = outcome else {
                        return Err(Stop::broken(format_args!("appending gives {outcome:?}")));
                    };
                    ensure!(
                        before.is_none_or(|before| before + 1 == *position),
                        "another batch came between the entries of one"
                    );
                    before = Some(*position);
                    placed.push((*position, text(part)));
                }
            }
            Ok(placed)
        })
    })
    .await?;
    let mut wanted: Vec<(u64, String)> = receipts.into_iter().flatten().collect();
    wanted.sort();
    let found: Vec<(u64, String)> =
        entries(&**store, &key(&STREAMS, "log")?).await?.into_iter().map(|(n, text, _)| (n, text)).collect();
    ensure_eq!(found, wanted);
    Ok(())
}

pub(super) async fn no_update_is_lost(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    for id in ["x", "y"] {
        put(&*store, &Item::new(id).order(0).owner("o")).await?;
    }
    let store = &store;
    all(8, |caller| {
        Box::pin(async move {
            let id = if caller % 2 == 0 { "x" } else { "y" };
            for _ in 0..5 {
                loop {
                    let version = version_of(&**store, id).await?;
                    let Some(item) = item_of(&**store, id).await? else {
                        return Err(Stop::broken("the record is gone"));
                    };
                    let more = item.order.unwrap_or(0) + 1;
                    // If the record changed between the two reads, the older version is stale.
                    match try_commit(store, &Batch::of(vec![replace(version, &item.order(more))?])?).await? {
                        Fate::Applied => break,
                        Fate::Stale => {}
                        Fate::Floor => return Err(Stop::broken("a record has no floor")),
                    }
                }
            }
            Ok(())
        })
    })
    .await?;
    for id in ["x", "y"] {
        ensure_eq!(item_of(&**store, id).await?.and_then(|item| item.order), Some(20));
    }
    index_check::<Item>(&**store).await
}

pub(super) async fn refused_batches_do_not_touch_their_neighbours(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    put(&*store, &Item::new("taken")).await?;
    let store = &store;
    let fates = all(CALLERS * 2, |caller| {
        Box::pin(async move {
            let good = caller % 2 == 0;
            let mut batch = vec![
                create(&Item::new(format!("i{caller}")).owner("o"))?,
                add("left", 3)?,
                add("right", -3)?,
                append("log", caller.to_string())?,
            ];
            if !good {
                batch.push(if caller % 4 == 1 {
                    create(&Item::new("taken"))?
                } else {
                    adjust("empty", -1, 0)?
                });
            }
            Ok((good, try_commit(store, &Batch::of(batch)?).await?))
        })
    })
    .await?;
    ensure!(
        fates.iter().all(|(good, fate)| *good == (*fate == Fate::Applied)),
        "of good and bad batches became {fates:?}"
    );
    let applied = i64::try_from(CALLERS)?;
    ensure_eq!(count(&**store, "left").await?, Some(3 * applied));
    ensure_eq!(count(&**store, "right").await?, Some(-3 * applied));
    ensure_eq!(entries(&**store, &key(&STREAMS, "log")?).await?.len(), CALLERS);
    index_check::<Item>(&**store).await
}

pub(super) async fn buyers_in_a_rush_get_one_order_for_each_key_and_the_books_balance(
    harness: &dyn Harness,
) -> Checked {
    let store = harness.open().await?;
    crate::testkit::trace::rush(&[store]).await
}
