//! Streams: dense, linked, in order.

use super::prepared;
use crate::store::{Cell, Cursor, Digest, Outcome, Row, Scan};
use crate::testkit::dump::entries;
use crate::testkit::sample::{STREAMS, adjust, append, cell, commit, ids, key, refusal, rows};
use crate::testkit::{Checked, Harness, Stop, ensure, ensure_eq};

pub(super) async fn entries_are_dense_and_linked(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let stream = key(&STREAMS, "s")?;
    ensure_eq!(cell(&*store, &stream).await?, None);
    ensure_eq!(entries(&*store, &stream).await?, []);
    let mut before = Digest::START;
    for position in 1..=5_u64 {
        let text = format!("entry {position}");
        let receipt = commit(&*store, vec![append("s", &*text)?]).await?;
        let link = Digest::link(&before, position, &text);
        ensure_eq!(receipt.outcomes, [Outcome::Appended { position, link }]);
        ensure_eq!(cell(&*store, &stream).await?, Some(Cell::Stream { position, link }));
        before = link;
    }
    let texts: Vec<String> = entries(&*store, &stream).await?.into_iter().map(|(_, text, _)| text).collect();
    ensure_eq!(texts, ["entry 1", "entry 2", "entry 3", "entry 4", "entry 5"]);
    Ok(())
}

pub(super) async fn several_entries_of_one_batch_follow_each_other(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    commit(&*store, vec![append("s", "1")?]).await?;
    let batch = vec![
        append("s", "2")?,
        append("other", "1")?,
        append("s", "3")?,
        append("other", "2")?,
        append("s", "4")?,
    ];
    let receipt = commit(&*store, batch).await?;
    let positions: Vec<Option<u64>> = receipt
        .outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Appended { position, .. } => Some(*position),
            _ => None,
        })
        .collect();
    ensure_eq!(positions, [Some(2), Some(1), Some(3), Some(2), Some(4)]);
    for (stream, count) in [("s", 4), ("other", 2)] {
        let found = entries(&*store, &key(&STREAMS, stream)?).await?;
        ensure_eq!(found.len(), count);
        for (position, text, _) in &found {
            ensure_eq!(*text, position.to_string());
        }
    }
    let links = entries(&*store, &key(&STREAMS, "s")?).await?.into_iter().map(|(.., link)| link);
    let from_receipt: Vec<Digest> = receipt
        .outcomes
        .iter()
        .step_by(2)
        .filter_map(|outcome| match outcome {
            Outcome::Appended { link, .. } => Some(*link),
            _ => None,
        })
        .collect();
    ensure_eq!(links.skip(1).collect::<Vec<_>>(), from_receipt);
    Ok(())
}

pub(super) async fn streams_do_not_mix(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    // Ids that contain or start one another.
    for (round, id) in ["a", "a/1", "a1", "A", "a", "a/1"].iter().enumerate() {
        commit(&*store, vec![append(id, format!("{round}"))?]).await?;
    }
    for (id, wanted) in [("a", vec!["0", "4"]), ("a/1", vec!["1", "5"]), ("a1", vec!["2"]), ("A", vec!["3"])]
    {
        let texts: Vec<String> =
            entries(&*store, &key(&STREAMS, id)?).await?.into_iter().map(|(_, text, _)| text).collect();
        ensure_eq!(texts, wanted);
    }
    Ok(())
}

pub(super) async fn a_refused_batch_leaves_no_gap_in_a_stream(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    commit(&*store, vec![append("s", "1")?]).await?;
    refusal(&*store, vec![append("s", "never")?, append("s", "never")?, adjust("c", -1, 0)?]).await?;
    commit(&*store, vec![append("s", "2")?]).await?;
    let texts: Vec<String> =
        entries(&*store, &key(&STREAMS, "s")?).await?.into_iter().map(|(_, text, _)| text).collect();
    ensure_eq!(texts, ["1", "2"]);
    Ok(())
}

pub(super) async fn entries_are_paged_in_both_directions(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let stream = key(&STREAMS, "s")?;
    // More than nine and more than 255, where the text of numbers or a single byte would misorder.
    for round in 0..3 {
        let batch = (0..100).map(|place| append("s", format!("{}", round * 100 + place + 1)));
        commit(&*store, batch.collect::<Result<Vec<_>, Stop>>()?).await?;
    }
    let mut wanted: Vec<String> = (1..=300).map(|position: u64| position.to_string()).collect();
    for limit in [7, 100, 300, 1_000] {
        ensure_eq!(ids(&*store, Scan::entries(stream.clone())?.limit(limit)).await?, wanted);
    }
    wanted.reverse();
    for limit in [7, 150] {
        ensure_eq!(ids(&*store, Scan::entries(stream.clone())?.backward().limit(limit)).await?, wanted);
    }
    let page = store.scan(&Scan::entries(stream)?.after(Cursor::after_position(298))?).await?;
    ensure_eq!(page.rows.len(), 2);
    ensure_eq!(page.next, None);
    Ok(())
}

pub(super) async fn a_cursor_beyond_the_end_gives_an_empty_page(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let stream = key(&STREAMS, "s")?;
    commit(&*store, vec![append("s", "1")?, append("s", "2")?]).await?;
    for position in [2, 3, u64::MAX] {
        let page =
            store.scan(&Scan::entries(stream.clone())?.after(Cursor::after_position(position))?).await?;
        ensure!(page.rows.is_empty() && page.next.is_none(), "entries after {position}: {page:?}");
    }
    let from_the_end = Scan::entries(stream.clone())?.backward().after(Cursor::after_position(u64::MAX))?;
    ensure_eq!(ids(&*store, from_the_end).await?, ["2", "1"]);
    let before_the_first = Scan::entries(stream)?.backward().after(Cursor::after_position(1))?;
    ensure_eq!(ids(&*store, before_the_first).await?, Vec::<String>::new());
    Ok(())
}

pub(super) async fn stream_ends_are_scanned_by_id(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    commit(&*store, vec![append("b1", "1")?, append("b2", "1")?, append("a", "1")?, append("b1", "2")?])
        .await?;
    ensure_eq!(ids(&*store, Scan::ids(&STREAMS).limit(2)).await?, ["a", "b1", "b2"]);
    ensure_eq!(ids(&*store, Scan::prefix(&STREAMS, "b").backward().limit(1)).await?, ["b2", "b1"]);
    let first = Digest::link(&Digest::START, 1, "1");
    let found = rows(&*store, Scan::prefix(&STREAMS, "b1")).await?;
    let wanted = Row::Stream { key: key(&STREAMS, "b1")?, position: 2, link: Digest::link(&first, 2, "2") };
    ensure_eq!(found, [wanted]);
    Ok(())
}
