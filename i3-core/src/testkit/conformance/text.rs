//! Texts and integers at the edges.

use super::prepared;
use crate::store::{Cell, Scan, Store, Value};
use crate::testkit::dump::{entries, index_check};
use crate::testkit::sample::{
    ITEM, ITEMS, Item, STREAMS, append, cell, commit, create, create_plain, ids, key, put,
};
use crate::testkit::{Checked, Harness, Stop, ensure_eq};

async fn by_owner(store: &dyn Store, owner: &str) -> Result<Vec<String>, Stop> {
    ids(store, Scan::index(&ITEMS, "by_owner", vec![owner.into()])?).await
}

pub(super) async fn index_texts_are_in_byte_order(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let mut owners = vec![
        "",
        " ",
        "  ",
        "\u{1}",
        "\t",
        "!",
        "-",
        "0",
        "10",
        "9",
        "A",
        "AA",
        "B",
        "Z",
        "_",
        "a",
        "a ",
        "a!",
        "a\u{1}",
        "aa",
        "b",
        "z",
        "~",
        "\u{7f}",
        "\u{80}",
        "ä",
        "z\u{308}",
        "é",
        "e\u{301}",
        "ß",
        "ss",
        "ÿ",
        "ı",
        "Ω",
        "я",
        "あ",
        "\u{e000}",
        "\u{ffff}",
        "😀",
        "\u{10ffff}",
    ];
    // Created in an order that is neither wanted nor its reverse.
    let ops = owners
        .iter()
        .enumerate()
        .map(|(n, owner)| create(&Item::new(format!("i{:02}", n * 17 % 40)).owner(*owner)));
    commit(&*store, ops.collect::<Result<Vec<_>, Stop>>()?).await?;
    let unsorted = owners.clone();
    owners.sort_unstable();
    let wanted: Vec<String> = owners
        .iter()
        .filter_map(|owner| unsorted.iter().position(|other| other == owner))
        .map(|n| format!("i{:02}", n * 17 % 40))
        .collect();
    for limit in [3, 1_000] {
        ensure_eq!(ids(&*store, Scan::index(&ITEMS, "by_owner", Vec::new())?.limit(limit)).await?, wanted);
    }
    for owner in &owners {
        ensure_eq!(by_owner(&*store, owner).await?.len(), 1);
    }
    for (from, until) in [("a", "b"), ("", "a"), ("z", "\u{10ffff}"), ("ä", "😀")] {
        let scan =
            Scan::index(&ITEMS, "by_owner", Vec::new())?.range(Some(from.into()), Some(until.into()))?;
        let inside = owners.iter().filter(|owner| (from..until).contains(*owner)).count();
        ensure_eq!(ids(&*store, scan.clone()).await?.len(), inside);
        ensure_eq!(ids(&*store, scan.backward().limit(1)).await?.len(), inside);
    }
    index_check::<Item>(&*store).await
}

pub(super) async fn index_texts_that_differ_in_case_or_space_are_different(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let owners = ["ab", "AB", "Ab", "ab ", " ab", "áb", "a\u{301}b", "ab\u{200b}"];
    let ops = owners.iter().enumerate().map(|(n, owner)| create(&Item::new(format!("{n}")).owner(*owner)));
    commit(&*store, ops.collect::<Result<Vec<_>, Stop>>()?).await?;
    for (n, owner) in owners.iter().enumerate() {
        ensure_eq!(by_owner(&*store, owner).await?, [n.to_string()]);
    }
    Ok(())
}

pub(super) async fn an_empty_text_is_a_value(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    put(&*store, &Item::new("empty").owner("").at(1)).await?;
    put(&*store, &Item::new("missing").at(1)).await?;
    put(&*store, &Item::new("space").owner(" ").at(1)).await?;
    ensure_eq!(ids(&*store, Scan::index(&ITEMS, "by_owner", Vec::new())?).await?, ["empty", "space"]);
    ensure_eq!(by_owner(&*store, "").await?, ["empty"]);
    let both = Scan::index(&ITEMS, "by_owner_at", vec!["".into(), 1.into()])?;
    ensure_eq!(ids(&*store, both).await?, ["empty"]);
    Ok(())
}

pub(super) async fn quotes_and_wildcards_in_values_are_plain_text(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let owners = [
        "'",
        "''",
        "\"",
        "`",
        "\\",
        "\\\\",
        "%",
        "_",
        "a%",
        "a_",
        "ab",
        "*",
        "?",
        "; DROP TABLE items; --",
        "\\'",
        "$1",
        "?1",
        ":a",
        "@a",
        "{}",
        "[]",
        "null",
        "NULL",
        "\n",
        "\r\n",
    ];
    let ops = owners.iter().enumerate().map(|(n, owner)| create(&Item::new(format!("{n}")).owner(*owner)));
    commit(&*store, ops.collect::<Result<Vec<_>, Stop>>()?).await?;
    for (n, owner) in owners.iter().enumerate() {
        ensure_eq!(by_owner(&*store, owner).await?, [n.to_string()]);
    }
    let ids_like_these = ["'", "\"", "`", "\\", "%", ";--", "$1", "?1", ":a", "@a"];
    let ops = ids_like_these.iter().map(|id| create_plain(id, *id));
    commit(&*store, ops.collect::<Result<Vec<_>, Stop>>()?).await?;
    for id in ids_like_these {
        match cell(&*store, &key(&ITEM, id)?).await? {
            Some(Cell::Record { body, .. }) => ensure_eq!(body.as_str(), id),
            other => return Err(Stop::broken(format_args!("under `{id}` is {other:?}"))),
        }
    }
    Ok(())
}

pub(super) async fn bodies_come_back_byte_for_byte(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let bodies = [
        "",
        " ",
        "{\"b\":1,\"a\":2}",
        "{ \"spaced\" : 1.0, \"same\": 1, \"same\": 2 }",
        "12345678901234567890.10",
        "\"quotes ' and \\\" and \\\\ and \\u0000\"",
        "\"😀 é e\u{301} \u{10ffff}\"",
        "not JSON at all; '); --",
        "\u{1}\u{7f}\r\n\t",
    ];
    let ops = bodies.iter().enumerate().map(|(n, text)| create_plain(&format!("{n}"), *text));
    commit(&*store, ops.collect::<Result<Vec<_>, Stop>>()?).await?;
    for (n, text) in bodies.iter().enumerate() {
        commit(&*store, vec![append("s", *text)?]).await?;
        match cell(&*store, &key(&ITEM, &n.to_string())?).await? {
            Some(Cell::Record { body, .. }) => ensure_eq!(body.as_str(), *text),
            other => return Err(Stop::broken(format_args!("under `{n}` is {other:?}"))),
        }
    }
    let found = entries(&*store, &key(&STREAMS, "s")?).await?;
    let texts: Vec<String> = found.into_iter().map(|(_, text, _)| text).collect();
    ensure_eq!(texts, bodies);
    Ok(())
}

pub(super) async fn the_greatest_and_least_integers_are_ordered(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let numbers = [
        i64::MIN,
        i64::MIN + 1,
        -(1 << 53) - 1,
        -(1 << 53),
        -256,
        -1,
        0,
        1,
        255,
        1 << 53,
        (1 << 53) + 1,
        i64::MAX - 1,
        i64::MAX,
    ];
    let ops = numbers.iter().enumerate().rev().map(|(n, at)| create(&Item::new(format!("i{n:02}")).at(*at)));
    commit(&*store, ops.collect::<Result<Vec<_>, Stop>>()?).await?;
    let wanted: Vec<String> = (0..numbers.len()).map(|n| format!("i{n:02}")).collect();
    ensure_eq!(ids(&*store, Scan::index(&ITEMS, "by_at", Vec::new())?.limit(2)).await?, wanted);
    for (n, at) in numbers.iter().enumerate() {
        let exact = Scan::index(&ITEMS, "by_at", vec![Value::Int(*at)])?;
        ensure_eq!(ids(&*store, exact).await?, [format!("i{n:02}")]);
        let above = Scan::index(&ITEMS, "by_at", Vec::new())?.range(Some(Value::Int(*at)), None)?;
        ensure_eq!(ids(&*store, above).await?.len(), numbers.len() - n);
        let below = Scan::index(&ITEMS, "by_at", Vec::new())?.range(None, Some(Value::Int(*at)))?;
        ensure_eq!(ids(&*store, below).await?.len(), n);
    }
    Ok(())
}
