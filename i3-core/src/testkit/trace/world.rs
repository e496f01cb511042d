//! One marketplace that goes through a trace.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::house::{Ear, HouseRules, StepIds, bits};
use super::known::{Known, Leased, absent, note, pick};
use super::step::{Act, Choice, KeyUse, Step, Who};
use crate::access::{Actor, Permission, PermissionSet};
use crate::hub::HubState;
use crate::id::{ClientId, GrantId, HubId, LeaseId, OrderId, ProductId, TypedId, UserId};
use crate::market::{
    ActivateUser, CloseLease, Command, CreateRole, DescribeClient, DescribeHub, EditRole, ExtendLease,
    IdempotencyKey, MarketError, Marketplace, OpenLease, Publishing, PurgeThing, PutThing, ReclaimLease,
    RegisterClient, RegisterHub, RegisterUser, Registration, RemoveClient, RemoveMember, RemoveRole,
    RemoveThing, ReplaceClientSecret, SetClientState, SetHubState, SetMember, SetRoles, Settings,
    SuspendUser,
};
use crate::name::Label;
use crate::oauth::{ClientKind, RedirectUri, Scope};
use crate::role::{BuiltIn, RoleName};
use crate::secret::SecretHash;
use crate::store::{DynStore, StoreError, StoreErrorKind};
use crate::testkit::faults::FaultyStore;
use crate::testkit::{Checked, ensure};
use crate::thing::{Lifetime, Visibility};
use crate::time::{Clock as _, ManualClock, Timestamp};
use crate::usage::Missed;
use crate::user::Profile;

/// 2027-01-15, a moment like any other.
const BEGIN: i64 = 1_800_000_000_000_000;
/// Where the numbers of strangers' steps begin, which are in no trace.
const STRANGE: u64 = 1 << 39;

/// A new title; every fourth time, none.
pub(super) fn titled(what: &str, number: u8) -> Result<Option<Label>, StoreError> {
    if number.is_multiple_of(4) { Ok(None) } else { fit(format!("{what} {number} é").parse()).map(Some) }
}

/// The role of this number; from 200 on a built-in one.
fn role(number: u8) -> Result<RoleName, StoreError> {
    Ok(match number {
        200.. => {
            BuiltIn::ALL.into_iter().cycle().nth(usize::from(number)).map_or(RoleName::USER, BuiltIn::name)
        }
        _ => fit(format!("role-{number}").parse())?,
    })
}

/// Every permission whose place has this remainder, and from 200 on all of them.
fn permissions(number: u8) -> PermissionSet {
    let all = Permission::all().enumerate();
    all.filter(|(place, _)| number >= 200 || place % 5 == usize::from(number % 5))
        .map(|(_, one)| one)
        .collect()
}

/// Anything that a trace puts together wrongly; a mistake of the trace.
pub(super) fn fit<T, E: std::error::Error + Send + Sync + 'static>(
    made: Result<T, E>,
) -> Result<T, StoreError> {
    made.map_err(|error| {
        StoreError::new(StoreErrorKind::Unsupported, "the trace is wrong").with_source(error)
    })
}

pub(super) fn json(answer: &impl Serialize) -> Result<String, StoreError> {
    fit(serde_json::to_string(answer))
}

/// A refusal in words; a failure of the store stays one.
pub(super) fn refused(error: MarketError) -> Result<String, StoreError> {
    match error {
        MarketError::Store(error) => Err(error),
        other => Ok(format!("refused, {}: {other}", other.code())),
    }
}

/// A marketplace over one store, with its own clock and ids, and what it has learnt so far.
#[derive(Debug)]
pub struct World {
    market: Option<Marketplace>,
    settings: Settings,
    pub(super) clock: Arc<ManualClock>,
    ids: Arc<StepIds>,
    ear: Arc<Ear>,
    pub(super) known: Known,
    /// Whose turn it is: where its ids and its own key come from.
    turn: u64,
    /// How many steps were strangers'.
    strange: u64,
}

/// How one command is sent.
pub(super) struct Sent {
    actor: Actor,
    key: Option<IdempotencyKey>,
}

impl World {
    /// A marketplace that nobody knows yet. With `faults`, ids are given again after each fault.
    pub async fn open(
        store: DynStore,
        approval: bool,
        faults: Option<Arc<FaultyStore>>,
    ) -> Result<Self, StoreError> {
        let registration = if approval { Registration::Approval } else { Registration::Open };
        let publishing = if approval { Publishing::Review } else { Publishing::Direct };
        let mut world = Self {
            market: None,
            settings: Settings::default()
                .with_fee_points(1_000)
                .with_registration(registration)
                .with_publishing(publishing),
            clock: Arc::new(ManualClock::at(fit(Timestamp::from_micros(BEGIN))?)),
            ids: Arc::new(StepIds::over(faults)),
            ear: Arc::default(),
            known: Known::default(),
            turn: 0,
            strange: 0,
        };
        world.reopen(store).await?;
        Ok(world)
    }

    /// Lets go of the store.
    pub fn close(&mut self) {
        self.market = None;
    }

    /// Goes on over this store, which holds what the former held.
    pub async fn reopen(&mut self, store: DynStore) -> Result<(), StoreError> {
        self.market = Some(self.another(store).await?);
        Ok(())
    }

    /// A marketplace with the same clock, ids and settings over another handle of the store.
    pub(super) async fn another(&self, store: DynStore) -> Result<Marketplace, StoreError> {
        let market = Marketplace::open(store, Arc::new(HouseRules), &[])
            .await?
            .with_clock(self.clock.clone())
            .with_ids(self.ids.clone())
            .with_settings(self.settings.clone());
        market.listen(self.ear.clone());
        Ok(market)
    }

    /// The marketplace.
    pub fn market(&self) -> Result<&Marketplace, StoreError> {
        self.market
            .as_ref()
            .ok_or_else(|| StoreError::new(StoreErrorKind::Unsupported, "the store is closed"))
    }

    /// Does this step of the trace and says what came of it, with the changes of access that were announced.
    pub async fn step(&mut self, steps: &[Step], number: usize) -> Result<String, StoreError> {
        let Some(mut step) = steps.get(number) else { return Ok("no such step".to_owned()) };
        let mut turn = number;
        // Again of an again is the first one.
        while let Act::Again { back } = step.act {
            let earlier = turn.checked_sub(usize::from(back).max(1));
            let Some((earlier, found)) = earlier.and_then(|turn| Some((turn, steps.get(turn)?))) else {
                return Ok("nothing to do again".to_owned());
            };
            (turn, step) = (earlier, found);
        }
        self.turn = fit(u64::try_from(turn))?;
        let mut known = None;
        if let Who::Stranger(_) = step.who {
            self.strange += 1;
            self.ids.begin(STRANGE + self.strange);
            known = Some(self.known.clone());
        } else {
            self.ids.begin(fit(u64::try_from(number))?);
        }
        self.ear.take();
        let answer = match &step.act {
            Act::Look(look) => self.look(*look, self.actor(step.who, Actor::System)).await?,
            Act::Wait { seconds } => {
                self.clock.advance(Duration::from_secs(*seconds));
                format!("it is {}", self.clock.now())
            }
            Act::PostNotices => match self.market()?.post_notices().await {
                Ok(count) => format!("{count} notices"),
                Err(error) => refused(error)?,
            },
            Act::Expire => match self.market()?.expire(Actor::System).await {
                Ok(count) => format!("{count} expired"),
                Err(error) => refused(error)?,
            },
            Act::Reopen | Act::Again { .. } => "the store was opened again".to_owned(),
            Act::OpenLease { .. }
            | Act::ExtendLease { .. }
            | Act::CloseLease { .. }
            | Act::ReclaimLease { .. } => self.meter(step).await?,
            Act::TopUp { .. }
            | Act::Purchase { .. }
            | Act::CancelOrder { .. }
            | Act::RevokeGrant { .. }
            | Act::ExpireGrant { .. }
            | Act::ReplaceOrderPassword { .. }
            | Act::RateProduct { .. } => self.trade(step).await?,
            Act::RegisterClient { .. }
            | Act::DescribeClient { .. }
            | Act::ReplaceClientSecret { .. }
            | Act::SetClientState { .. }
            | Act::RemoveClient { .. } => self.clients(step).await?,
            Act::Invite { .. }
            | Act::WithdrawInvitation { .. }
            | Act::RegisterInvited { .. }
            | Act::RejectUser { .. }
            | Act::DescribeUser { .. }
            | Act::ChangePassword { .. }
            | Act::AskPasswordReset { .. }
            | Act::ResetPassword { .. }
            | Act::EndLogins { .. } => self.accounts(step).await?,
            Act::PutThing { .. } | Act::RemoveThing { .. } | Act::PurgeThing { .. } => {
                self.things(step).await?
            }
            Act::RegisterUser { .. }
            | Act::SuspendUser { .. }
            | Act::ActivateUser { .. }
            | Act::SetRoles { .. }
            | Act::CreateRole { .. }
            | Act::EditRole { .. }
            | Act::RemoveRole { .. }
            | Act::RegisterHub { .. }
            | Act::SetMember { .. }
            | Act::RemoveMember { .. }
            | Act::SetHubState { .. }
            | Act::DescribeHub { .. } => self.people(step).await?,
            Act::ChangeOntology { text, first } => self.change_ontology(step, *text, *first).await?,
            Act::Object(act) => self.objects(step, act).await?,
            Act::Analytics(act) => self.analytics(step, *act).await?,
            _ => self.sale(step).await?,
        };
        if let Some(known) = known {
            self.known = known;
        }
        let heard = self.ear.take();
        Ok(if heard.is_empty() { answer } else { format!("{answer}; announced: {heard:?}") })
    }

    pub(super) fn actor(&self, who: Who, fitting: Actor) -> Actor {
        match who {
            Who::Fitting => fitting,
            Who::System => Actor::System,
            Who::Anonymous => Actor::Anonymous,
            Who::User(user) => Actor::User(pick(&self.known.users, user, absent())),
            Who::Stranger(user) => Actor::User(user),
        }
    }

    pub(super) fn sent(&self, step: &Step, fitting: Actor) -> Result<Sent, StoreError> {
        let key = match step.key {
            KeyUse::None => None,
            KeyUse::Own => Some(format!("step-{}", self.turn)),
            KeyUse::Shared(key) => Some(format!("shared-{key}")),
        };
        let key = key.map(|key| fit(key.parse())).transpose()?;
        Ok(Sent { actor: self.actor(step.who, fitting), key })
    }

    /// Sends a command: its answer, and what to say of it.
    pub(super) async fn run<C: Command>(
        &self,
        sent: Sent,
        command: &C,
    ) -> Result<(Option<C::Done>, String), StoreError> {
        match self.market()?.execute(sent.actor, sent.key.as_ref(), command).await {
            Ok(done) => {
                let words = format!("{}: {}", C::NAME, json(&done)?);
                Ok((Some(done), words))
            }
            Err(error) => Ok((None, format!("{} {}", C::NAME, refused(error)?))),
        }
    }

    pub(super) fn user(&self, choice: Choice) -> UserId {
        pick(&self.known.users, choice, absent())
    }

    pub(super) fn hub(&self, choice: Choice) -> (HubId, Actor) {
        let (hub, founder) = pick(&self.known.hubs, choice, (absent(), absent()));
        (hub, Actor::User(founder))
    }

    pub(super) fn product(&self, choice: Choice) -> (ProductId, UserId) {
        pick(&self.known.products, choice, (absent(), absent()))
    }

    pub(super) fn order(&self, choice: Choice) -> (OrderId, UserId, UserId) {
        pick(&self.known.orders, choice, (absent(), absent(), absent()))
    }

    async fn people(&mut self, step: &Step) -> Result<String, StoreError> {
        let set = |roles: &[RoleName]| roles.iter().cloned().collect::<BTreeSet<_>>();
        let words = match &step.act {
            Act::RegisterUser { name, roles } => {
                let register = RegisterUser {
                    name: fit(format!("user-{name}").parse())?,
                    display: fit(format!("User {name}, 用户").parse())?,
                    email: Some(fit(format!("user{name}@example.org").parse())?),
                    roles: set(roles),
                    profile: Profile::default(),
                    invitation: None,
                    password: Some(SecretHash::new("hash")),
                };
                let (done, words) = self.run(self.sent(step, Actor::Anonymous)?, &register).await?;
                note(&mut self.known.users, done.map(|user| user.id));
                words
            }
            Act::SuspendUser { user } => {
                let command = SuspendUser { user: self.user(*user) };
                self.run(self.sent(step, Actor::System)?, &command).await?.1
            }
            Act::ActivateUser { user } => {
                let command = ActivateUser { user: self.user(*user) };
                self.run(self.sent(step, Actor::System)?, &command).await?.1
            }
            Act::SetRoles { user, roles } => {
                let command = SetRoles { user: self.user(*user), roles: set(roles) };
                self.run(self.sent(step, Actor::System)?, &command).await?.1
            }
            Act::CreateRole { name, permissions: some } => {
                let command = CreateRole {
                    name: role(*name)?,
                    label: fit(format!("RoleName {name} é").parse())?,
                    about: fit("What it's \"for\".".parse())?,
                    permissions: permissions(*some),
                };
                self.run(self.sent(step, Actor::System)?, &command).await?.1
            }
            Act::EditRole { name, expected, permissions: some } => {
                let command = EditRole {
                    name: role(*name)?,
                    expected: *expected,
                    label: fit(format!("RoleName {name}, {some}").parse())?,
                    about: fit("".parse())?,
                    permissions: permissions(*some),
                };
                self.run(self.sent(step, Actor::System)?, &command).await?.1
            }
            Act::RemoveRole { name, expected } => {
                let command = RemoveRole { name: role(*name)?, expected: *expected };
                self.run(self.sent(step, Actor::System)?, &command).await?.1
            }
            Act::RegisterHub { founder, slug } => {
                let command = RegisterHub {
                    slug: fit(format!("hub-{slug}").parse())?,
                    title: fit(format!("Hub {slug}").parse())?,
                };
                let founder = self.user(*founder);
                let (done, words) = self.run(self.sent(step, Actor::User(founder))?, &command).await?;
                note(&mut self.known.hubs, done.map(|hub| (hub.id, founder)));
                words
            }
            Act::SetMember { hub, user, role } => {
                let (hub, founder) = self.hub(*hub);
                let command = SetMember { hub, user: self.user(*user), role: *role };
                self.run(self.sent(step, founder)?, &command).await?.1
            }
            Act::RemoveMember { hub, user } => {
                let (hub, founder) = self.hub(*hub);
                let command = RemoveMember { hub, user: self.user(*user) };
                self.run(self.sent(step, founder)?, &command).await?.1
            }
            Act::SetHubState { hub, active } => {
                let state = if *active { HubState::Active } else { HubState::Suspended };
                let command = SetHubState { hub: self.hub(*hub).0, state };
                self.run(self.sent(step, Actor::System)?, &command).await?.1
            }
            Act::DescribeHub { hub, title } => {
                let (hub, founder) = self.hub(*hub);
                let command = DescribeHub { hub, title: titled("Hub", *title)? };
                self.run(self.sent(step, founder)?, &command).await?.1
            }
            _ => "no command about people".to_owned(),
        };
        Ok(words)
    }

    fn client(&self, choice: Choice) -> (ClientId, Actor) {
        let (client, owner) = pick(&self.known.clients, choice, (absent(), absent()));
        (client, Actor::User(owner))
    }

    async fn clients(&mut self, step: &Step) -> Result<String, StoreError> {
        let scopes = |count: u8| -> Result<BTreeSet<Scope>, StoreError> {
            (0..count).map(|number| fit(format!("thing:{number}").parse())).collect()
        };
        let uris = |some: bool| -> Result<BTreeSet<RedirectUri>, StoreError> {
            some.then(|| fit("https://app.example/callback".parse())).into_iter().collect()
        };
        let words = match &step.act {
            Act::RegisterClient { owner, kind, redirected } => {
                let command = RegisterClient {
                    label: fit("An app, 应用".parse())?,
                    kind: *kind,
                    scopes: scopes(2)?,
                    redirect_uris: uris(*redirected)?,
                };
                let owner = self.user(*owner);
                let (done, words) = self.run(self.sent(step, Actor::User(owner))?, &command).await?;
                if *kind == ClientKind::Machine {
                    note(&mut self.known.machines, done.as_ref().map(|client| client.id));
                }
                note(&mut self.known.clients, done.map(|client| (client.id, owner)));
                words
            }
            Act::DescribeClient { client, scopes: count } => {
                let (client, owner) = self.client(*client);
                let machine = self.known.machines.contains(&client);
                let command = DescribeClient {
                    client,
                    label: Some(fit(format!("App {count}").parse())?),
                    scopes: Some(scopes(*count)?),
                    redirect_uris: Some(uris(!machine)?),
                };
                self.run(self.sent(step, owner)?, &command).await?.1
            }
            Act::ReplaceClientSecret { client } => {
                let (client, owner) = self.client(*client);
                self.run(self.sent(step, owner)?, &ReplaceClientSecret { client }).await?.1
            }
            Act::SetClientState { client, state } => {
                // Who runs the marketplace may switch off and on whatever the owner may not.
                let command = SetClientState { client: self.client(*client).0, state: *state };
                self.run(self.sent(step, Actor::System)?, &command).await?.1
            }
            Act::RemoveClient { client } => {
                let (client, owner) = self.client(*client);
                self.run(self.sent(step, owner)?, &RemoveClient { client }).await?.1
            }
            _ => "no command about clients".to_owned(),
        };
        Ok(words)
    }

    async fn things(&self, step: &Step) -> Result<String, StoreError> {
        let id = |number: u8| fit(format!("urn:example:thing-{number}").parse());
        Ok(match &step.act {
            Act::PutThing { owner, thing, private, ttl } => {
                let command = PutThing {
                    thing: id(*thing)?,
                    anonymous: *thing == 0,
                    document: format!("{{\"title\":\"No. {thing}, 물건\"}}"),
                    visibility: private.then_some(Visibility::Private),
                    lifetime: Lifetime { ttl: ttl.map(|seconds| seconds * 1_000_000), expires: None },
                    expect: None,
                };
                self.run(self.sent(step, Actor::User(self.user(*owner)))?, &command).await?.1
            }
            Act::RemoveThing { owner, thing } => {
                let command = RemoveThing { thing: id(*thing)?, expect: None };
                self.run(self.sent(step, Actor::User(self.user(*owner)))?, &command).await?.1
            }
            Act::PurgeThing { thing } => {
                self.run(self.sent(step, Actor::System)?, &PurgeThing { thing: id(*thing)? }).await?.1
            }
            _ => "no command about things".to_owned(),
        })
    }

    async fn meter(&mut self, step: &Step) -> Result<String, StoreError> {
        let sent = self.sent(step, Actor::System)?;
        let none = Leased { id: absent(), granted: 0, delivered: 0, before: None };
        let reported = |lease: &Leased, by: u8| {
            let more = u64::from(by);
            if by >= 200 { lease.granted + more } else { (lease.delivered + more).min(lease.granted) }
        };
        // Some for each reason.
        let missed = |count: u8| {
            let count = u64::from(count);
            Missed { slow: count, offline: count / 2, expired: count / 3, too_large: count % 5 }
        };
        match &step.act {
            Act::OpenLease { order, holder, messages } => {
                // Of the step that it was first asked in: asked again, it is the same lease.
                let id = LeaseId::from_bits(bits(fit(Timestamp::from_micros(BEGIN))?, self.turn, 1 << 30));
                let grant = GrantId::of(self.order(*order).0);
                let command =
                    OpenLease { lease: id, grant, holder: format!("gate-{holder}"), messages: *messages };
                let (done, words) = self.run(sent, &command).await?;
                if let Some(done) = done
                    && self.known.leases.iter().all(|lease| lease.id != id)
                {
                    self.known.leases.push(Leased { id, granted: done.granted, delivered: 0, before: None });
                }
                Ok(words)
            }
            Act::ExtendLease { lease, delivered, missed: so_many, more } => {
                let lease = pick(&self.known.leases, *lease, none).as_of(self.turn);
                let (delivered, granted) = (reported(&lease, *delivered), lease.granted + more);
                let command = ExtendLease { lease: lease.id, delivered, missed: missed(*so_many), granted };
                let (done, words) = self.run(sent, &command).await?;
                if let Some(done) = done
                    && let Some(known) = self.known.leases.iter_mut().find(|known| known.id == lease.id)
                {
                    known.before = Some((self.turn, lease.granted, lease.delivered));
                    (known.delivered, known.granted) = (delivered, done.granted);
                }
                Ok(words)
            }
            Act::CloseLease { lease, delivered, missed: so_many } => {
                let lease = pick(&self.known.leases, *lease, none).as_of(self.turn);
                let (delivered, missed) = (reported(&lease, *delivered), missed(*so_many));
                let command = CloseLease { lease: lease.id, delivered, missed };
                Ok(self.run(sent, &command).await?.1)
            }
            Act::ReclaimLease { lease } => {
                let lease = pick(&self.known.leases, *lease, none).as_of(self.turn);
                Ok(self.run(sent, &ReclaimLease { lease: lease.id, hold: true }).await?.1)
            }
            _ => Ok("no command of a gate".to_owned()),
        }
    }

    /// Makes sure that the books balance, and that people are counted as their histories say.
    pub async fn check(&self) -> Checked {
        let report = self.market()?.reconcile(Actor::System).await?;
        ensure!(report.differences.is_empty(), "the books do not balance: {:?}", report.differences);
        ensure!(
            report.ledger_sums.values().all(|sum| sum == "0"),
            "the ledger sums to {:?}",
            report.ledger_sums
        );
        self.check_counts().await
    }
}
