//! What a directory tells those who listen (WoT Discovery, section 7.2.2.2).

use i3_core::id::UserId;
use i3_core::thing::{ThingId, Visibility};
use serde_json::{Value, json};
use std::sync::Arc;

use super::Viewer;

/// What happened to a description, as somebody sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// It came.
    Created,
    /// It changed.
    Updated,
    /// It went.
    Deleted,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Created, Self::Updated, Self::Deleted];

    /// As the specification calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "thing_created",
            Self::Updated => "thing_updated",
            Self::Deleted => "thing_deleted",
        }
    }
}

/// An event for one listener.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its number: the position of the outbox. Rises from event to event, and is the same in all processes over one
    /// store and after a restart.
    pub id: u64,
    /// What happened.
    pub kind: EventKind,
    /// What is told of it.
    pub data: Value,
}

/// A change, before it is known who looks.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) id: u64,
    pub(super) thing: ThingId,
    pub(super) owner: UserId,
    pub(super) before: Option<Visibility>,
    pub(super) after: Option<Visibility>,
    /// The whole description; absent if it is gone.
    pub(super) whole: Option<Arc<Value>>,
    /// What leads from the former to the present one.
    pub(super) patch: Value,
}

impl Change {
    /// What somebody is told: for who sees nothing private, what becomes private is deleted.
    pub(super) fn told(&self, viewer: Viewer, diff: bool) -> Option<Event> {
        let sees = |visibility: Option<Visibility>| {
            visibility.is_some_and(|visibility| viewer.sees(self.owner, visibility))
        };
        let kind = match (sees(self.before), sees(self.after)) {
            (false, true) => EventKind::Created,
            (true, true) => EventKind::Updated,
            (true, false) => EventKind::Deleted,
            (false, false) => return None,
        };
        let mut data = json!({});
        if diff {
            match (kind, &self.whole) {
                (EventKind::Created, Some(whole)) => data = Value::clone(whole),
                (EventKind::Updated, _) if self.patch.is_object() => data = self.patch.clone(),
                _ => {}
            }
        }
        if let Some(members) = data.as_object_mut() {
            members.insert("id".to_owned(), json!(self.thing));
        }
        Some(Event { id: self.id, kind, data })
    }
}
