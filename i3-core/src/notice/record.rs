//! What is stored of notices and mails.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{News, Recipient};
use crate::store::{Collection, Column, Entity, Index, Kind, Value};
use crate::time::Timestamp;

/// A notice's name: whose box it is in, and which event of the outbox it tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoticeId {
    /// Whose.
    pub to: Recipient,
    /// The event's position in the outbox.
    pub position: u64,
}

impl fmt::Display for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As many digits as there may be: text order is the order of events.
        write!(f, "{}:{:020}", self.to, self.position)
    }
}

/// Something in a box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Whose.
    pub to: Recipient,
    /// The position of what happened in the outbox; names the notice within its box.
    pub position: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub news: News,
    /// When it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Timestamp>,
}

static NOTICES: Collection = Collection {
    name: "notices",
    kind: Kind::Records,
    about: "what users and administrators were told",
    columns: &[],
    indexes: &[],
};

impl Entity for Notice {
    type Id = NoticeId;

    fn collection() -> &'static Collection {
        &NOTICES
    }

    fn id(&self) -> NoticeId {
        NoticeId { to: self.to, position: self.position }
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

/// How full a box is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeBox {
    /// Whose.
    pub to: Recipient,
    /// How many notices are in it.
    pub held: u32,
    /// How many of them are not read.
    pub unread: u32,
}

impl NoticeBox {
    /// Notices that a box holds; older ones make room.
    pub const LIMIT: u32 = 200;

    /// A box with nothing in it.
    pub const fn empty(to: Recipient) -> Self {
        Self { to, held: 0, unread: 0 }
    }
}

static NOTICE_BOXES: Collection = Collection {
    name: "notice_boxes",
    kind: Kind::Records,
    about: "how full the boxes of notices are",
    columns: &[],
    indexes: &[],
};

impl Entity for NoticeBox {
    type Id = Recipient;

    fn collection() -> &'static Collection {
        &NOTICE_BOXES
    }

    fn id(&self) -> Recipient {
        self.to
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

/// A mail's name: that of its notice.
pub type MailId = NoticeId;

/// A mail that is to be sent. It is removed once it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// To whom.
    pub to: Recipient,
    /// The position of what happened in the outbox.
    pub position: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub news: News,
    /// How often it was tried to send it.
    pub tries: u32,
    /// When it is to be tried next. Whoever tries puts it off first, so that no other process tries meanwhile.
    pub next: Timestamp,
}

impl Mail {
    /// Tries after which a mail is given up: after about three days.
    pub const MAX_TRIES: u32 = 16;

    /// How long after this try the next one may come: a minute, doubled with each, six hours at most.
    pub fn pause(tries: u32) -> Duration {
        let minutes = 1_u64.checked_shl(tries.min(16)).unwrap_or(u64::MAX);
        Duration::from_mins(minutes.min(360))
    }
}

static MAILS: Collection = Collection {
    name: "mails",
    kind: Kind::Records,
    about: "mails that are to be sent",
    columns: &[Column::int("next")],
    indexes: &[Index { name: "by_next", columns: &["next"] }],
};

impl Entity for Mail {
    type Id = MailId;

    fn collection() -> &'static Collection {
        &MAILS
    }

    fn id(&self) -> MailId {
        MailId { to: self.to, position: self.position }
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![Some(self.next.micros().into())]
    }
}

/// How far a follower of the outbox has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Who follows.
    pub follower: String,
    /// The last position that was dealt with.
    pub position: u64,
}

static POSITIONS: Collection = Collection {
    name: "follower_positions",
    kind: Kind::Records,
    about: "how far those who follow the outbox have come",
    columns: &[],
    indexes: &[],
};

impl Entity for Position {
    type Id = String;

    fn collection() -> &'static Collection {
        &POSITIONS
    }

    fn id(&self) -> String {
        self.follower.clone()
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}
