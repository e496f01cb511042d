//! What a command is, and how one is carried out: receipt, policy, effect, audit and outbox in one batch.

use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Refusal, Settings};
use crate::access::{Action, Actor, Policy, Resource, Role, Subject};
use crate::audit::{self, AuditEntry};
use crate::gate::AccessChange;
use crate::hub::{Hub, Membership, MembershipId};
use crate::id::{HubId, UserId};
use crate::outbox::{self, Event, OutboxEntry};
use crate::store::{
    Batch, Collection, Decision, Digest, Entity, Halt, Key, Kind, Op, Outcome, Receipt, StoreError,
    StoreErrorKind, Tx, Value,
};
use crate::time::Timestamp;
use crate::user::{User, UserState};

/// The result of a pure decision.
pub type Decided<T> = Result<T, Halt<Refusal>>;

/// Something that an actor wants done.
///
/// A command is plain data. `decide` is its rule: pure, and made again from the start after a conflict.
/// The serialized command (secrets left out) is what an idempotency key stands for.
pub trait Command: Serialize + Sync {
    /// The answer.
    type Done: Serialize + DeserializeOwned + Send;
    /// The name in the audit log, an imperative: `purchase`.
    const NAME: &'static str;

    /// What `decide` will ask for whatever it finds, to be fetched in one go.
    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        Ok(Vec::new())
    }

    /// Decides.
    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Self::Done>;
}

/// What a command sees, and what it does.
#[derive(Debug)]
pub struct Context<'c, 't> {
    /// The store, as this decision sees it.
    pub tx: &'c mut Tx<'t, Refusal>,
    /// How this marketplace is set up.
    pub settings: &'c Settings,
    policy: &'c dyn Policy,
    subject: Subject,
    events: Vec<Event>,
    changes: Vec<AccessChange>,
}

impl Context<'_, '_> {
    /// Who asks.
    pub fn actor(&self) -> Actor {
        self.subject.actor
    }

    /// The user who asks, if it is one.
    pub fn user(&self) -> Option<UserId> {
        match self.subject.actor {
            Actor::User(user) => Some(user),
            _ => None,
        }
    }

    /// Refuses unless the policy allows the action.
    pub fn authorize(&self, action: Action, resource: &Resource) -> Decided<()> {
        let decision = self.policy.decide(&self.subject, action, resource);
        if decision.allowed {
            return Ok(());
        }
        Err(Halt::Refused(Refusal::Forbidden { action, rule: decision.rule.into_owned() }))
    }

    /// The actor's membership in a hub.
    pub fn membership(&mut self, hub: HubId) -> Decided<Option<Membership>> {
        match self.user() {
            Some(user) => self.tx.get(&MembershipId { hub, user }),
            None => Ok(None),
        }
    }

    /// The hub, if the policy allows the actor this action there.
    pub fn hub_for(&mut self, hub: HubId, action: Action) -> Decided<Hub> {
        let mut keys = vec![Hub::key(&hub)?];
        if let Some(user) = self.user() {
            keys.push(Membership::key(&MembershipId { hub, user })?);
        }
        self.tx.want(keys)?;
        let found = self.tx.need(&hub, Refusal::NotFound { what: "hub" })?;
        let role = self.membership(hub)?.map(|membership| membership.role);
        self.authorize(action, &Resource::of_hub(role))?;
        Ok(found)
    }

    /// Tells the outbox.
    pub fn emit(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Tells the gates; the command returns to its caller only after they acted.
    pub fn access_changed(&mut self, change: AccessChange) {
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }
}

/// The caller's name for one request: however often it is sent, it has one effect and one answer.
/// 1 to 64 visible ASCII characters; each actor has a space of keys to itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

/// A text that is no [`IdempotencyKey`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key is 1 to 64 characters of visible ASCII")]
pub struct InvalidIdempotencyKey;

impl FromStr for IdempotencyKey {
    type Err = InvalidIdempotencyKey;

    fn from_str(text: &str) -> Result<Self, InvalidIdempotencyKey> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && (1..=64).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidIdempotencyKey)
        }
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The answer that a key stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answer {
    id: String,
    command: String,
    request: Digest,
    done: serde_json::Value,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    access: Vec<AccessChange>,
    at: Timestamp,
}

static ANSWERS: Collection = Collection {
    name: "answers",
    kind: Kind::Records,
    about: "what was answered under each idempotency key",
    columns: &[crate::store::Column::int("at")],
    indexes: &[],
};

pub(super) fn answers() -> &'static Collection {
    &ANSWERS
}

impl Entity for Answer {
    type Id = String;

    fn collection() -> &'static Collection {
        &ANSWERS
    }

    fn id(&self) -> String {
        self.id.clone()
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![Some(self.at.micros().into())]
    }
}

/// One command on its way.
pub(super) struct Execution<'a, C> {
    pub(super) actor: Actor,
    pub(super) key: Option<&'a IdempotencyKey>,
    pub(super) command: &'a C,
    /// The fingerprint of the command; see [`fingerprint`].
    pub(super) request: Digest,
    pub(super) policy: &'a dyn Policy,
    pub(super) settings: &'a Settings,
}

/// A command that was carried out.
pub(super) struct Executed<T> {
    pub(super) done: T,
    pub(super) changes: Vec<AccessChange>,
    /// Where the outbox tells of the changes, if this execution wrote it.
    pub(super) told_at: Option<u64>,
}

fn unfit(error: serde_json::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, "a command or its answer is not JSON").with_source(error)
}

/// What an idempotency key stands for: the digest of the command's name and of its JSON without secrets.
pub(super) fn fingerprint<C: Command>(command: &C) -> Result<Digest, StoreError> {
    let request = serde_json::to_string(command).map_err(unfit)?;
    Ok(Digest::of(format!("{}\n{request}", C::NAME).as_bytes()))
}

impl<C: Command> Decision for Execution<'_, C> {
    type Done = Executed<C::Done>;
    type Refusal = Refusal;

    fn decide(&self, tx: &mut Tx<'_, Refusal>) -> Decided<Self::Done> {
        let request = self.request;
        let answer_id = self.key.map(|key| format!("{}:{key}", self.actor));

        let mut first = self.command.keys()?;
        if let Some(id) = &answer_id {
            first.push(Answer::key(id)?);
        }
        if let Actor::User(user) = self.actor {
            first.push(User::key(&user)?);
        }
        tx.want(first)?;

        if let Some(id) = &answer_id
            && let Some(answer) = tx.get::<Answer>(id)?
        {
            if answer.request != request {
                return Err(Halt::Refused(Refusal::KeyReused));
            }
            let done = serde_json::from_value(answer.done).map_err(unfit)?;
            return Ok(Executed { done, changes: answer.access, told_at: None });
        }

        let subject = subject(self.actor, tx)?;
        let mut context = Context {
            tx,
            settings: self.settings,
            policy: self.policy,
            subject,
            events: Vec::new(),
            changes: Vec::new(),
        };
        let done = self.command.decide(&mut context)?;
        let Context { tx, events, changes, .. } = context;

        let answered = serde_json::to_value(&done).map_err(unfit)?;
        let at = tx.now();
        let command = C::NAME.to_owned();
        for (place, event) in events.into_iter().enumerate() {
            let access = if place == 0 { changes.clone() } else { Vec::new() };
            tx.append(outbox::stream()?, &OutboxEntry { at, event, access })?;
        }
        let entry =
            AuditEntry { at, actor: self.actor, command: command.clone(), request, done: answered.clone() };
        tx.append(audit::stream()?, &entry)?;
        if let Some(id) = answer_id {
            tx.create(&Answer { id, command, request, done: answered, access: changes.clone(), at })?;
        }
        Ok(Executed { done, changes, told_at: None })
    }

    fn committed(&self, done: &mut Self::Done, batch: &Batch, receipt: &Receipt) {
        let first = batch.ops().iter().zip(&receipt.outcomes).find_map(|(op, outcome)| match (op, outcome) {
            (Op::Append { stream, .. }, Outcome::Appended { position, .. })
                if stream.collection().name == outbox::OUTBOX.name =>
            {
                Some(*position)
            }
            _ => None,
        });
        done.told_at = first;
    }
}

/// What the policy may know of an actor.
fn subject(actor: Actor, tx: &mut Tx<'_, Refusal>) -> Decided<Subject> {
    match actor {
        Actor::System => Ok(Subject::system()),
        Actor::Anonymous => Ok(Subject::anonymous()),
        Actor::User(user) => {
            let user: User = tx.need(&user, Refusal::NotFound { what: "user" })?;
            Ok(subject_of(&user))
        }
    }
}

/// A user as a policy sees one.
pub(super) fn subject_of(user: &User) -> Subject {
    let roles: std::collections::BTreeSet<Role> = user.roles.clone();
    Subject { actor: Actor::User(user.id), roles, active: user.state == UserState::Active }
}
