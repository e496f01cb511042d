//! What was read or written lately: most reads ask nothing of SQLite.
//!
//! The store has the database to itself and one thread that writes, which tells the cache what a commit changes before and
//! after. From before until after, reads of those keys go to the database and leave nothing here; and what was read
//! before is not put here after. So a read never finds less than an earlier one did, and whatever a commit that has
//! returned wrote.

use std::collections::HashSet;
use std::fmt;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use i3_core::store::{Cell, Change, Key, State};
use quick_cache::sync::{Cache, DefaultLifecycle, GuardResult, PlaceholderGuard};
use quick_cache::{DefaultHashBuilder, Weighter};

/// What an entry takes besides its texts, in bytes, roughly.
const ENTRY_BYTES: usize = 150;
/// What an entry takes in all, roughly.
const USUAL_BYTES: usize = 1_000;

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Key, Option<Cell>> for Bytes {
    fn weight(&self, key: &Key, cell: &Option<Cell>) -> u64 {
        // A record's text, and about as much again for what it was read as.
        let body = if let Some(Cell::Record { body, .. }) = cell { 2 * body.as_str().len() } else { 0 };
        u64::try_from(ENTRY_BYTES + key.id().len() + body).unwrap_or(u64::MAX)
    }
}

type Cells = Cache<Key, Option<Cell>, Bytes>;
type Place<'a> =
    PlaceholderGuard<'a, Key, Option<Cell>, Bytes, DefaultHashBuilder, DefaultLifecycle<Key, Option<Cell>>>;

/// The present values of some keys, those that are absent included.
pub(super) struct ReadCache {
    cells: Cells,
    /// The keys of the group that is being committed.
    changing: RwLock<HashSet<Key>>,
}

impl fmt::Debug for ReadCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadCache").field("bytes", &self.cells.weight()).finish_non_exhaustive()
    }
}

/// What the cache has of some keys, with places for what it has not.
pub(super) struct Found<'a> {
    cells: Vec<Option<Cell>>,
    missing: Vec<(usize, Option<Place<'a>>)>,
}

impl ReadCache {
    /// Empty; at most about this many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let capacity = u64::try_from(bytes).unwrap_or(u64::MAX);
        Self {
            cells: Cells::with_weighter(bytes / USUAL_BYTES, capacity, Bytes),
            changing: RwLock::default(),
        }
    }

    /// Looks for these keys.
    pub(super) fn find(&self, keys: &[Key]) -> Found<'_> {
        let changing = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = Found { cells: Vec::with_capacity(keys.len()), missing: Vec::new() };
        for (place, key) in keys.iter().enumerate() {
            let known = if changing.contains(key) {
                GuardResult::Timeout
            } else {
                self.cells.get_value_or_guard(key, Some(Duration::ZERO))
            };
            found.cells.push(match known {
                GuardResult::Value(cell) => cell,
                GuardResult::Guard(guard) => {
                    found.missing.push((place, Some(guard)));
                    None
                }
                // It is being changed, or somebody else is reading it.
                GuardResult::Timeout => {
                    found.missing.push((place, None));
                    None
                }
            });
        }
        found
    }

    /// The state of a key, for the thread that writes, between its commits.
    pub(super) fn state(&self, key: &Key) -> Option<State> {
        Some(match self.cells.get(key)? {
            None => State::Absent,
            Some(Cell::Record { version, .. }) => State::Record(version),
            Some(Cell::Counter(units)) => State::Counter(units),
            Some(Cell::Stream { position, link }) => State::Stream { position, link },
        })
    }

    /// These changes are about to be written. If the answer is dropped without
    /// [`committed`](Changing::committed), nobody knows whether they were.
    pub(super) fn changing<'a>(&'a self, changes: &'a [(Key, Change)]) -> Changing<'a> {
        let keys = changes.iter().map(|(key, _)| key.clone()).collect();
        *self.changing.write().unwrap_or_else(PoisonError::into_inner) = keys;
        let changing = Changing { cache: self, changes, committed: false };
        changing.forget();
        changing
    }
}

impl Found<'_> {
    /// The keys, of those that were looked for, that the database has to be asked for.
    pub(super) fn missing(&self, keys: &[Key]) -> Vec<Key> {
        self.missing.iter().filter_map(|(place, _)| keys.get(*place).cloned()).collect()
    }

    /// All cells, with what the database has of the missing keys, in their order.
    pub(super) fn with(mut self, read: Vec<Option<Cell>>) -> Vec<Option<Cell>> {
        for ((place, guard), cell) in self.missing.into_iter().zip(read) {
            if let Some(guard) = guard {
                // Refused if it was changed meanwhile.
                let _ = guard.insert(cell.clone());
            }
            if let Some(slot) = self.cells.get_mut(place) {
                *slot = cell;
            }
        }
        self.cells
    }
}

/// Changes on their way to the database.
pub(super) struct Changing<'a> {
    cache: &'a ReadCache,
    changes: &'a [(Key, Change)],
    committed: bool,
}

impl Changing<'_> {
    /// They are in the database.
    pub(super) fn committed(mut self) {
        for (key, change) in self.changes {
            self.cache.cells.insert(key.clone(), after(change));
        }
        self.committed = true;
    }

    fn forget(&self) {
        for (key, _) in self.changes {
            self.cache.cells.remove(key);
        }
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        if !self.committed {
            self.forget();
        }
        self.cache.changing.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What is there after a change.
fn after(change: &Change) -> Option<Cell> {
    match change {
        Change::Put { draft, version } => {
            Some(Cell::Record { version: *version, body: draft.body().clone() })
        }
        Change::Remove => None,
        Change::Set(units) => Some(Cell::Counter(*units)),
        // A group appends at least one entry to a stream that it changes.
        Change::Append { first, entries } => entries.last().map(|(_, link)| {
            let number = u64::try_from(entries.len()).unwrap_or(u64::MAX);
            Cell::Stream { position: first.saturating_add(number).saturating_sub(1), link: *link }
        }),
    }
}

#[cfg(test)]
mod tests {
    use i3_core::store::{Collection, Kind, Units};

    use super::*;

    static COUNTERS: Collection =
        Collection { name: "counters", kind: Kind::Counters, about: "", columns: &[], indexes: &[] };

    fn keys() -> [Key; 1] {
        [Key::new(&COUNTERS, "a").unwrap()]
    }

    fn counter(number: i64) -> Cell {
        Cell::Counter(Units::new(number).unwrap())
    }

    fn to(number: i64) -> Vec<(Key, Change)> {
        keys().map(|key| (key, Change::Set(Units::new(number).unwrap()))).to_vec()
    }

    /// What a read finds while the database has this.
    fn read(cache: &ReadCache, stored: i64) -> Cell {
        let found = cache.find(&keys());
        let missing = found.missing(&keys()).len();
        found.with(vec![Some(counter(stored)); missing]).remove(0).unwrap()
    }

    #[test]
    fn what_was_read_or_written_is_not_asked_for_again() {
        let cache = ReadCache::new(10_000);
        assert_eq!(read(&cache, 1), counter(1));
        assert_eq!(read(&cache, 2), counter(1));
        cache.changing(&to(3)).committed();
        assert_eq!(read(&cache, 4), counter(3));
        assert_eq!(cache.state(&keys()[0]), Some(State::Counter(Units::new(3).unwrap())));
    }

    #[test]
    fn that_nothing_is_there_is_remembered_too() {
        let cache = ReadCache::new(10_000);
        let found = cache.find(&keys());
        assert_eq!(found.with(vec![None]), [None]);
        assert_eq!(cache.find(&keys()).missing(&keys()), []);
        assert_eq!(cache.state(&keys()[0]), Some(State::Absent));
    }

    #[test]
    fn while_something_is_changed_the_database_is_asked_and_nothing_kept() {
        let cache = ReadCache::new(10_000);
        read(&cache, 1);
        let changes = to(2);
        let changing = cache.changing(&changes);
        assert_eq!(read(&cache, 1), counter(1));
        assert_eq!(read(&cache, 2), counter(2));
        assert_eq!(read(&cache, 1), counter(1));
        changing.committed();
        assert_eq!(read(&cache, 9), counter(2));
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let cache = ReadCache::new(10_000);
        for committed in [true, false] {
            let begun = cache.find(&keys());
            let changes = to(2);
            let changing = cache.changing(&changes);
            if committed {
                changing.committed();
            } else {
                drop(changing);
            }
            assert_eq!(begun.with(vec![Some(counter(1))]), [Some(counter(1))]);
            assert_eq!(read(&cache, 2), counter(2));
            assert_eq!(cache.changing.read().unwrap().len(), 0);
            drop(cache.changing(&changes));
        }
    }

    #[test]
    fn after_a_commit_whose_end_nobody_knows_the_database_is_asked() {
        let cache = ReadCache::new(10_000);
        read(&cache, 1);
        drop(cache.changing(&to(2)));
        assert_eq!(read(&cache, 7), counter(7));
    }

    #[test]
    fn a_read_that_fails_leaves_the_place_to_the_next() {
        let cache = ReadCache::new(10_000);
        drop(cache.find(&keys()));
        assert_eq!(read(&cache, 1), counter(1));
        assert_eq!(read(&cache, 2), counter(1));
    }

    #[test]
    fn two_readers_of_one_key_do_not_wait_for_each_other() {
        let cache = ReadCache::new(10_000);
        let first = cache.find(&keys());
        assert_eq!(read(&cache, 1), counter(1));
        assert_eq!(first.with(vec![Some(counter(1))]), [Some(counter(1))]);
    }

    #[test]
    fn it_stays_within_its_bytes() {
        let cache = ReadCache::new(100_000);
        for number in 0..10_000 {
            let key = [Key::new(&COUNTERS, format!("{number}")).unwrap()];
            cache.find(&key).with(vec![Some(counter(number))]);
        }
        assert!((50_000..=100_000).contains(&cache.cells.weight()), "{}", cache.cells.weight());
    }
}
