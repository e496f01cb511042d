//! The one decision behind every dialect.

use std::sync::Arc;
use std::time::Duration;

use i3_core::gate::{Admission, Authenticator, Directory, Login, LoginError, Principal};
use i3_core::id::GrantId;
use i3_core::name::Topic;
use i3_core::store::StoreError;
use i3_core::time::{Clock, Timestamp};

use super::Roster;

/// What a client wants to do with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Send messages to it.
    Publish,
    /// Ask for its messages.
    Subscribe,
    /// Be given one message of it. Decided as a subscription is; it is not charged.
    Receive,
}

/// Why it was decided so. For the operator; a client is told yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It is allowed.
    Allowed,
    /// The call could not be understood.
    Malformed,
    /// The call did not show the secret.
    WrongSecret,
    /// No user name, or one that nobody has.
    UnknownName,
    /// The user name with this password lets nobody in.
    NotAccepted,
    /// The client id does not belong to the user name; see [`DeciderConfig::bind_client_ids`].
    ForeignClientId,
    /// The device or its hub is not active.
    DeviceNotActive,
    /// The order's access has ended, or something that it rests on is not active.
    GrantNotOpen,
    /// Each message of the order counts, and nobody would count; see [`DeciderConfig::counted_orders`].
    CountedOrder,
    /// Devices receive nothing and orders publish nothing.
    OtherDirection,
    /// Not the topic of a product of this device, or not the topic of this order.
    OtherTopic,
    /// Too many logins at the moment.
    Busy,
    /// The store gave no answer.
    StoreUnavailable,
}

impl Reason {
    /// A stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Malformed => "malformed",
            Self::WrongSecret => "wrong_secret",
            Self::UnknownName => "unknown_name",
            Self::NotAccepted => "not_accepted",
            Self::ForeignClientId => "foreign_client_id",
            Self::DeviceNotActive => "device_not_active",
            Self::GrantNotOpen => "grant_not_open",
            Self::CountedOrder => "counted_order",
            Self::OtherDirection => "other_direction",
            Self::OtherTopic => "other_topic",
            Self::Busy => "busy",
            Self::StoreUnavailable => "store_unavailable",
        }
    }

    /// Whether the same question may have another answer in a moment, though nothing changed.
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::Busy | Self::StoreUnavailable)
    }
}

/// A yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allow: bool,
    /// How long the answer may be kept; nothing for a no.
    pub valid_for: Duration,
    /// Why.
    pub reason: Reason,
}

impl Decision {
    /// No.
    pub const fn no(reason: Reason) -> Self {
        Self { allow: false, valid_for: Duration::ZERO, reason }
    }

    const fn yes(valid_for: Duration) -> Self {
        Self { allow: true, valid_for, reason: Reason::Allowed }
    }
}

/// All that a principal may do now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    /// The topics that it may publish.
    pub publish: Vec<Topic>,
    /// The topics that it may subscribe to and receive.
    pub receive: Vec<Topic>,
    /// When the rights end, if that is known.
    pub until: Option<Timestamp>,
}

/// A login that was decided on.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Whether the client may connect.
    pub decision: Decision,
    /// Whom it speaks for, if it may.
    pub admission: Option<Admission>,
}

/// How decisions are made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeciderConfig {
    /// How long a yes may be kept at most. 10 seconds by default: so long a broker that keeps answers may go
    /// on after access has ended, unless the client is kicked.
    pub valid_for: Duration,
    /// Whether a client id has to be the user name, or the user name followed by `:` and anything. By default
    /// it has to: to other brokers a client id is one of all clients, so that whoever may choose it freely can
    /// disconnect others and take over their sessions.
    pub bind_client_ids: bool,
    /// Whether orders may receive that have a quota or a price per message, though nothing is counted or billed
    /// here. By default they may not: what was paid for by number is delivered by the [`Gate`](crate::Gate).
    pub counted_orders: bool,
    /// When a connection ends at the latest, for brokers that can be told; then the client has to log in again.
    /// Without a limit by default.
    pub longest_session: Option<Duration>,
}

impl Default for DeciderConfig {
    fn default() -> Self {
        let valid_for = Duration::from_secs(10);
        Self { valid_for, bind_client_ids: true, counted_orders: false, longest_session: None }
    }
}

/// Decides what clients of other brokers may do.
#[derive(Debug, Clone)]
pub struct Decider {
    authenticator: Arc<dyn Authenticator>,
    directory: Arc<dyn Directory>,
    roster: Arc<dyn Roster>,
    clock: Arc<dyn Clock>,
    config: DeciderConfig,
}

impl Decider {
    /// Decides by these ports.
    pub fn new(
        authenticator: Arc<dyn Authenticator>,
        directory: Arc<dyn Directory>,
        roster: Arc<dyn Roster>,
        clock: Arc<dyn Clock>,
        config: DeciderConfig,
    ) -> Self {
        Self { authenticator, directory, roster, clock, config }
    }

    /// May this client connect?
    pub async fn login(&self, login: Login<'_>) -> Entry {
        let no = |reason| Entry { decision: Decision::no(reason), admission: None };
        let Some(name) = login.username else { return no(Reason::UnknownName) };
        if self.config.bind_client_ids && !is_of(login.client_id, name) {
            return no(Reason::ForeignClientId);
        }
        let mut admission = match self.authenticator.authenticate(login).await {
            Ok(admission) => admission,
            Err(LoginError::Busy) => return no(Reason::Busy),
            Err(LoginError::Store(error)) => return no(unanswered(&error)),
            Err(_) => return no(Reason::NotAccepted),
        };
        let now = self.clock.now();
        if let Some(limit) = self.config.longest_session {
            let end = now.plus(limit);
            admission.until = Some(admission.until.map_or(end, |until| until.min(end)));
        }
        let valid_for = self.validity(admission.until, now);
        if valid_for.is_zero() {
            return no(Reason::NotAccepted);
        }
        Entry { decision: Decision::yes(valid_for), admission: Some(admission) }
    }

    /// May the client of this user name, whom the broker has let in, do this?
    pub async fn decide(&self, username: Option<&str>, act: Act, topic: &str) -> Decision {
        let decisions = self.decide_each(username, act, &[topic]).await;
        decisions.first().copied().unwrap_or(Decision::no(Reason::OtherTopic))
    }

    /// As [`decide`](Self::decide), for several topics; the marketplace is asked once.
    pub async fn decide_each(&self, username: Option<&str>, act: Act, topics: &[&str]) -> Vec<Decision> {
        let all = |reason| vec![Decision::no(reason); topics.len()];
        let Some(name) = username else { return all(Reason::UnknownName) };
        let principal = match self.roster.principal(name).await {
            Ok(Some(principal)) => principal,
            Ok(None) => return all(Reason::UnknownName),
            Err(error) => return all(unanswered(&error)),
        };
        match self.rights(principal).await {
            Ok(rights) => topics.iter().map(|topic| self.decide_by(principal, &rights, act, topic)).collect(),
            Err(reason) => all(reason),
        }
    }

    fn decide_by(&self, principal: Principal, rights: &Rights, act: Act, topic: &str) -> Decision {
        let (own, other) = match act {
            Act::Publish => (&rights.publish, matches!(principal, Principal::Order { .. })),
            Act::Subscribe | Act::Receive => (&rights.receive, matches!(principal, Principal::Device { .. })),
        };
        if other {
            return Decision::no(Reason::OtherDirection);
        }
        // Exactly: a wildcard, a shared subscription or a `$` topic is no product's topic.
        if !own.iter().any(|own| own.as_str() == topic) {
            return Decision::no(Reason::OtherTopic);
        }
        let valid_for = self.validity(rights.until, self.clock.now());
        if valid_for.is_zero() { Decision::no(Reason::GrantNotOpen) } else { Decision::yes(valid_for) }
    }

    /// All that a principal may do now, or why it may do nothing.
    pub async fn rights(&self, principal: Principal) -> Result<Rights, Reason> {
        match principal {
            Principal::Device { device, .. } => {
                match self.directory.publish_rights(device).await.map_err(|error| unanswered(&error))? {
                    Some(rights) => {
                        let publish = rights.into_iter().map(|right| right.topic).collect();
                        Ok(Rights { publish, ..Rights::default() })
                    }
                    None => Err(Reason::DeviceNotActive),
                }
            }
            Principal::Order { order, .. } => {
                let grant = self.directory.grant(GrantId::of(order)).await;
                match grant.map_err(|error| unanswered(&error))?.filter(|grant| grant.open) {
                    Some(grant) if grant.counted && !self.config.counted_orders => Err(Reason::CountedOrder),
                    Some(grant) => {
                        Ok(Rights { receive: vec![grant.topic], until: grant.until, ..Rights::default() })
                    }
                    None => Err(Reason::GrantNotOpen),
                }
            }
        }
    }

    fn validity(&self, until: Option<Timestamp>, now: Timestamp) -> Duration {
        until.map_or(self.config.valid_for, |until| until.since(now).min(self.config.valid_for))
    }
}

fn unanswered(error: &StoreError) -> Reason {
    tracing::error!(code = error.kind().code(), "a broker's question could not be decided: {error}");
    Reason::StoreUnavailable
}

/// Whether a client id belongs to a user name.
fn is_of(client_id: &str, name: &str) -> bool {
    client_id.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}
