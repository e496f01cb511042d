//! All descriptions in memory, and what became of them lately.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use i3_core::id::UserId;
use i3_core::thing::{Thing, ThingChange, ThingId, Visibility};
use serde_json::Value;

use super::event::Change;
use super::index::Index;
use super::jsonpath::{MAX_NODES, Search, SearchError};
use super::{Listing, SortBy, Viewer, Window, graph};
use crate::graph::{Log, Revision, Snapshot};
use crate::wot::{patch, registration};

/// How many changes are kept for those who come back.
pub(super) const LOG: usize = 10_000;

/// A description with what is known of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) thing: Thing,
    /// As everybody sees it, alone in an array, which is what queries are asked of.
    alone: Value,
    whole: Arc<Value>,
    number: u32,
}

impl Entry {
    /// Whether everybody sees it.
    pub(super) fn is_public(&self) -> bool {
        self.thing.visibility == Visibility::Public
    }

    fn new(thing: Thing, number: u32) -> Self {
        let whole = Arc::new(registration::enriched(&thing));
        Self { alone: Value::Array(vec![Value::clone(&whole)]), whole, thing, number }
    }

    /// As everybody sees it.
    pub(super) fn whole(&self) -> &Arc<Value> {
        &self.whole
    }
}

/// What a directory holds at one position of the outbox.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The last position of the outbox that is in here.
    pub(super) position: u64,
    things: BTreeMap<ThingId, Arc<Entry>>,
    numbers: HashMap<u32, Arc<Entry>>,
    next: u32,
    index: Index,
    log: VecDeque<Change>,
    /// When what everybody sees last changed, and what only one sees.
    changed: u64,
    changed_of: HashMap<UserId, u64>,
    /// What changed in the graph of what everybody sees, since somebody has a copy of it.
    graph: Option<Log>,
}

impl State {
    /// Takes what the store held before anything was followed.
    pub(super) fn load(&mut self, thing: Thing) {
        self.put(thing);
    }

    fn put(&mut self, thing: Thing) -> Option<Arc<Entry>> {
        let before = self.drop(&thing.id.clone());
        let number = before.as_ref().map_or(self.next, |before| before.number);
        if before.is_none() {
            self.next = self.next.wrapping_add(1);
        }
        let entry = Arc::new(Entry::new(thing, number));
        self.index.insert(number, &entry.whole);
        self.numbers.insert(number, entry.clone());
        self.things.insert(entry.thing.id.clone(), entry);
        before
    }

    fn drop(&mut self, thing: &ThingId) -> Option<Arc<Entry>> {
        let entry = self.things.remove(thing)?;
        self.index.remove(entry.number, &entry.whole);
        self.numbers.remove(&entry.number);
        Some(entry)
    }

    /// Takes one change. `known` says whether what the description was before is what this state holds; when the log
    /// is filled from the past at first it is not.
    pub(super) fn apply(&mut self, id: u64, change: ThingChange, known: bool) {
        let ThingChange { thing, owner, before, after } = change;
        let visibility = after.as_ref().map(|after| after.visibility);
        let former = match after {
            Some(after) => self.put(*after),
            None => self.drop(&thing),
        };
        if let Some(log) = &mut self.graph {
            log.put(graph::change(former.as_deref(), self.things.get(&thing).map(|entry| &**entry)));
        }
        let whole = self.things.get(&thing).filter(|_| visibility.is_some()).map(|entry| entry.whole.clone());
        let nothing = Value::Object(serde_json::Map::new());
        let base = former.as_ref().filter(|_| known).map_or(&nothing, |former| &*former.whole);
        let patch = whole.as_ref().map_or(Value::Null, |whole| patch::difference(base, whole));
        if [before, visibility].contains(&Some(Visibility::Public)) {
            self.changed = id;
        }
        self.changed_of.insert(owner, id);
        self.log.push_back(Change { id, thing, owner, before, after: visibility, whole, patch });
        if self.log.len() > LOG {
            self.log.pop_front();
        }
    }

    pub(super) fn get(&self, thing: &ThingId) -> Option<&Arc<Entry>> {
        self.things.get(thing)
    }

    pub(super) fn changes_after(&self, id: u64) -> impl Iterator<Item = &Change> {
        let from = self.log.partition_point(|change| change.id <= id);
        self.log.range(from..)
    }

    fn seen(&self, viewer: Viewer) -> impl Iterator<Item = &Arc<Entry>> {
        self.things.values().filter(move |entry| viewer.sees(entry.thing.owner, entry.thing.visibility))
    }

    pub(super) fn list(&self, viewer: Viewer, window: &Window) -> Listing {
        let mut seen: Vec<&Arc<Entry>> = self.seen(viewer).collect();
        match window.sort_by {
            SortBy::Id => {}
            SortBy::Created => seen.sort_by_key(|entry| entry.thing.created),
            SortBy::Modified => seen.sort_by_key(|entry| entry.thing.modified),
            SortBy::Title => seen.sort_by(|a, b| title(a).cmp(title(b))),
        }
        if window.descending {
            seen.reverse();
        }
        let total = seen.len();
        let things: Vec<Arc<Value>> = seen
            .into_iter()
            .skip(window.offset)
            .take(window.limit)
            .map(|entry| entry.whole.clone())
            .collect();
        let end = window.offset.saturating_add(things.len());
        let own = viewer.user.and_then(|user| self.changed_of.get(&user)).copied().unwrap_or(0);
        let version = if viewer.all { self.position } else { self.changed.max(own) };
        Listing { things, total, next: (end < total).then_some(end), version }
    }

    /// The graph of what everybody sees, as it is now.
    pub(super) fn graph(&mut self) -> Snapshot {
        let log = self.graph.get_or_insert_with(Log::new);
        let entries: Vec<Arc<Entry>> = self.things.values().cloned().collect();
        Snapshot::new(log, entries.into_iter().flat_map(|entry| graph::quads(&entry)))
    }

    pub(super) fn graph_since(&self, revision: Revision) -> Option<Vec<Arc<graph::Change>>> {
        self.graph.as_ref()?.since(revision)
    }

    pub(super) fn search(&self, viewer: Viewer, search: &Search) -> Result<Vec<Value>, SearchError> {
        let candidates = self.index.candidates(&search.needs);
        let mut entries: Vec<&Arc<Entry>> = candidates
            .iter()
            .filter_map(|number| self.numbers.get(&number))
            .filter(|entry| viewer.sees(entry.thing.owner, entry.thing.visibility))
            .collect();
        entries.sort_by(|a, b| a.thing.id.cmp(&b.thing.id));
        let mut found = Vec::new();
        for entry in entries {
            let nodes = search.within(&entry.alone);
            if found.len() + nodes.len() > MAX_NODES {
                return Err(SearchError::TooMuch);
            }
            found.extend(nodes.into_iter().cloned());
        }
        Ok(found)
    }
}

fn title(entry: &Entry) -> &str {
    entry.whole.get("title").and_then(Value::as_str).unwrap_or_default()
}
