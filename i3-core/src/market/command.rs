//! What a command is, and how one is carried out: receipt, policy, effect, audit and outbox in one batch.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::{Condition, Refusal, Settings};
use crate::access::{Action, Actor, Bound, Denial, Noted, Policy, Purpose, Resource, Subject, decide};
use crate::audit::{self, AuditEntry};
use crate::gate::AccessChange;
use crate::hub::{Hub, Membership, MembershipId};
use crate::id::{ClientId, HubId, IdBits, UserId};
use crate::ontology::OntologyCheck;
use crate::outbox::{self, Event, OutboxEntry};
use crate::portable::Part;
use crate::role::{RoleBook, TheBook};
use crate::store::{
    Batch, Body, Collection, Decision as Rule, Digest, Entity, Halt, Key, Kind, Op, Outcome, Receipt,
    StoreError, StoreErrorKind, Tx, Value,
};
use crate::stream::{SchemaCheck, check_schema};
use crate::time::Timestamp;
use crate::user::{User, UserState};

/// The result of a pure decision.
pub type Decided<T> = Result<T, Halt<Refusal>>;

/// Something that an actor wants done.
///
/// A command is plain data. `decide` is its rule: pure, and made again from the start after a conflict.
/// The serialized command is what an idempotency key stands for, and what the audit log keeps: secrets are
/// left out of it (`#[serde(skip)]`), and are stored in [collections of their own](crate::market::contents).
/// Read back from the log the command must be the same, but for its secrets.
///
/// For [replay](crate::market::replay) the rule must depend on nothing but the command, what the [`Context`]
/// answers and the records that it found. If it relies on a record not being there, it creates the record,
/// or reads another one that changes when the first one comes into being.
pub trait Command: Serialize + DeserializeOwned + Sync {
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

    /// What is stored of an answer under an idempotency key: all of it, unless
    /// [`answer_again`](Self::answer_again) needs less.
    fn keep(done: &Self::Done) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(done)
    }

    /// The very answer that was given, from what was kept of it.
    fn answer_again(kept: serde_json::Value, _tx: &mut Tx<'_, Refusal>) -> Decided<Self::Done> {
        Ok(serde_json::from_value(kept).map_err(unreadable)?)
    }
}

/// Where a rule's surroundings come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin<'a> {
    /// Somebody sends the command now.
    Live {
        policy: &'a dyn Policy,
        settings: &'a Settings,
        schemas: Option<&'a dyn SchemaCheck>,
        ontologies: Option<&'a dyn OntologyCheck>,
    },
    /// It is carried out again as this entry of an audit log says, whose text this is.
    Log { entry: &'a AuditEntry, text: &'a str },
}

/// What a command sees, and what it does.
#[derive(Debug)]
pub struct Context<'c, 't> {
    /// The store, as this decision sees it.
    pub tx: &'c mut Tx<'t, Refusal>,
    origin: Origin<'c>,
    noted: Option<&'c Noted>,
    subject: Subject,
    /// How many questions the policy was asked.
    asked: usize,
    denied: Vec<usize>,
    used_settings: bool,
    events: Vec<Event>,
    changes: Vec<AccessChange>,
}

impl<'c> Context<'c, '_> {
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

    /// How the marketplace is set up, or was when the command was first carried out.
    pub fn settings(&mut self) -> &'c Settings {
        self.used_settings = true;
        match self.origin {
            Origin::Live { settings, .. } => settings,
            Origin::Log { entry, .. } => entry.settings.as_ref().unwrap_or(&Settings::DEFAULT),
        }
    }

    /// Whether the command comes from an audit log, and so without its secrets.
    pub fn is_replayed(&self) -> bool {
        matches!(self.origin, Origin::Log { .. })
    }

    /// Refuses unless the policy allows the action, and the scopes of the program that asks. In a replay the answers
    /// are those that were given.
    pub fn authorize(&mut self, action: Action, resource: &Resource) -> Decided<()> {
        let question = self.asked;
        self.asked += 1;
        let decision = match self.origin {
            Origin::Live { policy, .. } => decide(policy, &self.subject, Purpose::Changing, action, resource),
            Origin::Log { entry, .. } if entry.denied.contains(&question) => {
                Err(Denial::Forbidden("the audit log".into()))
            }
            Origin::Log { .. } => Ok(()),
        };
        decision.map_err(|denial| {
            self.denied.push(question);
            if let Some(noted) = self.noted {
                noted.note(action, &denial);
            }
            Halt::Refused(Refusal::denied(action, denial))
        })
    }

    /// Refuses a text that is no JSON Schema for a product. What the log has was accepted.
    pub fn check_schema(&self, schema: &str) -> Decided<()> {
        let Origin::Live { schemas, .. } = self.origin else { return Ok(()) };
        let refused = |reason: String| Halt::Refused(Refusal::Invalid { field: "schema", reason });
        check_schema(schema).map_err(|error| refused(error.to_string()))?;
        schemas.map_or(Ok(()), |schemas| schemas.check(schema)).map_err(refused)
    }

    /// What is wrong with a text that is to be added to the ontology. What the log has was accepted.
    pub fn check_ontology(&self, turtle: &str) -> Result<(), String> {
        match self.origin {
            Origin::Live { ontologies: Some(ontologies), .. } => ontologies.check(turtle),
            _ => Ok(()),
        }
    }

    /// What each role allows.
    pub fn roles(&mut self) -> Decided<RoleBook> {
        Ok(self.tx.get(&TheBook)?.unwrap_or_default())
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
/// 1 to 64 visible ASCII characters; each actor has a space of keys to itself, and so has each program that acts for
/// one.
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

impl IdempotencyKey {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
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
    /// The program, if one acted, the actor and the key; the record's id says it.
    #[serde(skip)]
    id: String,
    /// See [`Request::fingerprint`].
    request: String,
    /// What the command keeps of its answer.
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

pub(super) fn answers() -> Part {
    Part::records::<Answer>()
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

    fn from_body(key: &Key, body: &Body) -> Result<Self, StoreError> {
        let mut answer: Self = crate::store::read_body(key, body)?;
        key.id().clone_into(&mut answer.id);
        Ok(answer)
    }
}

/// A command without its types, so that what is the same for all of them is compiled once.
pub(super) trait Steps: Sync {
    fn name(&self) -> &'static str;
    fn keys(&self) -> Result<Vec<Key>, StoreError>;
    /// Decides; what is to be kept of the answer, if it `is_kept`.
    fn decide(&self, context: &mut Context<'_, '_>, is_kept: bool) -> Decided<Option<serde_json::Value>>;
    fn answer_again(&self, kept: serde_json::Value, tx: &mut Tx<'_, Refusal>) -> Decided<()>;
}

/// A command and, after it was decided, its answer.
pub(super) struct Asked<'a, C: Command> {
    command: &'a C,
    /// That of the last decision. Nobody else locks it.
    done: Mutex<Option<C::Done>>,
}

impl<'a, C: Command> Asked<'a, C> {
    pub(super) fn new(command: &'a C) -> Self {
        Self { command, done: Mutex::new(None) }
    }

    fn set(&self, done: C::Done) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
    }

    /// The answer. There is one after an execution that succeeded.
    pub(super) fn into_done(self) -> Result<C::Done, StoreError> {
        let done = self.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.ok_or_else(|| StoreError::new(StoreErrorKind::Unsupported, "the command was not decided"))
    }
}

impl<C: Command> Steps for Asked<'_, C> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        self.command.keys()
    }

    fn decide(&self, context: &mut Context<'_, '_>, is_kept: bool) -> Decided<Option<serde_json::Value>> {
        let done = self.command.decide(context)?;
        let kept = if is_kept { Some(C::keep(&done).map_err(unfit)?) } else { None };
        self.set(done);
        Ok(kept)
    }

    fn answer_again(&self, kept: serde_json::Value, tx: &mut Tx<'_, Refusal>) -> Decided<()> {
        self.set(C::answer_again(kept, tx)?);
        Ok(())
    }
}

/// What a command asks for, as text: its JSON without secrets.
pub(super) struct Request {
    text: Box<RawValue>,
    /// What an idempotency key stands for: 128 bits of the digest of the command's name and its text. Each actor and
    /// program has keys to itself, so whoever looks for two requests with one fingerprint deceives nobody else.
    fingerprint: String,
}

impl Request {
    pub(super) fn of<C: Command>(command: &C) -> Result<Self, StoreError> {
        Ok(Self::new(C::NAME, to_raw_value(command).map_err(unfit)?))
    }

    fn new(name: &str, text: Box<RawValue>) -> Self {
        let digest = Digest::of(format!("{name}\n{text}").as_bytes());
        let (half, _) = digest.as_bytes().split_at(16);
        Self { text, fingerprint: data_encoding::HEXLOWER.encode(half) }
    }
}

/// One command on its way.
pub(super) struct Execution<'a> {
    pub(super) actor: Actor,
    /// What the program that acts for the actor may do at most, if one does.
    pub(super) bound: Option<&'a Bound>,
    /// The program that acts for the actor, if one does.
    pub(super) client: Option<ClientId>,
    /// Where what is denied is noted.
    pub(super) noted: Option<&'a Noted>,
    pub(super) key: Option<&'a IdempotencyKey>,
    pub(super) command: &'a dyn Steps,
    pub(super) condition: Option<&'a dyn Condition>,
    pub(super) request: Request,
    pub(super) origin: Origin<'a>,
}

/// A command that was carried out.
pub(super) struct Executed {
    pub(super) changes: Vec<AccessChange>,
    /// What happened, if this execution wrote it.
    pub(super) events: Vec<Event>,
    /// Where the outbox tells of the changes, if this execution wrote it.
    pub(super) told_at: Option<u64>,
}

fn unfit(error: serde_json::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, "a command or its answer is not JSON").with_source(error)
}

/// Of what was stored of an answer and cannot be read.
pub(super) fn unreadable(error: serde_json::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, "a stored answer cannot be read").with_source(error)
}

impl Rule for Execution<'_> {
    type Done = Executed;
    type Refusal = Refusal;

    fn decide(&self, tx: &mut Tx<'_, Refusal>) -> Decided<Self::Done> {
        let answer_id = self.key.map(|key| match self.client {
            // No actor is called like a client, so one's keys cannot be made to look like another's.
            Some(client) => format!("{client}:{}:{key}", self.actor),
            None => format!("{}:{key}", self.actor),
        });

        let mut first = self.command.keys()?;
        if let Some(id) = &answer_id {
            first.push(Answer::key(id)?);
        }
        if let Actor::User(user) = self.actor {
            first.extend([User::key(&user)?, RoleBook::book_key()?]);
        }
        tx.want(first)?;

        if let Some(id) = &answer_id
            && let Some(answer) = tx.get::<Answer>(id)?
        {
            if answer.request != self.request.fingerprint {
                return Err(Halt::Refused(Refusal::KeyReused));
            }
            self.command.answer_again(answer.done, tx)?;
            return Ok(Executed { changes: answer.access, events: Vec::new(), told_at: None });
        }
        if let Origin::Log { entry, .. } = self.origin {
            tx.recall_counters(&entry.counters);
        }

        // Before the command changes what it is about.
        let holds = self.condition.map_or(Ok(true), |condition| condition.holds(tx))?;
        let subject = subject(self.actor, self.bound, tx)?;
        let mut context = Context {
            tx,
            origin: self.origin,
            noted: self.noted,
            subject,
            asked: 0,
            denied: Vec::new(),
            used_settings: false,
            events: Vec::new(),
            changes: Vec::new(),
        };
        let kept = self.command.decide(&mut context, answer_id.is_some())?;
        // Only a request that would do something is refused for this (RFC 9110, section 13.2.1).
        if !holds {
            return Err(Halt::Refused(Refusal::Changed));
        }
        let settings = context.used_settings.then(|| context.settings().clone());
        let Context { tx, events, changes, denied, .. } = context;

        let at = tx.now();
        for (place, event) in events.iter().cloned().enumerate() {
            let access = if place == 0 { changes.clone() } else { Vec::new() };
            tx.append(outbox::stream()?, &OutboxEntry { at, event, access })?;
        }
        let entry = AuditEntry {
            at,
            actor: self.actor,
            client: self.client,
            command: self.command.name().to_owned(),
            request: &*self.request.text,
            key: self.key.map(ToString::to_string),
            ids: tx.ids().iter().copied().map(IdBits).collect(),
            counters: tx.counted().to_vec(),
            denied,
            settings: settings.filter(|settings| *settings != Settings::DEFAULT),
        };
        if let Origin::Log { text, .. } = self.origin {
            let again = serde_json::to_string(&entry).map_err(unfit)?;
            if again != text {
                let message = format!("`{}` carried out again gives another entry", self.command.name());
                return Err(StoreError::new(StoreErrorKind::Corrupt, message).into());
            }
        }
        tx.append(audit::stream()?, &entry)?;
        if let (Some(id), Some(done)) = (answer_id, kept) {
            let request = self.request.fingerprint.clone();
            tx.create(&Answer { id, request, done, access: changes.clone(), at })?;
        }
        Ok(Executed { changes, events, told_at: None })
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

/// What the policy may know of an actor. The marketplace itself has no roles: its gates' commands do not read
/// the book.
fn subject(actor: Actor, bound: Option<&Bound>, tx: &mut Tx<'_, Refusal>) -> Decided<Subject> {
    match actor {
        Actor::System => Ok(Subject::system()),
        Actor::Anonymous => Ok(Subject::anonymous()),
        Actor::User(user) => {
            let user: User = tx.need(&user, Refusal::NotFound { what: "user" })?;
            let book = tx.get(&TheBook)?.unwrap_or_default();
            Ok(subject_of(user, bound, &book))
        }
    }
}

/// A user as a policy sees one, acting through a program that is bound like this.
pub(super) fn subject_of(user: User, bound: Option<&Bound>, book: &RoleBook) -> Subject {
    let subject = Subject::user(user.id, user.roles, user.state == UserState::Active, book);
    match bound {
        Some(bound) => subject.through(bound, book),
        None => subject,
    }
}
