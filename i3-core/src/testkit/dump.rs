//! Everything in a store as text, and indexes derived afresh.

use std::fmt::Write as _;

use super::sample::{row_id, rows};
use super::{Checked, Stop, ensure};
use crate::store::{
    Cell, Collection, Digest, Draft, Entity, Index, Key, Kind, Row, Scan, Schema, Store, limits,
};

/// Everything that a store holds under a schema, as text: records with their bodies, each index as the
/// order of its ids, counters, streams with every entry and link. Versions are left out, so two stores that
/// went through the same have the same dump. Fails if a stream is not dense or a link is wrong.
///
/// Meant for a store at rest, of a size that memory holds.
pub async fn dump(store: &dyn Store, schema: &Schema) -> Result<String, Stop> {
    let mut text = String::new();
    for collection in schema.collections() {
        let name = collection.name;
        for row in rows(store, Scan::ids(collection).limit(limits::PAGE_ROWS)).await? {
            match row {
                Row::Record { key, body, .. } => writeln!(text, "{key} {}", body.as_str())?,
                Row::Counter { key, units } => writeln!(text, "{key} {units}")?,
                Row::Stream { key, position, link } => {
                    writeln!(text, "{key} ends at {position} with {link}")?;
                    for (position, body, link) in entries(store, &key).await? {
                        writeln!(text, "{key} {position} {link} {body}")?;
                    }
                }
                Row::Entry { .. } => {
                    return Err(Stop::broken(format_args!("an entry in a scan of `{name}`")));
                }
            }
        }
        for index in collection.indexes {
            for id in index_ids(store, collection, index).await? {
                writeln!(text, "{name} {} {id}", index.name)?;
            }
        }
    }
    Ok(text)
}

/// The ids of a whole index, after making sure that backward is the reverse of forward.
async fn index_ids(
    store: &dyn Store,
    collection: &'static Collection,
    index: &Index,
) -> Result<Vec<String>, Stop> {
    let scan = Scan::index(collection, index.name, Vec::new())?.limit(limits::PAGE_ROWS);
    let forward: Vec<String> = rows(store, scan.clone()).await?.iter().map(row_id).collect();
    let mut backward: Vec<String> = rows(store, scan.backward()).await?.iter().map(row_id).collect();
    backward.reverse();
    ensure!(
        forward == backward,
        "index `{}` of `{}` is {forward:?} forward and {backward:?} in reverse of backward",
        index.name,
        collection.name
    );
    Ok(forward)
}

/// All entries of a stream, after making sure that they are dense, that every link follows from the one
/// before, and that the stream's end is the last of them.
pub async fn entries(store: &dyn Store, stream: &Key) -> Result<Vec<(u64, String, Digest)>, Stop> {
    let mut entries = Vec::new();
    let (mut last, mut before) = (0, Digest::START);
    for row in rows(store, Scan::entries(stream.clone())?.limit(limits::PAGE_ROWS)).await? {
        let Row::Entry { position, body, link } = row else {
            return Err(Stop::broken(format_args!("{stream} holds {row:?}")));
        };
        ensure!(position == last + 1, "{stream} goes from {last} to {position}");
        ensure!(
            link == Digest::link(&before, position, body.as_str()),
            "{stream}: the link at {position} does not follow from the one before"
        );
        (last, before) = (position, link);
        entries.push((position, body.as_str().to_owned(), link));
    }
    let end = store.read(std::slice::from_ref(stream)).await?.pop().flatten();
    let wanted = (last > 0).then_some(Cell::Stream { position: last, link: before });
    ensure!(end == wanted, "{stream} ends at {end:?}, its entries at {wanted:?}");
    Ok(entries)
}

/// Compares every index of the entity's collection with what the records' bodies say.
pub async fn index_check<E: Entity>(store: &dyn Store) -> Checked {
    let collection = E::collection();
    ensure!(collection.kind == Kind::Records, "`{}` has no records", collection.name);
    let mut drafts: Vec<Draft> = Vec::new();
    for row in rows(store, Scan::ids(collection).limit(limits::PAGE_ROWS)).await? {
        let Row::Record { key, body, .. } = row else {
            return Err(Stop::broken(format_args!("`{}` holds {row:?}", collection.name)));
        };
        let draft = E::from_body(&key, &body)?.draft()?;
        ensure!(*draft.key() == key, "{key} holds the record of {}", draft.key());
        drafts.push(draft);
    }
    for index in collection.indexes {
        let mut wanted: Vec<(Vec<_>, String)> = Vec::new();
        for draft in &drafts {
            let values: Option<Vec<_>> = index
                .columns
                .iter()
                .map(|column| draft.values().get(collection.column(column)?)?.clone())
                .collect();
            wanted.extend(values.map(|values| (values, draft.key().id().to_owned())));
        }
        wanted.sort();
        let wanted: Vec<String> = wanted.into_iter().map(|(_, id)| id).collect();
        let found = index_ids(store, collection, index).await?;
        ensure!(
            found == wanted,
            "index `{}` of `{}` has {found:?}, its records say {wanted:?}",
            index.name,
            collection.name
        );
    }
    Ok(())
}
