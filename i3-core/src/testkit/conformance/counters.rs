//! Counters: floors and range.

use super::prepared;
use crate::store::{CommitError, Outcome, Row, Scan, Units};
use crate::testkit::sample::{COUNTERS, add, adjust, commit, count, create_plain, ids, key, refusal, rows};
use crate::testkit::{Checked, Harness, Stop, ensure_eq};

/// Makes sure that the refusal is by the floor, at the first operation, with this number.
fn by_floor(error: &CommitError, stands: i64) -> Checked {
    match error {
        CommitError::Floor { op: 0, now, .. } => {
            ensure_eq!(now.get(), stands);
            Ok(())
        }
        other => Err(Stop::broken(format_args!("not refused by the floor: {other}"))),
    }
}

pub(super) async fn an_untouched_counter_is_absent(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    ensure_eq!(count(&*store, "c").await?, None);
    commit(&*store, vec![add("c", 0)?]).await?;
    ensure_eq!(count(&*store, "c").await?, Some(0));
    ensure_eq!(count(&*store, "d").await?, None);
    Ok(())
}

pub(super) async fn a_first_adjustment_may_be_negative_down_to_its_floor(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    by_floor(&refusal(&*store, vec![adjust("c", -1, 0)?]).await?, 0)?;
    ensure_eq!(count(&*store, "c").await?, None);
    let receipt = commit(&*store, vec![adjust("c", -5, -5)?]).await?;
    ensure_eq!(receipt.outcomes, [Outcome::Adjusted(Units::new(-5)?)]);
    ensure_eq!(count(&*store, "c").await?, Some(-5));
    commit(&*store, vec![add("d", -7)?]).await?;
    ensure_eq!(count(&*store, "d").await?, Some(-7));
    Ok(())
}

pub(super) async fn a_fall_to_the_floor_is_allowed_and_below_it_refused(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    commit(&*store, vec![adjust("c", 10, 0)?]).await?;
    by_floor(&refusal(&*store, vec![adjust("c", -11, 0)?]).await?, 10)?;
    let receipt = commit(&*store, vec![adjust("c", -7, 3)?]).await?;
    ensure_eq!(receipt.outcomes, [Outcome::Adjusted(Units::new(3)?)]);
    by_floor(&refusal(&*store, vec![adjust("c", -1, 3)?]).await?, 3)?;
    ensure_eq!(count(&*store, "c").await?, Some(3));
    Ok(())
}

pub(super) async fn a_rise_is_never_refused_by_its_floor(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    commit(&*store, vec![add("c", -100)?]).await?;
    commit(&*store, vec![adjust("c", 1, 0)?]).await?;
    commit(&*store, vec![adjust("c", 0, 50)?]).await?;
    ensure_eq!(count(&*store, "c").await?, Some(-99));
    by_floor(&refusal(&*store, vec![adjust("c", -1, 0)?]).await?, -99)
}

pub(super) async fn a_counter_cannot_leave_its_range_in_either_direction(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let (greatest, least) = (Units::MAX.get(), Units::MIN.get());
    commit(&*store, vec![add("up", greatest)?, add("down", least)?]).await?;
    for (id, by, stands) in
        [("up", 1, greatest), ("up", greatest, greatest), ("down", -1, least), ("down", least, least)]
    {
        let batch = vec![create_plain("p", "{}")?, add(id, by)?];
        match refusal(&*store, batch).await? {
            CommitError::Range { op: 1, key: found, now } => {
                ensure_eq!(found, key(&COUNTERS, id)?);
                ensure_eq!(now.get(), stands);
            }
            other => return Err(Stop::broken(format_args!("not refused by the range: {other}"))),
        }
        ensure_eq!(count(&*store, id).await?, Some(stands));
    }
    // Range comes before floor: the sum cannot be compared with anything.
    match refusal(&*store, vec![adjust("down", -1, 0)?]).await? {
        CommitError::Range { op: 0, .. } => {}
        other => return Err(Stop::broken(format_args!("not refused by the range: {other}"))),
    }
    commit(&*store, vec![add("up", least)?, add("down", greatest)?]).await?;
    ensure_eq!(count(&*store, "up").await?, Some(0));
    ensure_eq!(count(&*store, "down").await?, Some(0));
    Ok(())
}

pub(super) async fn a_refused_adjustment_changes_nothing(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    commit(&*store, vec![adjust("a", 5, 0)?, adjust("b", 5, 0)?]).await?;
    match refusal(&*store, vec![adjust("a", -5, 0)?, adjust("b", 5, 0)?, adjust("c", -1, 0)?]).await? {
        CommitError::Floor { op: 2, now, .. } => ensure_eq!(now, Units::ZERO),
        other => return Err(Stop::broken(format_args!("not the floor at 2: {other}"))),
    }
    ensure_eq!(count(&*store, "a").await?, Some(5));
    ensure_eq!(count(&*store, "b").await?, Some(5));
    ensure_eq!(count(&*store, "c").await?, None);
    Ok(())
}

pub(super) async fn counters_are_scanned_by_id(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    commit(&*store, vec![add("b2", 2)?, add("a1", -1)?, add("b1", 0)?, add("c", 4)?]).await?;
    ensure_eq!(ids(&*store, Scan::ids(&COUNTERS).limit(1)).await?, ["a1", "b1", "b2", "c"]);
    ensure_eq!(ids(&*store, Scan::ids(&COUNTERS).backward().limit(3)).await?, ["c", "b2", "b1", "a1"]);
    let found = rows(&*store, Scan::prefix(&COUNTERS, "b")).await?;
    let wanted = [
        Row::Counter { key: key(&COUNTERS, "b1")?, units: Units::ZERO },
        Row::Counter { key: key(&COUNTERS, "b2")?, units: Units::new(2)? },
    ];
    ensure_eq!(found, wanted);
    Ok(())
}
