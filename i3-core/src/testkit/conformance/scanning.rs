//! Scans by id and by index.

use super::prepared;
use crate::store::{Cursor, DynStore, Op, Scan, Store, Value};
use crate::testkit::dump::index_check;
use crate::testkit::sample::{
    ITEM, ITEMS, Item, commit, create, create_plain, ids, key, put, replace, row_id, version_of,
};
use crate::testkit::{Checked, Harness, Stop, ensure, ensure_eq};

/// A store with these plain records.
async fn with_ids(harness: &dyn Harness, ids: &[&str]) -> Result<DynStore, Stop> {
    let store = prepared(harness).await?;
    let ops = ids.iter().map(|id| create_plain(id, "{}")).collect::<Result<Vec<_>, Stop>>()?;
    commit(&*store, ops).await?;
    Ok(store)
}

/// A store with these items.
async fn with_items(harness: &dyn Harness, items: &[Item]) -> Result<DynStore, Stop> {
    let store = prepared(harness).await?;
    commit(&*store, items.iter().map(create).collect::<Result<Vec<_>, Stop>>()?).await?;
    Ok(store)
}

fn by(index: &str, equal: Vec<Value>) -> Result<Scan, Stop> {
    Ok(Scan::index(&ITEMS, index, equal)?)
}

/// A scan along an index within a range of its first column.
fn between(index: &str, from: Option<i64>, until: Option<i64>) -> Result<Scan, Stop> {
    Ok(by(index, Vec::new())?.range(from.map(Value::Int), until.map(Value::Int))?)
}

const NONE: [&str; 0] = [];

pub(super) async fn a_scan_by_id_is_in_byte_order(harness: &dyn Harness) -> Checked {
    let store = with_ids(harness, &["b", "a", "B", "A", "aa", "a-", "~", "!", "10", "9"]).await?;
    let wanted = ["!", "10", "9", "A", "B", "a", "a-", "aa", "b", "~"];
    ensure_eq!(ids(&*store, Scan::ids(&ITEM)).await?, wanted);
    let mut backward = ids(&*store, Scan::ids(&ITEM).backward()).await?;
    backward.reverse();
    ensure_eq!(backward, wanted);
    // Another collection whose name this one starts.
    put(&*store, &Item::new("other")).await?;
    ensure_eq!(ids(&*store, Scan::ids(&ITEM)).await?.len(), wanted.len());
    ensure_eq!(ids(&*store, Scan::ids(&ITEMS)).await?, ["other"]);
    Ok(())
}

pub(super) async fn a_prefix_is_no_pattern(harness: &dyn Harness) -> Checked {
    let names = ["a_1", "a_2", "ab1", "a%1", "a%", "%", "_", "a*1", "a?1", "a\\1", "a[1]", "a'1", "a\"1"];
    let store = with_ids(harness, &names).await?;
    for (prefix, wanted) in [
        ("a_", vec!["a_1", "a_2"]),
        ("a%", vec!["a%", "a%1"]),
        ("%", vec!["%"]),
        ("_", vec!["_"]),
        ("a*", vec!["a*1"]),
        ("a?", vec!["a?1"]),
        ("a\\", vec!["a\\1"]),
        ("a[", vec!["a[1]"]),
        ("a'", vec!["a'1"]),
        ("a\"", vec!["a\"1"]),
        ("ab1", vec!["ab1"]),
        ("ab1x", vec![]),
    ] {
        ensure_eq!(ids(&*store, Scan::prefix(&ITEM, prefix).limit(1)).await?, wanted);
        let mut backward = ids(&*store, Scan::prefix(&ITEM, prefix).backward().limit(1)).await?;
        backward.reverse();
        ensure_eq!(backward, wanted);
    }
    Ok(())
}

pub(super) async fn a_prefix_tells_upper_case_from_lower(harness: &dyn Harness) -> Checked {
    let store = with_ids(harness, &["Ab", "aB", "ab", "AB"]).await?;
    ensure_eq!(ids(&*store, Scan::prefix(&ITEM, "a")).await?, ["aB", "ab"]);
    ensure_eq!(ids(&*store, Scan::prefix(&ITEM, "A")).await?, ["AB", "Ab"]);
    ensure_eq!(ids(&*store, Scan::prefix(&ITEM, "ab")).await?, ["ab"]);
    Ok(())
}

pub(super) async fn a_prefix_that_no_key_can_have_finds_nothing(harness: &dyn Harness) -> Checked {
    let store = with_ids(harness, &["a", "z", "~"]).await?;
    let long = "a".repeat(300);
    for prefix in ["é", " ", "\u{10ffff}", "a\u{7f}", "a\0", "\0", &long] {
        for scan in [Scan::prefix(&ITEM, prefix), Scan::prefix(&ITEM, prefix).backward()] {
            ensure_eq!(ids(&*store, scan).await?, NONE);
        }
    }
    Ok(())
}

pub(super) async fn a_prefix_of_the_last_characters_finds_its_rows(harness: &dyn Harness) -> Checked {
    let store = with_ids(harness, &["~", "~~", "~~~", "~a", "z~"]).await?;
    ensure_eq!(ids(&*store, Scan::prefix(&ITEM, "~~")).await?, ["~~", "~~~"]);
    ensure_eq!(ids(&*store, Scan::prefix(&ITEM, "~").backward().limit(2)).await?, ["~~~", "~~", "~a", "~"]);
    Ok(())
}

pub(super) async fn one_equal_value_selects_its_rows_ordered_by_id(harness: &dyn Harness) -> Checked {
    let items = [
        Item::new("c").owner("o"),
        Item::new("a").owner("o"),
        Item::new("b").owner("p"),
        Item::new("B").owner("o"),
        Item::new("d").owner("oo"),
    ];
    let store = with_items(harness, &items).await?;
    ensure_eq!(ids(&*store, by("by_owner", vec!["o".into()])?).await?, ["B", "a", "c"]);
    ensure_eq!(ids(&*store, by("by_owner", vec!["o".into()])?.backward().limit(1)).await?, ["c", "a", "B"]);
    ensure_eq!(ids(&*store, by("by_owner", vec!["x".into()])?).await?, NONE);
    ensure_eq!(ids(&*store, by("by_owner", Vec::new())?).await?, ["B", "a", "c", "d", "b"]);
    Ok(())
}

pub(super) async fn a_range_includes_its_start_and_excludes_its_end(harness: &dyn Harness) -> Checked {
    let items: Vec<Item> = (-3..=3).map(|at| Item::new(format!("i{}", at + 3)).at(at)).collect();
    let store = with_items(harness, &items).await?;
    for (from, until, wanted) in [
        (Some(-1), Some(2), vec!["i2", "i3", "i4"]),
        (Some(-1), None, vec!["i2", "i3", "i4", "i5", "i6"]),
        (None, Some(-1), vec!["i0", "i1"]),
        (None, None, vec!["i0", "i1", "i2", "i3", "i4", "i5", "i6"]),
        (Some(i64::MIN), Some(i64::MAX), vec!["i0", "i1", "i2", "i3", "i4", "i5", "i6"]),
    ] {
        ensure_eq!(ids(&*store, between("by_at", from, until)?.limit(2)).await?, wanted);
        let mut backward = ids(&*store, between("by_at", from, until)?.backward().limit(2)).await?;
        backward.reverse();
        ensure_eq!(backward, wanted);
    }
    Ok(())
}

pub(super) async fn an_empty_or_reversed_range_is_empty(harness: &dyn Harness) -> Checked {
    let store = with_items(harness, &[Item::new("a").at(1), Item::new("b").at(2)]).await?;
    for (from, until) in [(1, 1), (2, 1), (5, 9), (i64::MAX, i64::MIN)] {
        for scan in [
            between("by_at", Some(from), Some(until))?,
            between("by_at", Some(from), Some(until))?.backward(),
        ] {
            ensure_eq!(ids(&*store, scan).await?, NONE);
        }
    }
    Ok(())
}

pub(super) async fn a_second_column_orders_and_bounds_the_rows_of_the_first(
    harness: &dyn Harness,
) -> Checked {
    let items = [
        Item::new("e").owner("o").at(1),
        Item::new("d").owner("o").at(2),
        Item::new("c").owner("o").at(3),
        Item::new("b").owner("p").at(1),
        Item::new("a").owner("n").at(9),
        Item::new("f").owner("oa").at(0),
    ];
    let store = with_items(harness, &items).await?;
    let of = |owner: &str| by("by_owner_at", vec![owner.into()]);
    ensure_eq!(ids(&*store, by("by_owner_at", Vec::new())?).await?, ["a", "e", "d", "c", "f", "b"]);
    ensure_eq!(ids(&*store, of("o")?.limit(1)).await?, ["e", "d", "c"]);
    let from_two = of("o")?.range(Some(2.into()), None)?;
    ensure_eq!(ids(&*store, from_two.clone()).await?, ["d", "c"]);
    ensure_eq!(ids(&*store, from_two.backward()).await?, ["c", "d"]);
    ensure_eq!(ids(&*store, of("o")?.range(None, Some(3.into()))?).await?, ["e", "d"]);
    ensure_eq!(ids(&*store, by("by_owner_at", vec!["o".into(), 2.into()])?).await?, ["d"]);
    let owners = by("by_owner_at", Vec::new())?.range(Some("o".into()), Some("p".into()))?;
    ensure_eq!(ids(&*store, owners.limit(2)).await?, ["e", "d", "c", "f"]);
    Ok(())
}

pub(super) async fn four_columns_order_by_each_in_turn(harness: &dyn Harness) -> Checked {
    let item =
        |id: &str, owner: &str, at, tag: &str, order| Item::new(id).owner(owner).at(at).tag(tag).order(order);
    let items = [
        item("1", "b", -1, "t", 0),
        item("2", "a", 5, "t", 9),
        item("3", "a", 5, "s", 10),
        item("4", "a", -5, "z", 1),
        item("5", "a", 5, "t", -9),
        item("6", "a", 5, "t", 9),
        item("7", "", 0, "", 0),
        item("8", "aa", i64::MIN, "", 0),
    ];
    let store = with_items(harness, &items).await?;
    let wanted = ["7", "4", "3", "5", "2", "6", "8", "1"];
    for limit in [1, 3, 8] {
        ensure_eq!(ids(&*store, by("by_all", Vec::new())?.limit(limit)).await?, wanted);
    }
    let three = by("by_all", vec!["a".into(), 5.into(), "t".into()])?;
    ensure_eq!(ids(&*store, three.clone()).await?, ["5", "2", "6"]);
    ensure_eq!(ids(&*store, three.range(Some(0.into()), Some(10.into()))?.backward()).await?, ["6", "2"]);
    let all = by("by_all", vec!["a".into(), 5.into(), "t".into(), 9.into()])?;
    ensure_eq!(ids(&*store, all.limit(1)).await?, ["2", "6"]);
    index_check::<Item>(&*store).await
}

pub(super) async fn pages_give_every_row_once_in_both_directions(harness: &dyn Harness) -> Checked {
    let items: Vec<Item> = (0..57_i64)
        .map(|n| Item::new(format!("i{n}")).owner(format!("o{}", n % 5)).at(n % 7 - 3).order(n % 2).tag("t"))
        .collect();
    let store = with_items(harness, &items).await?;
    for index in ITEMS.indexes {
        let whole = ids(&*store, by(index.name, Vec::new())?.limit(1_000)).await?;
        ensure_eq!(whole.len(), items.len());
        for limit in [1, 2, 19, 56, 57, 58] {
            ensure_eq!(ids(&*store, by(index.name, Vec::new())?.limit(limit)).await?, whole);
            let mut backward = ids(&*store, by(index.name, Vec::new())?.backward().limit(limit)).await?;
            backward.reverse();
            ensure_eq!(backward, whole);
        }
    }
    for limit in [1, 10, 57] {
        ensure_eq!(ids(&*store, Scan::ids(&ITEMS).limit(limit)).await?.len(), items.len());
        ensure_eq!(ids(&*store, Scan::ids(&ITEMS).backward().limit(limit)).await?.len(), items.len());
    }
    index_check::<Item>(&*store).await
}

pub(super) async fn a_page_that_takes_the_last_row_promises_no_other(harness: &dyn Harness) -> Checked {
    let items: Vec<Item> = (0..4).map(|n| Item::new(format!("i{n}")).owner("o").at(n)).collect();
    let store = with_items(harness, &items).await?;
    put(&*store, &Item::new("x").owner("p").at(99)).await?;
    for scan in [
        Scan::prefix(&ITEMS, "i"),
        Scan::prefix(&ITEMS, "i").backward(),
        by("by_owner", vec!["o".into()])?,
        by("by_owner", vec!["o".into()])?.backward(),
        between("by_at", Some(0), Some(4))?,
        between("by_at", Some(0), Some(4))?.backward(),
    ] {
        let full = store.scan(&scan.clone().limit(4)).await?;
        ensure_eq!(full.rows.len(), 4);
        ensure_eq!(full.next, None);
        let short = store.scan(&scan.clone().limit(3)).await?;
        ensure_eq!(short.rows.len(), 3);
        let Some(next) = short.next else {
            return Err(Stop::broken("three of four rows, and no cursor"));
        };
        let rest = store.scan(&scan.after(next)?.limit(1)).await?;
        ensure_eq!(rest.rows.len(), 1);
        ensure_eq!(rest.next, None);
    }
    Ok(())
}

pub(super) async fn an_empty_scan_has_no_rows_and_no_cursor(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    for scan in [
        Scan::ids(&ITEMS),
        Scan::ids(&ITEM).backward(),
        by("by_owner", Vec::new())?,
        by("by_all", vec!["o".into()])?.backward(),
        by("by_owner", Vec::new())?.after(Cursor::after_indexed(vec!["o".into()], "a"))?,
    ] {
        let page = store.scan(&scan).await?;
        ensure!(page.rows.is_empty() && page.next.is_none(), "an empty store gives {page:?}");
    }
    Ok(())
}

pub(super) async fn a_record_without_a_value_is_not_in_the_index(harness: &dyn Harness) -> Checked {
    let items = [
        Item::new("all").owner("o").at(1).tag("t").order(1),
        Item::new("no-at").owner("o").tag("t").order(1),
        Item::new("no-owner").at(2).tag("t").order(1),
        Item::new("no-tag").owner("o").at(3).order(1),
        Item::new("nothing"),
    ];
    let store = with_items(harness, &items).await?;
    for (index, wanted) in [
        ("by_owner", vec!["all", "no-at", "no-tag"]),
        ("by_at", vec!["all", "no-owner", "no-tag"]),
        ("by_owner_at", vec!["all", "no-tag"]),
        ("by_order_tag", vec!["all", "no-at", "no-owner"]),
        ("by_all", vec!["all"]),
    ] {
        ensure_eq!(ids(&*store, by(index, Vec::new())?.limit(1)).await?, wanted);
        let mut backward = ids(&*store, by(index, Vec::new())?.backward().limit(1)).await?;
        backward.reverse();
        ensure_eq!(backward, wanted);
    }
    ensure_eq!(ids(&*store, by("by_owner_at", vec!["o".into()])?).await?, ["all", "no-tag"]);
    ensure_eq!(ids(&*store, between("by_at", None, Some(9))?).await?, ["all", "no-owner", "no-tag"]);
    Ok(())
}

async fn change(store: &dyn Store, item: &Item) -> Checked {
    let version = version_of(store, &item.id).await?;
    commit(store, vec![replace(version, item)?]).await?;
    Ok(())
}

pub(super) async fn a_replaced_record_moves_in_its_indexes(harness: &dyn Harness) -> Checked {
    let store =
        with_items(harness, &[Item::new("a").owner("o").at(1), Item::new("b").owner("o").at(2)]).await?;
    change(&*store, &Item::new("a").owner("o").at(3)).await?;
    ensure_eq!(ids(&*store, by("by_owner_at", vec!["o".into()])?).await?, ["b", "a"]);
    ensure_eq!(ids(&*store, by("by_owner", vec!["o".into()])?).await?, ["a", "b"]);
    change(&*store, &Item::new("a").at(3)).await?;
    ensure_eq!(ids(&*store, by("by_owner_at", Vec::new())?).await?, ["b"]);
    ensure_eq!(ids(&*store, by("by_at", Vec::new())?).await?, ["b", "a"]);
    change(&*store, &Item::new("a").owner("p").at(0).tag("t").order(7)).await?;
    ensure_eq!(ids(&*store, by("by_all", vec!["p".into()])?).await?, ["a"]);
    ensure_eq!(ids(&*store, by("by_at", Vec::new())?).await?, ["a", "b"]);
    change(&*store, &Item::new("a").owner("p").at(0).tag("t").order(7).note("only the body")).await?;
    ensure_eq!(ids(&*store, by("by_order_tag", Vec::new())?).await?, ["a"]);
    index_check::<Item>(&*store).await
}

pub(super) async fn a_removed_record_leaves_its_indexes(harness: &dyn Harness) -> Checked {
    let full = |id: &str| Item::new(id).owner("o").at(1).tag("t").order(1);
    let store = with_items(harness, &[full("a"), full("b"), full("c")]).await?;
    let expect = version_of(&*store, "b").await?;
    commit(&*store, vec![Op::Remove { key: key(&ITEMS, "b")?, expect }]).await?;
    for index in ITEMS.indexes {
        ensure_eq!(ids(&*store, by(index.name, Vec::new())?).await?, ["a", "c"]);
    }
    // Created again without values, it is in none.
    put(&*store, &Item::new("b")).await?;
    for index in ITEMS.indexes {
        ensure_eq!(ids(&*store, by(index.name, Vec::new())?).await?, ["a", "c"]);
    }
    index_check::<Item>(&*store).await
}

pub(super) async fn a_cursor_outlives_its_row(harness: &dyn Harness) -> Checked {
    let items: Vec<Item> = (0..8).map(|n| Item::new(format!("i{n}")).owner("o").at(n)).collect();
    let store = with_items(harness, &items).await?;
    let scans = [Scan::ids(&ITEMS), by("by_owner", vec!["o".into()])?, by("by_at", Vec::new())?];
    let mut cursors = Vec::new();
    for scan in &scans {
        let page = store.scan(&scan.clone().limit(3)).await?;
        cursors.push(page.next.ok_or_else(|| Stop::broken("three of eight rows, and no cursor"))?);
    }
    // The row under the cursor, one that was seen, and the one that would be next.
    for id in ["i2", "i1", "i3"] {
        let expect = version_of(&*store, id).await?;
        commit(&*store, vec![Op::Remove { key: key(&ITEMS, id)?, expect }]).await?;
    }
    put(&*store, &Item::new("i0a").owner("o").at(0)).await?;
    put(&*store, &Item::new("i5a").owner("o").at(5)).await?;
    for (scan, cursor) in scans.into_iter().zip(cursors) {
        let backward = scan.clone().backward().after(cursor.clone())?;
        ensure_eq!(ids(&*store, scan.after(cursor)?.limit(2)).await?, ["i4", "i5", "i5a", "i6", "i7"]);
        ensure_eq!(ids(&*store, backward).await?, ["i0a", "i0"]);
    }
    Ok(())
}

pub(super) async fn a_cursor_outside_of_the_scan_is_kept_within_its_bounds(harness: &dyn Harness) -> Checked {
    let items = [
        Item::new("a").owner("m").at(1),
        Item::new("b").owner("o").at(1),
        Item::new("c").owner("o").at(2),
        Item::new("d").owner("q").at(1),
    ];
    let store = with_items(harness, &items).await?;
    let scan = || by("by_owner_at", vec!["o".into()]);
    let low = || Cursor::after_indexed(vec!["l".into(), 0.into()], "x");
    let high = || Cursor::after_indexed(vec!["z".into(), 0.into()], "x");
    ensure_eq!(ids(&*store, scan()?.after(low())?).await?, ["b", "c"]);
    ensure_eq!(ids(&*store, scan()?.after(high())?).await?, NONE);
    ensure_eq!(ids(&*store, scan()?.backward().after(low())?).await?, NONE);
    ensure_eq!(ids(&*store, scan()?.backward().after(high())?).await?, ["c", "b"]);
    let prefix = || Scan::prefix(&ITEMS, "b");
    ensure_eq!(ids(&*store, prefix().after(Cursor::after_id("a"))?).await?, ["b"]);
    ensure_eq!(ids(&*store, prefix().after(Cursor::after_id("c"))?).await?, NONE);
    ensure_eq!(ids(&*store, prefix().backward().after(Cursor::after_id("c"))?).await?, ["b"]);
    ensure_eq!(ids(&*store, prefix().backward().after(Cursor::after_id("a"))?).await?, NONE);
    // A cursor comes from outside: any text may be in it.
    ensure_eq!(ids(&*store, prefix().after(Cursor::after_id("é' OR 1=1 --"))?).await?, NONE);
    ensure_eq!(ids(&*store, prefix().after(Cursor::after_id(""))?).await?, ["b"]);
    Ok(())
}

pub(super) async fn equal_rows_are_paged_by_id(harness: &dyn Harness) -> Checked {
    let items: Vec<Item> = (0..30).rev().map(|n| Item::new(format!("i{n:02}")).owner("o").at(7)).collect();
    let store = with_items(harness, &items).await?;
    let wanted: Vec<String> = (0..30).map(|n| format!("i{n:02}")).collect();
    for (index, equal) in
        [("by_owner", vec!["o".into()]), ("by_at", Vec::new()), ("by_owner_at", vec!["o".into()])]
    {
        ensure_eq!(ids(&*store, by(index, equal.clone())?.limit(4)).await?, wanted);
        let page = store.scan(&by(index, equal)?.backward().limit(4)).await?;
        ensure_eq!(page.rows.iter().map(row_id).collect::<Vec<_>>(), ["i29", "i28", "i27", "i26"]);
    }
    Ok(())
}
