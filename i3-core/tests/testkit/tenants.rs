//! Whatever a stranger sends, what belongs to others stays as it is, byte by byte; and a stranger reads of it what
//! everybody may.
//!
//! The commands are those of [traces](i3_core::testkit::trace), sent by somebody with a hub, an object and money of
//! their own, about things of others that the trace chooses; and some that mix what is one's own with what is not.

mod others;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use i3_core::access::{Actor, HubRole};
use i3_core::device::Device;
use i3_core::gate::Metering as _;
use i3_core::hub::Hub;
use i3_core::id::{DeviceId, GrantId, HubId, OrderId, ProductId, RandomIds, UserId, VirtualObjectId};
use i3_core::invitation::Invitation;
use i3_core::ledger::{Account, Holder};
use i3_core::market::{
    AttachFile, Command, Commands, CreateObject, CreateProduct, DenialFilter, EditObject, LinkProduct,
    MarketError, Marketplace, NewCredential, ObjectFilter, ObjectOrder, OrderFilter, PageRequest, Period,
    PublishOffer, Purchase, PutThing, RateProduct, RegisterDevice, RegisterHub, RegisterUser, SetMember,
    TimeOrder, TopUp, UserFilter, WhichVersion, collections,
};
use i3_core::money::{Amount, Currency};
use i3_core::notice::Recipient;
use i3_core::oauth::Client;
use i3_core::offer::{Offer, Plan};
use i3_core::order::Order;
use i3_core::product::{Product, ProductState};
use i3_core::role::RoleName;
use i3_core::secret::SecretHash;
use i3_core::store::{Digest, Entity, MemoryStore, Row, Scan, Store, StoreExt as _, limits};
use i3_core::stream::StreamDescription;
use i3_core::testkit::trace::{Act, AnalyticsAct, KeyUse, ObjectAct, Step, Who, World, opening, steps, tour};
use i3_core::testkit::{Checked, Stop, announce};
use i3_core::thing::{Lifetime, Thing, Visibility};
use i3_core::user::{Profile, User};
use i3_core::virtual_object::{Content, File, FileUpload, MediaType, ObjectKind, ObjectState, VirtualObject};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use self::others::Others;

/// What strangers may change although it is not theirs, by collection, and why.
const SHARED: [(&str, &str); 5] = [
    (
        "password_resets",
        "anybody may have a mail sent to the owner of an account: only who reads it gets further",
    ),
    ("invitations", "who holds an invitation uses it up; it belongs to the marketplace"),
    ("scores", "who received messages rates them"),
    ("popularity", "it counts what everybody of a domain did, until they erase it"),
    ("files", "equal bytes are kept once: the record counts who keeps them"),
];

macro_rules! ensure {
    ($holds:expr, $($words:tt)+) => {
        if !$holds {
            return Err(Stop::Broken(format!($($words)+)));
        }
    };
}

type Rows = BTreeMap<String, String>;

/// All records and counters. Streams only grow, and have links that show it.
async fn rows(store: &dyn Store) -> Result<Rows, Stop> {
    let mut all = Rows::new();
    for collection in collections() {
        let mut scan = Scan::ids(collection).limit(limits::PAGE_ROWS);
        loop {
            let page = store.scan(&scan).await?;
            for row in page.rows {
                match row {
                    Row::Record { key, version, body } => {
                        all.insert(key.to_string(), format!("{version:?} {}", body.as_str()));
                    }
                    Row::Counter { key, units } => drop(all.insert(key.to_string(), units.to_string())),
                    Row::Stream { .. } | Row::Entry { .. } => {}
                }
            }
            let Some(next) = page.next else { break };
            scan = scan.after(next)?;
        }
    }
    Ok(all)
}

/// Somebody with a hub, a device, a listed product, an object, money, and an order under which something was received.
struct Stranger {
    user: UserId,
    hub: HubId,
    device: DeviceId,
    product: ProductId,
    object: VirtualObjectId,
    order: Option<OrderId>,
    /// The keys of what is theirs.
    own: BTreeSet<String>,
    /// Commands by name, and how often they were carried out.
    tried: BTreeMap<&'static str, u64>,
}

fn refused<T>(done: Result<T, MarketError>) -> Result<Option<T>, Stop> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(MarketError::Store(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

impl Stranger {
    async fn comes(market: &Marketplace) -> Result<Self, Stop> {
        let market = &with_ids(market);
        let before = rows(market.store()).await?;
        let user = register(market, "stranger").await;
        let who = Actor::User(user);
        let (amount, currency) = (Amount::new(5_000).unwrap(), Currency::EUR);
        let top_up = TopUp { user, amount, currency, reference: String::new() };
        market.execute(Actor::System, None, &top_up).await.unwrap();
        let hub = RegisterHub { slug: "strange".parse().unwrap(), title: "Strange".parse().unwrap() };
        let hub = market.execute(who, None, &hub).await.unwrap().id;
        let device = market.execute(who, None, &device(hub, "own")).await.unwrap().id;
        let product = market.execute(who, None, &product(hub, device, "own")).await.unwrap().id;
        let create = CreateObject { content: content("Own"), hub: Some(hub), submit: false };
        let object = market.execute(who, None, &create).await.unwrap().object.id;
        // What is there to buy of somebody else's.
        let offers: Vec<Offer> = market.store().all(Scan::ids(Offer::collection())).await?;
        let mut order = None;
        for offer in offers {
            let bought = refused(market.execute(who, None, &Purchase { offer: offer.id }).await)?;
            if let Some(bought) = bought {
                order = Some(bought.id);
                let lease = market.open(GrantId::of(bought.id), "gate", 2).await;
                if let Ok(lease) = lease {
                    market.close(lease.lease, 1.into()).await.unwrap();
                }
                break;
            }
        }
        let after = rows(market.store()).await?;
        let own = after.into_keys().filter(|key| !before.contains_key(key)).collect();
        Ok(Self { user, hub, device, product, object, order, own, tried: BTreeMap::new() })
    }

    /// What is not theirs, and not shared.
    fn others(&self, mut rows: Rows) -> Rows {
        let shared = |key: &str| {
            SHARED.iter().any(|(name, _)| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')))
        };
        rows.retain(|key, _| !self.own.contains(key) && !shared(key));
        rows
    }

    /// Notes what is new as theirs, and complains of what changed otherwise.
    async fn look_after(&mut self, before: Rows, store: &dyn Store, what: &str) -> Checked {
        let after = rows(store).await?;
        for (key, body) in self.others(before.clone()) {
            let now = after.get(&key);
            ensure!(now == Some(&body), "{what} by a stranger: {key} was {body} and is {now:?}");
        }
        self.own.extend(after.into_keys().filter(|key| !before.contains_key(key)));
        Ok(())
    }

    /// The step, as the stranger sends it.
    async fn tries(&mut self, world: &mut World, act: &Act) -> Checked {
        let before = rows(world.market()?.store()).await?;
        let step = Step { who: Who::Stranger(self.user), key: KeyUse::None, act: act.clone() };
        let said = world.step(&[step], 0).await?;
        let name = said.split([':', ' ']).next().unwrap_or_default();
        if let Some(name) = Commands::standard().names().find(|known| *known == name) {
            *self.tried.entry(name).or_default() += u64::from(said.starts_with(&format!("{name}:")));
        }
        let store = world.market()?.store();
        self.look_after(before, store, &format!("{act:?}")).await
    }

    async fn sends<C: Command>(&mut self, market: &Marketplace, command: &C) -> Checked {
        let before = rows(market.store()).await?;
        let done = refused(market.execute(Actor::User(self.user), None, command).await)?;
        *self.tried.entry(C::NAME).or_default() += u64::from(done.is_some());
        let said = serde_json::to_string(command)?;
        self.look_after(before, market.store(), &format!("`{}` {said}", C::NAME)).await
    }

    /// Commands about something of one's own and something of others' at once.
    async fn mixes(&mut self, market: &Marketplace, others: &Others) -> Checked {
        let market = &with_ids(market);
        let Self { user, hub, device, product: own, object, order, .. } = *self;
        for device in &others.devices {
            self.sends(market, &product(hub, device.id, "borrowed")).await?;
        }
        for other in &others.products {
            let link = LinkProduct { object, product: Some(other.id), expect: None };
            self.sends(market, &link).await?;
            self.sends(market, &offer(other.id)).await?;
        }
        for other in &others.hubs {
            self.sends(market, &self::device(other.id, "spy")).await?;
            self.sends(market, &product(other.id, device, "spy")).await?;
            let create = CreateObject { content: content("Spy"), hub: Some(other.id), submit: true };
            self.sends(market, &create).await?;
            let role = HubRole::Owner;
            self.sends(market, &SetMember { hub: other.id, user, role }).await?;
        }
        for other in &others.users {
            self.sends(market, &SetMember { hub, user: *other, role: HubRole::Viewer }).await?;
        }
        for other in &others.objects {
            let mut whole = Content::new(ObjectKind::Service, "Of others".parse().unwrap());
            whole.parts.insert(other.object.id);
            self.sends(market, &CreateObject { content: whole.clone(), hub: None, submit: true }).await?;
            self.sends(market, &EditObject { object, content: whole, expect: None }).await?;
            let link = LinkProduct { object: other.object.id, product: Some(own), expect: None };
            self.sends(market, &link).await?;
            for file in &other.files {
                let mut content = content("With another's file");
                content.files.push(file.clone());
                self.sends(market, &EditObject { object, content, expect: None }).await?;
            }
        }
        for other in &others.uploads {
            let (name, media_type) = ("theirs.txt".parse().unwrap(), other.media_type);
            let file = File { name, media_type, bytes: 1, sha256: Digest::of(b"?") };
            self.sends(market, &AttachFile { object, file, expect: None, upload: Some(other.id) }).await?;
        }
        for other in &others.things {
            let put = PutThing {
                thing: other.id.clone(),
                anonymous: false,
                document: "{}".to_owned(),
                visibility: Some(Visibility::Public),
                lifetime: Lifetime::default(),
                expect: None,
            };
            self.sends(market, &put).await?;
        }
        for order in order.into_iter().chain(others.orders.iter().map(|order| order.id)) {
            let rate = RateProduct { order, stars: 1.try_into().unwrap(), comment: None };
            self.sends(market, &rate).await?;
        }
        Ok(())
    }
}

/// The trace's ids are for its own steps.
fn with_ids(market: &Marketplace) -> Marketplace {
    market.clone().with_ids(Arc::new(RandomIds))
}

async fn register(market: &Marketplace, name: &str) -> UserId {
    let register = RegisterUser {
        name: name.parse().unwrap(),
        display: name.parse().unwrap(),
        email: None,
        roles: [RoleName::CONSUMER, RoleName::PROVIDER].into(),
        profile: Profile::default(),
        invitation: None,
        password: Some(SecretHash::new("hash")),
    };
    market.execute(Actor::System, None, &register).await.unwrap().id
}

fn device(hub: HubId, name: &str) -> RegisterDevice {
    let credential = NewCredential::Password { hash: SecretHash::new("hash") };
    RegisterDevice { hub, name: name.parse().unwrap(), title: "Device".parse().unwrap(), credential }
}

fn product(hub: HubId, device: DeviceId, slug: &str) -> CreateProduct {
    CreateProduct {
        hub,
        slug: slug.parse().unwrap(),
        title: "Product".parse().unwrap(),
        description: "".parse().unwrap(),
        tags: Vec::new(),
        devices: vec![device],
        stream: StreamDescription::default(),
    }
}

fn offer(product: ProductId) -> PublishOffer {
    PublishOffer { product, currency: Currency::EUR, plan: Plan::Free { quota: None }, term_seconds: None }
}

fn content(title: &str) -> Content {
    Content::new(ObjectKind::Sensor, title.parse().unwrap())
}

/// A stranger reads of others what an outsider reads, whom nobody knows and who has nothing, and neither reads what is private.
async fn sees_what_all_see(market: &Marketplace, stranger: &Stranger) -> Result<usize, Stop> {
    let others = Others::than(stranger, market).await?;
    let outsider = register(&with_ids(market), "outsider").await;
    let seen = others.seen(market, Actor::User(stranger.user), Some(stranger.hub)).await;
    let public = others.seen(market, Actor::User(outsider), Some(stranger.hub)).await;
    let nobody = others.seen(market, Actor::Anonymous, None).await;
    let questions = seen.len();
    let private = others.private();
    for ((what, seen), (_, public)) in seen.iter().zip(&public) {
        // The stranger's own objects are public to nobody else.
        let of_own_hub = what.ends_with("in one's hub") || what == "all objects";
        ensure!(of_own_hub || seen == public, "{what}: a stranger gets {seen}\nand an outsider {public}");
    }
    for (what, answer) in seen.iter().chain(&public).chain(&nobody) {
        if let Some(name) = private.iter().find(|name| answer.contains(name.as_str())) {
            return Err(Stop::Broken(format!("{what}: {name} is told to a stranger: {answer}")));
        }
    }
    Ok(questions)
}

/// What only the marketplace does, what the stranger cannot have, and queries, which are asked by themselves.
fn is_for_strangers(act: &Act) -> bool {
    !matches!(
        act,
        Act::Look(_)
            | Act::Wait { .. }
            | Act::Expire
            | Act::PostNotices
            | Act::Reopen
            | Act::Again { .. }
            | Act::Analytics(
                AnalyticsAct::Did { .. } | AnalyticsAct::Follow | AnalyticsAct::Ask { .. }
            )
            // Who has the mailed leave is its owner.
            | Act::ResetPassword { right: true, .. }
            | Act::Object(ObjectAct::Read | ObjectAct::Clear)
    )
}

/// Takes names, places or keys that the trace needs later on.
fn takes_a_place(act: &Act) -> bool {
    matches!(
        act,
        Act::RegisterUser { .. }
            | Act::RegisterInvited { .. }
            | Act::RegisterHub { .. }
            | Act::AskPasswordReset { .. }
            | Act::PutThing { .. }
    )
}

#[tokio::test]
async fn no_command_of_a_stranger_changes_what_is_not_theirs() -> Checked {
    let tour = tour();
    let store = Arc::new(MemoryStore::new());
    let mut world = World::open(store, tour.approval, None).await?;
    let mut stranger = Stranger::comes(world.market()?).await?;
    let mut done = BTreeSet::new();
    for (number, step) in tour.steps.iter().enumerate() {
        let act = is_for_strangers(&step.act).then_some(&step.act);
        if let Some(act) = act.filter(|act| !takes_a_place(act)) {
            stranger.tries(&mut world, act).await?;
        }
        let said = world.step(&tour.steps, number).await?;
        done.extend(said.split_once(':').map(|(name, _)| name.to_owned()));
        let is_taken = !said.contains(" refused, ");
        if let Some(act) = act.filter(|act| is_taken || !takes_a_place(act)) {
            stranger.tries(&mut world, act).await?;
        }
    }
    let others = Others::than(&stranger, world.market()?).await?;
    stranger.mixes(world.market()?, &others).await?;
    let asked = sees_what_all_see(world.market()?, &stranger).await?;
    world.check().await?;
    let tried: BTreeSet<&str> = stranger.tried.keys().copied().collect();
    let all: BTreeSet<&str> = Commands::standard().names().collect();
    assert_eq!(tried, all, "every command was tried");
    let spoiled: Vec<_> = all.iter().filter(|name| !done.contains(**name)).collect();
    assert!(spoiled.is_empty(), "a stranger kept others from {spoiled:?}");
    assert!(asked > 50, "{asked} questions");
    Ok(())
}

async fn one(approval: bool, acts: Vec<Step>, strange: Vec<Act>) -> Result<(usize, usize), Stop> {
    let store = Arc::new(MemoryStore::new());
    let mut world = World::open(store, approval, None).await?;
    let steps: Vec<Step> = opening().into_iter().chain(acts).collect();
    let begun = opening().len();
    for number in 0..begun {
        world.step(&steps, number).await?;
    }
    let mut stranger = Stranger::comes(world.market()?).await?;
    let mut strange = strange.into_iter();
    for number in begun..steps.len() {
        world.step(&steps, number).await?;
        if let Some(act) = strange.next() {
            stranger.tries(&mut world, &act).await?;
        }
    }
    for act in strange {
        stranger.tries(&mut world, &act).await?;
    }
    let others = Others::than(&stranger, world.market()?).await?;
    stranger.mixes(world.market()?, &others).await?;
    world.check().await?;
    let asked = sees_what_all_see(world.market()?, &stranger).await?;
    Ok((stranger.tried.len(), asked))
}

#[test]
fn whatever_a_stranger_sends_others_things_stay_and_stay_theirs() -> Checked {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let cases = std::env::var(i3_core::testkit::trace::CASES).ok().and_then(|text| text.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(24),
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let acts = prop::collection::vec(steps(), 1..40);
    let strange = steps().prop_map(|step| step.act).prop_filter("for strangers", is_for_strangers);
    let strange = prop::collection::vec(strange, 1..60);
    let most = std::cell::Cell::new((0, 0));
    TestRunner::new(config).run(&(any::<bool>(), acts, strange), |(approval, acts, strange)| {
        let (tried, asked) = runtime
            .block_on(one(approval, acts, strange))
            .map_err(|stop| TestCaseError::fail(stop.to_string()))?;
        most.set((most.get().0.max(tried), most.get().1.max(asked)));
        Ok(())
    })?;
    let (tried, asked) = most.get();
    announce(&format!("up to {tried} kinds of commands and {asked} questions of a stranger in a trace"));
    Ok(())
}
