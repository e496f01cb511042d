//! Stores that can tell whether anything has changed tell it in time.

use super::prepared;
use crate::store::{Collection, Op, Revision, Store};
use crate::testkit::sample::{
    COUNTERS, ITEM, ITEMS, Item, STREAMS, add, append, commit, create, create_plain, replace, version_of,
};
use crate::testkit::{Checked, Harness, Run, Stop, ensure, join_all};

fn revision(store: &dyn Store, collections: &[&Collection]) -> Result<Revision, Stop> {
    store
        .revision(collections)
        .ok_or(Stop::NotApplicable("this backend cannot tell whether anything has changed"))
}

pub(super) async fn a_revision_is_another_once_a_change_is_committed(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    let all: [&Collection; 4] = [&ITEMS, &ITEM, &COUNTERS, &STREAMS];
    revision(&*store, &all)?;
    let item = Item::new("a").owner("o");
    commit(&*store, vec![create(&item)?]).await?;
    let version = version_of(&*store, "a").await?;
    let steps: [(&Collection, Op); 4] = [
        (&ITEMS, replace(version, &item.owner("p"))?),
        (&ITEM, create_plain("b", "{}")?),
        (&COUNTERS, add("n", 1)?),
        (&STREAMS, append("s", "{}")?),
    ];
    for (collection, op) in steps {
        let before = (revision(&*store, &[collection])?, revision(&*store, &all)?);
        commit(&*store, vec![op]).await?;
        let after = (revision(&*store, &[collection])?, revision(&*store, &all)?);
        ensure!(before.0 != after.0, "the revision of `{}` stays {:?}", collection.name, after.0);
        ensure!(before.1 != after.1, "a change of `{}` is not seen among others", collection.name);
    }
    Ok(())
}

/// Whoever was answered sees another revision, also if many were committed together.
pub(super) async fn everybody_who_committed_sees_another_revision(harness: &dyn Harness) -> Checked {
    let store = prepared(harness).await?;
    revision(&*store, &[&COUNTERS])?;
    let store = &store;
    let caller = |number: usize| -> Run<'_> {
        Box::pin(async move {
            for _ in 0..20 {
                let before = revision(&**store, &[&COUNTERS])?;
                commit(&**store, vec![add(&format!("n{number}"), 1)?]).await?;
                ensure!(before != revision(&**store, &[&COUNTERS])?, "a commit did not change {before:?}");
            }
            Ok(())
        })
    };
    join_all((0..16).map(caller).collect()).await.into_iter().collect()
}
