//! The last entries of the streams that were appended to lately.
//!
//! To find the end of a stream is the dearest question about a key. Nobody changes a stream without moving the
//! clock on, so as long as the clock stands where our own last commit left it, what that commit left is what
//! is stored.

use std::collections::HashMap;

use i3_core::store::{Change, Digest, Key, Kind};

use crate::server::{Catalog, Found, Wanted};

/// Streams that are remembered.
const MOST: usize = 20_000;

/// What is remembered, by the places of the collections.
#[derive(Debug, Default)]
pub(super) struct Ends {
    clock: Option<u64>,
    by_place: Vec<HashMap<String, (u64, Digest)>>,
    count: usize,
}

impl Ends {
    /// Whether what is remembered is what is stored when the clock stands here.
    pub(super) fn hold_at(&self, clock: u64) -> bool {
        self.clock == Some(clock) || self.count == 0
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Takes from what is wanted the streams whose ends are remembered.
    pub(super) fn take_known<'k>(&self, wanted: &mut [Wanted<'k>]) -> Vec<Wanted<'k>> {
        let mut all = Vec::new();
        for (place, collection, ids) in wanted {
            let Some(ends) = self.by_place.get(*place).filter(|_| collection.kind == Kind::Streams) else {
                continue;
            };
            let known: Vec<&str> = ids.extract_if(.., |id| ends.contains_key(*id)).collect();
            if !known.is_empty() {
                all.push((*place, *collection, known));
            }
        }
        all
    }

    /// The end of a stream that is remembered.
    pub(super) fn found(&self, place: usize, id: &str) -> Option<Found> {
        let (position, link) = self.by_place.get(place)?.get(id)?;
        let number = i64::try_from(*position).ok()?;
        Some(Found { place, id: id.to_owned(), number, text: Some(link.to_string()) })
    }

    /// Remembers what was committed, after which the clock stands here.
    pub(super) fn committed(&mut self, catalog: &Catalog, changes: &[(Key, Change)], clock: u64) {
        if self.count > MOST {
            self.forget();
        }
        self.clock = Some(clock);
        self.by_place.resize_with(catalog.collections().len(), HashMap::new);
        for (key, change) in changes {
            let Change::Append { first, entries } = change else { continue };
            let last = u64::try_from(entries.len()).ok().and_then(|count| (first + count).checked_sub(1));
            let ends = catalog.place(key.collection()).ok().and_then(|place| self.by_place.get_mut(place));
            if let (Some(position), Some((_, link)), Some(ends)) = (last, entries.last(), ends)
                && ends.insert(key.id().to_owned(), (position, *link)).is_none()
            {
                self.count += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use i3_core::store::{Body, Collection, Schema};

    use super::*;

    static LOG: Collection =
        Collection { name: "log", kind: Kind::Streams, about: "", columns: &[], indexes: &[] };

    fn wanted(ids: &[&'static str]) -> Vec<Wanted<'static>> {
        vec![(0, &LOG, ids.to_vec())]
    }

    #[test]
    fn the_last_entry_of_what_was_committed_is_remembered_until_the_clock_moves_on() {
        let catalog = Catalog::of(&Schema::new(1, &[&LOG]).unwrap());
        let mut ends = Ends::default();
        assert!(ends.hold_at(7) && ends.take_known(&mut wanted(&["a"])).is_empty());

        let (first, last) = (Digest::of(b"1"), Digest::of(b"2"));
        let entry = |link| (Body::new("{}").unwrap(), link);
        let change = Change::Append { first: 4, entries: vec![entry(first), entry(last)] };
        ends.committed(&catalog, &[(Key::new(&LOG, "a").unwrap(), change)], 8);
        let mut asked = wanted(&["a", "b"]);
        let known = ends.take_known(&mut asked);
        assert_eq!((&known[0].2, &asked[0].2), (&vec!["a"], &vec!["b"]));
        let found = ends.found(0, "a").unwrap();
        assert_eq!((found.number, found.text), (5, Some(last.to_string())));
        assert!(ends.hold_at(8) && !ends.hold_at(9));
        ends.forget();
        assert!(ends.take_known(&mut wanted(&["a"])).is_empty());
    }
}
