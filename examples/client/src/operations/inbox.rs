//! What users and administrators were told.

use i3_core::market::TimeOrder;
use i3_core::notice::News;
use i3_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Change, Client, Pages, Query};

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Notice {
    /// Names it within its box; later ones have higher numbers.
    pub position: u64,
    /// When.
    pub at: Timestamp,
    /// In few words.
    pub subject: String,
    /// In words.
    pub text: String,
    /// As data.
    pub about: News,
    /// When it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Timestamp>,
}

/// How full a box is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InboxState {
    /// Notices that are in it.
    pub held: u32,
    /// Those of them that were not read.
    pub unread: u32,
}

#[derive(Serialize)]
struct ReadUntil {
    position: u64,
}

/// Which notices, and in which order. The default: all, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct NoticeQuery {
    /// Those that were read, or those that were not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<bool>,
    /// Of what happened from this time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Of what happened before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// In this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<TimeOrder>,
}

impl Client {
    /// What one was told.
    pub fn list_notices(&self, query: &NoticeQuery) -> Pages<Notice> {
        self.list("/inbox").parameters(query)
    }

    /// How much of it is not read.
    pub fn inbox_state(&self) -> Query<InboxState> {
        self.get("/inbox/state")
    }

    /// Notes what was read: all up to this position.
    pub fn read_notices(&self, position: u64) -> Change<InboxState> {
        self.post("/inbox/read", &ReadUntil { position })
    }

    /// What administrators were told.
    pub fn list_administration_notices(&self, query: &NoticeQuery) -> Pages<Notice> {
        self.list("/administration/inbox").parameters(query)
    }

    /// How much of what administrators were told is not read.
    pub fn administration_inbox_state(&self) -> Query<InboxState> {
        self.get("/administration/inbox/state")
    }

    /// Notes what administrators read: all up to this position.
    pub fn read_administration_notices(&self, position: u64) -> Change<InboxState> {
        self.post("/administration/inbox/read", &ReadUntil { position })
    }
}
