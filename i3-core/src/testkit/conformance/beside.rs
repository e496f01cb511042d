//! Readers beside writers, and two handles over one store.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{bank, prepared};
use crate::store::{Batch, Cell, CommitError, DynStore, Row, Scan};
use crate::testkit::dump::{entries, index_check};
use crate::testkit::sample::{
    ITEMS, Item, STREAMS, add, append, cell, commit, count, create, item_of, key, put, replace, row_id,
    version_of,
};
use crate::testkit::trace::rush;
use crate::testkit::{Checked, Harness, Run, Stop, ensure, ensure_eq, join_all};

const ROUNDS: i64 = 40;

/// Gives other callers their turn.
async fn give_way() {
    let mut given = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut given, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

async fn all(runs: Vec<Run<'_>>) -> Checked {
    join_all(runs).await.into_iter().collect()
}

/// Records that stand still, between others that move in the index at every commit.
pub(super) async fn a_scan_beside_commits_shows_whole_records_in_order(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let mut items = Vec::new();
    for n in 0..20 {
        items.push(create(&Item::new(format!("still{n:02}")).owner("o").at(n * 10))?);
    }
    for n in 0..3 {
        items.push(create(&Item::new(format!("mover{n}")).owner("o").at(n).note(n.to_string()))?);
    }
    commit(&*store, items).await?;
    let store = &store;
    let mover = |n: i64| -> Run<'_> {
        Box::pin(async move {
            let id = format!("mover{n}");
            for round in 0..ROUNDS {
                let at = (round * 37 + n * 50) % 200;
                let item = Item::new(id.as_str()).owner("o").at(at).note(at.to_string());
                let expect = version_of(&**store, &id).await?;
                commit(&**store, vec![replace(expect, &item)?]).await?;
            }
            Ok(())
        })
    };
    let reader = || -> Run<'_> {
        Box::pin(async move {
            for _ in 0..ROUNDS / 2 {
                scan_once(store).await?;
                give_way().await;
            }
            Ok(())
        })
    };
    all(vec![mover(0), reader(), mover(1), reader(), mover(2)]).await?;
    index_check::<Item>(&**store).await
}

async fn scan_once(store: &DynStore) -> Checked {
    let mut scan = Scan::index(&ITEMS, "by_owner_at", vec!["o".into()])?.limit(4);
    let mut still = 0;
    loop {
        let page = store.scan(&scan).await?;
        let mut before = None;
        for row in &page.rows {
            let Row::Record { body, .. } = row else {
                return Err(Stop::broken(format_args!("a row of `items` is {row:?}")));
            };
            let item: Item = serde_json::from_str(body.as_str())?;
            let place = (item.at, item.id.clone());
            ensure!(before.as_ref() < Some(&place), "{place:?} follows {before:?} in one page");
            let whole = item.id.starts_with("still") || item.at.map(|at| at.to_string()) == Some(item.note);
            ensure!(whole, "`{}` is half of one record and half of another", item.id);
            still += usize::from(item.id.starts_with("still"));
            before = Some(place);
        }
        let Some(next) = page.next else { break };
        scan = scan.after(next)?;
    }
    ensure_eq!(still, 20);
    Ok(())
}

pub(super) async fn a_read_beside_commits_never_goes_back(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    put(&*store, &Item::new("x").order(0)).await?;
    let store = &store;
    let written = &AtomicBool::new(false);
    let writer: Run<'_> = Box::pin(async move {
        let all = write_rounds(store).await;
        written.store(true, Ordering::Relaxed);
        all
    });
    let reader = || -> Run<'_> {
        Box::pin(async move {
            let mut last = (0, 0, 0);
            while !written.load(Ordering::Relaxed) {
                let record = item_of(&**store, "x").await?.and_then(|item| item.order).unwrap_or(0);
                let counter = count(&**store, "n").await?.unwrap_or(0);
                let length = match cell(&**store, &key(&STREAMS, "s")?).await? {
                    Some(Cell::Stream { position, .. }) => position,
                    _ => 0,
                };
                ensure!(
                    record >= last.0 && counter >= last.1 && length >= last.2,
                    "after {last:?} came {record}, {counter}, {length}"
                );
                last = (record, counter, length);
                give_way().await;
            }
            Ok(())
        })
    };
    all(vec![writer, reader(), reader()]).await
}

pub(super) async fn buyers_in_a_rush_through_two_handles_get_one_order_for_each_key(
    harness: &dyn Harness,
) -> Checked {
    let first = harness.open().await?;
    rush(&[first.clone(), another(harness).await?]).await
}

async fn another(harness: &dyn Harness) -> Result<DynStore, Stop> {
    let second = harness.second().await?;
    second.ok_or(Stop::NotApplicable("only one handle at a time can have the store open"))
}

/// Changes a record, a counter and a stream in each batch, and looks for what it did.
async fn write_rounds(store: &DynStore) -> Checked {
    for round in 1..=ROUNDS {
        let expect = version_of(&**store, "x").await?;
        let record = replace(expect, &Item::new("x").order(round))?;
        commit(&**store, vec![record, add("n", 1)?, append("s", "entry")?]).await?;
        // What returned is seen by whoever asks now.
        ensure_eq!(count(&**store, "n").await?, Some(round));
    }
    Ok(())
}

/// Two handles over one store, prepared.
async fn two(harness: &dyn Harness) -> Result<[DynStore; 2], Stop> {
    let first = prepared(harness).await?;
    let second = another(harness).await?;
    second.prepare(&crate::testkit::sample::schema()?).await?;
    Ok([first, second])
}

pub(super) async fn what_one_handle_commits_the_other_sees(harness: &dyn Harness) -> Checked {
    let [first, second] = two(harness).await?;
    for round in 0..5 {
        for (writer, reader) in [(&first, &second), (&second, &first)] {
            let item = Item::new("x").owner(format!("o{round}")).order(round);
            let op = match item_of(&**reader, "x").await? {
                Some(_) => replace(version_of(&**reader, "x").await?, &item)?,
                None => create(&item)?,
            };
            // Decided by what the one handle read, committed by the other.
            commit(&**writer, vec![op, add("n", 1)?, append("s", round.to_string())?]).await?;
            ensure_eq!(item_of(&**reader, "x").await?, Some(item));
            let found =
                reader.scan(&Scan::index(&ITEMS, "by_owner", vec![format!("o{round}").into()])?).await?;
            ensure_eq!(found.rows.iter().map(row_id).collect::<Vec<_>>(), ["x"]);
        }
    }
    ensure_eq!(count(&*first, "n").await?, Some(10));
    ensure_eq!(entries(&*second, &key(&STREAMS, "s")?).await?.len(), 10);
    Ok(())
}

pub(super) async fn of_two_handles_only_one_wins(harness: &dyn Harness) -> Checked {
    let [first, second] = two(harness).await?;
    put(&*first, &Item::new("x")).await?;
    for round in 0..20 {
        let version = version_of(&*first, "x").await?;
        let attempt = |store: DynStore, name: &'static str| -> Run<'static, Result<bool, Stop>> {
            Box::pin(async move {
                let batch = vec![
                    create(&Item::new(format!("prize{round}")).note(name))?,
                    replace(version, &Item::new("x").note(name))?,
                ];
                match store.commit(&Batch::of(batch)?).await {
                    Ok(_) => Ok(true),
                    Err(CommitError::Stale { .. }) => Ok(false),
                    Err(other) => Err(other.into()),
                }
            })
        };
        let won = join_all(vec![attempt(first.clone(), "first"), attempt(second.clone(), "second")]).await;
        let won = won.into_iter().collect::<Result<Vec<_>, Stop>>()?;
        ensure!(won == [true, false] || won == [false, true], "in round {round} the winners are {won:?}");
        let winner = if won == [true, false] { "first" } else { "second" };
        for store in [&first, &second] {
            let kept = item_of(&**store, &format!("prize{round}")).await?;
            ensure_eq!(kept.map(|item| item.note).as_deref(), Some(winner));
        }
    }
    index_check::<Item>(&*second).await
}

pub(super) async fn payments_through_two_handles_have_one_order(harness: &dyn Harness) -> Checked {
    bank::payments(&two(harness).await?).await
}
