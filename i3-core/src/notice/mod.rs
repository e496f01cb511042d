//! What users and administrators are told of what happened.
//!
//! Notices are made of the [outbox](crate::outbox), after the fact: a crash between a command and its notice loses
//! nothing, and no event gives a user two. [`Marketplace::post_notices`](crate::market::Marketplace::post_notices)
//! makes them and puts mails into a queue beside them, in one batch with its position in the outbox;
//! [`Marketplace::send_mails`](crate::market::Marketplace::send_mails) sends what is in the queue through a
//! [`Notifier`], as often as it takes. So a mail may arrive twice (when its sender dies in between), and a notice
//! in the box is there once.
//!
//! A [`Notice`] is data; [`text`] has the pure functions that put it into words. No notice has a secret in it: the
//! link by which a password is set anew is made when its mail is written, and is stored nowhere.

mod record;
pub mod text;

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::access::HubRole;
use crate::grant::GrantState;
use crate::id::{HubId, OrderId, ProductId, ResetId, UserId};
use crate::name::{Email, Label, Slug};

pub use record::{Mail, MailId, Notice, NoticeBox, NoticeId, Position};

/// Whose box a notice is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// A user.
    User(UserId),
    /// All who manage users: they have one box together.
    Administrators,
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => user.fmt(f),
            Self::Administrators => f.write_str("administrators"),
        }
    }
}

/// What happened, as far as its reader needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "news")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are what the variant's text says")]
pub enum News {
    /// The reader's account is open.
    Welcome,
    /// The reader's registration waits for approval.
    Waiting,
    /// Somebody's registration waits for approval: for administrators.
    Registered { user: UserId, name: Slug, display: Label, domain: Option<Slug> },
    /// The reader's account was approved or reinstated.
    Activated,
    /// The reader's registration was not approved.
    Rejected,
    /// The reader's account was suspended.
    Suspended,
    /// The reader was given other roles.
    RolesChanged,
    /// The reader's account has another password.
    PasswordChanged,
    /// Somebody asked for leave to set another password for the reader's account.
    PasswordReset { reset: ResetId },
    /// All of the reader's logins were ended.
    LoginsEnded,
    /// The reader's account was credited.
    ToppedUp,
    /// The reader bought something.
    Bought { order: OrderId, title: Label },
    /// Something of the reader's hub was bought.
    Sold { order: OrderId, product: ProductId, title: Label },
    /// An order of the reader's, or of something of the reader's hub, was cancelled.
    Cancelled { order: OrderId, title: Label },
    /// What the reader bought is delivered no longer.
    AccessEnded { order: OrderId, title: Label, state: GrantState },
    /// Something of the reader's hub was rated.
    Rated { product: ProductId, title: Label },
    /// The reader became a member of a hub, has another role there, or is none any more.
    Member { hub: HubId, title: Label, role: Option<HubRole> },
}

impl News {
    /// Whether it concerns the account itself: mailed also to who [wants few
    /// mails](crate::user::Profile::few_mails).
    pub const fn concerns_the_account(&self) -> bool {
        matches!(
            self,
            Self::Welcome
                | Self::Waiting
                | Self::Registered { .. }
                | Self::Activated
                | Self::Rejected
                | Self::Suspended
                | Self::RolesChanged
                | Self::PasswordChanged
                | Self::PasswordReset { .. }
                | Self::LoginsEnded
        )
    }
}

/// A mail, ready to be sent. `Debug` shows neither its text, which may have a link for its reader alone in it, nor
/// the address.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Names the mail for good: a mail that is sent again has the same.
    pub id: MailId,
    /// Where it goes.
    pub to: Email,
    /// Its subject, one line.
    pub subject: String,
    /// Its text, in plain lines.
    pub text: String,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotifyError {
    /// It may work later: it is tried again.
    #[error("the mail could not be sent now")]
    Later(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It will never work: there is no such address.
    #[error("the mail can never be sent")]
    Never(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sends mails.
#[async_trait]
pub trait Notifier: fmt::Debug + Send + Sync + 'static {
    /// Sends one mail, at least as far as somebody took it over who keeps it.
    async fn deliver(&self, message: &Message) -> Result<(), NotifyError>;
}

/// Makes the links that mails have in them.
pub trait Links: fmt::Debug + Send + Sync + 'static {
    /// Where the marketplace is found.
    fn home(&self) -> String;

    /// Where this user may set another password with this leave. A secret: it is written into the user's mail and
    /// nowhere else.
    fn password_reset(&self, user: UserId, reset: ResetId) -> String;
}

/// What mails are sent with.
#[derive(Debug, Clone, Copy)]
pub struct Mailing<'a> {
    /// Sends them.
    pub notifier: &'a dyn Notifier,
    /// Makes their links.
    pub links: &'a dyn Links,
    /// Who is mailed what administrators are told; nobody if absent.
    pub administrators: Option<&'a Email>,
}
